/* The store as a whole: its folder, lock, numbers and threads.
 *
 * Numbers (of data files, small objects, versions, uploads) rise for ever: the upper bits count how
 * often the folder was opened, which is on the disk before the first is given out, so none is given
 * twice whatever happened before. */
#include "blob/dir/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rand.h"
#include "blob/dir/calls.h"

#define EPOCH_SHIFT  40
#define EPOCH_MAX    ((int64_t)1 << 22)
#define FOLDER_SHIFT 12 /* files of one folder: 4096 */
#define ID_DIGITS    16
#define CHECK_DIGITS 8

int64_t ft_dir_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t ft_dir_id_next(struct ft_dir *d)
{
    pthread_mutex_lock(&d->id_mutex);
    int64_t id = d->epoch << EPOCH_SHIFT | ++d->id_next;
    pthread_mutex_unlock(&d->id_mutex);
    return id;
}

int64_t ft_dir_id_first(int64_t epoch)
{
    return epoch << EPOCH_SHIFT;
}

static void folder_name(int64_t id, char ret[FT_DIR_NAME_MAX])
{
    int64_t n = id & (((int64_t)1 << EPOCH_SHIFT) - 1);
    snprintf(ret, FT_DIR_NAME_MAX, "data/%06" PRIx64 "/%07" PRIx64, id >> EPOCH_SHIFT,
             n >> FOLDER_SHIFT);
}

void ft_dir_file_name(int64_t id, char ret[FT_DIR_NAME_MAX])
{
    folder_name(id, ret);
    size_t n = strlen(ret);
    snprintf(ret + n, FT_DIR_NAME_MAX - n, "/%016" PRIx64, id);
}

void ft_dir_file_folder(const struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX])
{
    char name[FT_DIR_NAME_MAX];
    folder_name(id, name);
    snprintf(ret, FT_DIR_PATH_MAX, "%.4000s/%s", d->path, name);
}

void ft_dir_file_path(const struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX])
{
    char name[FT_DIR_NAME_MAX];
    ft_dir_file_name(id, name);
    snprintf(ret, FT_DIR_PATH_MAX, "%.4000s/%s", d->path, name);
}

int ft_dir_file_place(struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX], struct ft_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&d->folder_mutex); /* nobody uses one whose name is not on the disk yet */
    if (d->folder_made == 0 || d->folder_made >> FOLDER_SHIFT != id >> FOLDER_SHIFT) {
        ft_dir_file_folder(d, id, ret);
        rc = ft_disk_folder(&d->disk, ret, err);
        if (rc == 0)
            d->folder_made = id;
    }
    pthread_mutex_unlock(&d->folder_mutex);
    if (rc == 0)
        ft_dir_file_path(d, id, ret);
    return rc;
}

static uint32_t check_of(const struct ft_dir *d, int64_t id)
{
    return (uint32_t)ft_rand_u64(d->secret, 0, (uint64_t)id);
}

void ft_dir_id_text(const struct ft_dir *d, int64_t id, char ret[FT_BLOB_VERSION_MAX + 1])
{
    snprintf(ret, FT_BLOB_VERSION_MAX + 1, "%016" PRIx64 "%08" PRIx32, id, check_of(d, id));
}

int64_t ft_dir_id_parse(const struct ft_dir *d, const char *text)
{
    char again[FT_BLOB_VERSION_MAX + 1];
    if (strlen(text) != ID_DIGITS + CHECK_DIGITS ||
        strspn(text, "0123456789abcdef") != ID_DIGITS + CHECK_DIGITS)
        return 0;
    char digits[ID_DIGITS + 1];
    memcpy(digits, text, ID_DIGITS);
    digits[ID_DIGITS] = '\0';
    int64_t id = (int64_t)strtoull(digits, NULL, 16);
    ft_dir_id_text(d, id, again);
    return id > 0 && strcmp(text, again) == 0 ? id : 0;
}

static int lock_take(struct ft_dir *d, struct ft_err *err)
{
    char path[FT_DIR_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/lock", d->path);
    d->lock_fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0660);
    if (d->lock_fd < 0)
        return ft_disk_err(err, "open", path);
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    int rc = errno == EWOULDBLOCK
                 ? ft_err_set(err, FT_EBUSY, "%s: another process has this store open", d->path)
                 : ft_disk_err(err, "lock", path);
    close(d->lock_fd);
    d->lock_fd = -1;
    return rc;
}

