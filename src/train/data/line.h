/* One line of data to token sequences, for those who want single lines; whole files are read by
 * ft_data_open(). */
#ifndef FT_TRAIN_DATA_LINE_H
#define FT_TRAIN_DATA_LINE_H

#include "base/buf.h"
#include "train/data/data.h"

/* Tokens in the making. */
struct ft_draft {
    int32_t *token;
    uint8_t *loss;
    size_t n, cap_loss;
};

/* What one line gives. */
struct ft_drafts {
    struct ft_draft *at; /* [n] */
    int n, cap;
    enum ft_data_form form; /* of the line; a text may be cut into pieces */
};

void ft_drafts_reset(struct ft_drafts *d); /* none left; keeps the array */
void ft_drafts_fini(struct ft_drafts *d);
/* Reads lines; holds what is the same for all. */
struct ft_line_reader {
    struct ft_data_config cfg;
    bool control_byte[256];                       /* begins the text of some control token */
    struct ft_buf context, whole, before, answer; /* of the turn being read */
};
void ft_line_reader_init(struct ft_line_reader *r, const struct ft_data_config *cfg);
void ft_line_reader_fini(struct ft_line_reader *r);

/* Members that are null are as if they were not there: takes them away, but for `except`. What is
 * no object stays as it is. */
void ft_line_drop_nulls(json_t *object, const char *except);

/* One line of JSONL (without its newline) to drafts, added to *ret: one or several samples, or the
 * two of a pair. FT_EINVAL and FT_ELIMIT are the line's fault, all other codes are not. */
int ft_line_read(struct ft_line_reader *r, const char *text, size_t n, struct ft_drafts *ret,
                 struct ft_err *err);

/* The same for a line that was read already; borrowed, but what is null in it goes. */
int ft_line_read_json(struct ft_line_reader *r, json_t *line, struct ft_drafts *ret,
                      struct ft_err *err);
/* The same for n bytes that are one text. */
int ft_line_read_text(struct ft_line_reader *r, const char *text, size_t n, struct ft_drafts *ret,
                      struct ft_err *err);

#endif
