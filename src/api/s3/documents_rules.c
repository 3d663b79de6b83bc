/* Cross-origin and lifecycle rules as clients write and read them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/s3/documents.h"
#include "base/decimal.h"
#include "net/date.h"

#define NO_MEMORY(err) ft_err_set(err, FT_ENOMEM, "rules")

/* ---- cross-origin ---- */

static int cors_add(struct ft_s3_cors_list *list, const char *value, int line, struct ft_err *err)
{
    if (list->n == FT_S3_CORS_VALUES_MAX)
        return ft_err_set(err, FT_EINVAL, "line %d: more than %d values", line,
                          FT_S3_CORS_VALUES_MAX);
    list->v[list->n++] = value;
    return 0;
}

static int cors_field(const struct ft_xml_node *f, struct ft_s3_cors_rule *r, struct ft_err *err)
{
    if (strcmp(f->name, "ID") == 0) {
        r->id = f->text;
        return strlen(f->text) <= FT_S3_RULE_ID_MAX
                   ? 0
                   : ft_err_set(err, FT_EINVAL, "line %d: ID is too long", f->line);
    }
    if (strcmp(f->name, "AllowedOrigin") == 0 || strcmp(f->name, "AllowedHeader") == 0) {
        bool origin = f->name[7] == 'O';
        if (!ft_s3_cors_pattern_ok(f->text))
            return ft_err_set(err, FT_EINVAL, "%s \"%.100s\" can not have more than one wildcard.",
                              f->name, f->text);
        return cors_add(origin ? &r->origins : &r->headers, f->text, f->line, err);
    }
    if (strcmp(f->name, "AllowedMethod") == 0) {
        if (!ft_s3_cors_method_ok(f->text))
            return ft_err_set(err, FT_EINVAL,
                              "Found unsupported HTTP method in CORS config. Unsupported method is "
                              "%.60s",
                              f->text);
        return cors_add(&r->methods, f->text, f->line, err);
    }
    if (strcmp(f->name, "ExposeHeader") == 0)
        return cors_add(&r->expose, f->text, f->line, err);
    if (strcmp(f->name, "MaxAgeSeconds") == 0)
        return ft_decimal_parse(f->text, 0, &r->max_age_s) && r->max_age_s <= INT32_MAX
                   ? 0
                   : ft_err_set(err, FT_ECORRUPT, "line %d: MaxAgeSeconds", f->line);
    return ft_err_set(err, FT_ECORRUPT, "line %d: unknown element %.60s", f->line, f->name);
}

int ft_s3_cors_read(const struct ft_xml_node *root, struct ft_arena *arena, struct ft_s3_cors *ret,
                    struct ft_err *err)
{
    struct ft_s3_cors cors = {ft_arena_array(arena, FT_S3_CORS_RULES_MAX, sizeof(cors.rules[0])),
                              0};
    if (cors.rules == NULL)
        return NO_MEMORY(err);
    if (strcmp(root->name, "CORSConfiguration") != 0 || root->first == NULL)
        return ft_err_set(err, FT_ECORRUPT, "CORSConfiguration with a CORSRule was expected");
    for (const struct ft_xml_node *n = root->first; n != NULL; n = n->next) {
        if (strcmp(n->name, "CORSRule") != 0)
            return ft_err_set(err, FT_ECORRUPT, "line %d: a CORSRule was expected", n->line);
        if (cors.n == FT_S3_CORS_RULES_MAX)
            return ft_err_set(err, FT_EINVAL,
                              "The number of CORS rules should not exceed allowed "
                              "limit of 100 rules.");
        struct ft_s3_cors_rule *r = ft_arena_alloc(arena, sizeof(*r));
        if (r == NULL)
            return NO_MEMORY(err);
        r->id = "";
        r->max_age_s = -1;
        int rc = 0;
        for (const struct ft_xml_node *f = n->first; f != NULL && rc == 0; f = f->next)
            rc = cors_field(f, r, err);
        if (rc == 0 && (r->origins.n == 0 || r->methods.n == 0))
            rc = ft_err_set(err, FT_ECORRUPT,
                            "line %d: a CORSRule has an AllowedOrigin and an AllowedMethod",
                            n->line);
        if (rc != 0)
            return rc;
        cors.rules[cors.n++] = r;
    }
    *ret = cors;
    return 0;
}

