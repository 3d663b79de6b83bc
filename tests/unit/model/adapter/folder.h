/* Reference models to stand beside, and PEFT folders made by hand. */
#ifndef FT_TEST_ADAPTER_FOLDER_H
#define FT_TEST_ADAPTER_FOLDER_H

#include "testing.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "model/file/weights.h"

static char folder[64];

static inline struct ft_weights *base_open(const char *name)
{
    struct ft_weights *w = NULL;
    struct ft_err err = {0};
    const char *path = ft_test_ref(name);
    if (path == NULL)
        skip();
    if (ft_weights_open(path, &w, &err) != 0)
        fail_msg("%s", err.msg);
    return w;
}

static inline int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/feitian-adapter-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static inline int folder_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static inline void put_file(const char *name, const void *data, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(n, fwrite(data, 1, n, f));
    fclose(f);
}

/* A safetensors file in the making. */
struct st {
    struct ft_buf header, data;
};

static inline void st_init(struct st *s)
{
    ft_buf_init(&s->header, 1 << 20);
    ft_buf_init(&s->data, 64 << 20);
    ft_buf_add_str(&s->header, "{\"__metadata__\":{\"format\":\"pt\"}");
}

/* x: [rows, columns] f32 */
static inline void st_add(struct st *s, const char *name, int64_t rows, int64_t columns,
                          const float *x)
{
    size_t n = (size_t)(rows * columns) * 4;
    ft_buf_addf(&s->header,
                ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%lld,%lld],\"data_offsets\":[%zu,%zu]}",
                name, (long long)rows, (long long)columns, s->data.len, s->data.len + n);
    ft_buf_add(&s->data, x, n);
}

static inline void st_write(struct st *s, const char *name)
{
    ft_buf_add_byte(&s->header, '}');
    while (s->header.len % 8 != 0)
        ft_buf_add_byte(&s->header, ' ');
    uint64_t n = s->header.len;
    struct ft_buf all;
    ft_buf_init(&all, 128 << 20);
    ft_buf_add(&all, &n, 8);
    ft_buf_add(&all, s->header.data, s->header.len);
    if (s->data.len > 0)
        ft_buf_add(&all, s->data.data, s->data.len);
    put_file(name, all.data, all.len);
    ft_buf_fini(&all);
    ft_buf_fini(&s->header);
    ft_buf_fini(&s->data);
}

#endif
