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
#define FILES_NAME_MAX 255 /* bytes of a file's name; in a key they may be three times as many */

struct fl_name {
    char bucket[FT_BLOB_BUCKET_MAX + 1], key[FT_BLOB_KEY_MAX + 1];
};
/* What a file is; all of it stands in the key of its entry. */
struct fl_info {
    char id[FT_OAI_ID_BYTES];
    int64_t bytes, expires_s; /* 0: never */
    char purpose[64], name[FILES_NAME_MAX + 1];
};

/* Listings of the store tell keys and nothing of what an object carries, so an empty object is a
 * file's entry, and what a list shows is its key. A file is there while its entry is:
 *   "c/ID"                                  content; without an entry it is nobody's
 *   "f/TURNED ID/EXPIRES/BYTES/PURPOSE/NAME" entry; newer ones come first
 *   "u/ID"                                  an upload's record; "p/UPLOAD/PART" its parts */
void fl_name_bucket(const char *project, struct fl_name *ret);
void fl_name_content(const char *project, const char *id, struct fl_name *ret);
void fl_name_upload(const char *project, const char *id, struct fl_name *ret);
void fl_name_part(const char *project, const char *upload, const char *part, struct fl_name *ret);
void fl_name_entry(const char *project, const struct fl_info *f, struct fl_name *ret);
/* "f/TURNED ID/" */
void fl_entry_prefix(const char *id, char ret[64]);
/* What the key of an entry says; false: it is none of ours. */
bool fl_info_of(const char *key, struct fl_info *ret);

bool fl_purpose_ok(const char *purpose, bool inside);
bool fl_purpose_is_jsonl(const char *purpose);
bool fl_name_ok(const char *name);          /* of a file: not empty, within its bound */
json_t *fl_object(const struct fl_info *f); /* OpenAI's */

/* 1: the file's entry; 0: there is none. Expired ones are found too. */
int fl_find(struct ft_blob *b, const char *project, const char *id, struct fl_info *ret,
            struct ft_err *err);
/* Entry, then content. */
int fl_remove(struct ft_blob *b, const char *bucket, const struct fl_info *f, struct ft_err *err);
int fl_remove_key(struct ft_blob *b, const char *bucket, const char *key, struct ft_err *err);

/* ft_blob_put, with the bucket made where it is not there. */
int fl_put(const struct ft_files_request *q, const struct fl_name *n, struct ft_blob_writer **ret,
           struct ft_err *err);
/* Commits the content and makes its entry. Takes the writer, whatever comes. */
int fl_publish(const struct ft_files_request *q, struct ft_blob_writer *w, const struct fl_info *f,
               struct ft_err *err);

/* ---- answers ---- */
void fl_answer(const struct ft_files_request *q, json_t *answer); /* takes the reference */
void fl_fail(const struct ft_files_request *q, const struct ft_oai_error *e);
void fl_fail_store(const struct ft_files_request *q, const struct ft_err *err);
void fl_none(const struct ft_files_request *q, const char *what, const char *id);
void fl_bad(const struct ft_files_request *q, const char *code, const char *param, const char *fmt,
            ...) __attribute__((format(printf, 4, 5)));

/* ---- intake.c: a form with one file ---- */

struct fl_intake {
    const struct ft_files_request *q;
    const char *file_field; /* "file", "data" */
    bool wants_purpose;     /* and expires_after, else none but the file */
    int64_t bytes_max;
    struct fl_name name; /* where to */
    /* what came */
    struct fl_info info; /* but for its id */
    char text[64];       /* of a plain field */
    size_t n_text;
    char field[64];
    bool in_file, has_file, has_anchor, failed;
    bool of_store; /* the store refused, not the form */
    int64_t expires_after_s;
    struct ft_jsonl jsonl;
    struct ft_blob_writer *writer;
    struct ft_oai_error e;
};
/* Reads the body into an object that is not committed yet. False: answered. */
bool fl_take(struct fl_intake *in);

void fl_create(const struct ft_files_request *q);                    /* intake.c */
void fl_uploads(const struct ft_files_request *q, const char *path); /* uploads.c */
/* Checks expires_after {anchor, seconds} of JSON. False: answered. */
bool fl_expires_after(const struct ft_files_request *q, const json_t *v, int64_t *ret_s);
/* Reads a whole JSON body. NULL: answered. */
json_t *fl_body(const struct ft_files_request *q);

#endif
