/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/taken_tally.h"

struct taken_tally taken_tallies[TAKEN_RULES_MOST];
_Atomic unsigned taken_tallies_used;

void taken_tally_count(unsigned rule, struct weir_taken *counter, const struct zmq_library *zmq, void *socket)
{
    struct taken_tally *t = &taken_tallies[rule];
    t->counter = counter;
    t->by_fd = false;
    t->zmq = zmq;
    t->msg_recv = zmq->msg_recv;
    t->more_at = zmq->more_at;
    t->run = t->run_length = 0;
    atomic_store_explicit(&t->socket, socket, memory_order_release);
    if (rule >= atomic_load(&taken_tallies_used))
        atomic_store(&taken_tallies_used, rule + 1);
}

int taken_tally_begin(unsigned rule, const char *path, const struct zmq_library *zmq, void *socket)
{
    struct weir_taken *counter = weir_taken_open(path);
    if (!counter)
        return -errno;
    taken_tally_count(rule, counter, zmq, socket);
    return 0;
}

/* False: it counts no socket. */
static bool stop_finding(struct taken_tally *t)
{
    void *before = atomic_exchange(&t->socket, (void *)t);
    return before && before != t;
}

void taken_tally_end(unsigned rule)
{
    struct taken_tally *t = &taken_tallies[rule];
    if (!stop_finding(t))
        return;
    taken_tally_settle(t);
    weir_taken_close(t->counter);
    t->counter = NULL;
}

void taken_tally_abandon(unsigned rule)
{
    struct taken_tally *t = &taken_tallies[rule];
    if (stop_finding(t))
        weir_taken_leave(t->counter);
}

void taken_tally_forget(unsigned rule)
{
    struct taken_tally *t = &taken_tallies[rule];
    if (stop_finding(t))
        weir_taken_forget(t->counter);
}
