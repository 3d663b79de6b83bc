/* Vocabularies learnt: the merges of a plain reference that counts everything anew each time; files
 * that our tokenizer opens; text that comes back. */
#include "testing.h"

#include <jansson.h>

#include "base/rand.h"
#include "model/token/pieces.h"
#include "model/token/tokenizer.h"
#include "train/tokenizer/chatml.h"
#include "train/tokenizer/corpus.h"

#define TEXT_MAX 20000

static const char *const specials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

static struct ft_bpe *trainer(int vocab_size, int n_special, const char *pieces)
{
    struct ft_bpe_config cfg = {.pieces = pieces,
                                .vocab_size = vocab_size,
                                .min_count = 2,
                                .special = specials,
                                .n_special = n_special};
    struct ft_bpe *b = NULL;
    struct ft_err err = {0};
    if (ft_bpe_open(&cfg, &b, &err) != 0)
        fail_msg("%s", err.msg);
    return b;
}

/* Trains and gives tokenizer.json; config may be NULL. */
static char *train(struct ft_bpe *b, const struct ft_bpe_files *files, char **config)
{
    struct ft_err err = {0};
    struct ft_buf json, conf;
    ft_buf_init(&json, 1 << 26);
    ft_buf_init(&conf, 1 << 26);
    if (ft_bpe_train(b, NULL, NULL, &err) != 0 || ft_bpe_write(b, files, &json, &conf, &err) != 0)
        fail_msg("%s", err.msg);
    if (config != NULL)
        *config = conf.data;
    else
        ft_buf_fini(&conf);
    return json.data;
}

/* ---- the reference: words of symbols, all pairs counted before each merge ---- */

struct plain_word {
    int32_t sym[64];
    int n, count;
};
struct plain {
    struct plain_word word[4096];
    int n;
    char text[4096][64];
    char token[2048][64]; /* bytes, NUL-terminated: the text has no NUL */
    int n_tokens;
};

static int plain_add(void *ctx, const char *p, size_t n, struct ft_err *err)
{
    (void)err;
    struct plain *r = ctx;
    assert_in_range(n, 1, 63);
    int i = 0;
    while (i < r->n && (strlen(r->text[i]) != n || memcmp(r->text[i], p, n) != 0))
        i++;
    if (i == r->n) {
        assert_in_range(++r->n, 1, 4095);
        memcpy(r->text[i], p, n);
        r->text[i][n] = '\0';
        for (size_t k = 0; k < n; k++) {
            int32_t id = 0; /* bytes in the order of their characters */
            for (int c = 0; c < 256; c++)
                id += ft_pieces_char((unsigned char)c) < ft_pieces_char((unsigned char)p[k]);
            r->word[i].sym[k] = id;
        }
        r->word[i].n = (int)n;
    }
    r->word[i].count++;
    return 0;
}

/* The most frequent pair, of equal ones the lowest ids; its count. */
static int plain_best(const struct plain *r, int32_t *left, int32_t *right)
{
    static int count[1024][1024];
    int best = 0;
    assert_in_range(r->n_tokens, 256, 1024);
    memset(count, 0, sizeof count);
    for (int i = 0; i < r->n; i++)
        for (int k = 0; k + 1 < r->word[i].n; k++)
            count[r->word[i].sym[k]][r->word[i].sym[k + 1]] += r->word[i].count;
    for (int a = 0; a < r->n_tokens; a++)
        for (int b = 0; b < r->n_tokens; b++)
            if (count[a][b] > best) {
                best = count[a][b];
                *left = a;
                *right = b;
            }
    return best;
}

static void plain_merge(struct plain *r, int32_t left, int32_t right, int32_t made)
{
    for (int i = 0; i < r->n; i++) {
        struct plain_word *w = &r->word[i];
        int n = 0;
        for (int k = 0; k < w->n; k++)
            if (k + 1 < w->n && w->sym[k] == left && w->sym[k + 1] == right) {
                w->sym[n++] = made;
                k++;
            } else {
                w->sym[n++] = w->sym[k];
            }
        w->n = n;
    }
}

/* The bytes of a token as tokenizer.json writes them. */
static void write_alphabet(const char *bytes, char *out)
{
    for (; *bytes != '\0'; bytes++) {
        uint32_t c = ft_pieces_char((unsigned char)*bytes);
        if (c >= 0x80)
            *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
    }
    *out = '\0';
}

