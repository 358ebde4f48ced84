/* SPDX-License-Identifier: MPL-2.0 */
/* Distributions over property.h's generator. */
#ifndef WEIR_SIM_CHANCE_H
#define WEIR_SIM_CHANCE_H

#include "base/property.h"

#include <math.h>
#include <stdbool.h>

static inline double chance_unit(struct property_rng *r)
{
    return (double)(property_next(r) >> 11) * (1.0 / 9007199254740992.0);
}

static inline bool chance(struct property_rng *r, double p)
{
    return chance_unit(r) < p;
}

static inline int64_t chance_between(struct property_rng *r, int64_t least, int64_t most)
{
    return least + (int64_t)property_below(r, (uint64_t)(most - least + 1));
}

/* Each magnitude is as likely. */
static inline double chance_log(struct property_rng *r, double least, double most)
{
    return least * pow(most / least, chance_unit(r));
}

static inline double chance_exponential(struct property_rng *r, double mean)
{
    return -mean * log(1 - chance_unit(r));
}

static inline double chance_normal(struct property_rng *r)
{
    double u = 1 - chance_unit(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * chance_unit(r));
}

#endif
