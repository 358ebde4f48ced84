/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The latency window: without a counter, how many messages a plain request/reply service (plain_service.h) may have in
 * hand before strangers are held back.
 *
 * Each hold is an experiment. It has to show that latency falls and throughput does not; otherwise it ends.
 *
 *   state     event                                                       next
 *   WATCHING  a message was refused, and window / 2 answers came since    WATCHING, window x 2
 *             the last step while latency was as in calm time
 *   WATCHING  a message was refused, and the last step is more than       WATCHING, window x 2
 *             max(100 ms, 10 x calm) ago
 *   WATCHING  no message was refused for 5 s                              WATCHING, window at most 3 x the peak in
 *                                                                         hand and at least 32
 *   WATCHING  the service is plain, latency is high, and in hand is at    HOLDING, window 2 + 1.2 x rate x calm
 *             least max(8, 2.5 x rate x calm)
 *   HOLDING   in hand has fallen to the window + 1                        HOLDING, drained: measuring begins
 *   HOLDING   drained, and no answer for max(5 ms, 6 / rate + calm,       HOLDING, window x 2, not drained; counted
 *             3 x the longest gap); without the gap if the counter        in `stuck`
 *             says that the application is idle
 *   HOLDING   after the first stretch, the rate is lower by more than     HOLDING, window x 2, not drained
 *             2 % and two standard errors
 *   HOLDING   latency is high, and the window above its least: a probe    HOLDING, kept unless the rate is lower by
 *             with window / 1.5, at least 2 + 1.2 x rate x calm           more than 2 % and one standard error
 *   HOLDING   otherwise: a probe with window x 1.5 + 1                    HOLDING, kept if the rate is higher by more
 *                                                                         than 3 % and two standard errors
 *   HOLDING   nothing was held for a second, or the service is not plain  WATCHING, window x 2, at least 64
 *
 *   latency is high  its recent mean is above 2 x calm + 3 ms, after at least 20 samples
 *   calm             the mean latency while there was no client that could be held back; the first 20 samples always
 *                    count; at most 4 x the least
 *   rate             answers a nanosecond. It is compared with the rate before the hold, in a wider probe with that
 *                    before the probe, in a narrower one with the highest of this hold
 *   stretch          max(50 ms, 400 / rate, 2 x calm), at most 2 s
 *   probe            lasts a stretch + calm. It begins a second after the first stretch or after a probe that was not
 *                    kept, and a stretch after one that was
 *
 * While it holds and is drained, messages pass in batches. When the window is full, none passes until the application
 * has nothing left but what it works on (rate x least latency - 1). libzmq reads its pipes in turn, and a pipe that was
 * read empty keeps its place until its turn or until all are empty. If some message always lay there, a newcomer would
 * wait for a round of all connections that sent lately, not for the window.
 *
 * Locks: the limiter lock, for all fields and transitions.
 * Units: messages; latencies in nanoseconds; rates in answers a nanosecond.
 * Memory: 1.2 KiB; fixed.
 */
#ifndef WEIR_FLOW_LATENCY_WINDOW_H
#define WEIR_FLOW_LATENCY_WINDOW_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define LATENCY_STEPS   128u
#define LATENCY_STEP_NS (25 * NS_PER_MS)

enum latency_state { LATENCY_WATCHING, LATENCY_HOLDING };

/* What the gate sees at each look. */
struct latency_facts {
    uint64_t answered, answered_at_ns; /* how many in all, and when the last one */
    uint64_t in_hand;
    bool held, plain;
    bool idle; /* by the counter; an application that takes everything at once may work all the same */
};

struct latency_window {
    enum latency_state state;
    double window;
    double calm_ns, least_ns, lately_ns; /* latencies; 0: not known */
    uint32_t samples;                    /* counted up to 20: a mean over fewer says nothing */
    double gap_ns;                       /* longest time without an answer, lately */
    double peak;                         /* the most in hand, lately */
    double reference, best;              /* answers a nanosecond */
    bool hit;                            /* a message was refused since the last step */
    bool drained, judged, probing;
    bool full; /* HOLDING: the window was reached, and what waits in the application's pipes is not worked off yet */
    double before_probe, fullest; /* fullest: the highest rate while something was held */
    uint64_t at_ns, peak_at_ns;   /* WATCHING: the last step */
    uint64_t drained_at_ns, stuck_at_ns, probe_at_ns, held_at_ns;
    uint64_t answered_at_step, last_answer_ns;
    uint64_t stuck;                /* how often a hold kept an application from working */
    uint64_t rates[LATENCY_STEPS]; /* answers in all, by time step */
    uint64_t step;                 /* number of the last entry */
};

void latency_window_init(struct latency_window *w, uint64_t now_ns);

/* A message was answered after `latency_ns`. `calm`: there is no client that could be held back, so this latency is the
 * service's own. */
void latency_window_sample(struct latency_window *w, uint64_t latency_ns, bool calm);

/* Applies the table above. At least each 5 ms while anything is held. */
void latency_window_look(struct latency_window *w, const struct latency_facts *f, uint64_t now_ns);

/* Whether latency is high. */
bool latency_window_is_suspicious(const struct latency_window *w);

/* Whether one more message may pass while `in_hand` are in hand. A refusal is remembered. */
MUST_USE bool latency_window_allows(struct latency_window *w, uint64_t in_hand);

#endif
