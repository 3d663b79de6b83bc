/* The Hugging Face Hub's API, and what of ModelScope's fetches files, on hub/repo.
 *
 * Requests are served on lanes, written straight down. The caller has checked the key; here is
 * checked what it may do with a repository: read those of its project and all that are not private,
 * change those of its project. What a key may not see is 404, in the words of what is not there.
 * Bytes of large files are sent to URLs that carry a signature of ours in the place of a key, as
 * the clients expect it. */
#ifndef FT_API_HUB_HUB_H
#define FT_API_HUB_HUB_H

#include <jansson.h>

#include "hub/repo/repo.h"
#include "net/lane.h"

#define FT_HUB_SECRET_BYTES 32
#define FT_HUB_LINE_MAX     (15u << 20) /* bytes of a line of a commit: an inline file in base64 */
#define FT_HUB_JSON_MAX     (4u << 20)  /* bytes of another body */
#define FT_HUB_COMMITS_MAX  16          /* that may hold a long line at a time */
#define FT_HUB_PAGE_MAX     1000        /* entries of a page of a list */
#define FT_HUB_LFS_MAX      1000        /* objects of one LFS batch */
#define FT_HUB_PART_BYTES   (64u << 20) /* of a large file that is sent in parts */
#define FT_HUB_PARTS_MAX    2000
#define FT_HUB_EXPIRES_S    86400 /* of a URL to send bytes to */

struct ft_hub;
struct ft_hub_config {
    struct ft_repos *repos;
    uint8_t secret[FT_HUB_SECRET_BYTES]; /* of URLs; stays the same over restarts */
    /* May the project keep so many bytes more? They are written by this request; `later`: by
     * another one, so nothing is set aside. FT_ELIMIT says why not; NULL: any. */
    int (*may_store)(void *ctx, const char *project, int64_t bytes, bool later, struct ft_err *err);
    /* Is there such a project? NULL: any. */
    bool (*has_project)(void *ctx, const char *project);
    /* What a model's files say of themselves: reads the revision in a process of its own. *ret: a
     * new object, or NULL: it is no model. NULL: nobody looks. */
    int (*inspect)(void *ctx, const struct ft_repo *repo, const char *commit, json_t **ret,
                   struct ft_err *err);
    void *ctx;
};
int ft_hub_open(const struct ft_hub_config *c, struct ft_hub **ret, struct ft_err *err);
void ft_hub_close(struct ft_hub *h); /* no request may run; NULL is accepted */

/* Looks at one thing that was pushed since (inspect); may block for long, one thread. */
void ft_hub_tick(struct ft_hub *h);

/* Who asks. Strings live as long as the request. */
struct ft_hub_who {
    const char *key, *name; /* id and name of the key; "" with a signed URL */
    const char *project;    /* its id: the ORG that it works in */
    const char *request_id; /* sent back */
    bool may_write;         /* hub.write */
    bool everywhere;        /* an operator: in every project */
};
/* Answers the request of the lane. Returns the status that was sent. */
int ft_hub_serve(struct ft_hub *h, struct ft_lane *l, const struct ft_hub_who *who);

/* The same for a URL that we signed ("/api/hub/lfs/..."). The key that it was signed for: 1 with
 * its id, 0 if it is not ours or is over. */
int ft_hub_signed_for(struct ft_hub *h, const struct ft_http_exchange *x,
                      char ret_key[FT_REPO_ORG_MAX + 1]);

/* The repository and revision that "ORG/NAME[@REV]" means to somebody. FT_ENOTFOUND. */
int ft_hub_find(struct ft_hub *h, const struct ft_hub_who *who, const char *what,
                struct ft_repo *ret, char ret_commit[FT_REPO_OID_BYTES], struct ft_err *err);

#endif
