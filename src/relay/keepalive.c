/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/keepalive.h"

#include "inspect/traffic.h"
#include "loop/net.h"
#include "relay/lane_output.h"
#include "relay/record.h"
#include "zmtp/command.h"

static void send_pong(struct lane *l, struct session *s)
{
    uint8_t pong[ZMTP_PONG_MAX];
    size_t len = zmtp_put_pong(pong, (struct bytes){.at = pong, .len = 0});
    if (lane_output_send(l, s, pong, len, false))
        cell_add(session_cells(s), CELL_KEEPALIVES, 1);
}

/* With fewer unread bytes than this, the client's kernel has sent all it has, the end of the stream included. */
#define WINDOW_OPEN_BYTES 16384u

/* A client that has sent its messages and closed leaves the last of them to its kernel, while Weir does not read. That
 * kernel answers a PONG with a reset, and drops them. So a client that may be gone gets PONGs only in these cases: it
 * was seen to send PINGs, and gives its connection up otherwise; it asks, and the next answer would have the same
 * effect; or it is a subscriber, and what it leaves behind are subscriptions. */
static bool may_pong(const struct session *s)
{
    bool asks = s->flags.awaits_reply || s->down.messages;
    if (s->flags.client_listens || asks || s->up.traffic.subscriber)
        return true;
    return !s->front.hup && net_unread(s->front.watch.fd) < WINDOW_OPEN_BYTES;
}

/* A client that is not read would think the application dead, and the application the client: any traffic proves
 * otherwise. PINGs of the client wait behind its messages. Whether the application sends any is known, and hundreds of
 * clients in line would wake its I/O thread for nothing. */
void keepalive_on_alarm(struct session *s)
{
    if (!s->up.paused && !s->up.blocked && !s->up.awaits_memory && !s->flags.in_line)
        return;
    /* The alarm rings for other reasons as well. */
    uint64_t now = session_now_ns(s), interval_ns = told_heartbeat_interval(s);
    if (now < s->times.ponged_ns + interval_ns) {
        session_arm(s, s->times.ponged_ns + interval_ns);
        return;
    }
    session_arm(s, now + interval_ns);
    s->times.ponged_ns = now;
    if (!s->flags.can_pong)
        return;
    if (may_pong(s))
        send_pong(&s->down, s);
    if (s->flags.app_listens && !s->flags.ended && (s->up.paused || s->up.awaits_memory || s->flags.in_line))
        send_pong(&s->up, s);
}

/* While a client is paused or in line, the application's PINGs are answered for it. */
static void answer_ping(struct session *s, const struct traffic_ping *ping)
{
    uint8_t pong[ZMTP_PONG_MAX];
    if (!s->flags.can_pong || (!s->up.paused && !s->flags.in_line))
        return;
    size_t len = zmtp_put_pong(pong, (struct bytes){ping->context, ping->context_len});
    if (lane_output_send(&s->up, s, pong, len, false))
        cell_add(session_cells(s), CELL_KEEPALIVES, 1);
}

/* An end that sends PINGs waits for an answer, and one that receives a PING with a TTL waits for the next. */
void keepalive_note_ping(struct lane *l, struct session *s, const struct traffic_ping *ping)
{
    s->flags.app_listens |= !l->traffic.inbound || ping->ttl != 0;
    s->flags.client_listens |= l->traffic.inbound || ping->ttl != 0;
    if (!l->traffic.inbound)
        answer_ping(s, ping);
}
