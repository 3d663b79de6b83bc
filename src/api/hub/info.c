/* What is said of a repository: card, tags, formats, parameters, licence, counts; lists and search.
 *
 * What follows from a revision alone is found out once and kept by the repository's id while its
 * main branch stands there; listing thousands of repositories then costs a look at each branch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/hub/impl.h"
#include "base/log.h"
#include "base/slice.h"
#include "net/date.h"
#include "net/url.h"

#define KNOWN_MAX 20000 /* repositories */
#define WORDS_MAX 16    /* of a search, and of its filters */
#define TAGS_MAX  500   /* of a repository; what its card names beyond is not searched by */
#define CARD_KEPT                                                                                  \
    ((size_t)16 << 10) /* bytes of what is kept of one; lists tell no larger cards                 \
                        */

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

void hub_forget(struct ft_hub *h, const char *uid)
{
    pthread_mutex_lock(&h->lock);
    json_object_del(h->known, uid);
    pthread_mutex_unlock(&h->lock);
}

/* ---- tags ---- */

static void add_tag(json_t *tags, const char *prefix, const char *tag)
{
    char all[256];
    size_t i;
    json_t *t;
    if (json_array_size(tags) == TAGS_MAX)
        return;
    snprintf(all, sizeof all, "%s%s", prefix, tag);
    json_array_foreach(tags, i, t)
    {
        if (strcmp(json_string_value(t), all) == 0)
            return;
    }
    json_array_append_new(tags, json_string(all));
}

/* A text, or a list of texts. */
static void add_tags(json_t *tags, const char *prefix, const json_t *v)
{
    size_t i;
    json_t *one;
    if (json_is_string(v))
        add_tag(tags, prefix, json_string_value(v));
    json_array_foreach(v, i, one)
    {
        if (json_is_string(one))
            add_tag(tags, prefix, json_string_value(one));
    }
}

static bool has_ending(const struct ft_repo_tree *t, const char *ending)
{
    for (int i = 0; i < t->n_files; i++)
        if (ft_str_ends_as(t->file[i].path, ending))
            return true;
    return false;
}

static json_t *tags_of(const json_t *card, const struct ft_repo_tree *t)
{
    static const char *const formats[][2] = {
        {".gguf", "gguf"}, {".safetensors", "safetensors"}, {"adapter_config.json", "peft"},
        {".onnx", "onnx"}, {".parquet", "format:parquet"},  {".jsonl", "format:json"}};
    json_t *tags = json_array();
    add_tags(tags, "", json_object_get(card, "library_name"));
    for (size_t i = 0; i < FT_COUNT(formats); i++)
        if (has_ending(t, formats[i][0]))
            add_tag(tags, "", formats[i][1]);
    add_tags(tags, "", json_object_get(card, "tags"));
    add_tags(tags, "", json_object_get(card, "pipeline_tag"));
    add_tags(tags, "", json_object_get(card, "language"));
    add_tags(tags, "license:", json_object_get(card, "license"));
    add_tags(tags, "base_model:", json_object_get(card, "base_model"));
    add_tags(tags, "dataset:", json_object_get(card, "datasets"));
    add_tags(tags, "task_categories:", json_object_get(card, "task_categories"));
    return tags;
}

/* ---- what a revision says ---- */

static void copy(json_t *to, const char *as, const json_t *from, const char *name)
{
    json_t *v = json_object_get(from, name);
    if (v != NULL && !json_is_null(v))
        json_object_set(to, as, v);
}

/* {"BF16": parameters, ...} */
static json_t *by_type(const json_t *said)
{
    json_t *o = json_object(), *t;
    const char *name;
    json_object_foreach(json_object_get(said, "types"), name, t)
        json_object_set(o, name, json_object_get(t, "parameters"));
    return o;
}

