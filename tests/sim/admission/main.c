/* SPDX-License-Identifier: MPL-2.0 */
/*
 * admission_sim [--draws FIRST COUNT] [--extra] [--csv] [--only COUNTER|OUTSIDE]: the production code of
 * flow/request_limiter.h over random applications, clients and floods, beside a gate that passes everything at once and
 * an oracle that knows who is honest. Without options a few draws, held against the invariants (under 3 s); exits 1
 * when one does not hold. With --draws a table:
 *
 *   N  no flood: at least 0.98 of pass-all's throughput, p99 at most 1.1 x + 1 ms, nobody below 0.9 of it at full load
 *   S  flood: goodput at least 0.99 of quiet (less one service that is waited for), p99 <= max(2 x quiet, 5 ms + 2
 * services) B  flood: never worse than pass-all under the same flood, by the measure of N
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS    (1e6)
#define NAMES 4u

static const char *const contender_names[NAMES] = {"pass_all", "oracle", "outside", "counter"};

struct tally {
    unsigned quiet, quiet_good, floods, survived, not_worse, lazy, lazy_survived, slower;
    double least;
};

struct draw {
    struct scenario s;
    bool flood;
    struct world_result quiet, bare;
};

static bool draw_is_worse(const struct draw *d, const struct world_result *r)
{
    double least = 1;
    if (r->rate < 0.98 * d->bare.rate)
        return true;
    if ((d->s.load <= 1 || d->flood) && r->all_p99_ns > 1.1 * d->bare.all_p99_ns + MS)
        return true;
    for (uint32_t i = 0; i < r->count; i++)
        if (d->bare.done[i] >= 50 && r->done[i] / (double)d->bare.done[i] < least)
            least = r->done[i] / (double)d->bare.done[i];
    return !d->flood && d->s.load >= 1 && least < 0.9;
}

/* A client that waits for its answer sends less when it waits for one service more. */
static bool draw_survives(const struct draw *d, const struct world_result *r)
{
    const struct scenario *s = &d->s;
    double service_ns = scenario_service(s, d->flood), cycle_ns = s->honest / d->quiet.old_rate * 1e9;
    double more_ns = r->mean_ns - d->quiet.mean_ns, part = 1;
    more_ns = more_ns < 0 ? 0 : more_ns > service_ns ? service_ns : more_ns;
    if (!s->poisson && !s->one_way && s->app != APP_NOTES)
        part = cycle_ns / (cycle_ns + more_ns);
    double most_ns = 2 * d->quiet.p99_ns > 5 * MS + 2 * service_ns ? 2 * d->quiet.p99_ns : 5 * MS + 2 * service_ns;
    return r->old_rate >= 0.99 * part * d->quiet.old_rate && r->p99_ns <= most_ns;
}

static void draw_begin(struct draw *d, uint64_t seed, bool extra)
{
    d->flood = seed % 5 >= 2;
    scenario_draw(&d->s, seed, d->flood, extra);
    world_run(&d->s, PASS_ALL, d->flood, &d->bare);
    world_run(&d->s, PASS_ALL, false, &d->quiet);
}

static void draw_end(struct draw *d)
{
    world_result_free(&d->bare);
    world_result_free(&d->quiet);
}

static void draw_print(const struct draw *d, enum contender c, const struct world_result *r, bool worse, bool survives)
{
    const struct scenario *s = &d->s;
    printf(
        "%llu,%s,%s,%s,%s,%d,%d,%u,%u,%u,%.3g,%.3g,%.0f,%.0f,%.0f,%.3f,%.3f,%.3f,%d,%d,%u,%d%d%d%d%d,%.1f,%.2f,%llu\n",
        (unsigned long long)s->seed, app_names[s->app], flood_names[s->flood], contender_names[c],
        counter_names[s->counter], !worse, survives, s->honest, s->flood_sources, s->flood_connections, s->load,
        s->service_ns / MS, d->quiet.old_rate, d->bare.old_rate, r->old_rate, d->quiet.p99_ns / MS, d->bare.p99_ns / MS,
        r->p99_ns / MS, s->warm_ns > s->flood_at_ns, s->one_address, s->slots, s->poisson, s->on_off, s->large_ns > 0,
        s->slow_ns > 0, s->pause_ns > 0, r->held, (double)r->stuck_ns / MS, (unsigned long long)r->stuck_counted);
}

static void tally_add(struct tally *t, const struct draw *d, const struct world_result *r, bool worse, bool survives)
{
    double part = d->bare.rate > 0 ? r->rate / d->bare.rate : 1;
    if (!d->flood) {
        t->quiet++;
        t->quiet_good += !worse;
        t->slower += part < 0.98;
        t->least = t->quiet == 1 || part < t->least ? part : t->least;
        return;
    }
    bool lazy = scenario_is_lazy(&d->s) && d->s.flood_at_ns >= d->s.warm_ns && d->s.counter <= COUNTER_LATE;
    t->floods++;
    t->survived += survives;
    t->not_worse += !worse;
    t->lazy += lazy;
    t->lazy_survived += lazy && survives;
}

