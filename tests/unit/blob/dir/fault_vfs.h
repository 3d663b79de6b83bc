/* A VFS for SQLite that passes everything on to the system's, unless a fault is due. */
#ifndef FT_TEST_BLOB_DIR_FAULT_VFS_H
#define FT_TEST_BLOB_DIR_FAULT_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

enum vfs_op { VFS_READ, VFS_WRITE, VFS_SYNC };
/* SQLite's result in the place of the call, or 0. */
static int (*vfs_fault)(enum vfs_op op);

struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* in the bytes behind */
};

#define REAL(f) (((struct fault_file *)(f))->real)

static inline int ff_close(sqlite3_file *f)
{
    return REAL(f)->pMethods->xClose(REAL(f));
}
static inline int ff_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    int rc = vfs_fault(VFS_READ);
    return rc != 0 ? rc : REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}
static inline int ff_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    int rc = vfs_fault(VFS_WRITE);
    if (rc == 0)
        return REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
    if (n > 1) /* torn */
        REAL(f)->pMethods->xWrite(REAL(f), p, n / 2, at);
    return rc;
}
static inline int ff_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return REAL(f)->pMethods->xTruncate(REAL(f), n);
}
static inline int ff_sync(sqlite3_file *f, int flags)
{
    int rc = vfs_fault(VFS_SYNC);
    return rc != 0 ? rc : REAL(f)->pMethods->xSync(REAL(f), flags);
}
static inline int ff_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return REAL(f)->pMethods->xFileSize(REAL(f), n);
}
static inline int ff_lock(sqlite3_file *f, int how)
{
    return REAL(f)->pMethods->xLock(REAL(f), how);
}
static inline int ff_unlock(sqlite3_file *f, int how)
{
    return REAL(f)->pMethods->xUnlock(REAL(f), how);
}
static inline int ff_reserved(sqlite3_file *f, int *ret)
{
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret);
}
static inline int ff_control(sqlite3_file *f, int op, void *arg)
{
    return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static inline int ff_sector(sqlite3_file *f)
{
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static inline int ff_device(sqlite3_file *f)
{
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}
static inline int ff_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, ret);
}
static inline int ff_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}
static inline void ff_shm_barrier(sqlite3_file *f)
{
    REAL(f)->pMethods->xShmBarrier(REAL(f));
}
static inline int ff_shm_unmap(sqlite3_file *f, int remove)
{
    return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

static const sqlite3_io_methods fault_methods = {
    2,           ff_close,       ff_read,      ff_write,   ff_truncate, ff_sync,   ff_size,
    ff_lock,     ff_unlock,      ff_reserved,  ff_control, ff_sector,   ff_device, ff_shm_map,
    ff_shm_lock, ff_shm_barrier, ff_shm_unmap, NULL,       NULL};

static inline int fault_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret)
{
    sqlite3_vfs *real = v->pAppData;
    struct fault_file *ff = (struct fault_file *)f;
    ff->real = (sqlite3_file *)(ff + 1);
    ff->base.pMethods = NULL;
    int rc = real->xOpen(real, name, ff->real, flags, ret);
    if (rc == SQLITE_OK)
        ff->base.pMethods = &fault_methods;
    return rc;
}

/* Registers it as "faults". */
static inline void fault_vfs_register(int (*fault)(enum vfs_op op))
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    vfs_fault = fault;
    if (vfs.zName != NULL)
        return;
    vfs = *real;
    vfs.zName = "faults";
    vfs.pNext = NULL;
    vfs.pAppData = real;
    vfs.szOsFile = (int)sizeof(struct fault_file) + real->szOsFile;
    vfs.xOpen = fault_open;
    sqlite3_vfs_register(&vfs, 0);
}

#endif
