/* SPDX-License-Identifier: MPL-2.0 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define HOST_TEXT_MAX 256

void addr_from_sockaddr(struct addr *ret, const struct sockaddr *sa)
{
    *ret = (struct addr){.kind = ADDR_NONE};
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)sa;
        ret->kind = ADDR_V4;
        ret->port = ntohs(v4->sin_port);
        memcpy(ret->bytes, &v4->sin_addr, 4);
        return;
    }
    if (sa->sa_family != AF_INET6)
        return;
    const struct sockaddr_in6 *v6 = (const void *)sa;
    ret->port = ntohs(v6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        ret->kind = ADDR_V4;
        memcpy(ret->bytes, v6->sin6_addr.s6_addr + 12, 4);
        return;
    }
    ret->kind = ADDR_V6;
    memcpy(ret->bytes, &v6->sin6_addr, 16);
}

void addr_from_uid(struct addr *ret, uint32_t uid)
{
    uint32_t be = htonl(uid);
    *ret = (struct addr){.kind = ADDR_UID};
    memcpy(ret->bytes, &be, sizeof(be));
}

bool addr_is_own(const struct addr *a)
{
    static const uint8_t loopback[16] = {[15] = 1};
    if (a->kind == ADDR_V4)
        return a->bytes[0] == IN_LOOPBACKNET;
    return a->kind != ADDR_V6 || memcmp(a->bytes, loopback, sizeof(loopback)) == 0;
}

enum addr_kind endpoint_ip_version(const struct endpoint *e)
{
    if (e->kind != ENDPOINT_TCP)
        return ADDR_NONE;
    return e->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&e->v6.sin6_addr) ? ADDR_V6 : ADDR_V4;
}

/* No host's: unspecified (for which the kernel would take one of this machine's), multicast, broadcast. */
static bool is_nobodys(const struct addr *a)
{
    static const uint8_t zeros[16] = {0};
    if (a->kind == ADDR_V4)
        return a->bytes[0] == 0 || a->bytes[0] >= 224;
    return a->bytes[0] == 0xff || memcmp(a->bytes, zeros, sizeof(zeros)) == 0;
}

/* fe80::/10, which means something on one interface only. */
static bool is_link_local(const struct addr *a)
{
    return a->kind == ADDR_V6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

const char *endpoint_refuses_source(const struct endpoint *to, const struct addr *from)
{
    enum addr_kind version = endpoint_ip_version(to);
    if (version == ADDR_NONE || (from->kind != ADDR_V4 && from->kind != ADDR_V6))
        return "there are no addresses on ipc";
    if (from->kind != version)
        return version == ADDR_V4 ? "the client is on IPv6, the application on IPv4"
                                  : "the client is on IPv4, the application on IPv6";
    if (is_nobodys(from))
        return "the address is not one of a host";
    if (is_link_local(from) && to->v6.sin6_scope_id == 0)
        return "a link-local address means something on one interface only";
    return NULL;
}

static void format_uid(char *dst, size_t size, const struct addr *a)
{
    uint32_t be;
    memcpy(&be, a->bytes, sizeof(be));
    snprintf(dst, size, "uid:%u", ntohl(be));
}

char *addr_format_host(char *dst, size_t size, const struct addr *a)
{
    switch (a->kind) {
    case ADDR_V4:
        inet_ntop(AF_INET, a->bytes, dst, (socklen_t)size);
        break;
    case ADDR_V6:
        inet_ntop(AF_INET6, a->bytes, dst, (socklen_t)size);
        break;
    case ADDR_UID:
        format_uid(dst, size, a);
        break;
    case ADDR_NONE:
        snprintf(dst, size, "unknown");
        break;
    }
    return dst;
}

char *addr_format(char *dst, size_t size, const struct addr *a)
{
    char host[INET6_ADDRSTRLEN];
    if (a->kind != ADDR_V4 && a->kind != ADDR_V6)
        return addr_format_host(dst, size, a);
    addr_format_host(host, sizeof(host), a);
    snprintf(dst, size, a->kind == ADDR_V6 ? "[%s]:%u" : "%s:%u", host, a->port);
    return dst;
}

static int addr_refuse(const char **ret_why, const char *why)
{
    if (ret_why)
        *ret_why = why;
    return -EINVAL;
}

static int parse_ipc(struct endpoint *ret, const char *path, const char **ret_why)
{
    struct endpoint e = {.kind = ENDPOINT_IPC, .un.sun_family = AF_UNIX};
    size_t len = strlen(path);
    bool abstract = path[0] == '@';
    if (len == 0 || (abstract && len == 1))
        return addr_refuse(ret_why, "a path is missing after ipc://");
    if (strcmp(path, "*") == 0)
        return addr_refuse(ret_why, "ipc://* is not supported: name the path");
    if (len >= sizeof(e.un.sun_path))
        return addr_refuse(ret_why, "the path is longer than 107 characters, the limit of Unix sockets");
    memcpy(e.un.sun_path, path, len);
    if (abstract)
        e.un.sun_path[0] = '\0';
    /* The name of an abstract socket is as long as the length says; a path ends with a NUL. */
    e.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
    *ret = e;
    return 0;
}

static bool parse_port(const char *s, bool to_bind, uint16_t *ret)
{
    unsigned port = 0;
    if (to_bind && strcmp(s, "*") == 0) {
        *ret = 0;
        return true;
    }
    size_t len = strspn(s, "0123456789");
    if (len == 0 || len > 5 || s[len])
        return false;
    for (; *s; s++)
        port = port * 10 + (unsigned)(*s - '0');
    if (port > UINT16_MAX || (port == 0 && !to_bind))
        return false;
    *ret = (uint16_t)port;
    return true;
}

/* A host that getaddrinfo() may see: nothing but letters, digits, '-', '_' and '.'. */
static bool is_name(const char *host)
{
    return host[0] && host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] == '\0';
}

