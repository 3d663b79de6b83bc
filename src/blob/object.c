/* Objects as values: copies, conditions, holds; and the errors of the seam. */
#include "blob/object.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/backend.h"

#define WHY_BASE 0x10000 /* above every errno: sys_errno holds either */

int ft_blob_err(struct ft_err *err, int code, enum ft_blob_why why, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        err->sys_errno = WHY_BASE + (int)why;
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
    }
    return code;
}

enum ft_blob_why ft_blob_why(const struct ft_err *err)
{
    int why = err->sys_errno - WHY_BASE;
    return why > FT_BLOB_WHY_NONE && why <= FT_BLOB_IS_MARKER ? (enum ft_blob_why)why
                                                              : FT_BLOB_WHY_NONE;
}

const char *ft_blob_field(const struct ft_blob_info *info, const char *name)
{
    for (int i = 0; i < info->n_fields; i++)
        if (strcmp(info->fields[i].name, name) == 0)
            return info->fields[i].value;
    return NULL;
}

void ft_blob_object_fini(struct ft_blob_object *o)
{
    free(o->memory);
    *o = (struct ft_blob_object){.memory = NULL};
}

static size_t text_bytes(const char *s)
{
    return s == NULL ? 1 : strlen(s) + 1;
}

static size_t fields_bytes(const struct ft_blob_field *f, int n)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += text_bytes(f[i].name) + text_bytes(f[i].value);
    return bytes;
}

static const char *text_put(char **at, const char *s)
{
    size_t n = text_bytes(s);
    char *to = *at;
    memcpy(to, s == NULL ? "" : s, n);
    *at += n;
    return to;
}

static void fields_put(struct ft_blob_field *to, char **at, const struct ft_blob_field *f, int n)
{
    for (int i = 0; i < n; i++) {
        to[i].name = text_put(at, f[i].name);
        to[i].value = text_put(at, f[i].value);
    }
}

int ft_blob_object_set(struct ft_blob_object *ret, const struct ft_blob_info *info,
                       const struct ft_blob_field *more, int n_more, struct ft_err *err)
{
    size_t field_text = fields_bytes(info->fields, info->n_fields) + fields_bytes(more, n_more);
    int n_fields = info->n_fields + n_more;
    /* every text has its NUL counted, which the bound does not count */
    if (n_fields > FT_BLOB_FIELDS_MAX || field_text - 2 * (size_t)n_fields > FT_BLOB_FIELDS_BYTES)
        return ft_err_set(err, FT_ELIMIT, "fields: at most %d, %u bytes together",
                          FT_BLOB_FIELDS_MAX, FT_BLOB_FIELDS_BYTES);
    int n_all = n_fields + info->n_tags;
    size_t array = sizeof(struct ft_blob_field) * (size_t)n_all;
    char *memory = malloc(array + field_text + fields_bytes(info->tags, info->n_tags) +
                          text_bytes(info->key) + text_bytes(info->acl));
    if (memory == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for an object's fields");
    struct ft_blob_field *all = (struct ft_blob_field *)memory;
    char *at = memory + array;
    fields_put(all, &at, info->fields, info->n_fields);
    fields_put(all + info->n_fields, &at, more, n_more);
    fields_put(all + n_fields, &at, info->tags, info->n_tags);
    ret->info = *info;
    ret->info.fields = all;
    ret->info.n_fields = n_fields;
    ret->info.tags = all + n_fields;
    ret->info.key = text_put(&at, info->key);
    ret->info.acl = text_put(&at, info->acl);
    ret->memory = memory;
    return 0;
}

static int unmet(struct ft_err *err, const char *what)
{
    return ft_blob_err(err, FT_EBUSY, FT_BLOB_CONDITION, "%s does not hold", what);
}

int ft_blob_condition_check(const struct ft_blob_condition *c, const struct ft_blob_info *there,
                            struct ft_err *err)
{
    if (c->if_marker && there != NULL)
        return there->is_marker ? 0 : unmet(err, "if_marker");
    if (there == NULL || there->is_marker) {
        if (c->if_match == NULL && !c->if_size_set && !c->if_modified_set && !c->if_marker)
            return 0;
        return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_KEY, "nothing is there to match");
    }
    if (c->if_match != NULL && strcmp(c->if_match, "*") != 0 &&
        strcmp(c->if_match, there->etag) != 0)
        return unmet(err, "if_match");
    if (c->if_none_match != NULL &&
        (strcmp(c->if_none_match, "*") == 0 || strcmp(c->if_none_match, there->etag) == 0))
        return unmet(err, "if_none_match");
    if (c->if_size_set && c->if_size != there->size)
        return unmet(err, "if_size");
    if (c->if_modified_set && c->if_modified_s != there->modified_ns / 1000000000)
        return unmet(err, "if_modified");
    return 0;
}

int ft_blob_hold_check(const struct ft_blob_hold *hold, int64_t now_s, bool bypass,
                       struct ft_err *err)
{
    if (hold->legal)
        return ft_blob_err(err, FT_EBUSY, FT_BLOB_LOCKED, "a legal hold is on it");
    if (hold->until_s <= now_s || hold->mode == FT_BLOB_LOCK_NONE ||
        (hold->mode == FT_BLOB_LOCK_GOVERNANCE && bypass))
        return 0;
    return ft_blob_err(err, FT_EBUSY, FT_BLOB_LOCKED, "retained until %lld",
                       (long long)hold->until_s);
}

int ft_blob_hold_change(const struct ft_blob_hold *hold, const struct ft_blob_hold *to,
                        int64_t now_s, bool bypass, struct ft_err *err)
{
    if (hold->mode == FT_BLOB_LOCK_NONE || hold->until_s <= now_s)
        return 0;
    if (to->mode == hold->mode && to->until_s >= hold->until_s) /* longer; not even stricter */
        return 0;
    if (hold->mode == FT_BLOB_LOCK_GOVERNANCE && bypass)
        return 0;
    return ft_blob_err(err, FT_EBUSY, FT_BLOB_LOCKED, "retained until %lld",
                       (long long)hold->until_s);
}
