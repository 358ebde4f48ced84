/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Routing ids in use. One belongs to whoever came first; whoever else claims it brings about a look at the holder: the
 * kernel asks the holder's machine for a sign of life (a TCP keepalive probe, which interrupts nothing and works for
 * every version and mechanism). A holder that shows one keeps its id, and the claimant is refused.
 *
 * A claimant of the holder's own source is most likely the same client after a pulled cable: it waits, is refused
 * within a second if the holder is alive, and has the id after CLAIM_LOOK_NS if it is not; the holder is closed. A
 * claimant of another source may be anybody. It is refused at once, unless the holder has shown no sign of life for
 * CLAIM_STRANGER_NS since it was first asked for one because of such a claim: a line that is out for seconds must not
 * cost its client the id. A source entry that stands for many sources (source.h) is nobody's own.
 *
 * Holder and claimant may belong to different workers: the tally of routing ids has the holder's descriptor, which is
 * only used under the tally's lock, and taken out there before it is closed. The claimant waits inside its handshake
 * (a place among the unfinished ones, where it gives way as if the next move were its own; no connection to the
 * application), for CLAIM_MOST_NS at most. CLAIM_WAITING_MOST wait for an id; more are refused at once. A holder on a
 * Unix socket is alive: its kernel is ours.
 *
 * A holder that took nothing for long is asked by the kernel for room instead, up to two minutes apart. It counts as
 * alive until two of these probes are unanswered.
 */
#ifndef WEIR_RELAY_CLAIM_H
#define WEIR_RELAY_CLAIM_H

#include "base/units.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

/* Two probes, the first of which comes within a second. */
#define CLAIM_LOOK_NS  (2 * NS_PER_S)
#define CLAIM_MOST_NS  (3 * NS_PER_S)
#define CLAIM_AGAIN_NS (100 * NS_PER_MS)

/* Three probes 10 s apart: longer than a switch that restarts, a roaming radio or a VPN that reconnects takes, far less
 * than TCP's own quarter of an hour. */
#define CLAIM_STRANGER_NS (30 * NS_PER_S)

/* Of an id: a client that comes back, and again before the first try has ended. */
#define CLAIM_WAITING_MOST 2u

/* Of a newcomer: the id that it claims. All zero: it claims none. */
struct id_claim {
    uint64_t hash;
    uint64_t since_ns;
    uint32_t number; /* of the holder that it waits for */
    bool ended;      /* the holder was closed for it */
};

enum claim_result { CLAIM_MINE, CLAIM_WAITS, CLAIM_REFUSED, CLAIM_NO_MEMORY };

/* Makes the id the session's, or has it wait: ask again after CLAIM_AGAIN_NS. `look`: whether the holder is looked at;
 * else an id in use is refused at once. */
enum claim_result claim_routing_id(struct session *s, struct id_claim *c, uint64_t hash, bool look);

/* The claimant has what it claimed, or ends. */
void claim_end(struct session *s, struct id_claim *c);

/* Its descriptor is about to be closed: nobody looks at it any more. */
void claim_let_go(struct session *s);

#endif
