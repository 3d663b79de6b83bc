/* A run's events as text. The live line is drawn at most ten times a second, as wide as the
 * terminal is: what does not fit is left out, the least telling first. */
#include "cli/train_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "train/data/lines.h"

#define DRAW_NS       100000000   /* between two drawings of the live line */
#define PLAIN_NS      30000000000 /* most between two plain lines ... */
#define PLAIN_PART    20          /* ... and this part of all steps, */
#define PLAIN_LEAST   1000000000  /* but not within this */
#define VALID_NS      300000000   /* between two lines of validation */
#define TELL_SECONDS  3           /* after which the time it takes is known well enough */
#define WIDTH_DEFAULT 80
#define WIDTH_MAX     200
#define BAR_WIDTH     16
#define FIELD_MAX     96 /* bytes */
#define LABEL         "%-10s"

/* ---- figures ---- */

struct text {
    char s[48];
};

/* 1234567 as 1,234,567 */
static struct text count(int64_t n)
{
    struct text t;
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n), k = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            t.s[k++] = ',';
        t.s[k++] = digits[i];
    }
    t.s[k] = '\0';
    return t;
}

static struct text bytes(uint64_t n)
{
    struct text t;
    double mb = (double)n / 1048576;
    if (mb >= 10240)
        snprintf(t.s, sizeof t.s, "%.1f GB", mb / 1024);
    else
        snprintf(t.s, sizeof t.s, mb < 10 ? "%.1f MB" : "%.0f MB", mb);
    return t;
}

