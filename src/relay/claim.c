/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/claim.h"

#include "relay/net.h"
#include "relay/session.h"

/* Instead of netinet/tcp.h: its struct tcp_info lacks what is not sent. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* The clocks of the kernel are coarse: what it has heard so shortly after the claim may be older. */
#define COARSE_MS 20u

/* Unanswered probes of one that takes nothing: a single one may be on its way. */
#define SILENT_PROBES 2u

enum life { LIFE_SHOWN, LIFE_UNKNOWN, LIFE_NONE };

/* What the kernel has heard of the other end within the last `within_ms`. */
static enum life life_of(int fd, uint64_t within_ms)
{
    struct tcp_info i;
    socklen_t len = sizeof(i);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) < 0 || len < offsetof(struct tcp_info, tcpi_min_rtt))
        return LIFE_UNKNOWN;
    uint32_t heard_ms = i.tcpi_last_ack_recv < i.tcpi_last_data_recv ? i.tcpi_last_ack_recv : i.tcpi_last_data_recv;
    if (heard_ms + COARSE_MS < within_ms)
        return LIFE_SHOWN;
    /* It takes nothing, so it is asked for room instead, more and more seldom: it was alive when that was answered. */
    if (i.tcpi_unacked == 0 && i.tcpi_notsent_bytes > 0)
        return i.tcpi_probes < SILENT_PROBES ? LIFE_SHOWN : LIFE_NONE;
    return i.tcpi_probes > 0 || i.tcpi_retransmits > 0 ? LIFE_NONE : LIFE_UNKNOWN;
}

/* ---- under the tally's lock ---- */

static int descriptor_of(uint32_t holder)
{
    return (int)holder - 1;
}

struct look {
    uint64_t for_ns;
    enum life life;
    bool on_tcp;
};

static void begin_look(uint32_t holder, void *arg)
{
    struct look *l = arg;
    l->on_tcp = holder != 0;
    if (holder)
        net_keepalive(descriptor_of(holder), true);
}

static void end_look(uint32_t holder, void *arg)
{
    (void)arg;
    if (holder)
        net_keepalive(descriptor_of(holder), false);
}

static void look(uint32_t holder, void *arg)
{
    struct look *l = arg;
    l->life = holder ? life_of(descriptor_of(holder), l->for_ns / NS_PER_MS) : LIFE_UNKNOWN;
    /* Its worker sees the end of the connection. */
    if (holder && l->life == LIFE_NONE && l->for_ns >= CLAIM_LOOK_NS)
        shutdown(descriptor_of(holder), SHUT_RDWR);
}

/* ---- claims ---- */

static enum claim_result begin(struct session *s, struct claim *c, uint64_t hash)
{
    struct look l = {.on_tcp = false};
    tally_ask(&s->wg->gate->routing_ids, hash, begin_look, &l);
    if (!l.on_tcp)
        return CLAIM_REFUSED;
    *c = (struct claim){.hash = hash, .since_ns = s->wg->worker->now_ns};
    return CLAIM_WAITS;
}

static enum claim_result go_on(struct session *s, struct claim *c)
{
    struct look l = {.for_ns = s->wg->worker->now_ns - c->since_ns, .life = LIFE_UNKNOWN};
    if (l.for_ns >= CLAIM_MOST_NS)
        return CLAIM_REFUSED;
    if (c->ended)
        return CLAIM_WAITS;
    tally_ask(&s->wg->gate->routing_ids, c->hash, look, &l);
    if (l.life == LIFE_SHOWN || (l.life == LIFE_UNKNOWN && l.for_ns >= CLAIM_LOOK_NS))
        return CLAIM_REFUSED;
    if (l.life == LIFE_NONE && l.for_ns >= CLAIM_LOOK_NS) {
        c->ended = true;
        session_notice(s, VERDICT_HOLDER_VANISHED, 1);
    }
    return CLAIM_WAITS;
}

enum claim_result claim_routing_id(struct session *s, struct claim *c, uint64_t hash, bool look_at_holder)
{
    uint32_t holder = s->addr.kind == ADDR_UID ? 0 : (uint32_t)s->front.watch.fd + 1;
    switch (tally_claim(&s->wg->gate->routing_ids, hash, holder)) {
    case TALLY_ADDED:
        s->routing_id = hash;
        c->hash = 0; /* whoever had it is gone */
        return CLAIM_MINE;
    case TALLY_TAKEN:
        break;
    default:
        return CLAIM_NO_MEMORY;
    }
    if (!look_at_holder)
        return CLAIM_REFUSED;
    return c->hash ? go_on(s, c) : begin(s, c, hash);
}

void claim_end(struct session *s, struct claim *c)
{
    if (c->hash)
        tally_ask(&s->wg->gate->routing_ids, c->hash, end_look, NULL);
    c->hash = 0;
}

void claim_let_go(struct session *s)
{
    if (s->routing_id)
        tally_let_go(&s->wg->gate->routing_ids, s->routing_id);
}
