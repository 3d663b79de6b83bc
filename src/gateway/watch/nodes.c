/* The machines of the cloud: this one. What it is, what it has left, its workers, and what the
 * checks of `feitian doctor` find on it (monitor/checks.h). For operators; on a lane, because the
 * checks block on the disk, and kept for a while, because they fork. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu_isa.h"
#include "base/memory.h"
#include "gateway/inner.h"
#include "monitor/checks.h"

#define CHECKS_KEPT_NS INT64_C(30000000000)

static void cpu_model(char *ret, size_t n)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    ret[0] = '\0';
    while (f != NULL && ret[0] == '\0' && fgets(line, sizeof line, f) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, "model name", 10) != 0)
            continue;
        snprintf(ret, n, "%s", colon + 1 + strspn(colon + 1, " \t"));
        ret[strcspn(ret, "\n")] = '\0';
    }
    if (f != NULL)
        fclose(f);
}

static json_t *cpu(void)
{
    char model[128];
    double load[3] = {0};
    cpu_model(model, sizeof model);
    if (getloadavg(load, 3) != 3)
        load[0] = load[1] = load[2] = 0;
    return json_pack("{s:s,s:I,s:s,s:[f,f,f]}", "model", model, "cores",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "vectors",
                     ft_cpu_isa_name(ft_cpu_isa_best()), "load", load[0], load[1], load[2]);
}

static json_t *memory(void)
{
    struct sysinfo s;
    uint64_t total = sysinfo(&s) == 0 ? (uint64_t)s.totalram * s.mem_unit : 0;
    return json_pack("{s:I,s:I}", "total", (json_int_t)total, "available",
                     (json_int_t)ft_memory_available());
}

/* The file systems that the cloud's folder, its objects and its models lie on, each once. */
static json_t *disks(const char *home)
{
    static const char *const below[] = {"", "/blob", "/models"};
    dev_t seen[FT_COUNT(below)];
    int n = 0;
    json_t *all = json_array();
    for (size_t i = 0; i < FT_COUNT(below); i++) {
        char path[4096];
        struct stat st;
        struct statvfs v;
        bool again = false;
        snprintf(path, sizeof path, "%s%s", home, below[i]);
        if (stat(path, &st) != 0 || statvfs(path, &v) != 0)
            continue;
        for (int k = 0; k < n; k++)
            again |= seen[k] == st.st_dev;
        seen[n++] = st.st_dev;
        if (!again)
            json_array_append_new(all,
                                  json_pack("{s:s,s:I,s:I}", "path", path, "total",
                                            (json_int_t)((uint64_t)v.f_blocks * v.f_frsize), "free",
                                            (json_int_t)((uint64_t)v.f_bavail * v.f_frsize)));
    }
    return all;
}

static void say(void *ctx, enum ft_check_level level, const char *check, const char *mend,
                const char *text)
{
    json_array_append_new(ctx, json_pack("{s:s,s:s,s:s,s:s}", "name", check, "level",
                                         ft_check_level_name[level], "text", text, "mend", mend));
}

/* Under the lock: who comes meanwhile waits for the same answer. */
static json_t *machine_checks(struct gw *g)
{
    static ft_check *const all[] = {
        ft_check_processor, ft_check_memory,  ft_check_home,  ft_check_disk,
        ft_check_limits,    ft_check_sandbox, ft_check_clock,
    };
    pthread_mutex_lock(&g->checks_lock);
    int64_t now = ft_clock_now_ns();
    if (g->checks == NULL || now - g->checks_ns > CHECKS_KEPT_NS) {
        json_t *found = json_array();
        struct ft_checks c = {.home = g->opt->home, .say = say, .ctx = found};
        for (size_t i = 0; i < FT_COUNT(all); i++)
            all[i](&c);
        json_decref(g->checks);
        g->checks = found;
        g->checks_ns = now;
    }
    json_t *copy = json_copy(g->checks);
    pthread_mutex_unlock(&g->checks_lock);
    return copy;
}

static json_t *node(struct gw *g)
{
    char name[256] = "";
    struct sysinfo s = {0};
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
        strcpy(name, "localhost");
    sysinfo(&s);
    json_t *live = gw_status_all(g), *checks = machine_checks(g);
    struct ft_checks c = {.home = g->opt->home, .say = say, .ctx = checks};
    ft_check_live(&c, live);
    json_t *workers = json_object_get(json_object_get(live, "serving"), "workers");
    json_t *o =
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:o,s:o,s:o,s:O?,s:o}", "id", name, "object", "node",
                  "name", name, "version", FT_VERSION, "uptime_s",
                  (json_int_t)((ft_clock_now_ns() - g->begun_ns) / 1000000000), "machine_uptime_s",
                  (json_int_t)s.uptime, "cpu", cpu(), "memory", memory(), "disks",
                  disks(g->opt->home), "workers", workers, "checks", checks);
    json_decref(live);
    return o;
}

void gw_nodes(struct gw_request *r)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    if (ft_tenant_ident_role(r->ident) < FT_ROLE_OPERATOR) {
        ft_oai_error_set(&e, FT_EINVAL, "insufficient_permissions", NULL,
                         "this takes the role operator; the key has %s",
                         ft_tenant_role_name(ft_tenant_ident_role(r->ident)));
        e.status = 403;
        gw_fail(r, &e);
        return;
    }
    json_t *one = node(r->gw);
    gw_respond_json(r, json_pack("{s:s,s:[o]}", "object", "list", "data", one));
}
