/* Test driver: renders one case after another, so that thousands need one process.
 *
 * Standard input: one JSON object a line, {"template": ..., "context": {...}, "now": seconds}.
 * Standard output, a line each: {"output": text} or {"error": message}. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/jinja/template.h"

static json_t *run(json_t *c)
{
    json_t *text = json_object_get(c, "template"), *result = NULL;
    struct ft_template *t = NULL;
    struct ft_buf out;
    struct ft_err err = {0};
    ft_buf_init(&out, (size_t)64 << 20);
    int rc = ft_template_open(json_string_value(text), json_string_length(text), &t, &err);
    if (rc == 0)
        rc = ft_template_render(t, json_object_get(c, "context"),
                                json_integer_value(json_object_get(c, "now")), &out, &err);
    if (rc == 0)
        result = json_pack("{s:s%}", "output", out.data != NULL ? out.data : "", out.len);
    else
        result = json_pack("{s:s}", "error", err.msg);
    ft_template_close(t);
    ft_buf_fini(&out);
    return result != NULL ? result : json_pack("{s:s}", "error", "the result is no UTF-8");
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        json_error_t jerr;
        json_t *c = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, &jerr);
        if (c == NULL || !json_is_string(json_object_get(c, "template")))
            return fprintf(stderr, "bad case: %s\n", jerr.text), 1;
        json_t *result = run(c);
        json_dumpf(result, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(result);
        json_decref(c);
    }
    free(line);
    return 0;
}
