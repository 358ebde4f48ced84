/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/client_book.h"

#include "loop/net.h"

#include <errno.h>
#include <string.h>

/* The loopback address from which the connection number `source` is made. */
static struct endpoint source_address(const struct endpoint *to, unsigned source)
{
    struct endpoint from = *to;
    if (to->sa.sa_family == AF_INET)
        from.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};
    else
        from.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    return from;
}

/* A client's address, as Weir has it: of a load balancer's client, as the balancer says. */
static void client_address(struct run_address *ret, const struct addr *a)
{
    memset(ret, 0, sizeof(*ret));
    ret->port = a->port;
    if (a->kind == ADDR_V4) {
        ret->ip[10] = ret->ip[11] = 0xff;
        memcpy(ret->ip + 12, a->bytes, 4);
    } else if (a->kind == ADDR_V6) {
        memcpy(ret->ip, a->bytes, 16);
    }
}

/* Link-local addresses mean nothing without their interface, which `struct addr` lacks. */
static void complete_scope(struct run_address *a, int fd)
{
    struct sockaddr_in6 peer = {0};
    socklen_t len = sizeof(peer);
    if (a->ip[0] == 0xfe && getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin6_family == AF_INET6)
        a->scope = peer.sin6_scope_id;
}

/* What the entry of this connection says that it is for: the port and a number of the socket. 0: it has no number. */
static uint64_t mark_of(int fd, uint16_t app_port)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie << 16 | app_port;
}

static bool client_book_note(struct run_client *entry, const struct addr *client, int client_fd, uint64_t mark)
{
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof(local);
    atomic_store_explicit(&entry->to, 0, memory_order_release);
    if (getsockname(client_fd, (struct sockaddr *)&local, &len) < 0)
        return false;
    client_address(&entry->client, client);
    complete_scope(&entry->client, client_fd);
    run_address_from(&entry->local, (const struct sockaddr *)&local);
    atomic_store_explicit(&entry->to, mark, memory_order_release);
    return mark != 0;
}

/* A connection follows that is not noted. */
static void mix(struct run_table *t, const struct endpoint *to)
{
    uint32_t known = RUN_LISTENER_KNOWN;
    atomic_compare_exchange_strong(&t->listeners[to->sa.sa_family == AF_INET6][endpoint_port(to)].state, &known,
                                   RUN_LISTENER_MIXED);
}

/* ---- Unix sockets ---- */

static uint64_t unix_mark_of(int fd, const struct endpoint *to)
{
    int number = run_number_of(&to->sa);
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);
    if (number < 0 || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
        return 0;
    return cookie << 21 | ((uint64_t)number + 1);
}

/* -1: it has no name from the kernel. */
static int unix_number_of(int fd)
{
    struct endpoint own = {.len = sizeof(own.un)};
    return getsockname(fd, &own.sa, &own.len) < 0 ? -1 : run_number_of(&own.sa);
}

static bool note_unix(struct run_unix_client *entry, int client_fd, uint64_t mark)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    atomic_store_explicit(&entry->to, 0, memory_order_release);
    if (getsockopt(client_fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return false;
    entry->pid = (uint32_t)cred.pid;
    entry->uid = cred.uid;
    entry->gid = cred.gid;
    atomic_store_explicit(&entry->to, mark, memory_order_release);
    return mark != 0;
}

static void mix_unix(struct run_table *t, const struct endpoint *to)
{
    int number = run_number_of(&to->sa);
    for (unsigned i = 0; number >= 0 && i < RUN_UNIX_LISTENERS; i++) {
        uint32_t known = RUN_LISTENER_KNOWN;
        if (t->unix_listeners[i].number == (uint32_t)number)
            atomic_compare_exchange_strong(&t->unix_listeners[i].state, &known, RUN_LISTENER_MIXED);
    }
}

static int connect_unix(struct run_table *t, const struct endpoint *to, int client_fd, bool *ret_pending)
{
    struct endpoint from = {.kind = ENDPOINT_IPC, .len = sizeof(from.un.sun_family), .un.sun_family = AF_UNIX};
    int fd = net_open_from(to, &from);
    if (fd < 0)
        return fd;
    int number = run_number_of(&from.sa);
    if (number < 0 || !note_unix(&t->unix_clients[number], client_fd, unix_mark_of(fd, to)))
        mix_unix(t, to);
    return net_connect_on(fd, to, ret_pending);
}

static void forget_unix(struct run_table *t, const struct endpoint *to, int fd)
{
    int number = unix_number_of(fd);
    uint64_t mark = unix_mark_of(fd, to);
    if (number >= 0 && mark)
        atomic_compare_exchange_strong(&t->unix_clients[number].to, &mark, 0);
}

void client_book_note_unix_listener(struct run_table *t, unsigned place, uint32_t number, const struct endpoint *real)
{
    struct run_unix_listener *l = &t->unix_listeners[place];
    atomic_store_explicit(&l->state, RUN_LISTENER_NONE, memory_order_release);
    if (!real)
        return;
    l->number = number;
    l->real = real->un;
    l->len = real->len;
    atomic_store_explicit(&l->state, RUN_LISTENER_KNOWN, memory_order_release);
}

/* ---- both ---- */

int client_book_connect(struct run_table *t, const struct endpoint *to, const struct addr *client, int client_fd,
                        bool *ret_pending)
{
    unsigned sources = to->sa.sa_family == AF_INET ? RUN_SOURCES_V4 : 1;
    if (to->kind == ENDPOINT_IPC)
        return connect_unix(t, to, client_fd, ret_pending);
    for (unsigned i = 0; i < sources; i++) {
        struct endpoint from = source_address(to, i);
        int fd = net_open_from(to, &from), source = run_source_of(&from.sa);
        if (fd == -EADDRINUSE || fd == -EADDRNOTAVAIL)
            continue;
        if (fd < 0)
            return fd;
        if (source < 0 || !client_book_note(&t->clients[source][endpoint_port(&from)], client, client_fd,
                                            mark_of(fd, endpoint_port(to))))
            mix(t, to);
        return net_connect_on(fd, to, ret_pending);
    }
    mix(t, to);
    return net_connect(to, ret_pending);
}

/* The port may belong to another connection by now: then the entry does, too. */
void client_book_forget(struct run_table *t, const struct endpoint *to, int fd)
{
    struct endpoint from = {.len = sizeof(from.un)};
    if (to->kind == ENDPOINT_IPC) {
        forget_unix(t, to, fd);
        return;
    }
    uint64_t mark = mark_of(fd, endpoint_port(to));
    int source = getsockname(fd, &from.sa, &from.len) < 0 ? -1 : run_source_of(&from.sa);
    if (source >= 0 && mark)
        atomic_compare_exchange_strong(&t->clients[source][run_port_of(&from.sa)].to, &mark, 0);
}

void client_book_note_listener(struct run_table *t, int family, uint16_t port, const struct sockaddr *real)
{
    struct run_listener *l = &t->listeners[family == AF_INET6][port];
    atomic_store_explicit(&l->state, RUN_LISTENER_NONE, memory_order_release);
    if (!real)
        return;
    run_address_from(&l->real, real);
    atomic_store_explicit(&l->state, RUN_LISTENER_KNOWN, memory_order_release);
}
