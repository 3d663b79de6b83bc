/* adapter_config.json, and what it says of a few modules. */
#include <stdlib.h>

#include "model/adapter/adapter.h"
#include "model/adapter/peft_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const modules[] = {"model.layers.0.self_attn.q_proj",
                                          "model.layers.31.mlp.down_proj", "lm_head", ""};
    struct ft_peft_config c;
    struct ft_err err;
    if (ft_peft_config_read((const char *)data, n, &c, &err) != 0)
        return 0;
    for (size_t i = 0; i < FT_COUNT(modules); i++) {
        int rank;
        double alpha;
        if (ft_peft_config_module(&c, modules[i], &rank, &alpha, &err) == 0 &&
            (rank < 1 || rank > FT_ADAPTER_RANK_MAX))
            abort();
    }
    ft_peft_config_fini(&c);
    return 0;
}
