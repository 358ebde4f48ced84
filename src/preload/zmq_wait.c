/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/zmq_wait.h"

void zmq_wait_begin(const struct zmq_wait *w)
{
    for (uint32_t bits = w->asked; bits; bits &= bits - 1) {
        struct taken_tally *t = &taken_tallies[__builtin_ctz(bits)];
        taken_tally_settle(t);
        weir_taken_asked(t->counter);
    }
}

static void find_nothing(uint32_t bits, bool waits)
{
    int before = errno;
    for (; bits; bits &= bits - 1) {
        struct taken_tally *t = &taken_tallies[__builtin_ctz(bits)];
        weir_taken_found_nothing(t->counter, waits || t->by_fd);
    }
    errno = before;
}

bool zmq_wait_tried(struct zmq_wait *w, bool empty, bool waits)
{
    find_nothing(w->asked & ~w->readable, empty && waits);
    return empty && waits;
}

void zmq_wait_ended(const struct zmq_wait *w)
{
    find_nothing(w->asked & ~w->readable, false);
}
