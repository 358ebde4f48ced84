/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/moved.h"

#include "preload/lookup_table.h"
#include "preload/request.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By descriptor: family and loopback port, or number of the name; 0: not moved. */
#define NOTE_NUMBER UINT32_C(0x0fffff)
#define NOTE_V4     UINT32_C(0x100000)
#define NOTE_V6     UINT32_C(0x200000)
#define NOTE_UNIX   UINT32_C(0x400000)
static _Atomic uint32_t notes[MOVED_MOST];

static uint32_t moved_note(int fd)
{
    return fd >= 0 && fd < MOVED_MOST ? atomic_load_explicit(&notes[fd], memory_order_relaxed) : 0;
}

uint32_t moved_take(int fd)
{
    return moved_note(fd) ? atomic_exchange(&notes[fd], 0) : 0;
}

void moved_keep(int fd, uint32_t note)
{
    uint32_t none = 0;
    if (note)
        atomic_compare_exchange_strong(&notes[fd], &none, note);
}

static __thread enum ungated left;
static __thread const struct socket_options *to_tell; /* NULL: libzmq is out of reach */
static __thread uint32_t opened;                      /* a note */

void moved_leave(enum ungated why)
{
    left = why;
}

bool moved_may_be(int fd)
{
    return moved_note(fd) != 0;
}

void moved_tell(const struct socket_options *told)
{
    to_tell = told;
}

static uint32_t note_of(int family, uint32_t number)
{
    return number | (family == AF_UNIX ? NOTE_UNIX : family == AF_INET6 ? NOTE_V6 : NOTE_V4);
}

static int family_of(uint32_t note)
{
    return note & NOTE_UNIX ? AF_UNIX : note & NOTE_V6 ? AF_INET6 : AF_INET;
}

bool moved_is(int fd, const struct sockaddr *own)
{
    uint32_t note = moved_note(fd);
    if (!note || own->sa_family != family_of(note))
        return false;
    if (note & NOTE_UNIX)
        return run_number_of(own) == (int)(note & NOTE_NUMBER);
    return (note & NOTE_NUMBER) == run_port_of(own) && run_source_of(own) >= 0;
}

static _Atomic unsigned end_of_notes;

unsigned moved_end_of_notes(void)
{
    return atomic_load(&end_of_notes);
}

static void set_note(int fd, uint32_t note)
{
    if (fd < 0 || fd >= MOVED_MOST)
        return;
    unsigned end = atomic_load(&end_of_notes);
    while (end <= (unsigned)fd && !atomic_compare_exchange_weak(&end_of_notes, &end, (unsigned)fd + 1))
        ;
    atomic_store(&notes[fd], note);
}

void moved_copy(int fd, int copy)
{
    uint32_t note = moved_note(fd);
    if (note)
        set_note(copy, note);
}

/* ---- the hidden socket ---- */

static void copy_option(int from, int to, int level, int option)
{
    int value;
    socklen_t len = sizeof(value);
    if (getsockopt(from, level, option, &value, &len) == 0)
        (void)setsockopt(to, level, option, &value, sizeof(value));
}

/* A buffer's size, if it was set: one that was not grows by itself. The kernel tells twice what was set. */
static void copy_buffer(int from, int to, int option)
{
    int set, usual;
    socklen_t len = sizeof(set);
    if (getsockopt(from, SOL_SOCKET, option, &set, &len) < 0 || getsockopt(to, SOL_SOCKET, option, &usual, &len) < 0 ||
        set == usual)
        return;
    set /= 2;
    (void)setsockopt(to, SOL_SOCKET, option, &set, sizeof(set));
}

/* What accepted connections inherit, and what a program may ask its listener for. */
static const struct {
    int level, option;
} inherited[] = {{SOL_SOCKET, SO_REUSEADDR},      {SOL_SOCKET, SO_KEEPALIVE},  {IPPROTO_TCP, TCP_NODELAY},
                 {IPPROTO_TCP, TCP_KEEPCNT},      {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPINTVL},
                 {IPPROTO_TCP, TCP_USER_TIMEOUT}, {IPPROTO_IP, IP_TOS},        {IPPROTO_IPV6, IPV6_TCLASS},
                 {SOL_SOCKET, SO_PRIORITY}}; /* last: IP_TOS sets it, too */

static void copy_options(int from, int to)
{
    for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++)
        copy_option(from, to, inherited[i].level, inherited[i].option);
    copy_buffer(from, to, SO_RCVBUF);
    copy_buffer(from, to, SO_SNDBUF);
}

/* To a free port of loopback, or a name that the kernel chooses. */
static bool bind_hidden(int fd, int family)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const void *at = family == AF_INET ? (const void *)&v4 : &v6;
    if (family == AF_UNIX)
        return syscall(SYS_bind, fd, &any, sizeof(any.sun_family)) == 0;
    return syscall(SYS_bind, fd, at, family == AF_INET ? sizeof(v4) : sizeof(v6)) == 0;
}

