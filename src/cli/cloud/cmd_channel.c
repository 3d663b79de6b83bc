/* feitian channel: where alerts are told, and the relay that mails go through. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/cloud/show.h"

#define SECRET_MAX 4096

struct channel_options {
    struct ft_cloud_options cloud;
    const char *name, *url, *to, *secret_file;
    const char *host, *tls, *user, *password_file, *from, *relay_ca;
    int64_t heartbeat_s, port; /* -1: not given */
    char **args;
    int n_args;
};

#define NOT_GIVEN                                                                                  \
    {                                                                                              \
        .heartbeat_s = -1, .port = -1                                                              \
    }
#define CHANNEL_OPTIONS(o)                                                                         \
    {"url", 0, FT_OPT_TEXT, &(o).url, 0, 0}, {"to", 0, FT_OPT_TEXT, &(o).to, 0, 0},                \
        {"secret-file", 0, FT_OPT_TEXT, &(o).secret_file, 0, 0},                                   \
    {                                                                                              \
        "heartbeat", 0, FT_OPT_WHOLE, &(o).heartbeat_s, 0, 604800                                  \
    }

/* The file's first line, "-": of standard input. */
static int put_secret(json_t *body, const char *name, const char *path, struct ft_err *err)
{
    char *text;
    size_t n;
    if (path == NULL)
        return 0;
    int rc = ft_file_read(path, SECRET_MAX, &text, &n, err);
    if (rc != 0)
        return rc;
    text[strcspn(text, "\r\n")] = '\0';
    json_t *v = json_string(text);
    explicit_bzero(text, n);
    free(text);
    if (v == NULL)
        return ft_err_set(err, FT_EINVAL, "%s: is not UTF-8", path);
    json_object_set_new(body, name, v);
    return 0;
}

static void put_text(json_t *body, const char *name, const char *text)
{
    if (text != NULL)
        json_object_set_new(body, name,
                            strcmp(text, "none") == 0 ? json_null() : json_string(text));
}

static int send(struct ft_cloud *c, const struct channel_options *o, const char *method,
                const char *id, json_t *body, const char *done, struct ft_err *err)
{
    struct ft_buf path;
    json_t *answer;
    ft_buf_init(&path, 4096);
    ft_buf_add_str(&path, id != NULL ? "/api/v1/channels/" : "/api/v1/channels");
    if (id != NULL)
        ft_cloud_escape(&path, id);
    int rc = ft_cloud_call(c, method, path.data, body, &answer, err);
    ft_buf_fini(&path);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(answer);
        return 0;
    }
    const char *secret = json_string_value(json_object_get(answer, "secret"));
    printf("%s %s: %s\n", ft_cloud_text(answer, "id", "?"), done,
           ft_cloud_text(answer, "url", ft_cloud_text(answer, "to", "?")));
    if (secret != NULL)
        printf("its notices are signed with %s, which is not shown again\n", secret);
    json_decref(answer);
    return 0;
}

static int fill(const struct channel_options *o, json_t *body, struct ft_err *err)
{
    put_text(body, "name", o->name);
    put_text(body, "url", o->url);
    put_text(body, "to", o->to);
    if (o->heartbeat_s >= 0)
        json_object_set_new(body, "heartbeat_s", json_integer(o->heartbeat_s));
    return put_secret(body, "secret", o->secret_file, err);
}

static int create(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct channel_options *o = ctx;
    if ((o->url == NULL) == (o->to == NULL))
        return ft_err_set(err, FT_EINVAL, "give --url of a webhook, or --to of a mail");
    json_t *body = json_pack("{s:s}", "kind", o->url != NULL ? "webhook" : "email");
    int rc = fill(o, body, err);
    if (rc == 0)
        return send(c, o, "POST", NULL, body, "created", err);
    json_decref(body);
    return rc;
}

static int channel_create(int argc, char **argv)
{
    struct channel_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud), CHANNEL_OPTIONS(o)};
    int rc = ft_opts_parse("channel create", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a name: feitian channel create NAME --url URL", &o.args);
    if (rc != 0)
        return rc;
    o.name = o.args[0];
    return ft_cloud_command("channel create", &o.cloud, create, &o);
}

static int set(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct channel_options *o = ctx;
    json_t *body = json_object();
    int rc = fill(o, body, err);
    if (rc == 0 && json_object_size(body) == 0)
        rc = ft_err_set(err, FT_EINVAL, "nothing to change is given");
    if (rc == 0)
        return send(c, o, "PATCH", o->args[0], body, "changed", err);
    json_decref(body);
    return rc;
}

static int channel_set(int argc, char **argv)
{
    struct channel_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud), CHANNEL_OPTIONS(o), {"name", 0, FT_OPT_TEXT, &o.name, 0, 0}};
    int rc = ft_opts_parse("channel set", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the channel's id, which 'feitian channel list' says", &o.args);
    return rc != 0 ? rc : ft_cloud_command("channel set", &o.cloud, set, &o);
}

static void row(struct ft_table *t, const json_t *ch)
{
    char when[FT_SHOW_TIME_BYTES];
    int64_t beat = json_integer_value(json_object_get(ch, "heartbeat_s"));
    ft_table_add(t, ft_cloud_text(ch, "id", ""));
    ft_table_add(t, ft_cloud_text(ch, "name", ""));
    ft_table_add(t, ft_cloud_text(ch, "kind", ""));
    ft_table_add(t, ft_cloud_text(ch, "url", ft_cloud_text(ch, "to", "")));
    if (beat > 0)
        ft_table_addf(t, "%d s", (int)beat);
    else
        ft_table_add(t, "-");
    ft_table_addf(t, "%d", (int)json_integer_value(json_object_get(ch, "waiting")));
    ft_table_add(t, ft_show_time(json_object_get(ch, "last_ok"), when));
    ft_table_add(t, ft_cloud_text(ch, "last_error", "-"));
}

