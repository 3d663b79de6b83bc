/* Lifecycle rules: what is to go, and when. Reading them from XML is lifecycle_handlers.c's,
 * carrying them out lifecycle_run.c's.
 *
 * A day is 24 hours and ends at midnight UTC, as S3 counts; for tests a day may be some seconds
 * (then nothing is rounded up to a midnight). */
#ifndef FT_API_S3_LIFECYCLE_H
#define FT_API_S3_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "blob/blob.h"

#define FT_S3_RULES_MAX     1000
#define FT_S3_RULE_ID_MAX   255
#define FT_S3_RULE_TAGS_MAX 10
#define FT_S3_DAY_S         86400

struct ft_s3_rule {
    const char *id;
    bool enabled, has_filter;
    const char *prefix; /* NULL: none was said */
    const char *and_prefix;
    struct ft_blob_field tags[FT_S3_RULE_TAGS_MAX]; /* all of them */
    int n_tags;
    int64_t size_more, size_less; /* -1: not said */
    int64_t days;                 /* of the latest version; 0: not said */
    int64_t date_s;               /* -1: not said */
    bool lone_markers;            /* ExpiredObjectDeleteMarker */
    int64_t noncurrent_days;      /* 0: not said */
    int64_t noncurrent_keep;      /* that many newer ones stay; 0: not said */
    int64_t abort_days;           /* of unfinished uploads; 0: not said */
};
struct ft_s3_lifecycle {
    const struct ft_s3_rule **rules;
    int n;
};

/* FT_EINVAL: what of the rule is wrong. */
int ft_s3_rule_check(const struct ft_s3_rule *r, struct ft_err *err);
/* Is a rule's filter about this object (its key, tags, size)? */
bool ft_s3_rule_covers(const struct ft_s3_rule *r, const struct ft_blob_info *info);
/* When `days` after from_s are over. day_s FT_S3_DAY_S: rounded up to midnight. */
int64_t ft_s3_days_after(int64_t from_s, int64_t days, int64_t day_s);

/* One version as the run sees it: newest first within a key. */
struct ft_s3_version {
    const struct ft_blob_info *info;
    bool alone;                 /* the key has no other version */
    int64_t noncurrent_since_s; /* when the next newer one came; not for the latest */
    int noncurrent_newer;       /* how many noncurrent ones are newer */
};
/* Is it to go at now_s? */
bool ft_s3_lifecycle_due(const struct ft_s3_lifecycle *l, const struct ft_s3_version *v,
                         int64_t now_s, int64_t day_s);
bool ft_s3_lifecycle_upload_due(const struct ft_s3_lifecycle *l, const char *key, int64_t begun_s,
                                int64_t now_s, int64_t day_s);
/* The rule by which the latest version goes first, and when; NULL: none. */
const struct ft_s3_rule *ft_s3_lifecycle_expires(const struct ft_s3_lifecycle *l,
                                                 const struct ft_blob_info *info, int64_t *ret_s);

#endif
