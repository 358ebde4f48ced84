/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/programs.h"

#include "base/log.h"
#include "daemon/listening.h"
#include "daemon/program_search.h"
#include "relay/client_book.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <fcntl.h>

_Static_assert(RUN_UNIX_LISTENERS == CONFIG_GATES_MAX, "each gate has a place");

/* Copies of a listener in other processes may be closed without a word. */
#define LOOK_MS 1000

/* ---- making ---- */

static void random_hex(char *ret, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < digits; i++)
        ret[i] = hex[randombytes_uniform(16)];
    ret[digits] = '\0';
}

static int open_requests(struct programs *p)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int one = 1;
    p->requests = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->requests < 0)
        return -errno;
    memcpy(at.sun_path + 1, p->name, RUN_NAME_BYTES);
    if (bind(p->requests, (const struct sockaddr *)&at, offsetof(struct sockaddr_un, sun_path) + 1 + RUN_NAME_BYTES) <
            0 ||
        setsockopt(p->requests, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0)
        return -errno;
    return 0;
}

/* Programs may map it to read only: Weir's own mapping was there before the seal. */
static int open_table(struct programs *p)
{
    p->table_fd = memfd_create("weir-run", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (p->table_fd < 0 || ftruncate(p->table_fd, sizeof(*p->table)) < 0)
        return -errno;
    void *at = mmap(NULL, sizeof(*p->table), PROT_READ | PROT_WRITE, MAP_SHARED, p->table_fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    p->table = at;
    if (fcntl(p->table_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    return 0;
}

int programs_open(struct programs *p, FILE *errors)
{
    *p = (struct programs){.requests = -1, .table_fd = -1, .ready = -1, .command = -1, .lifeline = -1, .signals = -1};
    random_hex(p->name, RUN_NAME_BYTES);
    random_hex(p->token, RUN_TOKEN_BYTES);
    int error = open_requests(p);
    if (!error)
        error = open_table(p);
    if (error)
        fprintf(errors, "weir: run: cannot start: %s\n", strerror(-error));
    return error;
}

static void close_descriptor(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void programs_close(struct programs *p)
{
    int *const all[] = {&p->requests, &p->table_fd, &p->ready, &p->command, &p->lifeline, &p->signals};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        close_descriptor(all[i]);
    for (size_t i = 0; i < CONFIG_GATES_MAX; i++)
        if (p->at[i].open)
            close_descriptor(&p->at[i].process);
    if (p->table)
        munmap(p->table, sizeof(*p->table));
}

char *programs_setting(const struct programs *p, const char *ports, const char *marks)
{
    char *text = NULL;
    return asprintf(&text, "%s %s %s %s", p->name, p->token, ports, marks) < 0 ? NULL : text;
}

static int follow_process(pid_t pid)
{
    int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    return fd;
}

int programs_follow(struct programs *p)
{
    sigset_t hup;
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    p->signals = signalfd(-1, &hup, SFD_CLOEXEC | SFD_NONBLOCK);
    p->command = p->signals < 0 ? -1 : follow_process(p->command_pid);
    if (p->command < 0)
        return -errno;
    if (write(p->ready, "", 1) != 1)
        return -errno;
    close_descriptor(&p->ready);
    return 0;
}

/* ---- gates ---- */

/* NULL: it does not listen there any more. */
static void note_listener(struct programs *p, const struct program_gate *g, const struct endpoint *real)
{
    if (g->family == AF_UNIX)
        client_book_note_unix_listener(p->table, (unsigned)(g - p->at), g->number, real);
    else
        client_book_note_listener(p->table, g->family, (uint16_t)g->number, real ? &real->sa : NULL);
}

static void programs_end_gate(struct programs *p, struct relay *r, struct program_gate *g)
{
    relay_close_gate(r, g->gate);
    note_listener(p, g, NULL);
    close_descriptor(&g->process);
    g->open = false;
    LOG_INFO("gate %s: closed: nobody listens behind %s any more", g->name, g->listen);
}

/* Whether somebody still listens behind the gate; if not, it is closed. A kernel that does not tell is asked again when
 * the process has ended, and then not believed. */
static bool look_at_gate(struct programs *p, struct relay *r, struct program_gate *g)
{
    int listens =
        g->family == AF_UNIX ? listening_on_name(g->number) : listening_on_loopback(g->family, (uint16_t)g->number);
    if (listens > 0 || (listens < 0 && g->process != PROGRAM_ENDED))
        return true;
    programs_end_gate(p, r, g);
    return false;
}

static void look_at_all(struct programs *p, struct relay *r)
{
    for (size_t i = 0; i < CONFIG_GATES_MAX; i++)
        if (p->at[i].open)
            (void)look_at_gate(p, r, &p->at[i]);
}

/* Closes the gates at this port, or at Unix sockets, behind which nobody listens. */
static void programs_free(struct programs *p, struct relay *r, const struct run_request *q)
{
    for (size_t i = 0; i < CONFIG_GATES_MAX; i++) {
        struct program_gate *g = &p->at[i];
        if (g->open && (g->family == AF_UNIX ? q->family == AF_UNIX : g->real_port == q->number))
            (void)look_at_gate(p, r, g);
    }
}

static struct program_gate *gate_behind(struct programs *p, int family, uint32_t number)
{
    for (size_t i = 0; i < CONFIG_GATES_MAX; i++)
        if (p->at[i].open && p->at[i].family == family && p->at[i].number == number)
            return &p->at[i];
    return NULL;
}

static bool name_is_taken(const struct programs *p, const char *name)
{
    for (size_t i = 0; i < CONFIG_GATES_MAX; i++)
        if (p->at[i].open && !strcmp(p->at[i].name, name))
            return true;
    return false;
}

/* Room for the number that keeps several names apart. */
#define NAME_HEAD (CONFIG_NAME_MAX - 4)

/* The last part of a path, as far as a name may have its characters. */
static void name_path(char *ret, size_t size, const struct endpoint *at)
{
    const char *path = at->un.sun_path[0] ? at->un.sun_path : at->un.sun_path + 1, *last = strrchr(path, '/');
    snprintf(ret, size, "ipc-%.24s", last ? last + 1 : path);
    for (char *c = ret; *c; c++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *c))
            *c = '_';
}

/* "tcp-5555", "ipc-orders_sock"; of several listeners that share the port, from the second on "tcp-5555-2". */
static void name_gate(const struct programs *p, struct program_gate *g, const struct endpoint *at)
{
    char head[NAME_HEAD + 1];
    if (at->kind == ENDPOINT_IPC)
        name_path(head, sizeof(head), at);
    else
        snprintf(head, sizeof(head), "tcp-%u", endpoint_port(at));
    snprintf(g->name, sizeof(g->name), "%s", head);
    for (unsigned n = 2; name_is_taken(p, g->name); n++)
        snprintf(g->name, sizeof(g->name), "%s-%u", head, n);
}

static int int_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* A listening stream socket, over TCP or with a name of Unix, and where. */
static bool is_listener(int fd, struct endpoint *ret)
{
    socklen_t len = sizeof(ret->un);
    *ret = (struct endpoint){.kind = ENDPOINT_TCP};
    if (fd < 0 || int_option(fd, SO_ACCEPTCONN) != 1 || getsockname(fd, &ret->sa, &len) < 0)
        return false;
    ret->len = len;
    if (ret->sa.sa_family != AF_UNIX)
        return int_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
    ret->kind = ENDPOINT_IPC;
    return int_option(fd, SO_TYPE) == SOCK_STREAM && len > offsetof(struct sockaddr_un, sun_path);
}

/* Where the program listens really. */
static struct endpoint hidden_endpoint(int family, uint32_t number)
{
    struct endpoint e = {.kind = family == AF_UNIX ? ENDPOINT_IPC : ENDPOINT_TCP};
    uint16_t port = (uint16_t)number;
    if (family == AF_UNIX) {
        e.len = run_name_to(&e.un, number);
        return e;
    }
    if (family == AF_INET) {
        e.v4 = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        e.len = sizeof(e.v4);
    } else {
        e.v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        e.len = sizeof(e.v6);
    }
    return e;
}

static void tell_refused(const char *listen, int error)
{
    const char *why = error == -ENOENT   ? "no gate of the file is for this port, nor for tcp://*:*"
                      : error == -EMFILE ? "too many gates"
                                         : strerror(-error);
    LOG_WARN("run: %s listens without a gate: %s; weir serve can stand in front of it", listen, why);
}

/* Takes over `listener`. 0 or -errno. */
static int programs_begin_gate(struct programs *p, struct relay *r, const struct run_request *q, int listener,
                               pid_t pid)
{
    struct program_gate *g = NULL;
    struct endpoint real, to = hidden_endpoint((int)q->family, q->number);
    char forward[ENDPOINT_TEXT_MAX], listen_text[ENDPOINT_TEXT_MAX];
    for (size_t i = 0; !g && i < CONFIG_GATES_MAX; i++)
        g = p->at[i].open ? NULL : &p->at[i];
    if (!is_listener(listener, &real)) {
        close_descriptor(&listener);
        return -EINVAL;
    }
    endpoint_format(listen_text, sizeof(listen_text), &real);
    if (!g) {
        tell_refused(listen_text, -EMFILE);
        relay_count_refused(r);
        close_descriptor(&listener);
        return -EMFILE;
    }
    *g = (struct program_gate){.family = (int)q->family, .number = q->number, .process = -1};
    g->real_port = real.kind == ENDPOINT_TCP ? endpoint_port(&real) : 0;
    name_gate(p, g, &real);
    memcpy(g->listen, listen_text, sizeof(listen_text));
    note_listener(p, g, &real);
    /* Not of a Unix socket: its clients would be told that Weir listens. */
    if (real.kind == ENDPOINT_TCP)
        (void)listen(listener, SOMAXCONN);
    int gate = relay_open_gate(
        r, &(struct gate_opening){
               .name = g->name, .listener = listener, .forward = to, .book = p->table, .told = &q->told});
    if (gate < 0) {
        tell_refused(g->listen, gate);
        note_listener(p, g, NULL);
        return gate;
    }
    g->gate = (size_t)gate;
    g->open = true;
    g->process = follow_process(pid);
    fprintf(stderr, "weir: ready: %s -> %s\n", g->listen, endpoint_format(forward, sizeof(forward), &to));
    return 0;
}

/* ---- requests ---- */

struct request {
    struct run_request q;
    struct sockaddr_un from;
    socklen_t from_len;
    int fd;    /* attached; -1: none */
    pid_t pid; /* as the kernel says */
};

union attached {
    char bytes[CMSG_SPACE(4 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    struct cmsghdr align;
};

/* Of several attached descriptors all but the first are closed. */
static void take_descriptors(struct request *ret, const struct cmsghdr *c)
{
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
        if (ret->fd < 0)
            ret->fd = fd;
        else
            close(fd);
    }
}

static void take_attachments(struct request *ret, struct msghdr *m)
{
    ret->fd = -1;
    ret->pid = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        struct ucred cred;
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            take_descriptors(ret, c);
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&cred, CMSG_DATA(c), sizeof(cred));
        ret->pid = cred.pid;
    }
}

static bool is_number(const struct run_request *q)
{
    return ((q->family == AF_INET || q->family == AF_INET6) && q->number <= UINT16_MAX) ||
           (q->family == AF_UNIX && q->number < RUN_NAMES);
}

/* False: none is waiting. What is no request of a program is thrown away. */
static bool next_request(const struct programs *p, struct request *ret, bool *ret_valid)
{
    struct iovec iov = {.iov_base = &ret->q, .iov_len = sizeof(ret->q)};
    union attached a;
    struct msghdr m = {.msg_name = &ret->from,
                       .msg_namelen = sizeof(ret->from),
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = a.bytes,
                       .msg_controllen = sizeof(a.bytes)};
    ssize_t n = recvmsg(p->requests, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0)
        return false;
    ret->from_len = m.msg_namelen;
    take_attachments(ret, &m);
    *ret_valid = n == (ssize_t)sizeof(ret->q) && ret->q.protocol == RUN_PROTOCOL &&
                 sodium_memcmp(ret->q.token, p->token, RUN_TOKEN_BYTES) == 0 &&
                 (is_number(&ret->q) || ret->q.kind == RUN_TABLE);
    if (!*ret_valid)
        close_descriptor(&ret->fd);
    return true;
}

/* A program that does not take its answer gets none. */
static void programs_answer(const struct programs *p, const struct request *to, int error, int fd)
{
    struct run_reply a = {.protocol = RUN_PROTOCOL, .kind = to->q.kind, .error = error};
    memcpy(a.token, p->token, sizeof(a.token));
    struct iovec iov = {.iov_base = &a, .iov_len = sizeof(a)};
    union attached attached = {{0}};
    struct msghdr m = {.msg_name = (void *)&to->from, .msg_namelen = to->from_len, .msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = attached.bytes;
        m.msg_controllen = CMSG_SPACE(sizeof(fd));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd))};
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    (void)sendmsg(p->requests, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* 0, or a positive errno. */
static int programs_begin_count(const struct programs *p, struct relay *r, const struct program_gate *g,
                                struct request *q)
{
    if (p->no_counter || !g || q->fd < 0)
        return p->no_counter ? EPERM : EINVAL;
    int line = q->fd;
    q->fd = -1;
    return -relay_count_at(r, g->gate, line);
}

/* 0, or a positive errno. */
static int programs_hand_over(struct relay *r, const struct program_gate *g, const struct run_request *q)
{
    int64_t on = 0;
    if (!g || !socket_options_get(&q->told, SOCKET_OPTION_ROUTER_HANDOVER, &on))
        return EINVAL;
    relay_hand_over(r, g->gate, on != 0);
    return 0;
}

static void programs_carry_out(struct programs *p, struct relay *r, struct request *q)
{
    struct program_gate *g = gate_behind(p, (int)q->q.family, q->q.number);
    switch (q->q.kind) {
    case RUN_TABLE:
        programs_answer(p, q, 0, p->table_fd);
        break;
    case RUN_OPEN:
        if (g) /* closed without a word; the kernel has given its port away again */
            programs_end_gate(p, r, g);
        programs_answer(p, q, -programs_begin_gate(p, r, &q->q, q->fd, q->pid), -1);
        return;
    case RUN_CLOSED:
        programs_answer(p, q, g && look_at_gate(p, r, g), -1);
        break;
    case RUN_LOOK:
        programs_free(p, r, &q->q);
        programs_answer(p, q, 0, -1);
        break;
    case RUN_COUNT:
        programs_answer(p, q, programs_begin_count(p, r, g, q), -1);
        break;
    case RUN_HANDOVER:
        programs_answer(p, q, programs_hand_over(r, g, &q->q), -1);
        break;
    default:
        programs_answer(p, q, EINVAL, -1);
    }
    close_descriptor(&q->fd);
}

static void serve_requests(struct programs *p, struct relay *r)
{
    struct request q;
    bool valid;
    while (next_request(p, &q, &valid))
        if (valid)
            programs_carry_out(p, r, &q);
}

/* ---- waiting ---- */

enum { WAIT_REQUESTS, WAIT_SIGNALS, WAIT_COMMAND, WAIT_LIFELINE, WAIT_GATES };

static unsigned list_waits(const struct programs *p, struct pollfd *ret)
{
    bool open = false;
    ret[WAIT_REQUESTS] = (struct pollfd){.fd = p->requests, .events = POLLIN};
    ret[WAIT_SIGNALS] = (struct pollfd){.fd = p->signals, .events = POLLIN};
    ret[WAIT_COMMAND] = (struct pollfd){.fd = p->command, .events = POLLIN};
    ret[WAIT_LIFELINE] = (struct pollfd){.fd = p->lifeline, .events = POLLIN};
    for (size_t i = 0; i < CONFIG_GATES_MAX; i++) {
        ret[WAIT_GATES + i] = (struct pollfd){.fd = p->at[i].open ? p->at[i].process : -1, .events = POLLIN};
        open |= p->at[i].open;
    }
    return open;
}

/* Forgets what has ended. Whether something has. */
static bool note_ends(struct programs *p, const struct pollfd *seen)
{
    bool some = seen[WAIT_COMMAND].revents || seen[WAIT_LIFELINE].revents;
    if (seen[WAIT_COMMAND].revents)
        close_descriptor(&p->command);
    if (seen[WAIT_LIFELINE].revents)
        close_descriptor(&p->lifeline);
    for (size_t i = 0; i < CONFIG_GATES_MAX; i++) {
        if (!seen[WAIT_GATES + i].revents)
            continue;
        close_descriptor(&p->at[i].process);
        p->at[i].process = PROGRAM_ENDED;
        some = true;
    }
    return some;
}

/* One that is left is followed in place of the command. */
static bool have_ended(struct programs *p)
{
    for (size_t i = 0; i < CONFIG_GATES_MAX; i++)
        if (p->at[i].open)
            return false;
    if (p->command < 0 && p->lifeline < 0)
        p->command = follow_process(program_search(RUN_ENV, p->name));
    return p->command < 0 && p->lifeline < 0;
}

static bool took_signal(const struct programs *p)
{
    struct signalfd_siginfo s;
    return read(p->signals, &s, sizeof(s)) == (ssize_t)sizeof(s);
}

enum programs_news programs_serve(struct programs *p, struct relay *r)
{
    while (!have_ended(p)) {
        struct pollfd waits[WAIT_GATES + CONFIG_GATES_MAX];
        bool open = list_waits(p, waits);
        int n = poll(waits, ARRAY_LEN(waits), open ? LOOK_MS : -1);
        if (n < 0)
            continue;
        /* What a program has asked before it ended comes first. */
        serve_requests(p, r);
        if (note_ends(p, waits) || n == 0)
            look_at_all(p, r);
        if (waits[WAIT_SIGNALS].revents && took_signal(p))
            return PROGRAMS_RELOAD;
    }
    return PROGRAMS_ENDED;
}