static int channel_list(int argc, char **argv)
{
    static const char *const heads[] = {"ID",         "NAME",     "KIND",    "WHERE",
                                        ">HEARTBEAT", ">WAITING", "LAST OK", "LAST ERROR"};
    static const struct ft_show_list l = {
        .path = "/api/v1/channels",
        .none = "nobody is told of alerts: 'feitian channel create' makes a "
                "channel",
        .heads = heads,
        .n_heads = FT_COUNT(heads),
        .row = row};
    return ft_show_list_plain("channel list", &l, argc, argv);
}

static int channel_rm(int argc, char **argv)
{
    static const struct ft_show_removal r = {"channel rm", "/api/v1/channels/", "the channel's id",
                                             "removed"};
    return ft_show_remove(&r, argc, argv);
}

static int test(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct channel_options *o = ctx;
    struct ft_buf path;
    json_t *answer;
    ft_buf_init(&path, 4096);
    ft_buf_add_str(&path, "/api/v1/channels/");
    ft_cloud_escape(&path, o->args[0]);
    ft_buf_add_str(&path, "/test");
    int rc = ft_cloud_call(c, "POST", path.data, NULL, &answer, err);
    ft_buf_fini(&path);
    if (rc != 0)
        return rc;
    bool ok = json_is_true(json_object_get(answer, "ok"));
    if (!ok)
        rc = ft_err_set(err, FT_EUNAVAIL, "it was not taken: %s",
                        ft_cloud_text(answer, "error", "?"));
    if (o->cloud.json)
        ft_show_json(json_incref(answer));
    else if (ok)
        printf("%s took the test notice\n", o->args[0]);
    json_decref(answer);
    return rc;
}

static int channel_test(int argc, char **argv)
{
    struct channel_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("channel test", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the channel's id", &o.args);
    return rc != 0 ? rc : ft_cloud_command("channel test", &o.cloud, test, &o);
}

static int relay(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct channel_options *o = ctx;
    json_t *answer, *smtp = json_object();
    const json_t *shown;
    put_text(smtp, "host", o->host);
    put_text(smtp, "tls", o->tls != NULL && strcmp(o->tls, "none") == 0 ? NULL : o->tls);
    if (o->tls != NULL && strcmp(o->tls, "none") == 0) /* which is a value here */
        json_object_set_new(smtp, "tls", json_string("none"));
    put_text(smtp, "user", o->user);
    put_text(smtp, "from", o->from);
    put_text(smtp, "ca", o->relay_ca);
    if (o->port > 0)
        json_object_set_new(smtp, "port", json_integer(o->port));
    int rc = put_secret(smtp, "password", o->password_file, err);
    if (rc != 0) {
        json_decref(smtp);
        return rc;
    }
    bool change = json_object_size(smtp) > 0;
    json_t *body = change ? json_pack("{s:o}", "smtp", smtp) : NULL;
    if (!change)
        json_decref(smtp);
    rc = ft_cloud_call(c, change ? "PATCH" : "GET", "/api/v1/settings", body, &answer, err);
    if (rc != 0)
        return rc;
    shown = json_object_get(answer, "smtp");
    if (o->cloud.json)
        ft_show_json(json_incref((json_t *)shown));
    else if (!json_is_object(shown))
        printf("no relay is set: 'feitian channel relay --host HOST --from ADDRESS' sets one\n");
    else
        printf("mails go through %s:%d (%s%s%s) from %s\n", ft_cloud_text(shown, "host", "?"),
               json_object_get(shown, "port") != NULL
                   ? (int)json_integer_value(json_object_get(shown, "port"))
                   : 587,
               ft_cloud_text(shown, "tls", "starttls"),
               json_object_get(shown, "user") != NULL ? ", as " : "",
               ft_cloud_text(shown, "user", ""), ft_cloud_text(shown, "from", "?"));
    json_decref(answer);
    return 0;
}

static int channel_relay(int argc, char **argv)
{
    struct channel_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"host", 0, FT_OPT_TEXT, &o.host, 0, 0},
                                  {"port", 0, FT_OPT_WHOLE, &o.port, 1, 65535},
                                  {"tls", 0, FT_OPT_TEXT, &o.tls, 0, 0},
                                  {"user", 0, FT_OPT_TEXT, &o.user, 0, 0},
                                  {"password-file", 0, FT_OPT_TEXT, &o.password_file, 0, 0},
                                  {"from", 0, FT_OPT_TEXT, &o.from, 0, 0},
                                  {"relay-ca", 0, FT_OPT_TEXT, &o.relay_ca, 0, 0}};
    int rc = ft_opts_parse("channel relay", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("channel relay", &o.cloud, relay, &o);
}

const struct ft_cmd ft_cmd_channel_subs[] = {
    {"create", "NAME --url URL|--to ADDRESS [--secret-file FILE] [--heartbeat S]",
     "tell a webhook or a mailbox of alerts", channel_create, 0, NULL},
    {"list", "[--json]", "the channels, and whether what is sent is taken", channel_list, 0, NULL},
    {"set", "ID [--url URL|--to ADDRESS] [--secret-file FILE] [--heartbeat S] [--name NAME]",
     "change one", channel_set, 0, NULL},
    {"test", "ID", "send a test notice now", channel_test, 0, NULL},
    {"relay",
     "[--host HOST] [--port N] [--tls starttls|tls|none] [--from ADDRESS]\n"
     "       [--user NAME] [--password-file FILE] [--relay-ca FILE]",
     "the relay that mails go through: set, or shown", channel_relay, 0, NULL},
    {"rm", "ID ...", "take channels away", channel_rm, 0, NULL},
    {0},
};
