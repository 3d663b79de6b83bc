/* GGUF writer: metadata and the tensor table are collected in two buffers; the first data call
 * writes them out, later ones only stream. Until the commit it is a partial file
 * (base/partial.h). */
#include "model/file/gguf_write.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/partial.h"
#include "model/file/weights_impl.h"

#define ALIGNMENT 32
#define META_MAX  ((size_t)1 << 30) /* bytes of metadata */

struct ft_gguf_writer {
    char *path, *temp;
    const atomic_int *interrupt; /* may be NULL */
    int fd;
    struct ft_buf meta, table, sizes; /* sizes: uint64_t per tensor */
    uint64_t n_meta, n_tensor, next_offset;
    bool begun, committed;
    uint64_t current, current_left; /* the tensor being written, and its bytes to come */
};

int ft_gguf_writer_open(const char *path, const atomic_int *interrupt,
                        struct ft_gguf_writer **ret_g, struct ft_err *err)
{
    struct stat st; /* renaming would fail after all the work, or replace a device */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return ft_err_set(err, FT_EINVAL, "write %s: not a regular file", path);
    struct ft_gguf_writer *g = calloc(1, sizeof *g);
    if (g == NULL)
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory", path);
    g->interrupt = interrupt;
    g->fd = -1;
    ft_buf_init(&g->meta, META_MAX);
    ft_buf_init(&g->table, META_MAX);
    ft_buf_init(&g->sizes, META_MAX);
    g->path = strdup(path);
    int rc = g->path == NULL ? ft_err_set(err, FT_ENOMEM, "write %s: no memory", path)
                             : ft_partial_open(path, false, &g->temp, &g->fd, err);
    if (rc != 0) {
        ft_gguf_writer_close(g);
        return rc;
    }
    *ret_g = g;
    return 0;
}

void ft_gguf_writer_close(struct ft_gguf_writer *g)
{
    if (g == NULL)
        return;
    if (g->fd >= 0)
        close(g->fd);
    if (g->fd >= 0 && !g->committed)
        unlink(g->temp);
    ft_buf_fini(&g->meta);
    ft_buf_fini(&g->table);
    ft_buf_fini(&g->sizes);
    free(g->path);
    free(g->temp);
    free(g);
}

static void put_u32(struct ft_buf *b, uint32_t v)
{
    ft_buf_add(b, &v, sizeof v);
}

static void put_u64(struct ft_buf *b, uint64_t v)
{
    ft_buf_add(b, &v, sizeof v);
}

static void put_text(struct ft_buf *b, const char *s, size_t n)
{
    put_u64(b, n);
    ft_buf_add(b, s, n);
}

static void put_key(struct ft_gguf_writer *g, const char *key, enum ft_meta_type type)
{
    FT_ASSERT(!g->begun);
    put_text(&g->meta, key, strlen(key));
    put_u32(&g->meta, type);
    g->n_meta++;
}

static void put_array(struct ft_gguf_writer *g, const char *key, enum ft_meta_type elem, uint64_t n)
{
    put_key(g, key, FT_META_ARRAY);
    put_u32(&g->meta, elem);
    put_u64(&g->meta, n);
}

void ft_gguf_put_u32(struct ft_gguf_writer *g, const char *key, uint32_t v)
{
    put_key(g, key, FT_META_U32);
    put_u32(&g->meta, v);
}

void ft_gguf_put_f32(struct ft_gguf_writer *g, const char *key, float v)
{
    put_key(g, key, FT_META_F32);
    ft_buf_add(&g->meta, &v, sizeof v);
}

void ft_gguf_put_bool(struct ft_gguf_writer *g, const char *key, bool v)
{
    put_key(g, key, FT_META_BOOL);
    ft_buf_add_byte(&g->meta, v);
}

void ft_gguf_put_str(struct ft_gguf_writer *g, const char *key, const char *s, size_t n)
{
    put_key(g, key, FT_META_STRING);
    put_text(&g->meta, s, n);
}

void ft_gguf_put_strs(struct ft_gguf_writer *g, const char *key, const struct ft_slice *s,
                      uint64_t n)
{
    put_array(g, key, FT_META_STRING, n);
    for (uint64_t i = 0; i < n; i++)
        put_text(&g->meta, s[i].p, s[i].n);
}

void ft_gguf_put_i32s(struct ft_gguf_writer *g, const char *key, const int32_t *v, uint64_t n)
{
    put_array(g, key, FT_META_I32, n);
    ft_buf_add(&g->meta, v, n * sizeof *v);
}