/* As the Hub tells it where clients look for it. */
static void put_inspected(json_t *o, const json_t *said)
{
    const char *source = text(said, "source");
    json_int_t n = json_integer_value(json_object_get(said, "parameters"));
    if (source == NULL)
        return;
    if (strcmp(source, "gguf") == 0)
        json_object_set_new(
            o, "gguf",
            json_pack("{s:I,s:O?,s:O?}", "total", n, "architecture",
                      json_object_get(said, "architecture"), "context_length",
                      json_object_get(json_object_get(said, "shape"), "context_length")));
    else
        json_object_set_new(o, "safetensors",
                            json_pack("{s:o,s:I}", "parameters", by_type(said), "total", n));
    json_object_set(o, "inspected", (json_t *)said);
}

static json_t *siblings_of(const struct ft_repo_tree *t, bool blobs)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n_files; i++) {
        const struct ft_repo_file *f = &t->file[i];
        json_t *s = json_pack("{s:s}", "rfilename", f->path);
        if (blobs) {
            json_object_set_new(s, "size", json_integer(f->size));
            json_object_set_new(s, "blobId", json_string(f->oid));
        }
        if (blobs && f->lfs)
            json_object_set_new(s, "lfs",
                                json_pack("{s:s,s:I,s:i}", "sha256", f->sha256, "size",
                                          (json_int_t)f->size, "pointerSize",
                                          ft_repo_pointer_bytes(f)));
        json_array_append_new(list, s);
    }
    return list;
}

static bool is_model(const struct ft_repo_tree *t)
{
    return has_ending(t, ".gguf") || has_ending(t, ".safetensors");
}

/* What its files say of themselves: noted with the revision once somebody looked. */
static int inspected(struct ft_hub *h, const struct ft_repo *repo, const struct ft_repo_tree *t,
                     bool look, json_t **ret, struct ft_err *err)
{
    int rc = ft_repo_note_get(h->repos, repo, t->id, "inspect", ret, err);
    if (rc != 0 || *ret != NULL || !look || h->c.inspect == NULL || repo->kind != FT_REPO_MODEL ||
        !is_model(t))
        return rc;
    struct ft_err later = {0};
    rc = h->c.inspect(h->c.ctx, repo, t->id, ret, &later);
    if (rc == 0 && *ret == NULL)
        *ret = json_object(); /* looked at, and no model */
    if (rc == 0)
        rc = ft_repo_note_put(h->repos, repo, t->id, "inspect", *ret, &later);
    if (rc != 0) /* the rest can be told all the same */
        ft_log(FT_LOG_WARN, "hub", "%s/%s could not be looked at: %s", repo->org, repo->name,
               later.msg);
    hub_forget(h, repo->uid); /* what was found out without it */
    return 0;
}

void hub_look_later(struct ft_hub *h, const struct ft_repo *repo)
{
    pthread_mutex_lock(&h->lock);
    if (h->n_pending < HUB_PENDING_MAX && repo->kind == FT_REPO_MODEL)
        h->pending[h->n_pending++] = *repo;
    pthread_mutex_unlock(&h->lock);
}

void ft_hub_tick(struct ft_hub *h)
{
    struct ft_repo repo;
    struct ft_err err = {0};
    const struct ft_repo_tree *t = NULL;
    json_t *said = NULL;
    char head[FT_REPO_OID_BYTES];
    pthread_mutex_lock(&h->lock);
    bool any = h->n_pending > 0;
    if (any)
        repo = h->pending[--h->n_pending];
    pthread_mutex_unlock(&h->lock);
    if (!any)
        return;
    int rc = ft_repo_resolve(h->repos, &repo, "main", head, NULL, &err);
    if (rc == 0)
        rc = ft_repo_tree(h->repos, &repo, head, &t, &err);
    if (rc == 0)
        rc = inspected(h, &repo, t, true, &said, &err);
    if (rc != 0 && rc != FT_ENOTFOUND) /* removed again */
        ft_log(FT_LOG_WARN, "hub", "%s/%s: %s", repo.org, repo.name, err.msg);
    ft_repo_tree_unref(h->repos, t);
    json_decref(said);
}

