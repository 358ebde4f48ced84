/* SPDX-License-Identifier: MPL-2.0 */
/*
 * An application with a pool of libweir, for the end-to-end tests.
 *
 *   pooled router|rep|pull|dealer ENDPOINT WORK_US [--workers N] [--queue N] [--shed] [--busy TEXT] [--deadline-ms N]
 *          [--target-ms N] [--source-workers N] [--counter PATH] [--connect] [--limit N]
 *
 * A worker computes for WORK_US of processor time, then sends the first frame of the request back. --limit: a stage
 * behind the pool takes so many tasks at a time. Says "counter ok" or "counter ERROR", and "ready ENDPOINT". Answers
 * each line on stdin with a line of JSON: "stats"; "mark" and "clear" the stage; "metrics" writes the meter's text, and
 * "stop" drains, after which it ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include <weir.h>

#define LIFE_SECONDS 120

static unsigned work_us;

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static enum weir_outcome work(struct weir_task *task, void *arg)
{
    static volatile uint64_t sums[64];
    size_t size;
    const void *request = weir_task_frame(task, 0, &size);
    for (uint64_t end_ns = thread_cpu_ns() + work_us * UINT64_C(1000); work_us && thread_cpu_ns() < end_ns;)
        for (int i = 0; i < 500; i++)
            (void)sums[i % 64];
    (void)weir_task_reply(task, request, size);
    return WEIR_OK;
}

static void print_stats(struct weir_pool *pool)
{
    struct weir_pool_stats s = {.size = sizeof(s)};
    weir_pool_read(pool, &s);
    printf("{\"received\": %llu, \"ok\": %llu, \"replies\": %llu, \"lost\": %llu, \"waiting\": %u, \"running\": %u, "
           "\"workers\": %u, \"sources\": %u, \"shed_full\": %llu, \"shed_delay\": %llu, \"shed_deadline\": %llu, "
           "\"full\": %llu}\n",
           (unsigned long long)s.received, (unsigned long long)s.ok, (unsigned long long)s.replies,
           (unsigned long long)s.replies_lost, s.waiting, s.running, s.workers, s.sources,
           (unsigned long long)s.shed_full, (unsigned long long)s.shed_delay, (unsigned long long)s.shed_deadline,
           (unsigned long long)s.full);
}

static void print_metrics(const struct weir_meter *meter)
{
    static char text[65536];
    size_t size;
    if (weir_meter_text(&meter, 1, text, sizeof(text), &size) == 0)
        fputs(text, stdout);
}

/* One line, unbuffered, so that poll and the reader never disagree. */
static void hear(struct weir_pool *pool, struct weir_backpressure *stage, const struct weir_meter *meter)
{
    char line[32];
    size_t n = 0;
    while (n < sizeof(line) - 1 && read(STDIN_FILENO, line + n, 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    if (n == 0 || strcmp(line, "stop") == 0)
        weir_pool_stop(pool, WEIR_NS_PER_S);
    if (strcmp(line, "mark") == 0)
        weir_backpressure_mark(stage, UINT64_MAX);
    if (strcmp(line, "clear") == 0)
        weir_backpressure_clear(stage);
    if (strcmp(line, "metrics") == 0)
        print_metrics(meter);
    print_stats(pool);
    fflush(stdout);
}

static void serve(struct weir_pool *pool, struct weir_backpressure *stage, const struct weir_meter *meter)
{
    struct pollfd commands = {.fd = STDIN_FILENO, .events = POLLIN};
    while (weir_pool_run(pool, 10 * WEIR_NS_PER_MS) == -EAGAIN)
        if (poll(&commands, 1, 0) > 0)
            hear(pool, stage, meter);
}

static int type_of(const char *name)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {{"router", ZMQ_ROUTER}, {"rep", ZMQ_REP}, {"pull", ZMQ_PULL}, {"dealer", ZMQ_DEALER}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    return -1;
}

struct words {
    struct weir_pool_options pool;
    struct weir_backpressure_options stage;
    const char *counter;
    int connects;
};

static int read_words(struct words *w, char **at)
{
    for (; *at; at++) {
        unsigned long n = at[1] ? strtoul(at[1], NULL, 10) : 0;
        if (strcmp(*at, "--shed") == 0)
            w->pool.full = WEIR_POOL_SHED;
        else if (strcmp(*at, "--connect") == 0)
            w->connects = 1;
        else if (!at[1])
            return -1;
        else if (strcmp(*at, "--workers") == 0)
            w->pool.workers_min = (uint32_t)n;
        else if (strcmp(*at, "--queue") == 0)
            w->pool.queue = (uint32_t)n;
        else if (strcmp(*at, "--source-workers") == 0)
            w->pool.source_workers = (uint32_t)n;
        else if (strcmp(*at, "--deadline-ms") == 0)
            w->pool.deadline_ns = n * WEIR_NS_PER_MS;
        else if (strcmp(*at, "--target-ms") == 0)
            w->pool.shed_target_ns = n * WEIR_NS_PER_MS;
        else if (strcmp(*at, "--limit") == 0)
            w->stage.limit_max = (uint32_t)n;
        else if (strcmp(*at, "--counter") == 0)
            w->counter = at[1];
        else if (strcmp(*at, "--busy") == 0) {
            w->pool.busy = at[1];
            w->pool.busy_size = strlen(at[1]);
        } else
            return -1;
        at += strcmp(*at, "--shed") != 0 && strcmp(*at, "--connect") != 0;
    }
    return 0;
}

static void open_counter(struct words *w)
{
    if (!w->counter)
        return;
    w->pool.counter = weir_counter_open(w->counter);
    printf("counter %s\n", w->pool.counter ? "ok" : strerror(errno));
}

int main(int argc, char **argv)
{
    struct words w;
    char endpoint[256] = "";
    size_t size = sizeof(endpoint);
    weir_pool_options_init(&w.pool);
    weir_backpressure_options_init(&w.stage);
    w.counter = NULL;
    w.connects = 0;
    if (argc < 4 || type_of(argv[1]) < 0 || read_words(&w, argv + 4) < 0) {
        fputs("usage: pooled router|rep|pull|dealer ENDPOINT WORK_US [--workers N] [--queue N] [--shed] [--busy TEXT] "
              "[--deadline-ms N] [--target-ms N] [--source-workers N] [--counter PATH] [--connect] [--limit N]\n",
              stderr);
        return 2;
    }
    alarm(LIFE_SECONDS);
    work_us = (unsigned)strtoul(argv[3], NULL, 10);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, type_of(argv[1]));
    if (!socket || (w.connects ? zmq_connect(socket, argv[2]) : zmq_bind(socket, argv[2])) < 0 ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0) {
        perror(argv[2]);
        return 1;
    }
    struct weir_backpressure *stage = weir_backpressure_new(&w.stage);
    struct weir_meter *meter = weir_meter_new("pool");
    w.pool.handler = work;
    w.pool.stage = stage;
    w.pool.meter = meter;
    open_counter(&w);
    struct weir_pool *pool = weir_pool_new(socket, &w.pool);
    if (!pool) {
        perror("weir_pool_new");
        return 1;
    }
    printf("ready %s\n", endpoint);
    fflush(stdout);
    serve(pool, stage, meter);
    weir_pool_free(pool);
    weir_counter_close(w.pool.counter);
    weir_meter_free(meter);
    weir_backpressure_free(stage);
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
