/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/buffer_room.h"

#include "base/clock.h"
#include "relay/record.h"
#include "relay/source_conns.h"

/* Sessions that may try again at once, and the time between two tries. */
#define TRIES_AT_ONCE 128u
#define TRY_AGAIN_NS  (10 * NS_PER_MS)

/* How often the heaviest session is looked for at a time, and the pause after that. */
#define CUTS_AT_ONCE 8u
#define CUT_AGAIN_NS NS_PER_MS

/* Each look covers the sources that hold something and were visited longest ago, until this many connections were
 * visited. With more than that, the heaviest of a part is cut. */
#define CONNECTIONS_LOOKED_AT 512u

/* ---- held buffers ---- */

void buffer_room_took(struct session *s, uint32_t cap)
{
    struct worker *w = s->wg->worker;
    if (s->conns->held == 0) {
        w->buffer_room.holders++;
        list_push(&w->buffer_room.holding, &s->conns->in_holding);
    }
    s->conns->held += cap / BUFPOOL_MIN_BYTES;
    /* Many sessions may take much within one round. */
    (void)pressure_update(w->pressure, account_held(w->account));
}

void buffer_room_gave(struct session *s, uint32_t cap)
{
    s->conns->held -= cap / BUFPOOL_MIN_BYTES;
    if (s->conns->held == 0) {
        s->wg->worker->buffer_room.holders--;
        list_del(&s->conns->in_holding);
    }
}

static uint64_t share_of(const struct worker_gate *wg)
{
    const struct worker *w = wg->worker;
    return pressure_share(w->pressure->limit_bytes, w->all_count, w->buffer_room.holders,
                          wg->policy->limits.message.hold_bytes);
}

/* ---- reading ---- */

/* Buffers are powers of two: the kept bytes and a read may need one of twice their size. */
static uint64_t need_of(const struct lane *l)
{
    return 2 * ((uint64_t)(l->end - l->start) + ((uint64_t)1 << l->read_log2));
}

static bool buffer_room_has_room(const struct lane *l, const struct session *s)
{
    const struct worker *w = s->wg->worker;
    return pressure_has_room(w->pressure->limit_bytes, account_held(w->account), need_of(l));
}

/* Spared: a connection that holds nothing, or one whose sender has left. The latter brings what the kernel still holds
 * of it and then gives everything back. Its end stands behind those bytes, so it may go further. Reads at most the
 * minimum. */
static bool buffer_room_spares(struct lane *l, struct session *s)
{
    const struct worker *w = s->wg->worker;
    l->read_log2 = LANE_READ_LOG2_MIN;
    if (lane_from(l, s)->hup)
        return buffer_room_has_room(l, s);
    return s->up.cap + s->down.cap == 0 &&
           pressure_spares(w->pressure->limit_bytes, account_held(w->account), need_of(l));
}

static enum buffer_room_grant grant_under(enum pressure_level level, struct lane *l, struct session *s)
{
    while (l->read_log2 > LANE_READ_LOG2_MIN && (1u << l->read_log2) > pressure_read_most(level))
        l->read_log2--;
    if (pressure_allows(level, source_conns_held_bytes(s->conns), share_of(s->wg))) {
        if (!buffer_room_has_room(l, s))
            l->read_log2 = LANE_READ_LOG2_MIN;
        if (buffer_room_has_room(l, s))
            return BUFFER_ROOM_FREE;
        s->wg->worker->buffer_room.wanted = true;
    } else if (buffer_room_spares(l, s)) {
        return BUFFER_ROOM_FREE;
    }
    if (l->end > l->start && l->end - l->start < l->cap)
        return BUFFER_ROOM_WITHIN;
    buffer_room_wait(l, s);
    return BUFFER_ROOM_NOTHING;
}

enum buffer_room_grant buffer_room_grants(struct lane *l, struct session *s)
{
    enum pressure_level level = pressure_level(s->wg->worker->pressure);
    return level == PRESSURE_NONE ? BUFFER_ROOM_FREE : grant_under(level, l, s);
}

/* ---- waiting ---- */

void buffer_room_wait(struct lane *l, struct session *s)
{
    struct worker *w = s->wg->worker;
    l->awaits_memory = true;
    cell_add(session_cells(s), CELL_READS_DEFERRED, 1);
    if (list_empty(&s->in.waiting))
        list_push(&w->buffer_room.waiting, &s->in.waiting);
    if (w->buffer_room.press.timer.expires_ns == 0)
        timer_arm(&w->loop.timers, &w->buffer_room.press.timer, w->loop.now_ns + TRY_AGAIN_NS);
    session_hold(s);
}

void buffer_room_resume(struct session *s)
{
    if (!s->up.awaits_memory && !s->down.awaits_memory)
        return;
    s->up.awaits_memory = s->down.awaits_memory = false;
    list_del(&s->in.waiting);
}

