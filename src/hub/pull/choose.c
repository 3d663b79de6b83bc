/* Which files of a repository or folder make a model: one GGUF file, the parts of a split one, or
 * safetensors with what belongs to them. Also what the model is called. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/slice.h"
#include "hub/pull/impl.h"

#define CHOICES_SHOWN 12
#define OF            (sizeof "-of-00003.gguf" - 1)

/* Without a hint, of several GGUF files the first of these: small, and close to the original. */
static const char *const preferred[] = {"Q4_K_M", "Q4_0", "Q5_K_M", "Q8_0", "Q6_K", "MXFP4"};

/* What a folder needs beside its weights, as far as it has it. */
static const char *const companions[] = {"config.json",
                                         "generation_config.json",
                                         "tokenizer.json",
                                         "tokenizer_config.json",
                                         "special_tokens_map.json",
                                         "added_tokens.json",
                                         "vocab.json",
                                         "merges.txt",
                                         "chat_template.jinja",
                                         "chat_template.json",
                                         "*.safetensors.index.json"};

const char *ft_pull_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* "-00002-of-00003.gguf" at the end: its length, else 0. */
static size_t part_suffix(const char *path)
{
    static const char form[] = "-ddddd-of-ddddd.gguf";
    size_t n = strlen(path), m = sizeof form - 1;
    if (n <= m)
        return 0;
    for (size_t i = 0; i < m; i++) {
        char c = path[n - m + i];
        if (form[i] == 'd' ? c < '0' || c > '9' : c != form[i])
            return 0;
    }
    return m;
}

static bool is_gguf(const char *path)
{
    return ft_str_ends(path, ".gguf") && strcasestr(ft_pull_base(path), "mmproj") == NULL;
}

/* First of the parts, or not split at all: one for each model. */
static bool begins_model(const char *path)
{
    size_t m = part_suffix(path);
    return is_gguf(path) && (m == 0 || strncmp(path + strlen(path) - m, "-00001", 6) == 0);
}

/* Of the same split model as `first`. */
static bool same_model(const char *path, const char *first)
{
    size_t m = part_suffix(first), n = strlen(first);
    return strcmp(path, first) == 0 ||
           (m > 0 && strlen(path) == n && part_suffix(path) == m &&
            strncmp(path, first, n - m) == 0 && strcmp(path + n - OF, first + n - OF) == 0);
}

static void keep(struct ft_pull_list *l, const bool *kept)
{
    int n = 0;
    for (int i = 0; i < l->n; i++) {
        if (kept[i])
            l->file[n++] = l->file[i];
        else
            free(l->file[i].path);
    }
    l->n = n;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct ft_pull_file *)a)->path, ((const struct ft_pull_file *)b)->path);
}

static int keep_gguf(struct ft_pull_list *l, int first, enum ft_pull_form *ret, struct ft_err *err)
{
    bool kept[FT_PULL_FILES_MAX] = {0};
    const char *path = l->file[first].path;
    size_t m = part_suffix(path);
    int n = 0, announced = m > 0 ? atoi(path + strlen(path) - 10) : 1;
    for (int i = 0; i < l->n; i++) {
        kept[i] = same_model(l->file[i].path, path);
        n += kept[i];
    }
    if (n != announced)
        return ft_err_set(err, FT_EUNSUPPORTED, "%.200s: %d of its %d parts are there", path, n,
                          announced);
    *ret = m > 0 ? FT_PULL_GGUF_SPLIT : FT_PULL_GGUF;
    keep(l, kept);
    return 0;
}

/* "WHY: a.gguf, b.gguf, ..." */
static int ask_to_choose(const struct ft_pull_list *l, const char *hint, const char *why,
                         struct ft_err *err)
{
    char text[400] = "";
    int shown = 0, all = 0;
    for (int i = 0; i < l->n; i++) {
        const char *path = l->file[i].path;
        if (!begins_model(path) || (hint[0] != '\0' && strcasestr(path, hint) == NULL))
            continue;
        size_t n = strlen(text);
        all++;
        if (shown < CHOICES_SHOWN && n + strlen(path) + 8 < sizeof text) {
            snprintf(text + n, sizeof text - n, "%s%s", n > 0 ? ", " : "", path);
            shown++;
        }
    }
    return ft_err_set(err, FT_EINVAL, "%s: %s%s", why, text, all > shown ? ", ..." : "");
}

