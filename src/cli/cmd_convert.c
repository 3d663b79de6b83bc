/* feitian convert: a model as one GGUF file, quantised if asked; or random weights in the shape of
 * a known model. */
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/interrupt.h"
#include "model/file/convert.h"
#include "model/file/shape.h"

#define PROGRESS_NS 100000000 /* between two updates of the line */

struct progress {
    int64_t last_ns;
};

static void progress_show(void *ctx, uint64_t done, uint64_t total)
{
    struct progress *p = ctx;
    int64_t now = ft_clock_now_ns();
    if (done < total && now - p->last_ns < PROGRESS_NS)
        return;
    p->last_ns = now;
    int width = 40, full = total > 0 ? (int)(width * (double)done / (double)total) : width;
    fprintf(stderr, "\r[%.*s%*s] %3d%%", full, "########################################",
            width - full, "", total > 0 ? (int)(100.0 * (double)done / (double)total) : 100);
    if (done >= total)
        fprintf(stderr, "\n");
}

static int convert(const char *source, const char *out, struct ft_convert_opts *o,
                   struct ft_err *err)
{
    struct ft_weights *w;
    struct progress progress = {0};
    int rc = ft_weights_open(source, &w, err);
    if (rc != 0)
        return rc;
    if (isatty(STDERR_FILENO)) {
        o->progress = progress_show;
        o->ctx = &progress;
    }
    o->interrupt = ft_interrupt_catch();
    rc = ft_convert(w, o, out, err);
    ft_weights_close(w);
    return rc;
}

int ft_cmd_convert(int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},  {"type", required_argument, NULL, 't'},
        {"threads", required_argument, NULL, 'n'}, {"shape", required_argument, NULL, 's'},
        {"pure", no_argument, NULL, 'p'},          {0}};
    struct ft_convert_opts o = {0};
    struct ft_err err = {0};
    const char *out = NULL, *shape = NULL;
    for (int c; (c = getopt_long(argc, argv, "o:", options, NULL)) != -1;) {
        switch (c) {
        case 'o':
            out = optarg;
            break;
        case 't':
            o.type = optarg;
            break;
        case 's':
            shape = optarg;
            break;
        case 'p':
            o.pure = true;
            break;
        case 'n':
            if (ft_cli_int("--threads", optarg, 1, 1024, &o.n_threads, &err) != 0)
                return ft_cli_usage("convert", "%s", err.msg);
            break;
        default:
            return ft_cli_see_help("convert");
        }
    }
    if (out == NULL || argc - optind != (shape == NULL ? 1 : 0))
        return ft_cli_usage("convert", "SOURCE (or --shape NAME) and -o FILE are needed");
    if (o.pure && (o.type == NULL || shape != NULL))
        return ft_cli_usage("convert", "--pure goes with SOURCE and --type");
    if (o.n_threads == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        o.n_threads = n < 1 ? 1 : n > 64 ? 64 : (int)n;
    }
    int rc;
    if (shape != NULL) {
        const struct ft_shape *s = ft_shape_by_name(shape);
        if (s == NULL)
            return ft_cli_usage("convert", "--shape %s: one of %s", shape, ft_shape_names());
        rc = ft_shape_write(s, o.type != NULL ? o.type : "F16", out, ft_interrupt_catch(), &err);
    } else {
        rc = convert(argv[optind], out, &o, &err);
    }
    ft_interrupt_release(); /* nothing is left behind now */
    return rc == 0 ? 0 : ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "convert");
}
