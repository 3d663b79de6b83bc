/* feitian doctor: looks at the machine and at a cloud's folder, and says what to mend. Changes
 * nothing. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cloud/doctor.h"
#include "cli/cloud/show.h"
#include "cli/cloud/up.h"

/* Those of the machine and the folder. */
static ft_check *const machine[] = {
    ft_check_processor, ft_check_memory,  ft_check_home,  ft_check_disk,
    ft_check_limits,    ft_check_sandbox, ft_check_clock,
};

static ft_doctor_check *const cloud[] = {
    ft_doctor_port,  ft_doctor_certificate, ft_doctor_cloud,
    ft_doctor_state, ft_doctor_sockets,     ft_doctor_models,
};

static void say(void *ctx, enum ft_check_level level, const char *check, const char *mend,
                const char *text)
{
    static const char *const color[] = {"\033[32m", "\033[33m", "\033[31m"};
    struct ft_doctor *d = ctx;
    const char *word = ft_check_level_name[level];
    d->n[level]++;
    if (d->json) {
        json_array_append_new(d->findings, json_pack("{s:s,s:s,s:s,s:s}", "check", check, "level",
                                                     word, "message", text, "mend", mend));
        return;
    }
    bool tty = isatty(STDOUT_FILENO) == 1;
    printf("%s%-5s%s%-11s ", tty ? color[level] : "", word, tty ? "\033[0m" : "", check);
    ft_cli_put_plain(stdout, text);
    putchar('\n');
    if (mend[0] != '\0')
        printf("     %-11s %s\n", "", mend);
    fflush(stdout);
}

/* Where it would listen, and how: as the next `up` does. */
static void find_listen(struct ft_doctor *d)
{
    struct ft_err err = {0};
    snprintf(d->listen, sizeof d->listen, "%s", FT_UP_LISTEN);
    if (ft_up_options_next(d->home.path, &d->next, &err) == 0)
        snprintf(d->listen, sizeof d->listen, "%s", d->next.listen);
    else
        ft_check_say(&d->checks, FT_CHECK_BAD, "config", "mend the file, or take it away", "%s",
                     err.msg);
}

int ft_cmd_doctor(int argc, char **argv)
{
    struct ft_doctor d = {0};
    bool machine_only = false;
    const char *given = NULL, *request = NULL;
    const struct ft_opt opts[] = {{"home", 0, FT_OPT_TEXT, &given, 0, 0},
                                  {"machine", 0, FT_OPT_FLAG, &machine_only, 0, 0},
                                  {"request", 0, FT_OPT_TEXT, &request, 0, 0},
                                  {"json", 0, FT_OPT_FLAG, &d.json, 0, 0}};
    struct ft_err err = {0};
    char **args;
    int rc = ft_opts_parse("doctor", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &args);
    if (rc != 0)
        return rc;
    if (request != NULL) { /* one request is explained by the cloud itself */
        char *words[5] = {argv[0], (char *)request};
        int n = 2;
        if (d.json)
            words[n++] = "--json";
        if (given != NULL) {
            words[n++] = "--home";
            words[n++] = (char *)given;
        }
        return ft_cmd_explain(n, words);
    }
    if (ft_home_find(given, &d.home, &err) != 0)
        return ft_cli_fail(2, &err, "doctor");
    d.findings = json_array();
    d.checks = (struct ft_checks){.home = d.home.path, .say = say, .ctx = &d};
    for (size_t i = 0; i < FT_COUNT(machine); i++)
        machine[i](&d.checks);
    if (!machine_only) {
        d.running = ft_home_running(&d.home, &d.up, &err) == 1;
        find_listen(&d);
    }
    for (size_t i = 0; !machine_only && i < FT_COUNT(cloud); i++)
        cloud[i](&d);
    if (d.json)
        ft_show_json(json_pack("{s:s,s:O}", "state",
                               d.n[FT_CHECK_BAD] > 0    ? "bad"
                               : d.n[FT_CHECK_WARN] > 0 ? "warn"
                                                        : "ok",
                               "findings", d.findings));
    else
        printf("\n%d ok, %d to note, %d to fix\n", d.n[FT_CHECK_OK], d.n[FT_CHECK_WARN],
               d.n[FT_CHECK_BAD]);
    json_decref(d.findings);
    ft_up_options_fini(&d.next);
    return d.n[FT_CHECK_BAD] > 0 ? 1 : 0;
}