/* The model that hint speaks of: its path, its file's name, or a part of it. -1: none; -2: several.
 */
static int find_gguf(const struct ft_pull_list *l, const char *hint)
{
    int found = -1;
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->file[i].path, hint) == 0 || strcmp(ft_pull_base(l->file[i].path), hint) == 0)
            found = i;
    if (found >= 0) /* any part stands for the first */
        for (int i = 0; i < l->n; i++)
            if (begins_model(l->file[i].path) && same_model(l->file[i].path, l->file[found].path))
                return i;
    if (found >= 0)
        return found;
    for (int i = 0; i < l->n; i++)
        if (begins_model(l->file[i].path) && strcasestr(l->file[i].path, hint) != NULL)
            found = found == -1 ? i : -2;
    if (found != -2)
        return found;
    char exact[FT_PULL_PATH_MAX + 8]; /* Q4_K also is in Q4_K_M: a name that ends so is meant */
    snprintf(exact, sizeof exact, "*[-._]%s.gguf", hint);
    found = -1;
    for (int i = 0; i < l->n; i++)
        if (begins_model(l->file[i].path) &&
            fnmatch(exact, ft_pull_base(l->file[i].path), FNM_CASEFOLD) == 0)
            found = found == -1 ? i : -2;
    return found == -1 ? -2 : found;
}

static int choose_gguf(struct ft_pull_list *l, const char *hint, enum ft_pull_form *ret,
                       struct ft_err *err)
{
    static const char several[] = "there are several models; name one behind a colon";
    int n = 0, only = -1;
    for (int i = 0; i < l->n; i++)
        if (begins_model(l->file[i].path)) {
            n++;
            only = i;
        }
    if (hint[0] != '\0') {
        int at = find_gguf(l, hint);
        if (at == -1)
            return ft_err_set(err, FT_ENOTFOUND, "no file here is called %.200s", hint);
        return at == -2 ? ask_to_choose(l, hint, several, err) : keep_gguf(l, at, ret, err);
    }
    for (size_t i = 0; n > 1 && i < FT_COUNT(preferred); i++) {
        int at = find_gguf(l, preferred[i]);
        if (at >= 0)
            return keep_gguf(l, at, ret, err);
    }
    return n == 1 ? keep_gguf(l, only, ret, err) : ask_to_choose(l, "", several, err);
}

static bool is_companion(const char *path)
{
    for (size_t i = 0; i < FT_COUNT(companions); i++)
        if (fnmatch(companions[i], path, 0) == 0)
            return true;
    return false;
}

static bool has(const struct ft_pull_list *l, const char *pattern)
{
    for (int i = 0; i < l->n; i++)
        if (fnmatch(pattern, ft_pull_base(l->file[i].path), 0) == 0 &&
            strchr(l->file[i].path, '/') == NULL)
            return true;
    return false;
}

static int choose_folder(struct ft_pull_list *l, enum ft_pull_form *ret, struct ft_err *err)
{
    bool kept[FT_PULL_FILES_MAX] = {0};
    /* Where a vendor put its own form beside (consolidated.*), it is the same weights again. */
    const char *weights = has(l, "model*.safetensors") ? "model*.safetensors" : "*.safetensors";
    if (!has(l, "tokenizer.json"))
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "it has safetensors but no tokenizer.json, without which feitian cannot "
                          "read text");
    for (int i = 0; i < l->n; i++) {
        const char *path = l->file[i].path;
        kept[i] =
            strchr(path, '/') == NULL && (is_companion(path) || fnmatch(weights, path, 0) == 0);
    }
    *ret = FT_PULL_FOLDER;
    keep(l, kept);
    return 0;
}

