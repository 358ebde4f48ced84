/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The functions of the C library that are replaced in a program under `weir run`. Each calls the next of its name, so
 * that other preload objects stay in force, and then does what setting, moved and lookup are for.
 */
#include "preload/caller.h"
#include "preload/lookup.h"
#include "preload/lookup_table.h"
#include "preload/lookup_unix.h"
#include "preload/moved.h"
#include "preload/zmq_hwm.h"
#include "preload/zmq_sockets.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Listeners that one close_range() closes and that are reported at once; Weir sees the end of others within a second.
 */
#define RANGE_MOST 64u

#define PUBLIC __attribute__((visibility("default")))

/* What stands behind a replaced function. Looked up once; twice at the same time gives the same. */
typedef void any_function(void);

static any_function *next_of(_Atomic(any_function *) *place, const char *name)
{
    any_function *f = atomic_load_explicit(place, memory_order_acquire);
    if (f)
        return f;
    *(void **)&f = dlsym(RTLD_NEXT, name);
    atomic_store_explicit(place, f, memory_order_release);
    return f;
}

/* Declares `next`, the function behind this one. */
#define NEXT(name)                                                                                                     \
    static _Atomic(any_function *) place;                                                                              \
    __typeof__(&name) next = (__typeof__(&name))next_of(&place, #name);                                                \
    if (!next) {                                                                                                       \
        errno = ENOSYS;                                                                                                \
        return -1;                                                                                                     \
    }

__attribute__((constructor)) static void begin(void)
{
    setting_get();
}

/* ---- which sockets ---- */

static bool is_stream_of_unix(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* Whether the socket that `fd` is belongs behind a gate. It listens on *ret_port; 0: it is a Unix socket. */
static bool is_wanted(const struct setting *s, int fd, const void *caller, uint16_t *ret_port)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(int);
    int type = 0, before = errno;
    const struct sockaddr *sa = (const struct sockaddr *)&at;
    bool named = lookup_name(SYS_getsockname, fd, &at) && !moved_is(fd, sa);
    *ret_port = 0;
    if (named && sa->sa_family == AF_UNIX) {
        named = s->ipc && is_stream_of_unix(fd) && caller_is_libzmq(caller);
        errno = before;
        return named;
    }
    bool wanted = named && (sa->sa_family == AF_INET || sa->sa_family == AF_INET6);
    wanted = wanted && getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &type, &len) == 0 && type == IPPROTO_TCP;
    *ret_port = wanted ? run_port_of(sa) : 0;
    wanted =
        wanted && !setting_names(s, -(int32_t)*ret_port) && (setting_names(s, *ret_port) || caller_is_libzmq(caller));
    errno = before;
    return wanted;
}

/* ---- the functions ---- */

PUBLIC int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    NEXT(bind)
    int result = next(fd, addr, len);
    const struct setting *s = result < 0 && errno == EADDRINUSE ? setting_get() : NULL;
    return s && moved_frees(s, addr.__sockaddr__, len) ? next(fd, addr, len) : result;
}

PUBLIC int listen(int fd, int backlog)
{
    NEXT(listen)
    const struct setting *s = setting_get();
    uint16_t port;
    int result = next(fd, backlog);
    if (result == 0)
        zmq_sockets_listens(__builtin_return_address(0));
    if (result != 0 || !s || !is_wanted(s, fd, __builtin_return_address(0), &port))
        return result;
    if (!zmq_sockets_is_binding() && port)
        zmq_hwm_unreached(s, port);
    moved_begin(s, fd, backlog);
    return result;
}

/* Whether a moved socket has accepted a connection that is not Weir's. It is closed then: somebody on this machine has
 * found the loopback port. */
static bool turned_away(int listener, int fd)
{
    const struct setting *s = setting_get();
    struct sockaddr_storage own;
    if (fd < 0 || !s || !moved_may_be(listener) || !lookup_name(SYS_getsockname, fd, &own) ||
        !moved_is(listener, (const struct sockaddr *)&own) || !lookup_is_stranger(s, fd, (const struct sockaddr *)&own))
        return false;
    syscall(SYS_close, fd);
    ungated_say(UNGATED_STRANGER);
    return true;
}

