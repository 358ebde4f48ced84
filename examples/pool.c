/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The least that a service with a pool of workers needs: it answers each request with the same bytes.
 *
 *   cc pool.c -o pool $(pkg-config --cflags --libs weir libzmq)
 *   ./pool tcp://127.0.0.1:5556
 */
#include <signal.h>
#include <stdio.h>
#include <zmq.h>

#include <weir.h>

static struct weir_pool *pool;

static void on_signal(int number)
{
    (void)number;
    weir_pool_stop(pool, 5 * WEIR_NS_PER_S); /* five seconds for what waits */
}

static enum weir_outcome work(struct weir_task *task, void *arg)
{
    size_t size;
    const void *request = weir_task_frame(task, 0, &size);
    (void)arg;
    return weir_task_reply(task, request, size) == 0 ? WEIR_OK : WEIR_FAILED;
}

int main(int argc, char **argv)
{
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_ROUTER);
    if (argc < 2 || zmq_bind(socket, argv[1]) < 0) {
        fprintf(stderr, "usage: pool ENDPOINT (%s)\n", zmq_strerror(zmq_errno()));
        return 2;
    }
    struct weir_pool_options options;
    weir_pool_options_init(&options);
    options.handler = work;
    options.full = WEIR_POOL_SHED; /* a client that floods delays nobody but itself ... */
    options.busy = "busy";         /* ... and hears of it */
    options.busy_size = 4;
    pool = weir_pool_new(socket, &options);
    if (!pool) {
        perror("weir_pool_new");
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    int error = weir_pool_run(pool, UINT64_MAX);
    weir_pool_free(pool);
    zmq_close(socket);
    zmq_ctx_term(context);
    return error ? 1 : 0;
}
