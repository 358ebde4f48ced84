/* SPDX-License-Identifier: MPL-2.0 */
/* GNU attributes under short names. */
#ifndef WEIR_BASE_ATTR_H
#define WEIR_BASE_ATTR_H

#define MUST_USE        __attribute__((warn_unused_result))
#define PRINTF(fmt, ap) __attribute__((format(printf, fmt, ap)))
#define LIKELY(x)       __builtin_expect(!!(x), 1)
#define UNLIKELY(x)     __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)    (sizeof(a) / sizeof((a)[0]))

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

#endif
