/* SPDX-License-Identifier: MPL-2.0 */
/* What the programs of the demo share: the stamp that every well-behaved PUSH message carries, and the clock. */
#ifndef WEIR_DEMO_DEMO_H
#define WEIR_DEMO_DEMO_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define DEMO_MAGIC 0x57454952u

struct demo_stamp {
    uint32_t magic, client, seq, unused;
    uint64_t intended_ns; /* when it should have been sent, CLOCK_MONOTONIC */
};

static inline uint64_t demo_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
