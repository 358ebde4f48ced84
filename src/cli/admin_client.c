/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/admin_client.h"

#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define READ_FIRST 16384u

static int admin_client_fail(char why[static ADMIN_CLIENT_WHY_MAX], const char *fmt, ...) PRINTF(2, 3);

static int admin_client_fail(char why[static ADMIN_CLIENT_WHY_MAX], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, ADMIN_CLIENT_WHY_MAX, fmt, ap);
    va_end(ap);
    return -1;
}

/* ---- the socket ---- */

/* 0 when ready, or -errno. */
static int admin_client_wait_for(int fd, short events, uint64_t until_ns)
{
    for (;;) {
        uint64_t now_ns = clock_now_ns();
        struct pollfd p = {.fd = fd, .events = events};
        if (now_ns >= until_ns)
            return -ETIMEDOUT;
        int n = poll(&p, 1, (int)((until_ns - now_ns) / NS_PER_MS + 1));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

/* A descriptor, or -errno. */
static int dial(const struct endpoint *to, uint64_t until_ns)
{
    int error = 0;
    socklen_t len = sizeof(error);
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, &to->sa, to->len) == 0)
        return fd;
    error = errno == EINPROGRESS ? -admin_client_wait_for(fd, POLLOUT, until_ns) : errno;
    if (!error && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (!error)
        return fd;
    close(fd);
    return -error;
}

static int send_all(int fd, const char *bytes, size_t len, uint64_t until_ns)
{
    while (len > 0) {
        int error = admin_client_wait_for(fd, POLLOUT, until_ns);
        ssize_t n = error ? -1 : send(fd, bytes, len, MSG_NOSIGNAL);
        if (error)
            return error;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

struct bytes_read {
    char *at; /* NUL-terminated */
    size_t len, room;
};

static int admin_client_grow(struct bytes_read *b)
{
    size_t room = b->room ? 2 * b->room : READ_FIRST;
    if (room > 2 * ADMIN_CLIENT_MOST)
        return -EMSGSIZE;
    char *at = realloc(b->at, room);
    if (!at)
        return -ENOMEM;
    b->at = at;
    b->room = room;
    return 0;
}

/* Everything until the other side closes. */
static int admin_client_read_all(int fd, struct bytes_read *b, uint64_t until_ns)
{
    for (;;) {
        int error = b->room - b->len < 2 ? admin_client_grow(b) : 0;
        if (!error)
            error = admin_client_wait_for(fd, POLLIN, until_ns);
        if (error)
            return error;
        ssize_t n = recv(fd, b->at + b->len, b->room - b->len - 1, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return -errno;
        b->len += (size_t)n;
        b->at[b->len] = '\0';
        if (n == 0)
            return 0;
    }
}

/* ---- HTTP ---- */

/* The value of a header in the head, which ends at `end`; NULL: there is none. */
static const char *header(const char *head, const char *end, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line))) && ++line < end;)
        if ((size_t)(end - line) > len && strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " \t");
    return NULL;
}

int admin_client_parse(const char *bytes, size_t len, unsigned *ret_status, const char **ret_body, size_t *ret_body_len)
{
    uint64_t announced, status;
    char number[24];
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end || len < 12 || strncmp(bytes, "HTTP/1.", 7) != 0 || bytes[8] != ' ')
        return -1;
    snprintf(number, sizeof(number), "%.3s", bytes + 9);
    if (units_parse_count(number, &status) || status < 100 || status > 599)
        return -1;
    size_t body_len = len - (size_t)(end + 4 - bytes);
    const char *length = header(bytes, end + 2, "Content-Length");
    if (length) {
        snprintf(number, sizeof(number), "%.*s", (int)strspn(length, "0123456789"), length);
        if (units_parse_count(number, &announced) || announced != body_len)
            return -1;
    }
    *ret_status = (unsigned)status;
    *ret_body = end + 4;
    *ret_body_len = body_len;
    return 0;
}

