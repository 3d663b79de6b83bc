/* A password from whoever types it, or from standard input. */
#ifndef FT_CLI_CLOUD_PASSWORD_H
#define FT_CLI_CLOUD_PASSWORD_H

#include "base/err.h"

#define FT_PASSWORD_BYTES 260 /* with the NUL; longer ones are refused by the cloud */

/* From a terminal twice, unseen, with `what` as the prompt; else the first line of standard input.
 * FT_ECANCELED: Ctrl-C, or the end of input. The caller wipes it. */
int ft_password_read(const char *what, char ret[FT_PASSWORD_BYTES], struct ft_err *err);

#endif
