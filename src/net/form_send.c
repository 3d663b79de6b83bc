/* The head, the file, the tail, one after the other. */
#include "net/form_send.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/client.h"

#define HEAD_MAX 8192
#define BOUNDARY "--feitian-7d1c0b5a9e3f4826"

static const char TAIL[] = "\r\n" BOUNDARY "--\r\n";

struct ft_form_send {
    struct ft_buf head;
    size_t at; /* sent of head and tail */
    int fd;
    int64_t bytes, left; /* of the whole; of the file */
    bool broke;
};

static int put_head(struct ft_form_send *f, const struct ft_form_field *fields, int n_fields,
                    const char *filename, struct ft_err *err)
{
    if (strpbrk(filename, "\"\\\r\n") != NULL)
        return ft_err_set(err, FT_EINVAL, "'%.100s' cannot be the name of a file that is sent",
                          filename);
    for (int i = 0; i < n_fields; i++)
        ft_buf_addf(&f->head,
                    BOUNDARY "\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n",
                    fields[i].name, fields[i].value);
    int rc = ft_buf_addf(&f->head,
                         BOUNDARY "\r\nContent-Disposition: form-data; name=\"file\"; "
                                  "filename=\"%s\"\r\nContent-Type: "
                                  "application/octet-stream\r\n\r\n",
                         filename);
    return rc == 0 ? 0 : ft_err_set(err, FT_EINVAL, "the form's fields are too long");
}

int ft_form_send_open(const struct ft_form_field *fields, int n_fields, const char *filename,
                      const char *path, struct ft_form_send **ret, struct ft_err *err)
{
    struct stat st;
    struct ft_form_send *f = calloc(1, sizeof *f);
    if (f == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    ft_buf_init(&f->head, HEAD_MAX);
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = f->fd < 0 || fstat(f->fd, &st) != 0 ? ft_err_sys(err, "%s", path) : 0;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = ft_err_set(err, FT_EINVAL, "%s: is no plain file", path);
    if (rc == 0)
        rc = put_head(f, fields, n_fields, filename, err);
    if (rc != 0) {
        ft_form_send_close(f);
        return rc;
    }
    f->left = st.st_size;
    f->bytes = (int64_t)f->head.len + f->left + (int64_t)sizeof TAIL - 1;
    *ret = f;
    return 0;
}

void ft_form_send_close(struct ft_form_send *f)
{
    if (f == NULL)
        return;
    if (f->fd >= 0)
        close(f->fd);
    ft_buf_fini(&f->head);
    free(f);
}

int64_t ft_form_send_bytes(const struct ft_form_send *f)
{
    return f->bytes;
}

static size_t some(struct ft_form_send *f, const char *text, size_t n_text, char *data, size_t n)
{
    n = FT_MIN(n, n_text);
    memcpy(data, text, n);
    f->at += n;
    return n;
}

size_t ft_form_send_read(void *ctx, char *data, size_t n)
{
    struct ft_form_send *f = ctx;
    if (f->at < f->head.len)
        return some(f, f->head.data + f->at, f->head.len - f->at, data, n);
    if (f->left > 0) {
        ssize_t got = read(f->fd, data, FT_MIN(n, (size_t)f->left));
        if (got <= 0) {
            f->broke = true;
            return FT_HTTP_READ_ABORT;
        }
        f->left -= got;
        return (size_t)got;
    }
    size_t at = f->at - f->head.len;
    return some(f, TAIL + at, sizeof TAIL - 1 - at, data, n);
}

bool ft_form_send_broke(const struct ft_form_send *f)
{
    return f->broke;
}