static double percent(unsigned part, unsigned all)
{
    return all ? 100.0 * part / all : 0;
}

static void tally_print(const struct tally *t, const char *name)
{
    printf("%-9s N %5.1f %% of %u (below 0.98 of the throughput: %u; least %.3f)  S %5.1f %% of %u  B %5.1f %%  "
           "S of those that take only what they work on, after calm time: %5.1f %% of %u\n",
           name, percent(t->quiet_good, t->quiet), t->quiet, t->slower, t->least, percent(t->survived, t->floods),
           t->floods, percent(t->not_worse, t->floods), percent(t->lazy_survived, t->lazy), t->lazy);
}

struct options {
    uint64_t first, count;
    bool extra, csv, oracle;
    const char *only;
};

static void run_draw(const struct options *o, uint64_t seed, struct tally *tallies)
{
    struct draw d;
    draw_begin(&d, seed, o->extra);
    for (unsigned c = PASS_ALL; c < NAMES; c++) {
        struct world_result r = d.bare;
        if (c == ORACLE && !o->oracle)
            continue;
        if (c != PASS_ALL && o->only && strcmp(o->only, contender_names[c]) != 0)
            continue;
        if (c != PASS_ALL)
            world_run(&d.s, (enum contender)c, d.flood, &r);
        bool worse = draw_is_worse(&d, &r), survives = d.flood && draw_survives(&d, &r);
        if (o->csv)
            draw_print(&d, (enum contender)c, &r, worse, survives);
        fflush(stdout);
        tally_add(&tallies[c], &d, &r, worse, survives);
        if (c != PASS_ALL)
            world_result_free(&r);
    }
    draw_end(&d);
}

static void run_table(const struct options *o)
{
    struct tally tallies[NAMES];
    memset(tallies, 0, sizeof(tallies));
    for (uint64_t seed = o->first; seed < o->first + o->count; seed++)
        run_draw(o, seed, tallies);
    for (unsigned c = PASS_ALL; c < NAMES; c++)
        if (tallies[c].quiet + tallies[c].floods)
            tally_print(&tallies[c], contender_names[c]);
}

/* ---- the short run ---- */

#define SHORT_DRAWS   10u
#define STUCK_MOST_NS (20 * NS_PER_MS)

static unsigned failures;

static void expect(bool holds, uint64_t seed, enum contender c, const char *what, double value)
{
    if (holds)
        return;
    failures++;
    printf("FAILED: seed %llu, %s: %s: %g\n", (unsigned long long)seed, contender_names[c], what, value);
}

/* Invariants 1, 2 and 8: an application never has nothing to do while something is held, and no flood means no loss,
 * whatever the counter says. */
static void check_draw(uint64_t seed)
{
    struct draw d;
    draw_begin(&d, seed, seed % 2);
    for (unsigned c = OUTSIDE; c <= COUNTER; c++) {
        struct world_result r;
        world_run(&d.s, (enum contender)c, d.flood, &r);
        double part = d.bare.rate > 0 ? r.rate / d.bare.rate : 1;
        expect(d.flood || part >= 0.98, seed, (enum contender)c, "throughput against pass-all without a flood", part);
        expect(c == OUTSIDE || d.s.counter != COUNTER_EXACT || r.stuck_ns <= STUCK_MOST_NS, seed, (enum contender)c,
               "ms that an idle application was kept waiting", (double)r.stuck_ns / MS);
        world_result_free(&r);
    }
    draw_end(&d);
}

static int run_short(void)
{
    const char *fixed = getenv("WEIR_TEST_SEED");
    uint64_t first = fixed ? strtoull(fixed, NULL, 0) : 0;
    printf("admission_sim: WEIR_TEST_SEED=%llu\n", (unsigned long long)first);
    for (uint64_t seed = first; seed < first + SHORT_DRAWS; seed++)
        check_draw(seed);
    printf("%u expectations failed\n", failures);
    return failures != 0;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--draws") == 0 && i + 2 < argc) {
            o.first = strtoull(argv[++i], NULL, 10);
            o.count = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            o.only = argv[++i];
        }
        o.extra |= strcmp(argv[i], "--extra") == 0;
        o.csv |= strcmp(argv[i], "--csv") == 0;
        o.oracle |= strcmp(argv[i], "--oracle") == 0;
    }
    if (!o.count)
        return run_short();
    run_table(&o);
    return 0;
}