void ft_gguf_put_f32s(struct ft_gguf_writer *g, const char *key, const float *v, uint64_t n)
{
    put_array(g, key, FT_META_F32, n);
    ft_buf_add(&g->meta, v, n * sizeof *v);
}

void ft_gguf_put_meta(struct ft_gguf_writer *g, const struct ft_weights *w, int i)
{
    const struct ft_meta_value *v = &w->meta[i];
    if (v->type == FT_META_ARRAY) {
        put_array(g, v->key, v->elem, v->n);
    } else {
        put_key(g, v->key, v->type);
        if (v->type == FT_META_STRING)
            put_u64(&g->meta, v->n);
    }
    ft_buf_add(&g->meta, v->p, v->bytes);
}

static uint64_t aligned(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void ft_gguf_put_tensor(struct ft_gguf_writer *g, const char *name, enum ft_type type, int n_dims,
                        const int64_t *dim)
{
    const struct ft_type_info *info = ft_type_info(type);
    FT_ASSERT(!g->begun && info != NULL && dim[0] % info->block_len == 0);
    put_text(&g->table, name, strlen(name));
    put_u32(&g->table, (uint32_t)n_dims);
    uint64_t bytes = ft_type_row_bytes(info, dim[0]);
    for (int i = 0; i < n_dims; i++) {
        put_u64(&g->table, (uint64_t)dim[i]);
        if (i > 0)
            bytes *= (uint64_t)dim[i];
    }
    put_u32(&g->table, type);
    put_u64(&g->table, g->next_offset);
    ft_buf_add(&g->sizes, &bytes, sizeof bytes);
    g->next_offset += aligned(bytes);
    g->n_tensor++;
}

static int write_all(struct ft_gguf_writer *g, const void *data, size_t n, struct ft_err *err)
{
    return ft_file_write(g->fd, data, n, g->temp, g->interrupt, err);
}

static uint64_t size_of(const struct ft_gguf_writer *g, uint64_t i)
{
    uint64_t bytes;
    memcpy(&bytes, g->sizes.data + i * sizeof bytes, sizeof bytes);
    return bytes;
}

static int begin(struct ft_gguf_writer *g, struct ft_err *err)
{
    if (g->meta.failed != 0 || g->table.failed != 0 || g->sizes.failed != 0)
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory for the metadata", g->path);
    static const char zeros[ALIGNMENT];
    struct {
        char magic[4];
        uint32_t version;
        uint64_t n_tensor, n_meta;
    } head = {{'G', 'G', 'U', 'F'}, 3, g->n_tensor, g->n_meta};
    size_t bytes = sizeof head + g->meta.len + g->table.len;
    int rc = write_all(g, &head, sizeof head, err);
    if (rc == 0)
        rc = write_all(g, g->meta.data, g->meta.len, err);
    if (rc == 0)
        rc = write_all(g, g->table.data, g->table.len, err);
    if (rc == 0)
        rc = write_all(g, zeros, aligned(bytes) - bytes, err);
    g->begun = true;
    g->current_left = g->n_tensor > 0 ? size_of(g, 0) : 0;
    return rc;
}

int ft_gguf_write(struct ft_gguf_writer *g, const void *data, size_t n, struct ft_err *err)
{
    int rc = g->begun ? 0 : begin(g, err);
    const char *p = data;
    while (rc == 0 && n > 0) {
        FT_ASSERT(g->current < g->n_tensor);
        size_t piece = FT_MIN(n, g->current_left);
        rc = write_all(g, p, piece, err);
        p += piece;
        n -= piece;
        g->current_left -= piece;
        if (rc == 0 && g->current_left == 0) {
            static const char zeros[ALIGNMENT];
            uint64_t bytes = size_of(g, g->current);
            rc = write_all(g, zeros, aligned(bytes) - bytes, err);
            g->current++;
            g->current_left = g->current < g->n_tensor ? size_of(g, g->current) : 0;
        }
    }
    return rc;
}

int ft_gguf_commit(struct ft_gguf_writer *g, bool durable, struct ft_err *err)
{
    int rc = g->begun ? 0 : begin(g, err);
    if (rc != 0)
        return rc;
    FT_ASSERT(g->current == g->n_tensor);
    if (durable && fsync(g->fd) != 0)
        return ft_err_sys(err, "sync %s", g->temp);
    if (rename(g->temp, g->path) != 0)
        return ft_err_sys(err, "rename %s to %s", g->temp, g->path);
    g->committed = true;
    return durable ? ft_partial_parent_sync(g->path, err) : 0;
}
