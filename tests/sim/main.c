/* SPDX-License-Identifier: MPL-2.0 */
/*
 * sim [--full] [--csv FOLDER]: floods of all kinds against the mechanisms of policy/ and flow/, in virtual time, and
 * what must be true of them. A second; --full: some seconds, with 10^6 sources too. Exits 1 when something was not
 * true.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define SERVICE_NS (2 * NS_PER_MS)
#define SETTLE_NS  (200 * NS_PER_MS)

/* What the application's work on the requests in front may add for a sparse source; and what more there is when the
 * window is found out by chance and narrow. */
#define P99_SERVICES 6

static unsigned failures;
static double scale = 1; /* of the length of a run */
static const char *folder;

static const struct sim_group sparse = {
    .name = "sparse", .kind = SIM_POISSON, .sources = 10, .connections = 1, .rate = 5, .sparse = true};

static struct sim_config scenario(const char *name, uint32_t servers)
{
    return (struct sim_config){
        .name = name,
        .app = {.servers = servers, .service_ns = SERVICE_NS},
        .warm_up_ns = SETTLE_NS,
        .end_ns = (uint64_t)(20 * scale * NS_PER_S),
        .seed = 1,
        .groups = {sparse},
    };
}

static struct sim_group greedy(const char *name, uint32_t sources, uint32_t connections)
{
    return (struct sim_group){.name = name, .kind = SIM_GREEDY, .sources = sources, .connections = connections};
}

static void expect(bool holds, const struct sim_config *c, const char *what, double value)
{
    if (holds)
        return;
    failures++;
    printf("FAILED: %s: %s: %g\n", c->name, what, value);
}

static void print(const struct sim_config *c, const struct sim_result *r)
{
    double level = sim_level(c, r);
    printf("%s: %llu answered, %.1f %% of the servers used, at most %u connections, fair level %.1f\n", c->name,
           (unsigned long long)r->answered, 100 * r->utilisation, r->connections_most, level);
    for (unsigned g = 0; g < SIM_GROUPS; g++)
        if (r->groups[g].count)
            printf(
                "  %-20s %7u sources, served %.1f (%.0f to %.0f), wait %.2f ms, p99 %.2f ms, Jain %.4f, share %.3f\n",
                c->groups[g].name, r->groups[g].count, r->groups[g].mean, r->groups[g].least, r->groups[g].most,
                (double)r->groups[g].median_ns / NS_PER_MS, (double)r->groups[g].p99_ns / NS_PER_MS, r->groups[g].jain,
                sim_least_share(r, g, level));
}

/* What holds in every scenario. */
static void run(const struct sim_config *c, struct sim_result *r)
{
    sim_run(c, r);
    print(c, r);
    for (unsigned g = 0; g < SIM_GROUPS; g++) {
        if (!c->groups[g].sparse || !r->groups[g].count)
            continue;
        expect(r->groups[g].goodput >= 0.99, c, "goodput of the sparse", r->groups[g].goodput);
        expect(r->groups[g].p99_ns <= P99_SERVICES * c->app.service_ns, c, "p99 of the sparse in ms",
               (double)r->groups[g].p99_ns / NS_PER_MS);
    }
    expect(r->left_in_hand == 0, c, "requests counted after all have gone", r->left_in_hand);
    expect(r->turns_bytes <= 152 * (c->turns ? c->turns : 4096), c, "bytes of the table of turns",
           (double)r->turns_bytes);
    expect(r->sources.fallbacks == 0, c, "sources without an entry", (double)r->sources.fallbacks);
}

/* Groups `from` to `to` are alike in what they want: each source gets the same. */
static void run_equal(const struct sim_config *c, unsigned from, unsigned to)
{
    struct sim_result r;
    run(c, &r);
    double level = sim_level(c, &r), least = r.groups[from].mean, most = least;
    for (unsigned g = from; g <= to; g++) {
        least = r.groups[g].mean < least ? r.groups[g].mean : least;
        most = r.groups[g].mean > most ? r.groups[g].mean : most;
        expect(r.groups[g].jain >= 0.99, c, "Jain's index of a group", r.groups[g].jain);
        expect(sim_least_share(&r, g, level) >= 0.95, c, "least part of the fair share", sim_least_share(&r, g, level));
    }
    expect(most <= 1.03 * least + 1, c, "the best served group against the worst", most / least);
    expect(r.utilisation >= 0.95, c, "utilisation", r.utilisation);
    sim_result_free(&r);
}

