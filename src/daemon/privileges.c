/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* "nobody": the kernel's own overflow user, who owns nothing. */
#define NOBODY 65534u

#define HELPER_DESCRIPTORS 32u

static uint64_t bit(unsigned capability)
{
    return UINT64_C(1) << capability;
}

static int error_of(long result)
{
    return result < 0 ? -errno : 0;
}

/* ---- capabilities ---- */

static int get_capabilities(uint64_t *ret_effective, uint64_t *ret_permitted)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    *ret_effective = (uint64_t)data[1].effective << 32 | data[0].effective;
    *ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    return 0;
}

static int set_capabilities(uint64_t effective, uint64_t permitted)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)effective, .permitted = (uint32_t)permitted},
        {.effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(permitted >> 32)},
    };
    return error_of(syscall(SYS_capset, &head, data));
}

bool privileges_filter_packets(void)
{
    uint64_t effective = 0, permitted = 0;
    return get_capabilities(&effective, &permitted) == 0 && (effective & bit(CAP_NET_ADMIN));
}

bool privileges_load_programs(void)
{
    uint64_t effective = 0, permitted = 0;
    return get_capabilities(&effective, &permitted) == 0 && (effective & bit(CAP_BPF));
}

bool privileges_be_anybody(void)
{
    uint64_t effective = 0, permitted = 0;
    return get_capabilities(&effective, &permitted) == 0 && (effective & bit(CAP_NET_RAW));
}

/* Removes rights that executing a program could give back. Dropping from the bounding set takes CAP_SETPCAP: a process
 * without it is not root, and "no new privileges" has the same effect for it. */
