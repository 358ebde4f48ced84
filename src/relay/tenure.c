/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/tenure.h"

#include "relay/admission.h"
#include "relay/session.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* When others wait, a place is given up after this much time or traffic. */
#define TENURE_NS    (100 * NS_PER_MS)
#define TENURE_BYTES (512u * 1024u)

/* In the midst of a message that the application has made room for, it is kept for longer: what has begun is to end,
 * before others begin. */
#define TENURE_LARGE_NS (1000 * NS_PER_MS)

/* libzmq's default high-water mark, and what a socket's buffer holds before it. */
#define QUEUE_MESSAGES 1000u
#define BUFFER_BYTES   (64u * 1024u)

#define LOOK_AGAIN_NS (20 * NS_PER_MS)

/* However fast the application is, this is not little: its I/O thread's time is shared by bytes. */
#define LITTLE_RATE_MOST     (1024u * 1024u)
#define LITTLE_RATE_UNKNOWN  (128u * 1024u)
#define LITTLE_MESSAGES_MOST 10000u

/* Who had this much to say has more, as soon as its kernel hears that there is room for it. */
#define MUCH_BYTES (64u * 1024u)
#define LINGER_NS  (5 * NS_PER_MS)

/* An application that takes nothing for so long stands still; but if it does so again, it is slow. */
#define STALL_NS (1500 * NS_PER_MS)

/* While so many queues are left to empty, nobody else gives a place up: the application always has something to do,
 * even if it empties them sooner than expected. */
#define EMPTYING_MOST (TENURES_MOST / 2)

/* A queue is filled at so many times the pace at which it is emptied, and faster and faster in case that the pace was
 * underestimated: filled at once, it would keep the application's I/O thread from the messages of others. */
#define FILL_PACES     4.0
#define FILL_FASTER_NS (50 * NS_PER_MS)
#define FILL_REST_NS   (20 * NS_PER_MS)
#define BEGIN_MESSAGES 250u
#define BEGIN_BYTES    4096u

/* Of larger messages the kernel's buffer holds no more than a queue would. */
#define SMALL_MESSAGE_BYTES 4096u

/* An I/O thread that leaves something unread for so long has no room for it. */
#define UNREAD_NS (5 * NS_PER_MS)

/* Many small reads are made one, while others wait. */
#define SMALL_READ_BYTES   4096u
#define SMALL_READ_REST_NS (1 * NS_PER_MS)

/* The pace is measured for so long at least, and not waited for any longer than this; beyond so much it is measured
 * anew. */
#define MEASURE_LEAST_NS (20 * NS_PER_MS)
#define MEASURE_MOST_NS  (1000 * NS_PER_MS)
#define MEASURED_BYTES   (128u * 1024u * 1024u)

#define FULL_BYTES_MOST ((1u << 28) - 1)

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
    s->tenure = (struct tenure){.since_ns = now_of(s), .unread_ns = s->tenure.unread_ns};
    valve_passed(valve_of(s), &s->admission, 1, now_of(s));
}

static void end(struct session *s)
{
    if (s->tenure.until_ns)
        atomic_fetch_sub(&s->wg->gate->emptying, 1);
    s->tenure = (struct tenure){.unread_ns = s->tenure.unread_ns};
    valve_answered(valve_of(s), &s->admission, 1, now_of(s));
}

/* What a message of this client takes. */
static uint64_t each_bytes(const struct session *s)
{
    return s->up.messages ? s->up.passed / s->up.messages : s->up.passed;
}

/* What a full queue holds. */
static uint64_t full_queue_bytes(const struct session *s)
{
    return QUEUE_MESSAGES * each_bytes(s) + BUFFER_BYTES;
}

/* What the queue may hold at most. */
static uint64_t queue_bytes(const struct session *s)
{
    uint64_t most = full_queue_bytes(s);
    return s->up.passed < most ? s->up.passed : most;
}

/* What may pass before the queue was seen full. A queue of small messages that several times as much has passed through
 * does not fill; one of large messages may hold more than anybody should put there. */
static uint64_t unseen_bytes(const struct session *s)
{
    uint64_t full = full_queue_bytes(s);
    return full < TENURE_BYTES ? 4 * full : TENURE_BYTES;
}

/* In bytes a second; 0: nothing is known. */
static double pace_of(const struct session *s)
{
    return (double)pace_bytes(&s->wg->gate->queue_pace, now_of(s));
}

/* What the application has taken since the queue was full. */
static void note_pace(const struct session *s)
{
    const struct tenure *t = &s->tenure;
    pace_note(&s->wg->gate->queue_pace, t->full_bytes, each_bytes(s), now_of(s) - t->full_ns, now_of(s));
}

/* The queue was full for so long that this is measured, if not from full to full. */
static bool was_full_for_long(const struct session *s)
{
    return s->tenure.full_ns && now_of(s) - s->tenure.full_ns >= MEASURE_MOST_NS;
}

