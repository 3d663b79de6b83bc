/* feitian top: a cloud's live state. On a terminal it is drawn anew every few seconds, on the
 * alternate screen with plain escape sequences; elsewhere it is printed once. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/cloud/show.h"

#define ENTER      "\033[?1049h\033[?25l" /* the alternate screen, no cursor */
#define LEAVE      "\033[?25h\033[?1049l"
#define HOME_ALL   "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"
#define BOLD       "\033[1m"
#define DIM        "\033[2m"
#define RED        "\033[31m"
#define PLAIN      "\033[0m"
#define TEXT_MAX   (1u << 20)
#define WIDTH_ELSE 100  /* columns where there is no terminal */
#define CURVE_S    1200 /* of the history */
#define CURVE_STEP 20
#define CURVE_NS   INT64_C(10000000000) /* it has new points so often */

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};

struct top {
    struct ft_cloud_options cloud;
    double interval_s;
    bool once, live, all;
    struct ft_cloud *c;
    json_t *now, *before;
    int64_t now_ns, before_ns;
    json_t *curve; /* tokens a second of the last minutes; NULL: not known */
    int64_t curve_ns;
    struct ft_err trouble; /* code 0: the last look went well */
    char **args;
};

static double number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

/* The element of a list whose `key` is `value`; NULL. */
static const json_t *find(const json_t *list, const char *key, const char *value)
{
    const json_t *o;
    size_t i;
    json_array_foreach(list, i, o) if (strcmp(ft_cloud_text(o, key, ""), value) == 0) return o;
    return NULL;
}

/* How much a counter grew a second since the look before; 0 at first, and after a restart. */
static double rate(const struct top *t, const json_t *now, const json_t *before, const char *name)
{
    double grown = number(now, name) - number(before, name);
    double s = (double)(t->now_ns - t->before_ns) / 1e9;
    return before != NULL && grown > 0 && s > 0 ? grown / s : 0;
}

static const json_t *serving(const json_t *all, const char *list)
{
    return json_object_get(json_object_get(all, "serving"), list);
}

/* ---- what is shown ---- */

/* Tokens a second of a worker, by its own clock: what it said may be a second old. */
static double token_rate(const struct top *t, const json_t *worker)
{
    const json_t *old = find(serving(t->before, "workers"), "id", ft_cloud_text(worker, "id", ""));
    const json_t *h = json_object_get(worker, "health"), *h_old = json_object_get(old, "health");
    double ms = number(h, "uptime_ms") - number(h_old, "uptime_ms");
    double tokens = number(h, "generated_tokens") - number(h_old, "generated_tokens");
    return h_old != NULL && ms > 0 && tokens > 0 ? tokens * 1000 / ms : 0;
}

static void put_storage(const struct top *t, FILE *f)
{
    const json_t *s = json_object_get(t->now, "storage");
    const json_t *before = json_object_get(t->before, "storage");
    char bytes[FT_FIGURE_BYTES], in[FT_FIGURE_BYTES], out[FT_FIGURE_BYTES];
    if (s == NULL)
        return;
    if (!json_is_true(json_object_get(s, "open")))
        fprintf(f, "storage: not open, %s\n", ft_cloud_text(s, "trouble", "?"));
    else
        fprintf(f, "storage: %.0f objects, %s; %.1f requests/s, %s/s in, %s/s out\n",
                number(s, "objects"), ft_figure_bytes(bytes, (uint64_t)number(s, "bytes")),
                rate(t, s, before, "requests"),
                ft_figure_bytes(in, (uint64_t)rate(t, s, before, "bytes_in")),
                ft_figure_bytes(out, (uint64_t)rate(t, s, before, "bytes_out")));
}

