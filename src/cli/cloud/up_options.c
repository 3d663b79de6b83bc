/* Options of `feitian up`: the command line over HOME/config.json over the defaults. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/cloud/up.h"
#include "cli/local.h"
#include "cli/options.h"

#define CONFIG_MAX  65536
#define LAST_LINES  3 /* of FT_UP_LAST: HOST:PORT; SELF_SIGNED, or a certificate and its key */
#define SELF_SIGNED "self-signed"

int ft_up_listen_parse(const char *text, char *ret_host, size_t n, int *ret_port,
                       struct ft_err *err)
{
    const char *colon = strrchr(text, ':');
    char *end;
    long port = colon != NULL ? strtol(colon + 1, &end, 10) : 0;
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    bool bracket = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (colon == NULL || len == 0 || colon[1] == '\0' || *end != '\0' || port < 1 || port > 65535 ||
        len >= n || (!bracket && memchr(text, ':', len) != NULL))
        return ft_err_set(err, FT_EINVAL,
                          "--listen: '%s' is not HOST:PORT, such as 127.0.0.1:7700 or [::1]:7700",
                          text);
    snprintf(ret_host, n, "%.*s", (int)(bracket ? len - 2 : len), text + bracket);
    *ret_port = (int)port;
    return 0;
}

static int read_config(struct ft_up_options *o, const struct ft_opt *opts, size_t n,
                       struct ft_err *err)
{
    char path[FT_HOME_PATH], *text;
    size_t len;
    json_error_t at;
    ft_home_at(&o->home, "config.json", path);
    if (o->config_given != NULL) {
        if (realpath(o->config_given, path) == NULL)
            return ft_err_sys(err, "--config: %s", o->config_given);
        memcpy(o->config_path, path, sizeof o->config_path);
    }
    int rc = ft_file_read(path, CONFIG_MAX, &text, &len, err);
    if (rc != 0 && o->config_given == NULL) /* no folder either: that is said when it is made */
        return rc == FT_ENOTFOUND || access(o->home.path, X_OK) != 0 ? 0 : rc;
    if (rc != 0)
        return rc;
    o->config = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
    free(text);
    if (!json_is_object(o->config))
        return ft_err_set(err, FT_EINVAL, "%s: line %d: %s", path, o->config == NULL ? at.line : 1,
                          o->config == NULL ? at.text : "not an object");
    return ft_opts_json(opts, n, o->config, err) != 0 ? ft_err_wrap(err, "%s", path) : 0;
}

/* Where a client on this machine finds it: any address is ours, so take the loopback. */
static void set_url(struct ft_up_options *o)
{
    bool tls = o->tls_cert != NULL || o->tls_self_signed, v6 = strchr(o->host, ':') != NULL;
    const char *host =
        strcmp(o->host, "0.0.0.0") == 0 || strcmp(o->host, "::") == 0 ? "127.0.0.1" : o->host;
    v6 &= strchr(host, ':') != NULL;
    snprintf(o->url, sizeof o->url, "http%s://%s%s%s:%d", tls ? "s" : "", v6 ? "[" : "", host,
             v6 ? "]" : "", o->port);
}

/* Where it listened last time and by which certificate, if that was said on the command line then.
 * Who names an address now says with it whether it has TLS. */
static void as_last_time(struct ft_up_options *o)
{
    char path[FT_HOME_PATH], host[sizeof o->host], *line[LAST_LINES] = {NULL}, *rest;
    int port;
    size_t n;
    struct ft_err ignored = {0};
    if (o->told || ft_file_read(ft_home_at(&o->home, FT_UP_LAST, path), CONFIG_MAX, &o->last, &n,
                                &ignored) != 0)
        return;
    for (int i = 0; i < LAST_LINES; i++)
        line[i] = strtok_r(i == 0 ? o->last : NULL, "\n", &rest);
    if (line[0] == NULL || ft_up_listen_parse(line[0], host, sizeof host, &port, &ignored) != 0 ||
        (o->listens && strcmp(o->listen, line[0]) != 0))
        return;
    o->remembered = !o->listens;
    o->listen = line[0];
    if (o->tls_cert != NULL || o->tls_self_signed || line[1] == NULL)
        return;
    o->tls_remembered = true;
    o->tls_self_signed = strcmp(line[1], SELF_SIGNED) == 0;
    if (!o->tls_self_signed) {
        o->tls_cert = line[1];
        o->tls_key = line[2];
    }
}