/* How long the application will work on what it has of this client. */
static uint64_t emptying_ns(const struct session *s)
{
    const struct tenure *t = &s->tenure;
    uint64_t queue = queue_bytes(s);
    if (t->full_ns == 0 && t->bytes < queue)
        queue = t->bytes;
    double pace = pace_of(s), ns = pace > 0 ? (double)queue / pace * (double)NS_PER_S : 0;
    return ns < (double)EMPTYING_MOST_NS ? (uint64_t)ns : EMPTYING_MOST_NS;
}

static void give_up(struct session *s)
{
    if (!s->tenure.measured && was_full_for_long(s))
        note_pace(s);
    uint64_t ns = emptying_ns(s);
    if (ns == 0) {
        end(s);
        return;
    }
    s->tenure.until_ns = now_of(s) + ns;
    atomic_fetch_add(&s->wg->gate->emptying, 1);
    tenure_on_alarm(s);
}

static void keep(struct session *s)
{
    s->tenure.until_ns = 0;
    atomic_fetch_sub(&s->wg->gate->emptying, 1);
}

static bool is_over(const struct session *s)
{
    const struct tenure *t = &s->tenure;
    if (!valve_is_wanted(valve_of(s)) ||
        atomic_load_explicit(&s->wg->gate->emptying, memory_order_relaxed) >= EMPTYING_MOST)
        return false;
    if (s->up.traffic.reserved)
        return now_of(s) - t->since_ns >= TENURE_LARGE_NS;
    if (t->measured)
        return t->bytes >= TENURE_BYTES || now_of(s) - t->since_ns >= TENURE_NS;
    if (t->full_bytes && (t->unmeasured || was_full_for_long(s)))
        return true;
    /* A queue that was not seen full yet tells nothing of how fast the application is. */
    return (t->full_ns ? t->full_bytes : t->bytes) >= unseen_bytes(s);
}

/* What waits in Weir and in the kernel, in the units of TENURE_LITTLE_BYTES. The first messages of a client are taken
 * for large ones: tenure_messages() bounds their number. */
static uint64_t unsaid(const struct session *s)
{
    int unread = 0;
    if (ioctl(s->front.watch.fd, FIONREAD, &unread) < 0)
        return 0;
    uint64_t bytes = (uint64_t)unread + (s->up.end - s->up.scanned);
    if (s->up.messages == 0 || s->up.passed == 0 || bytes > TENURE_LITTLE_BYTES)
        return bytes;
    return bytes + TENURE_LITTLE_MESSAGE * (bytes * s->up.messages / s->up.passed);
}

/* Whether the application's end of the connection has no room: seen long before the kernel's buffer is full, when that
 * is filled by small segments. Of TCP it cannot be told, where the receiver's kernel takes everything. */
static bool is_left_unread(struct session *s)
{
    struct tenure *t = &s->tenure;
    int unread = 0;
    if (s->wg->gate->forward.kind != ENDPOINT_IPC || ioctl(s->back.watch.fd, SIOCOUTQ, &unread) < 0 || unread == 0) {
        t->unread_ns = 0;
        return false;
    }
    if (t->unread_ns == 0)
        t->unread_ns = now_of(s);
    return now_of(s) - t->unread_ns >= UNREAD_NS;
}

/* Who says half as much as the application takes of a full queue has none there. As long as that is not known no queue
 * has been full for long. A second's worth at once, so that what is owed at one rate is no more when another comes into
 * force. */
static struct rate little_of(const struct session *s)
{
    uint64_t messages = pace_messages(&s->wg->gate->queue_pace, now_of(s)) / 2;
    uint64_t rate = messages < LITTLE_MESSAGES_MOST ? messages * (each_bytes(s) + TENURE_LITTLE_MESSAGE) : UINT64_MAX;
    if (messages == 0)
        rate = LITTLE_RATE_UNKNOWN;
    if (rate < TENURE_LITTLE_RATE)
        rate = TENURE_LITTLE_RATE;
    if (rate > LITTLE_RATE_MOST)
        rate = LITTLE_RATE_MOST;
    return (struct rate){rate, NS_PER_S, rate};
}

static bool says_little(struct session *s)
{
    uint64_t much = unsaid(s);
    if (much > TENURE_LITTLE_BYTES)
        return false;
    if (!valve_is_busy(valve_of(s)) && !is_left_unread(s))
        return true;
    struct rate rate = little_of(s);
    return gcra_admit(&s->little, &rate, much, now_of(s)) == 0;
}

uint32_t tenure_messages(const struct session *s)
{
    return s->tenure.since_ns || s->up.traffic.curve ? VALVE_UNLIMITED : TENURE_LITTLE_MESSAGES;
}

static bool rests(struct session *s)
{
    struct tenure *t = &s->tenure;
    if (t->rests_ns <= now_of(s))
        t->rests_ns = 0;
    if (t->rests_ns)
        session_arm(s, t->rests_ns);
    return t->rests_ns != 0;
}

