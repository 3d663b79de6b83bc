/* feitian blob: what a cloud on this machine stores, against its checksums, and how much it is.
 *
 * Where the cloud runs its gateway has the store, and is asked through HOME/run/gateway.sock (ours
 * alone: no key is needed); where none runs the store is opened here. */
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/cloud/client.h"
#include "cli/cloud/show.h"
#include "cli/interrupt.h"
#include "cli/storage.h"

#define SCRUB_RATE ((int64_t)8 << 20)
#define LINE_BYTES ((size_t)64 << 10)
#define USAGE_MAX  ((size_t)64 << 20)
#define CONNECT_MS 5000

struct blob_options {
    const char *home_given, *storage;
    int64_t rate;
    bool json;
    struct ft_home home;
    char socket[FT_HOME_PATH], where[FT_HOME_PATH];
};

/* What a check came to, whoever made it. */
struct result {
    const struct blob_options *o;
    struct ft_buf line; /* of the gateway's answer, as far as it came */
    struct ft_blob_scrubbed done;
    bool whole; /* it came to its end */
    json_t *found;
    char trouble[FT_ERR_MSG_MAX];
    const atomic_int *stop;
};

static int find(struct blob_options *o, struct ft_err *err)
{
    int rc = ft_home_find(o->home_given, &o->home, err);
    if (rc != 0)
        return rc;
    json_t *given = ft_home_options(&o->home);
    const char *at = json_string_value(json_object_get(given, "--storage"));
    ft_home_at(&o->home, "run/gateway.sock", o->socket);
    ft_home_at(&o->home, "blob", o->where);
    if (o->storage != NULL || at != NULL)
        snprintf(o->where, sizeof o->where, "%s", o->storage != NULL ? o->storage : at);
    json_decref(given);
    return 0;
}

/* A gateway that has ended leaves no socket, one that was killed leaves one that nobody serves. */
static bool runs(const struct blob_options *o)
{
    struct ft_home_up up;
    struct ft_err err;
    return o->storage == NULL && access(o->socket, F_OK) == 0 &&
           ft_home_running(&o->home, &up, &err) == 1;
}

/* ---- check ---- */

static void say_fault(const struct result *r, const char *bucket, const char *key,
                      const char *version, const char *what)
{
    if (r->o->json) { /* a name that is no UTF-8 is left out */
        json_array_append_new(r->found, json_pack("{s:s*,s:s*,s:s*,s:s*}", "bucket", bucket, "key",
                                                  key, "version", version, "what", what));
        return;
    }
    char text[4096];
    snprintf(text, sizeof text, "%s%s%s%s%s: %s", bucket, bucket[0] != '\0' ? "/" : "", key,
             version[0] != '\0' ? " version " : "", version, what);
    ft_cli_put_plain(stdout, text);
    printf("\n");
}

static void on_fault(void *ctx, const struct ft_blob_fault *f)
{
    say_fault(ctx, f->bucket, f->key, f->version, f->what);
}

static bool is_stopped(void *ctx)
{
    return *((struct result *)ctx)->stop != 0;
}

static void take_line(struct result *r)
{
    json_t *j = json_loadb(r->line.data, r->line.len, 0, NULL);
    const char *what = json_string_value(json_object_get(j, "what"));
    const char *error = json_string_value(json_object_get(j, "error"));
    if (what != NULL) {
        say_fault(r, ft_cloud_text(j, "bucket", ""), ft_cloud_text(j, "key", ""),
                  ft_cloud_text(j, "version", ""), what);
    } else if (error != NULL) {
        snprintf(r->trouble, sizeof r->trouble, "%s", error);
    } else if (json_is_object(j)) {
        r->whole = true;
        r->done.objects = json_integer_value(json_object_get(j, "objects"));
        r->done.bytes = json_integer_value(json_object_get(j, "bytes"));
        r->done.faults = json_integer_value(json_object_get(j, "faults"));
    }
    json_decref(j);
    ft_buf_reset(&r->line);
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct result *r = ctx;
    for (const char *end = data + n; data < end;) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        if (ft_buf_add(&r->line, data, (size_t)((newline != NULL ? newline : end) - data)) != 0)
            return false;
        if (newline == NULL)
            break;
        take_line(r);
        data = newline + 1;
    }
    return true;
}

