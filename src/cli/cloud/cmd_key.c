/* feitian key: create, list and revoke the keys that calls are made with. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"
#include "cli/cloud/terms.h"

struct key_options {
    struct ft_cloud_options cloud;
    struct ft_terms terms;
    struct ft_opt_many models, actions;
    const char *project, *member, *role, *expires;
    char **args;
    int n_args;
};

static json_t *strings(const struct ft_opt_many *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->n; i++)
        json_array_append_new(list, json_string(m->value[i]));
    return list;
}

/* ---- S3 ---- */

/* What a key is for clients of S3; NULL: it cannot be told now. The key that c calls with is put
 * back. */
static json_t *s3_of(struct ft_cloud *c, const char *secret)
{
    char own[sizeof c->key];
    json_t *s3 = NULL;
    struct ft_err err = {0};
    memcpy(own, c->key, sizeof own);
    snprintf(c->key, sizeof c->key, "%s", secret);
    if (ft_cloud_call(c, "GET", "/api/v1/s3/credentials", NULL, &s3, &err) != 0)
        s3 = NULL;
    memcpy(c->key, own, sizeof own);
    return s3;
}

static int s3(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct key_options *o = ctx;
    json_t *j = NULL;
    int rc = ft_cloud_call(c, "GET", "/api/v1/s3/credentials", NULL, &j, err);
    if (rc != 0)
        return rc;
    json_object_set_new(j, "endpoint", json_string(c->url));
    if (o->cloud.json) {
        ft_show_json(j);
        return 0;
    }
    printf("export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n"
           "export AWS_ENDPOINT_URL=%s\nexport AWS_DEFAULT_REGION=%s\n",
           ft_cloud_text(j, "access_key_id", ""), ft_cloud_text(j, "secret_access_key", ""), c->url,
           ft_cloud_text(j, "region", ""));
    if (c->ca_file[0] != '\0')
        printf("export AWS_CA_BUNDLE=%s\n", c->ca_file);
    json_decref(j);
    return 0;
}

static int key_s3(int argc, char **argv)
{
    struct key_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("key s3", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("key s3", &o.cloud, s3, &o);
}

/* ---- create ---- */

static int create(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct key_options *o = ctx;
    json_t *body = json_pack("{s:s}", "name", o->args[0] != NULL ? o->args[0] : "key"), *key = NULL;
    int64_t expires;
    int rc = ft_terms_put(&o->terms, body, err);
    if (o->project != NULL)
        json_object_set_new(body, "project", json_string(o->project));
    if (o->member != NULL)
        json_object_set_new(body, "member", json_string(o->member));
    if (o->role != NULL)
        json_object_set_new(body, "role", json_string(o->role));
    if (o->models.n > 0)
        json_object_set_new(body, "models", strings(&o->models));
    if (o->actions.n > 0)
        json_object_set_new(body, "actions", strings(&o->actions));
    if (rc == 0 && o->expires != NULL) {
        rc = ft_terms_when("expires", o->expires, false, &expires, err);
        json_object_set_new(body, "expires", json_integer(expires));
    }
    if (rc != 0) {
        json_decref(body);
        return rc;
    }
    rc = ft_cloud_call(c, "POST", "/api/v1/keys", body, &key, err);
    if (rc != 0)
        return rc;
    json_t *for_s3 = s3_of(c, ft_cloud_text(key, "secret", ""));
    if (o->cloud.json) {
        if (for_s3 != NULL)
            json_object_set_new(key, "s3", for_s3);
        ft_show_json(key);
        return 0;
    }
    printf("%s\n", ft_cloud_text(key, "secret", ""));
    fflush(stdout);
    fprintf(stderr,
            "This is the key, shown only now. It is %s, of project %s, for the role %s; 'feitian "
            "key revoke %s' ends it.\n",
            ft_cloud_text(key, "id", "?"), ft_cloud_text(key, "project", "?"),
            ft_cloud_text(key, "role", "?"), ft_cloud_text(key, "id", "?"));
    if (for_s3 != NULL)
        fprintf(stderr, "For S3's clients: access key id %s, secret access key %s.\n",
                ft_cloud_text(for_s3, "access_key_id", "?"),
                ft_cloud_text(for_s3, "secret_access_key", "?"));
    json_decref(for_s3);
    json_decref(key);
    return 0;
}

static int key_create(int argc, char **argv)
{
    struct key_options o = {0};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud),
        FT_TERMS_OPTIONS(o.terms),
        {"project", 0, FT_OPT_TEXT, &o.project, 0, 0},
        {"member", 0, FT_OPT_TEXT, &o.member, 0, 0},
        {"role", 0, FT_OPT_TEXT, &o.role, 0, 0},
        {"model", 0, FT_OPT_MANY, &o.models, 0, 0},
        {"action", 0, FT_OPT_MANY, &o.actions, 0, 0},
        {"expires", 0, FT_OPT_TEXT, &o.expires, 0, 0},
    };
    int rc = ft_opts_parse("key create", opts, FT_COUNT(opts), argc, argv, 0, 1,
                           "at most a name: feitian key create NAME", &o.args);
    return rc != 0 ? rc : ft_cloud_command("key create", &o.cloud, create, &o);
}