/* ---- floods ---- */

static void five_hundred_greedy_sources(void)
{
    for (uint32_t servers = 1; servers <= 8; servers *= 8) {
        struct sim_config c = scenario(servers == 1 ? "500 greedy, 1 server" : "500 greedy, 8 servers", servers);
        c.groups[1] = greedy("greedy", 500, 1);
        run_equal(&c, 1, 1);
    }
}

static void many_connections(void)
{
    struct sim_config c = scenario("1 and 100 connections", 1);
    c.groups[1] = greedy("one connection", 10, 1);
    c.groups[2] = greedy("hundred connections", 10, 100);
    run_equal(&c, 1, 2);
}

static void reconnecting(void)
{
    struct sim_config c = scenario("a new connection for each request", 1);
    c.groups[1] = greedy("plain", 20, 10);
    c.groups[2] = greedy("churn", 20, 10);
    c.groups[2].kind = SIM_CHURN;
    run_equal(&c, 1, 2);
}

static void bursts(void)
{
    struct sim_config c = scenario("bursts", 1);
    c.groups[1] = greedy("plain", 50, 1);
    c.groups[2] = greedy("bursts", 50, 10);
    c.groups[2].kind = SIM_BURSTS;
    c.groups[2].burst = 50;
    c.groups[2].off_ns = 100 * NS_PER_MS;
    run_equal(&c, 1, 2);
}

static void closed_loop(void)
{
    struct sim_config c = scenario("200 that send at once after each reply", 1);
    c.groups[1] = greedy("closed loop", 200, 1);
    c.groups[1].kind = SIM_CLOSED;
    struct sim_result r;
    run(&c, &r);
    expect(r.groups[1].jain >= 0.99, &c, "Jain's index", r.groups[1].jain);
    sim_result_free(&r);
}

static void oscillating(void)
{
    struct sim_config c = scenario("a second on, a second off, 10 connections", 8);
    c.groups[1] = greedy("plain", 20, 1);
    c.groups[2] = greedy("on and off", 50, 10);
    c.groups[2].kind = SIM_ON_OFF;
    c.groups[2].on_ns = c.groups[2].off_ns = NS_PER_S;
    struct sim_result r;
    run(&c, &r);
    double more = (r.groups[2].mean - r.groups[1].mean) / (double)r.answered;
    expect(more <= 0.01, &c, "more of the application than a plain one", more);
    sim_result_free(&r);
}

/* Exponential service times: the window is wider or narrower by chance. */
static void random_service(void)
{
    struct sim_config c = scenario("random service times", 8);
    c.app.service = SIM_EXPONENTIAL;
    c.groups[1] = greedy("greedy", 100, 1);
    struct sim_result r;
    run(&c, &r);
    expect(r.groups[1].jain >= 0.99, &c, "Jain's index", r.groups[1].jain);
    expect(r.utilisation >= 0.75, &c, "utilisation", r.utilisation);
    sim_result_free(&r);
}

/* The application has been seen to answer before the flood begins. */
static void a_flood_begins(void)
{
    struct sim_config c = scenario("the flood begins after two seconds", 1);
    c.learns = true;
    c.groups[1] = greedy("flood", 50, 1);
    c.groups[1].kind = SIM_ON_OFF;
    c.groups[1].start_ns = 2 * NS_PER_S;
    c.groups[1].on_ns = c.end_ns;
    struct sim_result r;
    run(&c, &r);
    sim_result_free(&r);
}

/* ---- strategies ---- */

static FILE *csv(const char *name, const char *header)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = folder ? fopen(path, "we") : NULL;
    if (folder && !f) {
        perror(path);
        exit(1);
    }
    if (f)
        fprintf(f, "%s\n", header);
    return f;
}

