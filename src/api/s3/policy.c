/* Policies: the document is checked once, then walked as it is for every request. */
#include "api/s3/policy.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/s3/policy_match.h"
#include "base/slice.h"

#define NAME_MAX_BYTES 256 /* of a condition's key */

struct ft_s3_policy {
    json_t *statements; /* an array of objects that check() has passed */
};

/* What a policy may speak of. Those of what this cloud has not are AWS's, and never asked. */
static const char *const ACTIONS[] = {"AbortMultipartUpload",
                                      "BypassGovernanceRetention",
                                      "CreateBucket",
                                      "DeleteBucket",
                                      "DeleteBucketOwnershipControls",
                                      "DeleteBucketPolicy",
                                      "DeleteBucketWebsite",
                                      "DeleteObject",
                                      "DeleteObjectTagging",
                                      "DeleteObjectVersion",
                                      "DeleteObjectVersionTagging",
                                      "GetAccelerateConfiguration",
                                      "GetBucketAcl",
                                      "GetBucketCORS",
                                      "GetBucketLocation",
                                      "GetBucketLogging",
                                      "GetBucketNotification",
                                      "GetBucketObjectLockConfiguration",
                                      "GetBucketOwnershipControls",
                                      "GetBucketPolicy",
                                      "GetBucketPolicyStatus",
                                      "GetBucketPublicAccessBlock",
                                      "GetBucketRequestPayment",
                                      "GetBucketTagging",
                                      "GetBucketVersioning",
                                      "GetBucketWebsite",
                                      "GetEncryptionConfiguration",
                                      "GetLifecycleConfiguration",
                                      "GetObject",
                                      "GetObjectAcl",
                                      "GetObjectAttributes",
                                      "GetObjectLegalHold",
                                      "GetObjectRetention",
                                      "GetObjectTagging",
                                      "GetObjectTorrent",
                                      "GetObjectVersion",
                                      "GetObjectVersionAcl",
                                      "GetObjectVersionAttributes",
                                      "GetObjectVersionTagging",
                                      "GetReplicationConfiguration",
                                      "ListAllMyBuckets",
                                      "ListBucket",
                                      "ListBucketMultipartUploads",
                                      "ListBucketVersions",
                                      "ListMultipartUploadParts",
                                      "PutAccelerateConfiguration",
                                      "PutBucketAcl",
                                      "PutBucketCORS",
                                      "PutBucketLogging",
                                      "PutBucketNotification",
                                      "PutBucketObjectLockConfiguration",
                                      "PutBucketOwnershipControls",
                                      "PutBucketPolicy",
                                      "PutBucketPublicAccessBlock",
                                      "PutBucketRequestPayment",
                                      "PutBucketTagging",
                                      "PutBucketVersioning",
                                      "PutBucketWebsite",
                                      "PutEncryptionConfiguration",
                                      "PutLifecycleConfiguration",
                                      "PutObject",
                                      "PutObjectAcl",
                                      "PutObjectLegalHold",
                                      "PutObjectRetention",
                                      "PutObjectTagging",
                                      "PutObjectVersionAcl",
                                      "PutObjectVersionTagging",
                                      "PutReplicationConfiguration",
                                      "ReplicateDelete",
                                      "ReplicateObject",
                                      "RestoreObject"};

/* Condition keys, in lower case; those that end in '/' have a tag's key behind it. narrows: a
 * policy with it is not public. */
