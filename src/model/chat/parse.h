/* Taking a model's answer apart: reasoning, content and tool calls, whole or while streaming.
 *
 * The dialect is found from the chat template's text (Qwen2.5/3 and Hermes "<tool_call>" JSON,
 * Qwen3-Coder/3.5 XML, Llama 3.x JSON and <|python_tag|>, DeepSeek V3/V3.1/R1/V3.2 markers;
 * <think> sections). Text is never lost: what does not parse as a call is content. */
#ifndef FT_MODEL_PARSE_H
#define FT_MODEL_PARSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum ft_dialect {
    FT_DIALECT_PLAIN, /* no tool calls */
    FT_DIALECT_HERMES,
    FT_DIALECT_QWEN_XML,
    FT_DIALECT_LLAMA3,
    FT_DIALECT_DEEPSEEK_V3, /* V3, R1: fenced json */
    FT_DIALECT_DEEPSEEK_V31,
    FT_DIALECT_DEEPSEEK_V32, /* DSML invoke blocks */
};
enum ft_dialect ft_dialect_detect(const char *template_text, size_t n);

enum ft_part_kind {
    FT_PART_CONTENT,    /* text */
    FT_PART_REASONING,  /* text */
    FT_PART_CALL_BEGIN, /* name set; call_index counts from 0 */
    FT_PART_CALL_ARGS,  /* text: the next piece of the arguments' JSON text */
    FT_PART_CALL_END,
    FT_PART_CALL_ABORT, /* what was given of this call since its BEGIN is none after all: all of its
                         * text follows as content, and the next call gets the same index */
};
struct ft_part {
    enum ft_part_kind kind;
    int call_index;
    const char *text; /* valid during the callback; not NUL-terminated */
    size_t n;
};
typedef void ft_part_fn(void *ctx, const struct ft_part *part);

/* Does a prompt end inside of a reasoning section that it opened itself? */
bool ft_chat_opens_reasoning(const char *rendered_prompt_tail, size_t n);

/* In dialects of tags, where values stand bare: are all values of a parameter with this schema
 * strings? Otherwise one that is JSON is that, and any other text a string. */
bool ft_chat_tag_is_text(const json_t *schema);

struct ft_chat_parser;
/* rendered_prompt_tail: the end of the rendered prompt, so that a prompt that already opened
 * <think> starts in reasoning. tools: the request's tools or NULL (then nothing is taken for a
 * call). schema of the tools tells XML dialects which arguments are strings. */
int ft_chat_parser_open(enum ft_dialect d, json_t *tools, const char *rendered_prompt_tail,
                        size_t n, ft_part_fn *fn, void *ctx, struct ft_chat_parser **ret,
                        struct ft_err *err);
/* What a grammar keeps the answer to, so that nothing else is taken for a call than what it takes
 * for one. Before the first push. */
enum ft_chat_bound {
    FT_CHAT_UNBOUND,
    /* A call's object tells its name first (before it "type": "function" at most), nothing escaped,
     * without long runs of white space: told of Llama, where nothing but its members shows that an
     * object is a call. */
    FT_CHAT_BOUND_CALLS,
    /* That, and calls come first or not at all: behind any content all is content. */
    FT_CHAT_BOUND_ANSWER,
};
#define FT_CHAT_BOUND_NEWLINES_MAX 2 /* of an answer, before its first call */
#define FT_CHAT_BOUND_SPACES_MAX   16
void ft_chat_parser_bind(struct ft_chat_parser *p, enum ft_chat_bound bound);
bool ft_chat_parser_reasons(const struct ft_chat_parser *p); /* what comes next is reasoning */
void ft_chat_parser_close(struct ft_chat_parser *p);
int ft_chat_parser_push(struct ft_chat_parser *p, const char *text, size_t n, struct ft_err *err);
int ft_chat_parser_finish(struct ft_chat_parser *p, struct ft_err *err);

#endif
