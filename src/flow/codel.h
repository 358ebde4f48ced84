/* SPDX-License-Identifier: MPL-2.0 */
/*
 * When a request has waited so long that it is better refused than served: controlled delay (CoDel, Nichols and
 * Jacobson, RFC 8289), for each source on its own, as fq_codel (RFC 8290) has it for each flow. A queue that is served
 * within the target now and then is a burst, and is left alone; one whose requests have all waited longer for a whole
 * interval stands, and then what has waited for twice the target is shed. So who asks for less than its share, and is
 * served before the others, loses nothing, whatever the others do.
 *
 * Where priorities differ, the lowest that waits is shed first: each above it has twice the patience of the one below.
 *
 * 16 bytes a source, one owner at a time. Time is an argument.
 */
#ifndef WEIR_FLOW_CODEL_H
#define WEIR_FLOW_CODEL_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* All zero at the beginning. */
struct codel {
    uint64_t late_since_ns; /* since when nothing of the source was served within the target; 0: something was */
    uint64_t seen_ns;       /* when it was last told or asked something */
};

struct codel_params {
    uint64_t target_ns;   /* a wait that is no cause for concern; 0: nothing is shed */
    uint64_t interval_ns; /* how long all waits must have been longer */
};

/* One of its requests begins to wait. After an interval without any there is no standing queue. */
void codel_waits(struct codel *c, const struct codel_params *p, uint64_t now_ns);

/* One of its requests was served after `waited_ns`. */
void codel_served(struct codel *c, const struct codel_params *p, uint64_t waited_ns, uint64_t now_ns);

/* Whether a request that waits since `since_ns` is to be shed now; `below`: how many steps of priority there are
 * between it and the lowest that waits. If not, *ret_again_ns is when to ask again, UINT64_MAX when nothing is shed. */
MUST_USE bool codel_sheds(struct codel *c, const struct codel_params *p, uint64_t since_ns, unsigned below,
                          uint64_t now_ns, uint64_t *ret_again_ns);

#endif
