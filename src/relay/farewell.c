/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/farewell.h"

#include "relay/peer.h"
#include "relay/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A source with this share of the places waiting for the application's farewell has to wait while the gate is half
 * full. */
#define SHARE_OF_ONE 16u

struct farewell {
    struct watch watch;
    struct worker_gate *wg;
    struct peer *peer;
    struct source *source;
    struct list in_worker;
};

static void end(struct farewell *f)
{
    struct worker *w = f->wg->worker;
    close(f->watch.fd);
    list_del(&f->in_worker);
    cell_sub(f->wg->cells, CELL_FAREWELLS, 1);
    f->peer->farewells--;
    peer_discard_if_empty(f->peer);
    source_release(f->source);
    farewell_give_back(f->wg);
    account_release(w->account, sizeof(*f));
    free(f);
}

static struct farewell *make(struct session *s)
{
    struct worker *w = s->wg->worker;
    if (!account_charge(w->account, sizeof(struct farewell)))
        return NULL;
    struct farewell *f = calloc(1, sizeof(*f));
    if (!f)
        account_release(w->account, sizeof(*f));
    return f;
}

/* True when the connection is watched on behalf of `f` from now on. */
static bool take_over(struct farewell *f, struct session *s)
{
    /* Told again as long as there is something to read. */
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = f};
    f->watch = (struct watch){.kind = WATCH_FAREWELL, .fd = s->back.watch.fd};
    shutdown(f->watch.fd, SHUT_WR);
    return epoll_ctl(s->wg->worker->epoll_fd, EPOLL_CTL_MOD, f->watch.fd, &e) == 0;
}

void farewell_begin(struct session *s)
{
    struct farewell *f = make(s);
    if (!f || !take_over(f, s)) {
        if (f)
            account_release(s->wg->worker->account, sizeof(*f));
        free(f);
        close(s->back.watch.fd);
        farewell_give_back(s->wg);
    } else {
        f->wg = s->wg;
        f->peer = s->peer;
        f->source = s->source;
        atomic_fetch_add(&s->source->refs, 1);
        s->peer->farewells++;
        list_push(&s->wg->worker->farewells, &f->in_worker);
        cell_add(s->wg->cells, CELL_FAREWELLS, 1);
    }
    s->back.watch.fd = -1;
}

/* One read in each round: an application with much to say to nobody must not keep the others waiting. */
void farewell_on_event(struct watch *watch)
{
    struct farewell *f = (struct farewell *)(void *)watch;
    ssize_t n = recv(watch->fd, f->wg->worker->scratch, SCRATCH_READ_BYTES, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end(f);
}

void farewell_end_all(struct worker *w)
{
    while (!list_empty(&w->farewells))
        end(LIST_ENTRY(w->farewells.next, struct farewell, in_worker));
}

bool farewell_take_place(struct session *s)
{
    struct gate *g = s->wg->gate;
    uint32_t max = atomic_load(&g->max_connections), taken = atomic_fetch_add(&g->upstream, 1);
    if (taken < max / 2 || (taken < max && s->peer->farewells < max / SHARE_OF_ONE + 1))
        return true;
    atomic_fetch_sub(&g->upstream, 1);
    return false;
}

void farewell_give_back(struct worker_gate *wg)
{
    atomic_fetch_sub(&wg->gate->upstream, 1);
}
