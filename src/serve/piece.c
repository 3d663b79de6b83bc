/* Names of how answers end. */
#include "serve/piece.h"

#include <string.h>

static const char *const finish_names[FT_ANSWER_FINISHES] = {
    [FT_ANSWER_STOP] = "stop",
    [FT_ANSWER_LENGTH] = "length",
    [FT_ANSWER_CALLS] = "tool_calls",
    [FT_ANSWER_FILTERED] = "content_filter",
};

const char *ft_answer_finish_name(enum ft_answer_finish f)
{
    FT_ASSERT((unsigned)f < FT_ANSWER_FINISHES);
    return finish_names[f];
}

bool ft_answer_finish_parse(const char *name, enum ft_answer_finish *ret)
{
    for (int i = 0; i < FT_ANSWER_FINISHES; i++)
        if (strcmp(name, finish_names[i]) == 0) {
            *ret = (enum ft_answer_finish)i;
            return true;
        }
    return false;
}
