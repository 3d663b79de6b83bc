/* A store that was restored into another folder than it was copied from: rows name files of the
 * cloud's folder by their whole path. */
#include <stdlib.h>
#include <string.h>

#include "control/inner.h"

struct move {
    const char *from, *to;
    struct ft_state_tx *tx;
};

static int move_model(void *ctx, const char *id, json_t *body)
{
    const struct move *m = ctx;
    const char *path = ft_ctl_text(body, "path");
    size_t n = strlen(m->from);
    if (path == NULL || strncmp(path, m->from, n) != 0 || path[n] != '/')
        return 0;
    json_object_set_new(body, "path", json_sprintf("%s%s", m->to, path + n));
    char *text = json_dumps(body, JSON_COMPACT);
    if (text == NULL)
        return FT_ENOMEM;
    int rc = ft_state_exec(m->tx, "UPDATE entity SET body = $1 WHERE kind = 'model' AND id = $2",
                           FT_ARGS(ft_sql_text(text), ft_sql_text(id)), NULL, NULL);
    free(text);
    return rc;
}

static int move_all(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct move *m = ctx;
    const struct ft_ctl_scan models = {.kind = "model"};
    m->tx = tx;
    int rc = ft_ctl_scan(tx, &models, move_model, m, err);
    if (rc != 0 && err->code == FT_OK)
        ft_err_set(err, rc, "models cannot be told where they are now");
    return rc;
}

int ft_control_rehome(struct ft_state *s, const char *from, const char *to, struct ft_err *err)
{
    struct move m = {.from = from, .to = to};
    return ft_state_tx(s, move_all, &m, err);
}
