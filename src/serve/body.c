/* A client's request as a replica gets it: the members that serving decides, in a shallow copy. */
#include "base/map.h"
#include "serve/core.h"

/* A seed within what every JSON reader keeps exactly. The same for every try of a call. */
#define SEED_MASK ((UINT64_C(1) << 53) - 1)

static json_t *resume_of(const struct ft_serve_call *c)
{
    json_t *all = json_array();
    for (int i = 0; i < c->n_choice; i++) {
        json_t *ids = json_array();
        for (int t = 0; t < c->choice[i].n; t++)
            json_array_append_new(ids, json_integer(c->choice[i].token[t]));
        json_array_append_new(all, ids);
    }
    return all;
}

static json_t *feitian_of(const struct ft_serve_call *c)
{
    json_t *f =
        json_pack("{s:s,s:s,s:s,s:f,s:i}", "id", c->id, "salt", c->project->name, "caller",
                  c->project->name, "weight", c->project->weight, "priority", c->item.priority);
    if (f != NULL && c->n_choice > 0)
        json_object_set_new(f, "resume", resume_of(c));
    return f;
}

json_t *ft_body_for(const struct ft_serve_call *c, bool ours, bool resumes)
{
    const struct ft_target *t = c->target;
    json_t *body = json_copy(c->body);
    if (body == NULL)
        return NULL;
    const char *model = t->adapter != NULL ? t->adapter : t->model;
    if (model != NULL)
        json_object_set_new(body, "model", json_string(model));
    bool generates = c->kind == FT_TASK_CHAT || c->kind == FT_TASK_TEXT;
    if (generates) {
        json_object_set_new(body, "stream", json_true());
        json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    } else {
        json_object_del(body, "stream");
        json_object_del(body, "stream_options");
    }
    const json_t *seed = json_object_get(body, "seed");
    if (generates && resumes && (seed == NULL || json_is_null(seed)))
        json_object_set_new(body, "seed", json_integer((json_int_t)(c->key & SEED_MASK)));
    if (ours)
        json_object_set_new(body, "feitian", feitian_of(c));
    return body;
}
