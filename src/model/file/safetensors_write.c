/* The writer keeps a list of the tensors; a shard's header is made when its first byte is written,
 * as only then is it known how many shards there are. */
#include "model/file/safetensors_write.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "model/file/safetensors.h"
#include "model/file/weights_impl.h"

#define ALIGNMENT 8 /* of the data, as the format's own library does */

struct entry {
    char *name;
    enum ft_type type;
    int n_dims;
    int64_t dim[FT_ST_DIMS_MAX];
    uint64_t bytes;
    int shard;
};

struct ft_st_writer {
    char *folder, *stem;
    uint64_t shard_bytes;
    const atomic_int *interrupt;
    struct entry *entry;
    int n, cap, n_shard;
    uint64_t filled; /* bytes of the last shard declared */
    int failed;
    int fd;           /* of the shard being written */
    int at;           /* the tensor being written */
    uint64_t written; /* bytes of it */
    char file[FT_ST_NAME_MAX + 64];
};

int ft_st_writer_open(const char *folder, const char *stem, uint64_t shard_bytes,
                      const atomic_int *interrupt, struct ft_st_writer **ret_w, struct ft_err *err)
{
    struct ft_st_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory", folder);
    *w = (struct ft_st_writer){.shard_bytes = shard_bytes, .interrupt = interrupt, .fd = -1};
    w->folder = strdup(folder);
    w->stem = strdup(stem);
    if (w->folder == NULL || w->stem == NULL) {
        ft_st_writer_close(w);
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory", folder);
    }
    *ret_w = w;
    return 0;
}

void ft_st_writer_close(struct ft_st_writer *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        close(w->fd);
    for (int i = 0; i < w->n; i++)
        free(w->entry[i].name);
    free(w->entry);
    free(w->folder);
    free(w->stem);
    free(w);
}

static bool entry_room(struct ft_st_writer *w)
{
    if (w->n < w->cap)
        return true;
    int cap = w->cap == 0 ? 64 : w->cap * 2;
    struct entry *p = w->n < FT_TENSORS_MAX ? realloc(w->entry, (size_t)cap * sizeof *p) : NULL;
    if (p == NULL)
        return false;
    w->entry = p;
    w->cap = cap;
    return true;
}

void ft_st_put(struct ft_st_writer *w, const char *name, enum ft_type type, int n_dims,
               const int64_t *dim)
{
    FT_ASSERT(ft_type_is_float(type) && n_dims >= 1 && n_dims <= FT_ST_DIMS_MAX && w->fd < 0);
    char *copy = strdup(name);
    if (copy == NULL || !entry_room(w)) {
        free(copy);
        w->failed = FT_ENOMEM;
        return;
    }
    struct entry *e = &w->entry[w->n++];
    *e = (struct entry){.name = copy, .type = type, .n_dims = n_dims};
    e->bytes = ft_type_row_bytes(ft_type_info(type), 1);
    for (int d = 0; d < n_dims; d++) {
        e->dim[d] = dim[d];
        e->bytes *= (uint64_t)dim[d];
    }
    bool full = w->shard_bytes > 0 && w->filled > 0 && e->bytes > w->shard_bytes - w->filled;
    if (w->n_shard == 0 || full) {
        w->n_shard++;
        w->filled = 0;
    }
    e->shard = w->n_shard - 1;
    w->filled = w->shard_bytes > 0 ? FT_MIN(w->filled + e->bytes, w->shard_bytes) : 0;
}

static void file_name(struct ft_st_writer *w, int shard)
{
    if (w->n_shard <= 1)
        snprintf(w->file, sizeof w->file, "%.255s.safetensors", w->stem);
    else
        snprintf(w->file, sizeof w->file, "%.255s-%05d-of-%05d.safetensors", w->stem, shard + 1,
                 w->n_shard);
}

/* The header of the shard that begins with tensor `first`, with its length before it. */
static int header_make(struct ft_st_writer *w, int first, struct ft_buf *b, struct ft_err *err)
{
    uint64_t offset = 0, bytes = 0;
    ft_buf_add(b, &bytes, sizeof bytes);
    ft_buf_add_str(b, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = first; i < w->n && w->entry[i].shard == w->entry[first].shard; i++) {
        const struct entry *e = &w->entry[i];
        json_t *name = json_string(e->name);
        char *quoted = name != NULL ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
        json_decref(name);
        if (quoted == NULL)
            return ft_err_set(err, FT_EINVAL, "tensor %s: not a name for a file", e->name);
        ft_buf_addf(b, ",%s:{\"dtype\":\"%s\",\"shape\":[", quoted, ft_type_info(e->type)->name);
        for (int d = 0; d < e->n_dims; d++)
            ft_buf_addf(b, "%s%" PRId64, d > 0 ? "," : "", e->dim[d]);
        ft_buf_addf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, offset + e->bytes);
        offset += e->bytes;
        free(quoted);
    }
    ft_buf_add_byte(b, '}');
    while (b->len % ALIGNMENT != 0 && b->failed == 0)
        ft_buf_add_byte(b, ' ');
    if (b->failed != 0)
        return ft_err_set(err, b->failed, "write %s: the header", w->file);
    bytes = b->len - sizeof bytes;
    memcpy(b->data, &bytes, sizeof bytes);
    return 0;
}

