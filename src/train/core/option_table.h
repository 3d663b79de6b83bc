/* The table behind options.h. */
#ifndef FT_TRAIN_OPTION_TABLE_H
#define FT_TRAIN_OPTION_TABLE_H

#include "train/core/options.h"

enum ft_option_kind {
    FT_OPTION_I64,
    FT_OPTION_F64,
    FT_OPTION_BOOL,
    FT_OPTION_CHOICE, /* int: the index in `value`, "a|b|c" */
    FT_OPTION_TEXT,
    FT_OPTION_LIST,
};

enum ft_option_only { FT_ONLY_NONE, FT_ONLY_SCRATCH, FT_ONLY_LORA, FT_ONLY_DPO };

struct ft_train_option {
    const char *key;
    enum ft_option_kind kind;
    size_t offset; /* in struct ft_train_options */
    double min, max;
    const char *value, *fallback; /* as in struct ft_train_option_help */
    enum ft_option_only only;     /* where else it would be ignored, it is refused */
    const char *group, *help;
};

extern const struct ft_train_option ft_train_option_table[];
extern const int ft_train_option_count; /* at most 64: options.given */

#endif
