/* What an object carries besides its bytes, upstream. As JSON, in base64url in the header
 * x-amz-meta-feitian where it is small, else in the document state/NONCE, which
 * x-amz-meta-feitian-doc says. Every write has a nonce in x-amz-meta-feitian-put. What was changed
 * later (annotate) is in a document that the upstream's tag "feitian" names, and that names the
 * nonce of the write it belongs to. The fields that HTTP knows are sent as they are, too, for those
 * who look at the upstream; objects that others put there are read by them. */
#include <jansson.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/s3/impl.h"
#include "net/date.h"
#include "net/xml.h"

#define DOC_KEY_MAX  64
#define VALUE_MAX    1000 /* bytes of a field that is sent as it is */
#define TAGS_XML_MAX (64u << 10)
#define META         "x-amz-meta-"

/* ---- JSON ---- */

static json_t *fields_json(const struct ft_blob_field *f, int n)
{
    json_t *all = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(all, json_pack("[s,s]", f[i].name, f[i].value));
    return all;
}

int ups_state_write(const struct ft_blob_info *info, const char *nonce, const char *bucket,
                    char **ret, struct ft_err *err)
{
    json_t *j =
        json_pack("{s:o,s:o,s:[i,I,b],s:s,s:i,s:s}", "f", fields_json(info->fields, info->n_fields),
                  "t", fields_json(info->tags, info->n_tags), "h", (int)info->hold.mode,
                  (json_int_t)info->hold.until_s, (int)info->hold.legal, "a",
                  info->acl != NULL ? info->acl : "", "p", info->n_parts, "n", nonce);
    if (j != NULL && bucket != NULL) {
        json_object_set_new(j, "bucket", json_string(bucket));
        json_object_set_new(j, "key", json_string(info->key));
    }
    *ret = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return *ret != NULL ? 0
                        : ft_err_set(err, FT_EINVAL, "fields: not UTF-8, or too large for memory");
}

static int fields_read(const json_t *from, struct ft_blob_field *to, int max)
{
    int n = (int)json_array_size(from);
    for (int i = 0; i < n && i < max; i++) {
        const json_t *pair = json_array_get(from, (size_t)i);
        to[i].name = json_string_value(json_array_get(pair, 0));
        to[i].value = json_string_value(json_array_get(pair, 1));
        if (to[i].name == NULL || to[i].value == NULL)
            return -1;
    }
    return n <= max ? n : -1;
}

static int state_read_json(const json_t *j, struct ft_blob_info info, struct ft_blob_object *ret,
                           struct ft_err *err)
{
    struct ft_blob_field fields[FT_BLOB_FIELDS_MAX], tags[FT_BLOB_FIELDS_MAX];
    const json_t *f, *t;
    int mode, legal;
    json_int_t until;
    if (json_unpack((json_t *)(uintptr_t)j, "{s:o,s:o,s:[i,I,b],s:s,s:i}", "f", &f, "t", &t, "h",
                    &mode, &until, &legal, "a", &info.acl, "p", &info.n_parts) != 0 ||
        (info.n_fields = fields_read(f, fields, FT_BLOB_FIELDS_MAX)) < 0 ||
        (info.n_tags = fields_read(t, tags, FT_BLOB_FIELDS_MAX)) < 0 || mode < 0 ||
        mode > FT_BLOB_LOCK_COMPLIANCE)
        return ft_err_set(err, FT_ECORRUPT, "the state of key %s is not what was written",
                          info.key);
    info.fields = fields;
    info.tags = tags;
    info.hold = (struct ft_blob_hold){(enum ft_blob_lock)mode, until, legal != 0};
    return ft_blob_object_set(ret, &info, NULL, 0, err);
}

int ups_state_read(const char *text, struct ft_blob_info info, struct ft_blob_object *ret,
                   struct ft_err *err)
{
    json_t *j = json_loads(text, 0, NULL);
    int rc = state_read_json(j, info, ret, err);
    json_decref(j);
    return rc;
}

/* ---- sending ---- */

static bool is_plain(const char *value)
{
    size_t n = strlen(value);
    if (n == 0 || n > VALUE_MAX || value[0] == ' ' || value[n - 1] == ' ')
        return false;
    for (const char *p = value; *p != '\0'; p++)
        if (*p < 0x20 || *p > 0x7e)
            return false;
    return true;
}

static const char *const standard[] = {"content-type",        "cache-control",
                                       "content-disposition", "content-encoding",
                                       "content-language",    "expires"};

