/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What passes between `weir run` and the programs that run under it: an environment variable, requests over a Unix
 * socket, and a table of addresses in shared memory.
 *
 * The preload object (libweir-run.so) includes nothing else of Weir. It lives inside unknown programs, so it keeps no
 * connection, no thread and no lock for its gates: each request is one datagram from a socket of its own, and one
 * datagram back. The counter is another matter (taken_sockets.h).
 *
 * The life of a gate:
 *
 *   program                                             Weir
 *   listen(fd): the kernel listens on the real address
 *   a second socket listens on a loopback port
 *   RUN_OPEN (port; what libzmq says of its        ->   opens a gate on it that forwards to the loopback port
 *   socket; the real one attached)
 *                                                  <-   0, or why not
 *   the second socket takes the place of fd             for each client: notes its address in the table, under the
 *   getpeername(), getsockname(), accept() look            source port of the connection that it makes for it
 *   the addresses up in the table; accept() closes
 *   connections that are not noted there
 *   zmq_bind() is about to return
 *   RUN_COUNT (port; an end of a socket pair)      ->   sends a page and an eventfd over the pair (weir/taken.h), and
 *                                                  <-   0, or why not
 *   zmq_setsockopt(ZMQ_ROUTER_HANDOVER)
 *   RUN_HANDOVER (port; what it is now)            ->   clients with one routing id are the application's affair, or
 *                                                  <-   not any more; 0
 *   close(fd)
 *   RUN_CLOSED (port)                              ->   if nobody listens on the loopback port: closes the gate
 *                                                  <-   0: the real address is free; 1: somebody still listens
 *
 * The end of a process without close() is seen by a descriptor of the process (pidfd) and, for copies of the socket in
 * other processes and for sockets that an exec has closed, by looking once a second whether somebody listens on the
 * loopback port. Who cannot bind meanwhile need not wait for that:
 *
 *   bind() fails: the address is in use
 *   RUN_LOOK (port)                                ->   looks, and closes the gates behind which nobody listens
 *                                                  <-   0; the program binds again
 */
#ifndef WEIR_PRELOAD_PROTOCOL_H
#define WEIR_PRELOAD_PROTOCOL_H

#include "preload/socket_options.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RUN_PROTOCOL 5u

/* ---- the environment: "NAME TOKEN PORT,PORT,... MARKS,MARKS,..."; among the ports "ipc": Unix sockets have gates,
 * too ---- */

/* A port that is to be left alone has a minus; marks are those of hwm_rules.h. */
#define RUN_ENV "WEIR_RUN"

#define RUN_NAME_BYTES  32u /* of the Unix socket, in the abstract namespace, without its leading zero */
#define RUN_TOKEN_BYTES 32u /* hexadecimal; whoever has it may ask for gates */
#define RUN_PORTS_MOST  64u /* named by --port and --leave */

/* ---- requests ---- */

enum run_request_kind {
    RUN_TABLE = 1, /* asks for the table; its descriptor is attached to the answer */
    RUN_OPEN,      /* the really listening socket is attached */
    RUN_CLOSED,    /* the program has closed a descriptor that listened on `number` */
    RUN_COUNT,     /* counts for the gate of `number`; an end of a socket pair is attached (weir/taken.h) */
    RUN_LOOK,      /* an address with this port (not of the hidden socket) is in use; AF_UNIX: some name is */
    RUN_HANDOVER   /* the socket behind `number` was given ZMQ_ROUTER_HANDOVER: told */
};

struct run_request {
    uint32_t protocol; /* RUN_PROTOCOL */
    uint32_t kind;
    char token[RUN_TOKEN_BYTES];
    uint32_t family;            /* of the hidden socket: AF_INET, AF_INET6 or AF_UNIX */
    uint32_t number;            /* of the hidden socket: its port in host order, or that of its name */
    struct socket_options told; /* RUN_OPEN: what libzmq says of the socket that binds; nothing if it is out of reach.
                                   RUN_HANDOVER: that option */
};

struct run_reply {
    uint32_t protocol;
    uint32_t kind; /* of the request */
    char token[RUN_TOKEN_BYTES];
    int32_t error; /* 0 or a positive errno; RUN_CLOSED: 1 if somebody still listens */
    uint32_t spare;
};

/* ---- the table: written by Weir, read-only in programs ---- */

/* An address as a dual-stack socket has it: IPv4 is mapped. */
struct run_address {
    uint8_t ip[16];
    uint32_t scope;
    uint16_t port; /* host order */
    uint16_t spare;
};

/* Weir connects to an application from 127.0.0.1 and, when the ports of that are used up, from the next ones; to an
 * IPv6 socket from ::1. */
#define RUN_SOURCES_V4 8u
#define RUN_SOURCE_V6  RUN_SOURCES_V4
#define RUN_SOURCES    (RUN_SOURCES_V4 + 1u)
#define RUN_PORTS      65536u

/* The client behind a connection of Weir. Only the owner of the source port writes an entry, before it connects. */
struct run_client {
    /* The loopback port it connects to, and above it a number that no other connection with its port has; 0: none.
     * Written last. */
    _Atomic uint64_t to;
    struct run_address client, local; /* its own address, and the one it has connected to */
    uint8_t fill[8];
};

