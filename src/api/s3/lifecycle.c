/* Lifecycle rules: which object they are about, and when it is due. */
#include "api/s3/lifecycle.h"

#include <string.h>

#define NS_PER_S 1000000000

int ft_s3_rule_check(const struct ft_s3_rule *r, struct ft_err *err)
{
    if (strlen(r->id) > FT_S3_RULE_ID_MAX)
        return ft_err_set(err, FT_EINVAL, "ID length should not exceed allowed limit of %d",
                          FT_S3_RULE_ID_MAX);
    int ways = (r->days != 0) + (r->date_s >= 0) + r->lone_markers;
    if (ways > 1)
        return ft_err_set(err, FT_EINVAL,
                          "Expiration is one of Days, Date and "
                          "ExpiredObjectDeleteMarker");
    if (r->date_s >= 0 && r->date_s % FT_S3_DAY_S != 0)
        return ft_err_set(err, FT_EINVAL, "'Date' must be at midnight GMT");
    if (ways == 0 && r->noncurrent_days == 0 && r->abort_days == 0)
        return ft_err_set(err, FT_EINVAL, "At least one action needs to be specified in a rule");
    if (r->abort_days != 0 && (r->n_tags > 0 || r->size_more >= 0 || r->size_less >= 0))
        return ft_err_set(err, FT_EINVAL,
                          "AbortIncompleteMultipartUpload cannot be specified with tags or sizes");
    if (r->size_more >= 0 && r->size_less >= 0 && r->size_more >= r->size_less)
        return ft_err_set(err, FT_EINVAL,
                          "ObjectSizeLessThan has to be greater than ObjectSizeGreaterThan");
    return 0;
}

static bool has_prefix(const char *key, const char *prefix)
{
    return prefix == NULL || strncmp(key, prefix, strlen(prefix)) == 0;
}

static bool covers_key(const struct ft_s3_rule *r, const char *key)
{
    return r->enabled && has_prefix(key, r->prefix) && has_prefix(key, r->and_prefix);
}

static bool has_tag(const struct ft_blob_info *info, const struct ft_blob_field *tag)
{
    for (int i = 0; i < info->n_tags; i++)
        if (strcmp(info->tags[i].name, tag->name) == 0)
            return strcmp(info->tags[i].value, tag->value) == 0;
    return false;
}

bool ft_s3_rule_covers(const struct ft_s3_rule *r, const struct ft_blob_info *info)
{
    if (!covers_key(r, info->key))
        return false;
    for (int i = 0; i < r->n_tags; i++)
        if (!has_tag(info, &r->tags[i]))
            return false;
    if (info->is_marker)
        return true;
    return (r->size_more < 0 || info->size > r->size_more) &&
           (r->size_less < 0 || info->size < r->size_less);
}

int64_t ft_s3_days_after(int64_t from_s, int64_t days, int64_t day_s)
{
    int64_t at = from_s + days * day_s;
    if (day_s == FT_S3_DAY_S) /* the midnight behind it */
        at += (FT_S3_DAY_S - at % FT_S3_DAY_S) % FT_S3_DAY_S;
    return at;
}

static bool rule_is_due(const struct ft_s3_rule *r, const struct ft_s3_version *v, int64_t now_s,
                        int64_t day_s)
{
    const struct ft_blob_info *info = v->info;
    if (!info->is_latest)
        return r->noncurrent_days > 0 && v->noncurrent_newer >= r->noncurrent_keep &&
               now_s >= ft_s3_days_after(v->noncurrent_since_s, r->noncurrent_days, day_s);
    if (info->is_marker && !v->alone)
        return false;
    if (info->is_marker && r->lone_markers)
        return true;
    if (r->date_s >= 0)
        return now_s >= r->date_s;
    return r->days > 0 && now_s >= ft_s3_days_after(info->modified_ns / NS_PER_S, r->days, day_s);
}

bool ft_s3_lifecycle_due(const struct ft_s3_lifecycle *l, const struct ft_s3_version *v,
                         int64_t now_s, int64_t day_s)
{
    for (int i = 0; i < l->n; i++)
        if (ft_s3_rule_covers(l->rules[i], v->info) && rule_is_due(l->rules[i], v, now_s, day_s))
            return true;
    return false;
}

bool ft_s3_lifecycle_upload_due(const struct ft_s3_lifecycle *l, const char *key, int64_t begun_s,
                                int64_t now_s, int64_t day_s)
{
    for (int i = 0; i < l->n; i++) {
        const struct ft_s3_rule *r = l->rules[i];
        if (r->abort_days > 0 && covers_key(r, key) &&
            now_s >= ft_s3_days_after(begun_s, r->abort_days, day_s))
            return true;
    }
    return false;
}

const struct ft_s3_rule *ft_s3_lifecycle_expires(const struct ft_s3_lifecycle *l,
                                                 const struct ft_blob_info *info, int64_t *ret_s)
{
    const struct ft_s3_rule *first = NULL;
    for (int i = 0; i < l->n; i++) {
        const struct ft_s3_rule *r = l->rules[i];
        if ((r->days == 0 && r->date_s < 0) || !ft_s3_rule_covers(r, info))
            continue;
        int64_t at = r->date_s >= 0
                         ? r->date_s
                         : ft_s3_days_after(info->modified_ns / NS_PER_S, r->days, FT_S3_DAY_S);
        if (first == NULL || at < *ret_s) {
            first = r;
            *ret_s = at;
        }
    }
    return first;
}
