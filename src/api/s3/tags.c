/* Tags as clients write them: XML, or a query's form. */
#include "api/s3/tags.h"

#include <string.h>

#include "api/s3/documents.h"
#include "net/url.h"

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static int add(struct ft_s3_tags *tags, const char *key, const char *value, int max,
               struct ft_err *err)
{
    if (tags->n == max)
        return ft_err_set(err, FT_EINVAL, "there may be at most %d tags", max);
    if (*key == '\0' || characters(key) > FT_S3_TAG_KEY_MAX)
        return ft_err_set(err, FT_EINVAL, "a tag's key has 1 to %d characters", FT_S3_TAG_KEY_MAX);
    if (characters(value) > FT_S3_TAG_VALUE_MAX)
        return ft_err_set(err, FT_EINVAL, "a tag's value has at most %d characters",
                          FT_S3_TAG_VALUE_MAX);
    int at = tags->n, cmp = 1;
    while (at > 0 && (cmp = strcmp(key, tags->v[at - 1].name)) < 0)
        at--;
    if (at > 0 && cmp == 0)
        return ft_err_set(err, FT_EINVAL, "Cannot provide multiple Tags with the same key");
    memmove(tags->v + at + 1, tags->v + at, (size_t)(tags->n - at) * sizeof(tags->v[0]));
    tags->v[at] = (struct ft_blob_field){key, value};
    tags->n++;
    return 0;
}

int ft_s3_tags_read(const struct ft_xml_node *root, int max, struct ft_s3_tags *ret,
                    struct ft_err *err)
{
    struct ft_s3_tags tags = {.n = 0};
    const struct ft_xml_node *set = ft_xml_child(root, "TagSet");
    if (strcmp(root->name, "Tagging") != 0 || set == NULL)
        return ft_err_set(err, FT_ECORRUPT, "Tagging with a TagSet was expected");
    for (const struct ft_xml_node *t = set->first; t != NULL; t = t->next) {
        const char *key = ft_xml_child_text(t, "Key"), *value = ft_xml_child_text(t, "Value");
        if (strcmp(t->name, "Tag") != 0 || key == NULL || value == NULL)
            return ft_err_set(err, FT_ECORRUPT, "line %d: Tag with Key and Value was expected",
                              t->line);
        int rc = add(&tags, key, value, max, err);
        if (rc != 0)
            return rc;
    }
    *ret = tags;
    return 0;
}

int ft_s3_tags_of_query(const char *text, struct ft_arena *arena, struct ft_s3_tags *ret,
                        struct ft_err *err)
{
    struct ft_s3_tags tags = {.n = 0};
    size_t at = 0;
    const char *name, *value;
    int rc;
    while ((rc = ft_url_param_next(text, &at, arena, &name, &value, NULL)) > 0) {
        rc = add(&tags, name, value, FT_S3_TAGS_MAX, err);
        if (rc != 0)
            return rc;
    }
    if (rc < 0)
        return ft_err_set(err, FT_EINVAL,
                          "The header 'x-amz-tagging' shall be encoded as UTF-8 "
                          "then URLEncoded URL query parameters without tag name "
                          "duplicates");
    *ret = tags;
    return 0;
}

void ft_s3_tags_write(const struct ft_blob_field *tags, int n, struct ft_xml *x)
{
    ft_xml_root(x, "Tagging", FT_S3_XMLNS);
    ft_xml_begin(x, "TagSet");
    for (int i = 0; i < n; i++) {
        ft_xml_begin(x, "Tag");
        ft_xml_text(x, "Key", tags[i].name);
        ft_xml_text(x, "Value", tags[i].value);
        ft_xml_end(x);
    }
    ft_xml_end(x);
    ft_xml_end(x);
}