enum run_listener_state {
    RUN_LISTENER_NONE,
    RUN_LISTENER_KNOWN, /* each connection of Weir is noted, so what is not noted comes from somebody else */
    RUN_LISTENER_MIXED  /* some were made without a note: nobody can be told apart */
};

/* The real address behind a loopback port that a program listens on. */
struct run_listener {
    _Atomic uint32_t state; /* enum run_listener_state; written last */
    struct run_address real;
};

/* ---- Unix sockets. Those that need any name get one from the kernel, a zero and five hexadecimal digits: its number
 * stands for it, as a port does over TCP ---- */

#define RUN_NAMES       (1u << 20)
#define RUN_NAME_DIGITS 5u

/* The client behind a connection of Weir that has this name. */
struct run_unix_client {
    _Atomic uint64_t to; /* as above: one more than the number of the name it connects to */
    uint32_t pid, uid, gid;
    uint8_t fill[12];
};

#define RUN_UNIX_LISTENERS 64u

/* The real address behind a name that a program listens on. */
struct run_unix_listener {
    _Atomic uint32_t state; /* enum run_listener_state; written last */
    uint32_t number;
    uint32_t len; /* of the address */
    struct sockaddr_un real;
};

/* Sparse: a page takes memory when an entry in it is used first. */
struct run_table {
    struct run_client clients[RUN_SOURCES][RUN_PORTS];
    struct run_listener listeners[2][RUN_PORTS]; /* IPv4, IPv6 */
    struct run_unix_client unix_clients[RUN_NAMES];
    struct run_unix_listener unix_listeners[RUN_UNIX_LISTENERS];
};

_Static_assert(sizeof(struct run_client) == 64 && sizeof(struct run_unix_client) == 32,
               "the layout is shared with programs");

/* The number of the name that the entry is for; -1: none. */
static inline int run_name_behind(const struct run_unix_client *c)
{
    return (int)(atomic_load_explicit(&c->to, memory_order_acquire) & (2 * RUN_NAMES - 1)) - 1;
}

/* The number of a name that the kernel has given; -1: it is another address. The bytes behind a shorter one are 0. */
static inline int run_number_of(const struct sockaddr *sa)
{
    const char *name = ((const struct sockaddr_un *)(const void *)sa)->sun_path;
    int number = 0;
    if (sa->sa_family != AF_UNIX || name[0] != '\0' || name[RUN_NAME_DIGITS + 1] != '\0')
        return -1;
    for (unsigned i = 1; i <= RUN_NAME_DIGITS; i++) {
        int digit = name[i] >= '0' && name[i] <= '9'   ? name[i] - '0'
                    : name[i] >= 'a' && name[i] <= 'f' ? name[i] - 'a' + 10
                                                       : -1;
        if (digit < 0)
            return -1;
        number = number << 4 | digit;
    }
    return number;
}

/* The address of that name. Returns its length. */
static inline socklen_t run_name_to(struct sockaddr_un *ret, uint32_t number)
{
    static const char hex[] = "0123456789abcdef";
    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    for (unsigned i = 0; i < RUN_NAME_DIGITS; i++)
        ret->sun_path[1 + i] = hex[number >> (4 * (RUN_NAME_DIGITS - 1 - i)) & 15];
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + RUN_NAME_DIGITS);
}

/* Where the connections from this loopback address are noted; -1: Weir connects from no such address. */
static inline int run_source_of(const struct sockaddr *from)
{
    if (from->sa_family == AF_INET) {
        uint32_t host = ntohl(((const struct sockaddr_in *)(const void *)from)->sin_addr.s_addr);
        uint32_t at = host - INADDR_LOOPBACK;
        return at < RUN_SOURCES_V4 ? (int)at : -1;
    }
    if (from->sa_family != AF_INET6)
        return -1;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr) ? (int)RUN_SOURCE_V6
                                                                                               : -1;
}

/* The port that the entry is for; 0: none. */
static inline uint16_t run_client_port(const struct run_client *c)
{
    return (uint16_t)atomic_load_explicit(&c->to, memory_order_acquire);
}

/* The port of an IPv4 or IPv6 address, in host order. */
static inline uint16_t run_port_of(const struct sockaddr *sa)
{
    return ntohs(sa->sa_family == AF_INET ? ((const struct sockaddr_in *)(const void *)sa)->sin_port
                                          : ((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
}

static inline void run_address_from(struct run_address *ret, const struct sockaddr *sa)
{
    memset(ret, 0, sizeof(*ret));
    ret->port = run_port_of(sa);
    if (sa->sa_family == AF_INET) {
        ret->ip[10] = ret->ip[11] = 0xff;
        memcpy(ret->ip + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
        return;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;
    memcpy(ret->ip, &v6->sin6_addr, 16);
    ret->scope = v6->sin6_scope_id;
}

/* In the form that a socket of this family shows. Returns the length. */
static inline socklen_t run_address_to(struct sockaddr_storage *ret, const struct run_address *a, int family)
{
    memset(ret, 0, sizeof(*ret));
    if (family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(a->port);
        memcpy(&v4->sin_addr, a->ip + 12, 4);
        return sizeof(*v4);
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(a->port);
    v6->sin6_scope_id = a->scope;
    memcpy(&v6->sin6_addr, a->ip, 16);
    return sizeof(*v6);
}

#endif