static void check_merges(const char *text, size_t n, int vocab_size)
{
    struct plain *r = calloc(1, sizeof *r);
    struct ft_err err = {0};
    struct ft_pieces *pieces = NULL;
    struct ft_bpe *b = trainer(vocab_size, 0, "qwen2");
    static const struct ft_bpe_files none;
    assert_int_equal(ft_pieces_open("qwen2", &pieces, &err), 0);
    assert_int_equal(ft_pieces_cut(pieces, text, n, plain_add, r, &err), 0);
    ft_pieces_close(pieces);
    assert_int_equal(ft_bpe_add(b, text, n, &err), 0);
    char *json = train(b, &none, NULL);
    json_t *root = json_loads(json, 0, NULL);
    json_t *merges = json_object_get(json_object_get(root, "model"), "merges");
    for (int i = 1; i < 256; i++) {
        size_t k = 0;
        for (int c = 0; c < 256; c++)
            k += ft_pieces_char((unsigned char)c) < ft_pieces_char((unsigned char)i);
        r->token[k][0] = (char)i;
    }
    r->n_tokens = 256;
    size_t at = 0;
    for (; r->n_tokens < vocab_size; at++) {
        char want[300], half[160];
        int32_t left = 0, right = 0;
        if (plain_best(r, &left, &right) < 2)
            break;
        write_alphabet(r->token[left], want);
        write_alphabet(r->token[right], half);
        strcat(strcat(want, " "), half);
        assert_string_equal(json_string_value(json_array_get(merges, at)), want);
        size_t half_n = strlen(r->token[left]) + strlen(r->token[right]);
        assert_in_range(half_n, 2, sizeof r->token[0] - 1);
        strcat(strcpy(half, r->token[left]), r->token[right]);
        int32_t made = 0;
        while (made < r->n_tokens && strcmp(r->token[made], half) != 0)
            made++;
        if (made == r->n_tokens)
            memcpy(r->token[r->n_tokens++], half, half_n + 1);
        plain_merge(r, left, right, made);
    }
    assert_int_equal(json_array_size(merges), at);
    json_decref(root);
    free(json);
    ft_bpe_close(b);
    free(r);
}

static void test_merges_are_the_references(void **state)
{
    (void)state;
    char *text = malloc(TEXT_MAX);
    for (uint64_t seed = 0; seed < 6; seed++) {
        /* few letters: long runs, overlapping pairs, tokens that two pairs make */
        int letters = seed < 3 ? 2 : 5;
        size_t n = 0, words = seed % 3 == 0 ? 12 : 200;
        for (uint64_t i = 0; n < 3000; i++) {
            uint64_t w = ft_rand_u64(seed, 1, i) % words;
            for (uint64_t k = 0; k < 1 + ft_rand_u64(seed, 2, w) % 20; k++)
                text[n++] = (char)('a' + ft_rand_u64(seed, 3 + w, k) % (uint64_t)letters);
            text[n++] = ' ';
        }
        check_merges(text, n, seed % 2 == 0 ? 1000 : 300);
    }
    static const char zh[] = "飞天是一个云。飞天是云，云是飞天！Hello 云, hello 飞天; 123 hello";
    check_merges(zh, sizeof zh - 1, 400);
    free(text);
}

/* ---- files ---- */

static struct ft_tokenizer *open_tokenizer(const char *json, const char *config)
{
    struct ft_tokenizer *t = NULL;
    struct ft_err err = {0};
    if (ft_tokenizer_open_json(json, strlen(json), config, strlen(config), &t, &err) != 0)
        fail_msg("%s", err.msg);
    return t;
}

static void check_round_trip(const struct ft_tokenizer *t, const char *text, size_t n)
{
    int32_t *ids = NULL;
    size_t n_ids = 0;
    struct ft_err err = {0};
    struct ft_buf back;
    ft_buf_init(&back, 1 << 20);
    assert_int_equal(ft_tokenizer_encode(t, text, n, 0, &ids, &n_ids, &err), 0);
    assert_int_equal(ft_tokenizer_decode(t, ids, n_ids, false, &back, &err), 0);
    assert_int_equal(back.len, n);
    assert_memory_equal(back.data, text, n);
    free(ids);
    ft_buf_fini(&back);
}

