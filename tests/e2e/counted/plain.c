/* SPDX-License-Identifier: MPL-2.0 */
/*
 * An ordinary libzmq application that knows nothing of Weir, for `weir count`.
 *
 *   plain CALL ENDPOINT...  a ROUTER for each endpoint, in a thread of its own, that sends back what it receives by
 * CALL: recv, msg_recv, recvmsg, recviov, poll (all waiting messages after each poll), lone-poll (one), events (ZMQ_FD
 * and ZMQ_EVENTS), moves (two threads have the socket in turn), timeout (ZMQ_RCVTIMEO), device (zmq_proxy() to a thread
 * that echoes) plain fork ENDPOINT     as recv, with a child that has inherited the socket and tries to receive from it
 *   plain results ENDPOINT  calls everything that receives or waits, right and wrong, and prints results and errno
 *
 * Says "ready ENDPOINT..." and ends with its standard input.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define SOCKETS_MOST 16
#define PARTS_MOST   16
#define PART_BYTES   4096

#define CHILD_SECONDS 20 /* it outlives its parent in the tests */

struct plain {
    const char *call;
    void *context, *socket;
    pthread_mutex_t lock; /* moves: who has it has the socket */
};

struct parts {
    char bytes[PARTS_MOST][PART_BYTES];
    size_t sizes[PARTS_MOST];
    int count;
};

/* ---- receiving ---- */

static bool has_more(void *socket)
{
    int more = 0;
    size_t bytes = sizeof(more);
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &bytes) == 0 && more;
}

static int receive_part(const struct plain *p, struct parts *m, int flags)
{
    char *into = m->bytes[m->count];
    if (strcmp(p->call, "msg_recv") != 0 && strcmp(p->call, "recvmsg") != 0)
        return zmq_recv(p->socket, into, PART_BYTES, flags);
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    int n = p->call[0] == 'm' ? zmq_msg_recv(&msg, p->socket, flags) : zmq_recvmsg(p->socket, &msg, flags);
    if (n > 0)
        memcpy(into, zmq_msg_data(&msg), (size_t)n);
    zmq_msg_close(&msg);
    return n;
}

static bool receive_vector(const struct plain *p, struct parts *m, int flags)
{
    struct iovec v[PARTS_MOST];
    size_t count = 2; /* fewer than there are: the rest comes with the next call */
    int n = zmq_recviov(p->socket, v, &count, flags);
    for (size_t i = 0; n > 0 && i < count; i++) {
        memcpy(m->bytes[m->count], v[i].iov_base, v[i].iov_len);
        m->sizes[m->count++] = v[i].iov_len;
        free(v[i].iov_base);
    }
    return n > 0;
}

/* False: there is no message, or the context ends. */
static bool receive(const struct plain *p, struct parts *m, int flags)
{
    m->count = 0;
    do {
        if (strcmp(p->call, "recviov") == 0) {
            if (!receive_vector(p, m, flags))
                return false;
            continue;
        }
        int n = receive_part(p, m, flags);
        if (n < 0)
            return false;
        m->sizes[m->count++] = (size_t)n;
    } while (has_more(p->socket));
    return true;
}

static void send_back(const struct plain *p, struct parts *m)
{
    for (int i = 0; i < m->count; i++)
        zmq_send(p->socket, m->bytes[i], m->sizes[i], i + 1 < m->count ? ZMQ_SNDMORE : 0);
}

/* ---- waiting ---- */

static bool is_readable(const struct plain *p)
{
    int events = 0;
    size_t bytes = sizeof(events);
    return zmq_getsockopt(p->socket, ZMQ_EVENTS, &events, &bytes) == 0 && (events & ZMQ_POLLIN);
}

static void wait_for_event(const struct plain *p)
{
    int fd = -1;
    size_t bytes = sizeof(fd);
    if (is_readable(p) || zmq_getsockopt(p->socket, ZMQ_FD, &fd, &bytes) < 0)
        return;
    struct pollfd f = {.fd = fd, .events = POLLIN};
    (void)poll(&f, 1, 1000);
}

