/* SPDX-License-Identifier: MPL-2.0 */
/* One connection of a flood: the handshake by the rules, then whatever the flood sends. */
#include "flood.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READY_ROOM    512
#define WRITES_A_TURN 8
#define READS_A_TURN  1024 /* of a connection that reads now and then: all that is there, with an end */
#define READING_PART  4    /* of its time: one part in so many */
#define RETRY_NS      (10 * NS_PER_MS)

struct figures figures;

/* ---- one connection ---- */

static void watch(int ep, struct peer *p, const struct options *o)
{
    bool reads = (!o->never_read && !o->read_every_ns) || p->stage < PEER_FLOODING;
    bool writes = p->stage == PEER_CONNECTING || p->out_len > 0 || (p->stage == PEER_FLOODING && o->every_ns == 0);
    struct epoll_event event = {.events = (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u) | EPOLLRDHUP,
                                .data.ptr = p};

    epoll_ctl(ep, EPOLL_CTL_MOD, p->fd, &event);
}

void peer_open(int ep, struct peer *p, const struct options *o, uint64_t now)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = p};

    if (figures.opened + figures.failed >= o->opens)
        return;
    p->fd = target_connect(&o->target, figures.opened + figures.failed,
                           o->never_read      ? 4096
                           : o->read_every_ns ? 65536
                                              : 0);
    if (p->fd < 0) {
        figures.failed++;
        p->next_ns = now + RETRY_NS;
        return;
    }
    figures.opened++;
    figures.open++;
    p->stage = PEER_CONNECTING;
    p->units = p->body = p->next_ns = 0;
    p->in_len = p->out_len = p->out_off = 0;
    p->read_ns = o->read_every_ns ? now + p->random % o->read_every_ns : 0; /* no two read together */
    epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &event);
}

static void peer_close(struct peer *p)
{
    if (p->stage == PEER_HOLDING)
        figures.holding--;
    figures.open--;
    close(p->fd);
    p->fd = -1;
    p->stage = PEER_CLOSED;
    p->next_ns = 0;
}

/* All is sent. A polite end first says so (and lets the other side read everything); RST spares the ports of this
 * machine. */
static void peer_finish(struct peer *p, const struct options *o)
{
    struct linger abort_it = {.l_onoff = 1, .l_linger = 0};

    figures.finished++;
    if (o->end == END_HOLD) {
        p->stage = PEER_HOLDING;
        figures.holding++;
        return;
    }
    if (o->end == END_RESET)
        setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
    else
        shutdown(p->fd, SHUT_WR);
    peer_close(p);
}

/* False when the connection is gone. */
static bool flush(struct peer *p)
{
    while (p->out_off < p->out_len) {
        ssize_t n = send(p->fd, p->out + p->out_off, p->out_len - p->out_off, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0)
            return false;
        p->out_off += (size_t)n;
        figures.sent_bytes += (uint64_t)n;
    }
    p->out_off = p->out_len = 0;
    return true;
}

static bool refill(struct peer *p, const struct options *o, uint64_t now)
{
    uint64_t before = p->units;

    if (now < p->next_ns)
        return true;
    p->out_len = o->flood->fill(p, o, p->out, o->chunk);
    figures.units += p->units - before;
    p->next_ns = o->every_ns ? now + o->every_ns : 0;
    if (p->out_len == 0)
        peer_finish(p, o);
    return p->stage != PEER_CLOSED;
}

static bool pump(struct peer *p, const struct options *o, uint64_t now)
{
    for (int turn = 0; turn < WRITES_A_TURN; turn++) {
        if (!flush(p))
            return false;
        if (p->out_len > 0 || p->stage != PEER_FLOODING)
            return true;
        if (now < p->next_ns)
            return true;
        if (!refill(p, o, now))
            return true;
    }
    return true;
}

static void begin(struct peer *p)
{
    figures.established++;
    p->stage = PEER_FLOODING;
}

static void connected(struct peer *p, const struct options *o)
{
    if (o->start == START_CONNECTED) {
        begin(p);
        return;
    }
    p->out_len = flood_greeting(o, p->out);
    p->stage = PEER_GREETING;
}

