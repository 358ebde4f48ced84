/* SPDX-License-Identifier: MPL-2.0 */
#include "scenario.h"

#include "chance.h"

const char *const app_names[APP_KINDS] = {"rep_cpu",     "rep_sleep",  "slots_cpu",    "slots_sleep", "eager_cpu",
                                          "eager_sleep", "batch_wait", "batch_greedy", "broker",      "notes",
                                          "pull_cpu",    "pull_sleep", "long_poll",    "mute_half",   "mixed_cost"};
const char *const flood_names[FLOOD_KINDS] = {"none",  "greedy_1", "greedy_n", "dear_1", "dear_n",
                                              "leave", "bursts",   "fair",     "mute"};
const char *const counter_names[COUNTER_KINDS] = {"exact", "late", "low", "high", "stuck"};

#define MS  (1e6)
#define SEC (1e9)

static void scenario_draw_app(struct scenario *s, struct property_rng *r)
{
    static const uint16_t cpu_slots[] = {2, 16};
    s->slots = 1;
    s->service_ns = chance_log(r, 20e3, 5 * MS);
    switch (s->app) {
    case APP_REP_SLEEP:
        s->service_ns = chance_log(r, 200e3, 20 * MS);
        break;
    case APP_SLOTS_CPU:
    case APP_EAGER_CPU:
        s->slots = (uint32_t)chance_between(r, s->app == APP_EAGER_CPU ? 1 : cpu_slots[0], cpu_slots[1]);
        s->service_ns = chance_log(r, 100e3, 5 * MS);
        break;
    case APP_SLOTS_SLEEP:
    case APP_EAGER_SLEEP:
        s->slots = (uint32_t)chance_log(r, 2, 200.99);
        s->service_ns = chance_log(r, 2 * MS, s->app == APP_EAGER_SLEEP ? 200 * MS : 500 * MS);
        break;
    case APP_BATCH_WAIT:
    case APP_BATCH_GREEDY:
        s->batch_ns = chance_log(r, MS, 20 * MS);
        s->service_ns = s->item_ns = chance_log(r, 1e3, 100e3);
        break;
    case APP_BROKER:
        s->service_ns = (double)chance_between(r, 10, 30) * 1e3;
        s->workers = (uint32_t)chance_between(r, 1, 20);
        s->work_ns = chance_log(r, MS, 50 * MS);
        break;
    case APP_PULL_SLEEP:
        s->service_ns = chance_log(r, 100e3, 5 * MS);
        break;
    case APP_NOTES:
        s->service_ns = chance_log(r, 20e3, MS);
        break;
    case APP_LONG_POLL:
        s->service_ns = chance_log(r, 20e3, 300e3);
        break;
    case APP_MIXED_COST:
        s->service_ns = 20e3;
        break;
    default:
        break;
    }
    s->one_way = s->app == APP_PULL_CPU || s->app == APP_PULL_SLEEP;
    s->mean_cost_ns = s->app == APP_MIXED_COST ? 0.96 * s->service_ns + 0.04 * 3.5 * MS : s->service_ns;
}

static void scenario_draw_clients(struct scenario *s, struct property_rng *r, bool flood)
{
    static const double loads[] = {0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0, 1.5};
    s->spread = (enum spread)chance_between(r, 0, 3);
    s->poisson = chance(r, 0.5);
    s->one_address = chance(r, 0.25);
    s->few_others = s->one_address && chance(r, 0.3);
    s->honest = s->one_address ? 60u + 10u * s->few_others : (uint32_t)chance_log(r, 1, 100.99);
    if (s->honest < 6 && (s->app == APP_LONG_POLL || s->app == APP_MUTE_HALF))
        s->honest = 6;
    s->load = !flood           ? loads[chance_between(r, 0, 7)]
              : chance(r, 0.3) ? chance_log(r, 0.01, 0.1)
                               : 0.1 + 0.7 * chance_unit(r);
    if (s->app == APP_LONG_POLL && s->load > 0.8)
        s->load = 0.8;
}

