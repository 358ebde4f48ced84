/* SPDX-License-Identifier: MPL-2.0 */
/*
 * One scenario in virtual time: clients, the gate with one of the contenders, the application, and its counter. The
 * gate is the production code of flow/request_limiter.h, called as a relay with one worker would call it.
 * Deterministic.
 *
 * Between them: 15 us from a client to the gate and from the gate to the application, 20 us in the gate, 10 us until
 * the counter has woken the gate. A connection's pipe into the application holds WORLD_PIPE messages; libzmq takes them
 * by turns. Memory: 64 bytes for each message under way.
 */
#ifndef WEIR_SIM_WORLD_H
#define WEIR_SIM_WORLD_H

#include "flow/request_limiter.h"
#include "scenario.h"

#define WORLD_PIPE 500u

enum contender { PASS_ALL, ORACLE, OUTSIDE, COUNTER };

struct world_result {
    double rate;            /* messages of the honest done, a second */
    double p99_ns, mean_ns; /* of the honest that were there before the flood */
    double all_p99_ns;      /* with newcomers */
    double old_rate;        /* without newcomers */
    uint32_t *done;         /* by honest connection, of `count` */
    uint32_t count;
    uint64_t stuck_ns;      /* longest time that the application had nothing to do while something was held */
    uint64_t stuck_counted; /* as the limiter tells */
    double held;            /* connections in line, mean */
};

void world_run(const struct scenario *s, enum contender contender, bool flood, struct world_result *ret);
void world_result_free(struct world_result *r);

#endif
