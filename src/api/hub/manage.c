/* Who one is, and repositories made, moved, set and deleted. */
#include <string.h>

#include "api/hub/impl.h"

int hub_whoami(struct hub_call *c)
{
    const struct ft_hub_who *w = c->who;
    return hub_json(
        c, 200,
        json_pack("{s:s,s:s,s:s,s:s,s:n,s:b,s:b,s:b,s:s,s:n,s:[{s:s,s:s,s:s,s:s,s:n,"
                  "s:b,s:b,s:s,s:n,s:s}],s:{s:s,s:{s:s,s:s}}}",
                  "type", "user", "id", w->key, "name", w->project, "fullname", w->name, "email",
                  "emailVerified", 0, "canPay", 0, "isPro", 0, "avatarUrl", "", "periodEnd", "orgs",
                  "type", "org", "id", w->project, "name", w->project, "fullname", w->project,
                  "email", "canPay", 0, "isEnterprise", 0, "avatarUrl", "", "periodEnd",
                  "roleInOrg", w->may_write ? "write" : "read", "auth", "type", "access_token",
                  "accessToken", "displayName", w->name, "role", w->may_write ? "write" : "read"));
}

/* 0, or a status that was sent. */
static int kind_of(struct hub_call *c, const json_t *body)
{
    const char *type = "model";
    int rc = hub_text(c, body, "type", &type);
    if (rc != 0)
        return rc;
    if (strcmp(type, "model") == 0)
        c->kind = FT_REPO_MODEL;
    else if (strcmp(type, "dataset") == 0)
        c->kind = FT_REPO_DATASET;
    else
        return hub_fail(c, 400, NULL, "type: this hub keeps models and datasets, no '%.50s'", type);
    return 0;
}

/* "private", or "visibility" as newer clients send it. 0, or a status that was sent. */
static int visibility(struct hub_call *c, const json_t *body, bool *ret)
{
    const char *v = NULL;
    int rc = hub_truth(c, body, "private", ret);
    if (rc == 0)
        rc = hub_text(c, body, "visibility", &v);
    if (rc != 0 || v == NULL)
        return rc;
    if (strcmp(v, "public") != 0 && strcmp(v, "private") != 0)
        return hub_fail(c, 400, NULL, "visibility: must be 'public' or 'private'");
    *ret = strcmp(v, "private") == 0;
    return 0;
}

/* "name" with "organization", or "ORG/NAME" as curl's users write it. 0, or a status that was
 * sent. */
static int name_of(struct hub_call *c, const json_t *body, char copy[256], const char **ret_org,
                   const char **ret_name)
{
    const char *name = NULL, *org = NULL;
    int rc = hub_text(c, body, "name", &name);
    if (rc == 0)
        rc = hub_text(c, body, "organization", &org);
    if (rc == 0 && name == NULL)
        rc = hub_fail(c, 400, NULL, "name: is missing");
    if (rc != 0)
        return rc;
    snprintf(copy, 256, "%s", name);
    char *slash = strchr(copy, '/');
    if (slash != NULL && org == NULL) {
        *slash = '\0';
        org = copy;
        name = slash + 1;
    }
    *ret_org = org != NULL ? org : c->who->project;
    *ret_name = name;
    return 0;
}

static json_t *made(struct hub_call *c, const char *error)
{
    char id[FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2];
    snprintf(id, sizeof id, "%s/%s", c->repo.org, c->repo.name);
    json_t *o =
        json_pack("{s:s,s:s,s:s}", "url", hub_url_of(c, &c->repo), "name", id, "id", c->repo.uid);
    if (error != NULL)
        json_object_set_new(o, "error", json_string(error));
    return o;
}

/* Operators may put a repository anywhere, but into a project. */
static bool no_project(struct hub_call *c, const char *org)
{
    const struct ft_hub_config *k = &c->hub->c;
    return k->has_project != NULL && !k->has_project(k->ctx, org);
}

/* What a repository of the Hub may have and one of here has not. */
static int unsupported(struct hub_call *c, const json_t *body)
{
    static const char *const none[] = {"resourceGroupId", "region"};
    for (size_t i = 0; i < FT_COUNT(none); i++) {
        const json_t *v = json_object_get(body, none[i]);
        if (v != NULL && !json_is_null(v))
            return hub_fail(c, 400, NULL, "%s: a repository belongs to its project alone here",
                            none[i]);
    }
    return 0;
}

/* With its first files as c->repo. */
static int make(struct hub_call *c, const char *org, const char *name, bool is_private,
                struct ft_hub_lines *files)
{
    struct ft_err err = {0};
    int rc =
        ft_repo_create(c->hub->repos, c->kind, org, name, is_private, c->author, &c->repo, &err);
    if (rc == FT_EEXIST) { /* clients read the URL out of the refusal */
        snprintf(c->repo.org, sizeof c->repo.org, "%.64s", org);
        snprintf(c->repo.name, sizeof c->repo.name, "%.96s", name);
        return hub_json(c, 409, made(c, err.msg));
    }
    if (rc == 0 && files->n_ops > 0 && hub_first_commit(c, files, &err) != 0) {
        struct ft_err later;
        ft_repo_delete(c->hub->repos, &c->repo, NULL, &later);
        rc = err.code;
    }
    return rc != 0 ? hub_fail_err(c, &err) : hub_json(c, 200, made(c, NULL));
}

