/* The machines of the cloud: this one. What it is, what it has left, its workers, and what the
 * checks of `feitian doctor` find on it (monitor/checks.h). For operators; on a lane, because it
 * waits for them; what they found is kept for a while. */
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
#include "sched/ask.h"

#define CHECKS_KEPT_NS INT64_C(30000000000)
#define CHECKS_MS      5000 /* then the one who looks is killed */
#define CHECKS_BYTES   ((size_t)256 << 10)

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

/* As `feitian doctor` has them. */
static void take_findings(const json_t *said, json_t *ret)
{
    static const char *const renamed[][2] = {
        {"check", "name"}, {"level", "level"}, {"message", "text"}, {"mend", "mend"}};
    size_t k;
    json_t *one;
    json_array_foreach(json_object_get(said, "findings"), k, one)
    {
        json_t *o = json_object();
        for (size_t i = 0; i < FT_COUNT(renamed); i++)
            json_object_set(o, renamed[i][1], json_object_get(one, renamed[i][0]));
        json_array_append_new(ret, o);
    }
}

/* By a process of its own: checks fork, sync files and may hang on a disk, none of which is for
 * the process that serves. */
static json_t *ask_doctor(const struct gw *g)
{
    char *const argv[] = {"/proc/self/exe",     "doctor", "--machine", "--json", "--home",
                          (char *)g->opt->home, NULL};
    struct ft_ask a = {.argv = argv, .timeout_ms = CHECKS_MS};
    struct ft_ask_answer answer = {.whole = false};
    struct ft_err err = {0};
    struct ft_buf out;
    json_t *found = json_array();
    ft_buf_init(&out, CHECKS_BYTES);
    int rc = ft_ask(&a, &out, &answer, &err);
    json_t *said =
        rc == 0 && answer.whole && out.len > 0 ? json_loadb(out.data, out.len, 0, NULL) : NULL;
    take_findings(said, found);
    if (json_array_size(found) == 0)
        say(found, FT_CHECK_WARN, "machine", "see whether 'feitian doctor' ends on this machine",
            rc != 0        ? err.msg
            : answer.whole ? answer.says
                           : "the checks took too long: perhaps a disk does not answer");
    json_decref(said);
    ft_buf_fini(&out);
    return found;
}

/* One asks at a time; who comes meanwhile is shown what was found before. */
static json_t *machine_checks(struct gw *g)
{
    pthread_mutex_lock(&g->checks_lock);
    int64_t now = ft_clock_now_ns();
    bool due = g->checks == NULL || now - g->checks_ns > CHECKS_KEPT_NS;
    if (due && !g->checks_asked) {
        g->checks_asked = true;
        pthread_mutex_unlock(&g->checks_lock);
        json_t *found = ask_doctor(g);
        pthread_mutex_lock(&g->checks_lock);
        json_decref(g->checks);
        g->checks = found;
        g->checks_ns = ft_clock_now_ns();
        g->checks_asked = false;
    }
    json_t *copy = g->checks != NULL ? json_deep_copy(g->checks) : json_array();
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
