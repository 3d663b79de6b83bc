/* feitian status: does a cloud run, where, and what does it do? */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"
#include "cli/cloud/up.h"

struct status {
    struct ft_cloud_options o;
    struct ft_home_up up;
    int running; /* the supervisor of HOME: 1, 0; -1: another machine's cloud was asked for */
    json_t *live;
    bool all; /* idle checkpoints, too */
};

static int fetch(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    struct status *s = ctx;
    if (s->up.url[0] == '\0')
        snprintf(s->up.url, sizeof s->up.url, "%s", c->url);
    return ft_cloud_call(c, "GET", "/api/v1/status", NULL, &s->live, err);
}

static int64_t whole(const json_t *o, const char *name)
{
    return (int64_t)json_integer_value(json_object_get(o, name));
}

static void put_workers(const json_t *workers)
{
    const json_t *w;
    size_t i;
    json_array_foreach(workers, i, w)
    {
        char memory[FT_FIGURE_BYTES], names[512] = "";
        size_t at = 0, k;
        const json_t *m, *health = json_object_get(w, "health");
        json_array_foreach(json_object_get(w, "models"), k, m)
        {
            snprintf(names + at, sizeof names - at, "%s%s", k > 0 ? ", " : "",
                     ft_cloud_text(m, "name", "?"));
            at += strlen(names + at);
        }
        int64_t used = whole(health, "weight_bytes") + whole(health, "adapter_bytes") +
                       whole(health, "kv_bytes");
        const char *end = ft_cloud_text(w, "last_end", "");
        printf("  %-11s %s, pid %lld, %s for models: %s%s%s\n", ft_cloud_text(w, "id", "worker"),
               ft_cloud_text(w, "state", "?"), (long long)whole(w, "pid"),
               ft_figure_bytes(memory, (uint64_t)used), names[0] != '\0' ? names : "-",
               end[0] != '\0' ? "; the one before: " : "", end);
    }
}

/* An endpoint of servers by URL. */
static void put_server(const json_t *e, bool first)
{
    const json_t *t;
    size_t i;
    int asked = 0, silent = 0, n = (int)json_array_size(json_object_get(e, "targets"));
    json_array_foreach(json_object_get(e, "targets"), i, t)
    {
        const json_t *answered = json_object_get(t, "answered");
        asked += json_is_boolean(answered);
        silent += json_is_false(answered);
    }
    char how[64] = "not asked yet";
    if (silent > 0 && n > 1)
        snprintf(how, sizeof how, "%d of %d did not answer last", silent, n);
    else if (asked > 0)
        snprintf(how, sizeof how, "%s", silent > 0 ? "did not answer last" : "answered last");
    printf("  %-11s %s: server", first ? "endpoints" : "", ft_cloud_text(e, "name", "?"));
    json_array_foreach(json_object_get(e, "targets"), i, t)
        printf("%s %s", i > 0 ? "," : "", ft_cloud_text(t, "url", "?"));
    printf(" %s, %lld running, %lld waiting\n", how, (long long)whole(e, "in_flight"),
           (long long)whole(e, "queue"));
}

static void put_endpoints(const json_t *endpoints, bool all)
{
    const json_t *e;
    size_t i;
    int shown = 0, hidden = 0;
    json_array_foreach(endpoints, i, e)
    {
        const json_t *r = json_object_get(e, "replicas");
        if (!all && ft_show_is_idle_checkpoint(e)) {
            hidden++;
            continue;
        }
        bool first = shown++ == 0;
        if (strcmp(ft_cloud_text(e, "kind", "model"), "url") == 0) {
            put_server(e, first);
            continue;
        }
        printf("  %-11s %s: %lld of %lld replicas ready, %lld running, %lld waiting\n",
               first ? "endpoints" : "", ft_cloud_text(e, "name", "?"),
               (long long)whole(r, "ready"), (long long)whole(r, "wanted"),
               (long long)whole(e, "in_flight"), (long long)whole(e, "queue"));
    }
    if (hidden > 0)
        printf("  %-11s and %d checkpoints of trainings, idle: --all\n",
               shown == 0 ? "endpoints" : "", hidden);
}

