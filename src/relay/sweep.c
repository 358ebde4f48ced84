/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/sweep.h"

#include "relay/ban_enforce.h"
#include "relay/session.h"

void sweep_begin(struct worker *w, enum sweep_reason reason)
{
    w->sweep.reasons |= (unsigned)reason;
    w->sweep.round++;
    w->sweep.sessions_done = false;
}

static void sweep_look_at(struct session *s, unsigned reasons)
{
    if (reasons & SWEEP_POLICY)
        session_reconsider(s);
    if (reasons & SWEEP_DRAIN)
        session_wake(s);
    if (reasons & SWEEP_BANS)
        ban_enforce_look_at(s); /* last: it may end the session */
    session_reap(s->wg->worker);
}

/* Returns how many were visited. */
static unsigned look_at_sessions(struct worker *w)
{
    unsigned n = 0;
    for (; n < SWEEP_PART && !w->sweep.sessions_done; n++) {
        struct session *s = LIST_ENTRY(w->sessions.all.next, struct session, in.worker);
        if (list_empty(&w->sessions.all) || s->in.swept == w->sweep.round) {
            w->sweep.sessions_done = true;
            break;
        }
        s->in.swept = w->sweep.round;
        list_del(&s->in.worker);
        list_push(&w->sessions.all, &s->in.worker);
        sweep_look_at(s, w->sweep.reasons);
    }
    return n;
}

void sweep_step(struct worker *w)
{
    if (w->sweep.reasons == 0)
        return;
    unsigned n = look_at_sessions(w);
    if (w->sweep.sessions_done && (!(w->sweep.reasons & SWEEP_BANS) || ban_enforce_look_at_tarpit(w, SWEEP_PART - n)))
        w->sweep.reasons = 0;
}
