/* A row of the index: one version of an object, one part of an upload, or what an upload was begun
 * with, as bytes with a checksum of their own.
 *
 * The checksum also covers where the row stands (the bucket or upload, its order, its key), so that
 * a key that changed on the disk is found like any other byte. */
#ifndef FT_BLOB_DIR_ROW_H
#define FT_BLOB_DIR_ROW_H

#include "base/buf.h"
#include "blob/object.h"

#define FT_ROW_BYTES_MAX (128u << 10)

/* Where the bytes are. */
enum ft_place {
    FT_PLACE_NONE,  /* no bytes: empty objects, markers, uploads */
    FT_PLACE_SMALL, /* the index's table `small` */
    FT_PLACE_FILE,  /* a data file */
    FT_PLACE_PARTS  /* the parts of an upload */
};

/* What the row's place in the index is: the checksum covers it. */
struct ft_row_at {
    int64_t owner; /* of the bucket; of the upload */
    int64_t order; /* -sequence number of a version; number of a part */
    const char *key;
};

struct ft_row {
    struct ft_blob_info info; /* version, is_latest and key are not in the bytes */
    bool is_null;             /* the "null" version */
    enum ft_place place;
    int64_t id;          /* of the place: row of `small`, number of the file, of the upload */
    struct ft_row_at at; /* set by those who read it out of the index */
    void *memory;        /* the bytes that the texts are in, to be freed; or NULL */
    /* what info.fields and info.tags point to after decoding */
    struct ft_blob_field field[FT_BLOB_FIELDS_MAX], tag[FT_BLOB_FIELDS_MAX];
};

/* Appends the row's bytes. FT_ENOMEM, FT_ELIMIT. */
int ft_row_encode(const struct ft_row *row, const struct ft_row_at *at, struct ft_buf *ret,
                  struct ft_err *err);
/* The texts of *ret point into bytes; ret->info.key is at->key. FT_ECORRUPT. */
int ft_row_decode(const void *bytes, size_t n, const struct ft_row_at *at, struct ft_row *ret,
                  struct ft_err *err);
/* By its flag alone, unchecked. */
bool ft_row_says_marker(const void *bytes, size_t n);
void ft_row_fini(struct ft_row *row); /* frees memory */

#endif
