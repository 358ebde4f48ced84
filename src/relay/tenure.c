/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/tenure.h"

#include "relay/admission.h"
#include "relay/session.h"

#include <sys/ioctl.h>

/* When others wait, a place is given up after this much time or traffic. */
#define TENURE_NS    (100 * NS_PER_MS)
#define TENURE_BYTES (512u * 1024u)

/* libzmq's default high-water mark, and what a socket's buffer holds before it. */
#define QUEUE_MESSAGES 1000u
#define BUFFER_BYTES   (64u * 1024u)

#define LOOK_AGAIN_NS (20 * NS_PER_MS)

/* Longest wait for a queue to empty. */
#define EMPTYING_MOST_NS (2 * NS_PER_S)

static struct valve *valve_of(const struct session *s)
{
    return &s->wg->gate->valve;
}

static uint64_t now_of(const struct session *s)
{
    return s->wg->worker->now_ns;
}

static void begin(struct session *s)
{
    s->tenure = (struct tenure){.since_ns = now_of(s)};
    valve_passed(valve_of(s), &s->admission, 1, now_of(s));
}

static void end(struct session *s)
{
    s->tenure = (struct tenure){0};
    valve_answered(valve_of(s), &s->admission, 1, now_of(s));
}

/* What the queue may hold at most, for messages of the size that this client sends. */
static uint64_t queue_bytes(const struct session *s)
{
    uint64_t sent = s->up.passed, each = s->up.messages ? sent / s->up.messages : sent;
    uint64_t most = QUEUE_MESSAGES * each + BUFFER_BYTES;
    return sent < most ? sent : most;
}

/* How long the application will work on what it has, at the pace at which it took more while the queue was full. */
static uint64_t emptying_ns(const struct session *s)
{
    const struct tenure *t = &s->tenure;
    if (t->full_ns == 0)
        return 0;
    double took_ns = (double)(now_of(s) - t->full_ns), took = (double)(t->full_bytes ? t->full_bytes : 1);
    double ns = (double)queue_bytes(s) * took_ns / took;
    return ns < (double)EMPTYING_MOST_NS ? (uint64_t)ns : EMPTYING_MOST_NS;
}

static void give_up(struct session *s)
{
    uint64_t ns = emptying_ns(s);
    if (ns == 0) {
        end(s);
        return;
    }
    s->tenure.until_ns = now_of(s) + ns;
    tenure_on_alarm(s);
}

static bool is_over(const struct session *s)
{
    const struct tenure *t = &s->tenure;
    /* A queue that was not seen full yet tells nothing of how fast the application is. */
    return valve_is_wanted(valve_of(s)) &&
           (t->bytes >= TENURE_BYTES || (t->full_ns && now_of(s) - t->since_ns >= TENURE_NS));
}

/* Judged by what waits in Weir and in the kernel. */
static bool says_little(struct session *s)
{
    static const struct rate rate = {TENURE_LITTLE_RATE, NS_PER_S, TENURE_LITTLE_BYTES};
    int unread = 0;
    if (ioctl(s->front.watch.fd, FIONREAD, &unread) < 0)
        return true;
    uint64_t bytes = (uint64_t)unread + (s->up.end - s->up.scanned);
    if (bytes > TENURE_LITTLE_BYTES)
        return false;
    return !valve_is_busy(valve_of(s)) || gcra_admit(&s->little, &rate, bytes, now_of(s)) == 0;
}

bool tenure_allows(struct session *s)
{
    struct tenure *t = &s->tenure;
    if (t->since_ns && t->until_ns == 0 && is_over(s))
        give_up(s);
    if (t->until_ns && !valve_is_wanted(valve_of(s)))
        t->until_ns = 0; /* it may keep its place */
    if (t->until_ns && now_of(s) >= t->until_ns)
        end(s);
    if (t->since_ns)
        return t->until_ns == 0;
    if (says_little(s))
        return true;
    if (valve_allows(valve_of(s), &s->admission)) {
        begin(s);
        return true;
    }
    admission_line_up(s);
    return false;
}

void tenure_passed(struct session *s, uint64_t bytes, bool blocked)
{
    struct tenure *t = &s->tenure;
    if (blocked && t->since_ns == 0)
        begin(s);
    t->bytes += bytes;
    if (t->full_ns)
        t->full_bytes += bytes;
    else if (blocked)
        t->full_ns = now_of(s);
}

void tenure_rest(struct session *s)
{
    struct tenure *t = &s->tenure;
    if (t->since_ns && t->until_ns == 0 && !s->up.blocked)
        give_up(s);
    valve_rest(valve_of(s), &s->admission, now_of(s));
}

/* Looks again now and then, as nobody may want the place any more. */
void tenure_on_alarm(struct session *s)
{
    uint64_t until_ns = s->tenure.until_ns, soon_ns = now_of(s) + LOOK_AGAIN_NS;
    if (until_ns == 0)
        return;
    if (now_of(s) >= until_ns)
        end(s);
    else
        session_arm(s, until_ns < soon_ns ? until_ns : soon_ns);
}
