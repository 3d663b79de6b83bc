/* The input of a batch: a request a line, checked and taken apart. */
#ifndef FT_CONTROL_BATCH_LINES_H
#define FT_CONTROL_BATCH_LINES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/file.h"
#include "base/slice.h"

#define BATCH_LINES_MAX  50000
#define BATCH_ERRORS_MAX 100 /* of an input, told */
#define BATCH_ID_MAX     512 /* bytes of a custom_id */

struct ft_batch_line {
    int64_t at; /* bytes from the file's begin */
    uint32_t n;
    int number; /* of the line in the file, from 1 */
};
struct ft_batch_lines {
    struct ft_batch_line *line;
    int n;
};
/* Lines that are not empty. FT_ELIMIT: more than BATCH_LINES_MAX. */
int ft_batch_lines_index(const struct ft_map *input, struct ft_batch_lines *ret,
                         struct ft_err *err);
void ft_batch_lines_fini(struct ft_batch_lines *l);
/* Appends what is wrong to errors, BATCH_ERRORS_MAX at most; *ret_model: of the first line. stop is
 * asked in between: FT_ECANCELED. */
int ft_batch_lines_check(const struct ft_map *input, const struct ft_batch_lines *l,
                         const char *endpoint, json_t *errors, char ret_model[128],
                         bool (*stop)(void *ctx), void *ctx, struct ft_err *err);
/* The parts of a line that was checked, as they stand in it. */
int ft_batch_line_read(const char *text, size_t n, struct ft_slice *ret_custom_id,
                       struct ft_slice *ret_body, struct ft_err *err);

/* As OpenAI tells what is wrong with a line (0: with the whole). New. */
json_t *ft_batch_error(const char *code, const char *message, const char *param, int64_t line);

#endif