static const struct condition_key {
    const char *name;
    bool narrows;
} KEYS[] = {
    {"aws:sourceip", true},
    {"aws:referer", false},
    {"aws:useragent", false},
    {"aws:securetransport", false},
    {"aws:currenttime", false},
    {"aws:epochtime", false},
    {"aws:principalarn", true},
    {"aws:principalaccount", true},
    {"aws:principaltype", false},
    {"aws:userid", true},
    {"aws:username", true},
    {"s3:authtype", false},
    {"s3:signatureversion", false},
    {"s3:prefix", false},
    {"s3:delimiter", false},
    {"s3:max-keys", false},
    {"s3:versionid", false},
    {"s3:locationconstraint", false},
    {"s3:existingobjecttag/", false},
    {"s3:requestobjecttag/", false},
    {"s3:requestobjecttagkeys", false},
    {"s3:x-amz-acl", false},
    {"s3:x-amz-grant-read", false},
    {"s3:x-amz-grant-write", false},
    {"s3:x-amz-grant-read-acp", false},
    {"s3:x-amz-grant-write-acp", false},
    {"s3:x-amz-grant-full-control", false},
    {"s3:x-amz-copy-source", false},
    {"s3:x-amz-metadata-directive", false},
    {"s3:x-amz-storage-class", false},
    {"s3:x-amz-content-sha256", false},
    {"s3:x-amz-server-side-encryption", false},
    {"s3:x-amz-server-side-encryption-aws-kms-key-id", false},
    {"s3:x-amz-server-side-encryption-customer-algorithm", false},
    {"s3:x-amz-object-ownership", false},
    {"s3:object-lock-mode", false},
    {"s3:object-lock-retain-until-date", false},
    {"s3:object-lock-remaining-retention-days", false},
    {"s3:object-lock-legal-hold", false},
};

/* ---- one value or an array of them ---- */

static size_t count(const json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : 1;
}
static const json_t *at(const json_t *v, size_t i)
{
    return json_is_array(v) ? json_array_get(v, i) : v;
}
static const char *text_at(const json_t *v, size_t i)
{
    return json_string_value(at(v, i));
}

/* ---- checking ---- */

static int check_texts(const json_t *v, const char *what, struct ft_err *err)
{
    if (count(v) == 0)
        return ft_err_set(err, FT_EINVAL, "%s is empty", what);
    for (size_t i = 0; i < count(v); i++)
        if (text_at(v, i) == NULL)
            return ft_err_set(err, FT_EINVAL, "%s must be a string or an array of strings", what);
    return 0;
}

