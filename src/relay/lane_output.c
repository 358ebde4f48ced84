/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/lane_output.h"

#include "relay/lane_buffer.h"
#include "relay/lane_pause.h"
#include "relay/record.h"
#include "relay/request_flow.h"
#include "relay/slow_reader.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The time until the next try when the kernel had no memory for a write (ENOBUFS of Unix sockets). */
#define STARVED_NS (10 * NS_PER_MS)

/* The receiver has not taken everything. */
static void mark_blocked(struct lane *l, struct session *s)
{
    lane_to(l, s)->writable = false;
    if (l->read_log2 > LANE_READ_LOG2_MIN)
        l->read_log2--;
    if (l->blocked)
        return;
    l->blocked = true;
    l->blocked_ns = session_now_ns(s);
    cell_add(session_cells(s), lane_cell(l, CELL_BLOCKED_IN, CELL_BLOCKED_OUT), 1);
    session_hold(s);
    if (l->traffic.inbound)
        return;
    request_flow_unread(s, true);
    slow_reader_begin(s);
}

/* Nothing admitted waits any more. */
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
    cell_sub(session_cells(s), lane_cell(l, CELL_BLOCKED_IN, CELL_BLOCKED_OUT), 1);
    lane_pause_restart_clock(l, s);
}

/* The receiver is gone. If it is the application, its end still delivers what it has sent; if it is the client, the
 * session is over. */
static void on_write_error(struct lane *l, struct session *s)
{
    if (!l->traffic.inbound) {
        session_end(s, VERDICT_PASS);
        return;
    }
    lane_buffer_drop(l, s);
    l->eof = l->shut = true;
    mark_flowing(l, s);
    lane_pause_end(l, s);
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

void lane_output_try_starved(struct lane *l, struct session *s)
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
    cell_add(session_cells(s), lane_cell(l, CELL_SENT_IN, CELL_SENT_OUT), (uint64_t)n);
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

bool lane_output_flush(struct lane *l, struct session *s)
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
        lane_buffer_drop(l, s);
    return true;
}

bool lane_output_pass(struct lane *l, struct session *s, struct lane_window *w, struct traffic_result *r)
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
    if (!lane_buffer_keep(l, s, w, r, r->spans, unsent)) {
        session_end(s, VERDICT_NO_MEMORY);
        return false;
    }
    return unsent == 0;
}

bool lane_output_send(struct lane *l, struct session *s, const uint8_t *frame, size_t len, bool keep)
{
    if (!lane_may_inject(l, s))
        return false;
    ssize_t n = send(lane_to(l, s)->watch.fd, frame, len, MSG_NOSIGNAL);
    if (n < 0 && keep && errno == EAGAIN)
        n = 0;
    else if (n <= 0)
        return false;
    cell_add(session_cells(s), lane_cell(l, CELL_SENT_IN, CELL_SENT_OUT), (uint64_t)n);
    if ((size_t)n == len)
        return true;
    if (!lane_buffer_insert(l, s, frame + n, len - (size_t)n)) {
        session_end(s, VERDICT_NO_MEMORY);
        return false;
    }
    mark_blocked(l, s);
    return true;
}
