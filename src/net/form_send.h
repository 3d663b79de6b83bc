/* multipart/form-data to be sent: plain fields, then one file, read from the disk as it goes. */
#ifndef FT_NET_FORM_SEND_H
#define FT_NET_FORM_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FT_FORM_SEND_TYPE "multipart/form-data; boundary=feitian-7d1c0b5a9e3f4826"

struct ft_form_field {
    const char *name, *value; /* of ours: no control bytes, no quotes in names */
};
struct ft_form_send;

/* The file's part is called "file". FT_EINVAL: its name cannot stand in a form. */
int ft_form_send_open(const struct ft_form_field *fields, int n_fields, const char *filename,
                      const char *path, struct ft_form_send **ret, struct ft_err *err);
void ft_form_send_close(struct ft_form_send *f); /* NULL is accepted */
/* Of the whole body, as it will be; what is left of the file, for a progress bar, is not told. */
int64_t ft_form_send_bytes(const struct ft_form_send *f);
/* For ft_http_call_config.on_read, with f as its ctx. */
size_t ft_form_send_read(void *f, char *data, size_t n);
/* The file became shorter, or could not be read: why the sending ended. */
bool ft_form_send_broke(const struct ft_form_send *f);

#endif
