/* feitian merge: a base and a LoRA adapter as one model. */
#include "cli/cli.h"

#include <getopt.h>

#include "cli/write_model.h"

int ft_cmd_merge(int argc, char **argv)
{
    struct ft_write_model m = {0};
    int status = ft_write_model_args(argc, argv, "merge", &m, NULL);
    if (status != 0)
        return status;
    if (m.out == NULL || argc - optind != 2)
        return ft_cli_usage("merge", "BASE, ADAPTER and -o OUT are needed");
    m.source = argv[optind];
    m.adapter = argv[optind + 1];
    return ft_write_model_run(&m, "merge");
}
