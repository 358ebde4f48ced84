/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/lookup.h"

#include "preload/lookup_table.h"
#include "preload/lookup_unix.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_ip(const struct sockaddr *a, socklen_t len)
{
    return (a->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) ||
           (a->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6));
}

/* As the kernel has it. */
static bool raw_name(long call, int fd, struct sockaddr_storage *ret)
{
    return lookup_name(call, fd, ret) && is_ip((const struct sockaddr *)ret, sizeof(*ret));
}

static void lookup_show(const struct run_address *a, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
    struct sockaddr_storage shown;
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (addr->sa_family == AF_INET && memcmp(a->ip, mapped, sizeof(mapped)) != 0)
        return; /* a load balancer's client, of another kind than the socket */
    socklen_t whole = run_address_to(&shown, a, addr->sa_family);
    memcpy(addr, &shown, whole < room ? whole : room);
    *len = whole;
}

/* The client behind a connection whose ends are these; NULL: it is not Weir's. */
static const struct run_client *client_of(const struct run_table *t, const struct sockaddr *peer, uint16_t own_port)
{
    int source = run_source_of(peer);
    if (source < 0)
        return NULL;
    const struct run_client *c = &t->clients[source][run_port_of(peer)];
    return run_client_port(c) == own_port ? c : NULL;
}

static const struct run_listener *listener_of(const struct run_table *t, const struct sockaddr *own)
{
    return &t->listeners[run_source_of(own) == (int)RUN_SOURCE_V6][run_port_of(own)];
}

bool lookup_is_stranger(const struct setting *s, int fd, const struct sockaddr *own)
{
    int before = errno;
    struct sockaddr_storage peer;
    if (own->sa_family == AF_UNIX)
        return lookup_unix_is_stranger(s, fd, own);
    const struct run_table *t = lookup_table(s);
    /* Who has left already has no name. */
    bool named = t && raw_name(SYS_getpeername, fd, &peer);
    errno = before;
    return named && atomic_load_explicit(&listener_of(t, own)->state, memory_order_acquire) == RUN_LISTENER_KNOWN &&
           !client_of(t, (const struct sockaddr *)&peer, run_port_of(own));
}

void lookup_peer(const struct setting *s, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
    int before = errno;
    struct sockaddr_storage own;
    if (room >= sizeof(addr->sa_family) && addr->sa_family == AF_UNIX && s->ipc)
        lookup_unix_peer(s, fd, addr, len);
    if (!is_ip(addr, room) || run_source_of(addr) < 0)
        return;
    const struct run_table *t = lookup_table(s);
    if (t && raw_name(SYS_getsockname, fd, &own)) {
        const struct run_client *c = client_of(t, addr, run_port_of((const struct sockaddr *)&own));
        if (c)
            lookup_show(&c->client, addr, len, room);
    }
    errno = before;
}

static const struct run_address *own_address(const struct run_table *t, int fd, const struct sockaddr *own)
{
    struct sockaddr_storage peer;
    uint16_t port = run_port_of(own);
    if (raw_name(SYS_getpeername, fd, &peer)) {
        const struct run_client *c = client_of(t, (const struct sockaddr *)&peer, port);
        return c ? &c->local : NULL;
    }
    if (!lookup_listens(fd))
        return NULL;
    const struct run_listener *l = listener_of(t, own);
    return atomic_load_explicit(&l->state, memory_order_acquire) ? &l->real : NULL;
}

void lookup_own(const struct setting *s, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
    int before = errno;
    if (room >= sizeof(addr->sa_family) && addr->sa_family == AF_UNIX && s->ipc)
        lookup_unix_own(s, fd, addr, len, room);
    if (!is_ip(addr, room) || run_source_of(addr) < 0)
        return;
    const struct run_table *t = lookup_table(s);
    const struct run_address *a = t ? own_address(t, fd, addr) : NULL;
    if (a)
        lookup_show(a, addr, len, room);
    errno = before;
}