static int create(struct hub_call *c, const json_t *body, struct ft_hub_lines *files)
{
    struct ft_err err = {0};
    const char *name, *org;
    bool is_private = false;
    char copy[256];
    int rc = name_of(c, body, copy, &org, &name);
    if (rc == 0)
        rc = kind_of(c, body);
    if (rc == 0)
        rc = visibility(c, body, &is_private);
    if (rc == 0)
        rc = unsupported(c, body);
    if (rc == 0 && ft_repo_name_check(org, name, &err) != 0)
        rc = hub_fail_err(c, &err);
    if (rc != 0)
        return rc;
    if (!hub_changes(c->who, org))
        return hub_may_not(c, org);
    if (no_project(c, org))
        return hub_fail(c, 404, NULL, "organization: there is no project '%.64s'", org);
    snprintf(c->repo.org, sizeof c->repo.org, "%s", org); /* whose content the files are */
    rc = hub_first_files(c, body, files);
    return rc != 0 ? rc : make(c, org, name, is_private, files);
}

int hub_create(struct hub_call *c)
{
    struct ft_hub_lines files = {.ctx = c};
    json_t *body = NULL;
    int rc = hub_body(c, &body);
    ft_hub_lines_init(&files);
    if (rc == 0)
        rc = create(c, body, &files);
    ft_hub_lines_fini(&files);
    json_decref(body);
    return rc;
}

/* The repository that "ORG/NAME" of the body means, to be changed. */
static int repo_of(struct hub_call *c, const char *org, const char *name)
{
    c->part[0] = org;
    c->part[1] = name;
    c->n_parts = 2;
    return hub_repo(c, c->kind, 0, true);
}

static int delete (struct hub_call *c, const json_t *body)
{
    struct ft_err err = {0};
    const char *name, *org;
    char copy[256];
    int rc = name_of(c, body, copy, &org, &name);
    if (rc == 0)
        rc = kind_of(c, body);
    if (rc == 0)
        rc = repo_of(c, org, name);
    if (rc != 0)
        return rc;
    hub_forget(c->hub, c->repo.uid);
    if (ft_repo_delete(c->hub->repos, &c->repo, NULL, &err) != 0)
        return hub_fail_err(c, &err);
    return hub_json(c, 200, json_object());
}

int hub_delete(struct hub_call *c)
{
    json_t *body = NULL;
    int rc = hub_body(c, &body);
    if (rc == 0)
        rc = delete (c, body);
    json_decref(body);
    return rc;
}

static int move(struct hub_call *c, const json_t *body)
{
    struct ft_err err = {0};
    const char *from = "", *to = "";
    char a[256], b[256];
    int rc = hub_text(c, body, "fromRepo", &from);
    if (rc == 0)
        rc = hub_text(c, body, "toRepo", &to);
    if (rc != 0)
        return rc;
    snprintf(a, sizeof a, "%s", from);
    snprintf(b, sizeof b, "%s", to);
    char *from_name = strchr(a, '/'), *to_name = strchr(b, '/');
    if (from_name == NULL || to_name == NULL)
        return hub_fail(c, 400, NULL, "%s: must be 'ORG/NAME'",
                        from_name == NULL ? "fromRepo" : "toRepo");
    *from_name++ = '\0';
    *to_name++ = '\0';
    rc = kind_of(c, body);
    if (rc == 0)
        rc = repo_of(c, a, from_name);
    if (rc == 0 && no_project(c, b))
        rc = hub_fail(c, 404, NULL, "toRepo: there is no project '%.64s'", b);
    if (rc == 0 && !hub_changes(c->who, b))
        rc = hub_may_not(c, b);
    if (rc != 0)
        return rc;
    hub_forget(c->hub, c->repo.uid);
    if (ft_repo_move(c->hub->repos, &c->repo, b, to_name, &err) != 0)
        return hub_fail_err(c, &err);
    return hub_json(c, 200, made(c, NULL));
}

int hub_move(struct hub_call *c)
{
    json_t *body = NULL;
    int rc = hub_body(c, &body);
    if (rc == 0)
        rc = move(c, body);
    json_decref(body);
    return rc;
}

static int settings(struct hub_call *c, const json_t *body, bool *is_private)
{
    const json_t *gated = json_object_get(body, "gated");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)body, name, value)
    {
        if (strcmp(name, "private") != 0 && strcmp(name, "visibility") != 0 &&
            strcmp(name, "gated") != 0)
            return hub_fail(c, 400, NULL, "%.60s: there is no such setting here", name);
    }
    if (gated != NULL && !json_is_false(gated) && !json_is_null(gated))
        return hub_fail(c, 501, NULL, "gated: a repository is public or private here");
    return visibility(c, body, is_private);
}

int hub_settings(struct hub_call *c)
{
    struct ft_err err = {0};
    json_t *body = NULL;
    bool is_private = c->repo.is_private;
    int rc = hub_body(c, &body);
    if (rc == 0)
        rc = settings(c, body, &is_private);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (is_private != c->repo.is_private &&
        ft_repo_set_private(c->hub->repos, &c->repo, is_private, &err) != 0)
        return hub_fail_err(c, &err);
    return hub_json(c, 200,
                    json_pack("{s:b,s:s,s:b}", "private", is_private, "visibility",
                              is_private ? "private" : "public", "gated", 0));
}

int hub_validate_yaml(struct hub_call *c)
{
    json_t *body = NULL;
    int rc = hub_body(c, &body);
    const char *content = "";
    if (rc == 0)
        rc = hub_text(c, body, "content", &content);
    if (rc != 0) {
        json_decref(body);
        return rc;
    }
    json_t *card = ft_repo_card_parse(content, strlen(content));
    json_t *warnings = json_array();
    if (json_object_size(card) == 0)
        json_array_append_new(warnings, json_pack("{s:s}", "message",
                                                  "empty or missing yaml metadata in "
                                                  "repo card"));
    json_decref(card);
    json_decref(body);
    return hub_json(c, 200, json_pack("{s:[],s:o}", "errors", "warnings", warnings));
}
