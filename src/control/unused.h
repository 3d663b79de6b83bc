/* Folders of models' files that no model's row names any more. Both in one transaction that may
 * write: so nobody makes such a row meanwhile. */
#ifndef FT_CONTROL_UNUSED_H
#define FT_CONTROL_UNUSED_H

#include "control/inner.h"

/* Where the models lie that there are: real paths. *ret is a new reference. */
int ft_used_paths(struct ft_state_tx *tx, json_t **ret, struct ft_err *err);
/* Removes a folder with all in it unless a model lies there or below; then what is in it likewise,
 * each by itself, `depth` folders down. Failing is no error, nor that it is gone. */
void ft_remove_unused(const json_t *used, const char *folder, int depth);

#endif
