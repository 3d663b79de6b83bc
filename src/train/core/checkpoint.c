/* Checkpoints as safetensors with a JSON beside them. */
#include "train/core/checkpoint.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/folder.h"
#include "model/file/safetensors.h"
#include "model/file/safetensors_write.h"

#define PATH_BYTES 4096
#define STATE_MAX  ((size_t)1 << 20)
#define ARENA_MAX  ((size_t)256 << 20)
#define LISTED_MAX 100000 /* checkpoints in one folder */
#define NAME_BYTES 320

/* The three tensors of a parameter. */
static const char *const parts[] = {"value", "m", "v"};

static float *part_of(const struct ft_optim_param *p, int k)
{
    return k == 0 ? p->value : k == 1 ? p->m : p->v;
}

/* ---- the folder of checkpoints ---- */

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Steps of the whole checkpoints there are, ascending; *ret is malloc'ed. Their number. */
static int list_steps(const char *output, const char *sub, int64_t **ret)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", output, sub);
    DIR *d = opendir(path);
    int64_t *all = NULL;
    int n = 0;
    for (struct dirent *e; d != NULL && n < LISTED_MAX && (e = readdir(d)) != NULL;) {
        long long step;
        int used = 0;
        if (sscanf(e->d_name, "step-%lld%n", &step, &used) != 1 || e->d_name[used] != 0)
            continue;
        int64_t *grown = realloc(all, ((size_t)n + 1) * sizeof *all);
        if (grown == NULL)
            break;
        all = grown;
        all[n++] = step;
    }
    if (d != NULL)
        closedir(d);
    if (n > 0)
        qsort(all, (size_t)n, sizeof *all, compare_i64);
    *ret = all;
    return n;
}

void ft_step_folder(char *path, const char *output, const char *sub, int64_t step)
{
    snprintf(path, PATH_BYTES, "%s/%s/step-%08lld", output, sub, (long long)step);
}

/* What killed processes left half-written. */
static void remove_partial(const char *output, const char *sub)
{
    char path[PATH_BYTES], name[PATH_BYTES + NAME_BYTES];
    snprintf(path, sizeof path, "%s/%s", output, sub);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (strncmp(e->d_name, "step-", 5) == 0 && strstr(e->d_name, ".partial-") != NULL) {
            snprintf(name, sizeof name, "%s/%s", path, e->d_name);
            ft_folder_remove(name);
        }
    if (d != NULL)
        closedir(d);
}

void ft_step_folders_trim(const char *output, const char *sub, int keep)
{
    int64_t *step;
    remove_partial(output, sub);
    int n = list_steps(output, sub, &step);
    char path[PATH_BYTES];
    for (int i = 0; i < n - keep; i++) {
        ft_step_folder(path, output, sub, step[i]);
        ft_folder_remove(path);
    }
    free(step);
}

int64_t ft_checkpoint_newest(const char *output, int64_t before, char *path, size_t path_n,
                             struct ft_err *err)
{
    int64_t *step, found = -1;
    int n = list_steps(output, "checkpoints", &step);
    FT_ASSERT(path_n >= PATH_BYTES);
    for (int i = 0; i < n && step[i] < before; i++)
        found = step[i];
    free(step);
    if (found < 0)
        return ft_err_set(err, FT_ENOTFOUND, "%s: no checkpoint to resume from", output);
    ft_step_folder(path, output, "checkpoints", found);
    return found;
}

/* ---- writing ---- */

/* Of all values in the order in which they are written. */
static uint32_t sum_of(const struct ft_checkpoint_param *param, int n)
{
    uint32_t crc = 0;
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < FT_COUNT(parts); k++)
            crc =
                ft_crc32c(crc, part_of(param[i].p, (int)k), (size_t)param[i].p->n * sizeof(float));
    return crc;
}

