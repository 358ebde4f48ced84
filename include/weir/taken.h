/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The counter: an application tells the Weir in front of it (`counter: PATH`) how many messages it has taken from a
 * socket, and when it found none. Then Weir knows which messages are worked on and which would only lie in libzmq's
 * queues. During a flood it holds back only the latter. Without a counter the same application is served as before. A
 * counter that is wrong costs protection, never throughput.
 *
 * One file, C11 and POSIX on Linux, with _GNU_SOURCE or -std=gnu11. From C++, include it in a C file of its own. Link
 * with -pthread. An application that includes zmq.h first has to write:
 *
 *     struct weir_taken *counter = weir_taken_open("/run/weir/main.taken");  // NULL and errno: see there
 *     weir_taken_recv(counter, &msg, socket, 0);                             // for zmq_msg_recv(&msg, socket, 0)
 *     weir_taken_poll(counter, socket, items, 2, -1);                        // for zmq_poll(items, 2, -1)
 *
 * An application that receives in another way calls weir_taken_asked(), weir_taken_took() and
 * weir_taken_found_nothing() itself.
 *
 * An application with a queue of its own (a broker, a pool of workers that receives eagerly) takes messages that it
 * does not work on yet. It says with weir_taken_credit() how many those are, and they count as not taken.
 *
 * libweir has all of this as functions of a shared library (weir/counter.h).
 *
 * Threads: there is one counter for each socket, used by the thread that has the socket. A second thread, of this file,
 * keeps up the heartbeat and finds a Weir that starts or restarts at any time. Open the counter after fork(2), not
 * before.
 *
 * Cost: some 25 ns a message where messages come within 3 us of one another, else 75 ns (two clock readings), and a
 * write(2) only when Weir waits for it. weir_taken_open() blocks for a second at most. No other function blocks, except
 * that weir_taken_recv() and weir_taken_poll() do so as the functions that they replace. With a NULL counter these two
 * only call the functions that they replace, and all others do nothing.
 *
 * Units: times are CLOCK_MONOTONIC in nanoseconds.
 *
 * Between the two processes: PATH is a Unix socket of Weir. A process that connects gets a struct taken_hello, and with
 * it two descriptors: the taken page, which is memory of 4224 bytes whose size nobody can change, and an eventfd that
 * wakes Weir. The connection stands as long as the counter is there. A second application gets EBUSY.
 *
 * The page:
 *
 *   field        written by  meaning
 *   magic, size  counter     the layout; written last when a counter begins
 *   generation   counter     one more each time a counter begins (a new process, a new socket); 0: no counter yet
 *   heartbeat    counter     CLOCK_MONOTONIC, at least each TAKEN_BEAT_NS, from a thread of its own: the process lives.
 *                            It does not show that messages are taken. Older than TAKEN_STALE_NS: there is no counter
 *   taken        counter     whole messages taken since the generation began
 *   empty_polls  counter     how often the application asked, found nothing and went on, without a wait or after it
 *   idle_since   counter     since when it waits for a message in a blocking call; 0: it does not, or that is not known
 *   takes[]      counter     when the last TAKEN_RING messages were taken, and when the application had asked for them:
 *                            it was busy from one `at` to the next `asked`. 0: not noted
 *   wake_taken   Weir        wake Weir when `taken` is at least this; UINT64_MAX: never
 *   wake_idle    Weir        wake Weir when a poll finds nothing
 *
 * Ordering: one thread writes at a time, since a ZeroMQ socket belongs to one. The ring entry is stored first, then
 * `taken` with release. Readers load `taken` with acquire, then the entries, and drop those that may have been
 * overwritten meanwhile. `idle_since`, `empty_polls` and wake_idle are stored and loaded seq_cst. So either Weir sees
 * that the application is idle, or the counter sees the wish. A take is not: that would cost each message 20 ns. If a
 * wish and a take cross, the next take or the next poll that finds nothing wakes Weir, and Weir looks each millisecond
 * while a message waits.
 */
#ifndef WEIR_TAKEN_PAGE
#define WEIR_TAKEN_PAGE

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TAKEN_MAGIC    0x57544b31u /* "WTK1" */
#define TAKEN_RING     256u
#define TAKEN_BEAT_NS  UINT64_C(500000000)
#define TAKEN_STALE_NS UINT64_C(10000000000)
#define TAKEN_MUST_USE __attribute__((warn_unused_result))

