/* The form of a backup: members (files with names) and what holds them together, in a folder or in
 * one tar, written and read as a stream with bounded memory.
 *
 * The first member is BACKUP (JSON: what this is), the last MANIFEST: the SHA-256 of every other
 * one, in their order, in the form that `sha256sum -c` reads, and its own. A backup without it, or
 * of which anything is missing, more or changed, is none: reading it ends with FT_ECORRUPT.
 *
 * It appears whole or not at all: until ft_backup_commit it stands beside its place as
 * "DEST.partial-PID". (A stream has no place: what is cut off has no MANIFEST.)
 *
 * Not thread-safe. */
#ifndef FT_BACKUP_BACKUP_H
#define FT_BACKUP_BACKUP_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"

#define FT_BACKUP_FORMAT    1
#define FT_BACKUP_NAME_MAX  4096    /* bytes of a member's name, with the NUL */
#define FT_BACKUP_LINKS_MAX 1000000 /* files with several names that are told as such */

/* What goes on, for whoever shows it. */
struct ft_backup_watch {
    const atomic_int *interrupt;             /* not 0: FT_ECANCELED; may be NULL */
    void (*moved)(void *ctx, int64_t bytes); /* so many more; may be NULL */
    void (*fault)(void *ctx, const char *name, const char *what); /* reading; may be NULL */
    void *ctx;
};

/* ---- writing ---- */

struct ft_backup_out;

/* dest: "-" is a tar on standard output, "*.tar" a tar, anything else a folder that is not there
 * yet. earlier (may be NULL, folders alone): another backup; files that are the same in it (name,
 * size, time) are linked, not copied, nor read: their hashes are those of its manifest, whose seal
 * is checked (FT_ECORRUPT). watch outlives it. */
int ft_backup_create(const char *dest, const char *earlier, const struct ft_backup_watch *watch,
                     struct ft_backup_out **ret, struct ft_err *err);
/* A member of these bytes. */
int ft_backup_put(struct ft_backup_out *o, const char *name, const void *data, size_t n,
                  struct ft_err *err);
/* A member of what fd holds from its start, as long as it is now; name, time and rights as of the
 * file. linkable: it may be told as another name of a member that is the same file. */
int ft_backup_file(struct ft_backup_out *o, const char *name, int fd, bool linkable,
                   struct ft_err *err);
int ft_backup_symlink(struct ft_backup_out *o, const char *name, const char *target,
                      struct ft_err *err);

struct ft_backup_sum {
    int64_t files, bytes, linked_bytes; /* linked: of an earlier backup, or within this one */
};
/* Everything is on the disk, and has its name. Frees it, whatever comes. */
int ft_backup_commit(struct ft_backup_out *o, struct ft_backup_sum *ret, struct ft_err *err);
void ft_backup_abort(struct ft_backup_out *o); /* NULL is accepted */

/* ---- reading ---- */

struct ft_backup_in;

enum ft_backup_kind {
    FT_BACKUP_FILE,
    FT_BACKUP_LINK,   /* another name of member `target`, which came before */
    FT_BACKUP_SYMLINK /* to `target` */
};
struct ft_backup_member {
    const char *name, *target; /* valid until the next call; names never lead out of a folder */
    enum ft_backup_kind kind;
    int64_t bytes;
    mode_t mode;
    struct timespec mtime;
};

/* src: "-", a tar (compressed ones too) or a folder. */
int ft_backup_open(const char *src, const struct ft_backup_watch *watch, struct ft_backup_in **ret,
                   struct ft_err *err);
/* What BACKUP says; borrowed. */
const json_t *ft_backup_info(const struct ft_backup_in *in);
/* About how many bytes there are to read; 0: nobody knows. */
int64_t ft_backup_bytes(const struct ft_backup_in *in);
/* 1: the next member (what was not read of the last one is); 0: that was all, and all of it is as
 * it was written. FT_ECORRUPT: it is not; every fault was told. BACKUP and MANIFEST are not among
 * the members. */
int ft_backup_next(struct ft_backup_in *in, struct ft_backup_member *ret, struct ft_err *err);
/* Bytes of the member: > 0, 0 at its end. */
int64_t ft_backup_read(struct ft_backup_in *in, void *data, size_t n, struct ft_err *err);
void ft_backup_close(struct ft_backup_in *in); /* NULL is accepted */

#endif