/* "127.1" and "0x7f000001" are addresses to the resolver; people who write them mostly mistyped. */
static bool looks_numeric(const char *host)
{
    return host[strspn(host, "0123456789.")] == '\0' || strncmp(host, "0x", 2) == 0;
}

static int resolve(struct endpoint *ret, const char *host, int family, int flags)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return -EINVAL;
    *ret = (struct endpoint){.kind = ENDPOINT_TCP, .len = found->ai_addrlen};
    memcpy(&ret->sa, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

/* The first address of a network interface, IPv4 before IPv6. */
static bool find_interface(struct endpoint *ret, const char *name)
{
    struct ifaddrs *all = NULL;
    const struct sockaddr *found = NULL;
    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || strcmp(i->ifa_name, name) != 0)
            continue;
        if (i->ifa_addr->sa_family == AF_INET || (i->ifa_addr->sa_family == AF_INET6 && !found))
            found = i->ifa_addr;
        if (i->ifa_addr->sa_family == AF_INET)
            break;
    }
    if (found) {
        *ret = (struct endpoint){.kind = ENDPOINT_TCP,
                                 .len = found->sa_family == AF_INET ? sizeof(ret->v4) : sizeof(ret->v6)};
        memcpy(&ret->sa, found, ret->len);
    }
    freeifaddrs(all);
    return found != NULL;
}

static int addr_parse_host(struct endpoint *ret, const char *host, bool to_bind, const char **ret_why)
{
    if (strcmp(host, "*") == 0) {
        if (!to_bind)
            return addr_refuse(ret_why, "\"*\" is no address to connect to");
        *ret = (struct endpoint){.kind = ENDPOINT_TCP, .len = sizeof(ret->v6)};
        ret->v6.sin6_family = AF_INET6;
        return 0;
    }
    if (!is_name(host))
        return addr_refuse(ret_why, "the host must be an IPv4 address, an IPv6 address in brackets, or a name");
    if (looks_numeric(host)) {
        if (resolve(ret, host, AF_INET, AI_NUMERICHOST) == 0 && inet_pton(AF_INET, host, &(struct in_addr){0}) == 1)
            return 0;
        return addr_refuse(ret_why, "not a valid IPv4 address");
    }
    if (to_bind && find_interface(ret, host))
        return 0;
    /* IPv4 first, as libzmq does by default: the application most likely listens there. */
    if (resolve(ret, host, AF_INET, 0) == 0 || resolve(ret, host, AF_INET6, 0) == 0)
        return 0;
    return addr_refuse(ret_why, "no address is known for this host name");
}