struct taken_entry {
    _Atomic uint64_t at_ns, asked_ns;
};

struct taken_page {
    _Atomic uint32_t magic, size;
    _Atomic uint64_t generation, heartbeat_ns;
    _Atomic uint64_t taken, empty_polls, idle_since_ns;
    uint64_t reserved[2];
    _Alignas(64) _Atomic uint64_t wake_taken;
    _Atomic uint32_t wake_idle;
    _Alignas(64) struct taken_entry takes[TAKEN_RING];
};

/* What Weir sends to a process that connects. If `error` is 0, the descriptors of the page and of the eventfd come with
 * it, in this order; else it is an errno. */
struct taken_hello {
    uint32_t magic, size; /* of the page */
    int32_t error;
    uint32_t reserved;
};

static inline void taken_page_beat(struct taken_page *p, uint64_t now_ns)
{
    atomic_store_explicit(&p->heartbeat_ns, now_ns, memory_order_relaxed);
}

/* A counter begins: a new generation. */
static inline void taken_page_begin(struct taken_page *p, uint64_t now_ns)
{
    atomic_store(&p->taken, 0);
    atomic_store(&p->empty_polls, 0);
    atomic_store(&p->idle_since_ns, 0);
    taken_page_beat(p, now_ns);
    atomic_fetch_add(&p->generation, 1);
    atomic_store(&p->size, sizeof(*p));
    atomic_store(&p->magic, TAKEN_MAGIC);
}

/* A message was taken, for which the application had asked at `asked_ns`. Returns whether Weir wants to be woken. */
TAKEN_MUST_USE static inline bool taken_page_took(struct taken_page *p, uint64_t asked_ns, uint64_t now_ns)
{
    uint64_t n = atomic_load_explicit(&p->taken, memory_order_relaxed);
    struct taken_entry *e = &p->takes[n % TAKEN_RING];
    atomic_store_explicit(&e->at_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&e->asked_ns, asked_ns, memory_order_relaxed);
    atomic_store_explicit(&p->idle_since_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&p->taken, n + 1, memory_order_release);
    return n + 1 >= atomic_load_explicit(&p->wake_taken, memory_order_relaxed);
}

/* A poll found nothing, and the application waits in it (`waits`) or goes on. Returns whether Weir wants to be
 * woken. */
TAKEN_MUST_USE static inline bool taken_page_found_nothing(struct taken_page *p, bool waits, uint64_t now_ns)
{
    bool waited = atomic_load_explicit(&p->idle_since_ns, memory_order_relaxed) != 0;
    if (!waits) {
        atomic_fetch_add(&p->empty_polls, 1);
        if (waited)
            atomic_store(&p->idle_since_ns, 0);
    } else if (!waited) {
        atomic_store(&p->idle_since_ns, now_ns);
    }
    return atomic_load(&p->wake_idle) != 0;
}

#endif

/* ---- an application's counter; Weir itself includes only the part above ---- */

#if !defined(WEIR_TAKEN_PAGE_ALONE) && !defined(WEIR_TAKEN_H)
#define WEIR_TAKEN_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WEIR_TAKEN_QUICK_NS UINT64_C(3000)
#define WEIR_TAKEN_SAMPLE   16u

/* The descriptors of a page: none; received by the heartbeat thread, which waits for the counting thread to take them
 * over; being taken over. */
enum weir_taken_offer { WEIR_TAKEN_NONE, WEIR_TAKEN_OFFERED, WEIR_TAKEN_ADOPTING };

struct weir_taken {
    struct taken_page *page; /* one address for good; at first own memory, then the page of each Weir */
    uint64_t asked_ns;       /* for the next message; 0: not yet, or not noted */
    bool has_asked, found_nothing, sparse;
    uint64_t noted_ns, noted; /* when the times of a message were last noted, and how many had been taken then */
    uint64_t woken_for;       /* the wish of Weir for which it was woken last */
    int wake_fd;              /* -1: none yet */
    bool within;              /* inside a message: more parts come */
    bool credits;             /* weir_taken_credit() was called */
    uint64_t in_hand;         /* received, and not counted as taken yet */

    _Atomic int offer; /* enum weir_taken_offer */
    int offered_page_fd, offered_wake_fd;

    /* the heartbeat thread only */
    pthread_t thread;
    struct sockaddr_un address;
    int line;    /* the connection with Weir; -1: none */
    int stop[2]; /* a pipe: closed at the end */
};

