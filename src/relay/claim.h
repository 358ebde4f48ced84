/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides about a routing id that is already in use: the holder that came first keeps it while it shows a sign of life.
 *
 * A claim makes Weir ask the holder's machine for a sign of life: a TCP keepalive probe, which interrupts nothing and
 * works for every version and mechanism. If the holder answers, the claimant is refused.
 *
 * - A claimant of the holder's own source is most likely the same client after a pulled cable. It waits, and is refused
 *   within a second if the holder is alive. If not, it gets the id after CLAIM_LOOK_NS, and the holder is closed.
 * - A claimant of another source may be anybody. It is refused at once, unless the holder has shown no sign of life for
 *   CLAIM_STRANGER_NS since the first such claim asked for one. A line that is down for seconds must not cost its
 *   client the id.
 * - A source entry that stands for many sources (source.h) counts as another source.
 *
 *   state     event                                                          next
 *   NONE      the id is free                                                 MINE
 *   NONE      in use: `look` is false, the holder is on a Unix socket or is  REFUSED
 *             about to be closed, or CLAIM_WAITING_MOST claimants wait
 *   NONE      in use, by the same source                                     WAITING; the holder is probed each second
 *   NONE      in use, by another source that was silent for so long          WAITING; the holder is shut down
 *   NONE      in use, by another source otherwise                            REFUSED
 *   WAITING   the id is free                                                 MINE
 *   WAITING   the holder shows life, or another holder has the id            REFUSED
 *   WAITING   CLAIM_LOOK_NS is over: no answer to the probes                 WAITING; the holder is shut down
 *   WAITING   CLAIM_LOOK_NS is over: the kernel cannot tell                  REFUSED
 *   WAITING   CLAIM_MOST_NS is over                                          REFUSED
 *
 * A holder on a Unix socket is always alive: its kernel is ours. A holder that took nothing for long is asked by the
 * kernel for room instead, up to two minutes apart. It counts as alive until two of these probes are unanswered.
 *
 * Locks: holder and claimant may belong to different workers. The table of routing ids has the holder's descriptor. The
 * descriptor is used only under the table's lock, and is removed there before it is closed. The claimant waits inside
 * its handshake for CLAIM_MOST_NS at most. It occupies a place among the unfinished handshakes, where it gives way as
 * if its client had the next move, and has no connection to the application.
 */
#ifndef WEIR_RELAY_CLAIM_H
#define WEIR_RELAY_CLAIM_H

#include "base/addr.h"
#include "base/units.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

/* Two probes; the first is sent within a second. */
#define CLAIM_LOOK_NS  (2 * NS_PER_S)
#define CLAIM_MOST_NS  (3 * NS_PER_S)
#define CLAIM_AGAIN_NS (100 * NS_PER_MS)

/* Three probes 10 s apart. That is longer than a switch that restarts, a roaming radio or a VPN that reconnects takes,
 * and far less than TCP's own quarter of an hour. */
#define CLAIM_STRANGER_NS (30 * NS_PER_S)

/* Per id: a client that reconnects, and reconnects again before the first attempt has ended. */
#define CLAIM_WAITING_MOST 2u

/* A newcomer's claim to a routing id. All zero: it claims none. */
struct id_claim {
    uint64_t hash;
    uint64_t since_ns;
    uint32_t number;    /* of the holder that it waits for */
    bool ended;         /* the holder was closed for it */
    struct addr holder; /* ADDR_NONE: not known */
};

enum claim_result { CLAIM_MINE, CLAIM_WAITS, CLAIM_REFUSED, CLAIM_NO_MEMORY };

/* Makes the id the session's, or has it wait: then ask again after CLAIM_AGAIN_NS. `look`: whether the holder is looked
 * at; if not, an id in use is refused at once. */
enum claim_result claim_routing_id(struct session *s, struct id_claim *c, uint64_t hash, bool look);

/* The claim is over: the claimant has the id, or ends. */
void claim_end(struct session *s, struct id_claim *c);

/* Its descriptor is about to be closed: no claimant looks at it any more. */
void claim_let_go(struct session *s);

#endif