static void write_list(const char *name, const struct ft_s3_cors_list *list, struct ft_xml *x)
{
    for (int i = 0; i < list->n; i++)
        ft_xml_text(x, name, list->v[i]);
}

void ft_s3_cors_write(const struct ft_s3_cors *cors, struct ft_xml *x)
{
    ft_xml_root(x, "CORSConfiguration", FT_S3_XMLNS);
    for (int i = 0; i < cors->n; i++) {
        const struct ft_s3_cors_rule *r = cors->rules[i];
        ft_xml_begin(x, "CORSRule");
        if (*r->id != '\0')
            ft_xml_text(x, "ID", r->id);
        write_list("AllowedMethod", &r->methods, x);
        write_list("AllowedOrigin", &r->origins, x);
        write_list("AllowedHeader", &r->headers, x);
        write_list("ExposeHeader", &r->expose, x);
        if (r->max_age_s >= 0)
            ft_xml_int(x, "MaxAgeSeconds", r->max_age_s);
        ft_xml_end(x);
    }
    ft_xml_end(x);
}

/* ---- lifecycle ---- */

/* A number of days, 1 at least. */
static int positive(const struct ft_xml_node *n, int64_t *ret, struct ft_err *err)
{
    if (!ft_decimal_parse(n->text, 0, ret) || *ret < 1 || *ret > INT32_MAX)
        return ft_err_set(err, FT_EINVAL, "'%s' for action must be a positive integer", n->name);
    return 0;
}

static int size_of(const struct ft_xml_node *n, int64_t *ret, struct ft_err *err)
{
    return ft_decimal_parse(n->text, 0, ret)
               ? 0
               : ft_err_set(err, FT_EINVAL, "line %d: %s", n->line, n->name);
}

static int unknown(const struct ft_xml_node *n, struct ft_err *err)
{
    return ft_err_set(err, FT_ECORRUPT, "line %d: unknown element %.60s", n->line, n->name);
}

static int read_filter(const struct ft_xml_node *n, bool is_and, struct ft_s3_rule *r,
                       struct ft_err *err)
{
    int rc = 0;
    for (const struct ft_xml_node *f = n->first; f != NULL && rc == 0; f = f->next) {
        if (strcmp(f->name, "Prefix") == 0) {
            *(is_and ? &r->and_prefix : &r->prefix) = f->text;
        } else if (strcmp(f->name, "Tag") == 0) {
            const char *key = ft_xml_child_text(f, "Key"), *value = ft_xml_child_text(f, "Value");
            if (key == NULL || value == NULL)
                return unknown(f, err);
            if (r->n_tags == FT_S3_RULE_TAGS_MAX)
                return ft_err_set(err, FT_EINVAL, "more than %d tags in a filter",
                                  FT_S3_RULE_TAGS_MAX);
            r->tags[r->n_tags++] = (struct ft_blob_field){key, value};
        } else if (strcmp(f->name, "ObjectSizeGreaterThan") == 0) {
            rc = size_of(f, &r->size_more, err);
        } else if (strcmp(f->name, "ObjectSizeLessThan") == 0) {
            rc = size_of(f, &r->size_less, err);
        } else if (strcmp(f->name, "And") == 0 && !is_and) {
            rc = read_filter(f, true, r, err);
        } else {
            rc = unknown(f, err);
        }
    }
    return rc;
}

static int read_expiration(const struct ft_xml_node *n, struct ft_s3_rule *r, struct ft_err *err)
{
    int rc = n->first != NULL ? 0 : ft_err_set(err, FT_ECORRUPT, "line %d: Expiration", n->line);
    for (const struct ft_xml_node *f = n->first; f != NULL && rc == 0; f = f->next) {
        if (strcmp(f->name, "Days") == 0)
            rc = positive(f, &r->days, err);
        else if (strcmp(f->name, "Date") == 0)
            rc = ft_date_parse_iso(f->text, &r->date_s) && r->date_s >= 0
                     ? 0
                     : ft_err_set(err, FT_ECORRUPT, "line %d: Date", f->line);
        else if (strcmp(f->name, "ExpiredObjectDeleteMarker") == 0)
            r->lone_markers = strcmp(f->text, "true") == 0;
        else
            rc = unknown(f, err);
    }
    return rc;
}