static void drop_for_ever(uint64_t set)
{
    for (unsigned c = 0; c < 64; c++)
        if (set & bit(c))
            (void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* ---- alone ---- */

static int close_all_but(int keep)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return -errno;
    if (keep != 3 && dup2(keep, 3) < 0)
        return -errno;
    return error_of(close_range(4, ~0u, 0));
}

int privileges_be_alone(pid_t parent, int keep)
{
    const struct rlimit none = {0, 0}, few = {HELPER_DESCRIPTORS, HELPER_DESCRIPTORS};
    (void)prctl(PR_SET_NAME, "weir-kernel", 0, 0, 0);
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
    int error = close_all_but(keep);
    if (!error && setrlimit(RLIMIT_NOFILE, &few) < 0)
        error = -errno;
    if (!error && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        error = -errno;
    if (!error && getppid() != parent)
        error = -ESRCH; /* it has died before the signal was asked for */
    return error;
}

/* ---- confined ---- */

/* In a user namespace without such a user the helper keeps its user id; its capabilities are dropped all the same. */
static int become_nobody(void)
{
    if (geteuid() != 0)
        return 0;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    if (setgroups(0, NULL) < 0 && errno != EPERM)
        return -errno;
    if ((setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0) && errno != EINVAL)
        return -errno;
    return 0;
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE

#define LOAD(field)              BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define JUMP_EQ(k, yes, no)      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (yes), (no))
#define JUMP_ANY_BIT(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (k), (yes), (no))
#define RETURN(what)             BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE                   RETURN(SECCOMP_RET_ERRNO | EPERM)
#define NO_CALL                  0x3fffffffu
#define REFUSE_CALL(name)        JUMP_EQ(SYS_##name, 0, 1), REFUSE

/* Refuses the calls that a hijacked helper would want next, and that libnftables, the C library and the sanitizers
 * never make. A list of all allowed calls would break with their next version. */
static int filter_calls(bool programs)
{
    const struct sock_filter program[] = {
        LOAD(arch),
        JUMP_EQ(ARCHITECTURE, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
#ifdef __x86_64__
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* the x32 numbers */
        RETURN(SECCOMP_RET_KILL_PROCESS),
        REFUSE_CALL(fork),
        REFUSE_CALL(vfork),
        REFUSE_CALL(open),
        REFUSE_CALL(creat),
        REFUSE_CALL(rename),
        REFUSE_CALL(unlink),
#endif
        REFUSE_CALL(execve),
        REFUSE_CALL(execveat),
        REFUSE_CALL(clone),
        REFUSE_CALL(clone3),
        REFUSE_CALL(ptrace),
        REFUSE_CALL(process_vm_readv),
        REFUSE_CALL(process_vm_writev),
        REFUSE_CALL(kill),
        REFUSE_CALL(unlinkat),
        REFUSE_CALL(renameat),
        REFUSE_CALL(renameat2),
        REFUSE_CALL(openat2),
        REFUSE_CALL(mount),
        REFUSE_CALL(umount2),
        REFUSE_CALL(pivot_root),
        REFUSE_CALL(chroot),
        REFUSE_CALL(setns),
        REFUSE_CALL(unshare),
        JUMP_EQ(programs ? NO_CALL : SYS_bpf, 0, 1),
        REFUSE,
        REFUSE_CALL(perf_event_open),
        REFUSE_CALL(init_module),
        REFUSE_CALL(finit_module),
        REFUSE_CALL(delete_module),
        REFUSE_CALL(kexec_load),
        REFUSE_CALL(keyctl),
        REFUSE_CALL(add_key),
        REFUSE_CALL(request_key),
        REFUSE_CALL(setuid),
        REFUSE_CALL(setresuid),
        REFUSE_CALL(capset),
        REFUSE_CALL(io_uring_setup),
        /* Sockets other than netlink sockets. */
        JUMP_EQ(SYS_socket, 0, 4),
        LOAD(args[0]),
        JUMP_EQ(AF_NETLINK, 1, 0),
        REFUSE,
        RETURN(SECCOMP_RET_ALLOW),
        /* Opening files for writing. */
        JUMP_EQ(SYS_openat, 0, 3),
        LOAD(args[2]),
        JUMP_ANY_BIT(O_ACCMODE | O_CREAT | O_TRUNC, 0, 1),
        REFUSE,
        RETURN(SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog all = {.len = ARRAY_LEN(program), .filter = (struct sock_filter *)program};
    return error_of(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all, 0, 0));
}

#else

/* There is no table of its system calls: there the helper is confined by its one capability and its one socket. */
static int filter_calls(bool programs)
{
    return 0;
}

#endif

int privileges_confine(bool programs)
{
    const uint64_t kept = bit(CAP_NET_ADMIN) | (programs ? bit(CAP_BPF) : 0);
    uint64_t effective, permitted;
    drop_for_ever(~kept); /* a different user could not do this any more */
    int error = become_nobody();
    if (!error)
        error = get_capabilities(&effective, &permitted);
    if (!error)
        error = set_capabilities(permitted & kept, permitted & kept);
    /* Changing the user has changed whether it can be traced, and has cleared the signal of the parent's death. */
    if (!error && (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0))
        error = -errno;
    if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        error = -errno;
    return error ? error : filter_calls(programs);
}

/* ---- the main process ---- */

#ifdef ARCHITECTURE

/* CAP_NET_RAW without raw sockets: what remains is connecting from another address. */
static int refuse_raw_sockets(void)
{
    const struct sock_filter program[] = {
        LOAD(arch),
        JUMP_EQ(ARCHITECTURE, 1, 0),
        REFUSE,
        LOAD(nr),
#ifdef __x86_64__
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* the x32 numbers */
        REFUSE,
#endif
        REFUSE_CALL(io_uring_setup),
        JUMP_EQ(SYS_socket, 1, 0),
        RETURN(SECCOMP_RET_ALLOW),
        LOAD(args[0]),
        JUMP_EQ(AF_PACKET, 4, 0),
        JUMP_EQ(AF_NETLINK, 6, 0), /* name lookups use these */
        LOAD(args[1]),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf), /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_RAW, 0, 1),
        REFUSE,
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_PACKET, 0, 1),
        REFUSE,
        RETURN(SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog all = {.len = ARRAY_LEN(program), .filter = (struct sock_filter *)program};
    return error_of(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all, 0, 0));
}

#else

static int refuse_raw_sockets(void)
{
    return 0;
}

#endif

int privileges_give_up(bool keep_raw)
{
    const uint64_t lost = bit(CAP_NET_ADMIN) | bit(CAP_NET_RAW) | bit(CAP_SYS_ADMIN) | bit(CAP_SYS_MODULE) |
                          bit(CAP_SYS_PTRACE) | bit(CAP_SYS_RAWIO) | bit(CAP_BPF) | bit(CAP_PERFMON) | bit(CAP_SETPCAP);
    const uint64_t kept = keep_raw ? bit(CAP_NET_RAW) : 0;
    uint64_t effective, permitted;
    drop_for_ever(lost);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    int error = get_capabilities(&effective, &permitted);
    if (!error)
        error = set_capabilities((effective & ~lost) | (effective & kept), (permitted & ~lost) | (permitted & kept));
    return error || !keep_raw ? error : refuse_raw_sockets();
}