static inline uint64_t weir_taken_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline void weir_taken_shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- the connection with Weir ---- */

/* Waits until `fd` can be read, for `ms` milliseconds at most. False: that took too long, or the counter ends. */
static inline bool weir_taken_wait(const struct weir_taken *c, int fd, int ms)
{
    struct pollfd p[2] = {{.fd = c->stop[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    return poll(p, 2, ms) > 0 && !p[0].revents && p[1].revents;
}

/* Receives the hello of Weir with its descriptors. 0 or -errno. */
static inline int weir_taken_hear(int fd, int ret_fds[2])
{
    struct taken_hello hello;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec bytes = {.iov_base = &hello, .iov_len = sizeof(hello)};
    struct msghdr m = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    bool has_both =
        h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(2 * sizeof(int));
    if (has_both) {
        memcpy(ret_fds, CMSG_DATA(h), 2 * sizeof(int));
        (void)fcntl(ret_fds[0], F_SETFD, FD_CLOEXEC);
        (void)fcntl(ret_fds[1], F_SETFD, FD_CLOEXEC);
    }
    if (n <= 0)
        return n < 0 ? -errno : -ECONNRESET;
    if (n == (ssize_t)sizeof(hello) && hello.magic == TAKEN_MAGIC && hello.error)
        return -hello.error;
    if (has_both && n == (ssize_t)sizeof(hello) && hello.magic == TAKEN_MAGIC &&
        hello.size == sizeof(struct taken_page))
        return 0;
    if (has_both) {
        close(ret_fds[0]);
        close(ret_fds[1]);
    }
    return -EPROTO;
}

/* Offers the page that Weir sends over the connection `fd` to the counting thread. 0 or -errno; `fd` is taken over. */
static inline int weir_taken_greet(struct weir_taken *c, int fd)
{
    int fds[2] = {-1, -1}, error = weir_taken_wait(c, fd, 1000) ? weir_taken_hear(fd, fds) : -ETIMEDOUT;
    if (error) {
        close(fd);
        return error;
    }
    c->line = fd;
    c->offered_page_fd = fds[0];
    c->offered_wake_fd = fds[1];
    atomic_store(&c->offer, WEIR_TAKEN_OFFERED);
    return 0;
}

/* Asks Weir for a page. 0 or -errno: -ENOENT, -ECONNREFUSED and others when there is no Weir now, -EBUSY when there is
 * another counter, -ENOTCONN when the address of Weir is not known (weir_taken_open_on()). */
static inline int weir_taken_dial(struct weir_taken *c)
{
    if (!c->address.sun_path[0])
        return -ENOTCONN;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return -errno;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    if (connect(fd, (const struct sockaddr *)(const void *)&c->address, sizeof(c->address)) == 0)
        return weir_taken_greet(c, fd);
    int error = -errno;
    close(fd);
    return error;
}

/* The connection has ended, and so has Weir. There is nothing left to wake. */
static inline void weir_taken_hang_up(struct weir_taken *c)
{
    int offered = WEIR_TAKEN_OFFERED;
    weir_taken_shut(&c->line);
    if (atomic_compare_exchange_strong(&c->offer, &offered, WEIR_TAKEN_NONE)) {
        weir_taken_shut(&c->offered_page_fd);
        weir_taken_shut(&c->offered_wake_fd);
    }
    atomic_store(&c->page->wake_taken, UINT64_MAX);
    atomic_store(&c->page->wake_idle, 0);
}

static inline void *weir_taken_live(void *arg)
{
    struct weir_taken *c = (struct weir_taken *)arg;
    struct pollfd p[2] = {{.fd = c->stop[0], .events = POLLIN}};
    for (;;) {
        p[1] = (struct pollfd){.fd = c->line, .events = POLLIN};
        (void)poll(p, 2, (int)(TAKEN_BEAT_NS / 1000000));
        if (p[0].revents)
            return NULL;
        if (c->line >= 0 && p[1].revents) /* Weir sends nothing more, so it has closed */
            weir_taken_hang_up(c);
        else if (c->line < 0 && atomic_load(&c->offer) == WEIR_TAKEN_NONE)
            (void)weir_taken_dial(c);
        taken_page_beat(c->page, weir_taken_now_ns());
    }
}

/* ---- the counting thread ---- */

/* Maps the page of Weir over the one before it. After a restart of Weir this happens when the application next asks;
 * until then Weir has no counter. */
static inline void weir_taken_adopt(struct weir_taken *c)
{
    int offered = WEIR_TAKEN_OFFERED;
    if (!atomic_compare_exchange_strong(&c->offer, &offered, WEIR_TAKEN_ADOPTING))
        return;
    void *at = mmap(c->page, sizeof(*c->page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, c->offered_page_fd, 0);
    if (at != MAP_FAILED) {
        weir_taken_shut(&c->wake_fd);
        c->wake_fd = c->offered_wake_fd;
        c->offered_wake_fd = -1;
        taken_page_begin(c->page, weir_taken_now_ns());
        c->woken_for = UINT64_MAX;
        c->noted = 0;
    }
    weir_taken_shut(&c->offered_page_fd);
    weir_taken_shut(&c->offered_wake_fd);
    atomic_store(&c->offer, WEIR_TAKEN_NONE);
}

/* Whether the times of the next message are noted. Where messages follow one another within WEIR_TAKEN_QUICK_NS,
 * reading a clock twice for each would cost more than 2 %: there, the first after a pause and two in WEIR_TAKEN_SAMPLE
 * are. */
static inline bool weir_taken_notes_times(const struct weir_taken *c)
{
    return !c->sparse || c->found_nothing ||
           atomic_load_explicit(&c->page->taken, memory_order_relaxed) % WEIR_TAKEN_SAMPLE < 2;
}

static inline void weir_taken_note(struct weir_taken *c, uint64_t now_ns)
{
    uint64_t taken = atomic_load_explicit(&c->page->taken, memory_order_relaxed);
    c->sparse = now_ns - c->noted_ns < WEIR_TAKEN_QUICK_NS * (taken - c->noted);
    c->noted_ns = now_ns;
    c->noted = taken;
}

static inline void weir_taken_wake(const struct weir_taken *c)
{
    uint64_t one = 1;
    int before = errno;
    ssize_t ignored = write(c->wake_fd, &one, sizeof(one));
    (void)ignored;
    errno = before;
}

/* The application is about to receive or to poll. If it asks repeatedly, the first time counts: by then it was done
 * with the message before. */
static inline void weir_taken_asked(struct weir_taken *c)
{
    if (!c)
        return;
    if (atomic_load_explicit(&c->offer, memory_order_relaxed) == WEIR_TAKEN_OFFERED)
        weir_taken_adopt(c);
    if (c->in_hand) /* it is not done with those: when it is, it says so */
        return;
    if (!c->has_asked)
        c->asked_ns = weir_taken_notes_times(c) ? weir_taken_now_ns() : 0;
    c->has_asked = true;
}

/* A message counts as taken. */
static inline void weir_taken_count(struct weir_taken *c)
{
    uint64_t now_ns = weir_taken_notes_times(c) ? weir_taken_now_ns() : 0;
    bool wanted = taken_page_took(c->page, c->has_asked ? c->asked_ns : now_ns, now_ns);
    uint64_t wish = wanted ? atomic_load(&c->page->wake_taken) : UINT64_MAX;
    if (now_ns)
        weir_taken_note(c, now_ns);
    c->has_asked = c->found_nothing = false;
    if (!wanted || wish == c->woken_for) /* once: Weir may need a while until it wishes anew */
        return;
    c->woken_for = wish;
    weir_taken_wake(c);
}

/* The application has taken a message, with the last of its parts. With weir_taken_credit() it then is in hand. */
static inline void weir_taken_took(struct weir_taken *c)
{
    if (!c)
        return;
    if (!c->credits) {
        weir_taken_count(c);
        return;
    }
    c->in_hand++;
    atomic_store(&c->page->idle_since_ns, 0); /* it has something to do */
}

/* Of the messages that the application has taken, `in_hand` wait in a queue of its own, and it works on the others.
 * Messages that are taken later are in hand until the next call says otherwise, so call this each time that the queue
 * has changed. The first call begins it: call weir_taken_credit(c, 0) before the first message. While something is in
 * hand, the application does not count as idle. More than were taken since then cannot be in hand. */
static inline void weir_taken_credit(struct weir_taken *c, uint64_t in_hand)
{
    if (!c)
        return;
    c->credits = true;
    for (; c->in_hand > in_hand; c->in_hand--)
        weir_taken_count(c);
}

/* How many of the next messages may be reported together, by weir_taken_took_quickly(), since their times would not be
 * noted: 0 where messages do not follow one another within WEIR_TAKEN_QUICK_NS. Call it after weir_taken_took(). */
static inline unsigned weir_taken_may_delay(const struct weir_taken *c)
{
    unsigned place = (unsigned)(atomic_load_explicit(&c->page->taken, memory_order_relaxed) % WEIR_TAKEN_SAMPLE);
    return c->sparse && !c->credits && place ? WEIR_TAKEN_SAMPLE - place : 0;
}

/* The application has taken `n` messages since it last said something, at most so many as it might delay. */
static inline void weir_taken_took_quickly(struct weir_taken *c, unsigned n)
{
    struct taken_page *p = c->page;
    uint64_t taken = atomic_load_explicit(&p->taken, memory_order_relaxed);
    if (!n)
        return;
    for (unsigned i = 0; i < n; i++) {
        struct taken_entry *e = &p->takes[(taken + i) % TAKEN_RING];
        atomic_store_explicit(&e->at_ns, 0, memory_order_relaxed);
        atomic_store_explicit(&e->asked_ns, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&p->taken, taken + n, memory_order_release);
    uint64_t wish = atomic_load_explicit(&p->wake_taken, memory_order_relaxed);
    if (taken + n < wish || wish == c->woken_for)
        return;
    c->woken_for = wish;
    weir_taken_wake(c);
}

/* The application has asked and there was no message. `waits`: it now waits for one in a call that blocks. If that call
 * ends without a message, call this once more, with false. */
static inline void weir_taken_found_nothing(struct weir_taken *c, bool waits)
{
    if (!c || c->in_hand)
        return;
    c->found_nothing = true;
    if (taken_page_found_nothing(c->page, waits, weir_taken_now_ns()))
        weir_taken_wake(c);
}

/* ---- beginning and end ---- */

static inline bool weir_taken_is_lasting(int error)
{
    return error == -EACCES || error == -EPERM || error == -EBUSY || error == -EPROTO;
}

static inline void weir_taken_free(struct weir_taken *c)
{
    weir_taken_shut(&c->line);
    weir_taken_shut(&c->wake_fd);
    weir_taken_shut(&c->offered_page_fd);
    weir_taken_shut(&c->offered_wake_fd);
    weir_taken_shut(&c->stop[0]);
    weir_taken_shut(&c->stop[1]);
    if (c->page)
        munmap(c->page, sizeof(*c->page));
    free(c);
}

/* Memory of its own until Weir sends a page. */
static inline int weir_taken_prepare(struct weir_taken *c)
{
    void *page = mmap(NULL, sizeof(*c->page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -errno;
    c->page = (struct taken_page *)page;
    atomic_store(&c->page->wake_taken, UINT64_MAX);
    if (pipe(c->stop) < 0)
        return -errno;
    (void)fcntl(c->stop[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(c->stop[1], F_SETFD, FD_CLOEXEC);
    return 0;
}

static inline int weir_taken_reach(struct weir_taken *c, const char *path)
{
    if (strlen(path) >= sizeof(c->address.sun_path))
        return -ENAMETOOLONG;
    c->address.sun_family = AF_UNIX;
    memcpy(c->address.sun_path, path, strlen(path) + 1);
    int error = weir_taken_dial(c);
    return error && weir_taken_is_lasting(error) ? error : 0;
}

/* Starts the heartbeat thread, to which no signal of the application is delivered. 0 or -errno. */
static inline int weir_taken_start(struct weir_taken *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&c->thread, NULL, weir_taken_live, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

/* `path`, or a connection that is taken over. */
static inline struct weir_taken *weir_taken_begin(const char *path, int line)
{
    struct weir_taken *c = (struct weir_taken *)calloc(1, sizeof(*c));
    int error = c ? 0 : -ENOMEM;
    if (c) {
        c->wake_fd = c->offered_page_fd = c->offered_wake_fd = c->line = c->stop[0] = c->stop[1] = -1;
        error = weir_taken_prepare(c);
    }
    if (error && line >= 0)
        close(line);
    if (!error)
        error = path ? weir_taken_reach(c, path) : weir_taken_greet(c, line);
    if (!error) {
        weir_taken_adopt(c);
        error = weir_taken_start(c);
    }
    if (!error)
        return c;
    if (c)
        weir_taken_free(c);
    errno = -error;
    return NULL;
}

/* Opens a counter for the gate with `counter: PATH`. A Weir that is not there yet is found when it comes. The caller
 * owns the counter until weir_taken_close(). An application may go on with NULL, which comes with errno:
 *
 *   EBUSY         another counter has the page, and its heartbeat is fresh
 *   EACCES        this user may not connect to PATH: it has to be in the socket's group
 *   EPROTO        a Weir with another layout
 *   ENAMETOOLONG  PATH is too long
 *   others        no memory, descriptors or threads
 */
static inline struct weir_taken *weir_taken_open(const char *path)
{
    return weir_taken_begin(path, -1);
}

/* The same over a connection on which Weir has sent, or is about to send, what it sends to a process that connects.
 * The connection is taken over in any case. When it ends, the counter counts for nobody. */
static inline struct weir_taken *weir_taken_open_on(int line)
{
    return weir_taken_begin(NULL, line);
}

static inline void weir_taken_close(struct weir_taken *c)
{
    if (!c)
        return;
    weir_taken_shut(&c->stop[1]);
    pthread_join(c->thread, NULL);
    weir_taken_free(c);
}

/* Tells Weir that the counter has gone, from a thread other than the one that uses it. The counting thread may go on
 * with it, to no effect; its memory and one descriptor stay for good. */
static inline void weir_taken_leave(struct weir_taken *c)
{
    if (!c)
        return;
    weir_taken_shut(&c->stop[1]);
    pthread_join(c->thread, NULL);
    weir_taken_shut(&c->line);
}

/* In the child after fork(2), in place of weir_taken_close(): the counter stays the parent's. Calls async-signal-safe
 * functions only; what the child has of the counter's memory is not freed. */
static inline void weir_taken_forget(struct weir_taken *c)
{
    if (!c)
        return;
    weir_taken_shut(&c->line);
    weir_taken_shut(&c->wake_fd);
    weir_taken_shut(&c->offered_page_fd);
    weir_taken_shut(&c->offered_wake_fd);
    weir_taken_shut(&c->stop[0]);
    weir_taken_shut(&c->stop[1]);
    munmap(c->page, sizeof(*c->page));
}

/* ---- replacements of libzmq's functions ---- */

#ifdef ZMQ_VERSION

/* As zmq_msg_recv(): same results and errno. The thread that has the socket. */
static inline int weir_taken_recv(struct weir_taken *c, zmq_msg_t *msg, void *socket, int flags)
{
    if (!c)
        return zmq_msg_recv(msg, socket, flags);
    if (!c->within)
        weir_taken_asked(c);
    int bytes = zmq_msg_recv(msg, socket, flags | ZMQ_DONTWAIT);
    if (bytes < 0 && errno == EAGAIN) {
        bool waits = !(flags & ZMQ_DONTWAIT);
        weir_taken_found_nothing(c, waits);
        if (waits)
            bytes = zmq_msg_recv(msg, socket, flags);
        if (waits && bytes < 0)
            weir_taken_found_nothing(c, false);
    }
    if (bytes < 0)
        return bytes;
    c->within = zmq_msg_more(msg) != 0;
    if (!c->within)
        weir_taken_took(c);
    return bytes;
}

static inline bool weir_taken_is_readable(void *socket, const zmq_pollitem_t *items, int count)
{
    for (int i = 0; i < count; i++)
        if (items[i].socket == socket && (items[i].revents & ZMQ_POLLIN))
            return true;
    return false;
}

/* As zmq_poll(), with `socket` among the items; then receive with weir_taken_recv(). The thread that has the socket. */
static inline int weir_taken_poll(struct weir_taken *c, void *socket, zmq_pollitem_t *items, int count, long timeout_ms)
{
    if (!c)
        return zmq_poll(items, count, timeout_ms);
    weir_taken_asked(c);
    int ready = zmq_poll(items, count, 0);
    if (ready < 0 || weir_taken_is_readable(socket, items, count))
        return ready;
    bool waits = ready == 0 && timeout_ms != 0;
    weir_taken_found_nothing(c, waits);
    if (!waits)
        return ready;
    ready = zmq_poll(items, count, timeout_ms);
    if (ready <= 0 || !weir_taken_is_readable(socket, items, count))
        weir_taken_found_nothing(c, false);
    return ready;
}

#endif
#endif