static int read_noncurrent(const struct ft_xml_node *n, struct ft_s3_rule *r, struct ft_err *err)
{
    int rc = 0;
    for (const struct ft_xml_node *f = n->first; f != NULL && rc == 0; f = f->next) {
        if (strcmp(f->name, "NoncurrentDays") == 0)
            rc = positive(f, &r->noncurrent_days, err);
        else if (strcmp(f->name, "NewerNoncurrentVersions") == 0)
            rc = positive(f, &r->noncurrent_keep, err);
        else
            rc = unknown(f, err);
    }
    if (rc == 0 && r->noncurrent_days == 0)
        rc = ft_err_set(err, FT_ECORRUPT, "line %d: NoncurrentDays is missing", n->line);
    return rc;
}

static int rule_field(const struct ft_xml_node *f, struct ft_s3_rule *r, int *status,
                      struct ft_err *err)
{
    if (strcmp(f->name, "ID") == 0) {
        r->id = f->text;
    } else if (strcmp(f->name, "Prefix") == 0) {
        r->prefix = f->text;
    } else if (strcmp(f->name, "Status") == 0) {
        r->enabled = strcmp(f->text, "Enabled") == 0;
        *status = r->enabled || strcmp(f->text, "Disabled") == 0;
    } else if (strcmp(f->name, "Filter") == 0) {
        r->has_filter = true;
        return read_filter(f, false, r, err);
    } else if (strcmp(f->name, "Expiration") == 0) {
        return read_expiration(f, r, err);
    } else if (strcmp(f->name, "NoncurrentVersionExpiration") == 0) {
        return read_noncurrent(f, r, err);
    } else if (strcmp(f->name, "AbortIncompleteMultipartUpload") == 0) {
        const struct ft_xml_node *days = ft_xml_child(f, "DaysAfterInitiation");
        return days != NULL ? positive(days, &r->abort_days, err) : unknown(f, err);
    } else if (strcmp(f->name, "Transition") == 0 ||
               strcmp(f->name, "NoncurrentVersionTransition") == 0) {
        return ft_err_set(err, FT_EUNSUPPORTED, "there is one storage class: no transitions");
    } else {
        return unknown(f, err);
    }
    return 0;
}

static int read_rule(const struct ft_xml_node *n, int number, struct ft_arena *arena,
                     struct ft_s3_rule *r, struct ft_err *err)
{
    *r = (struct ft_s3_rule){.size_more = -1, .size_less = -1, .date_s = -1};
    int status = 0;
    for (const struct ft_xml_node *f = n->first; f != NULL; f = f->next) {
        int rc = rule_field(f, r, &status, err);
        if (rc != 0)
            return rc;
    }
    if (!status || (r->prefix == NULL && !r->has_filter))
        return ft_err_set(err, FT_ECORRUPT,
                          "line %d: a Rule has a Status, Enabled or Disabled, and a Filter or "
                          "Prefix",
                          n->line);
    if (r->id == NULL || *r->id == '\0') {
        char id[32];
        snprintf(id, sizeof(id), "rule-%d", number);
        r->id = ft_arena_strndup(arena, id, strlen(id));
        if (r->id == NULL)
            return NO_MEMORY(err);
    }
    return ft_s3_rule_check(r, err);
}

