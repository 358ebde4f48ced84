/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/routing_id.h"

#include "relay/handshaking.h"
#include "relay/shadow.h"

/* The session waits until it is known whether the holder of its id is alive. */
static void claim_later(struct session *s)
{
    s->handshaking->checked = false;
    s->handshaking->upstream.retry_ns = session_now_ns(s) + CLAIM_AGAIN_NS;
    session_arm(s, s->handshaking->upstream.retry_ns);
}

/* ROUTER and REP applications tell their clients apart by routing id. An id in use belongs to the client that came
 * first: libzmq would park the newcomer without a word, or let it replace the other. False: the session has ended. */
static bool enter_routing_id(struct session *s)
{
    const struct handshake *h = &s->handshaking->handshake;
    struct gate *g = s->wg->gate;
    enum socket_type app = gate_socket(g);
    s->handshaking->checked = true;
    bool matters = app == SOCKET_ROUTER || app == SOCKET_REP || app == SOCKET_AUTO;
    bool refuses = session_limits(s)->duplicate_ids == DUPLICATE_IDS_REFUSE;
    if (h->routing_id_len == 0 || !matters || !(refuses || shadow_refuses_duplicates(s)) || told_hands_over(s))
        return true;
    uint64_t hash = hash_bytes(&g->traffic.key, h->routing_id, h->routing_id_len);
    hash = hash ? hash : 1;
    enum claim_result r = claim_routing_id(s, &s->handshaking->claim, hash, refuses);
    if (r == CLAIM_WAITS)
        claim_later(s);
    if (r == CLAIM_REFUSED && !refuses)
        shadow_note(s, VERDICT_DUPLICATE_ROUTING_ID, 1);
    if (r == CLAIM_MINE || r == CLAIM_WAITS || !refuses)
        return true;
    session_end(s, r == CLAIM_REFUSED ? VERDICT_DUPLICATE_ROUTING_ID : VERDICT_NO_MEMORY);
    return false;
}

bool routing_id_enter(struct session *s)
{
    const struct handshaking *o = s->handshaking;
    return o->checked || !o->handshake.named || o->upstream.retry_ns != 0 || enter_routing_id(s);
}

bool routing_id_may_pass(const struct session *s)
{
    return s->handshaking->checked || !s->handshaking->handshake.named;
}
