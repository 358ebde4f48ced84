/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The application of the demo: an ordinary libzmq program with library defaults. One REP and one PULL endpoint in one
 * thread, and a little honest work for each message. It reports which of the demo's own messages arrived on PULL, and
 * when. With two paths it tells the Weir in front of it what it has taken (include/weir/taken.h).
 *
 *   app REP-ENDPOINT PULL-ENDPOINT REPORT-FILE [REP-COUNTER PULL-COUNTER]
 */
#include "demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <zmq.h>

#include <weir/taken.h> /* after zmq.h */

#define WORK_ROUNDS                                                                                                    \
    20000 /* steps of the checksum for each message: 20 to 30 us, as a small lookup or a parse would cost */
#define ARRIVALS_MAX 100000

static FILE *arrivals;
static struct weir_taken *counters[2]; /* of REP and PULL; NULL: it does not count */

static uint64_t work(const void *body, size_t bytes)
{
    const uint8_t *p = body;
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; bytes > 0 && i < WORK_ROUNDS; i++)
        sum = (sum ^ p[i % bytes]) * 0x100000001b3u;
    return sum;
}

static void note_arrival(const void *body, size_t bytes)
{
    struct demo_stamp stamp;
    if (bytes < sizeof(stamp))
        return;
    memcpy(&stamp, body, sizeof(stamp));
    if (stamp.magic != DEMO_MAGIC)
        return;
    fprintf(arrivals, "got %u %u %llu %llu\n", stamp.client, stamp.seq, (unsigned long long)stamp.intended_ns,
            (unsigned long long)demo_now_ns());
}

/* One message of any number of frames; the first does the work, the rest is thrown away. Returns its checksum. */
static uint64_t take(void *socket, struct weir_taken *counter, bool note)
{
    uint64_t sum = 0;
    int more = 1;
    for (int frame = 0; more; frame++) {
        zmq_msg_t msg;
        zmq_msg_init(&msg);
        if (zmq_msg_recv(&msg, socket, 0) < 0)
            return 0;
        if (frame == 0) {
            weir_taken_took(counter);
            sum = work(zmq_msg_data(&msg), zmq_msg_size(&msg));
            if (note)
                note_arrival(zmq_msg_data(&msg), zmq_msg_size(&msg));
        }
        more = zmq_msg_more(&msg);
        zmq_msg_close(&msg);
    }
    return sum;
}

/* Waits for a message of either socket. */
static void await(zmq_pollitem_t items[2])
{
    for (int i = 0; i < 2; i++)
        weir_taken_asked(counters[i]);
    bool waits = zmq_poll(items, 2, 0) == 0;
    for (int i = 0; i < 2; i++)
        if (!items[i].revents)
            weir_taken_found_nothing(counters[i], waits);
    if (waits)
        zmq_poll(items, 2, 200);
}

static void serve(void *rep, void *pull)
{
    zmq_pollitem_t items[] = {{rep, 0, ZMQ_POLLIN, 0}, {pull, 0, ZMQ_POLLIN, 0}};
    for (;;) {
        await(items);
        if (items[0].revents) {
            uint64_t sum = take(rep, counters[0], false);
            zmq_send(rep, &sum, sizeof(sum), ZMQ_DONTWAIT);
        }
        if (items[1].revents)
            take(pull, counters[1], true);
    }
}

static void *bind_one(void *context, int type, const char *endpoint)
{
    void *socket = zmq_socket(context, type);
    if (socket && zmq_bind(socket, endpoint) == 0)
        return socket;
    fprintf(stderr, "app: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 6) {
        fputs("usage: app REP-ENDPOINT PULL-ENDPOINT REPORT-FILE [REP-COUNTER PULL-COUNTER]\n", stderr);
        return 2;
    }
    /* What a service gets by default, whatever the shell of the demo allows. */
    struct rlimit descriptors = {1024, 1024};
    setrlimit(RLIMIT_NOFILE, &descriptors);
    arrivals = fopen(argv[3], "w");
    if (!arrivals) {
        perror(argv[3]);
        return 1;
    }
    setvbuf(arrivals, NULL, _IOLBF, 4096);

    void *context = zmq_ctx_new();
    void *rep = bind_one(context, ZMQ_REP, argv[1]);
    void *pull = bind_one(context, ZMQ_PULL, argv[2]);
    for (int i = 0; argc == 6 && i < 2; i++) {
        counters[i] = weir_taken_open(argv[4 + i]);
        if (!counters[i]) {
            perror(argv[4 + i]);
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    serve(rep, pull);
}
