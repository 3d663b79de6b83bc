/* Requests to the admin API, as an operator and as others: first line "METHOD PATH?QUERY ROLE",
 * then the body. On a store in memory that keeps what earlier inputs made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/inner.h"
#include "ledger/store.h"

#define LINE_MAX_BYTES 1024

static struct ft_control_options opt = {.url = "http://here", .program = "/bin/false"};
static struct ft_ctl ctl = {.opt = &opt};

static void clean_up(void)
{
    char path[4200];
    static const char *const files[] = {"/credentials.json", "/state.id", ""};
    ft_state_close(ctl.state);
    json_decref(ctl.doc);
    for (size_t i = 0; i < FT_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s%s", ctl.home, files[i]);
        remove(path);
    }
}

static void start(void)
{
    struct ft_err err;
    ft_log_set_level(FT_LOG_ERROR);
    strcpy(ctl.home, "/tmp/ft_fuzz_XXXXXX");
    ctl.doc = json_loadb(ft_ctl_openapi, (size_t)(ft_ctl_openapi_end - ft_ctl_openapi), 0, NULL);
    if (ctl.doc == NULL || mkdtemp(ctl.home) == NULL ||
        ft_state_memory_open(&ctl.state, &err) != 0 || ft_ctl_store_migrate(ctl.state, &err) != 0 ||
        ft_usage_migrate(ctl.state, &err) != 0 || ft_ctl_bootstrap(&ctl, &err) != 0)
        abort();
    atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[LINE_MAX_BYTES], *save;
    const uint8_t *newline = memchr(data, '\n', size);
    size_t n = newline != NULL ? (size_t)(newline - data) : size;
    if (ctl.doc == NULL)
        start();
    if (n >= sizeof line)
        return 0;
    memcpy(line, data, n);
    line[n] = '\0';
    char *method = strtok_r(line, " ", &save), *path = strtok_r(NULL, " ", &save);
    char *role = strtok_r(NULL, " ", &save);
    if (role == NULL)
        return 0;
    char *query = strchr(path, '?');
    if (query != NULL)
        *query++ = '\0';
    char *body = newline != NULL ? strndup((const char *)newline + 1, size - n - 1) : strdup("");
    struct ft_ctl_call c = {.ctl = &ctl,
                            .method = method,
                            .path = path,
                            .query = query != NULL ? query : "",
                            .text = body,
                            .n_text = strlen(body),
                            .role = ft_ctl_role_of(role),
                            .project = "default"};
    if (ft_ctl_call_begin(&c) && c.route->before != NULL)
        c.route->before(&c);
    ft_ctl_call_run(&c);
    if (c.refused && ft_oai_error_status(&c.error) == 500)
        abort(); /* whatever comes in, it is no fault of ours */
    ft_ctl_call_fini(&c);
    free(body);
    return 0;
}