/* The length of the frame at the start of `in`, once it is known; 0 before. */
static uint64_t frame_length(const uint8_t *in, size_t len)
{
    uint64_t size = 0;

    if (len < 2)
        return 0;
    if (!(in[0] & 0x02))
        return 2 + (uint64_t)in[1];
    if (len < 9)
        return 0;
    for (int i = 1; i < 9; i++)
        size = size << 8 | in[i];
    return 9 + size;
}

static void greeted(struct peer *p, const struct options *o)
{
    memmove(p->in, p->in + 64, p->in_len - 64);
    p->in_len -= 64;
    if (o->start == START_GREETED) {
        begin(p);
        return;
    }
    p->out_len += flood_ready(o, p->out + p->out_len, READY_ROOM);
    p->stage = PEER_HANDSHAKE;
}

/* Takes the handshake further with what has come. */
static void step(struct peer *p, const struct options *o)
{
    uint64_t need;

    if (p->stage == PEER_GREETING && p->in_len >= 64)
        greeted(p, o);
    if (p->stage != PEER_HANDSHAKE)
        return;
    need = frame_length(p->in, p->in_len);
    if (need != 0 && (p->in_len >= need || p->in_len == PEER_IN_BYTES))
        begin(p);
}

/* False when the peer has ended the connection. */
static bool drain(struct peer *p, const struct options *o)
{
    static uint8_t scratch[65536];
    bool shakes = p->stage == PEER_GREETING || p->stage == PEER_HANDSHAKE;
    ssize_t n = shakes ? recv(p->fd, p->in + p->in_len, PEER_IN_BYTES - p->in_len, 0)
                       : recv(p->fd, scratch, sizeof(scratch), 0);

    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    figures.received_bytes += (uint64_t)n;
    if (!shakes)
        return true;
    p->in_len += (size_t)n;
    step(p, o);
    return true;
}

/* A connection attempt that failed was none. */
static void lost(struct peer *p, uint64_t now)
{
    bool was_connecting = p->stage == PEER_CONNECTING;

    peer_close(p);
    if (!was_connecting) {
        figures.ended_by_peer++;
        return;
    }
    figures.failed++;
    figures.opened--;
    p->next_ns = now + RETRY_NS;
}

void peer_on_event(int ep, struct peer *p, const struct options *o, uint32_t events, uint64_t now)
{
    bool alive = !(events & EPOLLERR);

    if (alive && p->stage == PEER_CONNECTING && events & EPOLLOUT)
        connected(p, o);
    if (alive && events & EPOLLIN)
        alive = drain(p, o);
    else if (alive && events & (EPOLLHUP | EPOLLRDHUP))
        alive = false;
    if (alive)
        alive = pump(p, o, now);
    if (!alive)
        lost(p, now);
    if (p->stage != PEER_CLOSED)
        watch(ep, p, o);
}

/* Reads all that has come. False when the peer has ended the connection. */
static bool read_all(struct peer *p, const struct options *o, uint64_t now)
{
    if (now >= p->read_ns + o->read_every_ns / READING_PART) {
        p->read_ns += o->read_every_ns;
        return true;
    }
    for (int turn = 0; turn < READS_A_TURN; turn++) {
        uint64_t before = figures.received_bytes;

        if (!drain(p, o))
            return false;
        if (figures.received_bytes == before)
            return true;
    }
    return true;
}

/* Floods with a pause between writes are driven by the clock, not by room in the socket; so is reading with one. */
void peer_on_time(int ep, struct peer *p, const struct options *o, uint64_t now)
{
    bool writes = o->every_ns && p->stage == PEER_FLOODING && now >= p->next_ns;
    bool reads = o->read_every_ns && p->stage >= PEER_FLOODING && now >= p->read_ns;

    if (!writes && !reads)
        return;
    if ((reads && !read_all(p, o, now)) || (writes && !pump(p, o, now)))
        lost(p, now);
    if (p->stage != PEER_CLOSED)
        watch(ep, p, o);
}
