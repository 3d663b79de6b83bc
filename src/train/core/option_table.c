/* Every option of a training run. */
#include "train/core/option_table.h"

#include <stddef.h>

#define AT(field) offsetof(struct ft_train_options, field)
#define BIG       1e9

#define I64(key, field, min, max, fallback, only, group, help)                                     \
    {                                                                                              \
        key, FT_OPTION_I64, AT(field), min, max, "N", fallback, only, group, help                  \
    }
#define F64(key, field, min, max, fallback, only, group, help)                                     \
    {                                                                                              \
        key, FT_OPTION_F64, AT(field), min, max, "X", fallback, only, group, help                  \
    }
#define BOOL(key, field, fallback, only, group, help)                                              \
    {                                                                                              \
        key, FT_OPTION_BOOL, AT(field), 0, 0, NULL, fallback, only, group, help                    \
    }
#define CHOICE(key, field, names, fallback, only, group, help)                                     \
    {                                                                                              \
        key, FT_OPTION_CHOICE, AT(field), 0, 0, names, fallback, only, group, help                 \
    }
#define TEXT(key, field, value, fallback, only, group, help)                                       \
    {                                                                                              \
        key, FT_OPTION_TEXT, AT(field), 0, 0, value, fallback, only, group, help                   \
    }
#define LIST(key, field, value, fallback, only, group, help)                                       \
    {                                                                                              \
        key, FT_OPTION_LIST, AT(field), 0, 0, value, fallback, only, group, help                   \
    }

#define MODEL   "The model"
#define DATA    "The data"
#define WHAT    "What is trained"
#define HOW     "How"
#define WATCH   "Watching and keeping"
#define RESULT  "Results"
#define MACHINE "The machine"

