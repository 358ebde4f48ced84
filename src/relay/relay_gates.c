/* SPDX-License-Identifier: MPL-2.0 */
#include "base/clock.h"
#include "loop/net.h"
#include "relay/counter.h"
#include "relay/relay_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With more slots than this in use, a slot whose gate is closed is used again for a gate of another name. */
#define SLOTS_KEPT 16u

/* ---- names ---- */

/* A name is kept for as long as the relay, since other threads may be about to write it down. There are no more names
 * than ports, times the listeners that share one. */
struct gate_name {
    struct gate_name *next;
    char text[CONFIG_NAME_MAX + 1];
};

static const char *gate_name_of(struct relay *r, const char *text)
{
    for (const struct gate_name *n = r->names; n; n = n->next)
        if (!strcmp(n->text, text))
            return n->text;
    struct gate_name *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    snprintf(n->text, sizeof(n->text), "%s", text);
    n->next = r->names;
    r->names = n;
    return n->text;
}

void relay_free_names(struct relay *r)
{
    for (struct gate_name *n = r->names, *next; n; n = next) {
        next = n->next;
        free(n);
    }
}

/* ---- the workers meanwhile ---- */

/* Nobody looks at gates from here on: no worker, and no thread that reads snapshots. */
static void park_all(struct relay *r)
{
    for (unsigned i = 0; i < r->worker_count; i++)
        loop_signal(&r->workers[i]->loop, &r->workers[i]->signals.park);
    for (unsigned i = 0; i < r->worker_count; i++)
        while (sem_wait(&r->parked) < 0)
            ;
    pthread_mutex_lock(&r->reading);
}

static void resume_all(struct relay *r)
{
    pthread_mutex_unlock(&r->reading);
    for (unsigned i = 0; i < r->worker_count; i++)
        sem_post(&r->workers[i]->parking.go);
}

/* ---- slots ---- */

/* While the workers are parked: whether nothing is left of the closed gate. */
static bool leave_slot(struct relay *r, size_t slot)
{
    const struct gate_counts *c = &r->gates[slot].counts;
    if (r->slots[slot].open || atomic_load(&c->open) || atomic_load(&c->upstream) || atomic_load(&c->unnamed) ||
        atomic_load(&c->tarpitted))
        return false;
    for (unsigned i = 0; i < r->worker_count; i++)
        if (!worker_leave_gate(r->workers[i], slot))
            return false;
    gate_fini(&r->gates[slot]);
    return true;
}

static int slot_of_name(const struct relay *r, const char *name)
{
    for (size_t i = 0; i < r->gate_count; i++)
        if (!strcmp(r->slots[i].config.name, name))
            return (int)i;
    return -ENOENT;
}

/* The slot whose gate was closed longest ago and that is empty. */
static int slot_left(struct relay *r)
{
    for (uint64_t after_ns = 0;;) {
        size_t oldest = SIZE_MAX;
        for (size_t i = 0; i < r->gate_count; i++)
            if (!r->slots[i].open && r->slots[i].closed_ns > after_ns &&
                (oldest == SIZE_MAX || r->slots[i].closed_ns < r->slots[oldest].closed_ns))
                oldest = i;
        if (oldest == SIZE_MAX)
            return -EMFILE;
        if (leave_slot(r, oldest))
            return (int)oldest;
        after_ns = r->slots[oldest].closed_ns;
    }
}

static int slot_for_new(struct relay *r)
{
    if (r->gate_count < SLOTS_KEPT)
        return (int)r->gate_count;
    int slot = slot_left(r);
    return slot >= 0 || r->gate_count == CONFIG_GATES_MAX ? slot : (int)r->gate_count;
}

/* ---- opening ---- */

/* The pattern with the names and addresses of this gate. What it points to belongs to the configuration of the start,
 * which lives as long as the relay. */
static void describe(struct gate_slot *slot, const struct config_gate *pattern, const struct gate_opening *o,
                     const struct endpoint *listen)
{
    slot->config = *pattern;
    snprintf(slot->config.name, sizeof(slot->config.name), "%s", o->name);
    slot->config.listen = *listen;
    slot->config.forward = o->forward;
    if (socket_type_told(o->told) != SOCKET_AUTO)
        slot->config.socket = socket_type_told(o->told);
    slot->config.upstream_source = UPSTREAM_SOURCE_WEIR;
    slot->config.counter[0] = '\0';
    endpoint_format(slot->config.listen_text, sizeof(slot->config.listen_text), listen);
    endpoint_format(slot->config.forward_text, sizeof(slot->config.forward_text), &o->forward);
}

static int begin_gate(struct relay *r, size_t slot, const struct config_gate *pattern, const char *name)
{
    struct gate *g = &r->gates[slot];
    int error = gate_init(g, &r->slots[slot].config, r->config, r->worker_count, &r->account, r->bans);
    if (error < 0) {
        gate_fini(g);
        return error;
    }
    g->events = r->events;
    r->busiest[slot] = (struct busiest){0};
    g->origin = (struct gate_origin){.pattern = (size_t)(pattern - r->config->gates), .name = name};
    for (unsigned i = 0; i < r->worker_count; i++)
        worker_begin_gate(r->workers[i], slot, g);
    if (slot >= r->gate_count)
        r->gate_count = slot + 1;
    return 0;
}