static void send_standard(struct ft_ups_request *q, const struct ft_blob_info *info)
{
    for (size_t i = 0; i < FT_COUNT(standard); i++) {
        const char *value = ft_blob_field(info, standard[i]);
        if (value != NULL && is_plain(value) && strstr(value, "aws-chunked") == NULL)
            ft_ups_header(q, standard[i], "%s", value);
    }
    if (ft_blob_field(info, "content-type") == NULL)
        ft_ups_header(q, "content-type",
                      "application/octet-stream"); /* else curl or they choose one */
}

static void state_key(char ret[DOC_KEY_MAX], const char *nonce)
{
    snprintf(ret, DOC_KEY_MAX, "state/%s", nonce);
}

void ups_state_promise(struct ft_ups_request *q, const struct ft_blob_info *info,
                       const char nonce[S3_TOKEN_SIZE])
{
    send_standard(q, info);
    ft_ups_header(q, META "feitian-put", "%s", nonce);
    ft_ups_header(q, META "feitian-doc", "%s", nonce);
}

int ups_state_keep(struct ups *s, const struct ups_place *p, const char *nonce,
                   const struct ft_blob_info *info, struct ft_err *err)
{
    char key[DOC_KEY_MAX], *text;
    int rc = ups_state_write(info, nonce, p->name, &text, err);
    if (rc != 0)
        return rc;
    state_key(key, nonce);
    rc = ups_doc_put(s, key, text, err);
    free(text);
    return rc;
}

int ups_state_send(struct ups *s, const struct ups_place *p, struct ft_ups_request *q,
                   const struct ft_blob_info *info, const char nonce[S3_TOKEN_SIZE],
                   struct ft_err *err)
{
    char *text;
    int rc = ups_state_write(info, nonce, NULL, &text, err);
    if (rc != 0)
        return rc;
    size_t n = strlen(text);
    if (BASE64_ENCODE_RAW_LENGTH(n) <= S3_META_MAX) {
        char encoded[S3_META_MAX + 1];
        base64_encode_raw(encoded, n, (const uint8_t *)text);
        encoded[BASE64_ENCODE_RAW_LENGTH(n)] = '\0';
        send_standard(q, info);
        ft_ups_header(q, META "feitian-put", "%s", nonce);
        ft_ups_header(q, META "feitian", "%s", encoded);
    } else {
        rc = ups_state_keep(s, p, nonce, info, err);
        ups_state_promise(q, info, nonce);
    }
    free(text);
    return rc;
}

/* ---- receiving ---- */

/* What a document says, if it is of this write. 1: *ret is it. */
static int from_document(struct ups *s, const char *token, const char *nonce,
                         const struct ft_blob_info *info, struct ft_blob_object *ret,
                         struct ft_err *err)
{
    char key[DOC_KEY_MAX], *text;
    const char *written = NULL;
    if (strlen(token) != S3_TOKEN_SIZE - 1)
        return 0;
    state_key(key, token);
    int rc = ups_doc_get(s, key, &text, err);
    if (rc <= 0)
        return rc;
    json_t *j = json_loads(text, 0, NULL);
    if (j != NULL && json_unpack(j, "{s:s}", "n", &written) == 0 && strcmp(written, nonce) == 0) {
        rc = state_read_json(j, *info, ret, err);
        rc = rc == 0 ? 1 : rc;
    } else {
        rc = 0;
    }
    json_decref(j);
    free(text);
    return rc;
}

static int from_header(const char *encoded, const struct ft_blob_info *info,
                       struct ft_blob_object *ret, struct ft_err *err)
{
    struct base64_decode_ctx ctx;
    uint8_t text[BASE64_DECODE_LENGTH(S3_META_MAX) + 1];
    size_t n = strlen(encoded);
    base64_decode_init(&ctx);
    if (n > S3_META_MAX || !base64_decode_update(&ctx, &n, text, n, encoded) ||
        !base64_decode_final(&ctx))
        return ft_err_set(err, FT_ECORRUPT, "the state of key %s is not what was written",
                          info->key);
    text[n] = '\0';
    return ups_state_read((const char *)text, *info, ret, err);
}