static void buffer_room_on_alarm(struct alarm *a)
{
    struct worker *w = (struct worker *)(void *)((char *)a - offsetof(struct worker, buffer_room.press));
    bool all = pressure_level(w->pressure) == PRESSURE_NONE;
    for (unsigned i = 0; (all || i < TRIES_AT_ONCE) && !list_empty(&w->buffer_room.waiting); i++)
        session_wake(LIST_ENTRY(list_pop(&w->buffer_room.waiting), struct session, in.waiting));
    if (!list_empty(&w->buffer_room.waiting))
        timer_arm(&w->loop.timers, &w->buffer_room.press.timer, w->loop.now_ns + TRY_AGAIN_NS);
}

void buffer_room_init(struct buffer_room_worker *m)
{
    *m = (struct buffer_room_worker){.press.ring = buffer_room_on_alarm};
    list_init(&m->holding);
    list_init(&m->waiting);
    timer_init(&m->press.timer);
}

/* ---- newcomers ---- */

bool buffer_room_admits(struct worker_gate *wg, const struct source *source)
{
    struct worker *w = wg->worker;
    enum pressure_level level = pressure_update(w->pressure, account_held(w->account));
    if (level == PRESSURE_NONE)
        return true;
    const struct source_conns *p = source_conns_find(wg, source);
    uint64_t bytes = p ? (uint64_t)p->count * SESSION_BYTES : 0;
    return pressure_admits(level, bytes, share_of(wg));
}

/* ---- cutting ---- */

/* The bytes that would come free if this connection were cut: those of an incomplete message, or those that its client
 * does not take. Bytes that wait for the application are not cut, nor are bytes that an application holds back by
 * design. */
static uint32_t cuttable(const struct session *s)
{
    const struct lane *up = &s->up, *down = &s->down;
    uint32_t bytes = 0;
    if (!session_is_open(s))
        return 0;
    if (s->progress.begun_ns != 0 && !up->blocked && !up->traffic.complete)
        bytes += up->cap;
    if (down->blocked && !s->flags.pushes_back)
        bytes += down->cap;
    return bytes;
}

/* Which of the two is cut: the one whose source holds more; then the one that holds more; then the one that has held it
 * longer. */
static bool is_heavier(const struct session *a, const struct session *b)
{
    if (a->conns->held != b->conns->held)
        return a->conns->held > b->conns->held;
    if (cuttable(a) != cuttable(b))
        return cuttable(a) > cuttable(b);
    return a->progress.begun_ns < b->progress.begun_ns;
}

static struct session *heaviest_of(const struct source_conns *p, struct session *most)
{
    LIST_FOREACH(n, &p->sessions)
    {
        struct session *s = LIST_ENTRY(n, struct session, in.conns);
        if (cuttable(s) && (!most || is_heavier(s, most)))
            most = s;
    }
    return most;
}

/* NULL when no visited session's source holds even half an equal share: then it is not messages that fill the
 * memory. */
static struct session *heaviest(struct worker *w)
{
    struct session *most = NULL;
    unsigned looked_at = 0;
    for (uint32_t i = w->buffer_room.holders; i > 0 && looked_at < CONNECTIONS_LOOKED_AT; i--) {
        struct source_conns *p = LIST_ENTRY(list_pop(&w->buffer_room.holding), struct source_conns, in_holding);
        list_push(&w->buffer_room.holding, &p->in_holding);
        looked_at += 1 + p->count;
        if (!most || p->held >= most->conns->held)
            most = heaviest_of(p, most);
    }
    uint64_t share = pressure_share(w->pressure->limit_bytes, w->all_count, w->buffer_room.holders, 0);
    return most && source_conns_held_bytes(most->conns) > share / 2 ? most : NULL;
}

static bool must_cut(struct worker *w)
{
    enum pressure_level level = pressure_update(w->pressure, account_held(w->account));
    bool wanted = w->buffer_room.wanted;
    w->buffer_room.wanted = false;
    if (level == PRESSURE_NONE)
        return false;
    bufpool_trim(&w->loop.pool);
    if ((!wanted && level != PRESSURE_FULL) || w->loop.now_ns - w->buffer_room.cut_ns < CUT_AGAIN_NS)
        return false;
    w->buffer_room.cut_ns = w->loop.now_ns;
    return true;
}

static bool must_cut_another(struct worker *w, unsigned cut)
{
    return cut < CUTS_AT_ONCE && pressure_update(w->pressure, account_held(w->account)) == PRESSURE_FULL;
}

struct session *buffer_room_to_cut(struct worker *w, unsigned cut)
{
    return (cut == 0 ? must_cut(w) : must_cut_another(w, cut)) ? heaviest(w) : NULL;
}
