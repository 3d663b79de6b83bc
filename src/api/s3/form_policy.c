/* Policies of forms: {"expiration": date, "conditions": [{"name": "value"}, ["eq", "$name",
 * "value"], ["starts-with", "$name", "value"], ["content-length-range", min, max], ...]}.
 * (docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html) */
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "api/s3/form.h"
#include "net/date.h"

const char *ft_s3_form_field(const struct ft_s3_form *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (strcasecmp(f->fields[i].name, name) == 0)
            return f->fields[i].value;
    return NULL;
}

static int bad(struct ft_s3_call *c, const char *what)
{
    return ft_s3_fail(c, FT_S3_InvalidPolicyDocument, "Invalid Policy: %s", what);
}

static int denied(struct ft_s3_call *c, const char *what)
{
    return ft_s3_fail(c, FT_S3_AccessDenied, "Invalid according to Policy: %s", what);
}

/* One condition on one field; marks the field as named. */
static int meet(struct ft_s3_call *c, struct ft_s3_form *f, const char *name, const char *value,
                bool starts, bool *named)
{
    bool bucket = strcasecmp(name, "bucket") == 0;
    const char *is = bucket                         ? c->bucket
                     : strcasecmp(name, "key") == 0 ? c->key /* with the file's name put in */
                                                    : ft_s3_form_field(f, name);
    for (int i = 0; i < f->n; i++)
        if (strcasecmp(f->fields[i].name, name) == 0)
            named[i] = true;
    if (bucket)
        named[f->n] = true;
    if (is == NULL)
        is = "";
    bool ok = starts ? strncmp(is, value, strlen(value)) == 0 : strcmp(is, value) == 0;
    if (starts && ok && value[0] == '\0' && ft_s3_form_field(f, name) == NULL && !bucket)
        ok = false; /* anything, but there */
    return ok ? 0 : denied(c, "Policy Condition failed");
}

static int meet_object(struct ft_s3_call *c, struct ft_s3_form *f, json_t *o, bool *named)
{
    const char *name;
    json_t *value;
    if (json_object_size(o) == 0)
        return bad(c, "an empty condition");
    json_object_foreach(o, name, value)
    {
        if (!json_is_string(value))
            return bad(c, "a condition's value is no text");
        if (meet(c, f, name, json_string_value(value), false, named) != 0)
            return -1;
    }
    return 0;
}

static int meet_array(struct ft_s3_call *c, struct ft_s3_form *f, json_t *a, bool *named)
{
    const char *how = json_string_value(json_array_get(a, 0));
    json_t *first = json_array_get(a, 1), *second = json_array_get(a, 2);
    if (how == NULL || json_array_size(a) != 3)
        return bad(c, "a condition is not of three");
    if (strcasecmp(how, "content-length-range") == 0) {
        if (!json_is_integer(first) || !json_is_integer(second) || json_integer_value(first) < 0 ||
            json_integer_value(second) < json_integer_value(first))
            return bad(c, "content-length-range is no range");
        f->size_min = FT_MAX(f->size_min, json_integer_value(first));
        f->size_max = FT_MIN(f->size_max, json_integer_value(second));
        return 0;
    }
    bool starts = strcasecmp(how, "starts-with") == 0;
    const char *name = json_string_value(first), *value = json_string_value(second);
    if ((!starts && strcasecmp(how, "eq") != 0) || name == NULL || name[0] != '$' || value == NULL)
        return bad(c, "an unknown condition");
    return meet(c, f, name + 1, value, starts, named);
}

/* Fields that need no condition. */
static bool is_free(const char *name)
{
    static const char *const names[] = {"AWSAccessKeyId", "signature", "policy", "file",
                                        "x-amz-signature"};
    for (size_t i = 0; i < FT_COUNT(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    /* checksums bind more, not less: clients that add one have no condition for it */
    return strncasecmp(name, "x-ignore-", 9) == 0 || strncasecmp(name, "x-amz-checksum-", 15) == 0;
}

static int check_all(struct ft_s3_call *c, json_t *root, struct ft_s3_form *f)
{
    const char *expiration = json_string_value(json_object_get(root, "expiration"));
    json_t *conditions = json_object_get(root, "conditions"), *one;
    int64_t until;
    size_t i;
    bool named[FT_S3_FORM_FIELDS_MAX + 1] = {false};
    if (expiration == NULL || strchr(expiration, 'T') == NULL ||
        !ft_date_parse_iso(expiration, &until))
        return bad(c, "expiration is missing, or no date");
    if (!json_is_array(conditions) || json_array_size(conditions) == 0 ||
        json_array_size(conditions) > FT_S3_CONDITIONS_MAX)
        return bad(c, "conditions are missing, or too many");
    if (until <= c->now_s)
        return denied(c, "Policy expired.");
    json_array_foreach(conditions, i, one)
    {
        int rc = json_is_object(one)  ? meet_object(c, f, one, named)
                 : json_is_array(one) ? meet_array(c, f, one, named)
                                      : bad(c, "an unknown condition");
        if (rc != 0)
            return -1;
    }
    if (!named[f->n])
        return denied(c, "the bucket is not named");
    for (int k = 0; k < f->n; k++) /* the first was held to the conditions */
        if (ft_s3_form_field(f, f->fields[k].name) != f->fields[k].value)
            return denied(c, ft_s3_printf(c, "Field given twice: %s", f->fields[k].name));
    for (int k = 0; k < f->n; k++)
        if (!named[k] && !is_free(f->fields[k].name) &&
            strcasecmp(f->fields[k].name, "bucket") != 0)
            return denied(c, ft_s3_printf(c, "Extra input fields: %s", f->fields[k].name));
    return 0;
}

int ft_s3_form_policy(struct ft_s3_call *c, const char *json, size_t n, struct ft_s3_form *f)
{
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
    int rc = json_is_object(root) ? check_all(c, root, f) : bad(c, "it is no JSON object");
    json_decref(root);
    return rc;
}
