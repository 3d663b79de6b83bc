/* Between parse.c (content, reasoning, markers) and the parsers of calls in the dialects' formats.
 *
 * A call parser gets the bytes after the marker one by one and says whether it wants more, is done,
 * or cannot go on. It emits parts as it goes; parse.c keeps the raw text so that it can be given as
 * content if the call turns out to be none. Bytes, not pieces, drive everything: so the parts do
 * not depend on how the text was cut. */
#ifndef FT_MODEL_PARSE_IMPL_H
#define FT_MODEL_PARSE_IMPL_H

#include "model/chat/parse.h"

#define FP_RAW_BYTES_MAX  ((size_t)16 << 20) /* one call, held until it is known to be one */
#define FP_JSON_DEPTH_MAX 512
#define FP_NAME_BYTES_MAX 256
#define FP_MARK_MAX       8  /* alternatives of one marker */
#define FP_NEWLINES_MAX   16 /* before a call: dropped if it is one */

enum fp_step { FP_MORE, FP_DONE, FP_BROKEN };

/* Checks JSON byte by byte; tells where keys and values of the outermost object begin and end. */
enum fp_event { FP_NONE, FP_KEY, FP_VALUE_BEGIN, FP_VALUE_END, FP_END, FP_BAD };
struct fp_json {
    unsigned char state, literal_at;
    bool key, started;
    const char *literal;
    int depth, hex_left;
    unsigned char stack[FP_JSON_DEPTH_MAX / 8]; /* a bit each: object or array */
};
void fp_json_init(struct fp_json *j);
/* At the byte that ends a number, the value's end is reported and the byte is not consumed:
 * *consumed is false, feed it again. */
enum fp_event fp_json_feed(struct fp_json *j, unsigned char c, bool *consumed);

/* One of a few literal texts, matched byte by byte. */
struct fp_match {
    const char *lit[FP_MARK_MAX];
    int n;
    size_t at;
    unsigned alive;
};
void fp_match_init(struct fp_match *m, const char *const *lit, int n);
int fp_match_feed(struct fp_match *m, char c); /* >= 0: that one is complete; -1: more; -2: none */
bool fp_is_space(char c);                      /* JSON's white space */
bool fp_ends_with(const struct ft_buf *b, const char *s);
/* Of a tool or a parameter: 1 to FP_NAME_BYTES_MAX bytes of UTF-8 without control characters. */
bool fp_name_ok(const struct ft_buf *name);

enum fp_stage {
    ST_START,
    ST_JSON,
    ST_TAIL,
    ST_NAME,
    ST_FENCE,
    ST_KEY,
    ST_VALUE,
    ST_BODY,
    ST_PYTHON,
};

struct ft_chat_parser {
    enum ft_dialect dialect;
    json_t *tools; /* borrowed reference, counted */
    ft_part_fn *fn;
    void *ctx;
    int n_calls;
    bool reasoning, at_start, skip_newlines, in_call, failed;
    enum ft_chat_bound bound;
    bool said;          /* some content was given */
    struct ft_buf text; /* of the kind below, to be given at the end of a push */
    enum ft_part_kind kind;
    struct ft_buf held; /* newlines and the beginning of what may be a marker */
    struct ft_buf raw;  /* the current call, marker and newlines before it included */

    /* the current call */
    enum fp_stage stage;
    bool begun, args_open, object_seen;
    struct fp_json json;
    size_t json_from;         /* in raw: where the JSON object begins */
    size_t token_from;        /* where the current key or value begins */
    size_t args_sent;         /* arguments up to here were given; 0 = none */
    int field;                /* what the current value is: name, arguments, other */
    struct ft_buf name, args; /* args: held back until the name is known */
    bool name_known, args_known, streaming;
    struct fp_match match;
    /* parameters in tags */
    struct ft_buf key, value;
    int n_params;
    enum { FP_TEXT, FP_TYPED, FP_RAW_JSON } value_type;
    size_t value_sent;
    bool value_open;
};

void fp_part(struct ft_chat_parser *p, enum ft_part_kind kind, const char *text, size_t n);
void fp_call_begin(struct ft_chat_parser *p, const char *name, size_t n);
void fp_call_args(struct ft_chat_parser *p, const char *text, size_t n);
void fp_call_end(struct ft_chat_parser *p);
/* The schema ("parameters") of a tool; *known says whether there is one of that name. */
json_t *fp_tool_schema(const struct ft_chat_parser *p, const char *name, size_t n, bool *known);

/* White space, then one of the literals: as fp_match_feed(). */
int fp_tail_feed(struct ft_chat_parser *p, const char *const *lit, int n, char c);

/* One per format. raw holds the byte c already. */
enum fp_step fp_json_call(struct ft_chat_parser *p, char c);     /* Hermes, Llama */
enum fp_step fp_deepseek_call(struct ft_chat_parser *p, char c); /* DeepSeek V3, R1, V3.1 */
enum fp_step fp_tags_call(struct ft_chat_parser *p, char c);     /* Qwen XML, DeepSeek V3.2 */
enum fp_step fp_python_call(struct ft_chat_parser *p); /* Llama, at the end of the answer */
/* At the end of the answer: may what there is count as a whole call? */
bool fp_call_complete(struct ft_chat_parser *p);

#endif
