/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/codel.h"

/* Steps of priority beyond which patience does not grow. */
#define STEPS_MOST 8u

static uint64_t since_seen(const struct codel *c, uint64_t now_ns)
{
    /* Another worker's clock may be a little ahead. */
    return now_ns > c->seen_ns ? now_ns - c->seen_ns : 0;
}

void codel_waits(struct codel *c, const struct codel_params *p, uint64_t now_ns)
{
    if (since_seen(c, now_ns) >= p->interval_ns)
        c->late_since_ns = 0;
    c->seen_ns = now_ns;
}

void codel_served(struct codel *c, const struct codel_params *p, uint64_t waited_ns, uint64_t now_ns)
{
    c->seen_ns = now_ns;
    if (waited_ns <= p->target_ns || p->target_ns == 0)
        c->late_since_ns = 0;
    else if (c->late_since_ns == 0)
        c->late_since_ns = now_ns;
}

bool codel_sheds(struct codel *c, const struct codel_params *p, uint64_t since_ns, unsigned below, uint64_t now_ns,
                 uint64_t *ret_again_ns)
{
    *ret_again_ns = UINT64_MAX;
    if (p->target_ns == 0)
        return false;
    /* A source that is not served at all has had no call of codel_served(). */
    if (c->late_since_ns == 0 && now_ns > since_ns + p->target_ns)
        c->late_since_ns = c->seen_ns > since_ns + p->target_ns ? c->seen_ns : since_ns + p->target_ns;
    c->seen_ns = now_ns;
    uint64_t patience_ns = 2 * p->target_ns << (below < STEPS_MOST ? below : STEPS_MOST);
    uint64_t standing_ns = c->late_since_ns ? c->late_since_ns + p->interval_ns : since_ns + p->target_ns + 1;
    *ret_again_ns = standing_ns > since_ns + patience_ns ? standing_ns : since_ns + patience_ns;
    return c->late_since_ns != 0 && now_ns >= *ret_again_ns;
}