static struct text duration(double seconds)
{
    struct text t;
    long long s = seconds < 1e15 ? llround(seconds) : 0;
    if (s < 60)
        snprintf(t.s, sizeof t.s, "%llds", s);
    else if (s < 3600)
        snprintf(t.s, sizeof t.s, "%lldm %02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(t.s, sizeof t.s, "%lldh %02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(t.s, sizeof t.s, "%lldd %02lldh", s / 86400, s / 3600 % 24);
    return t;
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- the live line ---- */

static void line_clear(struct ft_train_view *v)
{
    if (v->line_shown)
        fputs("\r\033[K", stderr);
    v->line_shown = false;
}

struct field {
    int rank;  /* those of low rank are left out last */
    int width; /* columns */
    char s[FIELD_MAX];
};

#define FIELDS_MAX 12
struct fields {
    struct field at[FIELDS_MAX];
    int n;
};

static void field_add(struct fields *f, int rank, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void field_add(struct fields *f, int rank, const char *fmt, ...)
{
    va_list ap;
    struct field *x = &f->at[f->n++];
    FT_ASSERT(f->n <= FIELDS_MAX);
    va_start(ap, fmt);
    vsnprintf(x->s, sizeof x->s, fmt, ap);
    va_end(ap);
    x->rank = rank;
    x->width = (int)strlen(x->s);
}

static void field_bar(struct fields *f, int rank, double part)
{
    struct field *x = &f->at[f->n];
    int filled = (int)(part * BAR_WIDTH);
    field_add(f, rank, "%s", "");
    for (int i = 0; i < BAR_WIDTH; i++)
        strcat(x->s, i < filled ? "█" : "░");
    x->width = BAR_WIDTH;
}

/* One batch says little: the mean over the last steps. */
static double shown_loss(const struct ft_train_view *v)
{
    int64_t n = FT_MIN(v->n_losses, (int64_t)FT_TRAIN_VIEW_STEPS);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v->loss[i];
    return n > 0 ? sum / (double)n : 0;
}

static void fields_fill(const struct ft_train_view *v, struct fields *f)
{
    const struct ft_train_step *s = &v->last;
    field_bar(f, 8, s->steps > 0 ? (double)s->step / (double)s->steps : 0);
    field_add(f, 0, "%lld/%lld", (long long)s->step, (long long)s->steps);
    field_add(f, 1, "loss %.4f", shown_loss(v));
    if (v->o->objective == FT_TRAIN_DPO)
        field_add(f, 5, "ranked %.0f%%", 100 * s->accuracy);
    if (v->has_valid)
        field_add(f, 3, "validation %.4f", v->valid.loss);
    field_add(f, 6, "lr %.2e", s->lr);
    field_add(f, 4, "%s tokens/s", count(llround(s->tokens_per_s)).s);
    field_add(f, 7, "%s", bytes(ft_memory_resident(getpid())).s);
    if (s->step < s->steps)
        field_add(f, 2, "%s left", duration(s->seconds_left).s);
}

static int terminal_width(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
        return WIDTH_DEFAULT;
    return FT_MIN((int)w.ws_col, WIDTH_MAX);
}

static void line_draw(struct ft_train_view *v)
{
    struct fields f = {.n = 0};
    bool shown[FIELDS_MAX] = {false};
    char line[FIELDS_MAX * (FIELD_MAX + 2) + 16] = "\r\033[K";
    int room = terminal_width() - 1;
    fields_fill(v, &f);
    for (int rank = 0, fits = 1; rank < FIELDS_MAX && fits; rank++) {
        for (int i = 0; i < f.n; i++) {
            if (f.at[i].rank != rank)
                continue;
            room -= f.at[i].width + (rank > 0 ? 2 : 0);
            fits = room >= 0;
            shown[i] = fits;
        }
    }
    const char *gap = "";
    for (int i = 0; i < f.n; i++) {
        if (!shown[i])
            continue;
        strcat(strcat(line, gap), f.at[i].s);
        gap = "  ";
    }
    fputs(line, stderr);
    fflush(stderr);
    v->line_shown = true;
}

/* ---- plain lines ---- */

static bool plain_is_due(const struct ft_train_view *v, const struct ft_train_step *s, int64_t now)
{
    int64_t part = FT_MAX(s->steps / PLAIN_PART, 1), since = now - v->shown_ns;
    if (v->shown_step == 0 || s->step == s->steps || since >= PLAIN_NS)
        return true;
    return since >= PLAIN_LEAST && s->step / part != v->shown_step / part;
}

static void plain_print(struct ft_train_view *v)
{
    const struct ft_train_step *s = &v->last;
    fprintf(stderr, "step %lld/%lld  loss %.4f  lr %.3g  %s tokens/s  %s", (long long)s->step,
            (long long)s->steps, shown_loss(v), s->lr, count(llround(s->tokens_per_s)).s,
            bytes(ft_memory_resident(getpid())).s);
    if (v->o->objective == FT_TRAIN_DPO)
        fprintf(stderr, "  ranked %.0f%%", 100 * s->accuracy);
    if (s->step < s->steps)
        fprintf(stderr, "  %s left", duration(s->seconds_left).s);
    fputc('\n', stderr);
    v->shown_step = s->step;
}

/* ---- before the first step ---- */

static void on_stage(void *ctx, const char *what)
{
    struct ft_train_view *v = ctx;
    line_clear(v);
    fprintf(stderr, v->live ? "%s ..." : "%s\n", what);
    v->line_shown = v->live;
    fflush(stderr);
}

static void on_data(void *ctx, const struct ft_data_report *r, const char *const *path, bool valid)
{
    struct ft_train_view *v = ctx;
    line_clear(v);
    for (int i = 0; i < r->n_told; i++) {
        const struct ft_data_bad *b = &r->told[i];
        if (b->line > 0)
            fprintf(stderr, "%s:%lld: ", ft_lines_name(path[b->file]), (long long)b->line);
        else
            fprintf(stderr, "%s: ", ft_lines_name(path[b->file]));
        ft_cli_put_plain(stderr, b->msg);
        fputc('\n', stderr);
    }
    if (r->bad > r->n_told)
        fprintf(stderr, "... and %s bad line%s more\n", count(r->bad - r->n_told).s,
                plural(r->bad - r->n_told));
    if (r->lines == 0)
        return; /* a file that is not there, or empty: the error says so */
    fprintf(stderr, LABEL "%s line%s, %s sample%s, %s tokens, %s of them to be learnt",
            valid ? "validation" : "data", count(r->lines).s, plural(r->lines), count(r->samples).s,
            plural(r->samples), count(r->tokens).s, count(r->targets).s);
    if (r->truncated > 0)
        fprintf(stderr, "; %s truncated", count(r->truncated).s);
    if (r->dropped > 0)
        fprintf(stderr, "; %s too long, left out", count(r->dropped).s);
    fputc('\n', stderr);
}

static void put_what(const struct ft_train_options *o, const struct ft_train_plan *p)
{
    double share = 100.0 * (double)p->trained_params / (double)FT_MAX(p->model_params, 1);
    fprintf(stderr, LABEL "%s, %s parameters\n", "model", p->arch, count(p->model_params).s);
    fprintf(stderr, LABEL, "training"); /* and after it */
    if (o->method == FT_TRAIN_LORA)
        fprintf(stderr, "LoRA of rank %lld, %s parameters (%.2g%%) in %d tensors",
                (long long)o->rank, count(p->trained_params).s, share, p->n_trained);
    else
        fprintf(stderr, "all %s parameters", count(p->trained_params).s);
    fprintf(stderr, "%s\n", o->objective == FT_TRAIN_DPO ? ", on preferences (DPO)" : "");
}

static void on_plan(void *ctx, const struct ft_train_plan *p)
{
    struct ft_train_view *v = ctx;
    const char *unit = v->o->objective == FT_TRAIN_DPO ? "pair" : "sample";
    line_clear(v);
    v->plan = *p;
    v->began_ns = ft_clock_now_ns();
    put_what(v->o, p);
    fprintf(stderr, LABEL "%s from %s %s%s", "steps", count(p->steps).s, count(p->n_train).s, unit,
            plural(p->n_train));
    if (p->n_valid > 0)
        fprintf(stderr, ", %s more to validate with", count(p->n_valid).s);
    fprintf(stderr, "; up to %s tokens a batch, %.0f%% full\n", count(p->batch_rows).s,
            100 * p->fill);
    fprintf(stderr, LABEL "%s of %s: weights %s, trained %s, data %s, ", "memory",
            bytes(p->memory_bytes).s, bytes(p->memory_max).s, bytes(p->weight_bytes).s,
            bytes(p->state_bytes).s, bytes(p->data_bytes).s);
    fprintf(stderr, "a batch %s%s; and %s of the program\n", bytes(p->pass_bytes).s,
            p->recompute ? ", recomputing" : "", bytes(p->program_bytes).s);
    fprintf(stderr, LABEL "%s\n", "device", p->device);
    if (p->seconds > 0)
        fprintf(stderr, LABEL "roughly %s, by what one sequence took\n", "time",
                duration(FT_MAX(p->seconds, 1)).s);
    if (p->resumed_step > 0)
        fprintf(stderr, LABEL "from step %s on\n", "resumed", count(p->resumed_step).s);
    if (v->live)
        on_stage(v, "the first step");
}

/* ---- the run ---- */

/* Once, when a few steps have been measured. */
static void tell_time(struct ft_train_view *v, const struct ft_train_step *s)
{
    int64_t done = s->step - v->plan.resumed_step;
    double spent = (double)(ft_clock_now_ns() - v->began_ns) * 1e-9;
    if (v->time_told || done < 2 || spent < TELL_SECONDS || s->step == s->steps)
        return;
    v->time_told = true;
    line_clear(v);
    fprintf(stderr, LABEL "about %s (%.3g s a step)\n", "time", duration(spent + s->seconds_left).s,
            spent / (double)done);
}

static void on_step(void *ctx, const struct ft_train_step *s)
{
    struct ft_train_view *v = ctx;
    int64_t now = ft_clock_now_ns();
    v->last = *s;
    v->loss[v->n_losses++ % FT_TRAIN_VIEW_STEPS] = s->loss;
    tell_time(v, s);
    bool due = v->live ? now - v->shown_ns >= DRAW_NS || s->step == s->steps || !v->line_shown
                       : plain_is_due(v, s, now);
    if (!due)
        return;
    v->shown_ns = now;
    if (v->live)
        line_draw(v);
    else
        plain_print(v);
}

static void on_valid(void *ctx, const struct ft_train_valid *x)
{
    struct ft_train_view *v = ctx;
    v->has_valid = true;
    v->valid = *x;
    if (x->best)
        v->best = *x;
    int64_t now = ft_clock_now_ns();
    bool asked_for = v->o->eval_every > 0;
    if (!asked_for && x->step < v->plan.steps && now - v->valid_ns < VALID_NS)
        return; /* tiny epochs; the metrics have all of them */
    v->valid_ns = now;
    line_clear(v);
    fprintf(stderr, "step %lld: validation loss %.4f", (long long)x->step, x->loss);
    if (v->o->objective == FT_TRAIN_DPO)
        fprintf(stderr, ", %.0f%% of the pairs ranked rightly", 100 * x->accuracy);
    fprintf(stderr, "%s\n", x->best ? ", the best so far" : "");
}

static void on_checkpoint(void *ctx, int64_t step)
{
    struct ft_train_view *v = ctx;
    v->checkpoint = step;
}

static void on_note(void *ctx, const char *text)
{
    struct ft_train_view *v = ctx;
    line_clear(v);
    ft_cli_put_plain(stderr, text);
    fputc('\n', stderr);
}

static void on_result(void *ctx, const char *kind, const char *path)
{
    struct ft_train_view *v = ctx;
    line_clear(v);
    printf(LABEL "%s\n", kind, path);
    fflush(stdout);
}

void ft_train_view_init(struct ft_train_view *v, const struct ft_train_options *o,
                        struct ft_train_events *ev)
{
    *v = (struct ft_train_view){.o = o, .live = isatty(STDERR_FILENO) == 1};
    *ev = (struct ft_train_events){.on_stage = on_stage,
                                   .on_data = on_data,
                                   .on_plan = on_plan,
                                   .on_step = on_step,
                                   .on_valid = on_valid,
                                   .on_checkpoint = on_checkpoint,
                                   .on_note = on_note,
                                   .on_result = on_result,
                                   .ctx = v};
}

void ft_train_view_end(struct ft_train_view *v, int rc)
{
    const struct ft_train_step *s = &v->last;
    line_clear(v);
    if (rc != 0 || s->step == 0)
        return;
    fprintf(stderr, LABEL "%s step%s in %s, training loss %.4f", "done", count(s->step).s,
            plural(s->step), duration(s->seconds).s, shown_loss(v));
    if (v->has_valid) {
        fprintf(stderr, ", validation loss %.4f", v->valid.loss);
        if (!v->valid.best && v->best.step > 0)
            fprintf(stderr, " (%.4f at step %lld)", v->best.loss, (long long)v->best.step);
    }
    fputc('\n', stderr);
}