static void scenario_draw_times(struct scenario *s, struct property_rng *r)
{
    double service = scenario_service(s, false), cycle = s->honest / (s->load * scenario_capacity(s));
    double warm = 5 * cycle < 60 * SEC ? 5 * cycle : 60 * SEC;
    warm = warm > 6 * service ? warm : 6 * service;
    s->warm_ns = (uint64_t)(warm > 3 * SEC ? warm : 3 * SEC);
    s->from_ns = s->warm_ns + (uint64_t)(3 * service > SEC ? 3 * service : SEC);
    s->to_ns = s->from_ns + (uint64_t)(15 * service > 3 * SEC ? 15 * service : 3 * SEC);
    s->flood_at_ns = chance(r, 0.15) ? 1000000 : s->warm_ns;
    if (!chance(r, 0.12))
        return;
    s->pause_at_ns = s->from_ns + 300 * NS_PER_MS;
    s->pause_ns = (uint64_t)chance_log(r, 200 * MS, 4 * SEC);
    s->to_ns += s->pause_ns * 3 / 2;
}

static void scenario_draw_flood(struct scenario *s, struct property_rng *r)
{
    static const uint32_t sources[] = {20, 200, 500}, connections[] = {1, 8, 50, 200};
    uint32_t many = sources[chance_between(r, 0, 2)], wide = connections[chance_between(r, 0, 3)];
    bool one = s->flood == FLOOD_GREEDY_1 || s->flood == FLOOD_DEAR_1;
    double dear = 2 * MS + 3 * MS * chance_unit(r);
    bool is_dear = s->flood >= FLOOD_DEAR_1 && s->flood <= FLOOD_BURSTS;
    if (s->flood == FLOOD_LEAVE || s->flood == FLOOD_MUTE)
        one = chance(r, 0.5);
    if (s->flood == FLOOD_LEAVE) {
        many = 20;
        wide = (uint32_t)chance_between(r, 5, 20);
    }
    s->flood_sources = one ? 1 : s->flood == FLOOD_BURSTS ? 200 : many;
    s->flood_connections = one ? wide : 1;
    s->flood_cost_ns = s->app == APP_BROKER ? s->work_ns : s->service_ns;
    if ((is_dear || (s->flood == FLOOD_FAIR && chance(r, 0.5))) && s->flood_cost_ns < dear)
        s->flood_cost_ns = dear;
}

static void scenario_draw_extra(struct scenario *s, struct property_rng *r)
{
    s->newcomers = s->flood && chance(r, 0.3) ? s->honest / 5 : 0;
    s->on_off = chance(r, 0.25);
    s->large_ns = chance(r, 0.2) ? chance_log(r, 50e3, 2 * MS) : 0;
    s->slow_ns = chance(r, 0.2) ? chance_log(r, 20 * MS, 500 * MS) : 0;
    s->counter = chance(r, 0.4) ? (enum counter_kind)chance_between(r, 1, COUNTER_KINDS - 1) : COUNTER_EXACT;
}

void scenario_draw(struct scenario *s, uint64_t seed, bool flood, bool extra)
{
    struct property_rng r = {seed};
    r.state = property_next(&r); /* streams of neighbouring seeds have nothing in common */
    *s = (struct scenario){.seed = seed};
    s->app = (enum app_kind)chance_between(&r, 0, APP_KINDS - 1);
    s->flood = flood ? (enum flood_kind)chance_between(&r, 1, FLOOD_KINDS - 1) : FLOOD_NONE;
    scenario_draw_app(s, &r);
    scenario_draw_clients(s, &r, flood);
    scenario_draw_times(s, &r);
    scenario_draw_flood(s, &r);
    if (extra)
        scenario_draw_extra(s, &r);
}

double scenario_capacity(const struct scenario *s)
{
    switch (s->app) {
    case APP_BROKER: {
        double workers = s->workers / s->work_ns, broker = 1 / (3 * s->service_ns);
        return workers < broker ? workers : broker;
    }
    case APP_BATCH_WAIT:
    case APP_BATCH_GREEDY:
        return 32 / (s->batch_ns + 32 * s->item_ns);
    case APP_LONG_POLL:
        return 1 / s->service_ns;
    default:
        return s->slots / s->mean_cost_ns;
    }
}

double scenario_service(const struct scenario *s, bool flood)
{
    double ns = s->service_ns;
    if (s->app == APP_BROKER)
        ns = s->work_ns;
    else if (s->app == APP_BATCH_WAIT || s->app == APP_BATCH_GREEDY)
        ns = s->batch_ns + 32 * s->item_ns;
    else if (s->app == APP_MIXED_COST)
        ns = 3.5 * MS;
    return flood && ns < 1.2 * s->flood_cost_ns ? 1.2 * s->flood_cost_ns : ns;
}

bool scenario_is_lazy(const struct scenario *s)
{
    return s->app != APP_EAGER_CPU && s->app != APP_EAGER_SLEEP && s->app != APP_BROKER && s->app != APP_LONG_POLL;
}
