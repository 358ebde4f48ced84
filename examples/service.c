/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A service that takes orders and writes them to a database, with everything that keeps it alive in a flood:
 *
 *   a pool          requests are worked on by a bounded number of threads, fairly by client, or refused early
 *   once            an order that a client sends again, because the answer was late, is placed once
 *   a breaker       while the database fails, orders are refused at once
 *   backpressure    while the database is slow, fewer orders are given to it
 *   a meter         queue, waits, times and outcomes, as text for Prometheus
 *   a counter       a gate in front knows how many requests are worked on
 *
 *   cc service.c -o service $(pkg-config --cflags --libs weir libzmq)
 *   ./service tcp://127.0.0.1:5556 [METRICS_FILE [COUNTER]]
 *
 * A request has two frames, an id that the client makes up and repeats, and the item. The answer is "order N: ITEM",
 * "busy" or "unavailable". METRICS_FILE is written each second, for the textfile collector of node_exporter. COUNTER is
 * what Weir has under `counter:`.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include <weir.h>

struct service {
    struct weir_once *once;
    struct weir_breaker *breaker;
    struct weir_backpressure *database;
    struct weir_meter *orders;
    _Atomic unsigned placed;
};

static struct weir_pool *pool;

static void on_signal(int number)
{
    (void)number;
    weir_pool_stop(pool, 5 * WEIR_NS_PER_S);
}

/* Stands for a database: it takes a millisecond, and fails for the item "broken". */
static int insert(const char *item, size_t size)
{
    struct timespec t = {0, 1000000};
    nanosleep(&t, NULL);
    return size == 6 && memcmp(item, "broken", 6) == 0 ? -1 : 0;
}

/* The call of the database, with what surrounds it. 0; -EAGAIN: the breaker is open; -EIO: it has failed. */
static int guarded_insert(struct service *s, const char *item, size_t size)
{
    struct weir_breaker_call call;
    if (weir_breaker_enter(s->breaker, &call) < 0)
        return -EAGAIN;
    uint64_t began_ns = weir_backpressure_begin(s->database);
    int error = insert(item, size);
    enum weir_outcome outcome = error ? WEIR_FAILED : WEIR_OK;
    weir_backpressure_end(s->database, began_ns, outcome);
    weir_breaker_leave(s->breaker, &call, outcome);
    return error ? -EIO : 0;
}

static enum weir_outcome place_order(struct service *s, struct weir_task *task, const char *id, size_t id_size)
{
    char reply[256];
    size_t size;
    const char *item = weir_task_frame(task, 1, &size);
    if (guarded_insert(s, item, size) < 0) {
        (void)weir_once_cancel(s->once, id, id_size); /* the client may try again */
        (void)weir_task_reply(task, "unavailable", 11);
        return WEIR_FAILED;
    }
    int n = snprintf(reply, sizeof(reply), "order %u: %.*s", ++s->placed, (int)(size < 200 ? size : 200), item);
    (void)weir_once_done(s->once, id, id_size, reply, (size_t)n);
    return weir_task_reply(task, reply, (size_t)n) == 0 ? WEIR_OK : WEIR_FAILED;
}

static enum weir_outcome work(struct weir_task *task, void *arg)
{
    struct service *s = arg;
    void *reply;
    size_t id_size, reply_size;
    const char *id = weir_task_frame(task, 0, &id_size);
    if (weir_task_frames(task) != 2)
        return WEIR_IGNORED; /* no order: nothing is said */
    switch (weir_once_begin(s->once, id, id_size, &reply, &reply_size)) {
    case WEIR_ONCE_NEW:
        return place_order(s, task, id, id_size);
    case WEIR_ONCE_DONE:
        (void)weir_task_reply(task, reply, reply_size);
        weir_free(reply);
        return WEIR_OK;
    case WEIR_ONCE_RUNNING: /* the first one will be answered */
        return WEIR_IGNORED;
    default:
        (void)weir_task_reply(task, "busy", 4);
        return WEIR_FAILED;
    }
}

/* Under another name first, so that nobody reads half a file. */
static void write_metrics(const struct service *s, const char *path)
{
    static char text[65536];
    char fresh[4096];
    size_t size;
    const struct weir_meter *meters[] = {s->orders};
    if (weir_meter_text(meters, 1, text, sizeof(text), &size) < 0)
        return;
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    FILE *file = fopen(fresh, "w");
    if (!file)
        return;
    fwrite(text, 1, size, file);
    if (fclose(file) == 0)
        rename(fresh, path);
}

static int make_parts(struct service *s)
{
    struct weir_breaker_options breaker;
    struct weir_backpressure_options database;
    weir_breaker_options_init(&breaker);
    breaker.slow_ns = 200 * WEIR_NS_PER_MS; /* a query beyond this helps nobody */
    breaker.open_ns = WEIR_NS_PER_S;
    weir_backpressure_options_init(&database);
    database.target_ns = 50 * WEIR_NS_PER_MS;
    s->breaker = weir_breaker_new(&breaker);
    s->database = weir_backpressure_new(&database);
    s->once = weir_once_new(NULL);
    s->orders = weir_meter_new("orders");
    return s->breaker && s->database && s->once && s->orders ? 0 : -1;
}

static void free_parts(struct service *s)
{
    weir_breaker_free(s->breaker);
    weir_backpressure_free(s->database);
    weir_once_free(s->once);
    weir_meter_free(s->orders);
}

static struct weir_pool *make_pool(struct service *s, void *socket, struct weir_counter *counter)
{
    struct weir_pool_options options;
    weir_pool_options_init(&options);
    options.handler = work;
    options.handler_arg = s;
    options.workers_min = 2;
    options.workers_max = 32;            /* the work is mostly waiting for the database */
    options.full = WEIR_POOL_SHED;       /* who floods delays nobody else */
    options.deadline_ns = WEIR_NS_PER_S; /* later than this the client asks again */
    options.shed_target_ns = 50 * WEIR_NS_PER_MS;
    options.busy = "busy";
    options.busy_size = 4;
    options.meter = s->orders;
    options.stage = s->database;
    options.counter = counter;
    return weir_pool_new(socket, &options);
}

int main(int argc, char **argv)
{
    static struct service s;
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_ROUTER);
    if (argc < 2 || zmq_bind(socket, argv[1]) < 0) {
        fprintf(stderr, "usage: service ENDPOINT [METRICS_FILE [COUNTER]] (%s)\n", zmq_strerror(zmq_errno()));
        return 2;
    }
    struct weir_counter *counter = argc > 3 ? weir_counter_open(argv[3]) : NULL;
    if (argc > 3 && !counter)
        perror(argv[3]); /* and without it, as well as it goes */
    if (make_parts(&s) < 0 || !(pool = make_pool(&s, socket, counter))) {
        perror("service");
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    int error;
    while ((error = weir_pool_run(pool, WEIR_NS_PER_S)) == -EAGAIN)
        if (argc > 2)
            write_metrics(&s, argv[2]);
    weir_pool_free(pool);
    if (argc > 2)
        write_metrics(&s, argv[2]);
    weir_counter_close(counter);
    free_parts(&s);
    zmq_close(socket);
    zmq_ctx_term(context);
    return error ? 1 : 0;
}
