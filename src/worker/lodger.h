/* Lodgers: the names that requests call, each a model or an adapter of one, and what answering
 * needs of it beside the engine. Any thread. */
#ifndef FT_WORKER_LODGER_H
#define FT_WORKER_LODGER_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine/core/engine.h"
#include "model/chat/parse.h"
#include "model/prompt/prompt.h"

#define FT_LODGERS_MAX (FT_ENGINE_MODELS_MAX + FT_ENGINE_ADAPTERS_MAX)

/* Shared by a model and its adapters; immutable. */
struct ft_lodger_model {
    atomic_int ref;
    const struct ft_model_source *source; /* its tokenizer is never NULL */
    struct ft_prompter *prompter;         /* NULL: the model has no chat template */
    enum ft_dialect dialect, dialect_tools;
    bool thinks;                 /* its template speaks of <think> */
    struct ft_sampling sampling; /* what the file recommends, else neutral */
};

struct ft_lodger {
    atomic_int ref;
    struct ft_lodger_model *m;
    char name[FT_ENGINE_ID_MAX];
    char base[FT_ENGINE_ID_MAX];    /* the model's name */
    char adapter[FT_ENGINE_ID_MAX]; /* empty: the model alone */
    char *path;
    int n_ctx; /* as asked; 0: as trained */
    int64_t created;
};

struct ft_lodgers {
    struct ft_engine *engine;
    pthread_mutex_t lock;
    struct ft_lodger **all; /* [cap] */
    int n, cap;
};

int ft_lodgers_init(struct ft_lodgers *l, struct ft_engine *engine, struct ft_err *err);
/* Nobody else may use it any more; models stay in the engine. */
void ft_lodgers_fini(struct ft_lodgers *l);

/* Opens the files on the calling thread. The same name with the same path again is no failure;
 * FT_EEXIST with another. */
int ft_lodgers_add_model(struct ft_lodgers *l, const char *name, const char *path, int n_ctx,
                         struct ft_err *err);
int ft_lodgers_add_adapter(struct ft_lodgers *l, const char *name, const char *model,
                           const char *path, struct ft_err *err);
/* Its requests are cancelled; a model's adapters go with it. FT_ENOTFOUND. */
int ft_lodgers_remove(struct ft_lodgers *l, const char *name, bool adapter, struct ft_err *err);

struct ft_lodger *ft_lodgers_get(struct ft_lodgers *l, const char *name); /* NULL: none */
void ft_lodger_unref(struct ft_lodger *l);                                /* NULL is accepted */

/* As ft_oai_write_models() takes them: a new array. */
json_t *ft_lodgers_list(struct ft_lodgers *l);

/* Appends {"name","path","n_ctx"} of each model, {"name","path","model"} of each adapter. */
void ft_lodgers_describe(struct ft_lodgers *l, json_t *models, json_t *adapters);

#endif