/* One source of each strategy among a hundred plain ones. */
static void strategies(void)
{
    struct sim_config c = scenario("strategies", 1);
    c.groups[1] = greedy("plain", 100, 1);
    c.groups[2] = greedy("100 connections", 1, 100);
    c.groups[3] = greedy("bursts of 50", 1, 10);
    c.groups[3].kind = SIM_BURSTS;
    c.groups[3].burst = 50;
    c.groups[3].off_ns = 100 * NS_PER_MS;
    c.groups[4] = greedy("on and off, 100", 1, 100);
    c.groups[5] = greedy("on and off, 1", 1, 1);
    c.groups[4].kind = c.groups[5].kind = SIM_ON_OFF;
    c.groups[4].on_ns = c.groups[4].off_ns = c.groups[5].on_ns = c.groups[5].off_ns = NS_PER_S;
    c.groups[6] = greedy("reconnecting", 1, 10);
    c.groups[6].kind = SIM_CHURN;
    c.groups[7] = greedy("closed loop, 20", 1, 20);
    c.groups[7].kind = SIM_CLOSED;
    struct sim_result r;
    run(&c, &r);
    FILE *f = csv("strategies.csv", "strategy,percent");
    for (unsigned g = 1; g < SIM_GROUPS; g++) {
        double more = (r.groups[g].mean - r.groups[1].mean) / (double)r.answered;
        bool rests = g == 5;
        expect(more <= (rests ? 0.08 : 0.002), &c, c.groups[g].name, more);
        if (f)
            fprintf(f, "\"%s\",%.3f\n", c.groups[g].name, 100 * r.groups[g].mean / (double)r.answered);
    }
    if (f)
        fclose(f);
    sim_result_free(&r);
}

/* ---- sources without number ---- */

/* Sources of the second group that were served less than this part of what is fair, among those who asked for more than
 * a few. */
static double part_below(const struct sim_result *r, double level, double part)
{
    unsigned below = 0, all = 0;
    for (uint32_t i = r->groups[1].first, n = 0; n < r->groups[1].count; i++, n++) {
        double fair = r->demand[i] < level ? r->demand[i] : level;
        all += fair >= 5;
        below += fair >= 5 && r->served[i] + 1 < part * fair;
    }
    return all ? (double)below / all : 0;
}

/* Half more than the application can do, by Zipf. What a source asks for below the fair level, it gets. */
static void zipf(uint32_t sources)
{
    struct sim_config c = scenario(sources > 100000 ? "Zipf, 10^6 sources" : "Zipf, 10^4 sources", 8);
    struct sim_result r;
    c.capacity = sources > 100000 ? 1u << 20 : 0;
    c.turns = sources > 100000 ? 32768 : 0;
    c.groups[0].rate = sources > 100000 ? 0.3 : 2; /* about a third of the fair level */
    c.groups[1] = (struct sim_group){.name = "Zipf", .kind = SIM_ZIPF, .sources = sources, .rate = 6000};
    run(&c, &r);
    double level = sim_level(&c, &r), asked = 0, got = 0;
    for (uint32_t i = r.groups[1].first, n = 0; n < sources; i++, n++) {
        if (r.demand[i] > level / 2)
            continue;
        asked += r.demand[i];
        got += r.served[i] < r.demand[i] ? r.served[i] : r.demand[i];
    }
    expect(got >= 0.99 * asked, &c, "goodput of those below half of the level", got / asked);
    double least = sim_least_share(&r, 1, level), wronged = part_below(&r, level, 0.4);
    expect(sources > 100000 || least >= 0.8, &c, "least part of the fair share", least);
    expect(wronged <= (sources > 100000 ? 0.05 : 0.01), &c, "sources below 40 % of the fair share", wronged);
    printf("  %zu sources seen, %llu entries taken, source table %zu KiB\n", r.sources_seen,
           (unsigned long long)r.sources.created, r.sources.memory_bytes / 1024);
    expect(r.sources.memory_bytes <= (64u << 20) + 16384, &c, "bytes of the source table",
           (double)r.sources.memory_bytes);
    sim_result_free(&r);
}

/* A million sources at the same time, each with a connection: all have entries of their own or coarser ones. */
static void everybody_is_there(void)
{
    struct sim_config c = scenario("10^6 sources, each once in the run", 8);
    struct sim_result r;
    c.capacity = 1u << 20;
    c.end_ns = 400 * NS_PER_S;
    c.groups[0].sources = 0;
    c.groups[1] = (struct sim_group){
        .name = "one each", .kind = SIM_POISSON, .sources = 1000000, .connections = 1, .rate = 1.0 / 400};
    sim_run(&c, &r);
    print(&c, &r);
    printf("  %zu sources seen, source table %zu KiB, %llu on coarser entries\n", r.sources_seen,
           r.sources.memory_bytes / 1024, (unsigned long long)r.sources.fallbacks);
    expect(r.groups[1].goodput >= 0.99, &c, "goodput", r.groups[1].goodput);
    expect(r.sources.memory_bytes <= (64u << 20) + 16384, &c, "bytes of the source table",
           (double)r.sources.memory_bytes);
    expect(r.left_in_hand == 0, &c, "requests counted after all have gone", r.left_in_hand);
    sim_result_free(&r);
}