/* An object that somebody else put upstream. */
static int from_strangers(const struct ft_ups_answer *a, const struct ft_blob_info *info,
                          struct ft_blob_object *ret, struct ft_err *err)
{
    struct ft_blob_field fields[FT_BLOB_FIELDS_MAX];
    struct ft_blob_info found = *info;
    const char *at = a->head.data, *end = at + a->head.len;
    found.fields = fields;
    while (at < end && found.n_fields < FT_BLOB_FIELDS_MAX) {
        const char *value = at + strlen(at) + 1;
        bool ours = strncmp(at, META, strlen(META)) == 0;
        for (size_t i = 0; i < FT_COUNT(standard); i++)
            ours = ours || strcmp(at, standard[i]) == 0;
        if (ours)
            fields[found.n_fields++] = (struct ft_blob_field){at, value};
        at = value + strlen(value) + 1;
    }
    return ft_blob_object_set(ret, &found, NULL, 0, err);
}

/* The document that the upstream's tags name; "" if they name none. */
static int tagged(struct ups *s, const struct ups_place *p, const struct ft_blob_info *info,
                  char ret[S3_TOKEN_SIZE], struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    ret[0] = '\0';
    ft_ups_request_init(&q, "GET", p->upstream, info->key);
    ft_ups_query(&q, "tagging", NULL);
    if (p->versioning != FT_BLOB_UNVERSIONED)
        ft_ups_query(&q, "versionId", info->version);
    int rc = ft_ups_do(&s->server, &q, "tags", &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    ft_arena_init(&arena, TAGS_XML_MAX);
    ft_xml_read(a.body.data, a.body.len, &arena, &root, NULL);
    const struct ft_xml_node *set = root != NULL ? ft_xml_child(root, "TagSet") : NULL;
    for (const struct ft_xml_node *t = set != NULL ? set->first : NULL; t != NULL; t = t->next) {
        const char *name = ft_xml_child_text(t, "Key"), *value = ft_xml_child_text(t, "Value");
        if (name != NULL && value != NULL && strcmp(name, "feitian") == 0)
            snprintf(ret, S3_TOKEN_SIZE, "%s", value);
    }
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return 0;
}

/* From "bytes 0-9/1234", or the length of the whole. */
static int64_t size_of(const struct ft_ups_answer *a)
{
    const char *range = ft_ups_answer_header(a, "content-range");
    const char *slash = range != NULL ? strchr(range, '/') : NULL;
    const char *length = ft_ups_answer_header(a, "content-length");
    return slash != NULL ? atoll(slash + 1) : length != NULL ? atoll(length) : 0;
}

int ups_state_receive(struct ups *s, const struct ups_place *p, const char *key,
                      const char *version, const struct ft_ups_answer *a,
                      struct ft_blob_object *ret, struct ft_err *err)
{
    struct ft_blob_info info = {.key = key, .acl = "", .size = size_of(a)};
    const char *id = ft_ups_answer_header(a, "x-amz-version-id");
    const char *modified = ft_ups_answer_header(a, "last-modified");
    const char *inlined = ft_ups_answer_header(a, META "feitian");
    const char *doc = ft_ups_answer_header(a, META "feitian-doc");
    const char *nonce = ft_ups_answer_header(a, META "feitian-put");
    const char *tags = ft_ups_answer_header(a, "x-amz-tagging-count");
    int64_t modified_s = 0;
    if (id == NULL || *id == '\0' || p->versioning == FT_BLOB_UNVERSIONED)
        id = version != NULL ? version : "null";
    snprintf(info.version, sizeof info.version, "%s", id);
    ups_etag(ft_ups_answer_header(a, "etag"), info.etag);
    if (modified != NULL && ft_date_parse_http(modified, &modified_s))
        info.modified_ns = modified_s * 1000000000;
    int rc = 0;
    if (tags != NULL && atoi(tags) > 0 && nonce != NULL) {
        char token[S3_TOKEN_SIZE];
        rc = tagged(s, p, &info, token, err);
        if (rc == 0)
            rc = from_document(s, token, nonce, &info, ret, err);
    }
    if (rc == 0 && doc != NULL && nonce != NULL)
        rc = from_document(s, doc, nonce, &info, ret, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (inlined != NULL)
        return from_header(inlined, &info, ret, err);
    if (doc != NULL)
        return ft_err_set(err, FT_ECORRUPT, "the state of key %s is gone", key);
    return from_strangers(a, &info, ret, err);
}

/* In the place of the document there is, or in one of its own that a tag names. */
int ups_state_replace(struct ups *s, const struct ups_place *p, const struct ft_blob_info *info,
                      const struct ft_ups_answer *head, struct ft_err *err)
{
    const char *doc = ft_ups_answer_header(head, META "feitian-doc");
    const char *nonce = ft_ups_answer_header(head, META "feitian-put");
    const char *tags = ft_ups_answer_header(head, "x-amz-tagging-count");
    char token[S3_TOKEN_SIZE] = "", key[DOC_KEY_MAX], *text, body[256];
    if (nonce == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "key %s was put by others than feitian", info->key);
    int rc = ups_state_write(info, nonce, p->name, &text, err);
    if (rc != 0)
        return rc;
    bool is_new = doc == NULL;
    if (doc != NULL) {
        snprintf(token, sizeof token, "%s", doc);
    } else if (tags != NULL && atoi(tags) > 0) {
        rc = tagged(s, p, info, token, err);
        is_new = token[0] == '\0';
    }
    if (is_new)
        ups_token(token);
    state_key(key, token);
    if (rc == 0)
        rc = ups_doc_put(s, key, text, err);
    free(text);
    if (rc != 0 || !is_new)
        return rc;
    struct ft_ups_request q;
    snprintf(body, sizeof body,
             "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet><Tag>"
             "<Key>feitian</Key><Value>%s</Value></Tag></TagSet></Tagging>",
             token);
    ft_ups_request_init(&q, "PUT", p->upstream, info->key);
    ft_ups_query(&q, "tagging", NULL);
    if (p->versioning != FT_BLOB_UNVERSIONED)
        ft_ups_query(&q, "versionId", info->version);
    ft_ups_body(&q, body, strlen(body));
    rc = ft_ups_do(&s->server, &q, "tags", NULL, err);
    ft_ups_request_fini(&q);
    return rc;
}

/* ---- what belongs to nothing ---- */

struct user {
    struct ups *s;
    const struct ups_place *p;
    const char *key, *token;
    bool found;
    struct ft_err *err;
};

/* Is this version's state in the document? */
static int is_user(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct user *u = ctx;
    struct ft_blob_object o = {.memory = NULL};
    struct ft_ups_answer head;
    struct ft_err why = {.code = FT_OK};
    (void)prefix;
    if (strcmp(info->key, u->key) != 0)
        return 1; /* they come in order: that was all of the key */
    if (info->is_marker)
        return 0;
    int rc = ups_look(u->s, u->p, info->key, info->version, &o, &head, &why);
    if (rc == FT_ENOTFOUND)
        return 0; /* it went meanwhile */
    if (rc != 0) {
        *u->err = why;
        return rc;
    }
    const char *doc = ft_ups_answer_header(&head, META "feitian-doc");
    const char *tags = ft_ups_answer_header(&head, "x-amz-tagging-count");
    char named[S3_TOKEN_SIZE] = "";
    if (tags != NULL && atoi(tags) > 0)
        rc = tagged(u->s, u->p, &o.info, named, u->err);
    u->found = (doc != NULL && strcmp(doc, u->token) == 0) || strcmp(named, u->token) == 0;
    ft_blob_object_fini(&o);
    ft_ups_answer_fini(&head);
    return rc != 0 ? rc : u->found;
}

static int find_user(struct user *u)
{
    struct ft_blob_list l = {.bucket = u->p->name, .prefix = u->key, .max = FT_BLOB_LIST_MAX};
    bool more = false;
    int rc = ups_list(&u->s->base, &l, true, is_user, u, &more, u->err);
    if (rc == 0 && more)
        return 1; /* more versions than are looked at: rather keep it */
    return rc < 0 ? rc : u->found;
}

int ups_state_is_used(struct ups *s, const char *token, struct ft_err *err)
{
    char key[DOC_KEY_MAX], *text;
    const char *bucket = NULL, *of = NULL;
    struct ups_place p;
    struct ft_err own;
    state_key(key, token);
    int rc = ups_doc_get(s, key, &text, err);
    if (rc <= 0)
        return rc;
    json_t *j = json_loads(text, 0, NULL);
    free(text);
    if (j == NULL || json_unpack(j, "{s:s,s:s}", "bucket", &bucket, "key", &of) != 0)
        rc = 1; /* not ours to judge */
    else if (ups_place(s, bucket, &p, NULL) != 0)
        rc = 0;
    else
        rc = find_user(&(struct user){
            .s = s, .p = &p, .key = of, .token = token, .err = err != NULL ? err : &own});
    json_decref(j);
    return rc;
}
