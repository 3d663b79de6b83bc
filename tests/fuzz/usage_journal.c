/* The journal's lines, damaged or not: reading ends, stays inside, and finds again what was written
 * behind any garbage. */
#include <string.h>

#include "ledger/journal.h"

static size_t count_lines(const char *p, size_t n)
{
    size_t good = 0;
    for (size_t at = 0, line; at < n; at += line) {
        struct ft_slice json, id;
        line = ft_journal_next(p + at, n - at, &json);
        if (line == 0)
            break;
        FT_ASSERT(line <= n - at && p[at + line - 1] == '\n');
        if (json.p == NULL)
            continue;
        FT_ASSERT(json.p >= p + at && json.p + json.n < p + at + line);
        if (ft_journal_id(json, &id))
            FT_ASSERT(id.p > json.p && id.p + id.n < json.p + json.n);
        good++;
    }
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct ft_record r = {.id = "req_x", .requests = 1};
    struct ft_buf b;
    ft_buf_init(&b, 1 << 22);
    if (ft_buf_add(&b, data, n) == 0) {
        size_t before = count_lines(b.data, b.len);
        ft_buf_add_byte(&b, '\n');
        FT_ASSERT(ft_journal_line(&r, &b) == 0 && ft_journal_line(&r, &b) == 0);
        FT_ASSERT(count_lines(b.data, b.len) >= before + 2);
    }
    ft_buf_fini(&b);
    return 0;
}
