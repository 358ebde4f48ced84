/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Random numbers for tests, from a printed seed. WEIR_TEST_SEED=N repeats a run. Not part of the program.
 */
#ifndef WEIR_BASE_PROPERTY_H
#define WEIR_BASE_PROPERTY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct property_rng {
    uint64_t state;
};

/* Prints the seed, since a failure could not be repeated without it. */
static inline struct property_rng property_rng_new(const char *name)
{
    const char *fixed = getenv("WEIR_TEST_SEED");
    uint64_t seed = fixed ? strtoull(fixed, NULL, 0) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    fprintf(stderr, "%s: WEIR_TEST_SEED=%llu\n", name, (unsigned long long)seed);
    return (struct property_rng){seed};
}

/* SplitMix64 (Steele, Lea and Flood, 2014). */
static inline uint64_t property_next(struct property_rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* From 0 to bound - 1. */
static inline uint64_t property_below(struct property_rng *r, uint64_t bound)
{
    return property_next(r) % bound;
}

/* A number up to 2^bits - 1, with each magnitude equally likely. */
static inline uint64_t property_magnitude(struct property_rng *r, unsigned bits)
{
    unsigned width = (unsigned)property_below(r, bits + 1);
    return width ? property_next(r) >> (64 - width) : 0;
}

#endif
