/* Reading all files of a set: lines one by one, bad ones collected, samples kept. */
#include "train/data/data.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/utf8.h"
#include "train/data/impl.h"
#include "train/data/lines.h"

#define PROGRESS_BYTES ((int64_t)4 << 20)
/* Of a sample beside its tokens: its struct, and what allocations are rounded up by. */
#define OVERHEAD_BYTES 128

struct ft_data_store {
    struct ft_arena arena; /* of the samples' tokens and losses */
};

struct reader {
    struct ft_line_reader line;
    struct ft_drafts drafts;
    struct ft_data *d;
    int cap; /* of d->sample */
    struct ft_data_report *report;
    const char *const *path;
    int32_t file;
    int64_t line_no;
    int64_t done, all, told; /* bytes, for progress */
};

void ft_data_config_init(struct ft_data_config *cfg)
{
    *cfg = (struct ft_data_config){.max_len = 1024};
}

void ft_data_close(struct ft_data *d)
{
    if (d == NULL)
        return;
    ft_arena_fini(&d->store->arena);
    free(d->store);
    free(d->sample);
    free(d);
}

/* ---- samples ---- */

static int64_t max_tokens(const struct reader *r)
{
    int64_t n = r->line.cfg.max_tokens;
    return n > 0 && n < FT_DATA_TOKENS_MAX ? n : FT_DATA_TOKENS_MAX;
}

static int keep(struct reader *r, const int32_t *token, const uint8_t *loss, int n,
                struct ft_err *err)
{
    struct ft_data *d = r->d;
    if (d->n >= FT_DATA_SAMPLES_MAX)
        return ft_err_set(err, FT_ENOMEM, "more than %d samples", FT_DATA_SAMPLES_MAX);
    if (d->tokens + n > max_tokens(r))
        return ft_err_set(err, FT_ENOMEM, "more than %lld tokens", (long long)max_tokens(r));
    if (d->n == r->cap) {
        int cap = r->cap == 0 ? 1024 : r->cap * 2;
        struct ft_sample *p = realloc(d->sample, (size_t)cap * sizeof *p);
        if (p == NULL)
            return ft_err_set(err, FT_ENOMEM, "%d samples: no memory", cap);
        d->sample = p;
        r->cap = cap;
    }
    struct ft_sample s = {
        .n = n, .form = r->drafts.form, .group = d->n_groups, .file = r->file, .line = r->line_no};
    s.token = ft_arena_array(&d->store->arena, (size_t)n, sizeof *s.token);
    s.loss = ft_arena_array(&d->store->arena, (size_t)n, 1);
    if (s.token == NULL || s.loss == NULL)
        return ft_err_set(err, FT_ENOMEM, "%lld tokens: no memory", (long long)d->tokens + n);
    memcpy(s.token, token, (size_t)n * sizeof *token);
    memcpy(s.loss, loss, (size_t)n);
    s.loss[0] = 0; /* nothing is before it */
    for (int i = 0; i < n; i++)
        s.n_target += s.loss[i];
    d->tokens += n;
    d->targets += s.n_target;
    d->sample[d->n++] = s;
    return 0;
}

static bool has_target(const struct ft_draft *d, int n)
{
    return n > 1 && memchr(d->loss + 1, 1, (size_t)n - 1) != NULL;
}

/* A text in pieces. Each begins with the last token of the one before, so that every token but the
 * first is a target once. */
static int keep_text(struct reader *r, const struct ft_draft *t, struct ft_err *err)
{
    int len = r->line.cfg.max_len;
    if (t->n < 2)
        return ft_err_set(err, FT_EINVAL, "a text of one token has nothing to learn");
    for (size_t at = 0; at + 1 < t->n; at += (size_t)len - 1) {
        int rc = keep(r, t->token + at, t->loss + at, (int)FT_MIN((size_t)len, t->n - at), err);
        if (rc != 0)
            return rc;
        r->d->n_groups++;
    }
    return 0;
}

