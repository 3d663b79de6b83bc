/* Access control lists: what they hold and what they allow. How clients write them (headers, XML)
 * is acl_handlers.c's. */
#include "api/s3/acl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    enum ft_s3_perm perm;
} PERMS[] = {{"READ", FT_S3_READ},
             {"WRITE", FT_S3_WRITE},
             {"READ_ACP", FT_S3_READ_ACP},
             {"WRITE_ACP", FT_S3_WRITE_ACP},
             {"FULL_CONTROL", FT_S3_FULL_CONTROL}};

/* By enum ft_s3_group: how a list's text has it, and its address. */
static const struct {
    const char *word, *uri;
} GROUPS[] = {{"id", ""},
              {"all", "http://acs.amazonaws.com/groups/global/AllUsers"},
              {"authenticated", "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"},
              {"logs", "http://acs.amazonaws.com/groups/s3/LogDelivery"}};

const char *ft_s3_perm_name(enum ft_s3_perm p)
{
    for (size_t i = 0; i < FT_COUNT(PERMS); i++)
        if (PERMS[i].perm == p)
            return PERMS[i].name;
    return "";
}

bool ft_s3_perm_find(const char *name, enum ft_s3_perm *ret)
{
    for (size_t i = 0; i < FT_COUNT(PERMS); i++)
        if (strcmp(PERMS[i].name, name) == 0) {
            *ret = PERMS[i].perm;
            return true;
        }
    return false;
}

const char *ft_s3_group_uri(enum ft_s3_group g)
{
    return GROUPS[g].uri;
}

bool ft_s3_group_find(const char *uri, enum ft_s3_group *ret)
{
    for (size_t i = 1; i < FT_COUNT(GROUPS); i++)
        if (strcmp(GROUPS[i].uri, uri) == 0) {
            *ret = (enum ft_s3_group)i;
            return true;
        }
    return false;
}

int ft_s3_acl_grant(struct ft_s3_acl *acl, enum ft_s3_perm perm, enum ft_s3_group group,
                    const char *who, struct ft_err *err)
{
    if (acl->n == FT_S3_GRANTS_MAX)
        return ft_err_set(err, FT_ELIMIT, "an access control list has at most %d grants",
                          FT_S3_GRANTS_MAX);
    int at = acl->n;
    if (group != FT_S3_ONE) /* behind the groups that are there */
        for (at = 0; at < acl->n && acl->grants[at].group != FT_S3_ONE;)
            at++;
    memmove(acl->grants + at + 1, acl->grants + at, (size_t)(acl->n - at) * sizeof(acl->grants[0]));
    acl->grants[at] = (struct ft_s3_grant){.perm = perm, .group = group};
    snprintf(acl->grants[at].who, sizeof(acl->grants[at].who), "%s", group == FT_S3_ONE ? who : "");
    acl->n++;
    return 0;
}

int ft_s3_acl_canned(struct ft_s3_acl *ret, const char *name, const char *owner,
                     const char *bucket_owner, struct ft_err *err)
{
    static const struct {
        const char *name;
        enum ft_s3_group group;
        enum ft_s3_perm perms[2]; /* of the group, or of the bucket's owner */
    } CANNED[] = {{"private", FT_S3_ONE, {0, 0}},
                  {"public-read", FT_S3_ALL_USERS, {FT_S3_READ, 0}},
                  {"public-read-write", FT_S3_ALL_USERS, {FT_S3_READ, FT_S3_WRITE}},
                  {"authenticated-read", FT_S3_AUTHENTICATED, {FT_S3_READ, 0}},
                  {"log-delivery-write", FT_S3_LOG_DELIVERY, {FT_S3_WRITE, FT_S3_READ_ACP}},
                  {"bucket-owner-read", FT_S3_ONE, {FT_S3_READ, 0}},
                  {"bucket-owner-full-control", FT_S3_ONE, {FT_S3_FULL_CONTROL, 0}}};
    for (size_t i = 0; i < FT_COUNT(CANNED); i++) {
        if (strcmp(CANNED[i].name, name) != 0)
            continue;
        struct ft_s3_acl acl = {.n = 0};
        snprintf(acl.owner, sizeof(acl.owner), "%s", owner);
        int rc = ft_s3_acl_grant(&acl, FT_S3_FULL_CONTROL, FT_S3_ONE, owner, err);
        bool other = CANNED[i].group != FT_S3_ONE || strcmp(owner, bucket_owner) != 0;
        for (int p = 0; rc == 0 && other && p < 2 && CANNED[i].perms[p] != 0; p++)
            rc = ft_s3_acl_grant(&acl, CANNED[i].perms[p], CANNED[i].group, bucket_owner, err);
        if (rc == 0)
            *ret = acl;
        return rc;
    }
    return ft_err_set(err, FT_EINVAL, "there is no canned access control list \"%.60s\"", name);
}

