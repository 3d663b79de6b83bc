/* What `feitian up` was asked for, on the command line and in HOME/config.json. */
#ifndef FT_CLI_CLOUD_UP_H
#define FT_CLI_CLOUD_UP_H

#include <jansson.h>

#include "cli/cloud/home.h"

#define FT_UP_LISTEN     "127.0.0.1:7700"
#define FT_UP_LAST       "listen"      /* in the home: where it listened last time, and its TLS */
#define FT_UP_CONFIG     "config.path" /* in the home: --config of last time, if it was given */
#define FT_UP_MEMORY_MIN (64 << 20)    /* nano with its caches */

struct ft_up_options {
    struct ft_home home;
    char host[256]; /* of listen */
    int port;
    char url[512]; /* where clients on this machine reach it */
    const char *listen, *tls_cert, *tls_key, *kv, *storage, *s3_domain;
    const char *otlp, *log_format, *log_level;
    double otlp_ratio; /* below 0: not given */
    bool log_requests;
    bool listens;        /* listen was given */
    bool told;           /* on the command line: it is remembered */
    bool tells_tls;      /* so are certificates that stand there */
    bool remembered;     /* listen was not given, and is as it was last time */
    bool tls_remembered; /* the same of certificates: TLS does not end by being forgotten */
    char *last;          /* that; texts above may lie in it */
    bool tls_self_signed, foreground, daemon, json;
    int64_t memory, threads, http_threads, s3_day; /* 0: not given */
    int64_t wait_s;                                /* for it to be ready */
    const char *home_given;
    const char *config_given;       /* --config; NULL: config.json of the home */
    char config_path[FT_HOME_PATH]; /* of that, from the root on */
    json_t *config;                 /* texts above may lie in it */
};

/* Returns 0, or an exit status after a message. */
int ft_up_options_parse(int argc, char **argv, struct ft_up_options *ret);
/* What the next `feitian up` of the home goes by if it is given nothing else: its config.json, and
 * where it was last time. */
int ft_up_options_next(const char *home, struct ft_up_options *ret, struct ft_err *err);
void ft_up_options_fini(struct ft_up_options *o);
/* What was given of that which config.json can say, as {"--memory": "536870912", ...}. */
json_t *ft_up_options_given(const struct ft_up_options *o);
/* It is up: the next one without --listen is there, too, with the same TLS; and a backup knows
 * where its settings are when it does not run. */
void ft_up_keep(const struct ft_up_options *o);
/* "HOST:PORT", "[::1]:PORT". FT_EINVAL names --listen. */
int ft_up_listen_parse(const char *text, char *ret_host, size_t n, int *ret_port,
                       struct ft_err *err);

/* ---- port.c ---- */

/* Can the address be bound? FT_EBUSY names the program that has it, if that can be seen. */
int ft_port_check(const char *host, int port, struct ft_err *err);

/* ---- the last lines of a log, for people; nothing where there is none ---- */
void ft_up_show_log(const struct ft_home *h, int lines);

#endif
