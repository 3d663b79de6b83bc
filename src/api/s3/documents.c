/* The smaller documents: object lock, versioning, the public access block, ownership. */
#include "api/s3/documents.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/decimal.h"
#include "net/date.h"

#define LOCK_DAYS_MAX  36500
#define LOCK_YEARS_MAX 100

static int expected(const struct ft_xml_node *n, const char *what, struct ft_err *err)
{
    return ft_err_set(err, FT_ECORRUPT, "line %d: %s was expected", n->line, what);
}

static bool is(const struct ft_xml_node *n, const char *name)
{
    return strcmp(n->name, name) == 0;
}

/* ---- object lock ---- */

static const char *const MODES[] = {"", "GOVERNANCE", "COMPLIANCE"};

bool ft_s3_lock_mode(const char *name, enum ft_blob_lock *ret)
{
    for (int m = FT_BLOB_LOCK_GOVERNANCE; m <= FT_BLOB_LOCK_COMPLIANCE; m++)
        if (strcmp(MODES[m], name) == 0) {
            *ret = (enum ft_blob_lock)m;
            return true;
        }
    return false;
}

const char *ft_s3_lock_mode_name(enum ft_blob_lock mode)
{
    return MODES[mode];
}

static int read_period(const char *text, int64_t most, int64_t *ret, struct ft_err *err)
{
    if (!ft_decimal_parse(text, 0, ret) || *ret < 1 || *ret > most)
        return ft_err_set(err, FT_ELIMIT,
                          "Default retention period must be a positive integer "
                          "value");
    return 0;
}

int ft_s3_lock_read(const struct ft_xml_node *root, struct ft_s3_lock *ret, struct ft_err *err)
{
    struct ft_s3_lock lock = {.mode = FT_BLOB_LOCK_NONE};
    const char *enabled = ft_xml_child_text(root, "ObjectLockEnabled");
    const struct ft_xml_node *rule = ft_xml_child(root, "Rule");
    if (!is(root, "ObjectLockConfiguration") || enabled == NULL || strcmp(enabled, "Enabled") != 0)
        return expected(root, "ObjectLockConfiguration with ObjectLockEnabled Enabled", err);
    lock.enabled = true;
    if (rule != NULL) {
        const struct ft_xml_node *d = ft_xml_child(rule, "DefaultRetention");
        const char *mode = ft_xml_child_text(d, "Mode");
        const char *days = ft_xml_child_text(d, "Days"), *years = ft_xml_child_text(d, "Years");
        if (mode == NULL || !ft_s3_lock_mode(mode, &lock.mode) || (days == NULL) == (years == NULL))
            return expected(rule, "DefaultRetention with a Mode and Days or Years", err);
        int rc = days != NULL ? read_period(days, LOCK_DAYS_MAX, &lock.days, err)
                              : read_period(years, LOCK_YEARS_MAX, &lock.years, err);
        if (rc != 0)
            return rc;
    }
    *ret = lock;
    return 0;
}

void ft_s3_lock_write(const struct ft_s3_lock *lock, struct ft_xml *x)
{
    ft_xml_root(x, "ObjectLockConfiguration", FT_S3_XMLNS);
    ft_xml_text(x, "ObjectLockEnabled", "Enabled");
    if (lock->mode != FT_BLOB_LOCK_NONE) {
        ft_xml_begin(x, "Rule");
        ft_xml_begin(x, "DefaultRetention");
        ft_xml_text(x, "Mode", MODES[lock->mode]);
        if (lock->days > 0)
            ft_xml_int(x, "Days", lock->days);
        else
            ft_xml_int(x, "Years", lock->years);
        ft_xml_end(x);
        ft_xml_end(x);
    }
    ft_xml_end(x);
}

int64_t ft_s3_lock_until(const struct ft_s3_lock *lock, int64_t now_s)
{
    if (lock->days > 0)
        return now_s + lock->days * FT_S3_DAY_S;
    time_t now = (time_t)now_s;
    struct tm tm;
    gmtime_r(&now, &tm);
    tm.tm_year += (int)lock->years;
    return (int64_t)timegm(&tm);
}

int ft_s3_retention_read(const struct ft_xml_node *root, int64_t now_s, struct ft_blob_hold *ret,
                         struct ft_err *err)
{
    struct ft_blob_hold hold = {.mode = FT_BLOB_LOCK_NONE};
    const char *mode = ft_xml_child_text(root, "Mode");
    const char *until = ft_xml_child_text(root, "RetainUntilDate");
    if (!is(root, "Retention") || (mode == NULL) != (until == NULL))
        return expected(root, "Retention with a Mode and a RetainUntilDate", err);
    if (mode != NULL) {
        if (!ft_s3_lock_mode(mode, &hold.mode) || !ft_date_parse_iso(until, &hold.until_s))
            return expected(root, "Retention with a Mode and a RetainUntilDate", err);
        if (hold.until_s <= now_s)
            return ft_err_set(err, FT_EINVAL, "The retain until date must be in the future!");
    }
    *ret = hold;
    return 0;
}

void ft_s3_retention_write(const struct ft_blob_hold *hold, struct ft_xml *x)
{
    ft_xml_root(x, "Retention", FT_S3_XMLNS);
    ft_xml_text(x, "Mode", MODES[hold->mode]);
    ft_xml_time(x, "RetainUntilDate", hold->until_s * 1000000000);
    ft_xml_end(x);
}

