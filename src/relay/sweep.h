/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A look at all sessions and banned connections of a worker, for whatever concerns everybody: a part between two
 * rounds, so that the traffic does not wait for it. Sessions stand in worker.sessions in the order in which they were
 * last looked at: each that was goes to the end, and a sweep is over when it meets one of its own. One that begins
 * while another runs adds its reasons, and all are looked at anew, those that wait for longest first. Who is accepted
 * meanwhile came under what is true now. Belongs to the worker.
 */
#ifndef WEIR_RELAY_SWEEP_H
#define WEIR_RELAY_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

/* Looked at between two rounds. */
#define SWEEP_PART 512u

enum sweep_reason {
    SWEEP_BANS = 1,   /* who is banned now is closed, and who no longer is, is let go of the tarpit */
    SWEEP_POLICY = 2, /* there is another policy */
    SWEEP_DRAIN = 4,  /* Weir is ending */
};

struct worker;

struct sweep {
    unsigned reasons; /* 0: none runs */
    uint32_t round;   /* of the sweep that runs, or was the last */
    bool sessions_done;
};

void sweep_begin(struct worker *w, enum sweep_reason reason);

/* Looks at the next part; a plain load while none runs. */
void sweep_step(struct worker *w);

#endif