static int check_principal(const json_t *v, struct ft_err *err)
{
    const char *all = json_string_value(v);
    if (all != NULL)
        return strcmp(all, "*") == 0 ? 0
                                     : ft_err_set(err, FT_EINVAL, "Invalid principal in policy");
    if (!json_is_object(v) || json_object_size(v) == 0)
        return ft_err_set(err, FT_EINVAL, "Missing required field Principal");
    const char *kind;
    json_t *who;
    json_object_foreach((json_t *)v, kind, who)
    {
        bool aws = strcmp(kind, "AWS") == 0;
        if (!aws && strcmp(kind, "CanonicalUser") != 0)
            return ft_err_set(err, FT_EINVAL, "Invalid principal in policy: %s", kind);
        int rc = check_texts(who, "Principal", err);
        for (size_t i = 0; rc == 0 && i < count(who); i++) {
            const char *w = text_at(who, i);
            if (*w == '\0' || (strncmp(w, "arn:", 4) == 0 &&
                               (!aws || !ft_s3_like("arn:aws*:iam::*:?*", w, false))))
                rc = ft_err_set(err, FT_EINVAL, "Invalid principal in policy: \"%.100s\"", w);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

static bool action_is_known(const char *pattern)
{
    if (strcmp(pattern, "*") == 0)
        return true;
    if (strncasecmp(pattern, "s3:", 3) != 0)
        return false;
    for (size_t i = 0; i < FT_COUNT(ACTIONS); i++)
        if (ft_s3_like(pattern + 3, ACTIONS[i], true))
            return true;
    return false;
}

static int check_actions(const json_t *v, struct ft_err *err)
{
    int rc = check_texts(v, "Action", err);
    for (size_t i = 0; rc == 0 && i < count(v); i++)
        if (!action_is_known(text_at(v, i)))
            rc = ft_err_set(err, FT_EINVAL, "Policy has invalid action: \"%.100s\"", text_at(v, i));
    return rc;
}

static int check_resources(const json_t *v, struct ft_err *err)
{
    int rc = check_texts(v, "Resource", err);
    for (size_t i = 0; rc == 0 && i < count(v); i++) {
        const char *r = text_at(v, i);
        if (strcmp(r, "*") != 0 && !ft_s3_like("arn:aws*:s3:*:*:?*", r, false))
            rc = ft_err_set(err, FT_EINVAL, "Policy has invalid resource: \"%.100s\"", r);
    }
    return rc;
}

static const struct condition_key *key_find(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(KEYS); i++) {
        size_t n = strlen(KEYS[i].name);
        bool open = KEYS[i].name[n - 1] == '/';
        if (open ? strncasecmp(KEYS[i].name, name, n) == 0 && name[n] != '\0'
                 : strcasecmp(KEYS[i].name, name) == 0)
            return &KEYS[i];
    }
    return NULL;
}

/* "ForAnyValue:StringLikeIfExists" taken apart. "Null" is NULL with is_null. */
struct operation {
    const struct ft_s3_operator *op;
    bool is_null, if_exists, every;
};
static bool operation_of(const char *name, struct operation *ret)
{
    *ret = (struct operation){.op = NULL};
    if (strncasecmp(name, "ForAnyValue:", 12) == 0) {
        name += 12;
    } else if (strncasecmp(name, "ForAllValues:", 13) == 0) {
        name += 13;
        ret->every = true;
    }
    if (strcmp(name, "Null") == 0) {
        ret->is_null = true;
        return true;
    }
    int n = (int)strlen(name);
    if (n > 8 && strcmp(name + n - 8, "IfExists") == 0) {
        n -= 8;
        ret->if_exists = true;
    }
    ret->op = ft_s3_operator_find(name, n);
    return ret->op != NULL;
}

/* Text of a wanted value: strings as they are; booleans and integers as JSON writes them. */
static const char *wanted_text(const json_t *v, char room[32])
{
    if (json_is_boolean(v))
        return json_is_true(v) ? "true" : "false";
    if (json_is_integer(v)) {
        snprintf(room, 32, "%lld", (long long)json_integer_value(v));
        return room;
    }
    return json_string_value(v);
}

static int check_conditions(const json_t *v, struct ft_err *err)
{
    if (!json_is_object(v))
        return ft_err_set(err, FT_EINVAL, "Condition must be an object");
    const char *op_name, *key;
    json_t *keys, *wanted;
    json_object_foreach((json_t *)v, op_name, keys)
    {
        struct operation op;
        if (!operation_of(op_name, &op))
            return ft_err_set(err, FT_EINVAL, "Invalid Condition type: %.100s", op_name);
        if (!json_is_object(keys))
            return ft_err_set(err, FT_EINVAL, "Condition %.100s must be an object", op_name);
        json_object_foreach(keys, key, wanted)
        {
            if (strlen(key) >= NAME_MAX_BYTES || key_find(key) == NULL)
                return ft_err_set(err, FT_EINVAL, "Policy has an invalid condition key: \"%.100s\"",
                                  key);
            for (size_t i = 0; i < count(wanted); i++) {
                char room[32];
                const char *w = wanted_text(at(wanted, i), room);
                if (w == NULL || (op.is_null ? strcmp(w, "true") != 0 && strcmp(w, "false") != 0
                                             : op.op->valid != NULL && !op.op->valid(w)))
                    return ft_err_set(err, FT_EINVAL, "Invalid value of condition %.100s of %.60s",
                                      key, op_name);
            }
        }
    }
    return 0;
}

static int check_statement(const json_t *s, struct ft_err *err)
{
    if (!json_is_object(s))
        return ft_err_set(err, FT_EINVAL, "Statement must be an object");
    const char *name;
    json_t *v;
    int rc = 0, parts = 0;
    json_object_foreach((json_t *)s, name, v)
    {
        if (strcmp(name, "Sid") == 0) {
            rc = json_is_string(v) ? 0 : ft_err_set(err, FT_EINVAL, "Sid must be a string");
        } else if (strcmp(name, "Effect") == 0) {
            const char *e = json_string_value(v);
            parts |= 1;
            if (e == NULL || (strcmp(e, "Allow") != 0 && strcmp(e, "Deny") != 0))
                rc = ft_err_set(err, FT_EINVAL, "Invalid effect");
        } else if (strcmp(name, "Principal") == 0 || strcmp(name, "NotPrincipal") == 0) {
            parts |= parts & 2 ? 16 : 2;
            rc = check_principal(v, err);
        } else if (strcmp(name, "Action") == 0 || strcmp(name, "NotAction") == 0) {
            parts |= parts & 4 ? 16 : 4;
            rc = check_actions(v, err);
        } else if (strcmp(name, "Resource") == 0 || strcmp(name, "NotResource") == 0) {
            parts |= parts & 8 ? 16 : 8;
            rc = check_resources(v, err);
        } else if (strcmp(name, "Condition") == 0) {
            rc = check_conditions(v, err);
        } else {
            rc = ft_err_set(err, FT_EINVAL, "Unknown field %.60s", name);
        }
        if (rc != 0)
            return rc;
    }
    if (parts != 15)
        return ft_err_set(err, FT_EINVAL,
                          "A statement has one each of Effect, Principal, Action "
                          "and Resource");
    if (json_object_get(s, "NotPrincipal") != NULL &&
        strcmp(json_string_value(json_object_get(s, "Effect")), "Allow") == 0)
        return ft_err_set(err, FT_EINVAL, "Allow with NotPrincipal is not supported");
    return 0;
}

static int check(const json_t *root, struct ft_err *err)
{
    if (!json_is_object(root))
        return ft_err_set(err, FT_EINVAL, "Policies must be valid JSON and an object");
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)root, name, v)
    {
        const char *s = json_string_value(v);
        if (strcmp(name, "Version") == 0) {
            if (s == NULL || (strcmp(s, "2012-10-17") != 0 && strcmp(s, "2008-10-17") != 0))
                return ft_err_set(err, FT_EINVAL, "Invalid policy Version");
        } else if (strcmp(name, "Id") == 0) {
            if (s == NULL)
                return ft_err_set(err, FT_EINVAL, "Id must be a string");
        } else if (strcmp(name, "Statement") != 0) {
            return ft_err_set(err, FT_EINVAL, "Unknown field %.60s", name);
        }
    }
    const json_t *list = json_object_get(root, "Statement");
    if (list == NULL || count(list) == 0)
        return ft_err_set(err, FT_EINVAL, "Missing required field Statement");
    if (count(list) > FT_S3_POLICY_STATEMENTS_MAX)
        return ft_err_set(err, FT_EINVAL, "More than %d statements", FT_S3_POLICY_STATEMENTS_MAX);
    for (size_t i = 0; i < count(list); i++) {
        int rc = check_statement(at(list, i), err);
        if (rc != 0)
            return ft_err_wrap(err, "Statement %zu", i + 1);
    }
    return 0;
}

