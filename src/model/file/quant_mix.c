/* The table of mixtures and the rules of quant_mix.h. */
#include "model/file/quant_mix.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/slice.h"

static const struct ft_mix mixes[] = {
    {"F32", FT_F32, 0, false},        {"F16", FT_F16, 1, false},
    {"BF16", FT_BF16, 32, false},     {"Q8_0", FT_Q8_0, 7, false},
    {"Q4_0", FT_Q4_0, 2, false},      {"Q4_1", FT_Q4_1, 3, false},
    {"Q5_0", FT_Q5_0, 8, false},      {"Q5_1", FT_Q5_1, 9, false},
    {"Q2_K", FT_Q2_K, 10, false},     {"Q3_K", FT_Q3_K, 11, false},
    {"Q4_K", FT_Q4_K, 14, false},     {"Q4_K_M", FT_Q4_K, 15, true},
    {"Q5_K", FT_Q5_K, 16, false},     {"Q5_K_M", FT_Q5_K, 17, true},
    {"Q6_K", FT_Q6_K, 18, false},     {"IQ4_NL", FT_IQ4_NL, 25, false},
    {"IQ4_XS", FT_IQ4_XS, 30, false}, {"MXFP4", FT_MXFP4, 38, false},
};

const struct ft_mix *ft_mix_by_name(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(mixes); i++)
        if (strcasecmp(mixes[i].name, name) == 0)
            return &mixes[i];
    return NULL;
}

const char *ft_mix_names(void)
{
    return "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q4_K_M Q5_K Q5_K_M Q6_K IQ4_NL "
           "IQ4_XS MXFP4";
}

/* Matrices that are quantised at all. */
static bool is_matrix(const char *name, int n_dims)
{
    return n_dims >= 2 && ft_str_ends(name, ".weight") && strstr(name, "_norm.") == NULL &&
           strstr(name, "ffn_gate_inp") == NULL && strncmp(name, "rope_", 5) != 0;
}

/* The layers whose attn_v and ffn_down are worth more bits: the first and last eighth and every
 * third between. */
static bool more_bits(int layer, int n_layer)
{
    int eighth = n_layer / 8;
    return layer < eighth || layer >= 7 * n_layer / 8 || (layer - eighth) % 3 == 2;
}

/* What a format that rows of n weights do not divide into blocks falls back to. */
static enum ft_type fitting(enum ft_type type, int64_t n)
{
    if (n % ft_type_info(type)->block_len == 0)
        return type;
    switch (type) {
    case FT_Q4_K:
        type = FT_Q5_0;
        break;
    case FT_Q5_K:
        type = FT_Q5_1;
        break;
    case FT_Q6_K:
        type = FT_Q8_0;
        break;
    default:
        type = FT_IQ4_NL;
    }
    return n % ft_type_info(type)->block_len == 0 ? type : FT_F16;
}

enum ft_type ft_mix_type(const struct ft_mix *m, const char *tensor, int n_dims, const int64_t *dim,
                         int n_layer, bool tied, bool pure)
{
    if (!is_matrix(tensor, n_dims))
        return FT_F32;
    enum ft_type type = m->base;
    if (ft_type_info(type)->block_len == 1)
        return type;
    int layer = -1;
    char part[64] = "";
    sscanf(tensor, "blk.%d.%63s", &layer, part);
    bool output = strcmp(tensor, tied ? "token_embd.weight" : "output.weight") == 0;
    if (pure)
        return fitting(type, dim[0]);
    if (output && type != FT_Q8_0)
        return fitting(FT_Q6_K, dim[0]);
    if (m->more_bits && more_bits(layer, n_layer) &&
        (strcmp(part, "attn_v.weight") == 0 || strncmp(part, "ffn_down", 8) == 0))
        type = FT_Q6_K;
    return fitting(type, dim[0]);
}
