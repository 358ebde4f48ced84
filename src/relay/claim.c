/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/claim.h"

#include "loop/net.h"
#include "relay/record.h"

/* Instead of netinet/tcp.h, whose struct tcp_info lacks the bytes not sent. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* The kernel's clocks are coarse: a sign of life heard this shortly after the claim may be older. */
#define COARSE_MS 20u

/* Unanswered probes of a holder that takes nothing: a single one may be on its way. */
#define SILENT_PROBES 2u

enum life { LIFE_SHOWN, LIFE_UNKNOWN, LIFE_NONE };

/* The signs of life that the kernel has heard from the other end within the last `within_ms`. */
static enum life life_of(int fd, uint64_t within_ms)
{
    struct tcp_info i;
    socklen_t len = sizeof(i);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) < 0 || len < offsetof(struct tcp_info, tcpi_min_rtt))
        return LIFE_UNKNOWN;
    uint32_t heard_ms = i.tcpi_last_ack_recv < i.tcpi_last_data_recv ? i.tcpi_last_ack_recv : i.tcpi_last_data_recv;
    if (heard_ms + COARSE_MS < within_ms)
        return LIFE_SHOWN;
    /* It takes nothing, so the kernel asks it for room instead, at growing intervals: it was alive when that was
     * answered. */
    if (i.tcpi_unacked == 0 && i.tcpi_notsent_bytes > 0)
        return i.tcpi_probes < SILENT_PROBES ? LIFE_SHOWN : LIFE_NONE;
    return i.tcpi_probes > 0 || i.tcpi_retransmits > 0 ? LIFE_NONE : LIFE_UNKNOWN;
}

/* ---- under the table's lock ---- */

struct look {
    const void *owner; /* the claimant's source; NULL: many sources share its entry */
    uint64_t now_ns, for_ns;
    uint32_t number; /* of the holder in question */
    enum claim_result result;
    bool ended; /* the holder was closed */
    struct addr holder;
};

static int descriptor_of(const struct refcount_holder *h)
{
    return (int)h->descriptor - 1;
}

/* Probes as closely as the waiting claimants need. */
static void keep_asking(const struct refcount_holder *h)
{
    if (h->descriptor)
        net_keepalive(descriptor_of(h), h->waiting    ? NET_KEEPALIVE_CLOSELY
                                        : h->asked_ms ? NET_KEEPALIVE_SOON
                                                      : NET_KEEPALIVE_USUAL);
}

/* Its worker sees the end of the connection. */
static void end_holder(const struct refcount_holder *h, struct look *l)
{
    shutdown(descriptor_of(h), SHUT_RDWR);
    l->ended = true;
}

/* Whether the holder has been silent for so long that even another source may have its id. From the first such claim
 * on, it is probed until it shows a sign of life. */
static bool is_long_silent(struct refcount_holder *h, uint64_t now_ns)
{
    uint32_t now_ms = (uint32_t)(now_ns / NS_PER_MS) | 1, for_ms = now_ms - h->asked_ms;
    if (!h->asked_ms) {
        h->asked_ms = now_ms;
        keep_asking(h);
        return false;
    }
    enum life life = life_of(descriptor_of(h), for_ms);
    if (life == LIFE_SHOWN) {
        h->asked_ms = 0;
        keep_asking(h);
    }
    return life == LIFE_NONE && for_ms >= CLAIM_STRANGER_NS / NS_PER_MS;
}

/* For messages. */
static void note_holder(const struct refcount_holder *h, struct look *l)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    if (h && h->descriptor && getpeername(descriptor_of(h), (struct sockaddr *)&at, &len) == 0)
        addr_from_sockaddr(&l->holder, (const struct sockaddr *)&at);
}

