/* What is not a conversation: prompts of completions, texts to embed, documents to rank; and
 * "feitian", what the gateway tells a worker beside the request. */
#include <stdlib.h>
#include <string.h>

#include "api/openai/parts.h"

static int no_memory(struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "no memory for the request");
}

static int check_ids(const json_t *ids, const struct ft_oai_at *at, size_t min,
                     struct ft_oai_error *e)
{
    int64_t id;
    int rc = ft_oai_array(ids, at, min, FT_OAI_TOKENS_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(ids); i++)
        rc = ft_oai_int(json_array_get(ids, i), FT_OAI_ELEM(at, i), 0, INT32_MAX, &id, e);
    return rc;
}

/* ---- prompt, input ---- */

static int one_input(const json_t *v, const struct ft_oai_at *at, size_t min,
                     struct ft_oai_input *ret, struct ft_oai_error *e)
{
    if (json_is_string(v)) {
        *ret = (struct ft_oai_input){.text = {json_string_value(v), json_string_length(v)}};
        return ret->text.n < min ? ft_oai_bad(e, at, "invalid_value", "must not be empty") : 0;
    }
    if (!json_is_array(v))
        return ft_oai_wrong_type(e, at, "a string or an array of token ids", v);
    *ret = (struct ft_oai_input){.ids = v, .n_ids = json_array_size(v)};
    return check_ids(v, at, 1, e);
}

/* A string, strings, token ids, or lists of token ids. */
static int parse_inputs(struct ft_oai_request *q, const json_t *v, const struct ft_oai_at *at,
                        size_t min, size_t max, struct ft_oai_error *e)
{
    if (!json_is_string(v) && !json_is_array(v))
        return ft_oai_wrong_type(e, at, "a string or an array", v);
    bool several = json_is_array(v) && !json_is_integer(json_array_get(v, 0));
    int rc = several ? ft_oai_array(v, at, 1, max, e) : 0;
    if (rc != 0)
        return rc;
    size_t n = several ? json_array_size(v) : 1;
    q->input = calloc(n, sizeof *q->input);
    if (q->input == NULL)
        return no_memory(e);
    q->n_input = n;
    if (!several)
        return one_input(v, at, min, &q->input[0], e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = one_input(json_array_get(v, i), FT_OAI_ELEM(at, i), min, &q->input[i], e);
    return rc;
}

int ft_oai_parse_prompt(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e)
{
    return parse_inputs(q, v, FT_OAI_AT(NULL, "prompt"), 0, FT_PIECE_CHOICES_MAX, e);
}

int ft_oai_parse_input(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e)
{
    return parse_inputs(q, v, FT_OAI_AT(NULL, "input"), 1, FT_OAI_INPUTS_MAX, e);
}

/* ---- documents ---- */

/* A string, or {"text":"..."}, which Cohere's first form had. */
int ft_oai_parse_documents(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e)
{
    static const char *const names[] = {"text", NULL};
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "documents");
    int rc = ft_oai_array(v, at, 1, FT_OAI_DOCUMENTS_MAX, e);
    if (rc != 0)
        return rc;
    q->n_document = json_array_size(v);
    q->document = calloc(q->n_document, sizeof *q->document);
    if (q->document == NULL)
        return no_memory(e);
    for (size_t i = 0; i < q->n_document; i++) {
        const struct ft_oai_at *here = FT_OAI_ELEM(at, i);
        json_t *d = json_array_get(v, i);
        if (json_is_object(d)) {
            if ((rc = ft_oai_only(d, here, names, e)) != 0)
                return rc;
            if ((d = ft_oai_get(d, "text")) == NULL)
                return ft_oai_missing(e, FT_OAI_AT(here, "text"));
        }
        if (!json_is_string(d))
            return ft_oai_wrong_type(e, here, "a string", d);
        q->document[i] = (struct ft_slice){json_string_value(d), json_string_length(d)};
    }
    return 0;
}

/* ---- "feitian" ---- */

static int parse_resume(struct ft_oai_request *q, const json_t *v, const struct ft_oai_at *at,
                        struct ft_oai_error *e)
{
    int rc = ft_oai_array(v, at, 0, FT_PIECE_CHOICES_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
        rc = check_ids(json_array_get(v, i), FT_OAI_ELEM(at, i), 0, e);
    q->inner.resume = v;
    q->inner.n_resume = json_array_size(v);
    return rc;
}

int ft_oai_parse_inner(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e)
{
    static const char *const names[] = {"id",       "salt",   "caller", "weight",
                                        "priority", "resume", NULL};
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "feitian");
    struct ft_oai_inner *in = &q->inner;
    const char **const strings[] = {&in->id, &in->salt, &in->caller};
    json_t *m;
    int rc = ft_oai_object(v, at, e);
    if (rc != 0 || (rc = ft_oai_only(v, at, names, e)) != 0)
        return rc;
    in->present = true;
    for (size_t i = 0; i < FT_COUNT(strings); i++)
        if ((m = ft_oai_get(v, names[i])) != NULL &&
            (rc = ft_oai_str(m, FT_OAI_AT(at, names[i]), 0, FT_OAI_ID_BYTES_MAX, strings[i], e)) !=
                0)
            return rc;
    double weight = 1;
    int64_t priority = 0;
    if ((m = ft_oai_get(v, "weight")) != NULL &&
        (rc = ft_oai_num(m, FT_OAI_AT(at, "weight"), 0.001, 1000, &weight, e)) != 0)
        return rc;
    if ((m = ft_oai_get(v, "priority")) != NULL &&
        (rc = ft_oai_int(m, FT_OAI_AT(at, "priority"), -10, 10, &priority, e)) != 0)
        return rc;
    in->weight = (float)weight;
    in->priority = (int)priority;
    m = ft_oai_get(v, "resume");
    return m != NULL ? parse_resume(q, m, FT_OAI_AT(at, "resume"), e) : 0;
}