static int shard_finish(struct ft_st_writer *w, struct ft_err *err)
{
    if (w->fd < 0)
        return 0;
    int rc = fsync(w->fd) != 0 ? ft_err_sys(err, "sync %s", w->file) : 0;
    close(w->fd);
    w->fd = -1;
    return rc;
}

static int shard_begin(struct ft_st_writer *w, struct ft_err *err)
{
    char *path;
    int rc = shard_finish(w, err);
    if (rc != 0)
        return rc;
    file_name(w, w->n > 0 ? w->entry[w->at].shard : 0);
    if (asprintf(&path, "%s/%s", w->folder, w->file) < 0)
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory", w->file);
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    rc = w->fd < 0 ? ft_err_sys(err, "create %s", path) : 0;
    free(path);
    struct ft_buf b;
    ft_buf_init(&b, FT_ST_HEADER_MAX);
    if (rc == 0)
        rc = header_make(w, w->at, &b, err);
    if (rc == 0)
        rc = ft_file_write(w->fd, b.data, b.len, w->file, w->interrupt, err);
    ft_buf_fini(&b);
    return rc;
}

/* Opens the shard that the tensor to write is in, if it is another one. */
static int shard_reach(struct ft_st_writer *w, struct ft_err *err)
{
    if (w->failed != 0)
        return ft_err_set(err, w->failed, "write %s: no memory for its tensors", w->stem);
    bool first = w->at == 0 || w->entry[w->at].shard != w->entry[w->at - 1].shard;
    return w->fd < 0 || (first && w->written == 0) ? shard_begin(w, err) : 0;
}

int ft_st_write(struct ft_st_writer *w, const void *data, size_t n, struct ft_err *err)
{
    const char *p = data;
    int rc = 0;
    while (rc == 0 && n > 0) {
        FT_ASSERT(w->failed != 0 || w->at < w->n);
        rc = shard_reach(w, err);
        if (rc != 0)
            return rc;
        size_t piece = FT_MIN(n, w->entry[w->at].bytes - w->written);
        rc = ft_file_write(w->fd, p, piece, w->file, w->interrupt, err);
        p += piece;
        n -= piece;
        w->written += piece;
        if (w->written == w->entry[w->at].bytes) {
            w->at++;
            w->written = 0;
        }
    }
    return rc;
}

static int index_write(struct ft_st_writer *w, struct ft_err *err)
{
    uint64_t total = 0;
    json_t *map = json_object(), *index;
    int failed = map == NULL;
    for (int i = 0; i < w->n && !failed; i++) {
        file_name(w, w->entry[i].shard);
        total += w->entry[i].bytes;
        failed = json_object_set_new(map, w->entry[i].name, json_string(w->file));
    }
    index =
        json_pack("{s:{s:I},s:o}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    char *text = index != NULL && !failed ? json_dumps(index, JSON_INDENT(2)) : NULL;
    json_decref(index);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "write the index: no memory");
    char *path = NULL;
    int rc = 0;
    snprintf(w->file, sizeof w->file, "%.255s.safetensors.index.json", w->stem);
    if (asprintf(&path, "%s/%s", w->folder, w->file) < 0) {
        path = NULL;
        rc = ft_err_set(err, FT_ENOMEM, "write %s: no memory", w->file);
    } else {
        w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        rc = w->fd < 0 ? ft_err_sys(err, "create %s", path)
                       : ft_file_write(w->fd, text, strlen(text), w->file, w->interrupt, err);
    }
    free(text);
    free(path);
    return rc == 0 ? shard_finish(w, err) : rc;
}

int ft_st_finish(struct ft_st_writer *w, struct ft_err *err)
{
    int rc = 0;
    if (w->n == 0) /* a file with no tensors is a file all the same */
        rc = shard_begin(w, err);
    FT_ASSERT(w->failed != 0 || rc != 0 || w->at == w->n);
    if (rc == 0 && w->failed != 0)
        rc = ft_err_set(err, w->failed, "write %s: no memory for its tensors", w->stem);
    if (rc == 0)
        rc = shard_finish(w, err);
    return rc == 0 && w->n_shard > 1 ? index_write(w, err) : rc;
}