/* One character a point, the highest of them as high as it goes. */
static void put_curve(const struct top *t, FILE *f)
{
    static const char *const bar[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = 0;
    size_t i;
    const json_t *v;
    json_array_foreach(t->curve, i, v) most = FT_MAX(most, json_number_value(v));
    if (most <= 0)
        return;
    fputs("tokens/s, the last 20 minutes: ", f);
    json_array_foreach(t->curve, i, v)
    {
        double part = json_number_value(v) / most;
        fputs(bar[part <= 0 ? 0 : FT_MIN(1 + (int)(part * 8), 8)], f);
    }
    fprintf(f, "  %.1f at most\n", most);
}

static void put_head(const struct top *t, FILE *f)
{
    const json_t *g = json_object_get(t->now, "gateway"), *w;
    const json_t *before = json_object_get(t->before, "gateway");
    const json_t *s = json_object_get(t->now, "serving");
    const json_t *ledger = json_object_get(t->now, "ledger");
    const char *trouble = ft_cloud_text(ledger, "trouble", "");
    char age[FT_FIGURE_BYTES];
    double tokens = 0;
    size_t i;
    json_array_foreach(serving(t->now, "workers"), i, w) tokens += token_rate(t, w);
    fprintf(f, "feitian %s  %s  up %s\n", ft_cloud_text(g, "version", "?"), t->c->url,
            ft_figure_seconds(age, number(g, "uptime_s")));
    fprintf(f, "%.1f requests/s  %.1f tokens/s  %.0f running  %.0f waiting  %.0f connections\n",
            rate(t, g, before, "requests"), tokens, number(s, "in_flight"),
            number(json_object_get(s, "queue"), "waiting"), number(g, "connections"));
    fprintf(f, "ledger: %.0f records%s%s%s; control: %s\n", number(ledger, "records"),
            number(ledger, "pending_bytes") > 0 ? ", some not delivered yet" : "",
            trouble[0] != '\0' ? ", " : "", trouble,
            json_is_true(json_object_get(json_object_get(t->now, "control"), "connected"))
                ? "connected"
                : "not connected");
    put_storage(t, f);
    put_curve(t, f);
}

static void put_workers(const struct top *t, FILE *f, int width)
{
    static const char *const heads[] = {"WORKER",    ">PID",     "STATE", ">RUN", ">WAIT",
                                        ">TOKENS/S", ">WEIGHTS", ">KV",   ">OF",  "MODELS"};
    const json_t *w;
    size_t i, k;
    struct ft_table *table = ft_table_open(FT_COUNT(heads), heads);
    json_array_foreach(serving(t->now, "workers"), i, w)
    {
        const json_t *m, *h = json_object_get(w, "health");
        char text[FT_FIGURE_BYTES], names[512] = "";
        size_t at = 0;
        json_array_foreach(json_object_get(w, "models"), k, m)
        {
            snprintf(names + at, sizeof names - at, "%s%s", k > 0 ? " " : "",
                     ft_cloud_text(m, "name", "?"));
            at += strlen(names + at);
        }
        ft_table_add(table, ft_cloud_text(w, "id", ""));
        ft_table_addf(table, "%.0f", number(w, "pid"));
        ft_table_add(table, ft_cloud_text(w, "state", ""));
        ft_table_addf(table, "%.0f", number(w, "running"));
        ft_table_addf(table, "%.0f", number(h, "waiting"));
        ft_table_addf(table, "%.1f", token_rate(t, w));
        ft_table_add(table, ft_figure_bytes(text, (uint64_t)number(h, "weight_bytes")));
        ft_table_add(table, ft_figure_bytes(text, (uint64_t)number(h, "kv_bytes")));
        ft_table_add(table, ft_figure_bytes(text, (uint64_t)number(w, "memory_limit_bytes")));
        ft_table_add(table, names);
    }
    ft_table_print(table, f, width);
    ft_table_close(table);
}

static void put_endpoints(const struct top *t, FILE *f, int width)
{
    static const char *const heads[] = {"ENDPOINT", ">READY",    ">WANTED",   ">RUN",
                                        ">WAIT",    ">REQUESTS", ">A SECOND", "PROJECT"};
    const json_t *e;
    size_t i;
    int hidden = 0;
    struct ft_table *table = ft_table_open(FT_COUNT(heads), heads);
    json_array_foreach(serving(t->now, "endpoints"), i, e)
    {
        const json_t *old = find(serving(t->before, "endpoints"), "id", ft_cloud_text(e, "id", ""));
        const json_t *r = json_object_get(e, "replicas");
        if (!t->all && ft_show_is_idle_checkpoint(e)) {
            hidden++;
            continue;
        }
        ft_table_add(table, ft_cloud_text(e, "name", ""));
        if (strcmp(ft_cloud_text(e, "kind", "model"), "url") == 0) { /* their replicas: not ours */
            ft_table_add(table, "server");
            ft_table_add(table, " ");
        } else {
            ft_table_addf(table, "%.0f", number(r, "ready"));
            ft_table_addf(table, "%.0f", number(r, "wanted"));
        }
        ft_table_addf(table, "%.0f", number(e, "in_flight"));
        ft_table_addf(table, "%.0f", number(e, "queue"));
        ft_table_addf(table, "%.0f", number(e, "requests"));
        ft_table_addf(table, "%.1f", rate(t, e, old, "requests"));
        ft_table_add(table, ft_cloud_text(e, "project", "all"));
    }
    ft_table_print(table, f, width);
    if (hidden > 0)
        fprintf(f, "and %d checkpoints of trainings, idle: --all\n", hidden);
    ft_table_close(table);
}

/* Now and then; where there is none, nothing is drawn. */
static void look_back(struct top *t)
{
    char path[128];
    struct ft_err ignored;
    json_t *all = NULL;
    if (t->curve_ns != 0 && ft_clock_now_ns() - t->curve_ns < CURVE_NS)
        return;
    t->curve_ns = ft_clock_now_ns();
    snprintf(path, sizeof path, "/api/v1/history?series=completion_tokens&from=%lld&step=%d",
             (long long)time(NULL) - CURVE_S, CURVE_STEP);
    if (ft_cloud_call(t->c, "GET", path, NULL, &all, &ignored) != 0)
        return;
    const json_t *series = json_array_get(json_object_get(all, "series"), 0);
    json_decref(t->curve);
    t->curve = json_incref(json_object_get(series, "values"));
    json_decref(all);
}

static int look(struct top *t, struct ft_err *err)
{
    json_t *now = NULL;
    int rc = ft_cloud_call(t->c, "GET", "/api/v1/status", NULL, &now, err);
    if (rc != 0)
        return rc;
    json_decref(t->before);
    t->before = t->now;
    t->before_ns = t->now_ns;
    t->now = now;
    t->now_ns = ft_clock_now_ns();
    if (!t->cloud.json)
        look_back(t);
    return 0;
}

/* Everything as lines; malloc'ed. */
static char *compose(const struct top *t, int width)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    if (f == NULL)
        return NULL;
    put_head(t, f);
    fputc('\n', f);
    put_workers(t, f, width);
    fputc('\n', f);
    put_endpoints(t, f, width);
    fclose(f);
    return text;
}

