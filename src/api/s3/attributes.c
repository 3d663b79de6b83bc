/* GetObjectAttributes: what is asked for of an object, without its bytes. */
#include <string.h>
#include <strings.h>

#include "api/s3/object.h"
#include "api/s3/ops.h"
#include "net/date.h"

enum { ETAG = 1, CHECKSUM = 2, PARTS = 4, CLASS = 8, SIZE = 16 };

static int wanted(struct ft_s3_call *c, int *ret)
{
    static const char *const names[] = {"ETag", "Checksum", "ObjectParts", "StorageClass",
                                        "ObjectSize"};
    *ret = 0;
    for (int i = 0; i < c->x->n_fields; i++) {
        if (strcasecmp(c->x->fields[i].name, "x-amz-object-attributes") != 0)
            continue;
        for (const char *p = c->x->fields[i].value; *(p += strspn(p, ", ")) != '\0';) {
            size_t n = strcspn(p, ", "), k = 0;
            while (k < FT_COUNT(names) &&
                   (strlen(names[k]) != n || strncasecmp(p, names[k], n) != 0))
                k++;
            if (k == FT_COUNT(names))
                return ft_s3_fail(c, FT_S3_InvalidArgument, "Invalid attribute name specified.");
            *ret |= 1 << k;
            p += n;
        }
    }
    return *ret != 0 ? 0
                     : ft_s3_fail(c, FT_S3_InvalidArgument,
                                  "The x-amz-object-attributes header specifying the attributes to "
                                  "be retrieved is either missing or empty");
}

static int header_int(struct ft_s3_call *c, const char *name, int64_t absent, int64_t *ret)
{
    const char *v = ft_s3_in(c, name);
    size_t n = v != NULL ? strlen(v) : 0;
    *ret = absent;
    if (v == NULL)
        return 0;
    if (n == 0 || n > 9 || strspn(v, "0123456789") != n)
        return ft_s3_fail(c, FT_S3_InvalidArgument, "%s: no number", name);
    *ret = 0;
    for (; *v != '\0'; v++)
        *ret = *ret * 10 + (*v - '0');
    return 0;
}

static int write_parts(struct ft_s3_call *c, struct ft_blob_reader *r,
                       const struct ft_blob_info *info, struct ft_xml *x)
{
    int64_t max, after;
    if (header_int(c, "x-amz-max-parts", FT_BLOB_LIST_MAX, &max) != 0 ||
        header_int(c, "x-amz-part-number-marker", 0, &after) != 0)
        return -1;
    max = FT_MIN(max, (int64_t)FT_BLOB_LIST_MAX);
    ft_xml_begin(x, "ObjectParts");
    ft_xml_int(x, "PartsCount", info->n_parts);
    /* parts have their checksums, or there is nothing to say of them (AWS leaves them away then
     * too; their sizes are told all the same here) */
    int64_t last = after, n = 0;
    struct ft_buf list;
    ft_buf_init(&list, FT_S3_ANSWER_MAX);
    for (int64_t i = after + 1; i <= FT_BLOB_PART_MAX && i <= info->n_parts && n < max; i++, n++) {
        struct ft_blob_part p;
        struct ft_err err = {0};
        int64_t offset;
        const char *text;
        if (ft_blob_part_of(r, (int)i, &p, &offset, &err) != 0) {
            ft_buf_fini(&list);
            return ft_s3_fail_err(c, &err);
        }
        ft_buf_addf(&list, "<Part><PartNumber>%d</PartNumber><Size>%lld</Size>", (int)i,
                    (long long)p.size);
        enum ft_s3_sum sum = ft_s3_sum_of(p.fields, p.n_fields, &text);
        if (sum != FT_S3_SUM_NONE)
            ft_buf_addf(&list, "<%s>%s</%s>", ft_s3_sums[sum].element, text,
                        ft_s3_sums[sum].element);
        ft_buf_add_str(&list, "</Part>");
        last = i;
    }
    ft_xml_int(x, "PartNumberMarker", after);
    ft_xml_int(x, "NextPartNumberMarker", last);
    ft_xml_int(x, "MaxParts", max);
    ft_xml_bool(x, "IsTruncated", last < info->n_parts);
    if (list.failed)
        x->buf.failed = list.failed;
    else if (list.len > 0)
        ft_buf_add(&x->buf, list.data, list.len);
    ft_buf_fini(&list);
    ft_xml_end(x);
    return 0;
}

static int write_all(struct ft_s3_call *c, struct ft_blob_reader *r, int want, struct ft_xml *x)
{
    const struct ft_blob_info *info = ft_blob_reader_info(r);
    const char *text, *class = ft_blob_field(info, "x-amz-storage-class");
    ft_xml_root(x, "GetObjectAttributesResponse", FT_S3_XMLNS);
    if (want & ETAG)
        ft_xml_text(x, "ETag", info->etag);
    enum ft_s3_sum sum = ft_s3_sum_of(info->fields, info->n_fields, &text);
    if ((want & CHECKSUM) && sum != FT_S3_SUM_NONE) {
        ft_xml_begin(x, "Checksum");
        ft_xml_text(x, ft_s3_sums[sum].element, text);
        ft_xml_text(x, "ChecksumType", ft_blob_field(info, FT_S3_FIELD_SUM_TYPE));
        ft_xml_end(x);
    }
    if ((want & PARTS) && info->n_parts > 0 && write_parts(c, r, info, x) != 0)
        return -1;
    if (want & CLASS)
        ft_xml_text(x, "StorageClass", class != NULL ? class : "STANDARD");
    if (want & SIZE)
        ft_xml_int(x, "ObjectSize", info->size);
    ft_xml_end(x);
    return 0;
}

int ft_s3_object_attributes(struct ft_s3_call *c)
{
    const char *version;
    int want;
    struct ft_blob_reader *r;
    struct ft_err err = {0};
    if (wanted(c, &want) != 0 || ft_s3_version_param(c, &version) != 0)
        return -1;
    if (ft_blob_open(c->blob, c->bucket, c->key, version, &r, &err) != 0)
        return ft_s3_fail_read(c, version, &err);
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    int rc = write_all(c, r, want, &x);
    if (rc == 0) {
        const struct ft_blob_info *info = ft_blob_reader_info(r);
        char date[FT_DATE_MAX];
        ft_date_http(info->modified_ns / 1000000000, date);
        ft_s3_out(c, "Last-Modified", date);
        ft_s3_out_version(c, info->version);
    }
    ft_blob_close_reader(r);
    if (rc != 0) {
        ft_xml_fini(&x);
        return -1;
    }
    return ft_s3_answer_xml(c, 200, &x);
}
