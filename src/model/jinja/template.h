/* Chat templates: the Jinja dialect that model files carry, as a bounded interpreter.
 *
 * Output equals Jinja2's with trim_blocks, lstrip_blocks, loop controls, transformers' tojson,
 * raise_exception and strftime_now, byte for byte. Templates are hostile input: steps, output bytes
 * and nesting are bounded, there is no access to anything but the given variables. */
#ifndef FT_MODEL_JINJA_TEMPLATE_H
#define FT_MODEL_JINJA_TEMPLATE_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct ft_template;

/* Compiles n bytes. FT_EINVAL with the line number on a syntax error. Immutable; any thread. */
int ft_template_open(const char *text, size_t n, struct ft_template **ret_t, struct ft_err *err);
void ft_template_close(struct ft_template *t);

/* vars: a JSON object with messages, tools, add_generation_prompt, bos_token, ...
 * now: for strftime_now, what the clock on the wall shows (ft_clock_wall_s).
 * An exception raised by the template is FT_EINVAL with its message. */
int ft_template_render(const struct ft_template *t, json_t *vars, int64_t now, struct ft_buf *out,
                       struct ft_err *err);

#endif