/* The drafts of one line, by the policy for long ones. Of a pair both are kept, or none. */
static int keep_drafts(struct reader *r, struct ft_err *err)
{
    const struct ft_data_config *cfg = &r->line.cfg;
    int step = cfg->kind == FT_DATA_PREFERENCE ? 2 : 1, n_before = r->d->n;
    if (r->drafts.form == FT_DATA_TEXT)
        return keep_text(r, &r->drafts.at[0], err);
    for (int i = 0; i < r->drafts.n && cfg->too_long == FT_TOO_LONG_ERROR; i++)
        if (r->drafts.at[i].n > (size_t)cfg->max_len)
            return ft_err_set(err, FT_EINVAL, "%zu tokens, more than the sequence length of %d",
                              r->drafts.at[i].n, cfg->max_len);
    for (int i = 0; i < r->drafts.n; i += step) {
        bool drop = false;
        int n[2] = {0}, n_cut = 0;
        for (int k = 0; k < step; k++) {
            const struct ft_draft *d = &r->drafts.at[i + k];
            bool cut = d->n > (size_t)cfg->max_len;
            n[k] = cut ? cfg->max_len : (int)d->n;
            n_cut += cut;
            drop |= (cut && cfg->too_long == FT_TOO_LONG_DROP) || !has_target(d, n[k]);
        }
        r->report->dropped += drop ? step : 0;
        r->report->truncated += drop ? 0 : n_cut;
        for (int k = 0; k < step && !drop; k++) {
            const struct ft_draft *d = &r->drafts.at[i + k];
            int rc = keep(r, d->token, d->loss, n[k], err);
            if (rc != 0)
                return rc;
        }
    }
    r->d->n_groups += r->d->n > n_before;
    return 0;
}

/* ---- lines ---- */

/* Notes a bad line, or gives back what is no line's fault. */
static int note(struct reader *r, int rc, struct ft_err *err)
{
    if (rc == 0)
        return 0;
    if (rc != FT_EINVAL && rc != FT_ELIMIT)
        return ft_err_wrap(err, "%s:%lld", ft_lines_name(r->path[r->file]), (long long)r->line_no);
    struct ft_data_report *p = r->report;
    p->bad++;
    if (p->n_told < FT_DATA_BAD_MAX) {
        struct ft_data_bad *b = &p->told[p->n_told++];
        *b = (struct ft_data_bad){.file = r->file, .line = r->line_no};
        memcpy(b->msg, err->msg, sizeof b->msg);
    }
    return 0;
}

static int tell_progress(struct reader *r, struct ft_err *err)
{
    const struct ft_data_config *cfg = &r->line.cfg;
    if (cfg->progress == NULL || (r->done - r->told < PROGRESS_BYTES && r->done < r->all))
        return 0;
    r->told = r->done;
    return cfg->progress(cfg->ctx, r->done, FT_MAX(r->all, r->done)) == 0
               ? 0
               : ft_err_set(err, FT_ECANCELED, "stopped while reading");
}

static int take_line(void *ctx, int64_t line, const char *p, size_t n, struct ft_err *err)
{
    struct reader *r = ctx;
    r->line_no = line;
    r->report->lines++;
    r->done += (int64_t)n + 1;
    ft_drafts_reset(&r->drafts);
    int rc = p != NULL ? ft_line_read(&r->line, p, n, &r->drafts, err)
                       : ft_err_set(err, FT_ELIMIT, "longer than %u bytes", FT_LINES_BYTES_MAX);
    rc = note(r, rc != 0 ? rc : keep_drafts(r, err), err);
    return rc != 0 ? rc : tell_progress(r, err);
}

/* ---- whole files ---- */

static int encode_file(struct reader *r, const struct ft_map *map, struct ft_err *err)
{
    const char *p = (const char *)map->data;
    if (map->bytes == 0)
        return ft_err_set(err, FT_EINVAL, "empty");
    if (map->bytes > FT_DATA_TEXT_MAX)
        return ft_err_set(err, FT_ELIMIT, "longer than %u bytes", FT_DATA_TEXT_MAX);
    size_t valid = ft_utf8_valid_len(p, map->bytes);
    for (size_t i = 0; i < valid; i++)
        r->line_no += p[i] == '\n';
    if (valid < map->bytes) {
        r->line_no++;
        return ft_err_set(err, FT_EINVAL, "byte %zu is not UTF-8", valid + 1);
    }
    r->line_no = 0;
    ft_drafts_reset(&r->drafts);
    size_t mark = ft_utf8_mark_len(p, map->bytes);
    int rc = ft_line_read_text(&r->line, p + mark, map->bytes - mark, &r->drafts, err);
    return rc != 0 ? rc : keep_drafts(r, err);
}

static int read_text_file(struct reader *r, const char *path, struct ft_err *err)
{
    struct ft_map map = {0};
    int rc = ft_map_open(path, &map, err);
    if (rc != 0)
        return rc;
    r->report->lines++;
    rc = note(r, encode_file(r, &map, err), err);
    r->done += (int64_t)map.bytes;
    ft_map_close(&map);
    return rc != 0 ? rc : tell_progress(r, err);
}

/* ---- all files ---- */

