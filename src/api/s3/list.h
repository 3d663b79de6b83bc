/* What listings share. */
#ifndef FT_API_S3_LIST_H
#define FT_API_S3_LIST_H

#include "api/s3/impl.h"

/* encoding-type: keys and prefixes in a listing as they are, or escaped as in URLs. */
struct ft_s3_lister {
    struct ft_s3_call *c;
    const struct ft_s3_settings *settings; /* of objects alone */
    struct ft_xml x;
    bool escaped, owners;
    int n;                  /* entries so far */
    struct ft_buf prefixes; /* <CommonPrefixes>, which stand behind the entries */
    char *last, *last_id;   /* the last entry: a key or a prefix; its version or upload */
    char owner[FT_BLOB_OWNER_MAX + 1], display[FT_S3_DISPLAY_MAX + 1]; /* looked up last */
};
/* Reads encoding-type, begins the document. x and prefixes are freed by finish or drop. */
int ft_s3_lister_begin(struct ft_s3_lister *l, struct ft_s3_call *c, const char *root);
void ft_s3_lister_name(struct ft_s3_lister *l, const char *element, const char *name);
void ft_s3_lister_prefix(struct ft_s3_lister *l, const char *prefix);
/* Notes it as the last. */
void ft_s3_lister_at(struct ft_s3_lister *l, const char *key, const char *id);
/* <element><ID/><DisplayName/></element> of a project. */
void ft_s3_lister_owner(struct ft_s3_lister *l, const char *element, const char *project);
int ft_s3_lister_finish(struct ft_s3_lister *l);
void ft_s3_lister_drop(struct ft_s3_lister *l);

#endif