static int write_tensors(const char *folder, const struct ft_checkpoint_param *param, int n,
                         struct ft_err *err)
{
    struct ft_st_writer *w;
    char name[NAME_BYTES];
    int rc = ft_st_writer_open(folder, "state", 0, NULL, &w, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < FT_COUNT(parts); k++) {
            int64_t dim[2] = {param[i].rows, param[i].cols};
            snprintf(name, sizeof name, "%s.%s", param[i].name, parts[k]);
            ft_st_put(w, name, FT_F32, 2, dim);
        }
    for (int i = 0; i < n && rc == 0; i++)
        for (size_t k = 0; k < FT_COUNT(parts) && rc == 0; k++)
            rc = ft_st_write(w, part_of(param[i].p, (int)k), (size_t)param[i].p->n * sizeof(float),
                             err);
    if (rc == 0)
        rc = ft_st_finish(w, err);
    ft_st_writer_close(w);
    return rc;
}

static json_t *state_json(const struct ft_train_state *s, uint32_t crc, json_t *run)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:I, s:O}", "step",
                     (json_int_t)s->step, "epoch", (json_int_t)s->epoch, "batch",
                     (json_int_t)s->batch, "tokens", (json_int_t)s->tokens, "targets",
                     (json_int_t)s->targets, "seconds", s->seconds, "best_valid", s->best_valid,
                     "best_step", (json_int_t)s->best_step, "bad_valids", (json_int_t)s->bad_valids,
                     "last_valid_step", (json_int_t)s->last_valid_step, "crc32c", (json_int_t)crc,
                     "run", run);
}

int ft_checkpoint_write(const char *output, const struct ft_train_state *s, json_t *run,
                        const struct ft_checkpoint_param *param, int n, int keep,
                        struct ft_err *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/checkpoints", output);
    if (mkdir(path, 0777) != 0 && access(path, W_OK) != 0)
        return ft_err_sys(err, "make %s", path);
    remove_partial(output, "checkpoints");
    ft_step_folder(path, output, "checkpoints", s->step);
    struct ft_folder *f = NULL;
    json_t *state = state_json(s, sum_of(param, n), run);
    char *text = state != NULL ? json_dumps(state, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    int rc = text != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "checkpoint: no memory");
    if (rc == 0)
        rc = ft_folder_open(path, true, &f, err);
    if (rc == 0)
        rc = write_tensors(ft_folder_temp(f), param, n, err);
    if (rc == 0)
        rc = ft_folder_put(f, "state.json", text, strlen(text), err);
    if (rc == 0)
        rc = ft_folder_commit(f, err);
    ft_folder_close(f);
    json_decref(state);
    free(text);
    if (rc == 0)
        ft_step_folders_trim(output, "checkpoints", keep);
    return rc != 0 ? ft_err_wrap(err, "checkpoint %s", path) : 0;
}

/* ---- reading ---- */

/* What makes the weights may not have changed; where the run is, and what is kept of it, may. */
static bool may_differ(const char *key)
{
    static const char *const free_keys[] = {"resume",    "threads",       "memory_mb", "save_every",
                                            "keep",      "output",        "save",      "gguf_type",
                                            "recompute", "keep_adapters", "curve",     "confined"};
    for (size_t i = 0; i < FT_COUNT(free_keys); i++)
        if (strcmp(key, free_keys[i]) == 0)
            return true;
    return false;
}

static int check_run(json_t *was, json_t *now, struct ft_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach(now, key, v)
    {
        json_t *old = json_object_get(was, key);
        /* through text, so that 1 and 1.0 are the same */
        double a = json_number_value(old), b = json_number_value(v);
        bool same = json_is_number(v) && json_is_number(old) ? !(a < b) && !(a > b)
                                                             : json_equal(old, v) != 0;
        if (!same && !may_differ(key))
            return ft_err_set(err, FT_EINVAL, "%s: the checkpoint's run had another value", key);
    }
    return 0;
}