static void put_dates(json_t *o, const struct ft_repo *repo, const struct ft_repo_tree *t)
{
    char date[FT_DATE_MAX];
    ft_date_iso(t->date_s * 1000000000, date);
    json_object_set_new(o, "lastModified", json_string(date));
    ft_date_iso(repo->created_s * 1000000000, date);
    json_object_set_new(o, "createdAt", json_string(date));
}

/* All but what changes without a commit. */
static int found_out(struct ft_hub *h, const struct ft_repo *repo, const struct ft_repo_tree *t,
                     bool look, json_t **ret, struct ft_err *err)
{
    json_t *card = NULL, *said = NULL;
    int rc = ft_repo_card(h->repos, t, &card, err);
    if (rc == 0)
        rc = inspected(h, repo, t, look, &said, err);
    if (rc != 0) {
        json_decref(card);
        json_decref(said);
        return rc;
    }
    json_t *o = json_pack("{s:s,s:I}", "sha", t->id, "usedStorage", (json_int_t)t->bytes);
    put_dates(o, repo, t);
    json_object_set_new(o, "tags", tags_of(card, t));
    copy(o, "pipeline_tag", card, "pipeline_tag");
    copy(o, "library_name", card, "library_name");
    copy(o, "license", card, "license");
    if (said != NULL)
        put_inspected(o, said);
    if (json_object_size(card) > 0)
        json_object_set(o, "cardData", card);
    json_decref(card);
    json_decref(said);
    *ret = o;
    return 0;
}

/* The same, of a repository's main branch, as it was found out before where it stands there. */
static int known(struct ft_hub *h, const struct ft_repo *repo, json_t **ret, struct ft_err *err)
{
    char head[FT_REPO_OID_BYTES];
    const struct ft_repo_tree *t = NULL;
    int rc = ft_repo_resolve(h->repos, repo, "main", head, NULL, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&h->lock);
    json_t *o = json_object_get(h->known, repo->uid);
    const char *sha = text(o, "sha");
    o = sha != NULL && strcmp(sha, head) == 0 ? json_deep_copy(o) : NULL;
    pthread_mutex_unlock(&h->lock);
    if (o != NULL) {
        *ret = o;
        return 0;
    }
    rc = ft_repo_tree(h->repos, repo, head, &t, err);
    if (rc == 0)
        rc = found_out(h, repo, t, false, &o, err);
    ft_repo_tree_unref(h->repos, t);
    if (rc != 0)
        return rc;
    if (json_dumpb(json_object_get(o, "cardData"), NULL, 0, JSON_COMPACT) > CARD_KEPT)
        json_object_del(o, "cardData");
    pthread_mutex_lock(&h->lock);
    if (json_object_size(h->known) >= KNOWN_MAX)
        json_object_clear(h->known);
    json_object_set_new(h->known, repo->uid, json_deep_copy(o));
    pthread_mutex_unlock(&h->lock);
    *ret = o;
    return 0;
}

static int put_rest(struct ft_hub *h, const struct ft_repo *repo, json_t *o, struct ft_err *err)
{
    char id[FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2];
    int64_t all = 0, month = 0;
    int rc = ft_repo_downloads(h->repos, repo, &all, &month, err);
    snprintf(id, sizeof id, "%s/%s", repo->org, repo->name);
    json_object_set_new(o, "_id", json_string(repo->uid));
    json_object_set_new(o, "id", json_string(id));
    if (repo->kind == FT_REPO_MODEL)
        json_object_set_new(o, "modelId", json_string(id));
    json_object_set_new(o, "author", json_string(repo->org));
    json_object_set_new(o, "private", json_boolean(repo->is_private));
    json_object_set_new(o, "gated", json_false());
    json_object_set_new(o, "disabled", json_false());
    json_object_set_new(o, "likes", json_integer(0));
    json_object_set_new(o, "downloads", json_integer(month));
    json_object_set_new(o, "downloadsAllTime", json_integer(all));
    return rc;
}

/* ---- expand ---- */

