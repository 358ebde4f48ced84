/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS             8u
#define HOUR_NS          (3600 * NS_PER_S)
#define HALF_LIFE_FACTOR 1.4427 /* time constant / half-life */
#define SURE_STRETCHES   120u   /* a minute of calm time; a mean over less is not kept for hours */
#define LEAST_RATE       1e-9   /* a microsecond in a quarter of an hour */
#define KEPT_UNIT        0x1p40
#define KEPT_MOST        1e6 /* a million servers; no gate has served more */

static double claims_fade(double rate, uint64_t elapsed_ns)
{
    double faded = rate * decay_factor(elapsed_ns, (uint64_t)(HALF_LIFE_FACTOR * HOUR_NS));
    return faded < LEAST_RATE ? 0 : faded;
}

/* Advances the mean over up to 60 s by one calm stretch in which `cost_ns` was spent, and by `quiet` empty ones. */
static double claim_fold(double recent, const struct calm_time *calm, double cost_ns, uint32_t quiet)
{
    double weight = (double)CALM_STRETCH_NS / (double)calm_time_ns(calm);
    if (cost_ns > 0)
        recent += weight * (cost_ns / CALM_STRETCH_NS - recent);
    if (quiet > 0 && calm->calm <= CALM_TIME_MOST_NS / CALM_STRETCH_NS)
        recent *= quiet < calm->calm ? 1 - (double)quiet / (double)calm->calm : 0;
    else if (quiet > 0)
        recent *= decay_factor(quiet * CALM_STRETCH_NS, calm_time_ns(calm));
    return recent < LEAST_RATE ? 0 : recent;
}

double claim_update(struct claim *c, const struct calm_time *calm)
{
    uint32_t stretches = (uint32_t)calm->stretch - c->stretch, more = (uint32_t)calm->calm - c->calm;
    if (!stretches)
        return 0;
    double before = (double)c->rate, rate = 0;
    bool counts = calm_time_was_calm(calm, calm->stretch - stretches) && c->pending > 0;
    double recent = claim_fold((double)c->recent, calm, counts ? (double)c->pending : 0, more - (counts && more));
    if (c->calm >= SURE_STRETCHES)
        rate = claims_fade((double)c->rate, stretches * CALM_STRETCH_NS);
    c->pending = 0;
    c->stretch = (uint32_t)calm->stretch;
    c->calm = (uint32_t)calm->calm;
    c->recent = (float)recent;
    c->rate = (float)(rate < recent ? recent : rate);
    return (double)c->rate - before;
}

/* Calm stretches that a mean is over, up to a minute. */
static uint16_t claims_calm(const struct calm_time *calm)
{
    return (uint16_t)(calm->calm < SURE_STRETCHES ? calm->calm : SURE_STRETCHES);
}

/* The factor by which a mean over less than a minute has fallen without service, since there were `then` calm
 * stretches. */
static double claims_thin(uint16_t then, const struct calm_time *calm)
{
    uint16_t now = claims_calm(calm);
    return then < now ? (double)then / now : 1;
}

double claims_update(struct claims_source *s, struct claim *c, const struct calm_time *calm, uint64_t now_ns)
{
    bool had = c->rate > 0;
    double change = claim_update(c, calm);
    s->claimants += (uint32_t)(c->rate > 0) - (uint32_t)had;
    s->live_rate += change;
    s->live_at_ns = now_ns;
    s->live_calm = claims_calm(calm);
    return change;
}

int claims_init(struct claims *c, size_t capacity)
{
    size_t sets = 1;
    while (sets * WAYS < capacity)
        sets *= 2;
    *c = (struct claims){calloc(sets * WAYS, sizeof(*c->table)), sets};
    return c->table ? 0 : -ENOMEM;
}

void claims_fini(struct claims *c)
{
    free(c->table);
    c->table = NULL;
}

double claims_left(const struct claims_source *s, const struct calm_time *calm, uint64_t now_ns)
{
    return claims_fade(s->left_rate * claims_thin(s->left_calm, calm), elapsed_since(s->left_at_ns, now_ns));
}

/* Brings the claims that were left up to date. */
static void claims_settle(struct claims_source *s, const struct calm_time *calm, uint64_t now_ns)
{
    uint64_t elapsed_ns = elapsed_since(s->left_at_ns, now_ns);
    s->left_rate = claims_left(s, calm, now_ns);
    s->left_recent = claims_fade(s->left_recent * claims_thin(s->left_calm, calm), elapsed_ns);
    s->left_calm = claims_calm(calm);
    s->left_debt_ns = bucket_level(&(struct faded_sum){s->left_debt_ns, s->left_at_ns}, s->left_rate, now_ns);
    s->left_at_ns += elapsed_ns;
    if (s->left_rate <= 0 || !s->left)
        s->left_rate = s->left_recent = s->left_debt_ns = s->left = 0;
}

static struct claims_source *claims_set(const struct claims *c, uint64_t key)
{
    return &c->table[key % c->sets * WAYS];
}

