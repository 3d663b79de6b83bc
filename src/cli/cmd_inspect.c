/* feitian inspect: what a model file or folder says about itself, for people or as JSON. */
#include "cli/cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "model/file/hparams.h"
#include "model/file/weights.h"
#include "sched/sandbox.h"

#define TYPES_MAX  64 /* weight formats are numbered below this */
#define TEXT_BYTES 100

struct usage {
    int tensors;
    uint64_t weights, bytes;
};

struct summary {
    const struct ft_weights *w;
    struct ft_hparams h;
    bool has_hparams; /* a file without a model's keys is still worth a look */
    struct usage type[TYPES_MAX], all;
};

static void usage_add(struct usage *u, uint64_t weights, uint64_t bytes)
{
    u->tensors++;
    u->weights += weights;
    u->bytes += bytes;
}

static void summary_make(struct summary *s)
{
    for (int i = 0; i < ft_weights_count(s->w); i++) {
        const struct ft_tensor *t = ft_weights_at(s->w, i);
        uint64_t n = (uint64_t)(t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3]);
        uint64_t bytes = (uint64_t)t->part_bytes * (uint64_t)t->n_parts;
        usage_add(&s->type[t->type], n, bytes);
        usage_add(&s->all, n, bytes);
    }
}

static const char *count_text(uint64_t count, char *out, size_t n)
{
    double v = (double)count;
    if (v >= 1e9)
        snprintf(out, n, "%.2f billion", v / 1e9);
    else if (v >= 1e6)
        snprintf(out, n, "%.1f million", v / 1e6);
    else
        snprintf(out, n, "%" PRIu64, count);
    return out;
}

/* Bytes of a file for the terminal: control bytes, which could steer it, as '?'. */
static void print_clean(const char *label, struct ft_slice s, size_t max)
{
    printf("  %-16s ", label);
    for (size_t i = 0; i < s.n && i < max; i++)
        putchar((unsigned char)s.p[i] < 32 || s.p[i] == 127 ? '?' : s.p[i]);
    putchar('\n');
}

static void print_rope(const struct ft_rope_params *r)
{
    static const char *const scalings[] = {"", ", linear", ", yarn", ", llama3"};
    printf("  %-16s theta %g, %d dimensions, %s%s", "rope", r->theta, r->n_rot,
           r->pairs == FT_ROPE_HALVES ? "halves" : "neighbours", scalings[r->scaling]);
    if (r->scaling != FT_ROPE_PLAIN)
        printf(" x %g from %d", r->factor, r->orig_ctx);
    printf("\n");
}

static void print_hparams(const struct ft_hparams *h)
{
    printf("  %-16s %d tokens\n", "context", h->n_ctx_train);
    printf("  %-16s %d layers, width %d, feed-forward %d\n", "shape", h->n_layer, h->d_model,
           h->d_ff);
    if (h->kv_lora_rank > 0)
        printf("  %-16s %d heads, latent: keys and values of rank %d, queries %d; per head %d and "
               "%d\n",
               "attention", h->n_head, h->kv_lora_rank, h->q_lora_rank, h->d_k_mla, h->d_v_mla);
    else
        printf("  %-16s %d heads, %d for keys and values, of %d\n", "attention", h->n_head,
               h->n_head_kv, h->d_k);
    print_rope(&h->rope);
    if (h->n_expert > 0) {
        printf("  %-16s %d, %d used, %d shared, width %d, %s gate", "experts", h->n_expert,
               h->n_expert_used, h->n_expert_shared, h->d_ff_expert,
               h->gating == FT_GATE_SIGMOID ? "sigmoid" : "softmax");
        if (h->n_expert_group > 1)
            printf(", %d of %d groups", h->n_expert_group_used, h->n_expert_group);
        printf("\n");
    }
}

static void print_tokenizer(const struct ft_weights *w)
{
    struct ft_slice model, pre, template;
    int64_t n = ft_meta_array_len(w, "tokenizer.ggml.tokens");
    if (ft_meta_str(w, "tokenizer.ggml.model", &model) && n >= 0) {
        print_clean("tokenizer", model, 64);
        if (ft_meta_str(w, "tokenizer.ggml.pre", &pre))
            print_clean("pre-tokenizer", pre, 64);
        printf("  %-16s %" PRId64 " tokens\n", "vocabulary", n);
    } else {
        printf("  %-16s %s\n", "tokenizer",
               ft_weights_source(w) == FT_SOURCE_HF ? "tokenizer.json" : "none");
    }
    bool has = ft_meta_str(w, "tokenizer.chat_template", &template);
    if (has)
        printf("  %-16s %zu bytes\n", "chat template", template.n);
    else
        printf("  %-16s none\n", "chat template");
}