static int refused(const struct ft_http_answer *a, struct ft_err *err)
{
    json_t *j = json_loadb(a->body.data != NULL ? a->body.data : "", a->body.len, 0, NULL);
    const char *text = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
    int rc = ft_err_set(err, FT_EIO, "%s", text != NULL ? text : "the gateway refused it");
    json_decref(j);
    return rc;
}

static int ask_check(struct result *r, struct ft_err *err)
{
    const struct blob_options *o = r->o;
    struct ft_http_client *client = NULL;
    struct ft_http_answer a = {0};
    char url[128];
    snprintf(url, sizeof url, "http://gateway/internal/blob/check?rate=%lld", (long long)o->rate);
    const struct ft_http_call_config c = {
        .method = "POST", .url = url, .unix_socket = o->socket, .connect_timeout_ms = CONNECT_MS};
    int rc = ft_http_client_open(&client, err);
    if (rc == 0)
        rc = ft_http_fetch_stream(client, &c, on_data, is_stopped, r, &a, err);
    if (rc == 0 && a.status != 200)
        rc = refused(&a, err);
    else if (rc == 0 && r->trouble[0] != '\0')
        rc = ft_err_set(err, FT_EIO, "%s", r->trouble);
    else if (rc == 0 && !r->whole)
        rc = ft_err_set(err, FT_EIO, "the gateway ended before the check did");
    ft_http_answer_fini(&a);
    ft_http_client_close(client);
    return rc;
}

static int check_here(struct result *r, struct ft_err *err)
{
    struct ft_blob *b = NULL;
    const struct ft_blob_scrub how = {
        .bytes_per_s = r->o->rate, .stop = is_stopped, .fault = on_fault, .ctx = r};
    int rc = ft_storage_open(r->o->where, r->o->home.path, &b, err);
    if (rc != 0)
        return rc;
    rc = ft_blob_scrub(b, &how, &r->done, err);
    ft_blob_close(b);
    return rc;
}

static int check(struct blob_options *o, const char *cmd)
{
    struct ft_err err = {0};
    struct result r = {.o = o, .stop = ft_interrupt_catch(), .found = json_array()};
    int rc = find(o, &err);
    ft_buf_init(&r.line, LINE_BYTES);
    if (rc == 0)
        rc = runs(o) ? ask_check(&r, &err) : check_here(&r, &err);
    ft_buf_fini(&r.line);
    if (is_stopped(&r))
        rc = ft_err_set(&err, FT_ECANCELED, "stopped");
    if (rc != 0) {
        json_decref(r.found);
        return ft_cli_fail(1, &err, cmd);
    }
    char bytes[FT_FIGURE_BYTES];
    if (o->json)
        ft_show_json(json_pack("{s:I,s:I,s:I,s:o}", "objects", (json_int_t)r.done.objects, "bytes",
                               (json_int_t)r.done.bytes, "faults", (json_int_t)r.done.faults,
                               "found", r.found));
    else
        printf("%lld objects, %s: %s\n", (long long)r.done.objects,
               ft_figure_bytes(bytes, (uint64_t)r.done.bytes),
               r.done.faults == 0 ? "all is as it was written" : "what is listed above is wrong");
    if (!o->json)
        json_decref(r.found);
    return r.done.faults == 0 ? 0 : 1;
}

static int parse(const char *cmd, int argc, char **argv, struct blob_options *o)
{
    const struct ft_opt opts[] = {{"home", 0, FT_OPT_TEXT, &o->home_given, 0, 0},
                                  {"storage", 0, FT_OPT_TEXT, &o->storage, 0, 0},
                                  {"rate", 0, FT_OPT_BYTES, &o->rate, 1 << 20, 1e15},
                                  {"json", 0, FT_OPT_FLAG, &o->json, 0, 0}};
    char **args;
    return ft_opts_parse(cmd, opts, FT_COUNT(opts), argc, argv, 0, 0, "", &args);
}