/* clang-format off */
const struct ft_train_option ft_train_option_table[] = {
    TEXT("model", model, "PATH", NULL, FT_ONLY_NONE, MODEL,
         "GGUF file or Hugging Face folder to start from"),
    TEXT("arch", arch, "NAME", NULL, FT_ONLY_SCRATCH, MODEL,
         "from scratch instead: llama, qwen2 or qwen3, with the sizes below"),
    TEXT("tokenizer", tokenizer, "PATH", NULL, FT_ONLY_SCRATCH, MODEL,
         "its tokenizer.json, or the folder that holds one"),
    I64("layers", layers, 1, 1024, NULL, FT_ONLY_SCRATCH, MODEL, "layers"),
    I64("d-model", d_model, 8, 65536, NULL, FT_ONLY_SCRATCH, MODEL, "width of the residual stream"),
    I64("d-ff", d_ff, 8, 262144, NULL, FT_ONLY_SCRATCH, MODEL, "width of the feed-forward part"),
    I64("heads", heads, 1, 1024, NULL, FT_ONLY_SCRATCH, MODEL, "query heads"),
    I64("kv-heads", kv_heads, 0, 1024, "0", FT_ONLY_SCRATCH, MODEL,
        "key-value heads; 0: as many as heads"),
    I64("head-dim", head_dim, 0, 1024, "0", FT_ONLY_SCRATCH, MODEL,
        "width of a head; 0: d-model / heads"),
    I64("context", context, 8, 1 << 20, "2048", FT_ONLY_SCRATCH, MODEL, "longest sequence"),
    F64("rope-theta", rope_theta, 1, 1e9, "10000", FT_ONLY_SCRATCH, MODEL,
        "base of the rotary frequencies"),
    F64("norm-eps", norm_eps, 1e-12, 0.1, "1e-6", FT_ONLY_SCRATCH, MODEL, "epsilon of the norms"),
    BOOL("tied", tied, "true", FT_ONLY_SCRATCH, MODEL, "output matrix is the embedding"),
    TEXT("chat-template", chat_template, "FILE", NULL, FT_ONLY_NONE, MODEL,
         "Jinja template for messages, instead of the model's"),

    LIST("data", data, "FILES", NULL, FT_ONLY_NONE, DATA,
         "JSONL of messages, prompt and completion, text, or pairs; .txt"),
    LIST("valid-data", valid_data, "FILES", NULL, FT_ONLY_NONE, DATA, "the same, for validation"),
    I64("valid-samples", valid_samples, 0, BIG, "0", FT_ONLY_NONE, DATA,
        "put about N samples of the data aside for validation"),
    F64("valid-fraction", valid_fraction, 0, 0.9, "0", FT_ONLY_NONE, DATA, "or this part of them"),
    CHOICE("form", form, "auto|chat|prompt|text|pair|pair-openai", "auto", FT_ONLY_NONE, DATA,
           "what every line must be; auto: what its fields say"),
    I64("seq-len", seq_len, 8, 1 << 20, "1024", FT_ONLY_NONE, DATA,
        "tokens of a sequence at most; not given: no more than the model's context"),
    CHOICE("too-long", too_long, "error|truncate|drop", "error", FT_ONLY_NONE, DATA,
           "samples longer than that (texts are cut into pieces)"),
    BOOL("packing", packing, "true", FT_ONLY_NONE, DATA,
         "several samples in a sequence, none seeing another"),
    BOOL("special-text", special_text, "false", FT_ONLY_NONE, DATA,
         "control tokens spelled out in texts are those tokens"),

    CHOICE("method", method, "lora|full", "lora", FT_ONLY_NONE, WHAT,
           "adapters beside frozen weights, or all weights"),
    CHOICE("objective", objective, "sft|dpo", "sft", FT_ONLY_NONE, WHAT,
           "imitation, or preference pairs (DPO)"),
    I64("rank", rank, 1, 512, "16", FT_ONLY_LORA, WHAT, "LoRA rank"),
    F64("alpha", alpha, 1e-3, 1e5, "32", FT_ONLY_LORA, WHAT,
        "LoRA alpha: the adapter counts alpha / rank; not given: twice the rank"),
    F64("dropout", dropout, 0, 0.99, "0", FT_ONLY_LORA, WHAT, "dropout before the adapters"),
    LIST("targets", targets, "NAMES", "q,k,v,o,gate,up,down", FT_ONLY_LORA, WHAT,
         "matrices with an adapter"),
    F64("dpo-beta", dpo_beta, 1e-4, 100, "0.1", FT_ONLY_DPO, WHAT,
        "how hard DPO holds to the model it started from"),

    I64("batch", batch, 1, 4096, "4", FT_ONLY_NONE, HOW, "sequences that pass together"),
    I64("accumulate", accumulate, 1, 65536, "1", FT_ONLY_NONE, HOW, "batches per step"),
    I64("epochs", epochs, 1, 100000, "3", FT_ONLY_NONE, HOW, "times through the data"),
    I64("max-steps", max_steps, 0, BIG, "0", FT_ONLY_NONE, HOW, "stop there; 0: after all epochs"),
    F64("lr", lr, 0, 10, "2e-4", FT_ONLY_NONE, HOW,
        "peak; not given: lora 2e-4, full 2e-5, from scratch 1e-3, dpo 5e-6"),
    F64("min-lr", min_lr, 0, 10, "0", FT_ONLY_NONE, HOW, "learning rate at the end"),
    CHOICE("schedule", schedule, "cosine|linear|constant", "cosine", FT_ONLY_NONE, HOW,
           "the way from one to the other"),
    F64("warmup", warmup, 0, BIG, "0.03", FT_ONLY_NONE, HOW,
        "steps to the peak; below 1: part of all steps"),
    F64("weight-decay", weight_decay, 0, 10, "0", FT_ONLY_NONE, HOW, "AdamW's, of matrices"),
    F64("beta1", beta1, 0, 0.9999, "0.9", FT_ONLY_NONE, HOW, "AdamW's"),
    F64("beta2", beta2, 0, 0.999999, "0.999", FT_ONLY_NONE, HOW, "AdamW's"),
    F64("eps", eps, 1e-15, 1, "1e-8", FT_ONLY_NONE, HOW, "AdamW's"),
    F64("clip", clip, 0, 1e6, "1", FT_ONLY_NONE, HOW, "largest length of the gradient; 0: any"),
    CHOICE("precision", precision, "bf16|f32", "bf16", FT_ONLY_NONE, HOW,
           "of matrix products; sums, weights and gradients are f32"),
    CHOICE("recompute", recompute, "auto|on|off", "auto", FT_ONLY_NONE, HOW,
           "run layers again on the way back instead of keeping their values"),
    I64("seed", seed, 0, 9007199254740992.0, "0", FT_ONLY_NONE, HOW,
        "of order, first weights and dropout"),

    I64("eval-every", eval_every, 0, BIG, "0", FT_ONLY_NONE, WATCH,
        "steps between validations; 0: once an epoch"),
    I64("patience", patience, 0, BIG, "0", FT_ONLY_NONE, WATCH,
        "stop after N validations without a better one; 0: never"),
    I64("save-every", save_every, 0, BIG, "0", FT_ONLY_NONE, WATCH,
        "steps between checkpoints; 0: once an epoch"),
    I64("keep", keep, 1, 1000, "2", FT_ONLY_NONE, WATCH, "checkpoints kept"),
    I64("keep-adapters", keep_adapters, 0, 1000, "0", FT_ONLY_LORA, WATCH,
        "of so many checkpoints the adapter too, in output/adapters/step-N"),
    BOOL("resume", resume, "false", FT_ONLY_NONE, WATCH, "go on from output's newest checkpoint"),

    TEXT("output", output, "FOLDER", NULL, FT_ONLY_NONE, RESULT, "where everything goes"),
    LIST("save", save, "FORMS", NULL, FT_ONLY_NONE, RESULT,
         "adapter, gguf, hf (merged); not given: adapter for lora, gguf for full"),
    BOOL("curve", curve, "true", FT_ONLY_NONE, RESULT, "the loss as a picture, by gnuplot"),
    TEXT("gguf-type", gguf_type, "TYPE", NULL, FT_ONLY_NONE, RESULT,
         "weights of the GGUF (Q8_0, Q4_K_M, BF16 ...); not given: the model's own, but Q8_0 for "
         "what has fewer bits and was trained"),

    BOOL("confined", confined, "false", FT_ONLY_NONE, MACHINE,
         "in a sandbox: reads the model and the data, writes into output, nothing else; no curve"),
    I64("threads", threads, 0, 1024, "0", FT_ONLY_NONE, MACHINE, "0: one per core"),
    I64("memory-mb", memory_mb, 0, BIG, "0", FT_ONLY_NONE, MACHINE,
        "most memory to take; 0: 80% of what is available"),
    TEXT("isa", isa, "NAME", NULL, FT_ONLY_NONE, MACHINE,
         "plain, avx2 or avx512 instead of the best"),
};
/* clang-format on */

const int ft_train_option_count = (int)FT_COUNT(ft_train_option_table);
_Static_assert(FT_COUNT(ft_train_option_table) <= 64, "options.given has a bit for each");
