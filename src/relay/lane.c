/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/lane.h"

#include "base/clock.h"
#include "relay/buffer_room.h"
#include "relay/half_open.h"
#include "relay/reach.h"
#include "relay/record.h"
#include "relay/record.h"
#include "relay/request_flow.h"
#include "relay/request_shed.h"
#include "relay/shadow.h"
#include "relay/slow_reader.h"
#include "relay/strangers.h"
#include "relay/strike_scoring.h"
#include "relay/topic_room.h"
#include "zmtp/command.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The time until the next try when the kernel had no memory for a write (ENOBUFS of Unix sockets). */
#define STARVED_NS (10 * NS_PER_MS)

/* Bytes that one turn may move before others have theirs. */
#define TURN_BYTES (256u * 1024u)

/* A smaller buffer replaces a larger one only above this. */
#define SHRINK_ABOVE_BYTES 4096u

/* Up to this many held bytes are copied in front of a read. */
#define HELD_SMALL_BYTES 4096u

static enum metric_cell lane_pick(const struct lane *l, enum metric_cell in, enum metric_cell out)
{
    return l->traffic.inbound ? in : out;
}

void lane_init(struct lane *l, bool inbound, bool zmtp2, bool curve, bool subscriber)
{
    memset(l, 0, sizeof(*l));
    l->read_log2 = LANE_READ_LOG2_FIRST;
    traffic_init(&l->traffic, inbound, zmtp2, curve, subscriber);
}

/* ---- the buffer ---- */

static void drop_buffer(struct lane *l, struct session *s)
{
    if (!l->buf)
        return;
    cell_sub(session_cells(s), CELL_HELD, l->cap);
    buffer_room_gave(s, l->cap);
    bufpool_put(&s->wg->worker->loop.pool, l->buf, l->cap);
    l->buf = NULL;
    l->cap = l->start = l->ready = l->scanned = l->end = 0;
}

void lane_fini(struct lane *l, struct session *s)
{
    struct traffic_context c = session_context(s);
    drop_buffer(l, s);
    traffic_fini(&l->traffic, &c);
}

/* Takes a buffer of at least `need` bytes; the caller handles the contents of the old one. False: no memory, nothing
 * changed. */
static bool swap_buffer(struct lane *l, struct session *s, size_t need, uint8_t **ret_old, uint32_t *ret_old_cap)
{
    uint32_t cap;
    uint8_t *buf = need <= BUFPOOL_MAX_BYTES ? bufpool_get(&s->wg->worker->loop.pool, need, &cap) : NULL;
    if (!buf)
        return false;
    cell_add(session_cells(s), CELL_HELD, cap);
    buffer_room_took(s, cap);
    *ret_old = l->buf;
    *ret_old_cap = l->cap;
    l->buf = buf;
    l->cap = cap;
    return true;
}

static void put_back(struct session *s, uint8_t *buf, uint32_t cap)
{
    if (!buf)
        return;
    cell_sub(session_cells(s), CELL_HELD, cap);
    buffer_room_gave(s, cap);
    bufpool_put(&s->wg->worker->loop.pool, buf, cap);
}

/* Makes room for `more` bytes behind `end`, by moving everything to the front. */
static bool lane_make_room(struct lane *l, struct session *s, size_t more)
{
    size_t used = l->end - l->start;
    if (l->end + more <= l->cap)
        return true;
    uint8_t *old = NULL, *from = used ? l->buf + l->start : NULL;
    uint32_t old_cap = 0;
    if (used + more > l->cap && !swap_buffer(l, s, used + more, &old, &old_cap))
        return false;
    if (used)
        memmove(l->buf, from, used);
    put_back(s, old, old_cap);
    l->ready -= l->start;
    l->scanned -= l->start;
    l->end -= l->start;
    l->start = 0;
    return true;
}

bool lane_preload(struct lane *l, struct session *s, struct bytes bytes)
{
    if (bytes.len == 0)
        return true;
    if (!lane_make_room(l, s, bytes.len))
        return false;
    memcpy(l->buf + l->end, bytes.at, bytes.len);
    l->end += (uint32_t)bytes.len;
    return true;
}

/* ---- writing ---- */

static void mark_blocked(struct lane *l, struct session *s)
{
    lane_to(l, s)->writable = false;
    if (l->read_log2 > LANE_READ_LOG2_MIN)
        l->read_log2--;
    if (l->blocked)
        return;
    l->blocked = true;
    l->blocked_ns = session_now_ns(s);
    cell_add(session_cells(s), lane_pick(l, CELL_BLOCKED_IN, CELL_BLOCKED_OUT), 1);
    session_hold(s);
    if (l->traffic.inbound)
        return;
    request_flow_unread(s, true);
    slow_reader_begin(s);
}