static void row(struct ft_table *t, const json_t *k)
{
    char words[256], when[FT_SHOW_TIME_BYTES], limits[256];
    const json_t *expires = json_object_get(k, "expires");
    bool over = json_is_integer(expires) && json_integer_value(expires) <= (json_int_t)time(NULL);
    ft_table_add(t, ft_cloud_text(k, "id", ""));
    ft_table_add(t, ft_cloud_text(k, "name", ""));
    ft_table_add(t, ft_cloud_text(k, "project", ""));
    ft_table_add(t, ft_cloud_text(k, "role", ""));
    ft_table_addf(t, "%s...", ft_cloud_text(k, "prefix", ""));
    ft_table_add(t, ft_show_words(json_object_get(k, "models"), words, sizeof words));
    ft_table_add(t, ft_show_words(json_object_get(k, "actions"), words, sizeof words));
    ft_table_add(t, over ? "expired" : ft_show_time(expires, when));
    ft_table_add(t, ft_terms_text(k, limits, sizeof limits));
    ft_table_add(t, ft_show_time(json_object_get(k, "created"), when));
}

static int list(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"ID",     "NAME",    "PROJECT", "ROLE",   "KEY",
                                        "MODELS", "ACTIONS", "EXPIRES", "LIMITS", "CREATED"};
    const struct key_options *o = ctx;
    struct ft_show_list l = {.path = "/api/v1/keys",
                             .filter = "project",
                             .value = o->project,
                             .heads = heads,
                             .n_heads = FT_COUNT(heads),
                             .row = row,
                             .prepare = ft_terms_currency};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int key_list(int argc, char **argv)
{
    struct key_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"project", 0, FT_OPT_TEXT, &o.project, 0, 0}};
    int rc = ft_opts_parse("key list", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("key list", &o.cloud, list, &o);
}

static int key_revoke(int argc, char **argv)
{
    static const struct ft_show_removal r = {
        "key revoke", "/api/v1/keys/", "the key's id, which 'feitian key list' shows", "revoked"};
    return ft_show_remove(&r, argc, argv);
}

const struct ft_cmd ft_cmd_key_subs[] = {
    {"create", "[NAME] [--project ID] [--role R] [--model GLOB] [--expires 30d] [OPTION ...]",
     "make a key and show it, once", key_create, 0, NULL},
    {"list", "[--project ID] [--json]", "the keys there are", key_list, 0, NULL},
    {"revoke", "ID ...", "end keys; calls with them are refused at once", key_revoke, 0, NULL},
    {"s3", "[--json]", "this key for clients of S3: eval \"$(feitian key s3)\"", key_s3, 0, NULL},
    {0},
};
