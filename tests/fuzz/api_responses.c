/* Any bytes as the body of a response, answered and gone on behind; and as a stored document. */
#include <stdlib.h>
#include <string.h>

#include "api/openai/responses.h"

#define OUT_MAX (1u << 22)

static void give(struct ft_oai_writer *w, enum ft_piece_kind kind, const char *text,
                 struct ft_buf *out)
{
    const struct ft_piece p = {.kind = kind, .text = {text, strlen(text)}, .call_id = {"c", 1}};
    if (ft_oai_writer_piece(w, &p, out) != 0)
        abort();
}

/* Answers r; the document must be what a next turn can stand on. */
static json_t *answer(const struct ft_oai_responses *r)
{
    const struct ft_oai_writer_config cfg = {.id = "req_1", .model = r->model};
    struct ft_oai_writer *w;
    struct ft_buf out, document;
    json_t *stored = NULL;
    ft_buf_init(&out, OUT_MAX);
    ft_buf_init(&document, OUT_MAX);
    if (ft_oai_responses_writer_open(&cfg, r, &w, NULL) != 0)
        abort();
    give(w, FT_PIECE_REASONING, "a", &out);
    give(w, FT_PIECE_CONTENT, "b", &out);
    give(w, FT_PIECE_STEP, "", &out);
    give(w, FT_PIECE_END, "", &out);
    if (ft_oai_responses_document(w, &document) == 0) {
        stored = json_loads(document.data, JSON_REJECT_DUPLICATES, NULL);
        if (stored == NULL)
            abort();
    }
    ft_oai_writer_close(w);
    ft_buf_fini(&out);
    ft_buf_fini(&document);
    return stored;
}

static void next_turn(const json_t *stored)
{
    static const char body[] = "{\"model\":\"m\",\"previous_response_id\":\"x\",\"input\":\"a\"}";
    struct ft_oai_responses r;
    struct ft_oai_error e;
    if (ft_oai_responses_parse(body, sizeof body - 1, "req_2", &r, &e) != 0)
        abort();
    ft_oai_responses_resolve(&r, stored, false, &e);
    ft_oai_responses_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_oai_responses r;
    struct ft_oai_error e;
    if (ft_oai_responses_parse((const char *)data, n, "req_1", &r, &e) == 0) {
        if (ft_oai_responses_resolve(&r, NULL, false, &e) == 0) {
            json_t *stored = answer(&r);
            if (stored != NULL)
                next_turn(stored);
            json_decref(stored);
        }
        ft_oai_responses_fini(&r);
    }
    json_t *document = json_loadb((const char *)data, n, JSON_REJECT_DUPLICATES, NULL);
    struct ft_buf out;
    ft_buf_init(&out, OUT_MAX);
    ft_oai_responses_show(document, &out, &e);
    ft_oai_responses_items(document, "2", NULL, NULL, &out, &e);
    next_turn(document);
    json_decref(document);
    ft_buf_fini(&out);
    return 0;
}
