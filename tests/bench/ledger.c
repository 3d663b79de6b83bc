/* What metering costs a request on its thread: key, permission, admission, begin, counts, end,
 * settling, with 100,000 keys. The reference of the same run is what nobody can do without: SHA-256
 * of a key, once.
 *
 * usage: bench_ledger [REQUESTS] */
#include <nettle/sha2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/ledger.h"
#include "tenant/tenant.h"

#define KEYS   100000
#define COUNTS 3 /* pieces of an answer */

static void secret_of(int i, char *ret, size_t max)
{
    snprintf(ret, max, "sk-ft-%043d", i);
}

static void digest_of(const char *secret, uint8_t *ret)
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, strlen(secret), (const uint8_t *)secret);
    sha256_digest(&sha, 32, ret);
}

static void fill(struct ft_tenant *t)
{
    struct ft_err err = {.msg = ""};
    json_t *project = json_pack("{s:{s:i,s:i},s:{s:s}}", "limits", "rpm", 1000000000, "tpm",
                                1000000000, "budget", "month", "1000000");
    FT_ASSERT(ft_tenant_apply(t, "project", "proj_1", project, &err) == 0);
    json_decref(project);
    for (int i = 0; i < KEYS; i++) {
        uint8_t digest[32];
        char secret[64], hex[65], id[32];
        secret_of(i, secret, sizeof secret);
        digest_of(secret, digest);
        for (int k = 0; k < 32; k++)
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        snprintf(id, sizeof id, "key_%d", i);
        json_t *row = json_pack("{s:s,s:s,s:s,s:[s]}", "name", id, "project", "proj_1", "hash", hex,
                                "models", "*");
        FT_ASSERT(ft_tenant_apply(t, "key", id, row, &err) == 0);
        json_decref(row);
    }
}

static long resident_kb(void)
{
    long pages = 0, unused;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL && fscanf(f, "%ld %ld", &unused, &pages) != 2)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void one(struct ft_tenant *t, struct ft_ledger *l, int i)
{
    struct ft_err err;
    struct ft_tenant_ident *ident;
    struct ft_tenant_lease lease;
    struct ft_tenant_limits limits;
    enum ft_tenant_why why;
    struct ft_price price = {100, 10, 400};
    char secret[64], id[32];
    int slot;
    secret_of(i % KEYS, secret, sizeof secret);
    snprintf(id, sizeof id, "req_%024d", i);
    FT_ASSERT(ft_tenant_authenticate(t, secret, strlen(secret), 1767225600, &ident, &why, &err) ==
              0);
    FT_ASSERT(ft_tenant_may(ident, "chat", "nano", &why, &err) == 0);
    struct ft_tenant_ask ask = {ft_clock_now_ns(), 1767225600, 100, 1000};
    FT_ASSERT(ft_tenant_admit(t, ident, &ask, &lease, &limits, &err) == 0);
    struct ft_ledger_begin b = {.id = id,
                                .project = ident->project,
                                .key = ident->key,
                                .model = "nano",
                                .route = "chat.completions",
                                .price = price};
    while (ft_ledger_begin(l, &b, &slot, &err) != 0)
        usleep(1000); /* faster than the disk */
    for (int k = 1; k <= COUNTS; k++)
        ft_ledger_count(l, slot, 50, 0, k);
    struct ft_ledger_end e = {.status = FT_RECORD_OK, .http = 200};
    struct ft_ledger_sum sum;
    ft_ledger_end(l, slot, &e, &sum);
    ft_tenant_settle(&lease, 1767225600, 53, sum.cost_nanos);
    ft_tenant_ident_unref(ident);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 200000;
    char dir[] = "/tmp/ft-bench-ledger-XXXXXX";
    struct ft_err err = {.msg = ""};
    struct ft_tenant *t;
    struct ft_ledger *l;
    struct ft_ledger_stats s;
    if (mkdtemp(dir) == NULL)
        return 1;
    struct ft_ledger_options o = {.dir = dir};
    long before = resident_kb();
    FT_ASSERT(ft_tenant_open(&t, &err) == 0);
    fill(t);
    printf("%d keys: %ld bytes each\n", KEYS, (resident_kb() - before) * 1024 / KEYS);
    FT_ASSERT(ft_ledger_open(&o, &l, &err) == 0);
    uint8_t digest[32];
    char secret[64];
    int64_t begin = ft_clock_now_ns();
    for (int i = 0; i < n; i++) {
        secret_of(i % KEYS, secret, sizeof secret);
        digest_of(secret, digest);
    }
    double sha_ns = (double)(ft_clock_now_ns() - begin) / n;
    int64_t cpu = 0;
    for (int i = 0; i < n; i += 5000) { /* in bursts that the table holds */
        struct timespec a, z;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        for (int k = i; k < i + 5000; k++)
            one(t, l, k);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &z);
        cpu += (z.tv_sec - a.tv_sec) * 1000000000ll + z.tv_nsec - a.tv_nsec;
        ft_ledger_drain(l, 10000);
    }
    struct timespec all;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &all);
    ft_ledger_stats(l, &s);
    double each = (double)cpu / n;
    printf("metering: %.0f ns a request, %.1f times a key's SHA-256 (%.0f ns); %lld records, %lld "
           "bytes each\n",
           each, each / sha_ns, sha_ns, (long long)s.records,
           (long long)(s.pending_bytes / s.records));
    ft_ledger_close(l);
    ft_tenant_close(t);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) == 0 ? 0 : 1;
}
