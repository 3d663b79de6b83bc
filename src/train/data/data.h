/* Training data: JSONL and text files read into token sequences that say what is to be learnt of
 * them.
 *
 * A line is one of (any mixture in a file; fields beside these are not looked at):
 *   {"messages": [...], "tools": [...]}          OpenAI's chat format; loss on assistant turns
 *   {"prompt": ..., "completion": ...}           strings or messages; loss on the completion
 *   {"text": "..."}                              loss on everything; so is a whole .txt file
 * and for preference pairs
 *   {"prompt": ..., "chosen": ..., "rejected": ...}                     strings or messages
 *   {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
 *
 * Messages are rendered by the model's chat template and encoded as when serving, so that what is
 * learnt is what the model will be asked for: the answer with its end token, after exactly the
 * tokens that a request would give. README.md has the rules. Everything is read and checked before
 * anything is trained: ft_data_open() reports each bad line. One thread. */
#ifndef FT_TRAIN_DATA_H
#define FT_TRAIN_DATA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/prompt/prompt.h"
#include "model/token/tokenizer.h"

#define FT_DATA_FILES_MAX    1024
#define FT_DATA_TEXT_MAX     (1u << 30) /* bytes of a .txt file */
#define FT_DATA_SAMPLES_MAX  (1 << 26)
#define FT_DATA_TOKENS_MAX   ((int64_t)1 << 30) /* 5 bytes of memory each */
#define FT_DATA_LEN_MAX      (1 << 20)          /* of a sequence */
#define FT_DATA_MESSAGES_MAX 1024               /* of one line */
#define FT_DATA_BAD_MAX      20                 /* bad lines told one by one */

/* AUTO: by the line's fields. Otherwise each line must be of that form. */
enum ft_data_form {
    FT_DATA_AUTO,
    FT_DATA_CHAT,
    FT_DATA_PROMPT,
    FT_DATA_TEXT,
    FT_DATA_PAIR,       /* prompt, chosen, rejected */
    FT_DATA_PAIR_OPENAI /* input, preferred_output, non_preferred_output */
};

/* One sequence: what is before and what is to be learnt. */
struct ft_sample {
    int32_t *token; /* [n] */
    uint8_t *loss;  /* [n] 1: token[i] is a target, predicted from token[0 .. i-1]; loss[0] is 0 */
    int n;          /* 2 .. max_len */
    int n_target;   /* >= 1 */
    /* Samples of one group are not to be parted by a split: what one line gave. The pieces of a
     * text are groups of their own. Groups count up from 0 with the samples. */
    int32_t group;
    enum ft_data_form form; /* of its line */
    int32_t file;
    int64_t line; /* from 1; 0: a whole file */
};

enum ft_data_kind {
    FT_DATA_SUPERVISED, /* samples */
    FT_DATA_PREFERENCE, /* pairs: sample 2i is chosen, 2i+1 rejected, of the same prompt */
};

/* What happens to a sample longer than max_len. Texts are cut into pieces whatever it says. */
enum ft_too_long {
    FT_TOO_LONG_ERROR,
    FT_TOO_LONG_TRUNCATE, /* its end is cut off; dropped where no target is left */
    FT_TOO_LONG_DROP,
};

struct ft_data_config {
    enum ft_data_kind kind;
    enum ft_data_form form;
    const struct ft_tokenizer *tokenizer; /* borrowed by ft_data_open() alone */
    const struct ft_prompter *prompter;   /* the same; NULL: lines of messages are an error */
    json_t *template_vars; /* more variables for the template ({"enable_thinking": false}); NULL */
    /* strftime_now of templates. Whoever resumes a run gives the same again, or the data changes
     * with the day. */
    int64_t now;
    int max_len; /* tokens of a sequence: 2 .. FT_DATA_LEN_MAX */
    enum ft_too_long too_long;
    bool special_text;  /* control tokens spelled out in texts and messages are those tokens */
    int64_t max_tokens; /* of all samples; 0: FT_DATA_TOKENS_MAX */
    /* Called now and then with bytes read of bytes there are; may be NULL. Not 0: stop, which is
     * FT_ECANCELED. */
    int (*progress)(void *ctx, int64_t done, int64_t all);
    void *ctx;
};

struct ft_data_bad {
    int32_t file;
    int64_t line; /* from 1; 0: the file */
    char msg[FT_ERR_MSG_MAX];
};

struct ft_data_report {
    int64_t lines;   /* read; blank ones are not counted */
    int64_t samples; /* pairs count two */
    int64_t tokens, targets;
    int64_t truncated, dropped; /* samples, by too_long */
    int64_t bad;                /* lines */
    int n_told;
    struct ft_data_bad told[FT_DATA_BAD_MAX]; /* [n_told] the first of the bad */
};

struct ft_data {
    enum ft_data_kind kind;
    int n;
    struct ft_sample *sample; /* [n] in the order of files and lines */
    int32_t n_groups;
    int max_len;
    int64_t tokens, targets;
    struct ft_data_store *store; /* what owns them */
};

void ft_data_config_init(struct ft_data_config *cfg); /* zeros, max_len 1024 */

/* Reads all files: *.txt are texts, others JSONL ("-" is standard input). *report (may be NULL) is
 * filled on failure too. FT_EINVAL if a line is bad, once all were looked at (the message has the
 * first; the report more), or if there is nothing to learn; FT_ELIMIT at a bound above. */
int ft_data_open(const struct ft_data_config *cfg, const char *const *path, int n_paths,
                 struct ft_data **ret_d, struct ft_data_report *report, struct ft_err *err);
void ft_data_close(struct ft_data *d); /* NULL is accepted */

/* Parts of a set: indices of samples, ascending; of pairs, of the chosen ones. */
struct ft_data_split {
    int n_train, n_valid;
    int32_t *train, *valid;
};
/* Puts about n_valid samples (pairs) aside, whole groups drawn by seed. n_valid is given, or
 * fraction (0 <= f < 1) if it is 0: one at least, unless it is 0 too. FT_EINVAL if nothing would be
 * left to train on. */
int ft_data_split(const struct ft_data *d, uint64_t seed, int n_valid, double fraction,
                  struct ft_data_split *ret, struct ft_err *err);
void ft_data_split_fini(struct ft_data_split *s); /* a zeroed one is accepted */

#endif
