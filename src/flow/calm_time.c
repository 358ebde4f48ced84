/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/calm_time.h"

#include <string.h>

void calm_time_init(struct calm_time *c, uint64_t now_ns)
{
    memset(c, 0, sizeof(*c));
    c->stretch = now_ns / CALM_STRETCH_NS;
    c->disturbed = true; /* its beginning was not seen */
}

static void calm_time_write_down(struct calm_time *c, bool calm)
{
    uint64_t bit = c->stretch % CALM_STRETCHES;
    c->was_calm[bit / 64] &= ~(1ull << bit % 64);
    c->was_calm[bit / 64] |= (uint64_t)calm << bit % 64;
    c->calm += calm;
    c->stretch++;
}

void calm_time_advance(struct calm_time *c, uint64_t now_ns)
{
    uint64_t now = now_ns / CALM_STRETCH_NS;
    if (now <= c->stretch)
        return;
    calm_time_write_down(c, !c->disturbed);
    c->disturbed = false;
    if (now - c->stretch > CALM_STRETCHES) {
        /* Nothing has happened for longer than the record goes back. */
        c->calm += now - c->stretch - CALM_STRETCHES;
        c->stretch = now - CALM_STRETCHES;
    }
    while (c->stretch < now)
        calm_time_write_down(c, true);
}

void calm_time_disturb(struct calm_time *c)
{
    c->disturbed = true;
}

bool calm_time_was_calm(const struct calm_time *c, uint64_t stretch)
{
    if (stretch >= c->stretch || c->stretch - stretch > CALM_STRETCHES)
        return false;
    uint64_t bit = stretch % CALM_STRETCHES;
    return c->was_calm[bit / 64] >> bit % 64 & 1;
}