static int blob_check(int argc, char **argv)
{
    struct blob_options o = {.rate = 0};
    int rc = parse("blob check", argc, argv, &o);
    return rc != 0 ? rc : check(&o, "blob check");
}

static int blob_scrub(int argc, char **argv)
{
    struct blob_options o = {.rate = SCRUB_RATE};
    int rc = parse("blob scrub", argc, argv, &o);
    return rc != 0 ? rc : check(&o, "blob scrub");
}

/* ---- usage ---- */

static int ask_usage(const struct blob_options *o, json_t **ret, struct ft_err *err)
{
    struct ft_http_client *client = NULL;
    struct ft_http_answer a = {0};
    const struct ft_http_call_config c = {.url = "http://gateway/internal/blob/usage",
                                          .unix_socket = o->socket,
                                          .connect_timeout_ms = CONNECT_MS};
    int rc = ft_http_client_open(&client, err);
    if (rc == 0)
        rc = ft_http_fetch(client, &c, USAGE_MAX, &a, err);
    if (rc == 0 && a.status != 200)
        rc = refused(&a, err);
    if (rc == 0 && (*ret = json_loadb(a.body.data, a.body.len, 0, NULL)) == NULL)
        rc = ft_err_set(err, FT_EIO, "the gateway's answer is no JSON");
    ft_http_answer_fini(&a);
    ft_http_client_close(client);
    return rc;
}

static void add_owner(void *ctx, const char *owner, const struct ft_blob_usage *u)
{
    json_object_set_new(
        ctx, owner,
        json_pack("{s:I,s:I}", "bytes", (json_int_t)u->bytes, "objects", (json_int_t)u->objects));
}

static int usage_here(const struct blob_options *o, json_t **ret, struct ft_err *err)
{
    struct ft_blob *b = NULL;
    int rc = ft_storage_open(o->where, o->home.path, &b, err);
    if (rc != 0)
        return rc;
    json_t *owners = json_object();
    rc = ft_blob_usage_each(b, add_owner, owners, err);
    ft_blob_close(b);
    if (rc == 0)
        *ret = owners;
    else
        json_decref(owners);
    return rc;
}

static void show_usage(json_t *owners)
{
    static const char *const heads[] = {"PROJECT", ">OBJECTS", ">BYTES"};
    struct ft_table *t = ft_table_open(FT_COUNT(heads), heads);
    const char *owner;
    json_t *u;
    json_object_foreach(owners, owner, u)
    {
        char bytes[FT_FIGURE_BYTES];
        ft_table_add(t, owner[0] != '\0' ? owner : "(the hub, of all projects)");
        ft_table_addf(t, "%lld", json_integer_value(json_object_get(u, "objects")));
        ft_table_add(
            t, ft_figure_bytes(bytes, (uint64_t)json_integer_value(json_object_get(u, "bytes"))));
    }
    ft_table_print_here(t);
    ft_table_close(t);
}

static int blob_usage(int argc, char **argv)
{
    struct blob_options o = {.rate = 0};
    struct ft_err err = {0};
    json_t *owners = NULL;
    int rc = parse("blob usage", argc, argv, &o);
    if (rc != 0)
        return rc;
    rc = find(&o, &err);
    if (rc == 0)
        rc = runs(&o) ? ask_usage(&o, &owners, &err) : usage_here(&o, &owners, &err);
    if (rc != 0)
        return ft_cli_fail(1, &err, "blob usage");
    if (o.json) {
        ft_show_json(owners);
        return 0;
    }
    show_usage(owners);
    json_decref(owners);
    return 0;
}

const struct ft_cmd ft_cmd_blob_subs[] = {
    {"check", "[--rate 50M] [--storage WHERE] [--home DIR] [--json]",
     "read all that is stored against its checksums, now", blob_check, 0, NULL},
    {"scrub", "[--rate 8M] [--storage WHERE] [--home DIR] [--json]",
     "the same, slowly, beside other work", blob_scrub, 0, NULL},
    {"usage", "[--storage WHERE] [--home DIR] [--json]", "what each project keeps", blob_usage, 0,
     NULL},
    {0},
};
