/* A file of a form, straight into the store. Fields may come behind the file, as clients send them,
 * so what depends on them is looked at when all are there: nothing is visible before. */
#include <stdlib.h>
#include <string.h>

#include "api/files/inner.h"
#include "net/form.h"

#define AROUND_MAX ((int64_t)1 << 20) /* bytes of a form that are not its file's */

static int refuse(struct fl_intake *in, int status, const char *code, const char *param,
                  const char *why)
{
    ft_oai_error_set(&in->e, FT_EINVAL, code, param, "%s", why);
    in->e.status = status;
    in->failed = true;
    return FT_EINVAL;
}

/* The last part of a path, as browsers once sent them. */
static void take_name(struct fl_intake *in, const char *filename)
{
    const char *slash = strrchr(filename, '/'), *back = strrchr(filename, '\\');
    const char *name = slash != NULL ? slash + 1 : back != NULL ? back + 1 : filename;
    snprintf(in->info.name, sizeof in->info.name, "%s", fl_name_ok(name) ? name : "");
}

static int on_begin(void *ctx, const struct ft_form_part *p, struct ft_err *err)
{
    struct fl_intake *in = ctx;
    in->in_file = strcmp(p->name, in->file_field) == 0;
    in->n_text = 0;
    snprintf(in->field, sizeof in->field, "%s", p->name);
    if (!in->in_file) {
        bool known = in->wants_purpose && (strcmp(p->name, "purpose") == 0 ||
                                           strcmp(p->name, "expires_after[anchor]") == 0 ||
                                           strcmp(p->name, "expires_after[seconds]") == 0);
        if (known)
            return 0;
        char why[128];
        snprintf(why, sizeof why, "%.60s: unknown parameter", p->name);
        return refuse(in, 400, "unknown_parameter", in->field, why);
    }
    if (in->has_file)
        return refuse(in, 400, "invalid_value", in->file_field, "there is more than one file");
    in->has_file = true;
    take_name(in, p->filename != NULL ? p->filename : "");
    if (in->wants_purpose && in->info.name[0] == '\0')
        return refuse(in, 400, "invalid_value", "file", "file: needs a name of 1 to 255 bytes");
    int rc = fl_put(in->q, &in->name, &in->writer, err);
    in->of_store = rc != 0;
    return rc;
}

static int on_data(void *ctx, const void *data, size_t n, struct ft_err *err)
{
    struct fl_intake *in = ctx;
    if (!in->in_file) {
        if (n > sizeof in->text - 1 - in->n_text)
            return refuse(in, 400, "invalid_value", in->field, "the value is too long");
        memcpy(in->text + in->n_text, data, n);
        in->n_text += n;
        return 0;
    }
    in->info.bytes += (int64_t)n;
    if (in->info.bytes > in->bytes_max) {
        char why[100];
        snprintf(why, sizeof why, "%s: is larger than %lld MiB", in->file_field,
                 (long long)(in->bytes_max >> 20));
        return refuse(in, 413, "file_too_large", in->file_field, why);
    }
    if (in->q->room >= 0 && in->info.bytes > in->q->room)
        return refuse(in, 413, "storage_limit_exceeded", NULL,
                      "the project may not store that much more");
    ft_jsonl_feed(&in->jsonl, data, n);
    int rc = ft_blob_put_write(in->writer, data, n, err);
    in->of_store = rc != 0;
    return rc;
}

static int on_end(void *ctx, struct ft_err *err)
{
    struct fl_intake *in = ctx;
    (void)err;
    in->text[in->n_text] = '\0';
    if (in->in_file)
        return 0;
    if (strcmp(in->field, "purpose") == 0) {
        if (!fl_purpose_ok(in->text, in->q->inside))
            return refuse(in, 400, "invalid_value", "purpose",
                          "purpose: must be one of: assistants, batch, evals, fine-tune, "
                          "user_data, vision");
        snprintf(in->info.purpose, sizeof in->info.purpose, "%s", in->text);
    } else if (strcmp(in->field, "expires_after[anchor]") == 0) {
        in->has_anchor = strcmp(in->text, "created_at") == 0;
        if (!in->has_anchor)
            return refuse(in, 400, "invalid_value", "expires_after[anchor]",
                          "expires_after[anchor]: must be created_at");
    } else {
        char *end;
        in->expires_after_s = strtoll(in->text, &end, 10);
        if (in->n_text == 0 || *end != '\0' || in->expires_after_s < FT_FILES_EXPIRES_S_MIN ||
            in->expires_after_s > FT_FILES_EXPIRES_S_MAX)
            return refuse(in, 400, "invalid_value", "expires_after[seconds]",
                          "expires_after[seconds]: must be between 3600 and 2592000");
    }
    return 0;
}

