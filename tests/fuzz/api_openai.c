/* Any bytes as the body of every route of OpenAI's form: what is accepted must hold together and be
 * accepted again by the worker, whatever the gateway made of it; what is refused says where. */
#include <stdlib.h>
#include <string.h>

#include "api/openai/request.h"

static void check(const struct ft_oai_request *q)
{
    if (q->model == NULL || q->root == NULL)
        abort();
    if (q->kind == FT_TASK_CHAT || q->kind == FT_TASK_TEXT || q->kind == FT_TASK_COUNT) {
        if (q->n < 1 || q->best_of < q->n || q->n_stop > FT_OAI_STOPS_INSIDE_MAX)
            abort();
        if (!(q->temperature >= 0 && q->temperature <= 2) || !(q->top_p > 0 && q->top_p <= 1))
            abort();
    }
    for (size_t i = 0; i < json_array_size(q->messages); i++) {
        const json_t *m = json_array_get(q->messages, i);
        const json_t *content = json_object_get(m, "content");
        if (!json_is_string(content) && json_object_get(m, "tool_calls") == NULL)
            abort();
        if (!json_is_string(json_object_get(m, "role")))
            abort();
    }
    if (q->choose == FT_OAI_CHOOSE_NAMED && q->tool_name == NULL)
        abort();
}

/* What the gateway lets through, the worker takes. */
static void again(const struct ft_oai_request *q)
{
    struct ft_oai_request w;
    struct ft_oai_error e;
    char *text = json_dumps(q->root, JSON_COMPACT);
    if (text == NULL)
        abort();
    ft_oai_error_init(&e);
    if (ft_oai_parse(q->kind, FT_OAI_WORKER, text, strlen(text), &w, &e) != 0) {
        fprintf(stderr, "%s: %s\n", text, e.err.msg);
        abort();
    }
    check(&w);
    ft_oai_request_fini(&w);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum ft_task_kind kinds[] = {FT_TASK_CHAT, FT_TASK_TEXT, FT_TASK_EMBED,
                                              FT_TASK_RERANK};
    for (size_t i = 0; i < FT_COUNT(kinds); i++)
        for (int worker = 0; worker < 2; worker++) {
            struct ft_oai_request q;
            struct ft_oai_error e;
            ft_oai_error_init(&e);
            int rc = ft_oai_parse(kinds[i], worker ? FT_OAI_WORKER : FT_OAI_GATEWAY,
                                  (const char *)data, n, &q, &e);
            if (rc != 0 && (e.err.code != rc || e.err.msg[0] == '\0'))
                abort();
            if (rc != 0)
                continue;
            check(&q);
            if (!worker)
                again(&q);
            ft_oai_request_fini(&q);
        }
    return 0;
}
