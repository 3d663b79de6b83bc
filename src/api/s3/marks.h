/* Access control lists, tags and settings as requests carry them: for handlers, within one call. */
#ifndef FT_API_S3_MARKS_H
#define FT_API_S3_MARKS_H

#include "api/s3/impl.h"
#include "api/s3/settings.h"
#include "api/s3/tags.h"

/* Who projects are, by the config of the call. */
struct ft_s3_people ft_s3_people(const struct ft_s3_call *c);
/* An error of documents.h about an access control list. */
int ft_s3_fail_acl(struct ft_s3_call *c, const struct ft_err *err);

bool ft_s3_has_grants(const struct ft_s3_call *c); /* any x-amz-grant-... header */
/* By a canned name (NULL: private) or by the headers of grants. */
int ft_s3_acl_of_headers(struct ft_s3_call *c, const char *canned, const char *owner,
                         const char *bucket_owner, struct ft_s3_acl *ret);
/* Its text, the arena's; "" for the plain list of plain_owner (NULL: never). */
int ft_s3_acl_text(struct ft_s3_call *c, const struct ft_s3_acl *acl, const char *plain_owner,
                   const char **ret);
/* Of a new object of the bucket c->at: who owns it, what the bucket allows. */
int ft_s3_put_acl(struct ft_s3_call *c, const char *canned, const char **ret);

/* MalformedXML, InvalidTag. */
int ft_s3_tags_of_xml(struct ft_s3_call *c, const struct ft_xml_node *root, int max,
                      struct ft_s3_tags *ret);
/* ft_s3_put_marks for a form, whose tags are a document in a field. */
int ft_s3_form_tags(struct ft_s3_call *c, const char *tagging, struct ft_s3_tags *ret);
int ft_s3_put_form_marks(struct ft_s3_call *c, const struct ft_s3_tags *tags,
                         struct ft_blob_put *put);

#endif
