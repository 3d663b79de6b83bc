/* Inside of the client; for src/net/client*.c alone. */
#ifndef FT_NET_CLIENT_IMPL_H
#define FT_NET_CLIENT_IMPL_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "net/client.h"

struct ft_http_call {
    struct ft_http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
    /* callbacks and ctx of the config; its strings are the caller's and not kept */
    void (*on_head)(void *ctx, const struct ft_http_answer_head *head);
    bool (*on_data)(void *ctx, const char *data, size_t n);
    void (*on_done)(void *ctx, const struct ft_err *err);
    size_t (*on_read)(void *ctx, char *data, size_t n);
    void *ctx;
    int idle_timeout_ms;
    bool follow;

    _Atomic int refs;
    _Atomic bool cancelled, paused; /* asked for; from any thread */
    _Atomic bool read_again, done;

    /* under the client's lock */
    struct ft_http_call *next_todo;
    bool in_todo;

    /* the client's thread alone */
    struct ft_http_call *prev, *next; /* of those that run */
    bool running;
    int pause_bits;          /* as curl sees it; on_data's "false" sets one as well as `paused` */
    struct ft_buf head;      /* lines of the answer's head, each ended by NUL */
    bool head_in, head_told; /* its empty line was in; on_head was called */
    int64_t active_ns;
    bool idle_out;
};

/* client_answer.c: curl's callbacks on an answer. */
size_t ft_http_take_header(char *line, size_t size, size_t n, void *call);
size_t ft_http_take_data(char *data, size_t size, size_t n, void *call);
/* Calls on_head if that has not happened yet and there is a head. */
void ft_http_tell_head(struct ft_http_call *call);

/* client_call.c: everything curl must know of a call. */
int ft_http_call_setup(struct ft_http_call *call, const struct ft_http_call_config *config,
                       struct ft_err *err);
void ft_http_call_free(struct ft_http_call *call);
/* A failed transfer in our words; *err is filled, its code returned. */
int ft_http_call_error(struct ft_http_call *call, CURLcode code, struct ft_err *err);

#endif
