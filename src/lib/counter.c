/* SPDX-License-Identifier: MPL-2.0 */
/* A struct weir_counter is the struct weir_taken of weir/taken.h under another name. */
#include <zmq.h>

#include <weir/counter.h>
#include <weir/taken.h>

static struct weir_taken *taken_of(struct weir_counter *c)
{
    return (struct weir_taken *)(void *)c;
}

struct weir_counter *weir_counter_open(const char *path)
{
    return (struct weir_counter *)(void *)weir_taken_open(path);
}

void weir_counter_close(struct weir_counter *c)
{
    weir_taken_close(taken_of(c));
}

int weir_counter_recv(struct weir_counter *c, struct zmq_msg_t *msg, void *socket, int flags)
{
    return weir_taken_recv(taken_of(c), msg, socket, flags);
}

int weir_counter_poll(struct weir_counter *c, void *socket, struct zmq_pollitem_t *items, int count, long timeout_ms)
{
    return weir_taken_poll(taken_of(c), socket, items, count, timeout_ms);
}

void weir_counter_asked(struct weir_counter *c)
{
    weir_taken_asked(taken_of(c));
}

void weir_counter_took(struct weir_counter *c)
{
    weir_taken_took(taken_of(c));
}

void weir_counter_found_nothing(struct weir_counter *c, int waits)
{
    weir_taken_found_nothing(taken_of(c), waits != 0);
}

void weir_credit(struct weir_counter *c, uint64_t in_hand)
{
    weir_taken_credit(taken_of(c), in_hand);
}