static int check(const struct ft_data_config *cfg, const char *const *path, int n,
                 struct ft_err *err)
{
    bool pairs = cfg->form == FT_DATA_PAIR || cfg->form == FT_DATA_PAIR_OPENAI;
    if (n < 1 || n > FT_DATA_FILES_MAX)
        return ft_err_set(err, FT_EINVAL, "%d data files are not from 1 to %d", n,
                          FT_DATA_FILES_MAX);
    if (cfg->max_len < 2 || cfg->max_len > FT_DATA_LEN_MAX)
        return ft_err_set(err, FT_EINVAL, "a sequence length of %d is not from 2 to %d",
                          cfg->max_len, FT_DATA_LEN_MAX);
    if (cfg->form != FT_DATA_AUTO && pairs != (cfg->kind == FT_DATA_PREFERENCE))
        return ft_err_set(err, FT_EINVAL, "form: that is %s",
                          pairs ? "for preference pairs only" : "not one of preference pairs");
    for (int i = 0; i < n; i++)
        if (ft_str_ends(path[i], ".txt") && cfg->kind == FT_DATA_PREFERENCE)
            return ft_err_set(err, FT_EINVAL, "%s: a text has no preference pairs", path[i]);
    return 0;
}

static int64_t bytes_of(const char *const *path, int n)
{
    int64_t all = 0;
    struct stat st;
    for (int i = 0; i < n; i++)
        if (strcmp(path[i], "-") != 0 && stat(path[i], &st) == 0 && S_ISREG(st.st_mode))
            all += st.st_size;
    return all;
}

static int finish(struct reader *r, struct ft_err *err)
{
    const struct ft_data_report *p = r->report;
    const struct ft_data_bad *b = &p->told[0];
    const char *name = p->bad > 0 ? ft_lines_name(r->path[b->file]) : "";
    char more[64] = "";
    if (p->bad > 1)
        snprintf(more, sizeof more, " (and %lld more bad line%s)", (long long)p->bad - 1,
                 p->bad == 2 ? "" : "s");
    if (p->bad > 0 && b->line > 0)
        return ft_err_set(err, FT_EINVAL, "%s:%lld: %s%s", name, (long long)b->line, b->msg, more);
    if (p->bad > 0)
        return ft_err_set(err, FT_EINVAL, "%s: %s%s", name, b->msg, more);
    if (r->d->n == 0 && p->dropped > 0)
        return ft_err_set(err, FT_EINVAL, "no sample is left: %lld were dropped",
                          (long long)p->dropped);
    return 0;
}

static int read_all(struct reader *r, int n_paths, struct ft_err *err)
{
    int rc = 0;
    for (int i = 0; i < n_paths && rc == 0; i++) {
        int64_t lines = r->report->lines;
        r->file = i;
        r->line_no = 0;
        rc = ft_str_ends(r->path[i], ".txt") ? read_text_file(r, r->path[i], err)
                                             : ft_lines_read(r->path[i], take_line, r, err);
        if (rc == 0 && r->report->lines == lines)
            rc = ft_err_set(err, FT_EINVAL, "%s: the data is empty", ft_lines_name(r->path[i]));
    }
    r->report->samples = r->d->n;
    r->report->tokens = r->d->tokens;
    r->report->targets = r->d->targets;
    return rc != 0 ? rc : finish(r, err);
}

int ft_data_open(const struct ft_data_config *cfg, const char *const *path, int n_paths,
                 struct ft_data **ret_d, struct ft_data_report *report, struct ft_err *err)
{
    int rc = check(cfg, path, n_paths, err);
    if (rc != 0)
        return rc;
    struct reader r = {.path = path, .all = bytes_of(path, n_paths)};
    r.d = calloc(1, sizeof *r.d);
    r.report = calloc(1, sizeof *r.report);
    struct ft_data_store *store = calloc(1, sizeof *store);
    if (r.d == NULL || r.report == NULL || store == NULL) {
        free(store);
        free(r.report);
        free(r.d);
        return ft_err_set(err, FT_ENOMEM, "data: no memory");
    }
    r.d->store = store;
    r.d->kind = cfg->kind;
    r.d->max_len = cfg->max_len;
    ft_line_reader_init(&r.line, cfg);
    ft_arena_init(&store->arena, (size_t)max_tokens(&r) * (sizeof(int32_t) + 1) +
                                     (size_t)FT_DATA_SAMPLES_MAX * OVERHEAD_BYTES);
    rc = read_all(&r, n_paths, err);
    ft_line_reader_fini(&r.line);
    ft_drafts_fini(&r.drafts);
    if (report != NULL)
        *report = *r.report;
    free(r.report);
    if (rc != 0)
        ft_data_close(r.d);
    else
        *ret_d = r.d;
    return rc;
}