int ft_s3_legal_hold_read(const struct ft_xml_node *root, bool *ret, struct ft_err *err)
{
    const char *status = ft_xml_child_text(root, "Status");
    if (!is(root, "LegalHold") || status == NULL ||
        (strcmp(status, "ON") != 0 && strcmp(status, "OFF") != 0))
        return expected(root, "LegalHold with a Status, ON or OFF,", err);
    *ret = strcmp(status, "ON") == 0;
    return 0;
}

void ft_s3_legal_hold_write(bool on, struct ft_xml *x)
{
    ft_xml_root(x, "LegalHold", FT_S3_XMLNS);
    ft_xml_text(x, "Status", on ? "ON" : "OFF");
    ft_xml_end(x);
}

/* ---- versioning ---- */

int ft_s3_versioning_read(const struct ft_xml_node *root, enum ft_blob_versioning *ret,
                          struct ft_err *err)
{
    const char *status = ft_xml_child_text(root, "Status");
    const char *mfa = ft_xml_child_text(root, "MfaDelete");
    if (!is(root, "VersioningConfiguration") || status == NULL ||
        (strcmp(status, "Enabled") != 0 && strcmp(status, "Suspended") != 0))
        return expected(root, "VersioningConfiguration with a Status, Enabled or Suspended,", err);
    if (mfa != NULL && strcmp(mfa, "Disabled") != 0)
        return ft_err_set(err, FT_EUNSUPPORTED, "MfaDelete is not supported");
    *ret = *status == 'E' ? FT_BLOB_VERSIONED : FT_BLOB_SUSPENDED;
    return 0;
}

void ft_s3_versioning_write(enum ft_blob_versioning v, struct ft_xml *x)
{
    ft_xml_root(x, "VersioningConfiguration", FT_S3_XMLNS);
    if (v != FT_BLOB_UNVERSIONED)
        ft_xml_text(x, "Status", v == FT_BLOB_VERSIONED ? "Enabled" : "Suspended");
    ft_xml_end(x);
}

/* ---- the public access block ---- */

static int read_bool(const struct ft_xml_node *n, bool *ret, struct ft_err *err)
{
    if (strcasecmp(n->text, "true") != 0 && strcasecmp(n->text, "false") != 0)
        return expected(n, "true or false", err);
    *ret = strcasecmp(n->text, "true") == 0;
    return 0;
}

int ft_s3_block_read(const struct ft_xml_node *root, struct ft_s3_block *ret, struct ft_err *err)
{
    struct ft_s3_block b = {false, false, false, false};
    int rc = is(root, "PublicAccessBlockConfiguration")
                 ? 0
                 : expected(root, "PublicAccessBlockConfiguration", err);
    for (const struct ft_xml_node *n = root->first; n != NULL && rc == 0; n = n->next) {
        bool *at = is(n, "BlockPublicAcls")         ? &b.acls
                   : is(n, "IgnorePublicAcls")      ? &b.ignore_acls
                   : is(n, "BlockPublicPolicy")     ? &b.policy
                   : is(n, "RestrictPublicBuckets") ? &b.restrict_buckets
                                                    : NULL;
        rc = at != NULL ? read_bool(n, at, err) : expected(n, "one of four settings", err);
    }
    if (rc == 0)
        *ret = b;
    return rc;
}

void ft_s3_block_write(const struct ft_s3_block *b, struct ft_xml *x)
{
    ft_xml_root(x, "PublicAccessBlockConfiguration", FT_S3_XMLNS);
    ft_xml_bool(x, "BlockPublicAcls", b->acls);
    ft_xml_bool(x, "IgnorePublicAcls", b->ignore_acls);
    ft_xml_bool(x, "BlockPublicPolicy", b->policy);
    ft_xml_bool(x, "RestrictPublicBuckets", b->restrict_buckets);
    ft_xml_end(x);
}

/* ---- ownership ---- */

static const char *const OWNERSHIPS[] = {"ObjectWriter", "BucketOwnerPreferred",
                                         "BucketOwnerEnforced"};

bool ft_s3_ownership_find(const char *name, enum ft_s3_ownership *ret)
{
    for (size_t i = 0; i < FT_COUNT(OWNERSHIPS); i++)
        if (strcmp(OWNERSHIPS[i], name) == 0) {
            *ret = (enum ft_s3_ownership)i;
            return true;
        }
    return false;
}

const char *ft_s3_ownership_name(enum ft_s3_ownership o)
{
    return OWNERSHIPS[o];
}

int ft_s3_ownership_read(const struct ft_xml_node *root, enum ft_s3_ownership *ret,
                         struct ft_err *err)
{
    const struct ft_xml_node *rule = ft_xml_child(root, "Rule");
    const char *name = ft_xml_child_text(rule, "ObjectOwnership");
    if (!is(root, "OwnershipControls") || rule == NULL || rule->next != NULL || name == NULL ||
        !ft_s3_ownership_find(name, ret))
        return expected(root, "OwnershipControls with one Rule of ObjectOwnership", err);
    return 0;
}

void ft_s3_ownership_write(enum ft_s3_ownership o, struct ft_xml *x)
{
    ft_xml_root(x, "OwnershipControls", FT_S3_XMLNS);
    ft_xml_begin(x, "Rule");
    ft_xml_text(x, "ObjectOwnership", OWNERSHIPS[o]);
    ft_xml_end(x);
    ft_xml_end(x);
}
