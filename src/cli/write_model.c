/* Opening, writing and saying how far it is. */
#include "cli/write_model.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/slice.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "model/adapter/merge.h"

static void show(void *ctx, uint64_t done, uint64_t all)
{
    ft_progress_show(ctx, done, all);
    if (done == all)
        fprintf(stderr, "\n");
}

int ft_write_model_args(int argc, char **argv, const char *cmd, struct ft_write_model *m,
                        const char **shape)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"type", required_argument, NULL, 't'},
                                            {"threads", required_argument, NULL, 'n'},
                                            {"pure", no_argument, NULL, 'p'},
                                            {"shard-mb", required_argument, NULL, 'm'},
                                            {"shape", required_argument, NULL, 's'},
                                            {0}};
    struct option known[FT_COUNT(options)];
    struct ft_err err;
    memcpy(known, options, sizeof known);
    if (shape == NULL)
        known[FT_COUNT(options) - 2] = (struct option){0};
    for (int c; (c = ft_cli_getopt(argc, argv, "o:", known)) != -1;) {
        int rc = 0;
        if (c == 'o')
            m->out = optarg;
        else if (c == 't')
            m->o.type = optarg;
        else if (c == 'p')
            m->o.pure = true;
        else if (c == 's')
            *shape = optarg;
        else if (c == 'n')
            rc = ft_cli_int("--threads", optarg, 1, 1024, &m->o.n_threads, &err);
        else if (c == 'm')
            rc = ft_cli_int("--shard-mb", optarg, 1, 1 << 30, &m->shard_mb, &err);
        else
            return ft_cli_see_help(cmd);
        if (rc != 0)
            return ft_cli_usage(cmd, "%s", err.msg);
    }
    if (m->o.n_threads == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        m->o.n_threads = n < 1 ? 1 : n > 64 ? 64 : (int)n;
    }
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return ft_str_ends(path, "/") || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

/* Quantised matrices that an adapter changes are rounded once more: who merges should know. */
static void rounding_say(const struct ft_write_model *m, const struct ft_weights *w,
                         const struct ft_adapter *a)
{
    int n = 0;
    const char *type = "";
    for (int i = 0; i < ft_weights_count(w); i++) {
        const struct ft_tensor *t = ft_weights_at(w, i);
        if (ft_type_is_float(t->type) || ft_adapter_find(a, t->name) == NULL)
            continue;
        type = ft_type_info(t->type)->name;
        n++;
    }
    if (n > 0)
        fprintf(stderr,
                "%d of the %d matrices that the adapter changes are quantised in the base (%s); "
                "each is\ndequantised, changed and %s\n",
                n, a->n, type,
                is_folder(m->out)   ? "written as a float"
                : m->o.type == NULL ? "quantised again, as Q8_0 if it had fewer bits (--type F16 "
                                      "keeps all of the adapter)"
                                    : "written in the type asked for");
}

static int write_out(const struct ft_write_model *m, const struct ft_weights *w, struct ft_err *err)
{
    struct ft_adapter *a = NULL;
    int rc = m->adapter != NULL ? ft_adapter_open(m->adapter, w, &a, err) : 0;
    if (rc != 0)
        return rc;
    if (a != NULL)
        rounding_say(m, w, a);
    rc = is_folder(m->out)
             ? ft_merge_folder(w, a, &m->o, (uint64_t)m->shard_mb * 1000000, m->out, err)
             : ft_merge_gguf(w, a, &m->o, m->out, err);
    ft_adapter_close(a);
    return rc;
}

/* 2: the input is to blame. */
static int status_of(const struct ft_err *err)
{
    return err->code == FT_EINVAL || err->code == FT_EUNSUPPORTED ? 2 : 1;
}

int ft_write_model_run(struct ft_write_model *m, const char *cmd)
{
    struct ft_weights *w;
    struct ft_err err = {0};
    struct ft_progress progress = {.what = ""};
    if (m->o.pure && (m->o.type == NULL || is_folder(m->out)))
        return ft_cli_usage(cmd, "--pure goes with --type and a GGUF file");
    if (m->shard_mb > 0 && !is_folder(m->out))
        return ft_cli_usage(cmd, "--shard-mb goes with a folder: %s is none", m->out);
    int rc = ft_weights_open(m->source, &w, &err);
    if (rc != 0)
        return ft_cli_fail(status_of(&err), &err, cmd);
    if (isatty(STDERR_FILENO)) {
        m->o.progress = show;
        m->o.ctx = &progress;
    }
    m->o.interrupt = ft_interrupt_catch();
    rc = write_out(m, w, &err);
    ft_weights_close(w);
    ft_interrupt_release(); /* nothing is left behind now */
    return rc == 0 ? 0 : ft_cli_fail(status_of(&err), &err, cmd);
}
