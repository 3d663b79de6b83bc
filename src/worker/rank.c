/* See rank.h. */
#include "worker/rank.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PAIR_BYTES_MAX ((size_t)64 << 20)
#define RANK_SYSTEM                                                                                \
    "Judge whether the Document meets the requirements based on the Query and the Instruct "       \
    "provided. Note that the answer can only be \"yes\" or \"no\"."
#define RANK_INSTRUCT "Given a web search query, retrieve relevant passages that answer the query"

/* Whichever spelling is one token; else how the word begins. */
static int32_t word_token(const struct ft_tokenizer *t, const char *const *spelling)
{
    for (int i = 0; spelling[i] != NULL; i++) {
        int32_t id = ft_tokenizer_find(t, spelling[i], strlen(spelling[i]));
        if (id >= 0)
            return id;
    }
    int32_t *ids = NULL, first = -1;
    size_t n = 0;
    if (ft_tokenizer_encode(t, spelling[0], strlen(spelling[0]), FT_TOK_CONTINUE, &ids, &n, NULL) ==
            0 &&
        n > 0)
        first = ids[0];
    free(ids);
    return first;
}

int ft_rank_answers(const struct ft_lodger *l, int32_t ret[2], struct ft_oai_error *e)
{
    static const char *const yes[] = {"yes", "Yes", " yes", NULL};
    static const char *const no[] = {"no", "No", " no", NULL};
    const struct ft_tokenizer *t = l->m->source->tokenizer;
    if (l->m->source->has_cls)
        return 0;
    ret[0] = word_token(t, yes);
    ret[1] = word_token(t, no);
    if (ret[0] >= 0 && ret[1] >= 0 && ret[0] != ret[1])
        return 0;
    return ft_oai_error_set(e, FT_EINVAL, NULL, "model",
                            "The model `%s` has no tokens for yes and no, so it cannot rank.",
                            l->name);
}

/* form with {query} and {document} filled in; what is filled in is not looked at again. */
static void fill(struct ft_buf *out, struct ft_slice form, struct ft_slice query,
                 struct ft_slice document)
{
    static const char q[] = "{query}", d[] = "{document}";
    for (size_t i = 0; i < form.n;) {
        size_t left = form.n - i;
        if (left >= sizeof q - 1 && memcmp(form.p + i, q, sizeof q - 1) == 0) {
            ft_buf_add(out, query.p, query.n);
            i += sizeof q - 1;
        } else if (left >= sizeof d - 1 && memcmp(form.p + i, d, sizeof d - 1) == 0) {
            ft_buf_add(out, document.p, document.n);
            i += sizeof d - 1;
        } else {
            ft_buf_add_byte(out, (unsigned char)form.p[i++]);
        }
    }
}

static int by_template(const struct ft_lodger *l, struct ft_slice question, struct ft_buf *out,
                       struct ft_err *err)
{
    json_t *vars =
        json_pack("{s:[{s:s, s:s}, {s:s, s:s%}], s:b, s:b}", "messages", "role", "system",
                  "content", RANK_SYSTEM, "role", "user", "content", question.p, question.n,
                  "add_generation_prompt", 1, "enable_thinking", 0);
    if (vars == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    int rc = ft_prompter_render(l->m->prompter, vars, ft_clock_wall_s(), out, err);
    json_decref(vars);
    return rc;
}

int ft_rank_prompt(const struct ft_lodger *l, struct ft_slice query, struct ft_slice document,
                   int32_t **ids, size_t *n_ids, struct ft_oai_error *e)
{
    static const char form[] = "<Instruct>: " RANK_INSTRUCT "\n<Query>: {query}\n"
                               "<Document>: {document}";
    const struct ft_tokenizer *t = l->m->source->tokenizer;
    struct ft_slice own, question = {form, sizeof form - 1};
    struct ft_err err = {0};
    struct ft_buf pair, text;
    int rc = 0;
    ft_buf_init(&pair, PAIR_BYTES_MAX);
    ft_buf_init(&text, PAIR_BYTES_MAX);
    bool has_own = ft_meta_str(l->m->source->weights, "tokenizer.chat_template.rerank", &own);
    fill(&pair, has_own ? own : question, query, document);
    if (!has_own && l->m->prompter == NULL)
        ft_buf_add_str(&pair, "\n" RANK_SYSTEM "\n");
    if (!has_own && l->m->prompter != NULL && pair.failed == 0)
        rc = by_template(l, (struct ft_slice){pair.data, pair.len}, &text, &err);
    const struct ft_buf *prompt = text.len > 0 ? &text : &pair;
    if (rc == 0 && prompt->failed != 0)
        rc = ft_err_set(&err, FT_ELIMIT, "longer than %zu bytes", PAIR_BYTES_MAX);
    if (rc == 0)
        rc = ft_prompt_encode(t, prompt->data, prompt->len, ids, n_ids, &err);
    ft_buf_fini(&pair);
    ft_buf_fini(&text);
    return rc == 0 ? 0 : ft_oai_error_set(e, err.code, NULL, "documents", "documents: %s", err.msg);
}
