/* SPDX-License-Identifier: MPL-2.0 */
#include <weir/meter.h>

#include "base/attr.h"
#include "lib/common.h"
#include "stats/prometheus.h"
#include "stats/text_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUNDS     25u
#define TEXT_BYTES (UINT64_C(64) << 20)

/* The upper bounds of the buckets, and how OpenMetrics writes them in seconds. */
static const struct {
    uint64_t ns;
    const char *seconds;
} bounds[BOUNDS] = {
    {UINT64_C(1000), "1e-06"},         {UINT64_C(2000), "2e-06"},       {UINT64_C(5000), "5e-06"},
    {UINT64_C(10000), "1e-05"},        {UINT64_C(20000), "2e-05"},      {UINT64_C(50000), "5e-05"},
    {UINT64_C(100000), "0.0001"},      {UINT64_C(200000), "0.0002"},    {UINT64_C(500000), "0.0005"},
    {UINT64_C(1000000), "0.001"},      {UINT64_C(2000000), "0.002"},    {UINT64_C(5000000), "0.005"},
    {UINT64_C(10000000), "0.01"},      {UINT64_C(20000000), "0.02"},    {UINT64_C(50000000), "0.05"},
    {UINT64_C(100000000), "0.1"},      {UINT64_C(200000000), "0.2"},    {UINT64_C(500000000), "0.5"},
    {UINT64_C(1000000000), "1.0"},     {UINT64_C(2000000000), "2.0"},   {UINT64_C(5000000000), "5.0"},
    {UINT64_C(10000000000), "10.0"},   {UINT64_C(20000000000), "20.0"}, {UINT64_C(50000000000), "50.0"},
    {UINT64_C(100000000000), "100.0"},
};

enum { METER_SHED = WEIR_IGNORED + 1, METER_OUTCOMES };

struct histogram {
    _Atomic uint64_t buckets[BOUNDS + 1]; /* the last: beyond all bounds */
    _Atomic uint64_t sum_ns;
};

struct weir_meter {
    char name[WEIR_METER_NAME_MAX + 1];
    _Atomic int64_t queue, queue_max;
    _Atomic uint64_t outcomes[METER_OUTCOMES];
    struct histogram times[2]; /* enum weir_meter_time */
};

struct weir_meter *weir_meter_new(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    if (len < 1 || len > WEIR_METER_NAME_MAX) {
        errno = EINVAL;
        return NULL;
    }
    struct weir_meter *m = calloc(1, sizeof(*m));
    if (m)
        memcpy(m->name, name, len);
    return m;
}

void weir_meter_free(struct weir_meter *m)
{
    free(m);
}

/* ---- noting ---- */

static uint64_t meter_get(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void meter_add(_Atomic uint64_t *n, uint64_t more)
{
    atomic_fetch_add_explicit(n, more, memory_order_relaxed);
}

static void histogram_note(struct histogram *h, uint64_t ns)
{
    unsigned low = 0, high = BOUNDS;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (ns <= bounds[middle].ns)
            high = middle;
        else
            low = middle + 1;
    }
    meter_add(&h->buckets[low], 1);
    meter_add(&h->sum_ns, ns);
}

void weir_meter_queue(struct weir_meter *m, int64_t change)
{
    int64_t n = atomic_fetch_add_explicit(&m->queue, change, memory_order_relaxed) + change;
    int64_t most = atomic_load_explicit(&m->queue_max, memory_order_relaxed);
    while (n > most &&
           !atomic_compare_exchange_weak_explicit(&m->queue_max, &most, n, memory_order_relaxed, memory_order_relaxed))
        ;
}

void weir_meter_note(struct weir_meter *m, enum weir_outcome outcome, uint64_t waited_ns, uint64_t took_ns)
{
    meter_add(&m->outcomes[outcome <= WEIR_IGNORED ? outcome : WEIR_FAILED], 1);
    histogram_note(&m->times[WEIR_METER_WAIT], waited_ns);
    histogram_note(&m->times[WEIR_METER_SERVICE], took_ns);
}

void weir_meter_shed(struct weir_meter *m, uint64_t waited_ns)
{
    meter_add(&m->outcomes[METER_SHED], 1);
    histogram_note(&m->times[WEIR_METER_WAIT], waited_ns);
}

/* ---- reading ---- */

int weir_meter_read(const struct weir_meter *m, struct weir_meter_stats *ret)
{
    struct weir_meter_stats s = {
        .queue = atomic_load_explicit(&m->queue, memory_order_relaxed),
        .queue_max = atomic_load_explicit(&m->queue_max, memory_order_relaxed),
        .ok = meter_get(&m->outcomes[WEIR_OK]),
        .failed = meter_get(&m->outcomes[WEIR_FAILED]),
        .ignored = meter_get(&m->outcomes[WEIR_IGNORED]),
        .shed = meter_get(&m->outcomes[METER_SHED]),
        .wait_ns = meter_get(&m->times[WEIR_METER_WAIT].sum_ns),
        .service_ns = meter_get(&m->times[WEIR_METER_SERVICE].sum_ns),
    };
    return common_stats(ret, &s, sizeof(s));
}