static int show_accepted(int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
    const struct setting *s = setting_get();
    if (fd >= 0 && s && addr && len)
        lookup_peer(s, fd, addr, len, room);
    return fd;
}

/* After a connection that was turned away: whether to go on with the next one, or to wait for it, as if that had never
 * been there. libzmq accepts what it was told of, and takes an error for one that has gone: its listener is blocking.
 */
static bool accepts_on(const void *caller, socklen_t *len, socklen_t room)
{
    if (len)
        *len = room;
    if (!caller_is_libzmq(caller))
        return true;
    errno = ECONNABORTED;
    return false;
}

PUBLIC int accept(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    NEXT(accept)
    socklen_t room = len ? *len : 0;
    do {
        int result = next(fd, addr, len);
        if (!turned_away(fd, result))
            return show_accepted(result, addr.__sockaddr__, len, room);
    } while (accepts_on(__builtin_return_address(0), len, room));
    return -1;
}

PUBLIC int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len, int flags)
{
    NEXT(accept4)
    socklen_t room = len ? *len : 0;
    do {
        int result = next(fd, addr, len, flags);
        if (!turned_away(fd, result))
            return show_accepted(result, addr.__sockaddr__, len, room);
    } while (accepts_on(__builtin_return_address(0), len, room));
    return -1;
}

PUBLIC int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    NEXT(getpeername)
    const struct setting *s = setting_get();
    socklen_t room = s && len ? *len : 0;
    int result = next(fd, addr, len);
    if (result == 0 && s)
        lookup_peer(s, fd, addr.__sockaddr__, len, room);
    return result;
}

PUBLIC int getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    NEXT(getsockname)
    const struct setting *s = setting_get();
    socklen_t room = s && len ? *len : 0;
    int result = next(fd, addr, len);
    if (result == 0 && s)
        lookup_own(s, fd, addr.__sockaddr__, len, room);
    return result;
}

/* The client's credentials instead of Weir's. */
PUBLIC int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict len)
{
    NEXT(getsockopt)
    int result = next(fd, level, option, value, len);
    if (level != SOL_SOCKET || option != SO_PEERCRED || result != 0)
        return result;
    const struct setting *s = setting_get();
    if (s && s->ipc && *len == sizeof(struct ucred))
        lookup_unix_credentials(s, fd, value);
    return result;
}

/* `fd` was to be closed or replaced, of which moved_take() said `note`. */
static int after_close(int fd, uint32_t note, int result)
{
    if (!note)
        return result;
    if (result >= 0)
        moved_end(setting_get(), fd, note);
    else
        moved_keep(fd, note);
    return result;
}

PUBLIC int close(int fd)
{
    NEXT(close)
    uint32_t note = moved_take(fd);
    return after_close(fd, note, next(fd));
}

/* As subprocess modules and daemons close what they have inherited. */
PUBLIC int close_range(unsigned first, unsigned last, int flags)
{
    NEXT(close_range)
    struct {
        int fd;
        uint32_t note;
    } gone[RANGE_MOST];
    unsigned count = 0;
    for (unsigned fd = first; !flags && fd <= last && fd < moved_end_of_notes() && count < RANGE_MOST; fd++) {
        gone[count] = (__typeof__(gone[0])){(int)fd, moved_take((int)fd)};
        count += gone[count].note != 0;
    }
    int result = next(first, last, flags);
    for (unsigned i = 0; i < count; i++)
        after_close(gone[i].fd, gone[i].note, result);
    return result;
}

PUBLIC int dup(int fd)
{
    NEXT(dup)
    int result = next(fd);
    moved_copy(fd, result);
    return result;
}

PUBLIC int dup2(int fd, int to)
{
    NEXT(dup2)
    uint32_t note = fd == to ? 0 : moved_take(to);
    int result = after_close(to, note, next(fd, to));
    moved_copy(fd, result);
    return result;
}

PUBLIC int dup3(int fd, int to, int flags)
{
    NEXT(dup3)
    uint32_t note = fd == to ? 0 : moved_take(to);
    int result = after_close(to, note, next(fd, to, flags));
    moved_copy(fd, result);
    return result;
}
