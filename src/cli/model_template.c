/* A model's chat template. */
#include "cli/model_template.h"

int ft_model_template_text(const struct ft_weights *w, bool tools, struct ft_slice *ret,
                           struct ft_err *err)
{
    if (tools && ft_meta_str(w, "tokenizer.chat_template.tool_use", ret))
        return 0;
    if (ft_meta_str(w, "tokenizer.chat_template", ret) ||
        ft_meta_str(w, "tokenizer.chat_template.default", ret))
        return 0;
    return ft_err_set(err, FT_ENOTFOUND, "%s has no chat template (tokenizer.chat_template)",
                      ft_weights_path(w));
}

static int token_set(const struct ft_tokenizer *t, json_t *vars, const char *name, int32_t id,
                     struct ft_err *err)
{
    if (id < 0 || json_object_get(vars, name) != NULL)
        return 0;
    size_t n;
    const char *p = ft_tokenizer_bytes(t, id, &n);
    json_t *text = json_stringn(p, n); /* NULL as well for bytes that are no UTF-8 */
    if (text == NULL || json_object_set_new(vars, name, text) != 0)
        return ft_err_set(err, FT_ECORRUPT, "%s of the model is not valid text", name);
    return 0;
}

int ft_model_template_vars(const struct ft_tokenizer *t, json_t *vars, struct ft_err *err)
{
    int rc = token_set(t, vars, "bos_token", ft_tokenizer_bos(t), err);
    return rc != 0 ? rc : token_set(t, vars, "eos_token", ft_tokenizer_eos(t), err);
}