static int read_state(json_t *root, struct ft_train_state *s, struct ft_err *err)
{
    json_int_t step, epoch, batch, tokens, targets, best_step, bad, last;
    json_t *run;
    if (json_unpack(root, "{s:I, s:I, s:I, s:I, s:I, s:F, s:F, s:I, s:I, s:I, s:o}", "step", &step,
                    "epoch", &epoch, "batch", &batch, "tokens", &tokens, "targets", &targets,
                    "seconds", &s->seconds, "best_valid", &s->best_valid, "best_step", &best_step,
                    "bad_valids", &bad, "last_valid_step", &last, "run", &run) != 0 ||
        step < 0 || epoch < 0 || batch < 0)
        return ft_err_set(err, FT_ECORRUPT, "state.json: not a checkpoint's");
    s->step = step;
    s->epoch = epoch;
    s->batch = batch;
    s->tokens = tokens;
    s->targets = targets;
    s->best_step = best_step;
    s->bad_valids = bad;
    s->last_valid_step = last;
    return 0;
}

static int read_part(const struct ft_st_tensor *t, int n_tensors, const char *name,
                     const struct ft_checkpoint_param *p, float *out, struct ft_err *err)
{
    for (int i = 0; i < n_tensors; i++) {
        if (strcmp(t[i].name, name) != 0)
            continue;
        if (strcmp(t[i].dtype, "F32") != 0 || t[i].n_dims != 2 || t[i].dim[0] != p->rows ||
            t[i].dim[1] != p->cols)
            break;
        memcpy(out, t[i].p, t[i].bytes);
        return 0;
    }
    return ft_err_set(err, FT_ECORRUPT, "state.safetensors: no %s of [%lld, %lld]", name,
                      (long long)p->rows, (long long)p->cols);
}

static int read_tensors(const char *path, const struct ft_checkpoint_param *param, int n,
                        struct ft_err *err)
{
    char file[PATH_BYTES + 32], name[NAME_BYTES];
    struct ft_map map;
    struct ft_arena arena;
    struct ft_st_tensor *t;
    int n_tensors = 0;
    snprintf(file, sizeof file, "%s/state.safetensors", path);
    int rc = ft_map_open(file, &map, err);
    if (rc != 0)
        return rc;
    ft_arena_init(&arena, ARENA_MAX);
    rc = ft_st_read(&map, &arena, &t, &n_tensors, err);
    /* in the order written, so that each is looked for where it most likely is */
    for (int i = 0; i < n && rc == 0; i++)
        for (size_t k = 0; k < FT_COUNT(parts) && rc == 0; k++) {
            int at = FT_MIN(3 * i + (int)k, n_tensors);
            snprintf(name, sizeof name, "%s.%s", param[i].name, parts[k]);
            bool there = at < n_tensors && strcmp(t[at].name, name) == 0;
            rc = read_part(there ? &t[at] : t, there ? 1 : n_tensors, name, &param[i],
                           part_of(param[i].p, (int)k), err);
        }
    ft_arena_fini(&arena);
    ft_map_close(&map);
    return rc;
}

int ft_checkpoint_read(const char *path, json_t *run, struct ft_train_state *ret_s,
                       const struct ft_checkpoint_param *param, int n, struct ft_err *err)
{
    char file[PATH_BYTES + 32], *text = NULL;
    size_t len = 0;
    struct ft_train_state s = {0};
    snprintf(file, sizeof file, "%s/state.json", path);
    int rc = ft_file_read(file, STATE_MAX, &text, &len, err);
    json_t *root = rc == 0 ? json_loadb(text, len, 0, NULL) : NULL, *crc;
    free(text);
    if (rc == 0)
        rc = read_state(root, &s, err);
    if (rc == 0)
        rc = check_run(json_object_get(root, "run"), run, err);
    if (rc == 0)
        rc = read_tensors(path, param, n, err);
    crc = json_object_get(root, "crc32c");
    if (rc == 0 && crc != NULL && json_integer_value(crc) != (json_int_t)sum_of(param, n))
        rc = ft_err_set(err, FT_ECORRUPT, "state.safetensors: not the bytes that were written");
    json_decref(root);
    if (rc != 0)
        return ft_err_wrap(err, "checkpoint %s", path);
    *ret_s = s;
    return 0;
}