/* Time that the receiver or Weir took does not count against the sender of the incomplete message. */
static void restart_clock(struct lane *l, struct session *s)
{
    if (l->traffic.inbound && s->progress.begun_ns)
        s->progress.begun_ns = session_now_ns(s);
}

static void mark_flowing(struct lane *l, struct session *s)
{
    if (!l->blocked)
        return;
    l->blocked = false;
    if (!l->traffic.inbound) {
        s->slow.flowing_ns = session_now_ns(s);
        request_flow_unread(s, false);
    }
    if (s->slow.laggard && !l->traffic.inbound)
        session_arm(s, s->slow.flowing_ns + SLOW_READER_CAUGHT_UP_NS);
    session_wake(s);
    cell_sub(session_cells(s), lane_pick(l, CELL_BLOCKED_IN, CELL_BLOCKED_OUT), 1);
    restart_clock(l, s);
}

static void resume(struct lane *l, struct session *s)
{
    if (!l->paused)
        return;
    l->paused = false;
    cell_sub(session_cells(s), CELL_PAUSED, 1);
}

/* The receiver is gone. If it is the application, its end still delivers what it has sent; if it is the client, the
 * session is over. */
static void on_write_error(struct lane *l, struct session *s)
{
    if (!l->traffic.inbound) {
        session_end(s, VERDICT_PASS);
        return;
    }
    drop_buffer(l, s);
    l->eof = l->shut = true;
    mark_flowing(l, s);
    resume(l, s);
    s->progress.begun_ns = 0;
    lane_to(l, s)->readable = true;
}