/* The next line of *text without its end; false at the text's end. */
static bool line_next(const char **text, char room[256])
{
    if (**text == '\0')
        return false;
    size_t n = strcspn(*text, "\n");
    snprintf(room, 256, "%.*s", (int)FT_MIN(n, 255), *text);
    *text += n + ((*text)[n] == '\n');
    return true;
}

int ft_s3_acl_read(struct ft_s3_acl *ret, const char *text, const char *owner, struct ft_err *err)
{
    struct ft_s3_acl acl = {.n = 0};
    if (*text == '\0')
        return ft_s3_acl_canned(ret, "private", owner, owner, err);
    char line[256], perm_name[16], word[16];
    if (!line_next(&text, line) || sscanf(line, "owner %64s", acl.owner) != 1)
        return ft_err_set(err, FT_ECORRUPT, "access control list without an owner");
    while (line_next(&text, line)) {
        char who[FT_S3_WHO_MAX + 1] = "";
        enum ft_s3_perm perm = FT_S3_READ;
        size_t g = 0;
        if (sscanf(line, "%15s %15s %64s", perm_name, word, who) < 2 ||
            !ft_s3_perm_find(perm_name, &perm))
            return ft_err_set(err, FT_ECORRUPT, "access control list: \"%s\"", line);
        while (g < FT_COUNT(GROUPS) && strcmp(GROUPS[g].word, word) != 0)
            g++;
        if (g == FT_COUNT(GROUPS) || (g == FT_S3_ONE) != (*who != '\0'))
            return ft_err_set(err, FT_ECORRUPT, "access control list: \"%s\"", line);
        int rc = ft_s3_acl_grant(&acl, perm, (enum ft_s3_group)g, who, err);
        if (rc != 0)
            return rc;
    }
    *ret = acl;
    return 0;
}

int ft_s3_acl_write(const struct ft_s3_acl *acl, struct ft_buf *ret)
{
    ft_buf_addf(ret, "owner %s\n", acl->owner);
    for (int i = 0; i < acl->n; i++) {
        const struct ft_s3_grant *g = &acl->grants[i];
        ft_buf_addf(ret, "%s %s%s%s\n", ft_s3_perm_name(g->perm), GROUPS[g->group].word,
                    *g->who != '\0' ? " " : "", g->who);
    }
    return ret->failed;
}

bool ft_s3_acl_allows(const struct ft_s3_acl *acl, const char *who, enum ft_s3_perm perm,
                      bool no_groups)
{
    for (int i = 0; i < acl->n; i++) {
        const struct ft_s3_grant *g = &acl->grants[i];
        bool is = g->group == FT_S3_ONE
                      ? who != NULL && strcmp(g->who, who) == 0
                      : !no_groups && (g->group == FT_S3_ALL_USERS ||
                                       (g->group == FT_S3_AUTHENTICATED && who != NULL));
        if (is && (g->perm & perm) == (unsigned)perm)
            return true;
    }
    return false;
}

bool ft_s3_acl_is_public(const struct ft_s3_acl *acl)
{
    for (int i = 0; i < acl->n; i++)
        if (acl->grants[i].group == FT_S3_ALL_USERS || acl->grants[i].group == FT_S3_AUTHENTICATED)
            return true;
    return false;
}

int ft_s3_grantee_next(const char **text, char kind[16], char value[256], struct ft_err *err)
{
    const char *p = *text;
    while (*p == ',' || isspace((unsigned char)*p))
        p++;
    if (*p == '\0')
        return 0;
    size_t n = strcspn(p, "=");
    if (p[n] != '=' || n == 0 || n >= 16)
        return ft_err_set(err, FT_EINVAL,
                          "a grantee is written id=..., uri=... or "
                          "emailAddress=...");
    snprintf(kind, 16, "%.*s", (int)n, p);
    if (strcmp(kind, "id") != 0 && strcmp(kind, "uri") != 0 &&
        strcasecmp(kind, "emailAddress") != 0)
        return ft_err_set(err, FT_EINVAL, "unknown kind of grantee \"%s\"", kind);
    p += n + 1;
    bool quoted = *p == '"';
    p += quoted;
    n = strcspn(p, quoted ? "\"" : ",");
    if (n == 0 || n >= 256 || (quoted && p[n] != '"'))
        return ft_err_set(err, FT_EINVAL, "the grantee behind %s= is empty or too long", kind);
    snprintf(value, 256, "%.*s", (int)n, p);
    p += n + quoted;
    while (!quoted && n > 0 && isspace((unsigned char)value[n - 1]))
        value[--n] = '\0';
    *text = p;
    return 1;
}