static void wait_for_message(const struct plain *p)
{
    zmq_pollitem_t item = {.socket = p->socket, .events = ZMQ_POLLIN};
    if (strcmp(p->call, "events") == 0)
        wait_for_event(p);
    else
        (void)zmq_poll(&item, 1, -1);
}

static void *serve_polling(struct plain *p)
{
    struct parts *m = calloc(1, sizeof(*m));
    bool lone = strcmp(p->call, "lone-poll") == 0;
    for (;;) {
        wait_for_message(p);
        while (receive(p, m, ZMQ_DONTWAIT)) {
            send_back(p, m);
            if (lone)
                break;
        }
    }
    return NULL;
}

static void *serve_blocking(struct plain *p)
{
    struct parts *m = calloc(1, sizeof(*m));
    bool moves = strcmp(p->call, "moves") == 0;
    for (;;) {
        if (moves)
            pthread_mutex_lock(&p->lock);
        if (receive(p, m, 0))
            send_back(p, m);
        if (moves) {
            pthread_mutex_unlock(&p->lock);
            usleep(100); /* the other thread's turn */
        }
    }
    return NULL;
}

static void *serve_behind(void *arg)
{
    struct plain back = {.call = "recv", .socket = zmq_socket(arg, ZMQ_REP)};
    zmq_connect(back.socket, "inproc://back");
    return serve_blocking(&back);
}

static void *serve_proxy(struct plain *p)
{
    pthread_t thread;
    void *back = zmq_socket(p->context, ZMQ_DEALER);
    zmq_bind(back, "inproc://back");
    pthread_create(&thread, NULL, serve_behind, p->context);
    zmq_proxy(p->socket, back, NULL);
    return NULL;
}

static void *serve(void *arg)
{
    struct plain *p = arg;
    if (strcmp(p->call, "device") == 0)
        return serve_proxy(p);
    bool polls = strcmp(p->call, "poll") == 0 || strcmp(p->call, "lone-poll") == 0 || strcmp(p->call, "events") == 0;
    return polls ? serve_polling(p) : serve_blocking(p);
}

static void start(struct plain *p, const char *endpoint)
{
    pthread_t thread;
    int timeout_ms = 50;
    char bound[256];
    size_t bytes = sizeof(bound);
    p->socket = zmq_socket(p->context, ZMQ_ROUTER);
    if (strcmp(p->call, "timeout") == 0)
        zmq_setsockopt(p->socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof(timeout_ms));
    if (zmq_bind(p->socket, endpoint) < 0) {
        perror(endpoint);
        exit(1);
    }
    zmq_getsockopt(p->socket, ZMQ_LAST_ENDPOINT, bound, &bytes);
    printf(" %s", bound);
    pthread_mutex_init(&p->lock, NULL);
    if (strcmp(p->call, "fork") == 0 && fork() == 0) {
        char byte;
        int n = zmq_recv(p->socket, &byte, 1, ZMQ_DONTWAIT);
        fprintf(stderr, "child: %d %s\n", n, strerror(errno));
        sleep(CHILD_SECONDS);
        _exit(0);
    }
    pthread_create(&thread, NULL, serve, p);
    if (strcmp(p->call, "moves") == 0)
        pthread_create(&thread, NULL, serve, p);
}

/* ---- results ---- */

static void said(const char *what, long result)
{
    int error = errno;
    printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(error) : "");
}

static void on_alarm(int signal)
{
    (void)signal;
}

static void interrupt_soon(void)
{
    struct itimerval soon = {.it_value = {.tv_usec = 50000}};
    struct sigaction act = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
}

static void *end_context(void *context)
{
    usleep(50000);
    zmq_ctx_term(context);
    return NULL;
}

static void call_each(const char *when, void *socket, int flags)
{
    char buffer[4] = "";
    zmq_msg_t msg;
    struct iovec v[4];
    size_t count = 4;
    zmq_msg_init(&msg);
    printf("-- %s\n", when);
    said("recv", zmq_recv(socket, buffer, sizeof(buffer), flags));
    printf("buffer %.4s, more %d\n", buffer, socket && has_more(socket));
    said("msg_recv", zmq_msg_recv(&msg, socket, flags));
    printf("size %zu, more %d\n", zmq_msg_size(&msg), zmq_msg_more(&msg));
    said("recvmsg", zmq_recvmsg(socket, &msg, flags));
    said("recviov", zmq_recviov(socket, v, &count, flags));
    for (size_t i = 0; i < count && count < 4; i++)
        printf("part of %zu\n", v[i].iov_len);
    zmq_msg_close(&msg);
}