int ft_pull_choose_adapter(struct ft_pull_list *l, struct ft_err *err)
{
    bool kept[FT_PULL_FILES_MAX] = {0};
    if (!has(l, "adapter_config.json") || !has(l, "adapter_model.safetensors"))
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "no adapter is there: adapter_config.json with "
                          "adapter_model.safetensors");
    for (int i = 0; i < l->n; i++)
        kept[i] = strcmp(l->file[i].path, "adapter_config.json") == 0 ||
                  strcmp(l->file[i].path, "adapter_model.safetensors") == 0;
    keep(l, kept);
    return 0;
}

int ft_pull_choose(struct ft_pull_list *l, const char *hint, enum ft_pull_form *ret_form,
                   struct ft_err *err)
{
    bool gguf = false, folder = has(l, "config.json") && has(l, "*.safetensors");
    for (int i = 0; i < l->n; i++)
        gguf |= begins_model(l->file[i].path);
    int rc = gguf && (hint[0] != '\0' || !folder) ? choose_gguf(l, hint, ret_form, err)
             : folder && hint[0] == '\0'          ? choose_folder(l, ret_form, err)
             : hint[0] != '\0'
                 ? ft_err_set(err, FT_ENOTFOUND, "no GGUF file here is called %.200s%s", hint,
                              folder ? "; without a file's name the whole repository is taken" : "")
                 : ft_err_set(err, FT_EUNSUPPORTED,
                              "no model that feitian reads is there: no .gguf file, and no "
                              "config.json with .safetensors");
    if (rc == 0)
        qsort(l->file, (size_t)l->n, sizeof l->file[0], by_path);
    return rc;
}

int ft_pull_choose_in_folder(struct ft_pull_list *l, enum ft_pull_form *ret_form,
                             struct ft_err *err)
{
    int first = -1, n = 0, parts = 0;
    for (int i = 0; i < l->n; i++)
        if (begins_model(l->file[i].path)) {
            first = i;
            n++;
        }
    for (int i = 0; i < l->n && first >= 0; i++)
        parts += same_model(l->file[i].path, l->file[first].path);
    /* A folder of anything may hold a GGUF file by chance: that is not taken unasked. */
    if (n > 0 && !(has(l, "config.json") && has(l, "*.safetensors")) && (n > 1 || parts < l->n))
        return ask_to_choose(l, "", "the folder is no model by itself; name a file of it", err);
    return ft_pull_choose(l, "", ret_form, err);
}

void ft_pull_name(const struct ft_pull_list *l, enum ft_pull_form form, const char *whole,
                  char ret[FT_PULL_NAME_MAX])
{
    const char *from = ft_pull_base(form == FT_PULL_FOLDER ? whole : l->file[0].path);
    size_t n = strlen(from), at = 0;
    if (form == FT_PULL_GGUF_SPLIT)
        n -= part_suffix(from);
    else if (form == FT_PULL_GGUF && ft_str_ends(from, ".gguf"))
        n -= strlen(".gguf");
    for (size_t i = 0; i < n && at + 1 < FT_PULL_NAME_MAX; i++) {
        char c = from[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (at > 0 || plain)
            ret[at++] = plain || c == '.' || c == '-' || c == '_' ? c : '-';
    }
    ret[at] = '\0';
    if (at == 0)
        strcpy(ret, "model");
}

int ft_pull_name_check(const char *name, struct ft_err *err)
{
    size_t n = strlen(name);
    bool first = (name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z') ||
                 (name[0] >= '0' && name[0] <= '9');
    if (first && n < FT_PULL_NAME_MAX &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n)
        return 0;
    return ft_err_set(err, FT_EINVAL,
                      "name '%.100s': letters, digits, '.', '-' and '_', beginning with a letter "
                      "or digit, at most %d",
                      name, FT_PULL_NAME_MAX - 1);
}