/* For as_last_time. */
static int keep_last(const struct ft_up_options *o, const char *path, struct ft_err *err)
{
    struct ft_buf b;
    ft_buf_init(&b, CONFIG_MAX);
    ft_buf_addf(&b, "%s\n", o->listen);
    if (o->tls_self_signed)
        ft_buf_add_str(&b, SELF_SIGNED "\n");
    else if (o->tls_cert != NULL)
        ft_buf_addf(&b, "%s\n%s\n", o->tls_cert, o->tls_key);
    int rc = b.failed != 0 ? ft_err_set(err, FT_ENOMEM, "%s: no memory", path)
                           : ft_file_put(path, b.data, b.len, err);
    ft_buf_fini(&b);
    return rc;
}

void ft_up_keep(const struct ft_up_options *o)
{
    char path[FT_HOME_PATH];
    struct ft_err err = {0};
    ft_home_at(&o->home, FT_UP_LAST, path);
    if (o->told || o->tells_tls) {
        if (keep_last(o, path, &err) != 0)
            ft_log(FT_LOG_WARN, "up", "%s", err.msg);
    } else if (o->listens && !o->tls_remembered) /* config.json says it now */
        unlink(path);
    ft_home_at(&o->home, FT_UP_CONFIG, path);
    if (o->config_path[0] == '\0')
        unlink(path);
    else if (ft_file_put(path, o->config_path, strlen(o->config_path), &err) != 0)
        ft_log(FT_LOG_WARN, "up", "%s", err.msg);
}

static int check(struct ft_up_options *o, struct ft_err *err)
{
    if (o->foreground && o->daemon)
        return ft_err_set(err, FT_EINVAL, "--foreground and --daemon: only one of the two");
    if ((o->tls_cert == NULL) != (o->tls_key == NULL))
        return ft_err_set(err, FT_EINVAL, "--tls-cert and --tls-key: both or none");
    if (o->tls_cert != NULL && o->tls_self_signed)
        return ft_err_set(err, FT_EINVAL,
                          "--tls-self-signed: there is a certificate already "
                          "(--tls-cert)");
    enum ft_log_level level;
    bool json;
    if (o->otlp != NULL && strncmp(o->otlp, "http://", 7) != 0 &&
        strncmp(o->otlp, "https://", 8) != 0)
        return ft_err_set(err, FT_EINVAL, "--otlp: must begin with http:// or https://");
    if (o->log_format != NULL && !ft_log_format_parse(o->log_format, &json))
        return ft_err_set(err, FT_EINVAL, "--log-format: must be text or json");
    if (o->log_level != NULL && !ft_log_level_parse(o->log_level, &level))
        return ft_err_set(err, FT_EINVAL, "--log-level: must be error, warn, info or debug");
    enum ft_kv_type kv;
    if (o->kv != NULL && ft_local_kv_type(o->kv, &kv, err) != 0)
        return err->code;
    o->listens = o->listen != NULL;
    as_last_time(o);
    if (o->listen == NULL)
        o->listen = FT_UP_LISTEN;
    int rc = ft_up_listen_parse(o->listen, o->host, sizeof o->host, &o->port, err);
    if (rc == 0)
        set_url(o);
    return rc;
}

