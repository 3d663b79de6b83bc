/* feitian project, feitian member: who may use a cloud, and how much. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/cloud/password.h"
#include "cli/cloud/show.h"
#include "cli/cloud/terms.h"

#define IDS_MAX 64
#define DAY_S   86400
#define DAYS    31 /* of a month */

struct project_options {
    struct ft_cloud_options cloud;
    struct ft_terms terms;
    const char *id, *name, *project, *role, *login, *log_prompts;
    double weight;
    bool cascade;
    char **args;
    int n_args;
};

/* What is given, as the body of a request. */
static int terms_of(const struct project_options *o, json_t *body, struct ft_err *err)
{
    if (o->name != NULL)
        json_object_set_new(body, "name", json_string(o->name));
    bool on = o->log_prompts != NULL && strcmp(o->log_prompts, "on") == 0;
    if (o->log_prompts != NULL && !on && strcmp(o->log_prompts, "off") != 0)
        return ft_err_set(err, FT_EINVAL, "--log-prompts: must be on or off");
    if (o->log_prompts != NULL)
        json_object_set_new(body, "log_prompts", json_boolean(on));
    if (o->role != NULL)
        json_object_set_new(body, "role", json_string(o->role));
    if (o->login != NULL)
        json_object_set_new(body, "login", json_string(o->login));
    if (o->weight > 0)
        json_object_set_new(body, "weight", json_real(o->weight));
    return ft_terms_put(&o->terms, body, err);
}

/* Sends it and shows what came of it: as JSON, or "ID: NAME, ..." */
static int send(struct ft_cloud *c, const char *method, const char *path, const char *id,
                json_t *body, const struct project_options *o, const char *done, struct ft_err *err)
{
    struct ft_buf b;
    json_t *answer;
    char terms[256];
    ft_buf_init(&b, 4096);
    ft_buf_add_str(&b, path);
    ft_cloud_escape(&b, id);
    int rc = ft_cloud_call(c, method, b.data, body, &answer, err);
    ft_buf_fini(&b);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(answer);
        return 0;
    }
    ft_terms_currency(c, answer);
    ft_terms_text(answer, terms, sizeof terms);
    printf("%s %s (%s%s%s)\n", ft_cloud_text(answer, "id", "?"), done,
           ft_cloud_text(answer, "name", ""), terms[0] != '\0' ? ": " : "", terms);
    json_decref(answer);
    return 0;
}

/* ---- projects ---- */

static int create(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    struct project_options *o = ctx;
    json_t *body = json_object();
    o->name = o->args[0];
    if (o->id != NULL)
        json_object_set_new(body, "id", json_string(o->id));
    int rc = terms_of(o, body, err);
    if (rc == 0)
        return send(c, "POST", "/api/v1/projects", "", body, o, "created", err);
    json_decref(body);
    return rc;
}

static int project_create(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud),
        FT_TERMS_OPTIONS(o.terms),
        {"queue", 0, FT_OPT_TEXT, &o.terms.queue, 0, 0},
        {"storage", 0, FT_OPT_TEXT, &o.terms.storage, 0, 0},
        {"weight", 0, FT_OPT_REAL, &o.weight, 0.001, 1000},
        {"id", 0, FT_OPT_TEXT, &o.id, 0, 0},
    };
    int rc = ft_opts_parse("project create", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a name: feitian project create NAME", &o.args);
    return rc != 0 ? rc : ft_cloud_command("project create", &o.cloud, create, &o);
}

static void project_row(struct ft_table *t, const json_t *p)
{
    char terms[256], when[FT_SHOW_TIME_BYTES];
    ft_table_add(t, ft_cloud_text(p, "id", ""));
    ft_table_add(t, ft_cloud_text(p, "name", ""));
    ft_table_add(t, ft_terms_text(p, terms, sizeof terms));
    ft_table_addf(t, "%g", json_number_value(json_object_get(p, "weight")));
    ft_table_add(t, ft_show_time(json_object_get(p, "created"), when));
}

