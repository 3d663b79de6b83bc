/* What the files of this module share: names of objects, errors, answers. */
#ifndef FT_API_FILES_INNER_H
#define FT_API_FILES_INNER_H

#include <jansson.h>

#include "api/files/files.h"
#include "api/files/jsonl.h"
#include "api/openai/id.h"

#define FILES_FILE     "file-"
#define FILES_UPLOAD   "upload_"
#define FILES_PART     "part_"
#define FILES_NAME_MAX 1023 /* bytes of a file's name */

/* fields of objects */
#define FILES_FIELD_NAME    "ft-filename"
#define FILES_FIELD_PURPOSE "ft-purpose"
#define FILES_FIELD_EXPIRES "ft-expires" /* unix time */

struct files_name {
    char bucket[FT_BLOB_BUCKET_MAX + 1], key[128];
};
/* Newer files come first in a listing: "f/TURNED ID". Of uploads "u/ID", of parts "p/UPLOAD/PART".
 */
void files_name_bucket(const char *project, struct files_name *ret);
void files_name_file(const char *project, const char *id, struct files_name *ret);
void files_name_upload(const char *project, const char *id, struct files_name *ret);
void files_name_part(const char *project, const char *upload, const char *part,
                     struct files_name *ret);
/* The id of what has this key. */
void files_id_of(const char *key, const char *prefix, char ret[FT_OAI_ID_BYTES]);

/* What is to be made, or is there. */
struct files_meta {
    char name[FILES_NAME_MAX + 1], purpose[64];
    int64_t expires_s; /* 0: never */
};
bool files_purpose_ok(const char *purpose, bool inside);
bool files_purpose_is_jsonl(const char *purpose);
/* Of a file's object. expires_s: 0 none. */
int64_t files_expires(const struct ft_blob_info *info);
json_t *files_object(const char *id, const struct ft_blob_info *info); /* OpenAI's */

/* ft_blob_put, with the bucket made where it is not there. */
int files_put(const struct ft_files_request *q, const struct files_name *n,
              struct ft_blob_writer **ret, struct ft_err *err);
int files_commit(struct ft_blob_writer *w, const struct files_meta *m, struct ft_err *err);

/* ---- answers ---- */
void files_answer(const struct ft_files_request *q, json_t *answer); /* takes the reference */
void files_fail(const struct ft_files_request *q, const struct ft_oai_error *e);
void files_fail_store(const struct ft_files_request *q, const struct ft_err *err);
void files_none(const struct ft_files_request *q, const char *what, const char *id);
void files_bad(const struct ft_files_request *q, const char *code, const char *param,
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* ---- intake.c: a form with one file ---- */

struct files_intake {
    const struct ft_files_request *q;
    const char *file_field; /* "file", "data" */
    bool wants_purpose;     /* and expires_after, else none but the file */
    int64_t bytes_max;
    struct files_name name; /* where to */
    /* what came */
    struct files_meta meta;
    char text[64]; /* of a plain field */
    size_t n_text;
    char field[64];
    bool in_file, has_file, has_anchor, failed;
    int64_t expires_after_s, bytes;
    struct ft_jsonl jsonl;
    struct ft_blob_writer *writer;
    struct ft_oai_error e;
};
/* Reads the body into an object that is not committed yet. False: answered. */
bool files_take(struct files_intake *in);

void files_create(const struct ft_files_request *q);                    /* intake.c */
void files_uploads(const struct ft_files_request *q, const char *path); /* uploads.c */
/* Checks expires_after {anchor, seconds} of JSON. False: answered. */
bool files_expires_after(const struct ft_files_request *q, const json_t *v, int64_t *ret_s);
/* Reads a whole JSON body. NULL: answered. */
json_t *files_body(const struct ft_files_request *q);
/* Removes all parts of an upload. */
int files_drop_parts(struct ft_blob *b, const char *bucket, const char *upload, struct ft_err *err);

#endif
