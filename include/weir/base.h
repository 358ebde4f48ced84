/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What all parts of libweir share. Include <weir.h>, which includes every part; a single part may be included alone.
 *
 * Results: a function that makes something returns it, or NULL with errno. Other functions that can fail return 0 or a
 * negative errno (-EAGAIN). No function prints, ends the process, or touches signal handlers.
 *
 * Options: a struct whose first member is its size. NAME_options_init() fills in size and defaults; then set what is
 * to differ. A program that was built with an older header keeps working, because a newer library takes what lies
 * beyond `size` from the defaults. A `size` that the library does not know is EINVAL. Structs that the library fills
 * in (statistics) begin with `size` in the same way: set it to sizeof before the call.
 *
 * Ownership: bytes that are passed in are copied before the call returns, unless the function says otherwise. What
 * NAME_new() returned belongs to the caller, until NAME_free(), which accepts NULL. No other call on that object may
 * run or come then.
 *
 * Units: times are nanoseconds, by default of CLOCK_MONOTONIC; sizes are bytes.
 *
 * All structs are plain, and all functions are real symbols, so that other languages can call them (Python: ctypes).
 */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WEIR_MUST_USE __attribute__((warn_unused_result))
#else
#define WEIR_MUST_USE
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0

#define WEIR_NS_PER_MS UINT64_C(1000000)
#define WEIR_NS_PER_S  UINT64_C(1000000000)

/* The version of the library that is loaded: major << 16 | minor << 8 | patch. Any thread. */
uint32_t weir_version(void);

/* Frees memory that a function of libweir has handed over. NULL is harmless. Any thread. */
void weir_free(void *memory);

/* How a piece of work has ended. */
enum weir_outcome {
    WEIR_OK = 0,
    WEIR_FAILED = 1,
    WEIR_IGNORED = 2 /* it says nothing of the service: the request was wrong, or the client has left */
};

/* Another clock, for tests: it returns monotonic nanoseconds, is called from any thread, and calls nothing of libweir.
 * A NULL function is CLOCK_MONOTONIC. */
struct weir_clock {
    uint64_t (*now_ns)(void *arg);
    void *arg;
};

#ifdef __cplusplus
}
#endif
#endif
