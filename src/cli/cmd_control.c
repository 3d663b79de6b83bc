/* feitian control: the admin side of the cloud, a process of its own. `feitian up` starts it; by
 * hand it is for those who look for a fault. */
#include "cli/cli.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "control/control.h"
#include "sched/exec_local.h"
#include "sched/ready.h"

/* Who waits for a training asks for it. */
static void on_event(void *ctx, enum ft_exec_event event, const struct ft_exec_info *info)
{
    (void)ctx;
    (void)event;
    (void)info;
}

/* Trainings: in a folder of their own, so that they are found again. */
static int open_tasks(struct ft_control_options *o, struct ft_err *err)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/run", o->home);
    mkdir(dir, 0700); /* there already, as a rule */
    snprintf(dir, sizeof dir, "%s/run/tune", o->home);
    return ft_exec_local_open(dir, on_event, NULL, &o->exec, err);
}

int ft_cmd_control(int argc, char **argv)
{
    static const struct option options[] = {{"home", required_argument, NULL, 'h'},
                                            {"socket", required_argument, NULL, 's'},
                                            {"url", required_argument, NULL, 'u'},
                                            {0}};
    struct ft_control_options o = {.url = "http://127.0.0.1:7700"};
    struct ft_err err = {0};
    char self[PATH_MAX], path[PATH_MAX];
    for (int c; (c = ft_cli_getopt(argc, argv, "", options)) != -1;) {
        if (c != 'h' && c != 's' && c != 'u')
            return ft_cli_see_help("control");
        *(c == 'h' ? &o.home : c == 's' ? &o.socket : &o.url) = optarg;
    }
    if (o.home == NULL || optind != argc)
        return ft_cli_usage("control", "--home is needed, and nothing but options");
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    o.program = self;
    const char *look = getenv("FEITIAN_LOOK_S"); /* for tests, which do not wait for minutes */
    o.look_ms = look != NULL ? FT_MIN(FT_MAX(atoi(look), 0), 60) * 1000 : 0;
    ft_ready_take();
    o.end = ft_interrupt_catch();
    if (snprintf(path, sizeof path, "%s/state/state.db", o.home) >= (int)sizeof path)
        return ft_cli_usage("control", "--home is too long");
    int rc = ft_state_sqlite_open(path, ft_control_known(o.home), &o.state, &err);
    if (rc == 0)
        rc = open_tasks(&o, &err);
    if (rc == 0)
        rc = ft_control_run(&o, &err);
    ft_exec_close(o.exec);
    ft_state_close(o.state);
    return rc == 0 ? 0 : ft_cli_fail(1, &err, "control");
}
