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

static void client_book_note(struct run_client *entry, const struct addr *client, int client_fd, uint16_t app_port)
{
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof(local);
    atomic_store_explicit(&entry->app_port, 0, memory_order_release);
    if (getsockname(client_fd, (struct sockaddr *)&local, &len) < 0)
        return;
    client_address(&entry->client, client);
    complete_scope(&entry->client, client_fd);
    run_address_from(&entry->local, (const struct sockaddr *)&local);
    atomic_store_explicit(&entry->app_port, app_port, memory_order_release);
}

int client_book_connect(struct run_table *t, const struct endpoint *to, const struct addr *client, int client_fd,
                        bool *ret_pending)
{
    unsigned sources = to->sa.sa_family == AF_INET ? RUN_SOURCES_V4 : 1;
    for (unsigned i = 0; i < sources; i++) {
        struct endpoint from = source_address(to, i);
        int fd = net_open_from(to, &from), source = run_source_of(&from.sa);
        if (fd == -EADDRINUSE || fd == -EADDRNOTAVAIL)
            continue;
        if (fd < 0)
            return fd;
        if (source >= 0)
            client_book_note(&t->clients[source][endpoint_port(&from)], client, client_fd, endpoint_port(to));
        return net_connect_on(fd, to, ret_pending);
    }
    return net_connect(to, ret_pending);
}

void client_book_note_listener(struct run_table *t, int family, uint16_t port, const struct sockaddr *real)
{
    struct run_listener *l = &t->listeners[family == AF_INET6][port];
    atomic_store_explicit(&l->used, 0, memory_order_release);
    if (!real)
        return;
    run_address_from(&l->real, real);
    atomic_store_explicit(&l->used, 1, memory_order_release);
}
