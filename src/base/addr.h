/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Addresses of peers, and endpoints as libzmq writes them. Value types without memory of their own.
 */
#ifndef WEIR_BASE_ADDR_H
#define WEIR_BASE_ADDR_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

enum addr_kind { ADDR_NONE, ADDR_V4, ADDR_V6, ADDR_UID };

/* The identity of a peer as the kernel tells it: an IP address, or the user id behind a Unix socket. */
struct addr {
    enum addr_kind kind;
    uint16_t port;     /* host order; 0 for ADDR_UID */
    uint8_t bytes[16]; /* network order: 4 for v4, 16 for v6; uid as 4 bytes big-endian */
};

#define ADDR_TEXT_MAX 64 /* "[ffff:...]:65535" and "uid:4294967295" fit */

/* From accept(2) or getpeername(2); an IPv4-mapped IPv6 address becomes ADDR_V4. Other families: ADDR_NONE. */
void addr_from_sockaddr(struct addr *ret, const struct sockaddr *sa);
void addr_from_uid(struct addr *ret, uint32_t uid);

/* Whether the address is known to be this machine's own without a lookup: loopback, or no IP address at all. */
bool addr_is_own(const struct addr *a);

/* "192.0.2.1:5555", "[2001:db8::1]:5555", "uid:1000". Returns `dst` (at least ADDR_TEXT_MAX). */
char *addr_format(char *dst, size_t size, const struct addr *a);

/* The same without port. */
char *addr_format_host(char *dst, size_t size, const struct addr *a);

enum endpoint_kind { ENDPOINT_TCP, ENDPOINT_IPC };

/* A parsed endpoint, ready for bind(2) or connect(2). */
struct endpoint {
    enum endpoint_kind kind;
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    };
};

/* The port of a tcp endpoint, in host order. */
static inline uint16_t endpoint_port(const struct endpoint *e)
{
    return ntohs(e->sa.sa_family == AF_INET6 ? e->v6.sin6_port : e->v4.sin_port);
}

/* The IP version of the packets to a tcp endpoint: an IPv4-mapped IPv6 address is ADDR_V4. ipc: ADDR_NONE. */
enum addr_kind endpoint_ip_version(const struct endpoint *e);

/* NULL if a connection to `to` can be made from the address `from`; otherwise the reason, a constant sentence. */
const char *endpoint_refuses_source(const struct endpoint *to, const struct addr *from);

#define ENDPOINT_TEXT_MAX 128

/*
 * Parses "tcp://HOST:PORT" or "ipc://PATH" ("ipc://@name" is Linux's abstract namespace).
 * HOST: IPv4, [IPv6], or with `to_bind` "*" (all addresses, IPv6 and IPv4 alike). PORT: 1-65535, or with `to_bind` "*"
 * or "0". With `to_bind` the name of a network interface means its first IPv4 address, or else its first IPv6 address,
 * as it is now. Any other name, such as "localhost" or "app.internal", is looked up with getaddrinfo(), which may
 * block: call at start-up only. Returns 0 or -EINVAL, with a sentence for a person in *ret_why (a constant string; may
 * be NULL).
 */
MUST_USE int endpoint_parse(struct endpoint *ret, const char *text, bool to_bind, const char **ret_why);

/* The same for a TCP endpoint that is written without its scheme: "HOST:PORT". */
MUST_USE int endpoint_parse_address(struct endpoint *ret, const char *text, bool to_bind, const char **ret_why);

/* "tcp://127.0.0.1:5555", "tcp://[::]:5555", "ipc:///run/x". Returns `dst` (at least ENDPOINT_TEXT_MAX). */
char *endpoint_format(char *dst, size_t size, const struct endpoint *e);

#endif
