/* A model written in another form: what convert and merge have in common. */
#ifndef FT_CLI_WRITE_MODEL_H
#define FT_CLI_WRITE_MODEL_H

#include "base/err.h"
#include "model/file/convert.h"

struct ft_write_model {
    const char *source, *adapter; /* adapter: NULL for none */
    const char *out;              /* a folder if it ends in / or is one, else a GGUF file */
    struct ft_convert_opts o;
    int shard_mb; /* 0: the usual */
};

/* The options -o, --type, --pure, --threads and --shard-mb of command `cmd`; what is left in argv
 * begins at optind. shape (may be NULL): --shape is an option too. 0 or an exit status. */
int ft_write_model_args(int argc, char **argv, const char *cmd, struct ft_write_model *m,
                        const char **shape);
/* Writes, with a line of progress and until interrupted; returns the exit status. */
int ft_write_model_run(struct ft_write_model *m, const char *cmd);

#endif
