/* The chat template that new vocabularies get by name: ChatML, turns between <|im_start|> and
 * <|im_end|>, as Qwen's without its default system message and tools. */
#ifndef FT_TRAIN_TOKENIZER_CHATML_H
#define FT_TRAIN_TOKENIZER_CHATML_H

#define FT_CHATML_BEGIN "<|im_start|>"
#define FT_CHATML_END   "<|im_end|>"
#define FT_CHATML_TEMPLATE                                                                         \
    "{%- for message in messages %}\n"                                                             \
    "    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\n" \
    "{%- endfor %}\n"                                                                              \
    "{%- if add_generation_prompt %}\n"                                                            \
    "    {{- '<|im_start|>assistant\\n' }}\n"                                                      \
    "{%- endif %}\n"

#endif
