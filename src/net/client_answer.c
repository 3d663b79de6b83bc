/* The head and the body of an answer, as curl hands them over. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "net/client_impl.h"

const char *ft_http_answer_header(const struct ft_http_answer_head *head, const char *name)
{
    for (int i = 0; i < head->n_fields; i++)
        if (strcasecmp(head->fields[i].name, name) == 0)
            return head->fields[i].value;
    return NULL;
}

/* One line "Name: value" in place. False if it is none. */
static bool split_field(char *line, struct ft_http_answer_field *ret)
{
    char *colon = strchr(line, ':');
    if (colon == NULL || colon == line)
        return false;
    for (char *p = line; p < colon; p++)
        *p = (char)tolower((unsigned char)*p);
    *colon = '\0';
    ret->name = line;
    ret->value = colon + 1 + strspn(colon + 1, " \t");
    return true;
}

/* Is this head a redirect that curl goes on from? */
static bool is_followed(const struct ft_http_call *call, long status)
{
    return call->follow && status >= 300 && status < 400 && status != 304;
}

void ft_http_tell_head(struct ft_http_call *call)
{
    if (call->head_told || !call->head_in || call->on_head == NULL || atomic_load(&call->cancelled))
        return;
    call->head_told = true;
    struct ft_http_answer_field fields[FT_HTTP_CALL_FIELDS_MAX];
    struct ft_http_answer_head head = {.fields = fields};
    long status = 0;
    curl_off_t length = -1;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    head.status = (int)status;
    head.content_length = length;
    char *line = call->head.data, *end = line + call->head.len;
    for (char *next; line < end && head.n_fields < FT_HTTP_CALL_FIELDS_MAX; line = next) {
        next = line + strlen(line) + 1; /* before it is split: a value may have a colon too */
        if (split_field(line, &fields[head.n_fields]))
            head.n_fields++;
    }
    call->on_head(call->ctx, &head);
    ft_buf_fini(&call->head);
}

size_t ft_http_take_header(char *line, size_t size, size_t n, void *arg)
{
    struct ft_http_call *call = arg;
    size_t len = size * n;
    call->active_ns = ft_clock_now_ns();
    if (call->head_told)
        return len; /* a trailer */
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        call->head_in = false; /* what came before was not the last one */
        ft_buf_reset(&call->head);
        return len;
    }
    size_t k = len;
    while (k > 0 && (line[k - 1] == '\r' || line[k - 1] == '\n'))
        k--;
    if (k != 0) {
        if (memchr(line, '\0', k) == NULL) {
            ft_buf_add(&call->head, line, k);
            ft_buf_add_byte(&call->head, '\0');
        }
        return call->head.failed == 0 ? len : 0;
    }
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    call->head_in = status >= 200;
    if (call->head_in && !is_followed(call, status))
        ft_http_tell_head(call);
    return len;
}

size_t ft_http_take_data(char *data, size_t size, size_t n, void *arg)
{
    struct ft_http_call *call = arg;
    size_t len = size * n;
    call->active_ns = ft_clock_now_ns();
    if (atomic_load(&call->cancelled))
        return 0; /* an error to curl, which ends the transfer */
    ft_http_tell_head(call);
    bool wait = atomic_load(&call->paused);
    if (!wait && call->on_data != NULL && len != 0)
        wait = !call->on_data(call->ctx, data, len);
    if (!wait)
        return len;
    /* `paused` stays what others asked for: an unpause that came while on_data ran is not lost */
    call->pause_bits |= CURLPAUSE_RECV;
    return CURL_WRITEFUNC_PAUSE;
}
