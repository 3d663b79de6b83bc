/* What every store promises of listings (blob/blob.h): against a plain model, with random changes
 * and random questions. */
#include "stores.h"

/* The model: keys that are there, and their sizes. */
struct model {
    char keys[400][24];
    int sizes[400];
    int n;
};

static int by_key(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* One page that a listing of the model would give, "key=size " or "prefix| ". */
static void model_page(const struct model *m, const struct ft_blob_list *l, char *text, size_t size,
                       bool *ret_more, char *last)
{
    char sorted[400][24], shown[24] = "";
    int n = 0;
    size_t skip = strlen(l->prefix);
    memcpy(sorted, m->keys, sizeof sorted);
    qsort(sorted, (size_t)m->n, sizeof sorted[0], by_key);
    text[0] = '\0';
    *ret_more = false;
    for (int i = 0; i < m->n; i++) {
        char item[40], roll[24] = "";
        const char *at = *l->delimiter != '\0' && strncmp(sorted[i], l->prefix, skip) == 0
                             ? strstr(sorted[i] + skip, l->delimiter)
                             : NULL;
        if (strncmp(sorted[i], l->prefix, skip) != 0 || strcmp(sorted[i], l->after) <= 0)
            continue;
        if (at != NULL)
            snprintf(roll, sizeof roll, "%.*s",
                     (int)(at - sorted[i] + (ptrdiff_t)strlen(l->delimiter)), sorted[i]);
        if (at != NULL && (strcmp(roll, shown) == 0 || strcmp(roll, l->after) == 0))
            continue;
        if (n == l->max) {
            *ret_more = l->max > 0;
            return;
        }
        int which = 0;
        while (strcmp(m->keys[which], sorted[i]) != 0)
            which++;
        if (at != NULL)
            snprintf(item, sizeof item, "%s| ", strcpy(shown, roll));
        else
            snprintf(item, sizeof item, "%.23s=%d ", sorted[i], m->sizes[which]);
        strcpy(last, at != NULL ? roll : sorted[i]);
        strncat(text, item, size - strlen(text) - 1);
        n++;
    }
}

struct page {
    char text[16384], last[24];
};

static int note(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct page *p = ctx;
    size_t n = strlen(p->text);
    if (info != NULL)
        snprintf(p->text + n, sizeof p->text - n, "%s=%d ", info->key, (int)info->size);
    else
        snprintf(p->text + n, sizeof p->text - n, "%s| ", prefix);
    snprintf(p->last, sizeof p->last, "%s", info != NULL ? info->key : prefix);
    return 0;
}

static void random_key(uint64_t seed, char key[24])
{
    static const char *const parts[] = {"a", "b", "/", "//", "-", "ab", "\xe4\xb8\xad", "~"};
    int n = (int)(seed % 4) + 1;
    key[0] = '\0';
    for (int i = 0; i < n; i++)
        strcat(key, parts[ft_rand_u64(seed, 8, (uint64_t)i) % 8]);
}

static void change(struct model *m, const char *bucket, uint64_t x)
{
    char key[24];
    int at = 0;
    random_key(x, key);
    while (at < m->n && strcmp(m->keys[at], key) != 0)
        at++;
    if (x >> 20 & 1 || at == 400) {
        if (at < m->n) {
            m->n--;
            memmove(m->keys[at], m->keys[m->n], sizeof m->keys[at]);
            m->sizes[at] = m->sizes[m->n];
        }
        OK(remove_key(bucket, key, NULL, NULL));
        return;
    }
    char text[16];
    m->sizes[at] = snprintf(text, sizeof text, "%.*s", (int)(x >> 30 & 7), "1234567");
    if (at == m->n)
        strcpy(m->keys[m->n++], key);
    put_text(bucket, key, text);
}

static void ask(const struct model *m, const char *bucket, uint64_t x)
{
    static const char *const delimiters[] = {"", "/", "-", "ab", "//"};
    static const int maxima[] = {0, 1, 2, 3, 7, 1000};
    static struct page got;
    static char wanted[16384];
    char prefix[24], after[24];
    struct ft_blob_list l = {.bucket = bucket,
                             .prefix = prefix,
                             .delimiter = delimiters[x % 5],
                             .after = after,
                             .max = maxima[(x >> 8) % 6]};
    bool more = true, model_more;
    random_key(x >> 16, prefix);
    prefix[x >> 40 & 1 ? strcspn(prefix, "\xe4") : 0] = '\0'; /* no half characters */
    random_key(x >> 24, after);
    if (x >> 41 & 1)
        after[0] = '\0';
    /* from wherever the first page begins, all the others behind the last one's end */
    for (int pages = 0; more && pages < 500; pages++) {
        char last[24] = "";
        got.text[0] = '\0';
        OK(ft_blob_list(blob, &l, false, note, &got, &more, &err));
        model_page(m, &l, wanted, sizeof wanted, &model_more, last);
        if (strcmp(got.text, wanted) != 0 || more != model_more)
            fail_msg("prefix '%s' delimiter '%s' after '%s' max %d:\n%s(%d)\nwanted\n%s(%d)",
                     prefix, l.delimiter, after, l.max, got.text, more, wanted, model_more);
        strcpy(after, got.last);
    }
    assert_false(more);
}

static void listings_are_the_models(void **state)
{
    static struct model m;
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    (void)state;
    m.n = 0;
    for (int i = 0; i < store->random_changes; i++) {
        change(&m, bucket, ft_rand_u64(5, 5, (uint64_t)i));
        if (i % 7 == 0)
            ask(&m, bucket, ft_rand_u64(5, 6, (uint64_t)i));
    }
    assert_true(m.n > 10);
}

static void nothing_to_list(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct page p = {.text = ""};
    bool more = true;
    struct ft_blob_list l = {.bucket = bucket, .max = 10};
    (void)state;
    OK(ft_blob_list(blob, &l, false, note, &p, &more, &err));
    assert_true(!more && p.text[0] == '\0');
    OK(ft_blob_list(blob, &l, true, note, &p, &more, &err));
    assert_true(!more && p.text[0] == '\0');
    put_text(bucket, "k", "x");
    more = true;
    l.max = 0;
    OK(ft_blob_list(blob, &l, false, note, &p, &more, &err));
    assert_true(!more && p.text[0] == '\0');
    l.max = FT_BLOB_LIST_MAX + 1;
    FAILS(ft_blob_list(blob, &l, false, note, &p, &more, &err), FT_EINVAL, FT_BLOB_WHY_NONE);
    l = (struct ft_blob_list){.bucket = "no-such-bucket-here", .max = 1};
    FAILS(ft_blob_list(blob, &l, false, note, &p, &more, &err), FT_ENOTFOUND, FT_BLOB_NO_BUCKET);
}

static int stop_at_second(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct ft_blob_object o = {.memory = NULL};
    (void)prefix;
    /* what a listing finds can be asked about from within */
    OK(ft_blob_head(blob, ctx, info->key, NULL, &o, &err));
    assert_string_equal(o.info.etag, info->etag);
    assert_int_equal(o.info.size, info->size);
    ft_blob_object_fini(&o);
    return strcmp(info->key, "b") == 0 ? 55 : 0;
}

static void a_listing_is_stopped(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    bool more;
    struct ft_blob_list l = {.bucket = bucket, .max = 10};
    (void)state;
    put_text(bucket, "a", "1");
    put_text(bucket, "b", "2");
    put_text(bucket, "c", "3");
    assert_int_equal(
        ft_blob_list(blob, &l, false, stop_at_second, (void *)(uintptr_t)bucket, &more, &err), 55);
}

/* Rolled-up prefixes of versions: markers and old versions count. */
static void versions_are_rolled_up(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_VERSIONED);
    struct page p = {.text = ""};
    bool more;
    (void)state;
    put_text(bucket, "a/1", "x");
    OK(remove_key(bucket, "a/1", NULL, NULL));
    put_text(bucket, "b", "x");
    put_text(bucket, "b", "xx");
    put_text(bucket, "c/1", "x");
    put_text(bucket, "c/1", "xx");
    put_text(bucket, "d", "xxx");
    struct ft_blob_list l = {.bucket = bucket, .delimiter = "/", .max = 100};
    OK(ft_blob_list(blob, &l, true, note, &p, &more, &err));
    assert_string_equal(p.text, "a/| b=2 b=1 c/| d=3 ");
    assert_false(more);
    p.text[0] = '\0';
    l.max = 2;
    l.after = "a/";
    OK(ft_blob_list(blob, &l, true, note, &p, &more, &err));
    assert_string_equal(p.text, "b=2 b=1 ");
    assert_true(more);
    p.text[0] = '\0';
    l.after = "c/";
    OK(ft_blob_list(blob, &l, true, note, &p, &more, &err));
    assert_string_equal(p.text, "d=3 ");
    assert_false(more);
    p.text[0] = '\0';
    l = (struct ft_blob_list){.bucket = bucket, .delimiter = "/", .max = 100};
    OK(ft_blob_list(blob, &l, false, note, &p, &more, &err));
    assert_string_equal(p.text, "b=2 c/| d=3 "); /* a marker alone is nothing */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(listings_are_the_models),
    cmocka_unit_test(nothing_to_list),
    cmocka_unit_test(a_listing_is_stopped),
    cmocka_unit_test(versions_are_rolled_up),
};

CONTRACT(tests)
