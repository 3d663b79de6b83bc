/* What commands print of a cloud's answers. */
#ifndef FT_CLI_CLOUD_SHOW_H
#define FT_CLI_CLOUD_SHOW_H

#include "cli/cloud/client.h"
#include "cli/table.h"

#define FT_SHOW_TIME_BYTES 32

/* Prints it, and takes the reference. */
void ft_show_json(json_t *j);

struct ft_show_list {
    const char *path;           /* "/api/v1/keys" */
    const char *filter, *value; /* a parameter and what it is; value NULL: without */
    const char *none;           /* said when there is nothing; NULL: an empty table */
    const char *const *heads;
    int n_heads;
    void (*row)(struct ft_table *t, const json_t *entity); /* adds a cell for every head */
    /* (optional) adds to the entities what their rows need besides; not for JSON */
    void (*prepare)(struct ft_cloud *c, json_t *entities);
    /* (optional) one that is not shown unless it is asked for; `hidden` says what they
     * are, behind "and 3 " */
    bool (*hide)(const json_t *entity);
    const char *hidden;
};
/* Is it the name of a checkpoint of a training? Its last one has a name of its own. */
bool ft_show_is_checkpoint(const char *name);
/* Of an endpoint of the status: and nothing is or waits there. */
bool ft_show_is_idle_checkpoint(const json_t *endpoint);
int ft_show_list(struct ft_cloud *c, const struct ft_show_list *l, bool json, struct ft_err *err);
/* A whole command: the list, and no options but a cloud's. */
int ft_show_list_plain(const char *command, const struct ft_show_list *l, int argc, char **argv);

/* GETs path + id: a new object. */
int ft_show_get(struct ft_cloud *c, const char *path, const char *id, json_t **ret,
                struct ft_err *err);

/* DELETEs path + id + query for each id, and says "ID done" or, as JSON, what the cloud answered.
 */
int ft_show_delete(struct ft_cloud *c, const char *path, char **ids, int n, const char *query,
                   const char *done, bool json, struct ft_err *err);

/* A whole command: DELETEs what its arguments name, and has no options but a cloud's. */
#define FT_SHOW_REMOVE_MAX 64 /* of one command */
struct ft_show_removal {
    const char *command; /* "alert rm" */
    const char *path;    /* "/api/v1/alerts/" */
    const char *what;    /* "the alert's id": what is missing where there are no arguments */
    const char *done;    /* "removed" */
};
int ft_show_remove(const struct ft_show_removal *r, int argc, char **argv);

/* The latest `most` requests behind `after` (NULL: from the newest), over as many calls as it takes
 * to find so many, up to a bound: where few of them are wanted, one call looks at a part. filter:
 * "&status=error", more parameters of /api/v1/requests, or "". *ret: new, as one answer; its `next`
 * says where it goes on. */
int ft_show_requests(struct ft_cloud *c, const char *filter, const char *after, int most,
                     json_t **ret, struct ft_err *err);

/* "2026-11-22 06:12" here, of seconds since the epoch; "-" for null. */
const char *ft_show_time(const json_t *seconds, char ret[FT_SHOW_TIME_BYTES]);
/* The texts of a list, with commas; in ret, n bytes. */
const char *ft_show_words(const json_t *list, char *ret, size_t n);

#endif