/* The whole request, in memory owned by the caller; NULL when out of memory. */
static char *request_of(const struct admin_client *c, const char *method, const char *path, const char *body)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fprintf(out, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, path, c->address);
    if (c->token)
        fprintf(out, "Authorization: Bearer %s\r\nAccept: application/json\r\n", c->token);
    if (*body)
        fprintf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    fprintf(out, "\r\n%s", body);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static int exchange(const struct admin_client *c, const char *request, struct bytes_read *ret,
                    char why[static ADMIN_CLIENT_WHY_MAX])
{
    uint64_t until_ns = clock_now_ns() + ADMIN_CLIENT_PATIENCE_S * NS_PER_S;
    int fd = dial(&c->to, until_ns);
    if (fd < 0)
        return admin_client_fail(
            why,
            "no Weir can be reached at %s: %s (is it running, with admin.listen or --admin? another address is "
            "given with --admin)",
            c->address, strerror(-fd));
    int error = send_all(fd, request, strlen(request), until_ns);
    /* An early answer may have arrived although not everything was sent. */
    int heard = admin_client_read_all(fd, ret, until_ns);
    close(fd);
    if (heard == -EMSGSIZE)
        return admin_client_fail(why, "the answer of %s is too large: more than %zu bytes", c->address,
                                 ADMIN_CLIENT_MOST);
    if (heard && !ret->len)
        return admin_client_fail(why, "%s did not answer: %s", c->address, strerror(error ? -error : -heard));
    return 0;
}

/* The body of an answer of HTTP that is whole. */
static int unpack(const struct admin_client *c, const struct bytes_read *b, unsigned *ret_status, const char **ret_body,
                  size_t *ret_len, char why[static ADMIN_CLIENT_WHY_MAX])
{
    char start[64];
    if (!b->len)
        return admin_client_fail(why, "%s closed the connection without an answer", c->address);
    if (admin_client_parse(b->at, b->len, ret_status, ret_body, ret_len))
        return admin_client_fail(why, "what answers at %s is no admin address, or its answer was cut off: \"%s\"",
                                 c->address, text_escape(start, sizeof(start), b->at, b->len));
    return 0;
}

static int understand(const struct admin_client *c, const struct bytes_read *b, struct admin_answer *ret,
                      char why[static ADMIN_CLIENT_WHY_MAX])
{
    const char *body;
    size_t len;
    json_error_t error;
    char start[64];
    struct admin_answer a = {0};
    if (unpack(c, b, &a.status, &body, &len, why))
        return -1;
    a.document = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(a.document)) {
        json_decref(a.document);
        return admin_client_fail(why, "%s answered %u without a document of JSON: \"%s\"", c->address, a.status,
                                 text_escape(start, sizeof(start), body, len));
    }
    *ret = a;
    return 0;
}

int admin_client_ask(const struct admin_client *c, const char *method, const char *path, const char *body,
                     struct admin_answer *ret, char why[static ADMIN_CLIENT_WHY_MAX])
{
    struct bytes_read b = {0};
    char *request = request_of(c, method, path, body);
    if (!request)
        return admin_client_fail(why, "out of memory");
    int failed = exchange(c, request, &b, why) || understand(c, &b, ret, why);
    free(request);
    free(b.at);
    return failed ? -1 : 0;
}

int admin_client_get_page(const struct admin_client *c, const char *path, char **ret_text,
                          char why[static ADMIN_CLIENT_WHY_MAX])
{
    struct bytes_read b = {0};
    const char *body = "";
    size_t len = 0;
    unsigned status = 0;
    char *request = request_of(c, "GET", path, "");
    *ret_text = NULL;
    if (!request)
        return admin_client_fail(why, "out of memory");
    int failed = exchange(c, request, &b, why) || unpack(c, &b, &status, &body, &len, why);
    free(request);
    if (!failed && status != 200)
        failed = admin_client_fail(why, "%s answered %u: it has no page %s", c->address, status, path);
    if (!failed && !(*ret_text = strndup(body, len)))
        failed = admin_client_fail(why, "out of memory");
    free(b.at);
    return failed ? -1 : 0;
}
