/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/plain_service.h"

#include "flow/decay.h"

#define SAMPLES_MOST  4000
#define MESSAGES_MOST 1000
#define OTHERS        0.25 /* answers to others a message; a plain service has fewer */
#define ANSWERS_LEAST 10
#define ANSWERS_MOST  1.5 /* answers a message; a plain service has one */

void plain_service_init(struct plain_service *p)
{
    *p = (struct plain_service){.state = PLAIN_UNKNOWN};
}

void plain_service_is(struct plain_service *p, bool plain)
{
    p->state = plain ? PLAIN_YES : PLAIN_NO;
}

/* Answers to other connections in (from, to]. False: more came than are remembered. */
static bool plain_service_others(const struct plain_service *p, uint64_t from_ns, uint64_t to_ns, double *ret)
{
    uint64_t known = p->answer_count < PLAIN_ANSWERS ? p->answer_count : PLAIN_ANSWERS;
    *ret = 0;
    for (uint64_t i = 1; i <= known; i++) {
        const struct plain_answer *a = &p->last[(p->answer_count - i) % PLAIN_ANSWERS];
        if (a->at_ns <= from_ns)
            return true;
        *ret += a->at_ns <= to_ns && a->to != p->of;
    }
    return known < PLAIN_ANSWERS;
}

static void plain_service_decide(struct plain_service *p)
{
    if (p->samples < PLAIN_SAMPLES)
        return;
    double mean = p->sum / p->samples, variance = p->squares / p->samples - mean * mean;
    double error = square_root((variance > 0.01 ? variance : 0.01) / p->samples);
    bool unasked = p->answers > ANSWERS_MOST * p->messages + ANSWERS_LEAST;
    if (mean - error > OTHERS || unasked)
        p->state = PLAIN_NO;
    else if (mean + error < OTHERS && p->answers > 0.5 * p->messages && p->answers > ANSWERS_LEAST)
        p->state = PLAIN_YES;
    if (p->samples > SAMPLES_MOST) {
        p->samples /= 2;
        p->sum /= 2;
        p->squares /= 2;
    }
}

/* Ends the sample if its window is over. */
static void plain_service_end(struct plain_service *p, bool calm, uint64_t now_ns)
{
    double after;
    if (!p->sampling || now_ns <= p->at_ns + PLAIN_WINDOW_NS)
        return;
    p->sampling = false;
    bool known = plain_service_others(p, p->at_ns, p->at_ns + PLAIN_WINDOW_NS, &after);
    p->overrun = known ? 0 : p->overrun + (p->overrun < PLAIN_OVERRUN);
    if (!calm || !known)
        return;
    double more = after - p->before;
    p->samples++;
    p->sum += more;
    p->squares += more * more;
    plain_service_decide(p);
}

void plain_service_count(struct plain_service *p, uint64_t messages, uint64_t answers)
{
    p->messages += (double)messages;
    p->answers += (double)answers;
    while (p->messages > MESSAGES_MOST) {
        p->messages /= 2;
        p->answers /= 2;
    }
}

void plain_service_passed(struct plain_service *p, const void *connection, bool calm, uint64_t now_ns)
{
    plain_service_end(p, calm, now_ns);
    if (!calm || p->sampling || now_ns < p->at_ns + PLAIN_SPACE_NS || now_ns < PLAIN_WINDOW_NS)
        return;
    p->of = connection;
    p->at_ns = now_ns;
    p->sampling = plain_service_others(p, now_ns - PLAIN_WINDOW_NS, now_ns, &p->before);
    if (!p->sampling)
        p->overrun += p->overrun < PLAIN_OVERRUN;
}

void plain_service_answered(struct plain_service *p, const void *connection, uint32_t n, bool calm, uint64_t now_ns)
{
    plain_service_end(p, calm, now_ns);
    for (uint32_t i = 0; i < n && i < PLAIN_ANSWERS; i++)
        p->last[p->answer_count++ % PLAIN_ANSWERS] = (struct plain_answer){now_ns, connection};
}

void plain_service_forget(struct plain_service *p, const void *connection)
{
    if (p->sampling && p->of == connection)
        p->sampling = false;
}
