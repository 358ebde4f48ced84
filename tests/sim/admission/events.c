/* SPDX-License-Identifier: MPL-2.0 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

void *sim_must(void *p)
{
    if (p)
        return p;
    fputs("sim: out of memory\n", stderr);
    exit(1);
}

static bool sim_before(const struct event *a, const struct event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void sim_schedule(struct world *w, uint64_t at_ns, enum event_kind kind, uint32_t a, uint32_t b)
{
    struct event e = {at_ns, w->order++, kind, a, b};
    if (w->event_count + 2 >= w->event_room) {
        w->event_room = w->event_room ? 2 * w->event_room : 4096;
        w->events = sim_must(realloc(w->events, w->event_room * sizeof(*w->events)));
    }
    size_t at = ++w->event_count;
    for (; at > 1 && sim_before(&e, &w->events[at / 2]); at /= 2)
        w->events[at] = w->events[at / 2];
    w->events[at] = e;
}

bool sim_next(struct world *w, struct event *ret)
{
    if (!w->event_count)
        return false;
    *ret = w->events[1];
    struct event last = w->events[w->event_count--];
    size_t at = 1;
    for (size_t child; (child = 2 * at) <= w->event_count; at = child) {
        child += child < w->event_count && sim_before(&w->events[child + 1], &w->events[child]);
        if (!sim_before(&w->events[child], &last))
            break;
        w->events[at] = w->events[child];
    }
    w->events[at] = last;
    return true;
}

uint32_t message_new(struct world *w, const struct message *m)
{
    uint32_t i = w->free_message;
    if (i != NOBODY) {
        w->free_message = w->messages[i].next;
    } else {
        if (w->message_count == w->message_room) {
            w->message_room = w->message_room ? 2 * w->message_room : 4096;
            w->messages = sim_must(realloc(w->messages, w->message_room * sizeof(*w->messages)));
        }
        i = w->message_count++;
    }
    w->messages[i] = *m;
    w->messages[i].next = NOBODY;
    return i;
}

void message_free(struct world *w, uint32_t m)
{
    w->messages[m].next = w->free_message;
    w->free_message = m;
}

void fifo_push(struct world *w, struct fifo *f, uint32_t m)
{
    w->messages[m].next = NOBODY;
    if (f->count++)
        w->messages[f->last].next = m;
    else
        f->first = m;
    f->last = m;
}

uint32_t fifo_pop(struct world *w, struct fifo *f)
{
    uint32_t m = f->first;
    f->first = w->messages[m].next;
    f->count--;
    return m;
}
