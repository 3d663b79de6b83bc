/* Access control lists as clients write and read them. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/s3/documents.h"

#define XSI "http://www.w3.org/2001/XMLSchema-instance"

int ft_s3_acl_grant_to(struct ft_s3_acl *acl, enum ft_s3_perm perm, const char *kind,
                       const char *value, const struct ft_s3_people *people, struct ft_err *err)
{
    char id[FT_S3_WHO_MAX + 1], name[FT_S3_NAME_MAX + 1];
    enum ft_s3_group group;
    if (strcmp(kind, "uri") == 0)
        return ft_s3_group_find(value, &group) ? ft_s3_acl_grant(acl, perm, group, "", err)
                                               : ft_err_set(err, FT_EINVAL, "Invalid group uri");
    bool address = strcasecmp(kind, "emailAddress") == 0;
    if (people->find(people->ctx, value, address, id, name))
        return ft_s3_acl_grant(acl, perm, FT_S3_ONE, id, err);
    if (address)
        return ft_err_set(err, FT_ENOTFOUND,
                          "The e-mail address you provided does not match any account on record");
    return ft_err_set(err, FT_EINVAL, "Invalid id");
}

static int read_grant(const struct ft_xml_node *n, const struct ft_s3_people *people,
                      struct ft_s3_acl *acl, struct ft_err *err)
{
    const struct ft_xml_node *g = ft_xml_child(n, "Grantee");
    const char *perm_name = ft_xml_child_text(n, "Permission");
    enum ft_s3_perm perm;
    if (strcmp(n->name, "Grant") != 0 || g == NULL || perm_name == NULL ||
        !ft_s3_perm_find(perm_name, &perm))
        return ft_err_set(err, FT_ECORRUPT, "line %d: a Grant has a Grantee and a Permission",
                          n->line);
    const char *id = ft_xml_child_text(g, "ID"), *uri = ft_xml_child_text(g, "URI");
    const char *address = ft_xml_child_text(g, "EmailAddress");
    if ((id != NULL) + (uri != NULL) + (address != NULL) != 1)
        return ft_err_set(err, FT_ECORRUPT,
                          "line %d: a Grantee has an ID, a URI or an EmailAddress", n->line);
    return ft_s3_acl_grant_to(acl, perm,
                              id != NULL    ? "id"
                              : uri != NULL ? "uri"
                                            : "emailAddress",
                              id != NULL    ? id
                              : uri != NULL ? uri
                                            : address,
                              people, err);
}

int ft_s3_acl_read_xml(const struct ft_xml_node *root, const char *owner,
                       const struct ft_s3_people *people, struct ft_s3_acl *ret, struct ft_err *err)
{
    const struct ft_xml_node *list = ft_xml_child(root, "AccessControlList");
    const char *id = ft_xml_child_text(ft_xml_child(root, "Owner"), "ID");
    if (strcmp(root->name, "AccessControlPolicy") != 0 || list == NULL)
        return ft_err_set(err, FT_ECORRUPT,
                          "AccessControlPolicy with an AccessControlList was "
                          "expected");
    if (id != NULL && strcmp(id, owner) != 0)
        return ft_err_set(err, FT_EBUSY, "the owner cannot be changed");
    struct ft_s3_acl acl = {.n = 0};
    snprintf(acl.owner, sizeof(acl.owner), "%s", owner);
    for (const struct ft_xml_node *n = list->first; n != NULL; n = n->next) {
        int rc = read_grant(n, people, &acl, err);
        if (rc == FT_ELIMIT) /* too many */
            return ft_err_set(err, FT_ECORRUPT, "more than %d grants", FT_S3_GRANTS_MAX);
        if (rc != 0)
            return rc;
    }
    *ret = acl;
    return 0;
}

void ft_s3_owner_write(const char *name, const char *id, const struct ft_s3_people *people,
                       struct ft_xml *x)
{
    char found[FT_S3_WHO_MAX + 1], display[FT_S3_NAME_MAX + 1];
    ft_xml_begin(x, name);
    ft_xml_text(x, "ID", id);
    if (people->find(people->ctx, id, false, found, display))
        ft_xml_text(x, "DisplayName", display);
    ft_xml_end(x);
}

void ft_s3_acl_write_xml(const struct ft_s3_acl *acl, const struct ft_s3_people *people,
                         struct ft_xml *x)
{
    ft_xml_root(x, "AccessControlPolicy", FT_S3_XMLNS);
    ft_s3_owner_write("Owner", acl->owner, people, x);
    ft_xml_begin(x, "AccessControlList");
    for (int i = 0; i < acl->n; i++) {
        const struct ft_s3_grant *g = &acl->grants[i];
        bool one = g->group == FT_S3_ONE;
        char found[FT_S3_WHO_MAX + 1], display[FT_S3_NAME_MAX + 1];
        ft_xml_begin(x, "Grant");
        ft_buf_addf(&x->buf, "<Grantee xmlns:xsi=\"" XSI "\" xsi:type=\"%s\">",
                    one ? "CanonicalUser" : "Group");
        if (one) {
            ft_xml_text(x, "ID", g->who);
            if (people->find(people->ctx, g->who, false, found, display))
                ft_xml_text(x, "DisplayName", display);
        } else {
            ft_xml_text(x, "URI", ft_s3_group_uri(g->group));
        }
        ft_buf_add_str(&x->buf, "</Grantee>");
        ft_xml_text(x, "Permission", ft_s3_perm_name(g->perm));
        ft_xml_end(x);
    }
    ft_xml_end(x);
    ft_xml_end(x);
}
