/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/kept_claims.h"

#include "base/clock.h"
#include "base/log.h"
#include "flow/claims_state.h"
#include "stats/top_k.h"

#include <stdlib.h>

/* Table entries looked at while the lock is held: 24 KiB. */
#define PAGE 256u

#define SURE_STRETCHES (CALM_TIME_MOST_NS / CALM_STRETCH_NS)

_Static_assert(offsetof(struct claims_kept, rate) == 0, "the weight comes first, as top_k.h wants it");
_Static_assert(CONFIG_NAME_MAX <= CLAIMS_STATE_NAME_MAX, "names of gates fit");

uint64_t kept_claims_served(struct gate *gates, size_t count)
{
    uint64_t served = 0;
    for (size_t i = 0; i < count; i++)
        served += atomic_load_explicit(&gates[i].limiter.limit.passed, memory_order_relaxed);
    return served;
}

/* ---- writing ---- */

/* The largest claims of a gate into `rows`, which has room for KEPT_CLAIMS_MOST. */
static struct claims_state_gate kept_claims_gather(struct gate *g, struct claims_kept *rows)
{
    struct top_k kept = {.rows = (char *)rows, .row_bytes = sizeof(*rows), .room = KEPT_CLAIMS_MOST};
    struct claims_kept page[PAGE];
    uint64_t calm = 0;
    for (size_t cursor = 0; cursor != CLAIMS_END;) {
        pthread_mutex_lock(&g->limiter.lock);
        size_t n = claims_page(&g->limiter.limit.claims, &cursor, &g->limiter.limit.calm, clock_now_ns(), page, PAGE);
        calm = g->limiter.limit.calm.calm;
        pthread_mutex_unlock(&g->limiter.lock);
        for (size_t i = 0; i < n; i++)
            top_k_offer(&kept, &page[i]);
    }
    top_k_sort(&kept);
    return (struct claims_state_gate){.name = g->config->name,
                                      .key = g->limiter.key,
                                      .calm = (uint32_t)(calm < SURE_STRETCHES ? calm : SURE_STRETCHES),
                                      .rows = rows,
                                      .count = kept.count};
}

uint8_t *kept_claims_write(struct gate *gates, size_t count, size_t *ret_len)
{
    struct claims_state_gate *parts = calloc(count + 1, sizeof(*parts));
    struct claims_kept *rows = calloc(count * KEPT_CLAIMS_MOST + 1, sizeof(*rows));
    uint8_t *bytes = NULL;
    for (size_t i = 0; parts && rows && i < count; i++)
        parts[i] = kept_claims_gather(&gates[i], rows + i * KEPT_CLAIMS_MOST);
    if (parts && rows) {
        *ret_len = claims_state_bytes(parts, count);
        bytes = malloc(*ret_len);
    }
    if (bytes)
        claims_state_write(bytes, parts, count, clock_wall_ns());
    free(rows);
    free(parts);
    return bytes;
}

/* ---- reading ---- */

/* Returns how many sources have claims again. */
static size_t restore(struct gate *g, const struct claims_state_part *p, uint64_t passed_ns)
{
    struct calm_time *calm = &g->limiter.limit.calm;
    uint64_t now_ns = clock_now_ns();
    size_t kept = 0;
    pthread_mutex_lock(&g->limiter.lock);
    g->limiter.key = p->key;
    calm_time_resume(calm, p->calm);
    for (size_t i = 0; i < p->count; i++) {
        struct claims_kept row = claims_state_entry(p, i);
        kept += claims_restore(&g->limiter.limit.claims, &row, calm, passed_ns, now_ns) > 0;
    }
    if (!kept) /* all have faded: a gate that starts over learns sooner */
        calm_time_resume(calm, 0);
    pthread_mutex_unlock(&g->limiter.lock);
    return kept;
}

const char *kept_claims_read(struct gate *gates, size_t count, const uint8_t *bytes, size_t len)
{
    struct claims_state_head head;
    size_t kept = 0, found = 0;
    enum claims_state_fault fault = claims_state_check(bytes, len, &head);
    if (fault != CLAIMS_STATE_SOUND)
        return fault == CLAIMS_STATE_NEWER ? "was written by a newer Weir" : "is damaged";
    for (size_t i = 0; i < count; i++) {
        struct claims_state_part part;
        if (!claims_state_find(bytes, len, gates[i].config->name, &part))
            continue;
        found++;
        kept += restore(&gates[i], &part, claims_state_age(&head, clock_wall_ns()));
    }
    LOG_INFO("state file: claims of %zu sources remembered, at %zu of %zu gates", kept, found, count);
    return NULL;
}