static void poll_each(const char *when, void *socket, long timeout_ms)
{
    zmq_pollitem_t items[] = {{.socket = socket, .events = ZMQ_POLLIN}, {.socket = socket, .events = ZMQ_POLLOUT}};
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    printf("-- %s\n", when);
    said("poll", zmq_poll(items, 2, timeout_ms));
    clock_gettime(CLOCK_MONOTONIC, &b);
    long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
    printf("revents %d %d, %s\n", items[0].revents, items[1].revents, ms + 1 >= timeout_ms ? "waited" : "not waited");
    said("poll nothing", zmq_poll(NULL, 0, 0));
    said("poll no socket", zmq_poll(&(zmq_pollitem_t){.socket = NULL, .fd = -1, .events = ZMQ_POLLIN}, 1, 0));
}

static void print_events(void *socket)
{
    int events = -1;
    size_t bytes = sizeof(events);
    said("events", zmq_getsockopt(socket, ZMQ_EVENTS, &events, &bytes));
    printf("events %d\n", events);
    bytes = 1;
    said("events, no room", zmq_getsockopt(socket, ZMQ_EVENTS, &events, &bytes));
}

static int print_results(const char *endpoint)
{
    void *context = zmq_ctx_new(), *pull = zmq_socket(context, ZMQ_PULL), *push = zmq_socket(context, ZMQ_PUSH);
    int ms = 30;
    pthread_t thread;
    said("bind", zmq_bind(pull, endpoint));
    said("bind again", zmq_bind(pull, "tcp://nowhere"));
    call_each("nothing there", pull, ZMQ_DONTWAIT);
    poll_each("nothing there", pull, 40);
    print_events(pull);
    zmq_setsockopt(pull, ZMQ_RCVTIMEO, &ms, sizeof(ms));
    call_each("a timeout", pull, 0);
    ms = -1;
    zmq_setsockopt(pull, ZMQ_RCVTIMEO, &ms, sizeof(ms));
    interrupt_soon();
    poll_each("interrupted", pull, 10000);
    interrupt_soon();
    said("recv, interrupted", zmq_recv(pull, NULL, 0, 0));
    zmq_connect(push, endpoint);
    for (int i = 0; i < 8; i++) {
        zmq_send(push, "first part", 10, ZMQ_SNDMORE);
        zmq_send(push, "end", 3, 0);
    }
    poll_each("messages", pull, 10000);
    print_events(pull);
    call_each("messages", pull, 0);
    call_each("messages", pull, ZMQ_DONTWAIT);
    said("recv of nothing", zmq_recv(pull, NULL, 0, 0));
    call_each("no socket", NULL, 0);
    said("unbind", zmq_unbind(pull, endpoint));
    said("unbind again", zmq_unbind(pull, endpoint));
    while (zmq_recv(pull, NULL, 0, ZMQ_DONTWAIT) >= 0)
        continue;
    zmq_close(push);
    pthread_create(&thread, NULL, end_context, context);
    call_each("the context ends", pull, 0);
    poll_each("the context has ended", pull, 1000);
    said("close", zmq_close(pull));
    said("close no socket", zmq_close(NULL));
    pthread_join(thread, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    static struct plain each[SOCKETS_MOST];
    char byte;
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
    if (argc < 3)
        return 2;
    if (strcmp(argv[1], "results") == 0)
        return print_results(argv[2]);
    void *context = zmq_ctx_new();
    printf("ready");
    for (int i = 0; argv[i + 2] && i < SOCKETS_MOST; i++) {
        each[i] = (struct plain){.call = argv[1], .context = context};
        start(&each[i], argv[i + 2]);
    }
    printf("\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    _exit(0);
}
