/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/admin.h"

#include "admin/auth.h"
#include "admin/conn_slots.h"
#include "admin/http.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG           64
#define IDLE_SECONDS      10u
#define REQUEST_MAX_BYTES ((size_t)16 << 10)

struct admin {
    struct http *http;
    struct auth door;
    struct MHD_Daemon *daemon;
    char address[ADDR_TEXT_MAX];
};

static int admin_listen_at(const struct sockaddr_storage *at, socklen_t len)
{
    int one = 1;
    int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    /* a restart must not wait for the last scrape's TIME_WAIT */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)at, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static void note_address(struct admin *a, int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);
    struct addr addr;

    if (getsockname(fd, (struct sockaddr *)&at, &len) == 0) {
        addr_from_sockaddr(&addr, (const struct sockaddr *)&at);
        addr_format(a->address, sizeof(a->address), &addr);
        http_set_address(a->http, &addr);
    }
}

/*
 * Starts with every signal blocked, so that the new thread takes none of those that the main thread waits for. Uses
 * poll(2): with epoll(7), which the library uses edge-triggered, half-closed connections would stay until their time is
 * over.
 */
static struct MHD_Daemon *start_daemon(struct http *h, int fd)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, http_answer, h, /* options: */
                         MHD_OPTION_LISTEN_SOCKET, fd,                                              /* */
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONN_SLOTS,                         /* */
                         MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,                               /* */
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MAX_BYTES,                     /* */
                         MHD_OPTION_NOTIFY_CONNECTION, http_connection, h,                          /* */
                         MHD_OPTION_NOTIFY_COMPLETED, http_completed, h,                            /* */
                         MHD_OPTION_STRICT_FOR_CLIENT, 1,                                           /* */
                         MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

/* 0, or -errno with *ret_what saying what failed. */
static int admin_begin(struct admin *a, const struct config *c, struct relay *r, const struct admin_callbacks *calls,
                       const char **ret_what)
{
    *ret_what = "no memory";
    a->http = http_new(r, &a->door, calls);
    if (!a->http)
        return -ENOMEM;
    *ret_what = "cannot listen (choose another address with admin.listen or --admin)";
    int fd = admin_listen_at(&c->admin.addr, c->admin.addr_len);
    if (fd < 0)
        return fd;
    note_address(a, fd);
    *ret_what = "cannot start the thread (is a limit of threads, memory or descriptors reached?)";
    errno = EAGAIN;
    a->daemon = start_daemon(a->http, fd);
    if (a->daemon)
        return 0;
    int error = errno;
    close(fd); /* the daemon would own it only from here */
    return -error;
}

struct admin *admin_start(const struct config *c, struct relay *r, const struct admin_callbacks *calls, FILE *errors)
{
    const char *what = "no memory";
    char why[TOKEN_WHY_MAX] = "";
    struct admin *a = calloc(1, sizeof(*a));

    if (a)
        auth_init(&a->door);
    int error = a ? admin_read_token(a, c->admin.token_file, why) : -ENOMEM;
    if (error == 0) {
        admin_take_token(a);
        error = admin_begin(a, c, r, calls, &what);
    }
    if (error == 0)
        return a;
    if (why[0])
        fprintf(errors, "admin: %s\n", why);
    else
        fprintf(errors, "admin %s: %s: %s\n", c->admin.text, what, strerror(-error));
    admin_stop(a);
    return NULL;
}

int admin_read_token(struct admin *a, const char *path, char why[static TOKEN_WHY_MAX])
{
    return a ? auth_read(&a->door, path, why) : 0;
}

void admin_take_token(struct admin *a)
{
    if (a)
        auth_take(&a->door);
}

const char *admin_address(const struct admin *a)
{
    return a->address;
}

void admin_stop(struct admin *a)
{
    if (!a)
        return;
    if (a->daemon)
        MHD_stop_daemon(a->daemon);
    http_free(a->http);
    auth_fini(&a->door);
    free(a);
}