/* ---- over time ---- */

struct trace {
    FILE *file;
    double sum;
    unsigned count;
    uint64_t from_ns, to_ns;
};

static void note(void *argument, uint64_t now_ns, const struct valve_stats *stats)
{
    struct trace *t = argument;
    if (t->file && now_ns % (4 * NS_PER_MS) < NS_PER_MS)
        fprintf(t->file, "%.3f,%u\n", (double)now_ns / NS_PER_S, stats->in_hand);
    if (now_ns < t->from_ns || now_ns >= t->to_ns)
        return;
    t->sum += stats->in_hand;
    t->count++;
}

/* From 200 ms after the change on, about as many are in hand as there are servers. */
static void the_application_changes(void)
{
    static const uint32_t servers[][2] = {{1, 8}, {8, 1}, {1, 1}};
    FILE *f = csv("in_hand.csv", "seconds,in_hand");
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        struct trace t = {.file = i == 0 ? f : NULL, .from_ns = NS_PER_S + SETTLE_NS, .to_ns = 2 * NS_PER_S};
        struct sim_config c = scenario("the application changes", servers[i][0]);
        struct sim_result r;
        c.groups[0].sources = 0;
        c.groups[1] = greedy("greedy", 100, 1);
        c.end_ns = 2 * NS_PER_S;
        c.change_ns = NS_PER_S;
        c.later = c.app;
        c.later.servers = servers[i][1];
        c.watch = note;
        c.argument = &t;
        sim_run(&c, &r);
        double in_hand = t.sum / t.count;
        printf("from %u to %u servers: %.2f in hand\n", servers[i][0], servers[i][1], in_hand);
        expect(in_hand >= 0.85 * servers[i][1] && in_hand <= 1.5 * servers[i][1] + 1, &c, "in hand", in_hand);
        sim_result_free(&r);
    }
    if (f)
        fclose(f);
}

/* How long a client that sends a little waits for replies, and how long it would without turns. */
static void waits(void)
{
    static const uint32_t floods[] = {1, 2, 5, 10, 20, 50, 100, 200, 500};
    FILE *f = csv("waits.csv", "sources,turns_median,turns_p99,bare_median,bare_p99");
    for (size_t i = 0; f && i < ARRAY_LEN(floods); i++) {
        struct sim_result with, without;
        struct sim_config c = scenario("waits", 1);
        c.groups[0].rate = 1;
        c.groups[1] = greedy("greedy", floods[i], 1);
        sim_run(&c, &with);
        c.no_turns = true;
        sim_run(&c, &without);
        fprintf(f, "%u,%.3f,%.3f,%.3f,%.3f\n", floods[i], (double)with.groups[0].median_ns / NS_PER_MS,
                (double)with.groups[0].p99_ns / NS_PER_MS, (double)without.groups[0].median_ns / NS_PER_MS,
                (double)without.groups[0].p99_ns / NS_PER_MS);
        sim_result_free(&with);
        sim_result_free(&without);
    }
    if (f)
        fclose(f);
}

int main(int argc, char **argv)
{
    bool full = false;
    for (int i = 1; i < argc; i++) {
        full |= strcmp(argv[i], "--full") == 0;
        if (strcmp(argv[i], "--csv") == 0 && i + 1 < argc)
            folder = argv[++i];
    }
    scale = full ? 5 : 1;
    five_hundred_greedy_sources();
    many_connections();
    reconnecting();
    bursts();
    closed_loop();
    oscillating();
    random_service();
    a_flood_begins();
    strategies();
    the_application_changes();
    zipf(10000);
    waits();
    if (full) {
        zipf(1000000);
        everybody_is_there();
    }
    printf("%u expectations failed\n", failures);
    return failures != 0;
}