/* The command line over config.json. 0, an exit status after a message, or *err. */
static int take(int argc, char **argv, struct ft_up_options *ret, struct ft_err *err)
{
    struct ft_up_options o = {.wait_s = 30, .otlp_ratio = -1};
    const struct ft_opt opts[] = {
        /* what may stand in config.json, first */
        {"listen", 0, FT_OPT_TEXT, &o.listen, 0, 0},
        {"tls-cert", 0, FT_OPT_TEXT, &o.tls_cert, 0, 0},
        {"tls-key", 0, FT_OPT_TEXT, &o.tls_key, 0, 0},
        {"tls-self-signed", 0, FT_OPT_FLAG, &o.tls_self_signed, 0, 0},
        {"memory", 0, FT_OPT_BYTES, &o.memory, FT_UP_MEMORY_MIN, 1e15},
        {"threads", 0, FT_OPT_WHOLE, &o.threads, 1, 1024},
        {"http-threads", 0, FT_OPT_WHOLE, &o.http_threads, 1, 64},
        {"kv", 0, FT_OPT_TEXT, &o.kv, 0, 0},
        {"storage", 0, FT_OPT_TEXT, &o.storage, 0, 0},
        {"s3-domain", 0, FT_OPT_TEXT, &o.s3_domain, 0, 0},
        {"s3-day", 0, FT_OPT_WHOLE, &o.s3_day, 1, 86400},
        {"otlp", 0, FT_OPT_TEXT, &o.otlp, 0, 0},
        {"otlp-ratio", 0, FT_OPT_REAL, &o.otlp_ratio, 0, 1},
        {"log-format", 0, FT_OPT_TEXT, &o.log_format, 0, 0},
        {"log-level", 0, FT_OPT_TEXT, &o.log_level, 0, 0},
        {"log-requests", 0, FT_OPT_FLAG, &o.log_requests, 0, 0},
        {"wait", 0, FT_OPT_WHOLE, &o.wait_s, 1, 3600},
        {"foreground", 0, FT_OPT_FLAG, &o.foreground, 0, 0},
        {"daemon", 0, FT_OPT_FLAG, &o.daemon, 0, 0},
        {"home", 0, FT_OPT_TEXT, &o.home_given, 0, 0},
        {"config", 0, FT_OPT_TEXT, &o.config_given, 0, 0},
        {"json", 0, FT_OPT_FLAG, &o.json, 0, 0},
    };
    const size_t n = FT_COUNT(opts), n_config = n - 5;
    char **args;
    *ret = o;
    int rc = ft_opts_parse("up", opts, n, argc, argv, 0, 0, "", &args);
    if (rc != 0)
        return rc;
    const bool told = o.listen != NULL, tells_tls = o.tls_cert != NULL || o.tls_self_signed;
    rc = ft_home_find(o.home_given, &o.home, err);
    if (rc == 0)
        rc = read_config(&o, opts, n_config, err);
    if (rc == 0) /* once more, over what the file says */
        rc = ft_opts_parse("up", opts, n, argc, argv, 0, 0, "", &args);
    o.told = told;
    o.tells_tls = tells_tls;
    *ret = o;
    return rc;
}

int ft_up_options_parse(int argc, char **argv, struct ft_up_options *ret)
{
    struct ft_err err = {0};
    int status = take(argc, argv, ret, &err);
    if (status < 0)
        status = ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "up");
    else if (status == 0 && check(ret, &err) != 0)
        status = ft_cli_usage("up", "%s", err.msg);
    if (status != 0)
        ft_up_options_fini(ret);
    return status;
}

int ft_up_options_next(const char *home, struct ft_up_options *ret, struct ft_err *err)
{
    char *argv[] = {"up", "--home", (char *)home, NULL};
    int rc = take((int)FT_COUNT(argv) - 1, argv, ret, err);
    if (rc == 0)
        rc = check(ret, err);
    if (rc != 0)
        ft_up_options_fini(ret);
    return rc;
}

void ft_up_options_fini(struct ft_up_options *o)
{
    json_decref(o->config);
    free(o->last);
    o->config = NULL;
    o->last = NULL;
}

json_t *ft_up_options_given(const struct ft_up_options *o)
{
    const struct {
        const char *name, *text;
        int64_t number;
    } all[] = {{"--config", o->config_path[0] != '\0' ? o->config_path : NULL, 0},
               {"--listen", o->listens ? o->listen : NULL, 0},
               {"--tls-cert", o->tls_self_signed ? NULL : o->tls_cert, 0},
               {"--tls-key", o->tls_self_signed ? NULL : o->tls_key, 0},
               {"--tls-self-signed", o->tls_self_signed ? "yes" : NULL, 0},
               {"--memory", NULL, o->memory},
               {"--threads", NULL, o->threads},
               {"--http-threads", NULL, o->http_threads},
               {"--kv", o->kv, 0},
               {"--storage", o->storage, 0},
               {"--s3-domain", o->s3_domain, 0},
               {"--otlp", o->otlp, 0},
               {"--log-format", o->log_format, 0},
               {"--log-level", o->log_level, 0},
               {"--log-requests", o->log_requests ? "yes" : NULL, 0},
               {"--s3-day", NULL, o->s3_day}};
    json_t *given = json_object();
    for (size_t i = 0; i < FT_COUNT(all); i++)
        if (all[i].text != NULL)
            json_object_set_new(given, all[i].name, json_string(all[i].text));
        else if (all[i].number > 0)
            json_object_set_new(given, all[i].name, json_sprintf("%lld", (long long)all[i].number));
    return given;
}
