/* feitian convert: a model as one GGUF file, quantised if asked, or as a Hugging Face folder; or
 * random weights in the shape of a known model. */
#include "cli/cli.h"

#include <getopt.h>

#include "cli/interrupt.h"
#include "cli/write_model.h"
#include "model/file/shape.h"

static int shape_write(const struct ft_write_model *m, const char *name)
{
    struct ft_err err = {0};
    const struct ft_shape *s = ft_shape_by_name(name);
    if (s == NULL)
        return ft_cli_usage("convert", "--shape %s: one of %s", name, ft_shape_names());
    if (m->o.pure || m->shard_mb > 0)
        return ft_cli_usage("convert", "--shape goes with --type alone");
    int rc = ft_shape_write(s, m->o.type != NULL ? m->o.type : "F16", m->out, ft_interrupt_catch(),
                            &err);
    ft_interrupt_release();
    return rc == 0 ? 0 : ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "convert");
}

int ft_cmd_convert(int argc, char **argv)
{
    struct ft_write_model m = {0};
    const char *shape = NULL;
    int status = ft_write_model_args(argc, argv, "convert", &m, &shape);
    if (status != 0)
        return status;
    if (m.out == NULL || argc - optind != (shape == NULL ? 1 : 0))
        return ft_cli_usage("convert", "SOURCE (or --shape NAME) and -o FILE are needed");
    if (shape != NULL)
        return shape_write(&m, shape);
    m.source = argv[optind];
    return ft_write_model_run(&m, "convert");
}