/* "expand" and "expand[]", several: only these members, and the ids. */
static json_t *only(struct hub_call *c, json_t *o)
{
    size_t at = 0;
    const char *name, *value;
    json_t *kept = NULL;
    while (ft_url_param_next(c->x->query, &at, &c->x->arena, &name, &value, NULL) > 0) {
        if (strcmp(name, "expand") != 0 && strcmp(name, "expand[]") != 0)
            continue;
        if (kept == NULL) {
            kept = json_object();
            copy(kept, "_id", o, "_id");
            copy(kept, "id", o, "id");
            copy(kept, "modelId", o, "modelId");
        }
        json_t *v = json_object_get(o, value);
        if (v != NULL)
            json_object_set(kept, value, v);
    }
    if (kept == NULL)
        return o;
    json_decref(o);
    return kept;
}

/* ---- one ---- */

#define CONFIG_MAX (256 << 10)

/* config.json, where it is one. */
static void put_config(struct hub_call *c, const struct ft_repo_tree *t, json_t *o)
{
    const struct ft_repo_file *f = ft_repo_tree_file(t, "config.json");
    struct ft_blob_reader *in = NULL;
    struct ft_err err;
    if (f == NULL || f->size > CONFIG_MAX || f->size == 0 ||
        ft_repo_content_open(c->hub->repos, f->sha256, &in, &err) != 0)
        return;
    char *data = malloc((size_t)f->size);
    json_t *config = NULL;
    if (data != NULL && ft_blob_read(in, 0, data, (size_t)f->size, &err) == 0)
        config = json_loadb(data, (size_t)f->size, 0, NULL);
    if (json_is_object(config))
        json_object_set(o, "config", config);
    json_decref(config);
    free(data);
    ft_blob_close_reader(in);
}

int hub_info(struct hub_call *c)
{
    struct ft_err err = {0};
    const struct ft_repo_tree *t = NULL;
    json_t *o = NULL;
    int rc = c->commit[0] == '\0' ? hub_revision(c, c->n_parts) : 0;
    if (rc != 0)
        return rc;
    rc = ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err);
    if (rc == 0)
        rc = found_out(c->hub, &c->repo, t, true, &o, &err);
    if (rc == 0)
        rc = put_rest(c->hub, &c->repo, o, &err);
    if (rc == 0) {
        json_object_set_new(o, "siblings", siblings_of(t, hub_flag(c, "blobs")));
        if (c->kind == FT_REPO_MODEL)
            put_config(c, t, o);
    }
    ft_repo_tree_unref(c->hub->repos, t);
    if (rc != 0) {
        json_decref(o);
        return hub_fail_err(c, &err);
    }
    return hub_json(c, 200, only(c, o));
}

/* ---- lists ---- */

struct search {
    struct hub_call *c;
    const char *word[WORDS_MAX], *filter[WORDS_MAX];
    int n_words, n_filters;
    const char *author;
    double least, most; /* parameters; 0: whatever */
    json_t *found;
    struct ft_err *err;
};

static bool contains(const char *s, const char *word)
{
    size_t n = strlen(word);
    for (; *s != '\0'; s++)
        if (strncasecmp(s, word, n) == 0)
            return true;
    return n == 0;
}

static bool has_tag(const json_t *tags, const char *want)
{
    size_t i;
    json_t *t;
    json_array_foreach(tags, i, t)
    {
        if (strcasecmp(json_string_value(t), want) == 0)
            return true;
    }
    return false;
}

/* A model whose parameters nobody has read yet has none of any number. */
static bool has_parameters(const struct search *s, const json_t *o)
{
    double n = json_number_value(json_object_get(json_object_get(o, "inspected"), "parameters"));
    return (s->least == 0 && s->most == 0) ||
           (n > 0 && n >= s->least && (s->most == 0 || n <= s->most));
}

