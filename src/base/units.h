/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Quantities as people write them: "64KiB", "10MiB", "5s", "100ms", "500/s". Pure; no locale.
 */
#ifndef WEIR_BASE_UNITS_H
#define WEIR_BASE_UNITS_H

#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

/* All parsers return 0, -EINVAL (not of this form) or -ERANGE (does not fit in 64 bits). On failure *ret is
 * untouched. */

/* "123" */
MUST_USE int units_parse_count(const char *s, uint64_t *ret);

/* "123" or "123B", with k/M/G (powers of 1000: kB, MB, GB) or Ki/Mi/Gi (1024: KiB, MiB, GiB). */
MUST_USE int units_parse_bytes(const char *s, uint64_t *ret_bytes);

/* "100us", "100ms", "5s", "1m", "2h", "1d"; a unit is required, except for "0". */
MUST_USE int units_parse_duration(const char *s, uint64_t *ret_ns);

/* "500/s", "10/m", "10MiB/s", "1000/h": a quantity in count or bytes per s, m, h or d. `0` or "unlimited": count 0. */
MUST_USE int units_parse_rate(const char *s, uint64_t *ret_count, uint64_t *ret_period_ns);

/* The shortest exact form, e.g. "64KiB", "1536KiB", "5s", "100ms". Returns `dst`. */
char *units_format_bytes(char *dst, size_t size, uint64_t bytes);
char *units_format_duration(char *dst, size_t size, uint64_t ns);
char *units_format_rate(char *dst, size_t size, uint64_t count, uint64_t period_ns);

#endif