static int list(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"ID", "NAME", "LIMITS AND BUDGETS", ">WEIGHT", "CREATED"};
    const struct project_options *o = ctx;
    struct ft_show_list l = {.path = "/api/v1/projects",
                             .heads = heads,
                             .n_heads = FT_COUNT(heads),
                             .row = project_row,
                             .prepare = ft_terms_currency};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int project_list(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("project list", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("project list", &o.cloud, list, &o);
}

/* What the project used this month, day by day (UTC, as budgets count); NULL: it is not known. */
static json_t *spent(struct ft_cloud *c, const char *id)
{
    struct ft_err ignored = {0};
    struct ft_buf b;
    struct tm tm;
    json_t *usage = NULL;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    ft_buf_init(&b, 4096);
    ft_buf_addf(&b, "/api/v1/usage?group_by=day&limit=%d&start_time=%lld&project=", DAYS,
                (long long)(now / DAY_S - (tm.tm_mday - 1)) * DAY_S);
    ft_cloud_escape(&b, id);
    if (b.failed == 0 && ft_cloud_call(c, "GET", b.data, NULL, &usage, &ignored) != 0)
        usage = NULL;
    ft_buf_fini(&b);
    return usage;
}

static void print_spent(const json_t *usage)
{
    const json_t *data = json_object_get(usage, "data");
    const json_t *last = json_array_get(data, json_array_size(data) - 1);
    json_int_t today = (json_int_t)(time(NULL) / DAY_S * DAY_S);
    bool some = last != NULL && json_integer_value(json_object_get(last, "start")) == today;
    const char *currency = ft_cloud_text(usage, "currency", "");
    printf("  spent      %s %s today, %s %s this month\n",
           some ? ft_cloud_text(last, "cost", "0") : "0", currency,
           ft_cloud_text(json_object_get(usage, "total"), "cost", "0"), currency);
}

static int show(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct project_options *o = ctx;
    json_t *p;
    char terms[256], when[FT_SHOW_TIME_BYTES];
    int rc = ft_show_get(c, "/api/v1/projects/", o->args[0], &p, err);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(p);
        return 0;
    }
    json_t *usage = spent(c, ft_cloud_text(p, "id", ""));
    ft_terms_currency(c, p);
    ft_terms_text(p, terms, sizeof terms);
    printf("%s  ", ft_cloud_text(p, "id", "?"));
    ft_cli_put_plain(stdout, ft_cloud_text(p, "name", ""));
    printf("\n  limits     %s\n", terms[0] != '\0' ? terms : "none");
    if (usage != NULL)
        print_spent(usage);
    printf("  weight     %g\n", json_number_value(json_object_get(p, "weight")));
    printf("  prompts    %s\n",
           json_is_true(json_object_get(p, "log_prompts")) ? "kept, for its admins" : "not kept");
    printf("  created    %s\n", ft_show_time(json_object_get(p, "created"), when));
    json_decref(usage);
    json_decref(p);
    return 0;
}

static int project_show(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("project show", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the project's id, which 'feitian project list' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("project show", &o.cloud, show, &o);
}

static int change(struct ft_cloud *c, struct project_options *o, const char *path,
                  struct ft_err *err)
{
    json_t *body = json_object();
    int rc = terms_of(o, body, err);
    if (rc == 0 && json_object_size(body) == 0)
        rc = ft_err_set(err, FT_EINVAL, "nothing to change is given");
    if (rc == 0)
        return send(c, "PATCH", path, o->args[0], body, o, "changed", err);
    json_decref(body);
    return rc;
}

static int set(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    return change(c, ctx, "/api/v1/projects/", err);
}

static int project_set(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud),
        FT_TERMS_OPTIONS(o.terms),
        {"queue", 0, FT_OPT_TEXT, &o.terms.queue, 0, 0},
        {"storage", 0, FT_OPT_TEXT, &o.terms.storage, 0, 0},
        {"weight", 0, FT_OPT_REAL, &o.weight, 0.001, 1000},
        {"name", 0, FT_OPT_TEXT, &o.name, 0, 0},
        {"log-prompts", 0, FT_OPT_TEXT, &o.log_prompts, 0, 0},
    };
    int rc = ft_opts_parse("project set", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the project's id, which 'feitian project list' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("project set", &o.cloud, set, &o);
}

static int rm(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct project_options *o = ctx;
    return ft_show_delete(c, "/api/v1/projects/", o->args, o->n_args,
                          o->cascade ? "?cascade=true" : "", "removed", o->cloud.json, err);
}

static int project_rm(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"cascade", 0, FT_OPT_FLAG, &o.cascade, 0, 0}};
    int rc = ft_opts_parse("project rm", opts, FT_COUNT(opts), argc, argv, 1, IDS_MAX,
                           "the project's id, which 'feitian project list' shows", &o.args);
    o.n_args = rc == 0 ? (int)(argv + argc - o.args) : 0;
    return rc != 0 ? rc : ft_cloud_command("project rm", &o.cloud, rm, &o);
}

const struct ft_cmd ft_cmd_project_subs[] = {
    {"create", "NAME [--id ID] [--rpm N] [--budget-month AMOUNT] [OPTION ...]", "make a project",
     project_create, 0, NULL},
    {"list", "[--json]", "the projects there are", project_list, 0, NULL},
    {"show", "ID [--json]", "what one may use, and has used", project_show, 0, NULL},
    {"set", "ID [--name NAME] [--rpm N|none] [--budget-month AMOUNT|none] [OPTION ...]",
     "change a project's name, limits and budgets", project_set, 0, NULL},
    {"rm", "ID ... [--cascade]",
     "remove projects, with all that they keep; --cascade: also with keys, endpoints and jobs",
     project_rm, 0, NULL},
    {0},
};