/* "min:600M,max:8B", one of them or both. */
static bool read_parameters(struct search *s, const char *text)
{
    static const char units[] = "KMBT";
    do {
        double *to = strncmp(text, "min:", 4) == 0   ? &s->least
                     : strncmp(text, "max:", 4) == 0 ? &s->most
                                                     : NULL;
        char *end;
        if (to == NULL || text[4] < '0' || text[4] > '9')
            return false;
        *to = strtod(text + 4, &end);
        const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
        for (const char *u = units; unit != NULL && u <= unit; u++)
            *to *= 1000;
        end += unit != NULL;
        if (*end != ',' && *end != '\0')
            return false;
        text = end + (*end == ',');
    } while (*text != '\0');
    return s->least > 0 || s->most > 0;
}

static int on_repo(void *ctx, const struct ft_repo *repo)
{
    struct search *s = ctx;
    struct hub_call *c = s->c;
    char id[FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2];
    json_t *o = NULL;
    snprintf(id, sizeof id, "%s/%s", repo->org, repo->name);
    if (!hub_sees(c->who, repo))
        return 0;
    for (int i = 0; i < s->n_words; i++)
        if (!contains(id, s->word[i]))
            return 0;
    int rc = known(c->hub, repo, &o, s->err);
    if (rc == FT_ENOTFOUND) /* it goes just now */
        return 0;
    bool fits = rc == 0 && has_parameters(s, o);
    for (int i = 0; fits && i < s->n_filters; i++)
        fits = has_tag(json_object_get(o, "tags"), s->filter[i]);
    if (fits)
        rc = put_rest(c->hub, repo, o, s->err);
    if (fits && rc == 0)
        json_array_append(s->found, o);
    json_decref(o);
    return rc;
}

static __thread const char *sort_by;

static int by_member(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    const json_t *v = json_object_get(x, sort_by), *w = json_object_get(y, sort_by);
    if (json_is_string(v) && json_is_string(w)) {
        int order = strcmp(json_string_value(w), json_string_value(v));
        if (order != 0)
            return order;
    } else if (json_integer_value(v) != json_integer_value(w)) {
        return json_integer_value(v) < json_integer_value(w) ? 1 : -1;
    }
    return strcmp(text(x, "id"), text(y, "id"));
}

/* Largest or newest first; "direction=1": the other way round. */
static int sorted(struct hub_call *c, json_t **list)
{
    static const char *const ways[] = {"lastModified", "downloads", "createdAt", "likes", "id"};
    const char *sort = hub_param(c, "sort"), *direction = hub_param(c, "direction");
    size_t n = json_array_size(*list), i;
    if (sort == NULL || strcmp(sort, "trendingScore") == 0)
        sort = "downloads";
    for (i = 0; i < FT_COUNT(ways) && strcmp(ways[i], sort) != 0; i++)
        ;
    if (i == FT_COUNT(ways))
        return hub_fail(c, 400, NULL,
                        "sort: must be lastModified, downloads, createdAt, likes or "
                        "id");
    json_t **v = calloc(n + 1, sizeof *v), *ret = json_array();
    for (size_t k = 0; v != NULL && k < n; k++)
        v[k] = json_array_get(*list, k);
    sort_by = ways[i];
    if (v != NULL)
        qsort(v, n, sizeof *v, by_member);
    bool turn = (direction != NULL && strcmp(direction, "1") == 0) != (strcmp(sort, "id") == 0);
    for (size_t k = 0; v != NULL && k < n; k++)
        json_array_append(ret, v[turn ? n - 1 - k : k]);
    free(v);
    json_decref(*list);
    *list = ret;
    return 0;
}

