/* Fetching models: from Hugging Face, ModelScope or another server that speaks like them, or from
 * this machine's files, into the folder where a cloud keeps its models.
 *
 * A pull goes on where an earlier one stopped, however it ended; what arrives is held to the sizes
 * and hashes that the hub tells; nothing stands under its name before all of it is there and was
 * checked. Where it is in the making: MODELS/.pull/NAME/, see stage.c.
 *
 * Environment: HF_ENDPOINT [https://huggingface.co], HF_TOKEN; MODELSCOPE_ENDPOINT or
 * MODELSCOPE_DOMAIN [https://www.modelscope.cn], MODELSCOPE_API_TOKEN; proxies as of curl. */
#ifndef FT_HUB_PULL_PULL_H
#define FT_HUB_PULL_PULL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_PULL_FILES_MAX  10000 /* in a listing */
#define FT_PULL_PATH_MAX   1024  /* bytes of a file's path in a repository, with the NUL */
#define FT_PULL_REPO_MAX   256
#define FT_PULL_NAME_MAX   97 /* bytes of a model's name, with the NUL */
#define FT_PULL_PARALLEL   4  /* files at a time */
#define FT_PULL_TRIES      6  /* of one file in a row that bring nothing */
#define FT_PULL_LIST_BYTES (32u << 20)

enum ft_pull_hub { FT_PULL_LOCAL, FT_PULL_HF, FT_PULL_MS };

struct ft_pull_source {
    enum ft_pull_hub hub;
    char repo[FT_PULL_REPO_MAX];     /* "ORG/NAME" */
    char revision[FT_PULL_REPO_MAX]; /* branch, tag or commit; "": the hub's usual one */
    char file[FT_PULL_PATH_MAX];     /* a path, or part of a file's name such as Q4_K_M; "": none;
                                      * LOCAL: the path on this machine */
};

/* "hf:ORG/NAME[@REVISION][:FILE]", "ms:...", anything else is a path. FT_EINVAL says what is wrong.
 */
int ft_pull_source_parse(const char *text, struct ft_pull_source *ret, struct ft_err *err);

struct ft_pull_progress {
    const char *file;    /* one that is on its way, or the last */
    uint64_t done, all;  /* bytes, those of earlier pulls included */
    uint64_t earlier;    /* of these, from earlier pulls */
    int n_done, n_files; /* files */
    const char *trouble; /* why it waits to try again; NULL: it does not */
};
typedef void ft_pull_progress_fn(void *ctx, const struct ft_pull_progress *p);

struct ft_pull_options {
    const char *models; /* the folder; made if absent */
    const char *name;   /* of the model; NULL: as the file or repository is named */
    bool adapter;       /* a LoRA adapter in PEFT's form, not a model */
    /* Is what was fetched a model? Called with the path before it appears; fails the pull. NULL:
     * not asked. */
    int (*check)(void *ctx, const char *path, struct ft_err *err);
    ft_pull_progress_fn *on_progress; /* on the caller's thread, several times a second; or NULL */
    void *ctx;
    const atomic_int *interrupt; /* not 0: FT_ECANCELED, what is there is kept; or NULL */
    int wait_ms;                 /* before a second try, doubled for each further one; 0: 500 */
};

struct ft_pull_result {
    char name[FT_PULL_NAME_MAX];
    char path[4096]; /* what to open: the GGUF file, the first of several, or the folder */
    uint64_t bytes;
    char sha256[65];             /* of a model in one file, where the hub told it; "": not known */
    char file[FT_PULL_PATH_MAX]; /* in the folder or repository, the first of several; "": all of it
                                  * is the model, or there is no folder */
    int n_files;
    bool present; /* it was there already */
    bool linked;  /* LOCAL: no copy, the same files by another name */
};

/* Blocks until all is there. FT_ENOTFOUND: no such repository or file; FT_EINVAL: the source is
 * unclear, the message lists what there is; FT_EUNSUPPORTED: it holds no model of a kind that is
 * known; FT_EEXIST: another model has this name; FT_EBUSY: another process fetches it; FT_ELIMIT:
 * too little room on the disk; FT_ECORRUPT: not the bytes that the hub announced; FT_EIO: no
 * answer, after all tries. */
int ft_pull(const struct ft_pull_source *source, const struct ft_pull_options *o,
            struct ft_pull_result *ret, struct ft_err *err);

#endif
