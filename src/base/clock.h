/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The one place where time is read. Floors 1 to 4, except loop/, never call it: they take `now_ns` as an argument, so
 * that tests and the simulator can run them in virtual time.
 */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. Any thread. */
uint64_t clock_now_ns(void);

/* CLOCK_REALTIME in nanoseconds since the Unix epoch, for people and metrics. Any thread. */
uint64_t clock_wall_ns(void);

#endif