static uint32_t add(uint32_t sum, uint64_t bytes, uint32_t most)
{
    return bytes < most - sum ? sum + (uint32_t)bytes : most;
}

/* What the application takes of a full queue tells its pace, unless it stood still. It takes in batches (libzmq reads
 * on when half of the queue is empty), so only from one time that the queue was full to another. */
static void measure(struct session *s, uint64_t bytes, bool blocked)
{
    struct tenure *t = &s->tenure;
    uint64_t now = now_of(s);
    t->full_bytes = add(t->full_bytes, bytes, FULL_BYTES_MOST);
    t->full &= bytes == 0;
    if (bytes && now - t->took_ns >= STALL_NS && !t->stalled) {
        t->stalled = t->unmeasured = true;
        t->full_ns = now;
        t->full_bytes = 0;
    }
    if (bytes)
        t->took_ns = now;
    if (!blocked || t->full || now - t->full_ns < MEASURE_LEAST_NS)
        return;
    t->full = true;
    if (!t->unmeasured && t->full_bytes) {
        note_pace(s);
        t->measured = true;
    }
    if (t->unmeasured || t->full_bytes >= MEASURED_BYTES) {
        t->unmeasured = false;
        t->full_ns = now;
        t->full_bytes = 0;
    }
}

/* A buffer of small messages that is full before a queue can be, or twice within moments, tells of the I/O thread. */
static void become_full(struct session *s)
{
    struct tenure *t = &s->tenure;
    if (each_bytes(s) <= SMALL_MESSAGE_BYTES && s->up.messages < QUEUE_MESSAGES)
        return;
    t->full_ns = t->took_ns = now_of(s);
    t->full_bytes = 0;
    t->full = true;
}

bool tenure_allows(struct session *s)
{
    struct tenure *t = &s->tenure;
    if (rests(s))
        return false;
    if (t->since_ns && t->until_ns == 0 && is_over(s))
        give_up(s);
    if (t->until_ns && !valve_is_wanted(valve_of(s)))
        keep(s);
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

/* For how long nothing more of it should pass. */
static uint64_t rest_ns(const struct session *s)
{
    const struct tenure *t = &s->tenure;
    double pace = pace_of(s), held_ns = (double)(now_of(s) - t->since_ns);
    uint64_t least_ns = s->up.last_read < SMALL_READ_BYTES ? SMALL_READ_REST_NS : 0;
    if (pace <= 0)
        return least_ns;
    double fills = FILL_PACES * pace / (double)NS_PER_S * (1 + held_ns / (double)FILL_FASTER_NS);
    double most = (double)(BEGIN_MESSAGES * each_bytes(s) + BEGIN_BYTES) + fills * held_ns;
    double ns = ((double)t->bytes - most) / fills;
    if (ns > (double)FILL_REST_NS)
        return FILL_REST_NS;
    return ns > (double)least_ns ? (uint64_t)ns : least_ns;
}

void tenure_passed(struct session *s, uint64_t bytes, bool blocked)
{
    struct tenure *t = &s->tenure;
    if (blocked && t->since_ns == 0)
        begin(s);
    t->quiet_ns = 0;
    t->bytes = add(t->bytes, bytes, UINT32_MAX);
    if (t->full_ns)
        measure(s, bytes, blocked);
    else if (blocked)
        become_full(s);
    else if (t->since_ns && valve_is_wanted(valve_of(s)))
        t->rests_ns = now_of(s) + rest_ns(s);
}

/* A place that its holder left at once would be everybody's in turn, and everybody's queue would fill a little. */
static bool lingers(struct session *s)
{
    struct tenure *t = &s->tenure;
    if (t->full_ns || t->bytes < MUCH_BYTES || s->up.eof || !valve_is_wanted(valve_of(s)))
        return false;
    if (t->quiet_ns == 0)
        t->quiet_ns = now_of(s);
    if (now_of(s) - t->quiet_ns >= LINGER_NS)
        return false;
    session_arm(s, t->quiet_ns + LINGER_NS);
    return true;
}

bool tenure_may_end(struct session *s)
{
    struct tenure *t = &s->tenure;
    if (!valve_is_wanted(valve_of(s)))
        return true;
    if (t->since_ns && t->until_ns == 0)
        give_up(s);
    return t->until_ns == 0;
}

/* Its queue is full, even if nothing more comes to wait for it. */
static bool is_kept_for_what_is_unread(struct session *s)
{
    if (s->up.eof || !is_left_unread(s))
        return false;
    session_arm(s, now_of(s) + UNREAD_NS);
    return true;
}

void tenure_leave(struct session *s)
{
    if (s->tenure.until_ns)
        keep(s);
}

void tenure_rest(struct session *s)
{
    struct tenure *t = &s->tenure;
    if (t->since_ns && t->until_ns == 0 && !s->up.blocked && !lingers(s) && !is_kept_for_what_is_unread(s))
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
