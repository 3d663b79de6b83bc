/* What every holder of an adapter needs, however it came by it. */
#include "model/adapter/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

float ft_adapter_scale(float alpha, int rank, bool is_rslora)
{
    return (float)((double)alpha / (is_rslora ? sqrt((double)rank) : (double)rank));
}

void ft_adapter_close(struct ft_adapter *a)
{
    if (a == NULL)
        return;
    for (int i = 0; i < a->n; i++) {
        free(a->pair[i].a);
        free(a->pair[i].b);
    }
    free(a->pair);
    free(a);
}

const struct ft_adapter_pair *ft_adapter_find(const struct ft_adapter *a, const char *tensor)
{
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->pair[i].tensor, tensor) == 0)
            return &a->pair[i];
    return NULL;
}
