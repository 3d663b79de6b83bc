/* Answers of servers: the first byte chooses the task and what is done with the rest, which is
 * lines, each an event's data or an error's body. Pieces must be sane whatever comes. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/chunk.h"

static bool began[FT_PIECE_CHOICES_MAX][FT_CHUNK_CALLS_MAX];

static void on_piece(void *ctx, const struct ft_piece *p)
{
    (void)ctx;
    FT_ASSERT(p->choice >= 0 && p->choice < FT_PIECE_CHOICES_MAX);
    if (p->kind == FT_PIECE_CALL_BEGIN || p->kind == FT_PIECE_CALL_ARGS) {
        FT_ASSERT(p->call >= 0 && p->call < FT_CHUNK_CALLS_MAX);
        FT_ASSERT(began[p->choice][p->call] == (p->kind == FT_PIECE_CALL_ARGS));
        began[p->choice][p->call] = true;
    }
    int64_t sum = 0;
    for (int i = 0; i < p->n_token; i++)
        sum += p->token[i];
    FT_ASSERT(sum >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct ft_chunk_reader r;
    struct ft_err err;
    enum ft_piece_fault fault;
    struct ft_answer_usage usage;
    memset(began, 0, sizeof began);
    ft_chunk_init(&r, (enum ft_task_kind)(data[0] % (FT_TASK_COUNT + 1)), 1, on_piece, NULL);
    const char *p = (const char *)data + 1, *end = (const char *)data + n;
    ft_chunk_error(data[0] * 4, p, (size_t)(end - p), &fault, &err);
    int rc = 0;
    while (p < end && rc == 0) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((line != NULL ? line : end) - p);
        rc = ft_chunk_read(&r, p, len, &fault, &err);
        p += len + 1;
    }
    if (rc == 0 && ft_chunk_end(&r, NULL, &usage, &err) == 0)
        FT_ASSERT(usage.prompt_tokens >= 0 && usage.completion_tokens >= 0);
    ft_chunk_fini(&r);
    return 0;
}
