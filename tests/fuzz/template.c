/* Any bytes as a chat template: compiled, and rendered with a fixed conversation. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/jinja/template.h"

/* What tests/integration/jinja_cases.py renders with: the seeds are made of its templates. */
static const char context[] =
    "{\"a\":7,\"b\":-3,\"z\":0,\"f\":2.5,\"g\":-0.125,\"big\":123456789012,\"t\":true,\"n\":null,"
    "\"s\":\"Hello World\",\"e\":\"\",\"u\":\"Gr\\u00f6\\u00dfe \\u4e16\\u754c \\ud83c\\udf89 "
    "\\u00f1and\\u00fa\",\"ml\":\"one\\n two\\n\\nthree  \\n\",\"html\":\"<a href=\\\"x\\\">Tom & '"
    "Jerry'</a>\",\"w\":\"  "
    "padded\\t\\n\",\"num\":\"42.9\",\"hex\":\"0x1F\",\"xs\":[3,1,2],\"ys\":["
    "\"b\",\"A\",\"c\",\"a\"],\"mixed\":[1,\"a\",null,2.5,true],\"nested\":[[1,2],[3,[4,5]]],\"d"
    "\":{\"k\":\"v\",\"items\":5,\"x\":{\"y\":[1,{\"z\":\"deep\"}]}},\"users\":[{\"name\":\"Ann\","
    "\"age"
    "\":30,\"tags\":[\"x\"],\"city\":{\"name\":\"Rome\"}},{\"name\":\"bob\",\"age\":25,\"tags\":[],"
    "\""
    "city\":{\"name\":\"Oslo\"}},{\"name\":\"Cid\",\"age\":30,\"tags\":[\"y\",\"z\"],\"city\":{"
    "\"name"
    "\":\"rome\"}}],\"tree\":[{\"v\":1,\"c\":[{\"v\":2,\"c\":[]},{\"v\":3,\"c\":[{\"v\":4,\"c\":[]}"
    "]}]"
    "},{\"v\":5,\"c\":[]}],\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role"
    "\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\""
    "function\":{\"name\":\"f\",\"arguments\":{\"q\":\"\\u00fc\",\"n\":1.0,\"l\":[1,null]}}}]}],\""
    "tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"obje"
    "ct\"}}}],\"bos_token\":\"<s>\",\"add_generation_prompt\":true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static json_t *vars;
    struct ft_template *t = NULL;
    struct ft_err err = {0};
    struct ft_buf out;
    if (vars == NULL)
        vars = json_loads(context, 0, NULL);
    if (vars == NULL)
        abort();
    ft_buf_init(&out, 1 << 24);
    if (ft_template_open((const char *)data, n, &t, &err) == 0)
        (void)ft_template_render(t, vars, 1721995200, &out, &err);
    ft_buf_fini(&out);
    ft_template_close(t);
    return 0;
}
