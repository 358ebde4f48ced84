/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Controlled delay (CoDel) for the requests of one source: when a request has waited so long that it is better refused
 * than served.
 *
 * A queue that is served within the target now and then is a burst, and is left alone. A queue whose requests have all
 * waited longer than the target for a whole interval is a standing queue. From then on a request that has waited for
 * twice the target is shed.
 *
 *   late_since_ns  event                                                         next
 *   0 (in time)    a request is served after more than the target                late since now
 *   0 (in time)    codel_sheds(): the request has waited longer than the target  late since it passed the target, or
 *                                                                                since the last call if that is later
 *   late           a request is served within the target                         0
 *   late           a request begins to wait, after an interval without any call  0
 *   late           for an interval; a request has waited for twice the target    late; the request is shed
 *
 * Each source has its own state, as each flow has in fq_codel. So a source that asks for less than its share, and is
 * therefore served before the others, loses nothing, whatever the others do.
 *
 * Where priorities differ, the lowest priority that waits is shed first. Each priority above it has twice the patience
 * of the one below.
 *
 * Locks: the limiter lock; the state is part of the source's entry (claims.h).
 * Units: monotonic nanoseconds. Time is an argument.
 * Memory: 16 bytes a source.
 * Source: RFC 8289 (Nichols and Jacobson); RFC 8290 for one state a flow.
 */
#ifndef WEIR_FLOW_CODEL_H
#define WEIR_FLOW_CODEL_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* All zeros at first. */
struct codel {
    uint64_t late_since_ns; /* since then no request of the source was served within the target; 0: one was */
    uint64_t seen_ns;       /* the last call of any of the functions below */
};

struct codel_params {
    uint64_t target_ns;   /* a wait that is acceptable; 0: nothing is shed */
    uint64_t interval_ns; /* how long all waits must have exceeded the target */
};

/* A request of the source begins to wait. After an interval without any call there is no standing queue. */
void codel_waits(struct codel *c, const struct codel_params *p, uint64_t now_ns);

/* A request of the source was served after `waited_ns`. */
void codel_served(struct codel *c, const struct codel_params *p, uint64_t waited_ns, uint64_t now_ns);

/* Whether a request that has waited since `since_ns` is to be shed now. `below`: steps of priority between it and the
 * lowest one that waits. If false, *ret_again_ns is when to ask again; UINT64_MAX: nothing is shed. */
MUST_USE bool codel_sheds(struct codel *c, const struct codel_params *p, uint64_t since_ns, unsigned below,
                          uint64_t now_ns, uint64_t *ret_again_ns);

#endif
