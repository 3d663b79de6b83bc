/* What tests of whole runs share: a folder, data, a run by its options and what it told. Functions
 * that a test does not use are no fault. */
#ifndef FT_TEST_TRAIN_CORE_SUPPORT_H
#define FT_TEST_TRAIN_CORE_SUPPORT_H

#include "testing.h"

#include "train/core/train.h"

static char folder[64];

static inline int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/ft-train-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static inline int remove_all(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static inline const char *in_folder(const char *name)
{
    static char path[8][256];
    static int at;
    at = (at + 1) % 8;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

static inline void write_text(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static inline void write_pairs(const char *name, int n)
{
    FILE *f = fopen(in_folder(name), "w");
    assert_non_null(f);
    for (int i = 0; i < n; i++)
        fprintf(f, "{\"prompt\": \"question %d: \", \"completion\": \"%d%d ends\"}\n", i,
                i * 7 % 10, i * 3 % 10);
    fclose(f);
}

/* What a run told. */
#define LR_MAX 16
struct told {
    int64_t steps, plan_steps, valids, resumed;
    double first_loss, last_loss, last_accuracy, best_valid, last_valid, first_norm;
    double lr[LR_MAX]; /* of the first steps */
    int64_t targets;   /* of the data */
    int64_t trained;
    uint64_t memory;
    bool recompute;
    char notes[1024];
    int64_t stop_at; /* interrupts after this step */
    atomic_int interrupt;
};

static inline void on_plan(void *ctx, const struct ft_train_plan *p)
{
    struct told *t = ctx;
    t->plan_steps = p->steps;
    t->trained = p->trained_params;
    t->memory = p->memory_bytes;
    t->recompute = p->recompute;
    t->resumed = p->resumed_step;
}

static inline void on_step(void *ctx, const struct ft_train_step *s)
{
    struct told *t = ctx;
    if (t->steps == 0) {
        t->first_loss = s->loss;
        t->first_norm = s->grad_norm;
    }
    if (t->steps < LR_MAX)
        t->lr[t->steps] = s->lr;
    t->steps++;
    t->last_loss = s->loss;
    t->last_accuracy = s->accuracy;
    if (s->step == t->stop_at)
        t->interrupt = 1;
}

static inline void on_valid(void *ctx, const struct ft_train_valid *v)
{
    struct told *t = ctx;
    t->valids++;
    t->last_valid = v->loss;
    if (v->best)
        t->best_valid = v->loss;
}

static inline void on_data(void *ctx, const struct ft_data_report *r, const char *const *path,
                           bool valid)
{
    (void)path;
    if (!valid)
        ((struct told *)ctx)->targets = r->targets;
}

static inline void on_note(void *ctx, const char *text)
{
    struct told *t = ctx;
    strncat(t->notes, text, sizeof t->notes - strlen(t->notes) - 1);
}

/* A run with options "key=value;key=value". */
static inline int run(const char *options, struct told *t, struct ft_err *err)
{
    struct ft_train_options o;
    char copy[2048], *at = copy;
    struct ft_train_events ev = {.on_plan = on_plan,
                                 .on_step = on_step,
                                 .on_valid = on_valid,
                                 .on_note = on_note,
                                 .on_data = on_data,
                                 .ctx = t,
                                 .interrupt = &t->interrupt};
    ft_train_options_init(&o);
    snprintf(copy, sizeof copy, "%s", options);
    int rc = 0;
    for (char *word; rc == 0 && (word = strsep(&at, ";")) != NULL;) {
        char *value = strchr(word, '=');
        *value++ = 0;
        rc = ft_train_options_set(&o, word, value, err);
    }
    if (rc == 0)
        rc = ft_train_options_check(&o, err);
    if (rc == 0)
        rc = ft_train_run(&o, &ev, err);
    ft_train_options_fini(&o);
    return rc;
}

static inline void must_run(const char *options, struct told *t)
{
    struct ft_err err;
    if (run(options, t, &err) != 0)
        fail_msg("%s: %s", options, err.msg);
}

/* "model=...;data=FOLDER/data;output=FOLDER/out;rest", or NULL without the reference data. */
static inline const char *options_for(const char *model, const char *data, const char *out,
                                      const char *rest)
{
    static char text[4][2048];
    static int at;
    const char *path = ft_test_ref(model);
    if (path == NULL)
        return NULL;
    at = (at + 1) % 4;
    snprintf(text[at], sizeof text[at], "model=%s;data=%s;output=%s;%s", path, in_folder(data),
             in_folder(out), rest);
    return text[at];
}

#define QWEN3 "models/qwen3-s-F32.gguf"

#endif
