/* Between write.c (streams) and answer.c (answers given whole). */
#ifndef FT_API_OPENAI_ANSWER_H
#define FT_API_OPENAI_ANSWER_H

#include "api/openai/writer.h"

int ft_oai_answer_open(const struct ft_oai_writer_config *cfg, const struct ft_oai_request *q,
                       struct ft_oai_writer **ret);
/* {"id":..,"object":..,"created":..,"model":.. */
void ft_oai_answer_head(struct ft_buf *out, const struct ft_oai_writer_config *cfg,
                        enum ft_task_kind kind, const char *object);
void ft_oai_answer_fail(struct ft_oai_writer *w, const struct ft_oai_error *e, struct ft_buf *out);

/* list.c: what the worker found, in the client's form. */
void ft_oai_list_write(struct ft_buf *out, const struct ft_oai_writer_config *cfg,
                       enum ft_task_kind kind, bool base64, const json_t *result,
                       const struct ft_answer_usage *usage);

#endif