int ft_s3_policy_parse(const char *text, size_t n, struct ft_s3_policy **ret, struct ft_err *err)
{
    if (n > FT_S3_POLICY_BYTES_MAX)
        return ft_err_set(err, FT_ELIMIT, "Policies are at most %u bytes", FT_S3_POLICY_BYTES_MAX);
    json_error_t e;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL)
        return ft_err_set(err, FT_EINVAL, "Policies must be valid JSON: line %d: %s", e.line,
                          e.text);
    int rc = check(root, err);
    struct ft_s3_policy *p = rc == 0 ? malloc(sizeof(*p)) : NULL;
    if (p == NULL) {
        json_decref(root);
        return rc != 0 ? rc : ft_err_set(err, FT_ENOMEM, "policy");
    }
    json_t *list = json_object_get(root, "Statement");
    p->statements = json_is_array(list) ? json_incref(list) : json_pack("[O]", list);
    json_decref(root);
    if (p->statements == NULL) {
        free(p);
        return ft_err_set(err, FT_ENOMEM, "policy");
    }
    *ret = p;
    return 0;
}

void ft_s3_policy_free(struct ft_s3_policy *p)
{
    if (p == NULL)
        return;
    json_decref(p->statements);
    free(p);
}

/* ---- asking ---- */

static bool is_who(const char *who, const struct ft_s3_policy_ask *ask)
{
    if (strcmp(who, "*") == 0)
        return true;
    if (ask->project == NULL)
        return false;
    if (strcmp(who, ask->project) == 0)
        return true;
    const char *iam = strncmp(who, "arn:", 4) == 0 ? strstr(who, ":iam::") : NULL;
    if (iam == NULL)
        return false;
    const char *project = iam + 6, *colon = strchr(project, ':');
    size_t n = colon != NULL ? (size_t)(colon - project) : 0;
    if (colon == NULL || strlen(ask->project) != n || memcmp(project, ask->project, n) != 0)
        return false;
    if (strcmp(colon + 1, "root") == 0)
        return true;
    return strncmp(colon + 1, "user/", 5) == 0 && ask->key != NULL &&
           strcmp(colon + 6, ask->key) == 0;
}

