/* Prefix affinity and load. The hash of a block is the table's keyed one (base/map.h), so nobody
 * outside can make prompts that collide. */
#include "serve/router.h"

#include <string.h>

#include "base/map.h"
#include "base/rand.h"

struct chaining {
    struct ft_router_chain *chain;
    uint64_t at;
    size_t n;
    char block[FT_ROUTER_BLOCK_BYTES];
};

static int take_bytes(const char *data, size_t n, void *ctx)
{
    struct chaining *c = ctx;
    while (n > 0) {
        if (c->chain->n == FT_ROUTER_CHAIN_MAX)
            return -1; /* ends the writing: nothing further is looked at */
        size_t some = FT_MIN(n, sizeof c->block - c->n);
        memcpy(c->block + c->n, data, some);
        c->n += some;
        data += some;
        n -= some;
        if (c->n == sizeof c->block) {
            c->at = ft_rand_mix(c->at ^ ft_hash_bytes(c->block, sizeof c->block)) | 1;
            c->chain->hash[c->chain->n++] = c->at;
            c->n = 0;
        }
    }
    return 0;
}

void ft_router_chain_of(const json_t *body, const char *project, const char *model,
                        struct ft_router_chain *ret)
{
    /* as templates put them: tools come before the conversation */
    static const char *const members[] = {"tools", "messages", "prompt"};
    struct chaining c = {.chain = ret};
    ret->n = 0;
    c.at =
        ft_rand_mix(ft_hash_bytes(project, strlen(project))) ^ ft_hash_bytes(model, strlen(model));
    for (size_t i = 0; i < FT_COUNT(members); i++) {
        const json_t *v = json_object_get(body, members[i]);
        if (json_is_string(v))
            take_bytes(json_string_value(v), json_string_length(v), &c);
        else if (v != NULL)
            json_dump_callback(v, take_bytes, &c, JSON_COMPACT);
    }
}

int ft_router_match(const struct ft_router_seen *seen, const struct ft_router_chain *chain)
{
    int n = 0;
    while (n < chain->n && seen->hash[chain->hash[n] % FT_ROUTER_SEEN] == chain->hash[n])
        n++;
    return n;
}

void ft_router_note(struct ft_router_seen *seen, const struct ft_router_chain *chain)
{
    for (int i = 0; i < chain->n; i++)
        seen->hash[chain->hash[i] % FT_ROUTER_SEEN] = chain->hash[i];
}

int ft_router_common(const struct ft_router_chain *a, const struct ft_router_chain *b)
{
    int n = 0;
    while (n < a->n && n < b->n && a->hash[n] == b->hash[n])
        n++;
    return n;
}

/* What is read counts a little more than the same that is being read. */
static int worth(const struct ft_router_place *p)
{
    return FT_MAX(2 * p->match, 2 * p->soon - 1);
}

int ft_router_choose(const struct ft_router_place *place, int n, unsigned turn)
{
    int least = -1;
    for (int k = 0; k < n; k++) {
        int i = (int)((turn + (unsigned)k) % (unsigned)n);
        if (place[i].room && (least < 0 || place[i].load < place[least].load))
            least = i;
    }
    if (least < 0)
        return -1;
    double slack = FT_MAX((double)FT_ROUTER_SLACK, FT_ROUTER_SLACK_PART * place[least].load);
    int best = least;
    for (int i = 0; i < n; i++)
        if (place[i].room && worth(&place[i]) > worth(&place[best]) &&
            place[i].load <= place[least].load + slack)
            best = i;
    return best;
}

int ft_router_draw(const double *weight, int n, uint64_t key)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += weight[i];
    double at = ft_rand_unit(key, 0, 0) * sum;
    int last = -1;
    for (int i = 0; i < n; i++) {
        if (weight[i] <= 0)
            continue;
        last = i;
        if (at < weight[i])
            return i;
        at -= weight[i];
    }
    return last;
}
