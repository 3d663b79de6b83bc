/* The checks of `feitian doctor` that are none of a running cloud's (monitor/checks.h has the
 * others), and where all of them say what they found. */
#ifndef FT_CLI_CLOUD_DOCTOR_H
#define FT_CLI_CLOUD_DOCTOR_H

#include <jansson.h>

#include "cli/cloud/up.h"
#include "monitor/checks.h"

struct ft_doctor {
    struct ft_home home;
    struct ft_checks checks; /* of that home, said by this doctor */
    int running;             /* a supervisor is: 1, 0 */
    struct ft_home_up up;
    char listen[256];          /* where it would listen */
    struct ft_up_options next; /* how; nothing where config.json makes no sense */
    bool json;
    json_t *findings;
    int n[3];
};

typedef void ft_doctor_check(struct ft_doctor *d);

/* doctor_cloud.c */
ft_doctor_check ft_doctor_port, ft_doctor_certificate, ft_doctor_cloud, ft_doctor_state,
    ft_doctor_sockets, ft_doctor_models;

#endif
