/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The latency window: without a counter, how many messages a plain request/reply service (plain_service.h) may have in
 * hand before strangers are held back. Each hold is an experiment: it has to show that latency falls and throughput
 * does not, or it ends.
 *
 *   state     event                                                           next
 *   WATCHING  in hand reaches the window, answers as quick as in calm time    window x 2
 *   WATCHING  plain, latency > 2 x calm + 3 ms, in hand > 2.5 x rate x calm   HOLDING, window 2 + 1.2 x rate x calm
 *   HOLDING   no answer for max(5 ms, 6 / rate + calm, 3 x longest gap)       window x 2, counted
 *   HOLDING   answers fell by more than two standard errors                   window x 2
 *   HOLDING   each second, latency as in calm time: window x 1.5 for a while  kept if the rate rose by 3 %
 *   HOLDING   each second, latency still higher: window / 1.5 for a while     kept if the rate did not fall
 *   HOLDING   nothing held for a second, or the service is not plain          WATCHING
 *
 * While it holds, messages go on in batches: when the window is full, none before the application has nothing left but
 * what it works on (rate x least latency - 1). libzmq reads its pipes in turn, and one that was read empty keeps its
 * place until its turn or until all are empty. If some message always lay there, whoever comes would wait for a round
 * of all connections that sent lately, not for the window.
 *
 * "Calm" is what was measured while nobody was there who could be held back.
 *
 * Memory: 1.2 KiB. One owner at a time.
 */
#ifndef WEIR_FLOW_LATENCY_WINDOW_H
#define WEIR_FLOW_LATENCY_WINDOW_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define LATENCY_UNLIMITED 1e18
#define LATENCY_STEPS     128u
#define LATENCY_STEP_NS   (25 * NS_PER_MS)

enum latency_state { LATENCY_WATCHING, LATENCY_HOLDING };

/* What the gate sees at each look. */
struct latency_facts {
    uint64_t answered, answered_at_ns; /* in all; the last */
    uint64_t in_hand;
    bool held, plain;
    bool idle; /* the counter says so; an application that takes all at once may work all the same */
};

struct latency_window {
    enum latency_state state;
    double window;
    double calm_ns, least_ns, lately_ns; /* latencies; 0: not known */
    uint32_t samples;                    /* the first ones: a mean over fewer says nothing */
    double gap_ns;                       /* longest without an answer, lately */
    double peak;                         /* in hand, lately */
    double reference, best;              /* answers a nanosecond */
    bool hit;                            /* somebody was refused since the last step */
    bool drained, judged, probing;
    bool full; /* HOLDING: the window was reached, and what waits in the application's pipes is not worked off yet */
    double before_probe, fullest; /* the highest rate while something was held */
    uint64_t at_ns, peak_at_ns;   /* WATCHING: the last step */
    uint64_t drained_at_ns, stuck_at_ns, probe_at_ns, held_at_ns;
    uint64_t answered_at_step, last_answer_ns;
    uint64_t stuck;                /* times that a hold kept an application from working */
    uint64_t rates[LATENCY_STEPS]; /* answered in all, by time */
    uint64_t step;                 /* number of the last entry */
};

void latency_window_init(struct latency_window *w, uint64_t now_ns);

/* A message was answered after `latency_ns`. `calm`: nobody is here who could be held back, so this is what the service
 * is like. */
void latency_window_sample(struct latency_window *w, uint64_t latency_ns, bool calm);

/* Each 5 ms at most, and at least as long as something is held. */
void latency_window_look(struct latency_window *w, const struct latency_facts *f, uint64_t now_ns);

/* Whether latency is higher than in calm time. */
bool latency_window_is_suspicious(const struct latency_window *w);

/* Whether one more may go on with `in_hand`; a refusal is remembered. */
MUST_USE bool latency_window_allows(struct latency_window *w, uint64_t in_hand);

#endif