static void print_types(const struct summary *s)
{
    char size[32], count[32];
    printf("  %-16s %d, %s in %s\n", "tensors", s->all.tensors,
           count_text(s->all.weights, count, sizeof count), ft_figure_bytes(size, s->all.bytes));
    for (int i = 0; i < TYPES_MAX; i++) {
        const struct usage *u = &s->type[i];
        if (u->tensors == 0)
            continue;
        printf("  %16s %-7s %5d tensors, %s, %s (%.1f%%)\n", "",
               ft_type_info((enum ft_type)i)->name, u->tensors,
               count_text(u->weights, count, sizeof count), ft_figure_bytes(size, u->bytes),
               100.0 * (double)u->bytes / (double)s->all.bytes);
    }
}

static void print_text(const struct summary *s, bool tensors)
{
    struct ft_slice name = {"", 0}, arch = {"unknown", 7};
    char text[TEXT_BYTES];
    ft_meta_str(s->w, "general.name", &name);
    ft_meta_str(s->w, "general.architecture", &arch);
    printf("%s\n", ft_weights_path(s->w));
    printf("  %-16s %s\n", "source",
           ft_weights_source(s->w) == FT_SOURCE_HF ? "Hugging Face folder" : "GGUF");
    if (name.n > 0)
        print_clean("name", name, 200);
    print_clean("architecture", arch, 64);
    if (s->has_hparams)
        print_hparams(&s->h);
    print_tokenizer(s->w);
    print_types(s);
    printf("metadata\n");
    for (int i = 0; i < ft_meta_count(s->w); i++) {
        ft_meta_print(s->w, i, text, sizeof text);
        printf("  %-45s %s\n", ft_meta_key(s->w, i), text);
    }
    if (!tensors)
        return;
    printf("tensors\n");
    for (int i = 0; i < ft_weights_count(s->w); i++) {
        const struct ft_tensor *t = ft_weights_at(s->w, i);
        size_t at = 0;
        for (int d = 0; d < t->n_dims; d++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%" PRId64, d > 0 ? " x " : "",
                                   t->dim[d]);
        printf("  %-45s %-7s %s\n", t->name, ft_type_info(t->type)->name, text);
    }
}

/* Text of a file as a JSON string; bytes that are no UTF-8 would make it invalid JSON. */
static json_t *json_text(const char *s, size_t n)
{
    json_t *v = json_stringn(s, n);
    return v != NULL ? v : json_string("(not UTF-8)");
}

static json_t *json_hparams(const struct ft_hparams *h)
{
    static const char *const scalings[] = {"none", "linear", "yarn", "llama3"};
    json_t *o = json_object();
    const struct {
        const char *name;
        int v;
    } ints[] = {{"layers", h->n_layer},
                {"width", h->d_model},
                {"feed_forward", h->d_ff},
                {"heads", h->n_head},
                {"heads_kv", h->n_head_kv},
                {"key_length", h->d_k},
                {"value_length", h->d_v},
                {"context_length", h->n_ctx_train},
                {"vocabulary", h->n_vocab},
                {"experts", h->n_expert},
                {"experts_used", h->n_expert_used},
                {"experts_shared", h->n_expert_shared},
                {"kv_lora_rank", h->kv_lora_rank},
                {"q_lora_rank", h->q_lora_rank}};
    for (size_t i = 0; i < FT_COUNT(ints); i++)
        json_object_set_new(o, ints[i].name, json_integer(ints[i].v));
    json_object_set_new(o, "rope_theta", json_real(h->rope.theta));
    json_object_set_new(o, "rope_scaling", json_string(scalings[h->rope.scaling]));
    return o;
}