static int index_open(struct ft_dir *d, const char *vfs, struct ft_err *err)
{
    char path[FT_DIR_PATH_MAX + 16];
    struct stat st;
    snprintf(path, sizeof path, "%s/data", d->path);
    bool has_data = stat(path, &st) == 0;
    snprintf(path, sizeof path, "%s/index.db", d->path);
    bool has_index = stat(path, &st) == 0 && st.st_size > 0;
    if (has_data && !has_index)
        return ft_err_set(err, FT_ECORRUPT, "%s: data files are there, and no index.db", d->path);
    int rc = ft_index_open(&d->index, path, vfs, !has_index, &d->epoch, &d->secret, err);
    if (rc == 0 && (d->epoch <= 0 || d->epoch > EPOCH_MAX))
        rc = ft_err_set(err, FT_ECORRUPT, "%s: opened more often than can be", path);
    if (rc == 0 && !has_index) /* its name is on the disk before there is anything in it */
        rc = ft_disk_folder_sync(&d->disk, d->path, err);
    snprintf(path, sizeof path, "%s/data", d->path);
    if (rc == 0)
        rc = ft_disk_folder(&d->disk, path, err);
    return rc;
}

static void close_dir(struct ft_blob *b)
{
    struct ft_dir *d = ft_dir_of(b);
    ft_dir_sweep_stop(d);
    ft_dir_commit_stop(d);
    ft_digest_pool_close(&d->digests);
    ft_index_close(&d->index);
    close(d->lock_fd);
    pthread_mutex_destroy(&d->id_mutex);
    pthread_mutex_destroy(&d->folder_mutex);
    free(d);
}

static const struct ft_blob_ops dir_ops = {
    .name = "dir",
    .bucket_create = ft_dir_bucket_create,
    .bucket_delete = ft_dir_bucket_delete,
    .bucket_get = ft_dir_bucket_get,
    .bucket_list = ft_dir_bucket_list,
    .bucket_set_versioning = ft_dir_bucket_set_versioning,
    .bucket_set = ft_dir_bucket_set,
    .bucket_config = ft_dir_bucket_config,
    .put = ft_dir_put,
    .put_write = ft_dir_put_write,
    .put_commit = ft_dir_put_commit,
    .put_abort = ft_dir_put_abort,
    .copy = ft_dir_copy,
    .remove = ft_dir_remove,
    .annotate = ft_dir_annotate,
    .head = ft_dir_head,
    .open = ft_dir_open,
    .reader_info = ft_dir_reader_info,
    .read = ft_dir_read,
    .close_reader = ft_dir_close_reader,
    .link = ft_dir_link,
    .list = ft_dir_list,
    .upload_begin = ft_dir_upload_begin,
    .upload_get = ft_dir_upload_get,
    .upload_complete = ft_dir_upload_complete,
    .upload_abort = ft_dir_upload_abort,
    .upload_parts = ft_dir_upload_parts,
    .uploads = ft_dir_uploads,
    .part_of = ft_dir_part_of,
    .usage = ft_dir_usage,
    .bucket_usage = ft_dir_bucket_usage,
    .scrub = ft_dir_scrub,
    .hold = ft_dir_hold,
    .release = ft_dir_release,
    .close = close_dir,
};

int ft_blob_dir_open(const struct ft_blob_dir_config *config, struct ft_blob **ret,
                     struct ft_err *err)
{
    struct ft_dir *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a store");
    d->base.ops = &dir_ops;
    d->disk = config->disk;
    d->lock_fd = -1;
    pthread_mutex_init(&d->id_mutex, NULL);
    pthread_mutex_init(&d->folder_mutex, NULL);
    int rc = 0;
    if ((size_t)snprintf(d->path, sizeof d->path, "%s", config->path) > FT_DIR_PATH_MAX - 128)
        rc = ft_err_set(err, FT_EINVAL, "%.100s...: the path is too long", config->path);
    if (rc == 0)
        rc = ft_disk_folder(&d->disk, d->path, err);
    if (rc == 0)
        rc = lock_take(d, err);
    if (rc == 0)
        rc = index_open(d, config->vfs, err);
    if (rc == 0) {
        ft_dir_reserve_make(d);
        rc = ft_dir_commit_start(d, err);
    }
    if (rc == 0) {
        rc = ft_digest_pool_open(&d->digests, err);
        if (rc == 0) {
            rc = ft_dir_sweep_start(d, err);
            if (rc != 0)
                ft_digest_pool_close(&d->digests);
        }
        if (rc != 0)
            ft_dir_commit_stop(d);
    }
    if (rc != 0) {
        ft_index_close(&d->index);
        if (d->lock_fd >= 0)
            close(d->lock_fd);
        pthread_mutex_destroy(&d->id_mutex);
        pthread_mutex_destroy(&d->folder_mutex);
        free(d);
        return rc;
    }
    *ret = &d->base;
    return 0;
}
