/* The terminal's side of a conversation, on libedit's readline. Signals: SIGINT is noted, and wakes
 * whoever waits for a key. */
#include "cli/talk.h"

#include <editline/readline.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <wchar.h>

#include "base/buf.h"
#include "cli/table.h"

#define QUOTED_MAX (64u << 20) /* bytes of a text of several lines */
#define DIM        "\033[2m"
#define PLAIN      "\033[0m"

static atomic_int interrupted;
static int wake = -1; /* an eventfd: readable once interrupted */

static void on_sigint(int sig)
{
    uint64_t one = 1;
    int before = errno;
    (void)sig;
    interrupted = 1;
    if (write(wake, &one, sizeof one) < 0)
        errno = before; /* full: it wakes already */
}

void ft_talk_catch(void)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    struct sigaction sa = {.sa_handler = on_sigint};
    wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    sigaction(SIGINT, &sa, NULL);
}

const atomic_int *ft_talk_interrupted(void)
{
    return &interrupted;
}

static void drain(void)
{
    uint64_t count;
    if (read(wake, &count, sizeof count) < 0)
        return; /* nothing was in it */
}

void ft_talk_clear(void)
{
    interrupted = 0;
    drain();
}

/* ---- the answer ---- */

void ft_answer_begin(struct ft_answer_view *v)
{
    int columns, rows;
    ft_terminal_size(STDOUT_FILENO, &columns, &rows);
    *v = (struct ft_answer_view){.color = isatty(STDOUT_FILENO) == 1};
    ft_wrap_init(&v->wrap, stdout, columns);
}

static void put(struct ft_answer_view *v, const char *text, size_t n)
{
    if (v->color)
        ft_wrap_add(&v->wrap, text, n);
    else /* as it came: a program may read it */
        fwrite(text, 1, n, stdout);
}

void ft_answer_add(struct ft_answer_view *v, bool reasoning, const char *text, size_t n)
{
    if (reasoning) {
        if (v->color && !v->in_reasoning)
            fputs(DIM, stdout);
        v->in_reasoning = true;
    } else {
        if (v->in_reasoning && !v->in_content)
            put(v, "\n", 1);
        if (v->in_reasoning && !v->in_content && v->color)
            fputs(PLAIN, stdout);
        v->in_content = true;
    }
    put(v, text, n);
    fflush(stdout);
}

void ft_answer_end(struct ft_answer_view *v, bool failed)
{
    ft_wrap_flush(&v->wrap);
    if (v->color && v->in_reasoning && !v->in_content)
        fputs(PLAIN, stdout);
    if (!failed || v->in_reasoning || v->in_content)
        printf("\n");
    fflush(stdout);
}

/* ---- the conversation ---- */

static const char help_text[] =
    "/reset        forget the conversation\n"
    "/system TEXT  set the system message and forget the rest\n"
    "/exit         leave (also Ctrl-D); Ctrl-C cuts an answer or a line short\n"
    "\"\"\"           begins and ends a text of several lines\n";

/* Reads on until a line that ends the quoted text; malloc'ed. Ctrl-C: NULL. */
static char *read_quoted(const char *first)
{
    struct ft_buf b;
    ft_buf_init(&b, QUOTED_MAX);
    ft_buf_add_str(&b, first + 3);
    for (;;) {
        char *line = readline("... ");
        if (line == NULL)
            break;
        char *end = strstr(line, "\"\"\"");
        ft_buf_add_byte(&b, '\n');
        ft_buf_add(&b, line, end != NULL ? (size_t)(end - line) : strlen(line));
        free(line);
        if (end != NULL)
            break;
    }
    if (interrupted)
        ft_buf_fini(&b);
    return b.data;
}

/* A line that begins with '/'. Returns false to leave. */
static bool command(const struct ft_talk_ops *ops, void *ctx, const char *line)
{
    struct ft_err err = {0};
    int rc = FT_ENOTFOUND;
    if (strcmp(line, "/exit") == 0 || strcmp(line, "/bye") == 0 || strcmp(line, "/quit") == 0)
        return false;
    if (strcmp(line, "/reset") == 0) {
        ops->reset(ctx);
        rc = 0;
    } else if (strncmp(line, "/system ", 8) == 0) {
        rc = ops->set_system(ctx, line + 8, &err);
    } else if (ops->command != NULL) {
        rc = ops->command(ctx, line, &err);
    }
    if (strcmp(line, "/help") == 0 || strcmp(line, "/?") == 0)
        printf("%s%s", ops->help, help_text);
    else if (rc == FT_ENOTFOUND && err.msg[0] == '\0')
        fprintf(stderr, "there is no command %s; /help lists them\n", line);
    else if (rc != 0)
        fprintf(stderr, "%s\n", err.msg);
    return true;
}

/* Waits until there is something to read or SIGINT has come, before or while waiting and on
 * whichever thread. false: interrupted, or the terminal is gone. */
static bool await_input(int fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = wake, .events = POLLIN}};
    while (!interrupted) {
        if (poll(p, 2, -1) > 0 && p[0].revents != 0)
            return !interrupted;
        drain(); /* a handler on another thread may have written late */
    }
    return false;
}

/* libedit goes on reading after a first Ctrl-C, with the terminal left as it found it, so what is
 * typed then arrives late or never. Reading for it, we can end the line there. */
static int read_char(FILE *in)
{
    mbstate_t state = {0};
    for (;;) {
        char byte;
        wchar_t wide;
        ssize_t n = await_input(fileno(in)) ? read(fileno(in), &byte, 1) : -1;
        if (n < 0 && errno == EINTR && !interrupted)
            continue;
        if (n != 1)
            return -1;
        size_t used = mbrtowc(&wide, &byte, 1, &state);
        if (used <= 1)
            return (int)wide;
        if (used == (size_t)-1)
            state = (mbstate_t){0}; /* not a character: left out */
    }
}

/* As readline(); Ctrl-C gives up the line and asks again. NULL: the end. */
static char *next_line(const char *prompt)
{
    for (;;) {
        ft_talk_clear();
        char *line = readline(prompt);
        if (line != NULL || !interrupted)
            return line;
        printf("\n");
    }
}

void ft_talk(const char *name, const struct ft_talk_ops *ops, void *ctx)
{
    printf("Ask away; /help says more, /exit leaves.\n");
    using_history();
    rl_getc_function = read_char;
    for (bool go_on = true; go_on;) {
        char *line = next_line(">>> ");
        if (line == NULL)
            break;
        if (line[0] != '\0')
            add_history(line);
        struct ft_err err = {0};
        if (strncmp(line, "\"\"\"", 3) == 0) {
            char *whole = read_quoted(line);
            free(line);
            line = whole;
        }
        if (line == NULL && !interrupted)
            break;
        if (line == NULL) {
            printf("\n");
            continue;
        }
        if (line[0] == '/')
            go_on = command(ops, ctx, line);
        else if (line[0] != '\0' && ops->ask(ctx, line, strlen(line), &err) != 0)
            fprintf(stderr, "feitian %s: %s\n", name, err.msg);
        free(line);
    }
}