/* Opens the gate in its slot. It is a new one, or was closed before. */
static int listen_in_slot(struct relay *r, size_t slot, const struct gate_opening *o, const struct endpoint *listen)
{
    struct gate *g = &r->gates[slot];
    g->origin.book = o->book;
    g->forward = o->forward;
    g->listen.endpoint = *listen;
    told_take(g, o->told);
    bool zmtp = r->slots[slot].config.socket != SOCKET_AUTO;
    atomic_store(&g->reach.speech, zmtp ? REACH_SPEAKS_ZMTP : REACH_SPEAKS_UNKNOWN);
    int fd = dup(o->listener);
    int error = fd < 0 ? -errno : relay_share_listener(r, slot, fd);
    r->slots[slot].open = error == 0;
    for (unsigned i = 0; error && i < r->worker_count; i++)
        worker_stop_listening(r->workers[i], slot);
    r->slots[slot].closed_ns = clock_now_ns();
    return error;
}

static int open_parked(struct relay *r, const struct config_gate *pattern, const struct gate_opening *o,
                       const struct endpoint *listen)
{
    int slot = slot_of_name(r, o->name);
    const char *name = gate_name_of(r, o->name);
    bool known = slot >= 0;
    if (!name)
        return -ENOMEM;
    if (!known)
        slot = slot_for_new(r);
    if (slot < 0)
        return slot;
    describe(&r->slots[slot], pattern, o, listen);
    int error = known ? 0 : begin_gate(r, (size_t)slot, pattern, name);
    if (!error)
        error = listen_in_slot(r, (size_t)slot, o, listen);
    return error ? error : slot;
}

static void warn_of_type(const struct config_gate *pattern, const struct gate_opening *o)
{
    enum socket_type t = socket_type_told(o->told);
    if (pattern->socket != SOCKET_AUTO && t != SOCKET_AUTO && t != pattern->socket)
        LOG_WARN("gate %s: the configuration says socket: %s, but the application has bound a %s: that counts", o->name,
                 socket_type_name(pattern->socket), socket_type_name(t));
}

/* The real address of a listening socket. */
static int address_of(int fd, struct endpoint *ret)
{
    socklen_t len = sizeof(ret->un);
    *ret = (struct endpoint){.kind = ENDPOINT_TCP};
    if (getsockname(fd, &ret->sa, &len) < 0)
        return -errno;
    ret->len = len;
    if (ret->sa.sa_family == AF_UNIX) {
        ret->kind = ENDPOINT_IPC;
        return 0;
    }
    return ret->sa.sa_family == AF_INET || ret->sa.sa_family == AF_INET6 ? 0 : -EAFNOSUPPORT;
}

/* Says so in the event log, and counts. */
static void tell_opened(struct relay *r, const struct gate *g)
{
    char detail[2 * ENDPOINT_TEXT_MAX + 4];
    snprintf(detail, sizeof(detail), "%s -> %s", g->listen.text, g->config->forward_text);
    event_log_gates(r->events, EVENT_GATE_OPENED, g->origin.name, detail);
    atomic_fetch_add(&r->opened, 1);
}

void relay_count_refused(struct relay *r)
{
    atomic_fetch_add(&r->refused, 1);
}

int relay_open_gate(struct relay *r, const struct gate_opening *o)
{
    struct endpoint listen;
    int result = address_of(o->listener, &listen);
    const struct config_gate *pattern = result < 0 ? NULL : config_pattern_for(r->config, &listen);
    if (pattern) {
        warn_of_type(pattern, o);
        net_listen_for_clients(o->listener);
        park_all(r);
        result = open_parked(r, pattern, o, &listen);
        resume_all(r);
    } else if (result == 0) {
        result = -ENOENT;
    }
    close(o->listener);
    if (result >= 0)
        tell_opened(r, &r->gates[result]);
    else
        relay_count_refused(r);
    return result;
}

void relay_hand_over(struct relay *r, size_t slot, bool on)
{
    park_all(r);
    told_hand_over(&r->gates[slot], on);
    resume_all(r);
}

void relay_tell_gate(struct relay *r, size_t gate, const struct socket_options *told)
{
    told_take(&r->gates[gate], told);
}

int relay_count_at(struct relay *r, size_t slot, int line)
{
    park_all(r);
    int error = counter_take(&r->workers[0]->gates[slot], line);
    resume_all(r);
    return error;
}

void relay_close_gate(struct relay *r, size_t slot)
{
    struct gate *g = &r->gates[slot];
    park_all(r);
    atomic_store(&g->listen.up, false);
    r->slots[slot].open = false;
    r->slots[slot].closed_ns = clock_now_ns();
    for (unsigned i = 0; i < r->worker_count; i++)
        worker_stop_listening(r->workers[i], slot);
    counter_drop(&r->workers[0]->gates[slot]);
    resume_all(r);
    event_log_gates(r->events, EVENT_GATE_CLOSED, g->origin.name, g->listen.text);
}