/* ---- members ---- */

static int add(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    struct project_options *o = ctx;
    json_t *body = json_object();
    o->name = o->args[0];
    if (o->role == NULL)
        o->role = "developer";
    if (o->project != NULL)
        json_object_set_new(body, "project", json_string(o->project));
    int rc = terms_of(o, body, err);
    if (rc == 0)
        return send(c, "POST", "/api/v1/members", "", body, o, "added", err);
    json_decref(body);
    return rc;
}

static int member_add(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"project", 0, FT_OPT_TEXT, &o.project, 0, 0},
                                  {"role", 0, FT_OPT_TEXT, &o.role, 0, 0},
                                  {"login", 0, FT_OPT_TEXT, &o.login, 0, 0}};
    int rc = ft_opts_parse("member add", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a name: feitian member add NAME", &o.args);
    return rc != 0 ? rc : ft_cloud_command("member add", &o.cloud, add, &o);
}

static void member_row(struct ft_table *t, const json_t *m)
{
    char when[FT_SHOW_TIME_BYTES];
    ft_table_add(t, ft_cloud_text(m, "id", ""));
    ft_table_add(t, ft_cloud_text(m, "name", ""));
    ft_table_add(t, ft_cloud_text(m, "project", ""));
    ft_table_add(t, ft_cloud_text(m, "role", ""));
    ft_table_add(t, ft_cloud_text(m, "login", ""));
    ft_table_add(t, ft_show_time(json_object_get(m, "created"), when));
}

static int members(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"ID", "NAME", "PROJECT", "ROLE", "LOGIN", "ADDED"};
    const struct project_options *o = ctx;
    struct ft_show_list l = {.path = "/api/v1/members",
                             .filter = "project",
                             .value = o->project,
                             .none = "there are no members: keys need none",
                             .heads = heads,
                             .n_heads = FT_COUNT(heads),
                             .row = member_row};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int member_list(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"project", 0, FT_OPT_TEXT, &o.project, 0, 0}};
    int rc = ft_opts_parse("member list", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("member list", &o.cloud, members, &o);
}

static int member_change(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    return change(c, ctx, "/api/v1/members/", err);
}

static int member_set(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"name", 0, FT_OPT_TEXT, &o.name, 0, 0},
                                  {"role", 0, FT_OPT_TEXT, &o.role, 0, 0},
                                  {"login", 0, FT_OPT_TEXT, &o.login, 0, 0}};
    int rc = ft_opts_parse("member set", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the member's id, which 'feitian member list' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("member set", &o.cloud, member_change, &o);
}

static int set_password(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    struct project_options *o = ctx;
    char password[FT_PASSWORD_BYTES];
    json_t *answer = NULL;
    struct ft_buf b;
    int rc = ft_password_read("new password", password, err);
    if (rc != 0)
        return rc;
    ft_buf_init(&b, 4096);
    ft_buf_add_str(&b, "/api/v1/members/");
    ft_cloud_escape(&b, o->args[0]);
    ft_buf_add_str(&b, "/password");
    json_t *body = json_pack("{s:s}", "password", password);
    explicit_bzero(password, sizeof password);
    if (body == NULL)
        rc = ft_err_set(err, FT_EINVAL, "the password is no UTF-8");
    else
        rc = ft_cloud_call(c, "PUT", b.data, body, &answer, err);
    ft_buf_fini(&b);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(answer);
        return 0;
    }
    printf("%s signs in as %s with it; other sessions have ended\n",
           ft_cloud_text(answer, "id", "?"), ft_cloud_text(answer, "login", "?"));
    json_decref(answer);
    return 0;
}

static int member_password(int argc, char **argv)
{
    struct project_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("member password", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the member's id, which 'feitian member list' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("member password", &o.cloud, set_password, &o);
}

static int member_rm(int argc, char **argv)
{
    static const struct ft_show_removal r = {"member rm", "/api/v1/members/",
                                             "the member's id, which 'feitian member list' shows",
                                             "removed"};
    return ft_show_remove(&r, argc, argv);
}

const struct ft_cmd ft_cmd_member_subs[] = {
    {"add", "NAME [--project ID] [--role admin|developer|viewer] [--login NAME]",
     "add a member to a project", member_add, 0, NULL},
    {"list", "[--project ID] [--json]", "the members there are", member_list, 0, NULL},
    {"set", "ID [--name NAME] [--role ROLE] [--login NAME]", "change a member", member_set, 0,
     NULL},
    {"password", "ID", "set what a member signs in with; typed, or a line of standard input",
     member_password, 0, NULL},
    {"rm", "ID ...", "remove members", member_rm, 0, NULL},
    {0},
};