/* A socket that listens where nobody looks for it, or -1. */
static int listen_hidden(int like, int family, int backlog, uint32_t *ret_number)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);
    int fd = (int)syscall(SYS_socket, family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    copy_options(like, fd);
    if (bind_hidden(fd, family) && syscall(SYS_listen, fd, backlog) == 0 &&
        syscall(SYS_getsockname, fd, &at, &len) == 0) {
        const struct sockaddr *own = (const struct sockaddr *)&at;
        *ret_number = family == AF_UNIX ? (uint32_t)run_number_of(own) : run_port_of(own);
        if (*ret_number <= NOTE_NUMBER)
            return fd;
    }
    syscall(SYS_close, fd);
    return -1;
}

/* ---- moving ---- */

/* Takes over `hidden`. The program's settings of the descriptor stay. */
static void moved_take_place(int fd, int hidden, int status, uint32_t note)
{
    int flags = fcntl(fd, F_GETFD);
    (void)fcntl(hidden, F_SETFL, status);
    set_note(fd, note);
    syscall(SYS_dup3, hidden, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    syscall(SYS_close, hidden);
}

/* A program that cannot tell its clients apart is better off without a gate: its lists of addresses would let everybody
 * in. Before the first client comes, a descriptor and room to map the table are there more likely than then. */
static bool has_table(const struct setting *s)
{
    if (lookup_table_at_last(s))
        return true;
    bool there = request_make(s, RUN_LOOK, AF_INET, 0, -1, NULL) != REQUEST_UNANSWERED;
    ungated_say(there ? UNGATED_NO_TABLE : UNGATED_NO_WEIR);
    return false;
}

void moved_begin(const struct setting *s, int fd, int backlog)
{
    int before = errno, family = 0, status = fcntl(fd, F_GETFL);
    socklen_t len = sizeof(family);
    uint32_t number = 0;
    if (left != UNGATED_NOTHING) {
        ungated_say(left);
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 || status < 0)
        return;
    if (!has_table(s)) {
        errno = before;
        return;
    }
    int hidden = listen_hidden(fd, family, backlog, &number);
    int refused = hidden < 0 ? 0 : request_tell(s, RUN_OPEN, family, number, fd, to_tell);
    if (hidden < 0)
        ungated_say(UNGATED_NO_PORT);
    else if (refused == REQUEST_UNANSWERED) /* of other refusals, Weir itself says why */
        ungated_say(UNGATED_NO_WEIR);
    if (hidden >= 0 && refused == 0)
        moved_take_place(fd, hidden, status, opened = note_of(family, number));
    else if (hidden >= 0)
        syscall(SYS_close, hidden);
    errno = before;
}

uint32_t moved_gate(void)
{
    uint32_t gate = opened;
    opened = 0;
    return gate;
}

void moved_hand_over(uint32_t gate, bool on)
{
    const struct setting *s = setting_get();
    struct socket_options told = {0};
    socket_options_set(&told, SOCKET_OPTION_ROUTER_HANDOVER, on);
    if (s)
        (void)request_tell(s, RUN_HANDOVER, family_of(gate), gate & NOTE_NUMBER, -1, &told);
}

int moved_count_at(uint32_t gate)
{
    const struct setting *s = setting_get();
    int ends[2];
    if (!s || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return s ? -errno : -EPERM;
    int refused = request_make(s, RUN_COUNT, family_of(gate), gate & NOTE_NUMBER, ends[1], NULL);
    syscall(SYS_close, ends[1]);
    if (refused == 0)
        return ends[0];
    syscall(SYS_close, ends[0]);
    return refused == REQUEST_UNANSWERED ? -ETIMEDOUT : -refused;
}

void moved_end(const struct setting *s, int fd, uint32_t note)
{
    /* Somebody may still listen, when it was a copy. Between vfork() and exec() that is the parent, whose memory this
     * is: so the note stays. At worst, Weir is asked once more for nothing. */
    if (request_make(s, RUN_CLOSED, family_of(note), note & NOTE_NUMBER, -1, NULL) == 1)
        moved_keep(fd, note);
}

/* Paths are in use for as long as their file is there, whoever listens. */
static bool is_abstract(const struct sockaddr *at, socklen_t len)
{
    return at->sa_family == AF_UNIX && len > sizeof(at->sa_family) && at->sa_data[0] == '\0';
}

bool moved_frees(const struct setting *s, const struct sockaddr *at, socklen_t len)
{
    if (!at || len < sizeof(at->sa_family))
        return false;
    if (is_abstract(at, len))
        return request_make(s, RUN_LOOK, AF_UNIX, 0, -1, NULL) == 0;
    if (len < sizeof(struct sockaddr_in) || (at->sa_family != AF_INET && at->sa_family != AF_INET6))
        return false;
    return request_make(s, RUN_LOOK, at->sa_family, run_port_of(at), -1, NULL) == 0;
}