static int parse_bracketed(struct endpoint *ret, char *host, const char **ret_why)
{
    size_t len = strlen(host);
    if (len < 2 || host[len - 1] != ']')
        return addr_refuse(ret_why, "an IPv6 address is written in brackets: tcp://[::1]:5555");
    host[len - 1] = '\0';
    if (resolve(ret, host + 1, AF_INET6, AI_NUMERICHOST) < 0)
        return addr_refuse(ret_why, "not a valid IPv6 address");
    return 0;
}

static int parse_tcp(struct endpoint *ret, const char *text, bool to_bind, const char **ret_why)
{
    char host[HOST_TEXT_MAX];
    struct endpoint e;
    uint16_t port;
    const char *colon = strrchr(text, ':');
    if (!colon || strchr(colon, ']'))
        return addr_refuse(ret_why, "a port is missing: tcp://HOST:PORT");
    if (!parse_port(colon + 1, to_bind, &port))
        return addr_refuse(ret_why, to_bind ? "the port must be a number from 1 to 65535, or * for any free one"
                                            : "the port must be a number from 1 to 65535");
    size_t len = (size_t)(colon - text);
    if (len == 0)
        return addr_refuse(ret_why, "a host is missing: tcp://HOST:PORT");
    if (len >= sizeof(host))
        return addr_refuse(ret_why, "the host name is too long");
    memcpy(host, text, len);
    host[len] = '\0';
    int r = host[0] == '[' ? parse_bracketed(&e, host, ret_why) : addr_parse_host(&e, host, to_bind, ret_why);
    if (r < 0)
        return r;
    if (e.sa.sa_family == AF_INET)
        e.v4.sin_port = htons(port);
    else
        e.v6.sin6_port = htons(port);
    *ret = e;
    return 0;
}

int endpoint_parse(struct endpoint *ret, const char *text, bool to_bind, const char **ret_why)
{
    if (strncmp(text, "tcp://", 6) == 0)
        return parse_tcp(ret, text + 6, to_bind, ret_why);
    if (strncmp(text, "ipc://", 6) == 0)
        return parse_ipc(ret, text + 6, ret_why);
    return addr_refuse(ret_why, "an endpoint begins with tcp:// or ipc://");
}

int endpoint_parse_address(struct endpoint *ret, const char *text, bool to_bind, const char **ret_why)
{
    const char *colon = strrchr(text, ':');
    bool has_port = colon && !strchr(colon, ']');
    if (strstr(text, "://"))
        return addr_refuse(ret_why, "it is an address and port alone");
    if (!has_port && text[0] && text[strspn(text, "0123456789")] == '\0')
        return addr_refuse(ret_why, "the address in front of the port is missing");
    if (!has_port)
        return addr_refuse(ret_why, "the port behind the address is missing");
    if (colon == text)
        return addr_refuse(ret_why, "the address in front of the port is missing");
    return parse_tcp(ret, text, to_bind, ret_why);
}

static char *format_ipc(char *dst, size_t size, const struct endpoint *e)
{
    size_t len = e->len - offsetof(struct sockaddr_un, sun_path);
    bool abstract = len > 0 && e->un.sun_path[0] == '\0';
    if (abstract)
        snprintf(dst, size, "ipc://@%.*s", (int)len - 1, e->un.sun_path + 1);
    else
        snprintf(dst, size, "ipc://%.*s", (int)len, e->un.sun_path);
    return dst;
}

char *endpoint_format(char *dst, size_t size, const struct endpoint *e)
{
    char host[INET6_ADDRSTRLEN], scope[16] = "";
    if (e->kind == ENDPOINT_IPC)
        return format_ipc(dst, size, e);
    if (e->sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &e->v4.sin_addr, host, sizeof(host));
        snprintf(dst, size, "tcp://%s:%u", host, ntohs(e->v4.sin_port));
        return dst;
    }
    inet_ntop(AF_INET6, &e->v6.sin6_addr, host, sizeof(host));
    if (e->v6.sin6_scope_id)
        snprintf(scope, sizeof(scope), "%%%u", e->v6.sin6_scope_id);
    snprintf(dst, size, "tcp://[%s%s]:%u", host, scope, ntohs(e->v6.sin6_port));
    return dst;
}
