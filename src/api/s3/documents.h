/* The documents about buckets and objects that clients put and get, in XML both ways.
 *
 * Readers take a tree (its strings live as long as it does) and fail with FT_ECORRUPT where the
 * form is wrong (MalformedXML), FT_EINVAL where a value is (InvalidArgument), else as they say. */
#ifndef FT_API_S3_DOCUMENTS_H
#define FT_API_S3_DOCUMENTS_H

#include "api/s3/acl.h"
#include "api/s3/cors.h"
#include "api/s3/lifecycle.h"
#include "base/arena.h"
#include "blob/blob.h"
#include "net/xml.h"

#define FT_S3_XMLNS "http://s3.amazonaws.com/doc/2006-03-01/"

/* ---- cross-origin rules ---- */
int ft_s3_cors_read(const struct ft_xml_node *root, struct ft_arena *arena, struct ft_s3_cors *ret,
                    struct ft_err *err);
void ft_s3_cors_write(const struct ft_s3_cors *cors, struct ft_xml *x);

/* ---- lifecycle ---- */
/* Rules without an ID get one. FT_EUNSUPPORTED: transitions to other storage classes. */
int ft_s3_lifecycle_read(const struct ft_xml_node *root, struct ft_arena *arena,
                         struct ft_s3_lifecycle *ret, struct ft_err *err);
void ft_s3_lifecycle_write(const struct ft_s3_lifecycle *l, struct ft_xml *x);

/* ---- access control lists ---- */

/* Finds a project by its id, or by an address. False: there is none. */
typedef bool ft_s3_who_fn(void *ctx, const char *id, bool is_address,
                          char ret_id[FT_S3_WHO_MAX + 1], char ret_name[FT_S3_NAME_MAX + 1]);
struct ft_s3_people {
    ft_s3_who_fn *find;
    void *ctx;
};
/* Of a resource of `owner`: a document that names another owner is FT_EBUSY (AccessDenied); a
 * grantee that is not there FT_EINVAL, by its address FT_ENOTFOUND. */
int ft_s3_acl_read_xml(const struct ft_xml_node *root, const char *owner,
                       const struct ft_s3_people *people, struct ft_s3_acl *ret,
                       struct ft_err *err);
void ft_s3_acl_write_xml(const struct ft_s3_acl *acl, const struct ft_s3_people *people,
                         struct ft_xml *x);
/* <name><ID/><DisplayName/></name> */
void ft_s3_owner_write(const char *name, const char *id, const struct ft_s3_people *people,
                       struct ft_xml *x);
/* A grantee of a header ("id", "uri", "emailAddress"); errors as above. */
int ft_s3_acl_grant_to(struct ft_s3_acl *acl, enum ft_s3_perm perm, const char *kind,
                       const char *value, const struct ft_s3_people *people, struct ft_err *err);

/* ---- object lock ---- */
struct ft_s3_lock {
    bool enabled;
    enum ft_blob_lock mode; /* of new objects; NONE: no default */
    int64_t days, years;    /* one of them */
};
/* FT_ELIMIT: a period that is none (InvalidRetentionPeriod). */
int ft_s3_lock_read(const struct ft_xml_node *root, struct ft_s3_lock *ret, struct ft_err *err);
void ft_s3_lock_write(const struct ft_s3_lock *lock, struct ft_xml *x);
/* When what is put at now_s is free again. */
int64_t ft_s3_lock_until(const struct ft_s3_lock *lock, int64_t now_s);
bool ft_s3_lock_mode(const char *name, enum ft_blob_lock *ret); /* "GOVERNANCE", "COMPLIANCE" */
const char *ft_s3_lock_mode_name(enum ft_blob_lock mode);
/* <Retention>; one without anything takes it away (NONE). A date in the past is FT_EINVAL. */
int ft_s3_retention_read(const struct ft_xml_node *root, int64_t now_s, struct ft_blob_hold *ret,
                         struct ft_err *err);
void ft_s3_retention_write(const struct ft_blob_hold *hold, struct ft_xml *x);
int ft_s3_legal_hold_read(const struct ft_xml_node *root, bool *ret, struct ft_err *err);
void ft_s3_legal_hold_write(bool on, struct ft_xml *x);

/* ---- small ones ---- */
int ft_s3_versioning_read(const struct ft_xml_node *root, enum ft_blob_versioning *ret,
                          struct ft_err *err);
void ft_s3_versioning_write(enum ft_blob_versioning v, struct ft_xml *x);

struct ft_s3_block { /* the public access block */
    bool acls, ignore_acls, policy, restrict_buckets;
};
int ft_s3_block_read(const struct ft_xml_node *root, struct ft_s3_block *ret, struct ft_err *err);
void ft_s3_block_write(const struct ft_s3_block *b, struct ft_xml *x);

enum ft_s3_ownership {
    FT_S3_OBJECT_WRITER, /* where nothing was said */
    FT_S3_OWNER_PREFERRED,
    FT_S3_OWNER_ENFORCED
};
bool ft_s3_ownership_find(const char *name, enum ft_s3_ownership *ret);
const char *ft_s3_ownership_name(enum ft_s3_ownership o);
int ft_s3_ownership_read(const struct ft_xml_node *root, enum ft_s3_ownership *ret,
                         struct ft_err *err);
void ft_s3_ownership_write(enum ft_s3_ownership o, struct ft_xml *x);

#endif
