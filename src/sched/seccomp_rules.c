/* A list of what is allowed; all else fails with EPERM, and what only an attacker calls ends the
 * process. Arguments are looked at where they decide: flags of open, whom a signal goes to, what is
 * made by clone. Pointers cannot be looked into, so calls that hide their arguments behind one
 * (clone3, openat2) are answered as by a kernel that has none. */
#include "sched/seccomp_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

static const int ALLOWED[] = {
    /* open files; those to write are open already */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwritev),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(sendfile),
    SCMP_SYS(fadvise64),
    SCMP_SYS(readahead),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(getdents64),
    SCMP_SYS(flock),
    /* names; Landlock has the word on which can be opened */
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    /* memory; mmap and mprotect are below */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mincore),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(munlock),
    SCMP_SYS(membarrier),
    SCMP_SYS(get_mempolicy),
    /* threads and waiting; clone is below */
    SCMP_SYS(futex),
    SCMP_SYS(futex_waitv),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(gettid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_get_priority_min),
    SCMP_SYS(sched_get_priority_max),
    SCMP_SYS(getcpu),
    SCMP_SYS(getpriority),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(eventfd2),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    SCMP_SYS(signalfd4),
    /* clocks, own signals, what one is */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(times),
    SCMP_SYS(getitimer),
    SCMP_SYS(setitimer),
    SCMP_SYS(alarm),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(pause),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getresuid),
    SCMP_SYS(getresgid),
    SCMP_SYS(getpgrp),
    SCMP_SYS(getpgid),
    SCMP_SYS(getsid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrlimit),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(capget),
    SCMP_SYS(arch_prctl),
    /* sockets that are there, and those they accept; none is made, bound or connected */
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(listen),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
};

static const int DEADLY[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(syslog),
    SCMP_SYS(vhangup),
};

/* fcntl: not F_SETOWN and F_SETSIG, which have signals sent to others */
static const int FCNTL[] = {F_GETFL,      F_SETFL,         F_GETFD,     F_SETFD,     F_DUPFD,
                            F_GETLK,      F_SETLK,         F_SETLKW,    F_OFD_GETLK, F_OFD_SETLK,
                            F_OFD_SETLKW, F_DUPFD_CLOEXEC, F_GET_SEALS, F_ADD_SEALS};
/* ioctl: above all not TIOCSTI, which types into a terminal */
static const unsigned IOCTL[] = {0x5401 /* TCGETS: isatty() */, FIONBIO, FIONREAD, FIOCLEX};
static const int PRCTL[] = {PR_SET_NAME,       PR_GET_NAME,     PR_SET_VMA,     PR_SET_TIMERSLACK,
                            PR_GET_TIMERSLACK, PR_GET_DUMPABLE, PR_GET_SECCOMP, PR_CAPBSET_READ};

/* with `writes`, beside open and openat whatever their flags */
static const int WRITING[] = {
    SCMP_SYS(open),  SCMP_SYS(openat),   SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir), SCMP_SYS(unlink),   SCMP_SYS(unlinkat),  SCMP_SYS(rename),
    SCMP_SYS(umask), SCMP_SYS(renameat), SCMP_SYS(renameat2),
};

/* open for reading alone */
#define OPEN_WRITES ((uint64_t)(O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY)))
/* clone of a thread, in no namespace of its own */
#define CLONE_IS_THREAD ((uint64_t)(CLONE_VM | CLONE_THREAD | CLONE_SIGHAND))
#define CLONE_NEW                                                                                  \
    ((uint64_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |      \
                CLONE_NEWPID | CLONE_NEWNET))

static int add_values(scmp_filter_ctx f, int call, unsigned arg, const int *value, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1,
                              SCMP_CMP32(arg, SCMP_CMP_EQ, (unsigned)value[i]));
    return rc;
}

static int add_if_masked(scmp_filter_ctx f, int call, unsigned arg, uint64_t mask, uint64_t value)
{
    return seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1,
                            SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value));
}

static int add_memory(scmp_filter_ctx f, bool exec_memory)
{
    const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(pkey_mprotect)};
    int rc = 0;
    for (size_t i = 0; i < FT_COUNT(calls) && rc == 0; i++)
        rc = add_if_masked(f, calls[i], 2, exec_memory ? 0 : PROT_EXEC, 0);
    return rc;
}

static int add_conditional(scmp_filter_ctx f, bool exec_memory, bool writes)
{
    const int self = (int)getpid();
    int rc = add_memory(f, exec_memory);
    for (size_t i = 0; i < FT_COUNT(WRITING) && rc == 0 && writes; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, WRITING[i], 0);
    if (rc == 0 && !writes)
        rc = add_if_masked(f, SCMP_SYS(open), 1, OPEN_WRITES, 0);
    if (rc == 0 && !writes)
        rc = add_if_masked(f, SCMP_SYS(openat), 2, OPEN_WRITES, 0);
    if (rc == 0)
        rc = add_if_masked(f, SCMP_SYS(clone), 0, CLONE_IS_THREAD | CLONE_NEW, CLONE_IS_THREAD);
    if (rc == 0)
        rc = add_values(f, SCMP_SYS(fcntl), 1, FCNTL, FT_COUNT(FCNTL));
    if (rc == 0)
        rc = add_values(f, SCMP_SYS(ioctl), 1, (const int *)IOCTL, FT_COUNT(IOCTL));
    if (rc == 0)
        rc = add_values(f, SCMP_SYS(prctl), 0, PRCTL, FT_COUNT(PRCTL));
    if (rc == 0) /* raise() and abort() */
        rc = add_values(f, SCMP_SYS(tgkill), 0, &self, 1);
    if (rc == 0)
        rc = add_values(f, SCMP_SYS(kill), 0, &self, 1);
    if (rc == 0) /* own limits, read only */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_A0_32(SCMP_CMP_EQ, 0),
                              SCMP_A2(SCMP_CMP_EQ, 0));
    if (rc == 0) /* connected sockets only */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_EQ, 0));
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
    return rc;
}

static int build(scmp_filter_ctx f, bool exec_memory, bool writes)
{
    int rc = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list; where it can */
    for (size_t i = 0; i < FT_COUNT(ALLOWED) && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, ALLOWED[i], 0);
    for (size_t i = 0; i < FT_COUNT(DEADLY) && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, DEADLY[i], 0);
    return rc == 0 ? add_conditional(f, exec_memory, writes) : rc;
}

int ft_seccomp_load(bool exec_memory, bool writes, struct ft_err *err)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (f == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "system calls cannot be filtered here");
    int rc = build(f, exec_memory, writes);
    int e = 0;
    if (rc != 0)
        e = ft_err_set(err, FT_EINTERNAL, "filter of system calls: %s", strerror(-rc));
    else if ((rc = seccomp_load(f)) != 0)
        e = ft_err_set(err, FT_EUNSUPPORTED, "system calls cannot be filtered: %s", strerror(-rc));
    seccomp_release(f);
    return e;
}