int ft_s3_lifecycle_read(const struct ft_xml_node *root, struct ft_arena *arena,
                         struct ft_s3_lifecycle *ret, struct ft_err *err)
{
    if (strcmp(root->name, "LifecycleConfiguration") != 0 || root->first == NULL)
        return ft_err_set(err, FT_ECORRUPT, "LifecycleConfiguration with a Rule was expected");
    int n = 0;
    for (const struct ft_xml_node *c = root->first; c != NULL; c = c->next, n++)
        if (strcmp(c->name, "Rule") != 0)
            return unknown(c, err);
    if (n > FT_S3_RULES_MAX)
        return ft_err_set(err, FT_EINVAL, "more than %d rules", FT_S3_RULES_MAX);
    struct ft_s3_lifecycle l = {ft_arena_array(arena, (size_t)n, sizeof(l.rules[0])), 0};
    if (l.rules == NULL)
        return NO_MEMORY(err);
    for (const struct ft_xml_node *c = root->first; c != NULL; c = c->next) {
        struct ft_s3_rule *r = ft_arena_alloc(arena, sizeof(*r));
        if (r == NULL)
            return NO_MEMORY(err);
        int rc = read_rule(c, l.n + 1, arena, r, err);
        if (rc != 0)
            return ft_err_wrap(err, "rule %d", l.n + 1);
        for (int i = 0; i < l.n; i++)
            if (strcmp(l.rules[i]->id, r->id) == 0)
                return ft_err_set(err, FT_EINVAL,
                                  "Rule ID must be unique. Found same ID for more "
                                  "than one rule");
        l.rules[l.n++] = r;
    }
    *ret = l;
    return 0;
}

static void write_filter(const struct ft_s3_rule *r, struct ft_xml *x)
{
    int parts = (r->prefix != NULL) + (r->and_prefix != NULL) + r->n_tags + (r->size_more >= 0) +
                (r->size_less >= 0);
    const char *prefix = r->prefix;
    if (r->and_prefix != NULL && (prefix == NULL || strlen(r->and_prefix) > strlen(prefix)))
        prefix = r->and_prefix;
    ft_xml_begin(x, "Filter");
    if (parts > 1)
        ft_xml_begin(x, "And");
    ft_xml_text(x, "Prefix", prefix);
    for (int i = 0; i < r->n_tags; i++) {
        ft_xml_begin(x, "Tag");
        ft_xml_text(x, "Key", r->tags[i].name);
        ft_xml_text(x, "Value", r->tags[i].value);
        ft_xml_end(x);
    }
    if (r->size_more >= 0)
        ft_xml_int(x, "ObjectSizeGreaterThan", r->size_more);
    if (r->size_less >= 0)
        ft_xml_int(x, "ObjectSizeLessThan", r->size_less);
    if (parts > 1)
        ft_xml_end(x);
    ft_xml_end(x);
}

static void write_expiration(const struct ft_s3_rule *r, struct ft_xml *x)
{
    if (r->days == 0 && r->date_s < 0 && !r->lone_markers)
        return;
    ft_xml_begin(x, "Expiration");
    if (r->days > 0)
        ft_xml_int(x, "Days", r->days);
    if (r->date_s >= 0)
        ft_xml_time(x, "Date", r->date_s * 1000000000);
    if (r->lone_markers)
        ft_xml_bool(x, "ExpiredObjectDeleteMarker", true);
    ft_xml_end(x);
}

void ft_s3_lifecycle_write(const struct ft_s3_lifecycle *l, struct ft_xml *x)
{
    ft_xml_root(x, "LifecycleConfiguration", FT_S3_XMLNS);
    for (int i = 0; i < l->n; i++) {
        const struct ft_s3_rule *r = l->rules[i];
        ft_xml_begin(x, "Rule");
        ft_xml_text(x, "ID", r->id);
        if (r->has_filter)
            write_filter(r, x);
        else
            ft_xml_text(x, "Prefix", r->prefix);
        ft_xml_text(x, "Status", r->enabled ? "Enabled" : "Disabled");
        write_expiration(r, x);
        if (r->noncurrent_days > 0) {
            ft_xml_begin(x, "NoncurrentVersionExpiration");
            ft_xml_int(x, "NoncurrentDays", r->noncurrent_days);
            if (r->noncurrent_keep > 0)
                ft_xml_int(x, "NewerNoncurrentVersions", r->noncurrent_keep);
            ft_xml_end(x);
        }
        if (r->abort_days > 0) {
            ft_xml_begin(x, "AbortIncompleteMultipartUpload");
            ft_xml_int(x, "DaysAfterInitiation", r->abort_days);
            ft_xml_end(x);
        }
        ft_xml_end(x);
    }
    ft_xml_end(x);
}