static void test_our_tokenizer_opens_it(void **state)
{
    (void)state;
    static const char text[] =
        "飞天是一个私有云。Feitian is a private cloud; 飞天是云。\n\"quoted\" "
        "back\\slash\ttab cloud cloud cloud <|im_start|>user user 2024 2024";
    static const char *const all[] = {"qwen2", "llama-bpe", "gpt-2"};
    for (size_t i = 0; i < FT_COUNT(all); i++) {
        struct ft_bpe *b = trainer(310, 3, all[i]);
        struct ft_err err = {0};
        struct ft_bpe_files files = {.bos = specials[0],
                                     .eos = specials[2],
                                     .pad = specials[0],
                                     .chat_template = FT_CHATML_TEMPLATE};
        char *config = NULL, every[256];
        assert_int_equal(ft_bpe_add(b, text, sizeof text - 1, &err), 0);
        char *json = train(b, &files, &config);
        struct ft_tokenizer *t = open_tokenizer(json, config);
        struct ft_bpe_stats s;
        ft_bpe_stats(b, &s);
        int n = ft_tokenizer_size(t);
        assert_int_equal(n, s.vocab_size);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(ft_tokenizer_find(t, specials[k], strlen(specials[k])), n - 3 + k);
            assert_true(ft_tokenizer_is_control(t, n - 3 + k));
        }
        assert_int_equal(ft_tokenizer_bos(t), n - 3);
        assert_int_equal(ft_tokenizer_eos(t), n - 1);
        assert_true(ft_tokenizer_is_eog(t, n - 1));
        check_round_trip(t, text, sizeof text - 1);
        for (int k = 0; k < 256; k++)
            every[k] = (char)k;
        check_round_trip(t, every, sizeof every);
        /* as many tokens as the trainer said */
        int32_t *ids = NULL;
        size_t n_ids = 0;
        assert_int_equal(ft_tokenizer_encode(t, text, sizeof text - 1, 0, &ids, &n_ids, &err), 0);
        assert_int_equal(n_ids, s.tokens);
        json_t *conf = json_loads(config, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(conf, "chat_template")),
                            FT_CHATML_TEMPLATE);
        json_decref(conf);
        free(ids);
        ft_tokenizer_close(t);
        free(json);
        free(config);
        ft_bpe_close(b);
    }
}

static void test_the_order_of_texts_does_not_matter(void **state)
{
    (void)state;
    static const char *const texts[] = {"one two three two", "three two one zero zero",
                                        "云 two 云"};
    static const struct ft_bpe_files none;
    char *json[2];
    for (int i = 0; i < 2; i++) {
        struct ft_bpe *b = trainer(290, 1, "qwen2");
        struct ft_err err = {0};
        for (int k = 0; k < 3; k++) {
            const char *s = texts[i == 0 ? k : 2 - k];
            assert_int_equal(ft_bpe_add(b, s, strlen(s), &err), 0);
        }
        json[i] = train(b, &none, NULL);
        ft_bpe_close(b);
    }
    assert_string_equal(json[0], json[1]);
    free(json[0]);
    free(json[1]);
}

/* A text of control tokens' names does not make them tokens twice. */
static void test_special_tokens_are_not_learnt(void **state)
{
    (void)state;
    static const char *const special[] = {"ab", "cd"};
    struct ft_bpe_config cfg = {
        .pieces = "qwen2", .vocab_size = 262, .min_count = 1, .special = special, .n_special = 2};
    struct ft_bpe *b = NULL;
    struct ft_err err = {0};
    static const struct ft_bpe_files none;
    assert_int_equal(ft_bpe_open(&cfg, &b, &err), 0);
    assert_int_equal(ft_bpe_add(b, "ab ab ab xy xy abxy", 19, &err), 0);
    char *json = train(b, &none, NULL);
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    assert_null(json_object_get(vocab, "ab"));
    assert_non_null(json_object_get(vocab, "xy"));
    json_decref(root);
    free(json);
    ft_bpe_close(b);
}

