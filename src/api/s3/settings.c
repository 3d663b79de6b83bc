/* Buckets' settings in memory: a table of slots by the hash of the name; a bucket takes the place
 * of another with the same slot.
 *
 * A change bumps its slot's generation after the document is kept. Who reads documents remembers
 * the generation from before, and leaves what was read in the slot only if it is still the same: so
 * a slot never holds what was read before a change that has returned. */
#include "api/s3/settings.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

struct slot {
    struct ft_s3_settings *settings;
    uint64_t generation;
};

struct ft_s3_cache {
    struct ft_blob *blob;
    pthread_mutex_t lock; /* guards the slots */
    struct slot slots[FT_S3_SETTINGS_CACHED];
};

int ft_s3_cache_open(struct ft_blob *blob, struct ft_s3_cache **ret, struct ft_err *err)
{
    struct ft_s3_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        return ft_err_set(err, FT_ENOMEM, "s3: settings of buckets");
    cache->blob = blob;
    pthread_mutex_init(&cache->lock, NULL);
    *ret = cache;
    return 0;
}

void ft_s3_cache_close(struct ft_s3_cache *cache)
{
    if (cache == NULL)
        return;
    for (int i = 0; i < FT_S3_SETTINGS_CACHED; i++)
        ft_s3_settings_unref(cache->slots[i].settings);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

void ft_s3_settings_unref(struct ft_s3_settings *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    ft_s3_policy_free(s->policy);
    ft_arena_fini(&s->arena);
    free(s);
}

static struct slot *slot_of(struct ft_s3_cache *cache, const char *bucket)
{
    return &cache->slots[ft_hash_bytes(bucket, strlen(bucket)) % FT_S3_SETTINGS_CACHED];
}

/* ---- reading ---- */

/* Appends to text (emptied first); false if there is no such document, or *rc is not 0. */
static bool read_text(struct ft_blob *blob, const char *bucket, const char *what,
                      struct ft_buf *text, int *rc, struct ft_err *err)
{
    ft_buf_reset(text);
    if (*rc != 0)
        return false;
    int found = ft_blob_bucket_config(blob, bucket, what, text, err);
    if (found < 0) {
        *rc = found;
        ft_err_wrap(err, "%s of bucket %s", what, bucket);
    }
    return found > 0;
}

/* The same, as a tree of the settings' arena. */
static const struct ft_xml_node *read_tree(struct ft_blob *blob, struct ft_s3_settings *s,
                                           const char *what, struct ft_buf *text, int *rc,
                                           struct ft_err *err)
{
    struct ft_xml_node *root = NULL;
    if (!read_text(blob, s->bucket, what, text, rc, err))
        return NULL;
    *rc = ft_xml_read(text->data, text->len, &s->arena, &root, err);
    return *rc == 0 ? root : NULL;
}

static int read_all(struct ft_blob *blob, const char *owner, struct ft_s3_settings *s,
                    struct ft_err *err)
{
    struct ft_buf text;
    int rc = 0;
    const struct ft_xml_node *root;
    ft_buf_init(&text, FT_BLOB_CONFIG_MAX + 1);
    bool has = read_text(blob, s->bucket, FT_S3_DOC_ACL, &text, &rc, err);
    if (rc == 0)
        rc = ft_s3_acl_read(&s->acl, has ? text.data : "", owner, err);
    if (read_text(blob, s->bucket, FT_S3_DOC_POLICY, &text, &rc, err))
        rc = ft_s3_policy_parse(text.data, text.len, &s->policy, err);
    if ((root = read_tree(blob, s, FT_S3_DOC_BLOCK, &text, &rc, err)) != NULL)
        rc = ft_s3_block_read(root, &s->block, err);
    if ((root = read_tree(blob, s, FT_S3_DOC_OWNERSHIP, &text, &rc, err)) != NULL) {
        rc = ft_s3_ownership_read(root, &s->ownership, err);
        s->has_ownership = true;
    }
    if ((root = read_tree(blob, s, FT_S3_DOC_CORS, &text, &rc, err)) != NULL)
        rc = ft_s3_cors_read(root, &s->arena, &s->cors, err);
    if ((root = read_tree(blob, s, FT_S3_DOC_LIFECYCLE, &text, &rc, err)) != NULL)
        rc = ft_s3_lifecycle_read(root, &s->arena, &s->lifecycle, err);
    if ((root = read_tree(blob, s, FT_S3_DOC_LOCK, &text, &rc, err)) != NULL)
        rc = ft_s3_lock_read(root, &s->lock, err);
    ft_buf_fini(&text);
    return rc;
}

int ft_s3_settings_get(struct ft_s3_cache *cache, const struct ft_blob_bucket *bucket,
                       struct ft_s3_settings **ret, struct ft_err *err)
{
    struct slot *slot = slot_of(cache, bucket->name);
    pthread_mutex_lock(&cache->lock);
    struct ft_s3_settings *s = slot->settings;
    uint64_t generation = slot->generation;
    bool hit =
        s != NULL && s->created_ns == bucket->created_ns && strcmp(s->bucket, bucket->name) == 0;
    if (hit)
        atomic_fetch_add(&s->refs, 1);
    pthread_mutex_unlock(&cache->lock);
    if (hit) {
        *ret = s;
        return 0;
    }
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "settings of a bucket");
    ft_arena_init(&s->arena, FT_S3_SETTINGS_BYTES);
    memcpy(s->bucket, bucket->name, sizeof(s->bucket));
    s->created_ns = bucket->created_ns;
    atomic_store(&s->refs, 1);
    int rc = read_all(cache->blob, bucket->owner, s, err);
    if (rc != 0) {
        ft_s3_settings_unref(s);
        return rc;
    }
    pthread_mutex_lock(&cache->lock);
    struct ft_s3_settings *old = NULL;
    if (slot->generation == generation) {
        old = slot->settings;
        slot->settings = s;
        atomic_fetch_add(&s->refs, 1);
    }
    pthread_mutex_unlock(&cache->lock);
    ft_s3_settings_unref(old);
    *ret = s;
    return 0;
}

/* ---- changing ---- */

int ft_s3_settings_set(struct ft_s3_cache *cache, const char *bucket, const char *what,
                       const char *text, struct ft_err *err)
{
    struct slot *slot = slot_of(cache, bucket);
    int rc = ft_blob_bucket_set(cache->blob, bucket, what, text, err);
    pthread_mutex_lock(&cache->lock); /* a failure may have changed it all the same */
    struct ft_s3_settings *old = slot->settings;
    slot->settings = NULL;
    slot->generation++;
    pthread_mutex_unlock(&cache->lock);
    ft_s3_settings_unref(old);
    return rc;
}
