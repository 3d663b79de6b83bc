/* Inside of transfers: what transfer.c (who does what) and transfer_parts.c (how a piece is moved)
 * share. */
#ifndef FT_CLI_CLOUD_TRANSFER_H
#define FT_CLI_CLOUD_TRANSFER_H

#include <pthread.h>
#include <stdatomic.h>

#include "cli/cloud/objects.h"
#include "cli/progress.h"

enum ft_transfer_state {
    FT_TRANSFER_NEW,
    FT_TRANSFER_BEGINNING,
    FT_TRANSFER_MOVING,
    FT_TRANSFER_ENDING,
    FT_TRANSFER_DONE
};

struct ft_transfer_piece {
    bool done;
    char etag[FT_BLOB_ETAG_MAX + 3]; /* of uploads, as it came: with its quotes */
};

struct ft_transfer {
    enum ft_transfer_kind kind;
    char *path, *temp; /* temp: of downloads, until they are whole */
    char *from_bucket, *from_key, *to_bucket, *to_key;
    int64_t size, part_bytes;
    int64_t modified_s; /* of the file, as it was begun with */
    char etag[FT_BLOB_ETAG_MAX + 3], upload[FT_BLOB_UPLOAD_MAX + 1];
    int fd;
    /* under the lock */
    enum ft_transfer_state state;
    struct ft_transfer_piece *part;
    int n_parts, next, moving;
    struct ft_err err; /* the first */
};

struct ft_transfers {
    struct ft_transfers_config c;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ft_transfer **file;
    int n, first, running;
    int64_t all;
    atomic_llong moved;
};

/* Bytes came along; less than none: they are to be moved again. Any thread. */
void ft_transfer_moved(struct ft_transfers *t, int64_t bytes);

/* Between standard input or output and an object: one thread, in order (transfer_stream.c). */
bool ft_transfer_is_stream(const struct ft_transfer *f);
int ft_transfer_stream(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err);

/* transfer_parts.c, for streams. Pieces that break off are tried again. */
bool ft_transfer_stopped(const struct ft_transfers *t);
int ft_transfer_head(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err);
/* To fd: at this place, or, of a stream, the next bytes. */
int ft_transfer_fetch(struct ft_transfers *t, struct ft_transfer *f, int64_t at, int64_t n,
                      struct ft_err *err);
/* Bytes of fd as the body of q, which is taken over; the answer's ETag must be their MD5. */
int ft_transfer_send(struct ft_transfers *t, struct ft_transfer *f, struct ft_ups_request *q,
                     int64_t at, int64_t n, char ret_etag[35], struct ft_err *err);
void ft_transfer_request_put(struct ft_ups_request *q, const struct ft_transfer *f);
void ft_transfer_request_part(struct ft_ups_request *q, const struct ft_transfer *f, int part);
int ft_transfer_begin_parts(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err);
int ft_transfer_keep_etag(struct ft_transfer *f, int part, const char *etag, struct ft_err *err);
int ft_transfer_complete(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err);

/* transfer_parts.c. Begin moves a small file whole (n_parts stays 0), or makes the list of parts of
 * a large one; part moves one of them; end puts the whole in its place, or after an error (f->err)
 * leaves what can be gone on with. */
int ft_transfer_begin(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err);
int ft_transfer_part(struct ft_transfers *t, struct ft_transfer *f, int part, struct ft_err *err);
int ft_transfer_end(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err);

#endif