static ssize_t send_message(int fd, const struct msghdr *m)
{
    ssize_t n;
    do
        n = sendmsg(fd, m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

void lane_try_starved(struct lane *l, struct session *s)
{
    struct socket_side *to = lane_to(l, s);
    to->writable |= to->starved;
    to->starved = false;
}

/* Writes `iov`; returns the bytes taken, or -1 when the session or lane has ended. */
static ssize_t write_spans(struct lane *l, struct session *s, struct iovec *iov, unsigned count, size_t total)
{
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t n = 0;
    if (lane_to(l, s)->writable)
        n = send_message(lane_to(l, s)->watch.fd, &m);
    if (n < 0 && errno == ENOBUFS) {
        lane_to(l, s)->starved = true;
        session_arm(s, session_now_ns(s) + STARVED_NS);
    }
    if (n < 0 && errno != EAGAIN && errno != ENOBUFS) {
        on_write_error(l, s);
        return -1;
    }
    if (n < 0)
        n = 0;
    cell_add(session_cells(s), lane_pick(l, CELL_SENT_IN, CELL_SENT_OUT), (uint64_t)n);
    l->passed += (uint64_t)n;
    if (n > 0 && l->blocked)
        l->blocked_ns = session_now_ns(s);
    if (!l->traffic.inbound && s->flags.broadcast && !s->slow.laggard)
        lag_told(&s->wg->gate->lag, (uint64_t)n,
                 atomic_load_explicit(&s->wg->gate->counts.established, memory_order_relaxed));
    if ((size_t)n < total)
        mark_blocked(l, s);
    return n;
}

/* Writes the bytes admitted before. True when all of them are gone. */
static bool flush(struct lane *l, struct session *s)
{
    if (l->start < l->ready) {
        struct iovec iov = {l->buf + l->start, l->ready - l->start};
        ssize_t n = write_spans(l, s, &iov, 1, iov.iov_len);
        if (n < 0)
            return false;
        l->start += (uint32_t)n;
        if (l->start < l->ready)
            return false;
    }
    mark_flowing(l, s);
    if (l->start == l->end)
        drop_buffer(l, s);
    return true;
}

/* ---- reading ---- */

/* Bytes to be judged: [base, end), of which [base, scan) were judged before. In the lane's own buffer, or in the
 * worker's scratch. */
struct window {
    uint8_t *base, *scan, *end;
    bool in_scratch;
};

static void on_read_end(struct lane *l, struct session *s, ssize_t n)
{
    struct socket_side *from = lane_from(l, s);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (errno != EINTR)
            socket_side_was_emptied(from, s->wg->worker);
        return;
    }
    from->readable = false;
    l->eof = true;
}

static ssize_t read_some(struct lane *l, struct session *s, uint8_t *at, size_t room)
{
    struct socket_side *from = lane_from(l, s);
    ssize_t n = recv(from->watch.fd, at, room, 0);
    if (n <= 0) {
        on_read_end(l, s, n);
        return 0;
    }
    /* With edge-triggered events a short read has emptied the socket, unless the end of the stream waits behind it. */
    if ((size_t)n < room && !from->hup)
        socket_side_was_emptied(from, s->wg->worker);
    if ((size_t)n == room && l->read_log2 < LANE_READ_LOG2_MAX)
        l->read_log2++;
    s->progress.moved += l->traffic.inbound ? (uint64_t)n : 0;
    l->last_read = (uint32_t)n;
    s->times.active_ns = session_now_ns(s);
    cell_add(session_cells(s), lane_pick(l, CELL_RECEIVED_IN, CELL_RECEIVED_OUT), (uint64_t)n);
    return n;
}

/* The beginning of a long message is in the lane's buffer. The rest is read behind it, so that no byte is moved twice.
 * Makes room for `more` bytes. */
static bool read_behind(struct lane *l, struct session *s, size_t more, struct window *w)
{
    if (!lane_make_room(l, s, more)) {
        buffer_room_wait(l, s);
        return false;
    }
    size_t room = l->cap - l->end;
    ssize_t n = read_some(l, s, l->buf + l->end, room < SCRATCH_READ_BYTES ? room : SCRATCH_READ_BYTES);
    if (n <= 0)
        return false;
    l->end += (uint32_t)n;
    *w = (struct window){l->buf + l->ready, l->buf + l->scanned, l->buf + l->end, false};
    return true;
}

static bool read_to_scratch(struct lane *l, struct session *s, struct window *w)
{
    uint8_t *area = s->wg->worker->loop.scratch + SCRATCH_HEAD_BYTES;
    size_t held = l->end - l->ready;
    ssize_t n = read_some(l, s, area, (size_t)1 << l->read_log2);
    if (n <= 0)
        return false;
    if (held)
        memcpy(area - held, l->buf + l->ready, held);
    *w = (struct window){area - held, area, area + n, true};
    return true;
}

/* The next bytes to judge; false when there are none now. */
static bool next_window(struct lane *l, struct session *s, struct window *w)
{
    if (l->scanned < l->end || traffic_waits(&l->traffic)) {
        *w = (struct window){l->buf + l->ready, l->buf + l->scanned, l->buf + l->end, false};
        return true;
    }
    if (l->eof || !lane_from(l, s)->readable)
        return false;
    size_t held = l->end - l->ready;
    enum buffer_room_grant grant = buffer_room_grants(l, s);
    if (grant == BUFFER_ROOM_NOTHING)
        return false;
    if (grant == BUFFER_ROOM_WITHIN)
        return read_behind(l, s, l->cap - held, w);
    /* Copying the held bytes costs little beside a read that brings more than that. Beside a trickle it would be
     * expensive, and an attacker could cause that. */
    bool cheap = held <= HELD_SMALL_BYTES || (held <= SCRATCH_HEAD_BYTES && l->last_read >= held);
    return cheap ? read_to_scratch(l, s, w) : read_behind(l, s, held < 65536 ? held : 65536, w);
}

/* ---- keeping bytes that wait ---- */

/* Puts the unwritten spans and the kept bytes into the lane's buffer, in this order. */
static void lane_gather(struct lane *l, const struct traffic_result *r, const struct bytes *spans, size_t unsent,
                        const uint8_t *keep, size_t kept, size_t scanned)
{
    uint8_t *at = l->buf;
    for (unsigned i = 0; i < r->span_count; i++) {
        if (spans[i].len)
            memmove(at, spans[i].at, spans[i].len);
        at += spans[i].len;
    }
    if (kept)
        memmove(at, keep, kept);
    l->start = 0;
    l->ready = (uint32_t)unsent;
    l->scanned = (uint32_t)(unsent + scanned);
    l->end = (uint32_t)(unsent + kept);
}

/* After judging and writing: `spans` were not written. False: no memory. */
static bool keep_rest(struct lane *l, struct session *s, const struct window *w, const struct traffic_result *r,
                      const struct bytes *spans, size_t unsent)
{
    size_t kept = (size_t)(w->end - r->keep), scanned = (size_t)(r->scanned - r->keep);
    uint8_t *old = NULL;
    uint32_t old_cap = 0;
    if (unsent + kept == 0) {
        drop_buffer(l, s);
        return true;
    }
    /* Within the buffer nothing has to move while only its front was written. */
    if (!w->in_scratch && unsent == 0) {
        l->start = l->ready = (uint32_t)(r->keep - l->buf);
        l->scanned = (uint32_t)(r->scanned - l->buf);
        return true;
    }
    if (unsent + kept > l->cap) {
        if (!swap_buffer(l, s, unsent + kept, &old, &old_cap))
            return false;
    } else if (l->cap > SHRINK_ABOVE_BYTES && unsent + kept <= l->cap / 4) {
        /* A few bytes must not occupy a large buffer; if no smaller one is available now, they may. */
        (void)!swap_buffer(l, s, unsent + kept, &old, &old_cap);
    }
    lane_gather(l, r, spans, unsent, r->keep, kept, scanned);
    put_back(s, old, old_cap);
    return true;
}

/* ---- what Weir sends itself ---- */

/* Puts admitted bytes in front of the held ones. Only while nothing admitted waits. */
static bool insert_ready(struct lane *l, struct session *s, const uint8_t *bytes, size_t len)
{
    if (!lane_make_room(l, s, len))
        return false;
    memmove(l->buf + l->start + len, l->buf + l->start, l->end - l->start);
    memcpy(l->buf + l->start, bytes, len);
    l->ready += (uint32_t)len;
    l->scanned += (uint32_t)len;
    l->end += (uint32_t)len;
    mark_blocked(l, s);
    return true;
}

/* `keep`: bytes that the receiver does not take now are kept for it. */
static bool send_own(struct lane *l, struct session *s, const uint8_t *frame, size_t len, bool keep)
{
    if (!lane_may_inject(l, s))
        return false;
    ssize_t n = send(lane_to(l, s)->watch.fd, frame, len, MSG_NOSIGNAL);
    if (n < 0 && keep && errno == EAGAIN)
        n = 0;
    else if (n <= 0)
        return false;
    cell_add(session_cells(s), lane_pick(l, CELL_SENT_IN, CELL_SENT_OUT), (uint64_t)n);
    if ((size_t)n < len && !insert_ready(l, s, frame + n, len - (size_t)n)) {
        session_end(s, VERDICT_NO_MEMORY);
        return false;
    }
    return true;
}

bool lane_inject(struct lane *l, struct session *s, const uint8_t *frame, size_t len)
{
    return send_own(l, s, frame, len, false);
}

/* ---- judging ---- */

static void note_served(struct session *s)
{
    if (!s->flags.served)
        strangers_note_served(s);
    s->flags.served = true;
    source_note_good(s->source, session_now_ns(s));
}

static void lane_count(struct lane *l, struct session *s, const struct traffic_result *r)
{
    struct cells *c = session_cells(s);
    l->messages += r->messages;
    if (r->messages)
        note_served(s);
    cell_add(c, lane_pick(l, CELL_MESSAGES_IN, CELL_MESSAGES_OUT), r->messages);
    if (l->traffic.inbound)
        session_count_class(s, CLASS_MESSAGES, r->messages);
    cell_add(c, lane_pick(l, CELL_FRAMES_IN, CELL_FRAMES_OUT), r->frames);
    cell_add(c, lane_pick(l, CELL_COMMANDS_IN, CELL_COMMANDS_OUT), r->commands);
    cell_add(c, CELL_DROPPED_MESSAGES, r->dropped);
    if (r->drops) {
        session_notice(s, r->drop_reason, r->drops);
        strike_goes_on(s, r->drop_reason);
    }
}

static void pause_lane(struct lane *l, struct session *s, const struct traffic_result *r)
{
    uint64_t wait_ns = r->wait_ns;
    /* Inside CURVE nobody can answer a PING for the client: a pause must end before the peers give each other up. */
    if (l->traffic.curve && wait_ns > session_limits(s)->heartbeat.max_pause_ns) {
        wait_ns = session_limits(s)->heartbeat.max_pause_ns;
        l->traffic.grace = true;
    }
    s->times.resume_ns = session_now_ns(s) + wait_ns;
    if (!l->paused) {
        l->paused = true;
        if (l->read_log2 > LANE_READ_LOG2_MIN)
            l->read_log2--;
        cell_add(session_cells(s), CELL_PAUSED, 1);
        cell_add(session_cells(s), CELL_PAUSES, 1);
        if (r->wait_reason != VERDICT_PASS)
            session_notice(s, r->wait_reason, 1);
        strike_paused(s, r->wait_reason);
    }
    session_arm(s, s->times.resume_ns);
    session_hold(s);
    /* A grant that it cannot use now goes to others. */
    if (l->traffic.inbound)
        request_flow_rest(s);
}

/* True when the lane may go on. */
static bool end_pause(struct lane *l, struct session *s)
{
    if (!l->paused)
        return true;
    if (session_now_ns(s) < s->times.resume_ns) {
        session_arm(s, s->times.resume_ns);
        return false;
    }
    resume(l, s);
    restart_clock(l, s);
    return true;
}

/* Whether the lane is not in line. */
static bool has_turn(struct lane *l, struct session *s)
{
    if (l->traffic.inbound && s->flags.in_line) {
        l->held_back = true;
        return false;
    }
    if (l->held_back)
        restart_clock(l, s);
    l->held_back = false;
    return true;
}

/* Starts or ends the clock of the incomplete message. */
static void follow_message(struct lane *l, struct session *s, const struct traffic_result *r)
{
    if (!l->traffic.inbound)
        return;
    if (!traffic_in_message(&l->traffic)) {
        s->progress.begun_ns = 0;
        return;
    }
    if (l->traffic.reserved && s->progress.check_ns == 0)
        session_arm(s, session_now_ns(s));
    if (s->progress.begun_ns != 0 && r->messages == 0 && r->dropped == 0)
        return;
    s->progress.begun_ns = session_now_ns(s);
    s->progress.moved = 0;
    l->noted_late = false;
    session_arm(s, s->progress.begun_ns + shadow_complete_within(s)->message.complete_within_ns);
}

/* While a client is paused or in line, the application's PINGs are answered for it. */
static void answer_ping(struct session *s, const struct traffic_ping *ping)
{
    uint8_t pong[ZMTP_PONG_MAX];
    if (!s->flags.can_pong || (!s->up.paused && !s->flags.in_line))
        return;
    size_t len = zmtp_put_pong(pong, (struct bytes){ping->context, ping->context_len});
    if (lane_inject(&s->up, s, pong, len))
        cell_add(session_cells(s), CELL_KEEPALIVES, 1);
}

/* An end that sends PINGs waits for an answer, and one that receives a PING with a TTL waits for the next. */
static void note_ping(struct lane *l, struct session *s, const struct traffic_ping *ping)
{
    s->flags.app_listens |= !l->traffic.inbound || ping->ttl != 0;
    if (!l->traffic.inbound)
        answer_ping(s, ping);
}

/* Writes the spans of `r` and keeps the rest. False when the lane cannot go on now. */
static bool pass_on(struct lane *l, struct session *s, struct window *w, struct traffic_result *r)
{
    struct iovec iov[TRAFFIC_SPANS];
    size_t total = 0;
    for (unsigned i = 0; i < r->span_count; i++) {
        iov[i] = (struct iovec){(void *)(uintptr_t)r->spans[i].at, r->spans[i].len};
        total += r->spans[i].len;
    }
    ssize_t n = total ? write_spans(l, s, iov, r->span_count, total) : 0;
    if (n < 0)
        return false;
    size_t unsent = total - (size_t)n, skip = (size_t)n;
    for (unsigned i = 0; i < r->span_count && skip; i++) {
        size_t part = skip < r->spans[i].len ? skip : r->spans[i].len;
        r->spans[i].at += part;
        r->spans[i].len -= part;
        skip -= part;
    }
    if (!keep_rest(l, s, w, r, r->spans, unsent)) {
        session_end(s, VERDICT_NO_MEMORY);
        return false;
    }
    return unsent == 0;
}

/* A request was shed: its client may get an answer. */
static void answer_shed(struct session *s, struct bytes request)
{
    uint8_t reply[REPLY_MAX];
    size_t len = request_shed_done(s, request, reply);
    if (len)
        (void)send_own(&s->down, s, reply, len, true);
}

/* Counts what has passed. False: the next message waits in line. */
static bool goes_on(struct session *s, const struct traffic_result *r)
{
    if (request_flow_passed(s, r))
        return true;
    request_shed_look(s);
    request_flow_on_alarm(s);
    return false;
}

/* Judges one window. True when the lane may go on at once. */
static bool judge_window(struct lane *l, struct session *s, struct window *w)
{
    struct traffic_result r;
    struct traffic_context c = session_context(s);
    struct traffic_shadow shadow;
    if (l->traffic.inbound) {
        c.turns = request_flow_allows(s);
        c.shed = UNLIKELY(s->flags.shed_due) ? request_shed_now(s) : SHED_NOTHING;
        if (UNLIKELY(c.limits->shadow != NULL))
            c.shadow = shadow_begin(&shadow);
    }
    uint32_t subscriptions = s->topics.count;
    traffic_judge(&l->traffic, &c, w->base, w->scan, w->end, &r);
    if (r.unmarked)
        w->base[r.unmarked - w->base] |= ZMTP_FLAG_LONG;
    cell_add(session_cells(s), CELL_SUBSCRIPTIONS, (uint64_t)s->topics.count - subscriptions);
    lane_count(l, s, &r);
    if (UNLIKELY(c.shadow != NULL))
        shadow_end(s, c.shadow);
    if (UNLIKELY(!s->flags.proven) && (s->flags.served || s->topics.count))
        strangers_prove(s);
    if (r.shed.len)
        answer_shed(s, r.shed);
    if (s->flags.ended)
        return false;
    bool flowing = pass_on(l, s, w, &r);
    if (s->flags.ended)
        return false;
    if (r.verdict != VERDICT_PASS) {
        session_end(s, r.verdict);
        return false;
    }
    if (l->shut)
        return false;
    follow_message(l, s, &r);
    if (l->traffic.inbound && s->down.blocked && r.messages && slow_reader_asks_too_much(s)) {
        session_end(s, VERDICT_SLOW_READER);
        return false;
    }
    if (l->traffic.inbound)
        flowing &= goes_on(s, &r);
    else
        request_flow_answered(s, l->traffic.curve ? r.turns : r.messages);
    if (r.wait_ns)
        pause_lane(l, s, &r);
    if (r.ping.seen)
        note_ping(l, s, &r.ping);
    if (r.make_room)
        topic_room_crowd(s->wg);
    return flowing && !r.wait_ns && !s->flags.ended;
}

/* ---- the turn ---- */

/* The sender has closed: a message cut short is noted, and the receiver is told once everything was written. */
static void lane_finish(struct lane *l, struct session *s)
{
    if (l->shut || l->start < l->ready || l->scanned < l->end || traffic_waits(&l->traffic))
        return;
    l->shut = true;
    if (!l->traffic.inbound) {
        /* The application has closed: its bytes were passed on, and nothing is there for bytes that the client may
         * still send. */
        if (!s->up.shut)
            reach_doubt(s->wg);
        session_end(s, s->up.shut ? VERDICT_PASS : VERDICT_APPLICATION_GONE);
        return;
    }
    if (traffic_in_message(&l->traffic))
        session_notice(s, VERDICT_MESSAGE_ABANDONED, 1);
    drop_buffer(l, s);
    /* A publisher would drop the connection too, but others have to be served meanwhile (topic_room.h). */
    if (l->traffic.subscriber)
        session_end(s, VERDICT_PASS);
    else
        shutdown(s->back.watch.fd, SHUT_WR);
}

/* The client's subscriptions are of no use any more, because it has left. Processing the rest in the kernel could take
 * hours, at the pace of a limit, or of a publisher that takes them in when it publishes. */
static bool speaks_for_nobody(const struct lane *l, const struct session *s)
{
    return l->traffic.subscriber && s->front.hup && (l->paused || l->blocked);
}

bool lane_run(struct lane *l, struct session *s)
{
    struct window w;
    uint32_t turn_bytes = 0;
    if (speaks_for_nobody(l, s)) {
        session_end(s, VERDICT_PASS);
        return false;
    }
    while (!s->flags.ended && !l->shut) {
        if (!flush(l, s) || !end_pause(l, s) || !has_turn(l, s))
            return false;
        if (!next_window(l, s, &w)) {
            if (l->traffic.inbound) {
                request_flow_rest(s);
                strike_ran_dry(&s->strikes);
            }
            if (l->eof)
                lane_finish(l, s);
            return false;
        }
        turn_bytes += (uint32_t)(w.end - w.scan);
        s->progress.turn_bytes += (uint32_t)(w.end - w.scan);
        if (!judge_window(l, s, &w))
            return false;
        if (turn_bytes >= (s->flags.heavy ? TURN_BYTES : SESSION_HEAVY_BYTES))
            return true;
    }
    return false;
}

bool lane_is_quiet(const struct lane *l)
{
    return l->start == l->end && !traffic_in_message(&l->traffic);
}
