/* Any bytes as a chat template: compiled, and rendered with a fixed conversation. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/chat/template.h"

static const char context[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":"
    "\"H\u00e9llo \u4e16\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":"
    "{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,null,true]}}}]}],\"tools\":[{\"type\":"
    "\"function\","
    "\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],\"bos_token\":\"<s>\","
    "\"add_generation_prompt\":true,\"n\":7,\"xs\":[3,1,2]}";

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