static void put_storage(const json_t *storage)
{
    char bytes[FT_FIGURE_BYTES];
    const json_t *scrub = json_object_get(storage, "scrub");
    if (storage == NULL) /* it is for operators */
        return;
    if (!json_is_true(json_object_get(storage, "open"))) {
        printf("  %-11s not open: %s\n", "storage", ft_cloud_text(storage, "trouble", "?"));
        return;
    }
    printf("  %-11s %lld objects, %s in %s\n", "storage", (long long)whole(storage, "objects"),
           ft_figure_bytes(bytes, (uint64_t)whole(storage, "bytes")),
           ft_cloud_text(storage, "where", "?"));
    if (json_array_size(json_object_get(scrub, "found")) > 0 || whole(scrub, "faults") > 0)
        printf("  %-11s some of it is damaged: feitian blob check\n", "");
}

static void print(const struct status *s)
{
    const json_t *g = json_object_get(s->live, "gateway");
    const json_t *serving = json_object_get(s->live, "serving");
    const json_t *control = json_object_get(s->live, "control");
    const char *trouble = ft_cloud_text(json_object_get(s->live, "ledger"), "trouble", "");
    char age[FT_FIGURE_BYTES];
    printf("feitian %s is up: %s\n", ft_cloud_text(g, "version", "?"), s->up.url);
    if (s->running == 1)
        printf("  %-11s pid %lld, up for %s\n", "supervisor", (long long)s->up.pid,
               ft_figure_seconds(age, (double)(time(NULL) - s->up.started_s)));
    printf("  %-11s pid %lld, up for %s, %lld connection%s, %lld call%s running\n", "gateway",
           (long long)whole(g, "pid"), ft_figure_seconds(age, (double)whole(g, "uptime_s")),
           (long long)whole(g, "connections"), whole(g, "connections") == 1 ? "" : "s",
           (long long)whole(g, "calls_running"), whole(g, "calls_running") == 1 ? "" : "s");
    printf("  %-11s %s\n", "control",
           json_is_true(json_object_get(control, "connected"))
               ? "connected"
               : "not connected: changes wait, calls with known keys go on");
    if (trouble[0] != '\0')
        printf("  %-11s %s\n", "ledger", trouble);
    put_storage(json_object_get(s->live, "storage"));
    put_workers(json_object_get(serving, "workers"));
    put_endpoints(json_object_get(serving, "endpoints"), s->all);
}

int ft_cmd_status(int argc, char **argv)
{
    struct status s = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(s.o), {"all", 0, FT_OPT_FLAG, &s.all, 0, 0}};
    struct ft_home h;
    struct ft_err err = {0};
    char **args;
    int rc = ft_opts_parse("status", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &args);
    if (rc != 0)
        return rc;
    if (ft_home_find(s.o.home, &h, &err) != 0)
        return ft_cli_fail(2, &err, "status");
    const char *elsewhere = getenv("FEITIAN_URL");
    bool here = s.o.url == NULL && (elsewhere == NULL || elsewhere[0] == '\0');
    s.running = here ? ft_home_running(&h, &s.up, &err) : -1;
    if (s.running == 0) {
        if (s.o.json)
            ft_show_json(json_pack("{s:s,s:s}", "state", "down", "home", h.path));
        else
            printf("feitian is down: nothing runs in %s; 'feitian up' starts it\n", h.path);
        return 1;
    }
    rc = ft_cloud_command("status", &s.o, fetch, &s);
    if (rc == 0 && s.o.json) {
        json_object_set_new(s.live, "state", json_string("up"));
        json_object_set_new(s.live, "url", json_string(s.up.url));
        if (s.running == 1)
            json_object_set_new(s.live, "supervisor",
                                json_pack("{s:I,s:I}", "pid", (json_int_t)s.up.pid, "started",
                                          (json_int_t)s.up.started_s));
        ft_show_json(s.live);
    } else if (rc == 0) {
        print(&s);
        json_decref(s.live);
    } else if (s.running == 1) {
        fprintf(stderr, "its supervisor runs: pid %lld\n", (long long)s.up.pid);
        ft_up_show_log(&h, 5);
    }
    return rc;
}
