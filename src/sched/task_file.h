/* DIR/ID/task.json: a task written down, so that a later owner finds it. */
#ifndef FT_SCHED_TASK_FILE_H
#define FT_SCHED_TASK_FILE_H

#include "sched/cgroup.h"
#include "sched/exec.h"
#include "sched/proc.h"

#define FT_TASK_PATH_MAX 4096 /* of any path in it, with the NUL */

struct ft_task_file {
    char id[FT_EXEC_ID_MAX];
    char note[FT_EXEC_NOTE_MAX];
    char boot[FT_PROC_BOOT_MAX];
    char limits[FT_EXEC_LIMITS_MAX];
    char log[FT_TASK_PATH_MAX]; /* "": none */
    int64_t log_bytes;
    int64_t pid;
    uint64_t start_ticks;
    int64_t started_ns;
    bool outlives, ready;
    struct ft_cgroup group;
};

/* DIR/ID must exist. */
int ft_task_file_write(const char *dir, const struct ft_task_file *file, struct ft_err *err);
/* FT_ENOTFOUND, FT_ECORRUPT. */
int ft_task_file_read(const char *dir, const char *id, struct ft_task_file *ret_file,
                      struct ft_err *err);
/* DIR/ID with all that is in it. */
void ft_task_folder_remove(const char *dir, const char *id);

#endif
