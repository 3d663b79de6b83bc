/* Typed without echo. The terminal is read key by key meanwhile, and its signals are off, so that
 * it is as it was whatever is pressed. */
#include "cli/cloud/password.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define CTRL_C    3
#define CTRL_D    4
#define CTRL_U    21
#define BACKSPACE 8
#define DELETE    127

static int canceled(struct ft_err *err)
{
    return ft_err_set(err, FT_ECANCELED, "no password was given");
}

static int too_long(struct ft_err *err)
{
    return ft_err_set(err, FT_EINVAL, "the password has more than 256 bytes");
}

/* One line without its end, from a terminal in raw mode or from a pipe. */
static int read_line(bool keys, char ret[FT_PASSWORD_BYTES], struct ft_err *err)
{
    size_t n = 0;
    for (;;) {
        unsigned char c;
        ssize_t got = read(STDIN_FILENO, &c, 1);
        if (got < 0)
            return ft_err_sys(err, "read the password");
        if (got == 0 && (keys || n == 0))
            return canceled(err);
        if (got == 0 || c == '\n' || (keys && c == '\r'))
            break;
        if (keys && (c == CTRL_C || c == CTRL_D))
            return canceled(err);
        if (keys && c == CTRL_U) {
            n = 0;
        } else if (keys && (c == BACKSPACE || c == DELETE)) {
            while (n > 0 && ((unsigned char)ret[--n] & 0xc0) == 0x80)
                ; /* a whole character */
        } else if (n + 1 < FT_PASSWORD_BYTES) {
            ret[n++] = (char)c;
        } else {
            return too_long(err);
        }
    }
    if (!keys && n > 0 && ret[n - 1] == '\r')
        n--;
    ret[n] = '\0';
    return n > 0 ? 0 : canceled(err);
}

static int ask(const char *what, char ret[FT_PASSWORD_BYTES], struct ft_err *err)
{
    struct termios was, raw;
    fprintf(stderr, "%s: ", what);
    fflush(stderr);
    if (tcgetattr(STDIN_FILENO, &was) != 0)
        return ft_err_sys(err, "the terminal");
    raw = was;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    int rc = read_line(true, ret, err);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
    fputc('\n', stderr);
    return rc;
}

int ft_password_read(const char *what, char ret[FT_PASSWORD_BYTES], struct ft_err *err)
{
    char again[FT_PASSWORD_BYTES];
    if (!isatty(STDIN_FILENO))
        return read_line(false, ret, err);
    int rc = ask(what, ret, err);
    if (rc == 0)
        rc = ask("once more", again, err);
    if (rc == 0 && strcmp(ret, again) != 0)
        rc = ft_err_set(err, FT_EINVAL, "these were two different ones; nothing is changed");
    explicit_bzero(again, sizeof again);
    return rc;
}
