/* OpenAI's files and uploads, on the store of objects: /v1/files, /v1/uploads.
 *
 * Files of a project are objects of its bucket ".files.PROJECT", which counts as the project's
 * storage. Bodies are streamed: a request holds one buffer, whatever the size of its file. Code
 * that blocks, for a thread of its own (net/lane.h); any number of threads may call.
 *
 * Where it may differ from OpenAI's: the id of a file tells its time, a file of purpose "batch" or
 * "fine-tune" is refused with the number of its first bad line, GET of content knows every purpose.
 */
#ifndef FT_API_FILES_FILES_H
#define FT_API_FILES_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "api/openai/error.h"
#include "blob/blob.h"

#define FT_FILES_BUCKET          ".files."            /* and the project */
#define FT_FILES_BYTES_MAX       ((int64_t)512 << 20) /* of a file in one request */
#define FT_FILES_BATCH_BYTES_MAX ((int64_t)200 << 20) /* of one for a batch */
#define FT_FILES_UPLOAD_MAX      ((int64_t)8 << 30)   /* of an upload in parts */
#define FT_FILES_PART_MAX        ((int64_t)64 << 20)  /* of a part, as OpenAI has it */
#define FT_FILES_PARTS_MAX       10000
#define FT_FILES_LIST_MAX        10000
#define FT_FILES_UPLOAD_S        3600         /* how long an upload may take */
#define FT_FILES_BATCH_S         (30 * 86400) /* files for batches go after that, unless told */
#define FT_FILES_EXPIRES_S_MIN   3600
#define FT_FILES_EXPIRES_S_MAX   (30 * 86400)
#define FT_FILES_CHUNK           (256u << 10) /* what a request holds in memory */
#define FT_FILES_NOBODYS_S       86400        /* after that a content without a file is removed */

/* The way in and out. */
struct ft_files_io {
    /* > 0 bytes of the body, 0 at its end; FT_ECANCELED: the client is gone; FT_ELIMIT, of a form:
     * the project may not store that much. */
    int64_t (*read)(void *ctx, void *data, size_t n, struct ft_err *err);
    /* One of these ends it ... */
    void (*respond)(void *ctx, int status, const void *json, size_t n);
    void (*fail)(void *ctx, const struct ft_oai_error *e);
    /* ... or these: the head, all bytes, the end (whole false: cut, the client must see it). */
    int (*begin)(void *ctx, int64_t length, const char *disposition, struct ft_err *err);
    int (*write)(void *ctx, const void *data, size_t n, struct ft_err *err);
    void (*end)(void *ctx, bool whole);
};

struct ft_files_request {
    struct ft_blob *blob;
    const char *method;       /* "HEAD" as GET */
    const char *path;         /* "files", "files/ID/content", "uploads/ID/parts", ... */
    const char *query;        /* encoded; "" */
    const char *content_type; /* NULL: none */
    const char *project;
    int64_t room; /* bytes that the project may still store; -1: no bound */
    /* From a process of this cloud: it may use purposes that are results', and choose the id of a
     * new file, so that doing it again makes no second one. NULL: drawn. */
    bool inside;
    const char *id;
    int64_t now_ms; /* unix time */
    const struct ft_files_io *io;
    void *ctx;
};

/* Answers the request, whatever comes. */
void ft_files_handle(const struct ft_files_request *q);

/* Removes files and uploads whose time is over, of all projects; every minute or so. deep: also
 * contents that are no file's (a process was killed in between), which costs a look-up each; now
 * and then. stop (may be NULL) is asked in between. */
int ft_files_sweep(struct ft_blob *b, int64_t now_s, bool deep, bool (*stop)(void *ctx), void *ctx,
                   struct ft_err *err);

#endif