/* All fields are there. */
static int check(struct fl_intake *in)
{
    struct ft_err err = {0};
    char why[FT_ERR_MSG_MAX + 64];
    if (!in->has_file) {
        snprintf(why, sizeof why, "%s: is missing", in->file_field);
        return refuse(in, 400, "missing_required_parameter", in->file_field, why);
    }
    if (!in->wants_purpose)
        return 0;
    if (in->info.purpose[0] == '\0')
        return refuse(in, 400, "missing_required_parameter", "purpose", "purpose: is missing");
    if (in->has_anchor != (in->expires_after_s > 0))
        return refuse(in, 400, "missing_required_parameter", "expires_after",
                      "expires_after: needs both anchor and seconds");
    bool batch = strcmp(in->info.purpose, "batch") == 0;
    if (batch && in->info.bytes > FT_FILES_BATCH_BYTES_MAX)
        return refuse(in, 413, "file_too_large", "file", "file: one for a batch may have 200 MiB");
    if (fl_purpose_is_jsonl(in->info.purpose) && ft_jsonl_end(&in->jsonl, &err) != 0) {
        snprintf(why, sizeof why, "file: must be JSON Lines, every line a JSON object: %s",
                 err.msg);
        return refuse(in, 400, "invalid_file_format", "file", why);
    }
    int64_t lasts = in->expires_after_s > 0 ? in->expires_after_s : batch ? FT_FILES_BATCH_S : 0;
    in->info.expires_s = lasts > 0 ? ft_oai_id_time(in->info.id) / 1000 + lasts : 0;
    return 0;
}

static void give_up(struct fl_intake *in, const struct ft_err *err)
{
    ft_blob_put_abort(in->writer);
    in->writer = NULL;
    if (!in->failed && err->code == FT_ELIMIT && !in->of_store) { /* the form's, not the store's */
        char why[FT_ERR_MSG_MAX + 64];
        snprintf(why, sizeof why, "%s: %s", in->file_field, err->msg);
        refuse(in, 400, "invalid_value", in->file_field, why);
    }
    if (in->failed) {
        fl_fail(in->q, &in->e);
    } else if (err->code == FT_EINVAL) {
        ft_oai_error_from(&in->e, err);
        fl_fail(in->q, &in->e);
    } else {
        fl_fail_store(in->q, err);
    }
}

bool fl_take(struct fl_intake *in)
{
    static const struct ft_form_ops ops = {on_begin, on_data, on_end};
    struct ft_err err = {0};
    struct ft_form *form = NULL;
    int64_t n = 0, all = 0;
    char *chunk = malloc(FT_FILES_CHUNK);
    ft_oai_error_init(&in->e);
    ft_jsonl_init(&in->jsonl);
    int rc = chunk != NULL ? ft_form_open(in->q->content_type, &ops, in, &form, &err)
                           : ft_err_set(&err, FT_ENOMEM, "out of memory");
    while (rc == 0 && (n = in->q->io->read(in->q->ctx, chunk, FT_FILES_CHUNK, &err)) > 0) {
        all += n;
        rc = all <= in->bytes_max + AROUND_MAX
                 ? ft_form_feed(form, chunk, (size_t)n, &err)
                 : refuse(in, 413, "body_too_large", NULL, "the form has too much around its file");
    }
    if (rc == 0 && n == FT_ELIMIT)
        rc = refuse(in, 413, "storage_limit_exceeded", NULL, err.msg);
    else if (rc == 0 && n < 0)
        rc = (int)n;
    if (rc == 0)
        rc = ft_form_end(form, &err);
    if (rc == 0)
        rc = check(in);
    ft_form_close(form);
    free(chunk);
    if (rc != 0)
        give_up(in, &err);
    return rc == 0;
}

void fl_create(const struct ft_files_request *q)
{
    struct fl_intake in = {.q = q,
                           .file_field = "file",
                           .wants_purpose = true,
                           .bytes_max = q->inside ? FT_FILES_UPLOAD_MAX : FT_FILES_BYTES_MAX};
    struct ft_err err = {0};
    char *id = in.info.id;
    if (q->id != NULL && ft_oai_id_is(q->id, FILES_FILE)) {
        snprintf(id, sizeof in.info.id, "%s", q->id);
    } else if (q->id != NULL) {
        fl_bad(q, "invalid_value", "id", "id: is none of a file");
        return;
    } else if (ft_oai_id_new(FILES_FILE, q->now_ms, id, &err) != 0) {
        fl_fail_store(q, &err);
        return;
    }
    fl_name_content(q->project, id, &in.name);
    if (!fl_take(&in))
        return;
    if (fl_publish(q, in.writer, &in.info, &err) == 0)
        fl_answer(q, fl_object(&in.info));
    else
        fl_fail_store(q, &err);
}