static bool principal_has(const json_t *v, const struct ft_s3_policy_ask *ask)
{
    if (json_is_string(v))
        return true; /* "*" alone passes check() */
    const char *kind;
    json_t *who;
    json_object_foreach((json_t *)v, kind, who)
    {
        for (size_t i = 0; i < count(who); i++)
            if (is_who(text_at(who, i), ask))
                return true;
    }
    return false;
}

static bool actions_have(const json_t *v, const char *action)
{
    for (size_t i = 0; i < count(v); i++)
        if (ft_s3_like(text_at(v, i), action, true))
            return true;
    return false;
}

/* Behind "arn:aws:s3:::". */
static const char *resource_name(const char *r)
{
    for (int colons = 0; *r != '\0' && colons < 5 && strcmp(r, "*") != 0; r++)
        colons += *r == ':';
    return r;
}

static bool resources_have(const json_t *v, const char *resource)
{
    for (size_t i = 0; i < count(v); i++)
        if (ft_s3_like(resource_name(text_at(v, i)), resource, false))
            return true;
    return false;
}

/* The name that ask->value is asked with: lower case up to the '/' of tags. */
static void key_name(const char *key, char ret[NAME_MAX_BYTES])
{
    size_t i = 0;
    bool lower = true;
    for (; key[i] != '\0' && i + 1 < NAME_MAX_BYTES; i++) {
        ret[i] = lower ? (char)tolower((unsigned char)key[i]) : key[i];
        lower = lower && key[i] != '/';
    }
    ret[i] = '\0';
}

static bool matches_one(const struct ft_s3_operator *op, const json_t *wanted, const char *got)
{
    for (size_t i = 0; i < count(wanted); i++) {
        char room[32];
        if (op->match(wanted_text(at(wanted, i), room), got))
            return true;
    }
    return false;
}

static bool condition_holds(const struct operation *op, const char *key, const json_t *wanted,
                            const struct ft_s3_policy_ask *ask)
{
    char name[NAME_MAX_BYTES];
    key_name(key, name);
    const char *first = ask->value != NULL ? ask->value(ask->ctx, name, 0) : NULL;
    if (op->is_null) {
        for (size_t i = 0; i < count(wanted); i++) {
            char room[32];
            if ((strcmp(wanted_text(at(wanted, i), room), "true") == 0) == (first == NULL))
                return true;
        }
        return false;
    }
    if (first == NULL) /* a "not" holds of what is not there; so does all of nothing */
        return op->if_exists || op->every || op->op->negative;
    bool any = false, all = true;
    for (int i = 0; i < FT_S3_POLICY_VALUES_MAX; i++) {
        const char *got = ask->value(ask->ctx, name, i);
        if (got == NULL)
            break;
        bool m = matches_one(op->op, wanted, got);
        any = any || m;
        all = all && m;
    }
    bool match = op->every ? all : any;
    return op->op->negative ? !any : match;
}

