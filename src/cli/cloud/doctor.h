/* The checks of `feitian doctor`, and where they say what they found. */
#ifndef FT_CLI_CLOUD_DOCTOR_H
#define FT_CLI_CLOUD_DOCTOR_H

#include <jansson.h>

#include "cli/cloud/home.h"

enum ft_doctor_level { FT_DOCTOR_OK, FT_DOCTOR_WARN, FT_DOCTOR_BAD };

struct ft_doctor {
    struct ft_home home;
    int running; /* a supervisor is: 1, 0 */
    struct ft_home_up up;
    char listen[256]; /* where it would listen */
    bool json;
    json_t *findings;
    int n[3];
};

/* One finding. mend: what to do about it; "" or, with OK, whatever: nothing. */
void ft_doctor_say(struct ft_doctor *d, enum ft_doctor_level level, const char *check,
                   const char *mend, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The folder, or the closest one above it that is there. */
void ft_doctor_existing(const char *path, char *ret, size_t n);

/* A file in the folder that has no name any more; -1: none can be made there (errno). */
int ft_doctor_probe(const char *folder);

typedef void ft_doctor_check(struct ft_doctor *d);

/* doctor_machine.c */
ft_doctor_check ft_doctor_processor, ft_doctor_memory, ft_doctor_disk, ft_doctor_limits,
    ft_doctor_sandbox, ft_doctor_clock;
/* doctor_cloud.c */
ft_doctor_check ft_doctor_home, ft_doctor_port, ft_doctor_cloud, ft_doctor_state, ft_doctor_sockets,
    ft_doctor_models;

#endif