/* Reads the query; 0, or a status that was sent. */
static int asked(struct search *s)
{
    static const char *const unknown[] = {"inference", "inference_provider", "apps",
                                          "trained_dataset"};
    struct hub_call *c = s->c;
    size_t at = 0;
    const char *name, *value;
    while (ft_url_param_next(c->x->query, &at, &c->x->arena, &name, &value, NULL) > 0) {
        bool filter = strcmp(name, "filter") == 0 || strcmp(name, "pipeline_tag") == 0 ||
                      strcmp(name, "library") == 0;
        for (size_t i = 0; i < FT_COUNT(unknown); i++)
            if (strcmp(name, unknown[i]) == 0)
                return hub_fail(c, 400, NULL, "%s: this hub cannot search by it", name);
        if (strcmp(name, "num_parameters") == 0 && !read_parameters(s, value))
            return hub_fail(c, 400, NULL, "num_parameters: must be as min:600M,max:8B");
        if (strcmp(name, "author") == 0)
            s->author = value;
        else if (strcmp(name, "search") == 0 && s->n_words < WORDS_MAX)
            s->word[s->n_words++] = value;
        for (char *part = (char *)value; filter && part != NULL; part = strchr(part, ',')) {
            part += *part == ',';
            size_t n = strcspn(part, ",");
            if (s->n_filters == WORDS_MAX)
                return hub_fail(c, 400, NULL, "filter: more than %d", WORDS_MAX);
            const char *own = ft_arena_strndup(&c->x->arena, part, n);
            if (own != NULL && n > 0)
                s->filter[s->n_filters++] = own;
        }
    }
    return 0;
}

/* What only those that are shown have, and only if it is asked for: files, config.json. */
static int put_more(struct hub_call *c, json_t *o, struct ft_err *err)
{
    bool files = hub_flag(c, "full") || hub_expands(c, "siblings");
    bool config = c->kind == FT_REPO_MODEL && (hub_flag(c, "config") || hub_expands(c, "config"));
    const struct ft_repo_tree *t = NULL;
    struct ft_repo repo = {.kind = c->kind};
    if (!files && !config)
        return 0;
    snprintf(repo.uid, sizeof repo.uid, "%s", text(o, "_id"));
    int rc = ft_repo_tree(c->hub->repos, &repo, text(o, "sha"), &t, err);
    if (rc != 0)
        return rc == FT_ENOTFOUND ? 0 : rc; /* it goes just now */
    if (files)
        json_object_set_new(o, "siblings", siblings_of(t, false));
    if (config)
        put_config(c, t, o);
    ft_repo_tree_unref(c->hub->repos, t);
    return 0;
}

int hub_list(struct hub_call *c)
{
    struct ft_err err = {0};
    struct search s = {.c = c, .err = &err};
    const char *cursor = hub_param(c, "cursor");
    char next[24];
    int limit = 0, rc = hub_limit(c, 500, &limit);
    if (rc == 0)
        rc = asked(&s);
    if (rc == 0 && cursor != NULL &&
        (cursor[0] == '\0' || strspn(cursor, "0123456789") != strlen(cursor)))
        rc = hub_fail(c, 400, NULL, "cursor: is none of this list");
    if (rc != 0)
        return rc;
    s.found = json_array();
    if (s.author == NULL || ft_repo_name_check(s.author, "x", &err) == 0)
        rc = ft_repo_list(c->hub->repos, c->kind, s.author, on_repo, &s, &err);
    if (rc != 0) {
        json_decref(s.found);
        return hub_fail_err(c, &err);
    }
    rc = hub_flag(c, "gated") ? json_array_clear(s.found) : sorted(c, &s.found);
    if (rc != 0) {
        json_decref(s.found);
        return rc;
    }
    size_t from = cursor != NULL ? strtoul(cursor, NULL, 10) : 0, n = json_array_size(s.found);
    json_t *page = json_array();
    for (size_t i = from; rc == 0 && i < n && i < from + (size_t)limit; i++) {
        json_t *o = json_array_get(s.found, i);
        rc = put_more(c, o, &err);
        json_array_append_new(page, only(c, json_incref(o)));
    }
    if (from + (size_t)limit < n) {
        snprintf(next, sizeof next, "%zu", from + (size_t)limit);
        hub_next(c, next);
    }
    json_decref(s.found);
    if (rc != 0) {
        json_decref(page);
        return hub_fail_err(c, &err);
    }
    return hub_json(c, 200, page);
}
