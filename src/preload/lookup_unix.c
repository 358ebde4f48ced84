/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/lookup_unix.h"

#include "preload/lookup_table.h"

#include <errno.h>
#include <sys/syscall.h>

static const struct sockaddr *plain(const struct sockaddr_storage *a)
{
    return (const struct sockaddr *)a;
}

/* NULL: no program listens on this name. */
static const struct run_unix_listener *unix_listener_of(const struct run_table *t, const struct sockaddr *own)
{
    int number = run_number_of(own);
    for (unsigned i = 0; t && number >= 0 && i < RUN_UNIX_LISTENERS; i++) {
        const struct run_unix_listener *l = &t->unix_listeners[i];
        if (atomic_load_explicit(&l->state, memory_order_acquire) && l->number == (uint32_t)number)
            return l;
    }
    return NULL;
}

/* The client behind a connection whose ends are these; NULL: it is not Weir's. */
static const struct run_unix_client *unix_client_of(const struct run_table *t, const struct sockaddr *peer,
                                                    const struct sockaddr *own)
{
    int number = run_number_of(peer), to = run_number_of(own);
    if (!t || number < 0 || to < 0)
        return NULL;
    const struct run_unix_client *c = &t->unix_clients[number];
    return run_name_behind(c) == to ? c : NULL;
}

static const struct run_unix_client *unix_client_behind(const struct setting *s, int fd)
{
    struct sockaddr_storage own, peer;
    if (!lookup_name(SYS_getsockname, fd, &own) || run_number_of(plain(&own)) < 0 ||
        !lookup_name(SYS_getpeername, fd, &peer))
        return NULL;
    return unix_client_of(lookup_table(s), plain(&peer), plain(&own));
}

/* Clients of Unix sockets have no names. */
void lookup_unix_peer(const struct setting *s, int fd, struct sockaddr *addr, socklen_t *len)
{
    int before = errno;
    if (unix_client_behind(s, fd))
        *len = sizeof(addr->sa_family);
    errno = before;
}

void lookup_unix_own(const struct setting *s, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
    int before = errno;
    struct sockaddr_storage own;
    if (lookup_name(SYS_getsockname, fd, &own) && run_number_of(plain(&own)) >= 0) {
        const struct run_unix_listener *l = unix_listener_of(lookup_table(s), plain(&own));
        if (l && (lookup_listens(fd) || unix_client_behind(s, fd))) {
            memcpy(addr, &l->real, l->len < room ? l->len : room);
            *len = l->len;
        }
    }
    errno = before;
}

bool lookup_unix_is_stranger(const struct setting *s, int fd, const struct sockaddr *own)
{
    int before = errno;
    struct sockaddr_storage peer;
    const struct run_table *t = lookup_table(s);
    const struct run_unix_listener *l = unix_listener_of(t, own);
    bool named = l && lookup_name(SYS_getpeername, fd, &peer);
    errno = before;
    return named && atomic_load_explicit(&l->state, memory_order_acquire) == RUN_LISTENER_KNOWN &&
           !unix_client_of(t, plain(&peer), own);
}

void lookup_unix_credentials(const struct setting *s, int fd, struct ucred *cred)
{
    int before = errno;
    const struct run_unix_client *c = unix_client_behind(s, fd);
    if (c)
        *cred = (struct ucred){.pid = (pid_t)c->pid, .uid = c->uid, .gid = c->gid};
    errno = before;
}