static json_t *json_tensors(const struct ft_weights *w)
{
    json_t *list = json_array();
    for (int i = 0; i < ft_weights_count(w); i++) {
        const struct ft_tensor *t = ft_weights_at(w, i);
        json_t *o = json_object(), *shape = json_array();
        for (int d = 0; d < t->n_dims; d++)
            json_array_append_new(shape, json_integer(t->dim[d]));
        json_object_set_new(o, "name", json_text(t->name, strlen(t->name)));
        json_object_set_new(o, "type", json_string(ft_type_info(t->type)->name));
        json_object_set_new(o, "shape", shape);
        json_object_set_new(o, "bytes",
                            json_integer((json_int_t)t->part_bytes * (json_int_t)t->n_parts));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_types(const struct summary *s)
{
    json_t *types = json_object();
    for (int i = 0; i < TYPES_MAX; i++) {
        const struct usage *u = &s->type[i];
        if (u->tensors == 0)
            continue;
        json_t *o = json_object();
        json_object_set_new(o, "tensors", json_integer(u->tensors));
        json_object_set_new(o, "parameters", json_integer((json_int_t)u->weights));
        json_object_set_new(o, "bytes", json_integer((json_int_t)u->bytes));
        json_object_set_new(types, ft_type_info((enum ft_type)i)->name, o);
    }
    return types;
}

/* Scalars as they are, arrays in their printed form. */
static json_t *json_meta(const struct ft_weights *w, int i)
{
    const char *key = ft_meta_key(w, i);
    char text[TEXT_BYTES];
    struct ft_slice v;
    uint64_t whole;
    double number;
    bool flag;
    if (ft_meta_str(w, key, &v))
        return json_text(v.p, v.n);
    if (ft_meta_bool(w, key, &flag))
        return json_boolean(flag);
    if (ft_meta_u64(w, key, &whole) && whole <= INT64_MAX)
        return json_integer((json_int_t)whole);
    if (ft_meta_f64(w, key, &number) && number - number == 0) /* JSON has no infinity */
        return json_real(number);
    ft_meta_print(w, i, text, sizeof text);
    return json_text(text, strlen(text));
}

static void print_json(const struct summary *s, bool tensors)
{
    json_t *root = json_object(), *meta = json_object();
    struct ft_slice v;
    json_object_set_new(root, "path",
                        json_text(ft_weights_path(s->w), strlen(ft_weights_path(s->w))));
    json_object_set_new(
        root, "source",
        json_string(ft_weights_source(s->w) == FT_SOURCE_HF ? "huggingface" : "gguf"));
    if (ft_meta_str(s->w, "general.architecture", &v))
        json_object_set_new(root, "architecture", json_text(v.p, v.n));
    if (ft_meta_str(s->w, "general.name", &v))
        json_object_set_new(root, "name", json_text(v.p, v.n));
    json_object_set_new(root, "parameters", json_integer((json_int_t)s->all.weights));
    json_object_set_new(root, "bytes", json_integer((json_int_t)s->all.bytes));
    json_object_set_new(root, "tensor_count", json_integer(s->all.tensors));
    json_object_set_new(root, "types", json_types(s));
    if (s->has_hparams)
        json_object_set_new(root, "shape", json_hparams(&s->h));
    if (ft_meta_str(s->w, "tokenizer.ggml.model", &v))
        json_object_set_new(root, "tokenizer", json_text(v.p, v.n));
    json_object_set_new(root, "chat_template",
                        json_boolean(ft_meta_str(s->w, "tokenizer.chat_template", &v)));
    for (int i = 0; i < ft_meta_count(s->w); i++)
        json_object_set_new(meta, ft_meta_key(s->w, i), json_meta(s->w, i));
    json_object_set_new(root, "metadata", meta);
    if (tensors)
        json_object_set_new(root, "tensors", json_tensors(s->w));
    json_dumpf(root, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(root);
}

/* From here on this process reads that path and writes what it says, and can do nothing else: for
 * files of strangers. Of a split file, the other parts lie in the same folder. */
static int confine(const char *path, struct ft_err *err)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return ft_err_set(err, FT_ENOMEM, "%s: no memory", path);
    char *slash = strrchr(copy, '/');
    bool split = strstr(slash != NULL ? slash : copy, "-of-") != NULL;
    if (split && slash != NULL)
        slash[slash == copy] = '\0';
    const char *read = split && slash == NULL ? "." : copy;
    const struct ft_sandbox_cfg cfg = {.read_paths = &read, .n_read_paths = 1, .best_effort = true};
    struct ft_sandbox_report report;
    int rc = ft_sandbox_enter(&cfg, &report, err);
    free(copy);
    return rc;
}

int ft_cmd_inspect(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"tensors", no_argument, NULL, 't'},
                                            {"confined", no_argument, NULL, 'c'},
                                            {0}};
    bool json = false, tensors = false, confined = false;
    for (int c; (c = ft_cli_getopt(argc, argv, "", options)) != -1;) {
        if (c != 'j' && c != 't' && c != 'c')
            return ft_cli_see_help("inspect");
        json = json || c == 'j';
        tensors = tensors || c == 't';
        confined = confined || c == 'c';
    }
    if (argc - optind != 1)
        return ft_cli_usage("inspect", "MODEL is needed");
    struct ft_err err = {0};
    struct ft_weights *w;
    if (confined && confine(argv[optind], &err) != 0)
        return ft_cli_fail(1, &err, "inspect");
    if (ft_weights_open(argv[optind], &w, &err) != 0)
        return ft_cli_fail(1, &err, "inspect");
    struct summary s = {.w = w};
    s.has_hparams = ft_hparams_read(w, &s.h, &err) == 0;
    if (!s.has_hparams)
        fprintf(stderr, "feitian inspect: %s\n", err.msg);
    summary_make(&s);
    if (json)
        print_json(&s, tensors);
    else
        print_text(&s, tensors);
    ft_weights_close(w);
    return 0;
}
