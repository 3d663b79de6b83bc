/* Which replica a request goes to: the one that has read the longest part of its prompt already,
 * unless that one has much more to do than another. Pure; not thread-safe.
 *
 * Calls that come together with the same long beginning go one first: while a replica reads it for
 * one, the others wait, and find it read.
 *
 * A prompt is a chain: its bytes in blocks, each hashed together with all before it, from a salt
 * (project, model) on. What a replica has read lately is a small table of such hashes; a wrong hit
 * costs a worse choice and nothing else. */
#ifndef FT_SERVE_ROUTER_H
#define FT_SERVE_ROUTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "serve/replica.h"

#define FT_ROUTER_BLOCK_BYTES 256  /* about 64 tokens, the engine's own grain */
#define FT_ROUTER_CHAIN_MAX   128  /* blocks that are looked at */
#define FT_ROUTER_SEEN        8192 /* hashes remembered of a replica; a power of two */
#define FT_ROUTER_SLACK       4    /* calls more than the least loaded that affinity may cost ... */
#define FT_ROUTER_SLACK_PART  0.5  /* ... or this part of its load, if that is more */

#define FT_ROUTER_HOLD        4  /* blocks that another is just reading: worth waiting for them */
#define FT_ROUTER_LEADERS_MAX 32 /* prompts being read at a replica that are looked at */

struct ft_router_chain {
    int n;
    uint64_t hash[FT_ROUTER_CHAIN_MAX];
};
struct ft_router_seen {
    uint64_t hash[FT_ROUTER_SEEN];
};

/* Of a request's messages, tools and prompt. */
void ft_router_chain_of(const json_t *body, const char *project, const char *model,
                        struct ft_router_chain *ret);
/* Blocks from the beginning that the replica has read. */
int ft_router_match(const struct ft_router_seen *seen, const struct ft_router_chain *chain);
void ft_router_note(struct ft_router_seen *seen, const struct ft_router_chain *chain);
/* Blocks from the beginning that both have. */
int ft_router_common(const struct ft_router_chain *a, const struct ft_router_chain *b);

struct ft_router_place {
    int load;  /* running there */
    int match; /* blocks it has read */
    int soon;  /* blocks it is just reading for another call, if more than match; else match */
    bool room;
};
/* An index, or -1 if there is no room anywhere. turn decides between equals. */
int ft_router_choose(const struct ft_router_place *place, int n, unsigned turn);

/* Which of n weights a key falls on: 0 with probability weight[0]/sum and so on, always the same
 * for a key. -1 if all are 0. */
int ft_router_draw(const double *weight, int n, uint64_t key);

#endif