/* ---- the terminal ---- */

static void draw(const struct top *t)
{
    int columns, rows, row = 0;
    char *text, *save = NULL;
    ft_terminal_size(STDOUT_FILENO, &columns, &rows);
    text = t->now != NULL ? compose(t, columns) : NULL;
    fputs(HOME_ALL, stdout);
    char *line = text != NULL ? strtok_r(text, "\n", &save) : NULL;
    for (; line != NULL && row + 2 < rows; line = strtok_r(NULL, "\n", &save)) {
        bool head = strncmp(line, "WORKER", 6) == 0 || strncmp(line, "ENDPOINT", 8) == 0;
        if (head && row + 3 < rows) {
            fputs(CLEAR_LINE "\r\n", stdout);
            row++;
        }
        fputs(head ? DIM : row == 0 ? BOLD : "", stdout);
        ft_text_put(stdout, line, FT_MAX(columns, 1), 0);
        fputs(PLAIN CLEAR_LINE "\r\n", stdout);
        row++;
    }
    fputs(CLEAR_REST, stdout);
    if (rows > 0) {
        printf("\033[%d;1H", rows);
        if (t->trouble.code != 0)
            fputs(RED, stdout);
        ft_text_put(stdout, t->trouble.code != 0 ? t->trouble.msg : "q leaves", FT_MAX(columns, 1),
                    0);
        fputs(PLAIN, stdout);
    }
    fflush(stdout);
    free(text);
}

