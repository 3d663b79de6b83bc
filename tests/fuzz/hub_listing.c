/* Listings of model hubs: whatever they say, no path that leads out of a folder is let through, and
 * what is chosen of them are files of theirs. The first byte chooses the hub. */
#include <string.h>

#include "hub/pull/impl.h"

static void check_path(const char *p)
{
    FT_ASSERT(p[0] != '\0' && p[0] != '/' && strlen(p) < FT_PULL_PATH_MAX);
    FT_ASSERT(strstr(p, "//") == NULL && strchr(p, '\\') == NULL);
    for (const char *part = p; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        FT_ASSERT(strcmp(part, "..") != 0 && strncmp(part, "../", 3) != 0);
        FT_ASSERT(strcmp(part, ".") != 0 && strncmp(part, "./", 2) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_pull_list l = {0};
    struct ft_err err;
    enum ft_pull_form form;
    char name[FT_PULL_NAME_MAX];
    if (n == 0)
        return 0;
    enum ft_pull_hub hub = data[0] == 'm' ? FT_PULL_MS : FT_PULL_HF;
    if (ft_pull_list_parse(hub, (const char *)data + 1, n - 1, &l, &err) != 0)
        return 0;
    for (int i = 0; i < l.n; i++)
        check_path(l.file[i].path);
    int before = l.n;
    if (ft_pull_choose(&l, "", &form, &err) == 0) {
        FT_ASSERT(l.n > 0 && l.n <= before);
        ft_pull_name(&l, form, "org/name", name);
        FT_ASSERT(ft_pull_name_check(name, &err) == 0);
    }
    ft_pull_list_fini(&l);
    return 0;
}