static void claim_begin_look(struct refcount_holder *h, void *arg)
{
    struct look *l = arg;
    l->result = CLAIM_REFUSED;
    note_holder(h, l);
    if (!h || !h->descriptor || h->waiting >= CLAIM_WAITING_MOST)
        return;
    if (!l->owner || h->owner != l->owner) {
        if (!is_long_silent(h, l->now_ns))
            return;
        end_holder(h, l);
    }
    l->number = h->number;
    l->result = CLAIM_WAITS;
    if (h->waiting++ == 0)
        keep_asking(h);
}

static void end_look(struct refcount_holder *h, void *arg)
{
    const struct id_claim *c = arg;
    if (h && h->number == c->number && --h->waiting == 0)
        keep_asking(h);
}

static void claim_look(struct refcount_holder *h, void *arg)
{
    struct look *l = arg;
    l->result = CLAIM_WAITS;
    if (!h || !h->descriptor)
        return;
    enum life life = h->number == l->number ? life_of(descriptor_of(h), l->for_ns / NS_PER_MS) : LIFE_SHOWN;
    if (life == LIFE_SHOWN || (life == LIFE_UNKNOWN && l->for_ns >= CLAIM_LOOK_NS))
        l->result = CLAIM_REFUSED;
    else if (life == LIFE_NONE && l->for_ns >= CLAIM_LOOK_NS)
        end_holder(h, l);
}

/* ---- claims ---- */

/* NULL: it cannot be told from others. */
static const void *owner_of(const struct session *s)
{
    return source_is_shared(s->source) ? NULL : s->source;
}

static void claim_note_end(struct session *s, struct id_claim *c, const struct look *l)
{
    c->ended = l->ended;
    if (l->ended)
        session_notice(s, VERDICT_HOLDER_VANISHED, 1);
}

static enum claim_result claim_begin(struct session *s, struct id_claim *c, uint64_t hash)
{
    struct look l = {.owner = owner_of(s), .now_ns = session_now_ns(s)};
    refcount_ask(&s->wg->gate->routing_ids, hash, claim_begin_look, &l);
    c->holder = l.holder;
    if (l.result != CLAIM_WAITS)
        return CLAIM_REFUSED;
    *c = (struct id_claim){.hash = hash, .since_ns = l.now_ns, .number = l.number, .holder = l.holder};
    claim_note_end(s, c, &l);
    return CLAIM_WAITS;
}

static enum claim_result claim_go_on(struct session *s, struct id_claim *c)
{
    struct look l = {.for_ns = session_now_ns(s) - c->since_ns, .number = c->number};
    if (l.for_ns >= CLAIM_MOST_NS)
        return CLAIM_REFUSED;
    if (c->ended)
        return CLAIM_WAITS;
    refcount_ask(&s->wg->gate->routing_ids, c->hash, claim_look, &l);
    claim_note_end(s, c, &l);
    return l.result;
}

enum claim_result claim_routing_id(struct session *s, struct id_claim *c, uint64_t hash, bool look_at_holder)
{
    struct refcount_holder mine = {
        .owner = owner_of(s),
        .descriptor = s->client.addr.kind == ADDR_UID ? 0 : (uint32_t)s->front.watch.fd + 1,
    };
    switch (refcount_claim(&s->wg->gate->routing_ids, hash, &mine)) {
    case REFCOUNT_ADDED:
        s->client.routing_id = hash;
        c->hash = 0; /* the former holder is gone */
        return CLAIM_MINE;
    case REFCOUNT_TAKEN:
        break;
    default:
        return CLAIM_NO_MEMORY;
    }
    if (!look_at_holder)
        return CLAIM_REFUSED;
    return c->hash ? claim_go_on(s, c) : claim_begin(s, c, hash);
}

void claim_end(struct session *s, struct id_claim *c)
{
    if (c->hash)
        refcount_ask(&s->wg->gate->routing_ids, c->hash, end_look, c);
    c->hash = 0;
}

void claim_let_go(struct session *s)
{
    if (s->client.routing_id)
        refcount_let_go(&s->wg->gate->routing_ids, s->client.routing_id);
}