static void check_refused(struct ft_bpe_config cfg, const char *want)
{
    struct ft_bpe *b = NULL;
    struct ft_err err = {0};
    assert_int_not_equal(ft_bpe_open(&cfg, &b, &err), 0);
    assert_string_equal(err.msg, want);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const twice[] = {"<a>", "<a>"}, *const bytes[] = {"\xff\xfe"};
    struct ft_bpe_config cfg = {.pieces = "qwen2", .vocab_size = 300, .min_count = 1};
    struct ft_bpe_config c = cfg;
    c.vocab_size = 255;
    check_refused(c, "a vocabulary of 255 is not from 256 (bytes and special tokens) to 1048576");
    c = cfg;
    c.special = twice;
    c.n_special = 2;
    check_refused(c, "the special token '<a>' is given twice");
    c.special = bytes;
    c.n_special = 1;
    check_refused(c, "the special token '\xff\xfe' is not 2 to 128 bytes of UTF-8");
    c = cfg;
    c.pieces = "deepseek-llm";
    check_refused(c, "no pre-tokenizer of one pattern is called 'deepseek-llm'");
    c = cfg;
    c.min_count = 0;
    check_refused(c, "the least count of a pair is not 1 or more");
    struct ft_bpe *b = trainer(300, 3, "qwen2");
    struct ft_bpe_files files = {.eos = "</s>"};
    struct ft_buf buf;
    struct ft_err err = {0};
    ft_buf_init(&buf, 1 << 20);
    assert_int_equal(ft_bpe_train(b, NULL, NULL, &err), 0);
    assert_int_equal(ft_bpe_write(b, &files, &buf, &buf, &err), FT_EINVAL);
    assert_string_equal(err.msg,
                        "the token that ends a text: '</s>' is none of the special tokens");
    ft_bpe_close(b);
}

static int stop(void *ctx, int done, int all)
{
    assert_in_range(done, 256, all);
    *(int *)ctx += 1;
    return 1;
}

static void test_learning_can_be_stopped(void **state)
{
    (void)state;
    struct ft_bpe *b = trainer(300, 0, "qwen2");
    struct ft_err err = {0};
    int calls = 0;
    assert_int_equal(ft_bpe_add(b, "aaaa aaaa aaaa", 14, &err), 0);
    assert_int_equal(ft_bpe_train(b, stop, &calls, &err), FT_ECANCELED);
    assert_int_equal(calls, 1);
    ft_bpe_close(b);
}

/* ---- corpus ---- */

/* Reads a file of this text; the bytes counted, or the error after the path. */
static int64_t corpus_bytes(const char *suffix, const char *text, char *error)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/ft_corpus_XXXXXX%s", suffix);
    int fd = mkstemps(path, (int)strlen(suffix));
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    struct ft_bpe *b = trainer(300, 0, "qwen2");
    struct ft_err err = {0};
    struct ft_bpe_stats s;
    int rc = ft_corpus_read(b, (const char *const[]){path}, 1, NULL, NULL, &err);
    ft_bpe_stats(b, &s);
    error[0] = '\0';
    if (rc != 0)
        strcpy(error, err.msg + strlen(path));
    ft_bpe_close(b);
    unlink(path);
    return s.bytes;
}

static void test_what_counts_of_a_corpus(void **state)
{
    (void)state;
    char error[FT_ERR_MSG_MAX];
    assert_int_equal(corpus_bytes(".txt", "ab\ncd\n", error), 6);
    assert_int_equal(corpus_bytes(".jsonl",
                                  "{\"text\":\"abc\",\"source\":\"no\"}\n\n"
                                  "{\"prompt\":\"d\",\"completion\":\"ef\"}\n"
                                  "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                                  "\"text\",\"text\":\"g\"}]},{\"role\":\"assistant\","
                                  "\"content\":\"hi\",\"weight\":1}]}",
                                  error),
                     3 + 3 + 3);
    assert_string_equal(error, "");
    corpus_bytes(".txt", "ok\n\xff", error);
    assert_string_equal(error, ": byte 4 is not UTF-8");
    corpus_bytes(".jsonl", "{\"text\":\"abc\"}\n{\"txt\":\"abc\"}\n", error);
    assert_string_equal(error, ":2: no text, prompt or messages");
    corpus_bytes(".jsonl", "{\"text\"\n", error);
    assert_non_null(strstr(error, ":1: not JSON: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_are_the_references),
        cmocka_unit_test(test_our_tokenizer_opens_it),
        cmocka_unit_test(test_the_order_of_texts_does_not_matter),
        cmocka_unit_test(test_special_tokens_are_not_learnt),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_learning_can_be_stopped),
        cmocka_unit_test(test_what_counts_of_a_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
