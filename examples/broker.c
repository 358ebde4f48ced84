/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A broker with a queue of its own: clients at the front, workers at the back. It takes what comes, gives the workers
 * no more than SLOTS requests at a time, and keeps up to QUEUE others (a request of more than FRAMES frames is
 * dropped). With weir_credit() it tells the gate in front how many those are: they are received, and nobody works on
 * them.
 *
 *   cc broker.c -o broker $(pkg-config --cflags --libs weir libzmq)
 *   ./broker ipc:///run/broker.ipc tcp://127.0.0.1:5557 SLOTS [COUNTER]
 *
 * Workers connect to the back with a REP socket, or with a DEALER and weir_pool.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include <weir.h>

#define QUEUE  1000
#define FRAMES 16

struct request {
    zmq_msg_t frames[FRAMES];
    int count;
};

struct broker {
    void *front, *back;
    struct weir_counter *counter;
    struct request *queue; /* a ring of QUEUE places */
    unsigned first, waiting, working, slots;
};

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
    is_over = number;
}

static void drop(struct request *r)
{
    for (int i = 0; i < r->count; i++)
        zmq_msg_close(&r->frames[i]);
    r->count = 0;
}

/* Receives one request into the ring. -1: there is none. */
static int take(struct broker *b)
{
    struct request *r = &b->queue[(b->first + b->waiting) % QUEUE];
    int more, too_long = 0;
    r->count = 0;
    do {
        if (r->count == FRAMES) { /* too many: receive the rest, and drop it */
            drop(r);
            too_long = 1;
        }
        zmq_msg_t *frame = &r->frames[r->count];
        zmq_msg_init(frame);
        if (weir_counter_recv(b->counter, frame, b->front, ZMQ_DONTWAIT) < 0)
            return -1;
        more = zmq_msg_more(frame);
        r->count++;
    } while (more);
    if (too_long)
        drop(r);
    else
        b->waiting++;
    return 0;
}

/* Gives the oldest request to a worker. -1: no worker is there. */
static int give(struct broker *b)
{
    struct request *r = &b->queue[b->first];
    for (int i = 0; i < r->count; i++)
        if (zmq_msg_send(&r->frames[i], b->back, ZMQ_DONTWAIT | (i + 1 < r->count ? ZMQ_SNDMORE : 0)) < 0)
            return -1;
    b->first = (b->first + 1) % QUEUE;
    b->waiting--;
    b->working++;
    return 0;
}

/* Passes one answer on. */
static void answer(struct broker *b)
{
    zmq_msg_t frame;
    int more;
    do {
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, b->back, 0) < 0)
            return;
        more = zmq_msg_more(&frame);
        if (zmq_msg_send(&frame, b->front, more ? ZMQ_SNDMORE : 0) < 0)
            zmq_msg_close(&frame);
    } while (more);
    b->working -= b->working > 0;
}

static void serve(struct broker *b)
{
    zmq_pollitem_t items[] = {{.socket = b->front, .events = 0}, {.socket = b->back, .events = ZMQ_POLLIN}};
    weir_credit(b->counter, 0); /* from now on: what is received is in hand until it is said otherwise */
    while (!is_over) {
        items[0].events = (short)(b->waiting < QUEUE ? ZMQ_POLLIN : 0);
        if (weir_counter_poll(b->counter, b->front, items, 2, 1000) < 0 && zmq_errno() != EINTR)
            return;
        if (items[1].revents & ZMQ_POLLIN)
            answer(b);
        while (b->waiting < QUEUE && take(b) == 0)
            continue;
        while (b->waiting && b->working < b->slots && give(b) == 0)
            continue;
        weir_credit(b->counter, b->waiting);
    }
}

int main(int argc, char **argv)
{
    struct broker b = {.slots = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0};
    void *context = zmq_ctx_new();
    b.front = zmq_socket(context, ZMQ_ROUTER);
    b.back = zmq_socket(context, ZMQ_DEALER);
    if (b.slots == 0 || zmq_bind(b.front, argv[1]) < 0 || zmq_bind(b.back, argv[2]) < 0) {
        fprintf(stderr, "usage: broker FRONT BACK SLOTS [COUNTER] (%s)\n", zmq_strerror(zmq_errno()));
        return 2;
    }
    b.queue = calloc(QUEUE, sizeof(*b.queue));
    b.counter = argc > 4 ? weir_counter_open(argv[4]) : NULL;
    if (!b.queue)
        return 1;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    serve(&b);
    for (; b.waiting; b.waiting--, b.first = (b.first + 1) % QUEUE)
        drop(&b.queue[b.first]);
    free(b.queue);
    weir_counter_close(b.counter);
    zmq_close(b.front);
    zmq_close(b.back);
    zmq_ctx_term(context);
    return 0;
}
