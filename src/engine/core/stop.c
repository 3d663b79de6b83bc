/* See stop.h. Byte by byte, one Knuth-Morris-Pratt automaton per string. */
#include "engine/core/stop.h"

#include <string.h>

#include "base/utf8.h"

int ft_stops_compile(const struct ft_slice *stop, int n, struct ft_stops *ret, struct ft_err *err)
{
    if (n < 0 || n > FT_REQUEST_STOPS_MAX)
        return ft_err_set(err, FT_EINVAL, "stop: %d strings, at most %d", n, FT_REQUEST_STOPS_MAX);
    for (int i = 0; i < n; i++) {
        if (stop[i].n == 0 || stop[i].n > FT_REQUEST_STOP_BYTES)
            return ft_err_set(err, FT_EINVAL, "stop[%d]: %zu bytes, must be 1 to %d", i, stop[i].n,
                              FT_REQUEST_STOP_BYTES);
        if (!ft_utf8_valid(stop[i].p, stop[i].n))
            return ft_err_set(err, FT_EINVAL, "stop[%d]: not UTF-8", i);
        struct ft_stop_string *s = &ret->s[i];
        s->n = (int)stop[i].n;
        memcpy(s->text, stop[i].p, stop[i].n);
        s->fail[0] = 0;
        for (int j = 1, k = 0; j < s->n; j++) {
            while (k > 0 && s->text[j] != s->text[k])
                k = s->fail[k - 1];
            k += s->text[j] == s->text[k];
            s->fail[j] = (uint16_t)k;
        }
    }
    ret->n = n;
    return 0;
}

static void emit(struct ft_stop_scan *scan, int n, struct ft_buf *out)
{
    if (n <= 0)
        return;
    ft_buf_add(out, scan->held, (size_t)n);
    scan->n_held -= n;
    memmove(scan->held, scan->held + n, (size_t)scan->n_held);
}

int ft_stop_push(const struct ft_stops *s, struct ft_stop_scan *scan, const char *text, size_t n,
                 struct ft_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        int keep = 0, hit = -1;
        for (int k = 0; k < s->n; k++) {
            const struct ft_stop_string *t = &s->s[k];
            int at = scan->at[k];
            while (at > 0 && (at == t->n || t->text[at] != text[i]))
                at = t->fail[at - 1];
            at += t->text[at] == text[i];
            scan->at[k] = (uint16_t)at;
            keep = at > keep ? at : keep;
            if (at == t->n && (hit < 0 || at > s->s[hit].n))
                hit = k;
        }
        /* the byte itself may be part of what is kept: make room for it first */
        if (keep == 0) {
            emit(scan, scan->n_held, out);
            ft_buf_add(out, &text[i], 1);
            continue;
        }
        emit(scan, scan->n_held - (keep - 1), out);
        scan->held[scan->n_held++] = text[i];
        if (hit >= 0) {
            emit(scan, scan->n_held - s->s[hit].n, out);
            scan->n_held = 0;
            return hit;
        }
    }
    return -1;
}

void ft_stop_finish(struct ft_stop_scan *scan, struct ft_buf *out)
{
    emit(scan, scan->n_held, out);
}
