#include "model/token/impl.h"
int ft_tokenizer_fill_json(struct ft_tokenizer *t, const char *json, size_t n, const char *config,
                           size_t config_n, struct ft_err *err)
{
    (void)t, (void)json, (void)n, (void)config, (void)config_n;
    return ft_err_set(err, FT_EUNSUPPORTED, "tokenizer.json");
}
int ft_tokenizer_fill_generation(struct ft_tokenizer *t, const char *json, size_t n,
                                 struct ft_err *err)
{
    (void)t, (void)json, (void)n;
    return ft_err_set(err, FT_EUNSUPPORTED, "tokenizer.json");
}