/* Until `end` or a key that leaves. True: go on. */
static bool wait_key(int signals, int64_t end_ns, bool *ret_redraw)
{
    struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                          {.fd = signals, .events = POLLIN}};
    int64_t left = (end_ns - ft_clock_now_ns()) / 1000000;
    struct signalfd_siginfo si;
    char key;
    *ret_redraw = false;
    if (left <= 0 || poll(p, 2, (int)left) <= 0)
        return true;
    if (p[1].revents != 0 && read(signals, &si, sizeof si) == (ssize_t)sizeof si) {
        *ret_redraw = true;
        return si.ssi_signo == SIGWINCH;
    }
    if (p[0].revents != 0)
        return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q' && key != 3;
    return true;
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < FT_COUNT(watched); i++)
        sigaddset(&set, watched[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int live(struct top *t, struct ft_err *err)
{
    struct termios was, raw;
    sigset_t set;
    int rc = look(t, err);
    if (rc != 0)
        return rc;
    if (tcgetattr(STDIN_FILENO, &was) != 0)
        return ft_err_sys(err, "terminal");
    raw = was;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    sigemptyset(&set);
    for (size_t i = 0; i < FT_COUNT(watched); i++)
        sigaddset(&set, watched[i]);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs(ENTER, stdout);
    for (bool on = true, redraw; on;) {
        int64_t end = ft_clock_now_ns() + (int64_t)(t->interval_s * 1e9);
        draw(t);
        do {
            on = wait_key(signals, end, &redraw);
            if (on && redraw)
                draw(t);
        } while (on && ft_clock_now_ns() < end);
        t->trouble.code = 0;
        if (on)
            look(t, &t->trouble);
    }
    fputs(LEAVE, stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &was);
    close(signals);
    return 0;
}

static int run(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    struct top *t = ctx;
    t->c = c;
    int rc;
    if (t->live) {
        rc = live(t, err);
    } else if ((rc = look(t, err)) == 0 && t->cloud.json) {
        ft_show_json(json_incref(t->now));
    } else if (rc == 0) {
        int columns, rows;
        ft_terminal_size(STDOUT_FILENO, &columns, &rows);
        char *text = compose(t, columns > 0 ? columns : WIDTH_ELSE);
        fputs(text != NULL ? text : "", stdout);
        free(text);
    }
    json_decref(t->curve);
    json_decref(t->now);
    json_decref(t->before);
    return rc;
}

int ft_cmd_top(int argc, char **argv)
{
    struct top t = {.interval_s = 2};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(t.cloud),
                                  {"interval", 0, FT_OPT_REAL, &t.interval_s, 0.1, 3600},
                                  {"once", 0, FT_OPT_FLAG, &t.once, 0, 0},
                                  {"all", 0, FT_OPT_FLAG, &t.all, 0, 0}};
    int rc = ft_opts_parse("top", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &t.args);
    if (rc != 0)
        return rc;
    t.live = !t.once && !t.cloud.json && isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1;
    if (t.live)
        block_signals(); /* before other threads begin */
    return ft_cloud_command("top", &t.cloud, run, &t);
}