uint64_t weir_meter_quantile_ns(const struct weir_meter *m, enum weir_meter_time which, double share)
{
    const struct histogram *h = &m->times[which == WEIR_METER_SERVICE];
    uint64_t counts[BOUNDS + 1], all = 0;
    for (unsigned i = 0; i <= BOUNDS; i++)
        all += counts[i] = meter_get(&h->buckets[i]);
    if (all == 0)
        return 0;
    double rank = (share < 0 ? 0 : share > 1 ? 1 : share) * (double)all, below = 0;
    for (unsigned i = 0; i < BOUNDS; i++) {
        double low = i ? (double)bounds[i - 1].ns : 0;
        if (counts[i] && below + (double)counts[i] >= rank)
            return (uint64_t)(low + ((double)bounds[i].ns - low) * (rank - below) / (double)counts[i]);
        below += (double)counts[i];
    }
    return bounds[BOUNDS - 1].ns;
}

/* ---- the text ---- */

static void text_head(struct text_out *o, const char *name, const char *type, const char *unit, const char *help)
{
    text_out_str(o, "# HELP ");
    text_out_str(o, name);
    text_out_str(o, " ");
    text_out_str(o, help);
    text_out_str(o, "\n# TYPE ");
    text_out_str(o, name);
    text_out_str(o, " ");
    text_out_str(o, type);
    if (unit) {
        text_out_str(o, "\n# UNIT ");
        text_out_str(o, name);
        text_out_str(o, " ");
        text_out_str(o, unit);
    }
    text_out_str(o, "\n");
}

static void text_labels(struct text_out *o, const char *name, const char *suffix, const struct weir_meter *m,
                        const char *label, const char *value)
{
    text_out_str(o, name);
    text_out_str(o, suffix);
    text_out_str(o, "{stage=\"");
    prometheus_escape(o, m->name);
    if (label) {
        text_out_str(o, "\",");
        text_out_str(o, label);
        text_out_str(o, "=\"");
        text_out_str(o, value);
    }
    text_out_str(o, "\"} ");
}

static void text_number(struct text_out *o, int64_t n)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64 "\n", n);
    text_out_str(o, digits);
}

static void text_seconds(struct text_out *o, uint64_t ns)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%" PRIu64 ".%09u\n", (uint64_t)(ns / NS_PER_S), (unsigned)(ns % NS_PER_S));
    text_out_str(o, digits);
}

static void text_queues(struct text_out *o, const struct weir_meter *const *meters, size_t count)
{
    text_head(o, "weir_stage_queue", "gauge", NULL, "Messages that wait now.");
    for (size_t i = 0; i < count; i++) {
        text_labels(o, "weir_stage_queue", "", meters[i], NULL, NULL);
        text_number(o, atomic_load_explicit(&meters[i]->queue, memory_order_relaxed));
    }
    text_head(o, "weir_stage_queue_max", "gauge", NULL, "The most messages that have waited.");
    for (size_t i = 0; i < count; i++) {
        text_labels(o, "weir_stage_queue_max", "", meters[i], NULL, NULL);
        text_number(o, atomic_load_explicit(&meters[i]->queue_max, memory_order_relaxed));
    }
}

static void text_outcomes(struct text_out *o, const struct weir_meter *const *meters, size_t count)
{
    static const char *const names[METER_OUTCOMES] = {"ok", "failed", "ignored", "shed"};
    text_head(o, "weir_stage_work", "counter", NULL, "Pieces of work that have ended.");
    for (size_t i = 0; i < count; i++)
        for (unsigned n = 0; n < METER_OUTCOMES; n++) {
            text_labels(o, "weir_stage_work", "_total", meters[i], "outcome", names[n]);
            text_number(o, (int64_t)meter_get(&meters[i]->outcomes[n]));
        }
}

static void text_histogram(struct text_out *o, const char *name, const struct weir_meter *m, const struct histogram *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < BOUNDS; i++) {
        n += meter_get(&h->buckets[i]);
        text_labels(o, name, "_bucket", m, "le", bounds[i].seconds);
        text_number(o, (int64_t)n);
    }
    n += meter_get(&h->buckets[BOUNDS]);
    text_labels(o, name, "_bucket", m, "le", "+Inf");
    text_number(o, (int64_t)n);
    text_labels(o, name, "_count", m, NULL, NULL);
    text_number(o, (int64_t)n);
    text_labels(o, name, "_sum", m, NULL, NULL);
    text_seconds(o, meter_get(&h->sum_ns));
}

static void text_times(struct text_out *o, const struct weir_meter *const *meters, size_t count)
{
    static const struct {
        const char *name, *help;
    } families[] = {[WEIR_METER_WAIT] = {"weir_stage_wait_seconds", "How long work waited before it began."},
                    [WEIR_METER_SERVICE] = {"weir_stage_service_seconds", "How long the work took."}};
    for (unsigned f = 0; f < ARRAY_LEN(families); f++) {
        text_head(o, families[f].name, "histogram", "seconds", families[f].help);
        for (size_t i = 0; i < count; i++)
            text_histogram(o, families[f].name, meters[i], &meters[i]->times[f]);
    }
}

int weir_meter_text(const struct weir_meter *const *meters, size_t count, char *buffer, size_t size, size_t *ret_size)
{
    struct text_out o;
    text_out_init(&o, TEXT_BYTES);
    text_queues(&o, meters, count);
    text_outcomes(&o, meters, count);
    text_times(&o, meters, count);
    text_out_str(&o, "# EOF\n");
    char *text = text_out_take(&o, ret_size);
    if (!text)
        return -ENOMEM;
    bool fits = *ret_size < size;
    if (fits) {
        memcpy(buffer, text, *ret_size);
        buffer[*ret_size] = '\0';
    }
    free(text);
    return fits ? 0 : -ENOSPC;
}