/* The entry of this source, or NULL. `key`: not 0. */
static struct claims_source *claims_find(const struct claims *c, uint64_t key)
{
    struct claims_source *set = claims_set(c, key);
    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

struct claims_source *claims_acquire(struct claims *c, uint64_t key, uint64_t now_ns)
{
    key += key == 0;
    struct claims_source *set = claims_set(c, key), *found = claims_find(c, key);
    for (unsigned i = 0; i < WAYS && (!found || found->key != key); i++)
        if (!set[i].live && (!found || set[i].left_rate < found->left_rate))
            found = &set[i];
    if (!found)
        found = &set[key / c->sets % WAYS]; /* shared */
    else if (found->key != key)
        *found = (struct claims_source){.key = key, .left_at_ns = now_ns};
    found->live++;
    return found;
}

bool claims_are_left(const struct claims *c, uint64_t key)
{
    const struct claims_source *s = claims_find(c, key + (key == 0));
    return s && s->left;
}

double claims_inherit(struct claims_source *s, struct claim *claim, const struct calm_time *calm, uint64_t now_ns)
{
    claims_settle(s, calm, now_ns);
    uint32_t calm_before = (uint32_t)calm->calm;
    *claim = (struct claim){.stretch = (uint32_t)calm->stretch, .calm = calm_before, .first = calm_before};
    if (!s->left)
        return 0;
    double debt_ns = s->left_debt_ns / s->left;
    claim->rate = (float)(s->left_rate / s->left);
    claim->recent = (float)(s->left_recent / s->left);
    claim->first = calm_before > CLAIM_RIPE ? calm_before - CLAIM_RIPE : 0;
    s->left_rate -= (double)claim->rate;
    s->left_recent -= (double)claim->recent;
    s->left_debt_ns -= debt_ns;
    s->left--;
    s->live_rate += (double)claim->rate;
    s->live_at_ns = now_ns;
    s->live_calm = claims_calm(calm);
    s->claimants += claim->rate > 0;
    return debt_ns;
}

void claims_release(struct claims_source *s, const struct claim *claim, double debt_ns, double work_ns,
                    const struct calm_time *calm, uint64_t now_ns)
{
    claims_settle(s, calm, now_ns);
    faded_sum_add(&s->work, CLAIMS_WORK_NS, work_ns, now_ns);
    s->live -= s->live > 0;
    double rate = (double)claim->rate;
    s->live_rate = s->live_rate > rate && s->live ? s->live_rate - rate : 0;
    if (rate <= 0)
        return;
    s->claimants -= s->claimants > 0;
    s->left++;
    s->left_rate += rate;
    s->left_recent += (double)claim->recent;
    s->left_debt_ns += debt_ns;
}

/* ---- restart ---- */

static bool claims_keep(const struct claims_source *s, const struct calm_time *calm, uint64_t now_ns,
                        struct claims_kept *ret)
{
    double live = s->claimants ? s->live_rate * claims_thin(s->live_calm, calm) : 0;
    double left = s->left ? claims_left(s, calm, now_ns) : 0, rate;
    live = claims_fade(live, elapsed_since(s->live_at_ns, now_ns));
    rate = live + left;
    *ret = (struct claims_kept){
        .rate = (uint64_t)((rate < KEPT_MOST ? rate : KEPT_MOST) * KEPT_UNIT),
        .key = s->key,
        .count = (live > 0 ? s->claimants : 0) + (left > 0 ? s->left : 0),
    };
    return s->key && ret->rate && ret->count;
}

size_t claims_page(const struct claims *c, size_t *cursor, const struct calm_time *calm, uint64_t now_ns,
                   struct claims_kept *rows, size_t most)
{
    size_t count = 0, end = c->sets * WAYS, i = *cursor;
    for (size_t last = end - i < most ? end : i + most; i < last; i++)
        count += claims_keep(&c->table[i], calm, now_ns, &rows[count]);
    *cursor = i == end ? CLAIMS_END : i;
    return count;
}

/* The entry of this source, or an unused one. */
static struct claims_source *claims_place(struct claims *c, uint64_t key)
{
    struct claims_source *set = claims_set(c, key), *found = claims_find(c, key);
    for (unsigned i = 0; i < WAYS && !found; i++)
        found = set[i].key ? NULL : &set[i];
    return found;
}

double claims_restore(struct claims *c, const struct claims_kept *kept, const struct calm_time *calm,
                      uint64_t passed_ns, uint64_t now_ns)
{
    bool sure = calm->calm >= SURE_STRETCHES;
    double rate = (double)kept->rate / KEPT_UNIT;
    rate = claims_fade(rate < KEPT_MOST ? rate : KEPT_MOST, passed_ns);
    struct claims_source *s = kept->key && kept->count && rate > 0 ? claims_place(c, kept->key) : NULL;
    if (!s)
        return 0;
    if (!s->key)
        *s = (struct claims_source){.key = kept->key, .left_at_ns = now_ns};
    claims_settle(s, calm, now_ns);
    s->left += kept->count < UINT32_MAX - s->left ? kept->count : UINT32_MAX - s->left;
    s->left_rate += rate;
    s->left_recent += sure ? 0 : rate; /* a sure rate needs no mean; the mean of the last minute begins anew */
    return rate;
}
