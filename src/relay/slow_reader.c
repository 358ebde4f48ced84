/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/slow_reader.h"

#include "relay/record.h"

#include <stdlib.h>

/* The time between two looks at a client that lags. Fast publishing soon adds up to much; answers are checked when
 * requests arrive. */
#define LAG_LOOK_NS      (500 * NS_PER_MS)
#define LAG_BROADCAST_NS (100 * NS_PER_MS)

/* Longer than a garbage collection. */
#define LAG_STALLED_NS (5 * NS_PER_S)

/* Whether the amount that an application holds back for this client is known, as far as it can be. Nothing is known of
 * an application whose type is hidden (CURVE): it may wait for slow receivers by design. */
static bool is_measured(const struct session *s)
{
    return s->flags.broadcast || (s->flags.answers && !s->flags.pushes_back);
}

void slow_reader_look_again(struct session *s)
{
    if (s->slow.laggard)
        session_arm(s, session_now_ns(s) + (s->flags.broadcast ? LAG_BROADCAST_NS : LAG_LOOK_NS));
}

void slow_reader_begin(struct session *s)
{
    struct lag *lag = &s->wg->gate->lag;
    if (s->slow.laggard || !is_measured(s) || !(s->slow.laggard = calloc(1, sizeof(*s->slow.laggard))))
        return;
    lag_enter(lag);
    lag_begin(lag, s->slow.laggard, s->down.passed, session_now_ns(s));
    slow_reader_look_again(s);
}

void slow_reader_end(struct session *s)
{
    if (!s->slow.laggard)
        return;
    lag_count(&s->wg->gate->lag, s->slow.laggard, 0, false);
    lag_stall(&s->wg->gate->lag, s->slow.laggard, false);
    lag_leave(&s->wg->gate->lag);
    free(s->slow.laggard);
    s->slow.laggard = NULL;
    s->flags.noted_slow = false;
}

/* Counts the backlog in the application for this client. Returns the part that waits for this client alone. */
static uint64_t measure_lag(struct session *s)
{
    struct gate *g = s->wg->gate;
    const struct lane *l = &s->down;
    uint64_t now = session_now_ns(s), waiting;
    struct lag_sent sent = {.bytes = l->passed, .messages = l->messages, .opened_ns = s->times.opened_ns};
    bool counted = true, single = false;
    if (s->flags.broadcast) {
        uint32_t all = atomic_load_explicit(&g->counts.established, memory_order_relaxed);
        lag_stall(&g->lag, s->slow.laggard, l->blocked && now - l->blocked_ns >= LAG_STALLED_NS);
        waiting = lag_published(&g->lag, s->slow.laggard, &sent, all, now, &counted);
    } else {
        const struct zmtp_decoder *d = &l->traffic.dec;
        uint64_t read = l->passed + l->ready - l->start, part = d->in_body ? d->size - d->left : 0;
        sent.bytes = read > part ? read - part : 0;
        waiting = lag_answers(&sent, s->up.messages, d->in_body ? d->left : 0, d->size, &single);
    }
    bool stranger = !s->flags.served || !source_in_good_standing(s->source, session_limits(s)->ban.standing_ns, now);
    bool lasts = lag_is_long(s->slow.laggard, l->passed, waiting, now);
    bool first = lasts || (stranger && !lag_is_known(s->slow.laggard, now));
    s->slow.laggard->single = single || !lasts;
    lag_count(&g->lag, s->slow.laggard, counted ? waiting : 0, first);
    return waiting;
}

static bool gives_way(struct session *s, uint64_t waiting, const struct limits *lim)
{
    return lim->slow_reader.behind &&
           lag_gives_way(&s->wg->gate->lag, s->slow.laggard, s->flags.broadcast ? waiting : 0, lim->slow_reader.behind);
}

/* Whether the backlog in the application for clients that do not read is so large that this one gives way. */
bool slow_reader_is(struct session *s, const struct limits *lim)
{
    return s->slow.laggard && gives_way(s, measure_lag(s), lim);
}

bool slow_reader_asks_too_much(struct session *s)
{
    return s->flags.answers && slow_reader_is(s, session_limits(s));
}
