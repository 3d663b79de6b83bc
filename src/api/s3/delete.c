/* DeleteObject and DeleteObjects. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/s3/object.h"
#include "api/s3/ops.h"
#include "net/date.h"

#define DELETES_MAX 1000 /* objects of one request */

static int may_remove(struct ft_s3_call *c, struct ft_blob_delete *d)
{
    const struct ft_s3_ask ask = {.action = d->version != NULL ? "s3:DeleteObjectVersion"
                                                               : "s3:DeleteObject",
                                  .bucket = &c->at,
                                  .key = d->key,
                                  .version = d->version};
    if (ft_s3_may(c, &ask) != 0)
        return -1;
    d->bypass = ft_s3_bypasses(c, d->key, d->version);
    return c->failed ? -1 : 0;
}

/* What is not there is removed well, whatever was expected of it; but a marker that stands for the
 * key has neither the ETag nor the size that a condition may name. */
static int remove_it(struct ft_s3_call *c, const struct ft_blob_delete *d,
                     struct ft_blob_deleted *ret)
{
    const struct ft_blob_condition *want = &d->condition;
    struct ft_err err = {0};
    struct ft_s3_marker m;
    if (ft_blob_remove(c->blob, d, ret, &err) == 0)
        return 0;
    if (ft_blob_why(&err) != FT_BLOB_NO_KEY)
        return ft_s3_fail_err(c, &err);
    ft_s3_marker_find(c, d->key, &m);
    if (m.there && d->version == NULL &&
        ((want->if_match != NULL && strcmp(want->if_match, "*") != 0) || want->if_size_set ||
         (want->if_modified_set && want->if_modified_s != m.modified_ns / 1000000000)))
        return ft_s3_fail(c, FT_S3_PreconditionFailed, NULL);
    return 0;
}

int ft_s3_object_delete(struct ft_s3_call *c)
{
    struct ft_blob_delete d = {.bucket = c->bucket, .key = c->key};
    if (ft_s3_version_param(c, &d.version) != 0 || may_remove(c, &d) != 0)
        return -1;
    ft_s3_write_condition(c, &d.condition);
    const char *size = ft_s3_in(c, "x-amz-if-match-size"),
               *modified = ft_s3_in(c, "x-amz-if-match-last-modified-time");
    if (size != NULL) {
        if (!ft_s3_size_read(size, &d.condition.if_size))
            return ft_s3_fail(c, FT_S3_InvalidArgument, "x-amz-if-match-size is no size");
        d.condition.if_size_set = true;
    }
    if (modified != NULL) {
        if (!ft_date_parse_http(modified, &d.condition.if_modified_s) &&
            !ft_date_parse_iso(modified, &d.condition.if_modified_s))
            return ft_s3_fail(c, FT_S3_InvalidArgument,
                              "x-amz-if-match-last-modified-time is no date");
        d.condition.if_modified_set = true;
    }
    struct ft_blob_deleted done = {0};
    if (remove_it(c, &d, &done) != 0)
        return -1;
    if (done.is_marker)
        ft_s3_out(c, "x-amz-delete-marker", "true");
    ft_s3_out_version(c, done.version);
    return ft_s3_answer_empty(c, 204);
}

/* ---- many ---- */

static void write_error(struct ft_s3_call *c, struct ft_xml *x, const struct ft_blob_delete *d)
{
    ft_xml_begin(x, "Error");
    ft_xml_text(x, "Key", d->key);
    ft_xml_text(x, "VersionId", d->version);
    ft_xml_text(x, "Code", ft_s3_code_info(c->code)->name);
    ft_xml_text(x, "Message", c->message);
    ft_xml_end(x);
    c->failed = false; /* of this one alone */
    c->n_extras = 0;
}

/* <Object><Key/><VersionId/><ETag/><LastModifiedTime/><Size/></Object> */
static int read_object(struct ft_s3_call *c, const struct ft_xml_node *o, struct ft_blob_delete *d)
{
    d->key = ft_xml_child_text(o, "Key");
    d->version = ft_xml_child_text(o, "VersionId");
    if (d->version != NULL && d->version[0] == '\0')
        d->version = NULL;
    if (d->key == NULL || d->key[0] == '\0')
        return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    if (strlen(d->key) > FT_BLOB_KEY_MAX)
        return ft_s3_fail(c, FT_S3_KeyTooLongError, NULL);
    if (d->version != NULL && strlen(d->version) > FT_BLOB_VERSION_MAX)
        return ft_s3_fail(c, FT_S3_NoSuchVersion, NULL);
    d->condition.if_match = ft_s3_etag_bare(c, ft_xml_child_text(o, "ETag"));
    const char *size = ft_xml_child_text(o, "Size"),
               *modified = ft_xml_child_text(o, "LastModifiedTime");
    if (size != NULL) {
        if (!ft_s3_size_read(size, &d->condition.if_size))
            return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
        d->condition.if_size_set = true;
    }
    if (modified != NULL) {
        d->condition.if_modified_set = true;
        if (!ft_date_parse_http(modified, &d->condition.if_modified_s) &&
            !ft_date_parse_iso(modified, &d->condition.if_modified_s))
            return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    }
    return 0;
}

static void remove_one(struct ft_s3_call *c, const struct ft_xml_node *o, bool quiet,
                       struct ft_xml *x)
{
    struct ft_blob_delete d = {.bucket = c->bucket};
    struct ft_blob_deleted done = {0};
    if (read_object(c, o, &d) != 0 || may_remove(c, &d) != 0 || remove_it(c, &d, &done) != 0) {
        write_error(c, x, &d);
        return;
    }
    if (quiet)
        return;
    ft_xml_begin(x, "Deleted");
    ft_xml_text(x, "Key", d.key);
    ft_xml_text(x, "VersionId", d.version);
    if (done.is_marker) {
        ft_xml_bool(x, "DeleteMarker", true);
        ft_xml_text(x, "DeleteMarkerVersionId", done.version);
    }
    ft_xml_end(x);
}

int ft_s3_objects_delete(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    if (ft_s3_body_xml(c, "Delete", &root) != 0)
        return -1;
    const char *quiet = ft_xml_child_text(root, "Quiet");
    int n = 0;
    for (const struct ft_xml_node *o = root->first; o != NULL; o = o->next)
        n += strcmp(o->name, "Object") == 0;
    if (n == 0 || n > DELETES_MAX)
        return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "DeleteResult", FT_S3_XMLNS);
    for (const struct ft_xml_node *o = root->first; o != NULL; o = o->next)
        if (strcmp(o->name, "Object") == 0)
            remove_one(c, o, quiet != NULL && strcasecmp(quiet, "true") == 0, &x);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}
