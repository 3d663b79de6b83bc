/* What clients say of buckets and objects: policies as JSON, the other documents as XML. What was
 * read is written, and read again: it must be the same kind of thing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/s3/documents.h"
#include "api/s3/policy.h"
#include "api/s3/tags.h"
#include "base/err.h"

#define WRITTEN_MAX (8u << 20)

static const char *value(void *ctx, const char *name, int i)
{
    (void)ctx;
    return i == 0 ? name : NULL;
}

static void policy(const char *text, size_t n)
{
    struct ft_s3_policy *p;
    struct ft_err err;
    if (ft_s3_policy_parse(text, n, &p, &err) != 0)
        return;
    const struct ft_s3_policy_ask ask = {"p", "k", "s3:GetObject", "bucket/key", value, NULL};
    enum ft_s3_verdict v = ft_s3_policy_ask(p, &ask);
    FT_ASSERT(v == FT_S3_SILENT || v == FT_S3_ALLOW || v == FT_S3_DENY);
    (void)ft_s3_policy_is_public(p);
    ft_s3_policy_free(p);
}

static bool find(void *ctx, const char *id, bool is_address, char ret_id[FT_S3_WHO_MAX + 1],
                 char ret_name[FT_S3_NAME_MAX + 1])
{
    (void)ctx;
    (void)is_address;
    size_t n = strlen(id);
    if (n == 0 || n > FT_S3_WHO_MAX || strpbrk(id, " \n") != NULL)
        return false;
    memcpy(ret_id, id, n + 1);
    memcpy(ret_name, id, n + 1);
    return true;
}

static void access_list(const struct ft_xml_node *root)
{
    const struct ft_s3_people people = {find, NULL};
    struct ft_s3_acl acl, again;
    struct ft_err err;
    struct ft_buf text;
    if (ft_s3_acl_read_xml(root, "owner", &people, &acl, &err) != 0)
        return;
    ft_buf_init(&text, FT_S3_ACL_BYTES_MAX);
    FT_ASSERT(ft_s3_acl_write(&acl, &text) == 0);
    FT_ASSERT(ft_s3_acl_read(&again, text.data, "other", &err) == 0 && again.n == acl.n);
    ft_buf_fini(&text);
}

static void rules(const struct ft_xml_node *root, struct ft_arena *arena)
{
    struct ft_err err;
    struct ft_s3_cors cors;
    struct ft_s3_lifecycle l;
    struct ft_xml x;
    struct ft_xml_node *again;
    if (ft_s3_cors_read(root, arena, &cors, &err) == 0) {
        const char *origin;
        (void)ft_s3_cors_find(&cors, "http://a", "GET", "x-a, x-b", &origin);
    }
    if (ft_s3_lifecycle_read(root, arena, &l, &err) != 0)
        return;
    ft_xml_init(&x, WRITTEN_MAX);
    ft_s3_lifecycle_write(&l, &x);
    if (x.buf.failed == 0 && ft_xml_read(x.buf.data, x.buf.len, arena, &again, &err) == 0) {
        int n = l.n;
        FT_ASSERT(ft_s3_lifecycle_read(again, arena, &l, &err) == 0 && l.n == n);
    }
    ft_xml_fini(&x);
}

static void small(const struct ft_xml_node *root)
{
    struct ft_err err;
    struct ft_s3_lock lock;
    struct ft_blob_hold hold;
    enum ft_blob_versioning v;
    struct ft_s3_block block;
    enum ft_s3_ownership ownership;
    struct ft_s3_tags tags;
    bool on;
    if (ft_s3_lock_read(root, &lock, &err) == 0)
        (void)ft_s3_lock_until(&lock, 0);
    (void)ft_s3_retention_read(root, 0, &hold, &err);
    (void)ft_s3_legal_hold_read(root, &on, &err);
    (void)ft_s3_versioning_read(root, &v, &err);
    (void)ft_s3_block_read(root, &block, &err);
    (void)ft_s3_ownership_read(root, &ownership, &err);
    (void)ft_s3_tags_read(root, FT_S3_TAGS_MAX, &tags, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_arena arena;
    struct ft_xml_node *root;
    struct ft_err err;
    policy((const char *)data, n);
    ft_arena_init(&arena, 4u << 20);
    if (ft_xml_read((const char *)data, n, &arena, &root, &err) == 0) {
        access_list(root);
        rules(root, &arena);
        small(root);
    }
    ft_arena_fini(&arena);
    return 0;
}
