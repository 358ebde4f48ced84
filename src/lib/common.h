/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the modules of libweir share: options and statistics that carry their size, and the clock. Any thread.
 */
#ifndef WEIR_LIB_COMMON_H
#define WEIR_LIB_COMMON_H

#include "base/attr.h"

#include <stdbool.h>
#include <weir/base.h>

/* Copies the options that a program gives over `defaults`, which have the size `known`. `first`: the size of the first
 * version of the struct. False: the program's size is not between the two. */
MUST_USE bool common_options(void *defaults, const void *given, size_t first, size_t known);

/* Copies what fits of `stats`, which has the size `known`, to `ret`, which says its size itself. 0 or -EINVAL. */
MUST_USE int common_stats(void *ret, const void *stats, size_t known);

uint64_t common_now_ns(const struct weir_clock *clock);

#endif
