/* What is done with objects. The first row that fits a request is taken; rows with a parameter
 * therefore stand before those without. */
#include "api/s3/ops.h"

const struct ft_s3_op ft_s3_object_ops[] = {
    {.method = NULL},
};
