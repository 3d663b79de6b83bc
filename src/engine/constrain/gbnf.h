/* Grammars in llama.cpp's GBNF notation, and the machine that runs them.
 *
 *     root  ::= "(" expr ")" | [a-z]+      # comment
 *     expr  ::= root ("," root){0,3}
 *
 * Rules, alternatives, groups, literals, classes, '.', and * + ? {m} {m,} {m,n}. Each rule becomes
 * a piece of code of a nondeterministic machine with calls; a state is a set of threads, each a
 * place in the code and a stack of returns. Left recursion (also behind parts that may be empty) is
 * refused, so every call costs at least one character before it can come again. */
#ifndef FT_CONSTRAIN_GBNF_H
#define FT_CONSTRAIN_GBNF_H

#include "engine/constrain/cx.h"
#include "engine/constrain/regex.h"

#define FT_GBNF_BYTES_MAX   ((size_t)1 << 20)
#define FT_GBNF_CODE_MAX    200000
#define FT_GBNF_THREADS_MAX 512  /* more are dropped: fewer texts, never a wrong one */
#define FT_GBNF_STACK_MAX   4000 /* calls inside calls; a thread that wants more is dropped */

enum ft_gop { FT_G_SET, FT_G_SPLIT, FT_G_JUMP, FT_G_CALL, FT_G_RETURN };

struct ft_ginst {
    uint8_t op;
    bool live; /* a return can be reached from here */
    uint32_t x,
        y; /* SET: x set, goes on behind itself; SPLIT: both; JUMP: x; CALL: x rule's code */
};

struct ft_gset {
    uint32_t n;
    const uint32_t (*iv)[2];
};

struct ft_gbnf {
    struct ft_ginst *code;
    struct ft_gset *sets;
    uint32_t n_code, n_sets, root;
};

struct ft_gbnf *ft_gbnf_compile(struct ft_cx *cx, const char *text, size_t n);

#endif
