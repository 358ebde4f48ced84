/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/pressure.h"

/* In 128ths of the limit, so that no product can overflow: where a level begins, and below which it ends. */
static const struct {
    uint8_t begins, ends;
} bounds[PRESSURE_LEVELS] = {
    [PRESSURE_HEAVY] = {90, 83},    /* 70 %, 65 % */
    [PRESSURE_SHARES] = {109, 102}, /* 85 %, 80 % */
    [PRESSURE_FULL] = {122, 115},   /* 95 %, 90 % */
};

static const uint32_t read_most[PRESSURE_LEVELS] = {
    [PRESSURE_NONE] = 256u * 1024u,
    [PRESSURE_HEAVY] = 16u * 1024u,
    [PRESSURE_SHARES] = 4096u,
    [PRESSURE_FULL] = 4096u,
};

static uint64_t part_of(uint64_t limit, uint8_t parts)
{
    return limit / 128 * parts + limit % 128 * parts / 128;
}

void pressure_init(struct pressure *p, uint64_t limit_bytes)
{
    p->limit_bytes = limit_bytes;
    atomic_init(&p->level, PRESSURE_NONE);
}

enum pressure_level pressure_step(enum pressure_level level, uint64_t held, uint64_t limit)
{
    unsigned at = level;
    while (at > 0 && at < PRESSURE_LEVELS && held < part_of(limit, bounds[at].ends))
        at--;
    while (at + 1 < PRESSURE_LEVELS && held >= part_of(limit, bounds[at + 1].begins))
        at++;
    return (enum pressure_level)at;
}

enum pressure_level pressure_update(struct pressure *p, uint64_t held)
{
    enum pressure_level before = pressure_level(p), now = pressure_step(before, held, p->limit_bytes);
    /* Two threads may see different numbers, and the older one may be stored last. The next update corrects that. */
    if (now != before)
        atomic_store_explicit(&p->level, (uint8_t)now, memory_order_relaxed);
    return now;
}

uint32_t pressure_read_most(enum pressure_level level)
{
    return read_most[level];
}

uint64_t pressure_share(uint64_t limit, unsigned workers, uint64_t holders, uint64_t least)
{
    uint64_t share = limit / (workers ? workers : 1) / (holders + 1);
    return share > least ? share : least;
}

bool pressure_allows(enum pressure_level level, uint64_t source_bytes, uint64_t share)
{
    switch (level) {
    case PRESSURE_NONE:
        return true;
    case PRESSURE_HEAVY:
        return source_bytes / 2 <= share;
    default:
        return source_bytes <= share;
    }
}

bool pressure_admits(enum pressure_level level, uint64_t source_bytes, uint64_t share)
{
    return level != PRESSURE_FULL && pressure_allows(level, source_bytes, share);
}

bool pressure_spares(uint64_t limit, uint64_t held, uint64_t need)
{
    uint64_t usable = part_of(limit, bounds[PRESSURE_FULL].ends);
    return held <= usable && need <= usable - held;
}

bool pressure_has_room(uint64_t limit, uint64_t held, uint64_t need)
{
    uint64_t usable = limit - limit / 32;
    return held <= usable && need <= usable - held;
}
