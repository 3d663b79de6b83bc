/* The folder of a cloud on this machine (HOME), what lies where in it, and what is known of the
 * cloud that runs there. */
#ifndef FT_CLI_CLOUD_HOME_H
#define FT_CLI_CLOUD_HOME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_HOME_BYTES 3072 /* longest path of the folder, with the NUL */
#define FT_HOME_PATH  4096 /* of something in it */

struct ft_home {
    char path[FT_HOME_BYTES]; /* absolute */
};

/* given (--home), else $FEITIAN_HOME, else ~/.feitian. It need not be there. */
int ft_home_find(const char *given, struct ft_home *ret, struct ft_err *err);
/* Makes it (0700) with the folders in it. The message says what may be done. */
int ft_home_make(const struct ft_home *h, struct ft_err *err);
/* "HOME/rest"; returns ret, FT_HOME_PATH bytes. */
const char *ft_home_at(const struct ft_home *h, const char *rest, char *ret);

/* ---- whoever runs a cloud in it ---- */

/* Held by the supervisor for as long as it lives, however it ends. *ret_fd: -1 if another holds it.
 * What one that was killed wrote of itself (run/up.json) is gone then. */
int ft_home_lock(const struct ft_home *h, int *ret_fd, struct ft_err *err);

/* run/options.json: what the cloud that runs was asked for (ft_up_options_given); written by the
 * supervisor. Takes the reference. */
int ft_home_options_write(const struct ft_home *h, json_t *given, struct ft_err *err);
/* A new object; {} where nothing is known. */
json_t *ft_home_options(const struct ft_home *h);

/* run/up.json: written by the supervisor. */
struct ft_home_up {
    int64_t pid;
    int64_t started_s; /* since the epoch */
    bool ready;        /* has been ready at least once */
    char url[512];
    char version[32];
};
int ft_home_up_write(const struct ft_home *h, const struct ft_home_up *up, struct ft_err *err);
/* 1: one runs (the lock is held) and *ret says what it wrote; 0: none runs; or a negative code. */
int ft_home_running(const struct ft_home *h, struct ft_home_up *ret, struct ft_err *err);

/* ---- how commands get at it ---- */

struct ft_home_credentials {
    char url[512], key[256];
    char ca[FT_HOME_PATH]; /* the certificate that it shows; "": the system's authorities know it */
};
/* credentials.json. FT_ENOTFOUND: there is none. */
int ft_home_credentials(const struct ft_home *h, struct ft_home_credentials *ret,
                        struct ft_err *err);
/* The cloud is at this address now, with this certificate (NULL: none); the key stays. Nothing
 * where there is no credentials.json: then its owner keeps the key elsewhere. */
int ft_home_credentials_move(const struct ft_home *h, const char *url, const char *ca,
                             struct ft_err *err);

#endif