static bool conditions_hold(const json_t *v, const struct ft_s3_policy_ask *ask)
{
    const char *op_name, *key;
    json_t *keys, *wanted;
    json_object_foreach((json_t *)v, op_name, keys)
    {
        struct operation op;
        if (!operation_of(op_name, &op))
            return false;
        json_object_foreach(keys, key, wanted)
        {
            if (!condition_holds(&op, key, wanted, ask))
                return false;
        }
    }
    return true;
}

static bool statement_matches(const json_t *s, const struct ft_s3_policy_ask *ask)
{
    const json_t *v = json_object_get(s, "Principal");
    if (v != NULL ? !principal_has(v, ask) : principal_has(json_object_get(s, "NotPrincipal"), ask))
        return false;
    v = json_object_get(s, "Action");
    if (v != NULL ? !actions_have(v, ask->action)
                  : actions_have(json_object_get(s, "NotAction"), ask->action))
        return false;
    v = json_object_get(s, "Resource");
    if (v != NULL ? !resources_have(v, ask->resource)
                  : resources_have(json_object_get(s, "NotResource"), ask->resource))
        return false;
    return conditions_hold(json_object_get(s, "Condition"), ask);
}

static bool is_allow(const json_t *s)
{
    return strcmp(json_string_value(json_object_get(s, "Effect")), "Allow") == 0;
}

enum ft_s3_verdict ft_s3_policy_ask(const struct ft_s3_policy *p,
                                    const struct ft_s3_policy_ask *ask)
{
    enum ft_s3_verdict verdict = FT_S3_SILENT;
    for (size_t i = 0; i < json_array_size(p->statements); i++) {
        const json_t *s = json_array_get(p->statements, i);
        bool allow = is_allow(s);
        if ((allow && verdict == FT_S3_ALLOW) || !statement_matches(s, ask))
            continue;
        if (!allow)
            return FT_S3_DENY;
        verdict = FT_S3_ALLOW;
    }
    return verdict;
}

static bool narrowed(const json_t *conditions)
{
    const char *op_name, *key;
    json_t *keys, *wanted;
    json_object_foreach((json_t *)conditions, op_name, keys)
    {
        struct operation op;
        if (!operation_of(op_name, &op) || op.is_null || op.if_exists || op.op->negative)
            continue;
        json_object_foreach(keys, key, wanted)
        {
            const struct condition_key *k = key_find(key);
            bool all = false; /* "0.0.0.0/0" and "*" narrow nothing */
            for (size_t i = 0; i < count(wanted); i++) {
                char room[32];
                const char *w = wanted_text(at(wanted, i), room);
                all = all || strcmp(w, "*") == 0 || ft_str_ends(w, "/0");
            }
            if (k != NULL && k->narrows && !all)
                return true;
        }
    }
    return false;
}

bool ft_s3_policy_is_public(const struct ft_s3_policy *p)
{
    struct ft_s3_policy_ask nobody = {.project = NULL};
    for (size_t i = 0; i < json_array_size(p->statements); i++) {
        const json_t *s = json_array_get(p->statements, i);
        const json_t *who = json_object_get(s, "Principal");
        if (is_allow(s) && who != NULL && principal_has(who, &nobody) &&
            !narrowed(json_object_get(s, "Condition")))
            return true;
    }
    return false;
}

const char *ft_s3_policy_stray(const struct ft_s3_policy *p, const char *bucket)
{
    for (size_t i = 0; i < json_array_size(p->statements); i++) {
        const json_t *v = json_object_get(json_array_get(p->statements, i), "Resource");
        for (size_t k = 0; k < count(v); k++) {
            char of[FT_S3_POLICY_BYTES_MAX + 1];
            const char *name = resource_name(text_at(v, k));
            snprintf(of, sizeof of, "%.*s", (int)strcspn(name, "/"), name);
            if (!ft_s3_like(of, bucket, false))
                return text_at(v, k);
        }
    }
    return NULL;
}
