/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/silence.h"

/* The part of a silence that may be added to it. */
#define PART 8

#define DOUBT_MOST 6u

static void remember(struct silence *s, uint64_t latency_ns, uint64_t now_ns)
{
    if (now_ns >= s->from_ns + SILENCE_REMEMBERS_NS) {
        s->least_ns[1] = s->least_ns[0];
        s->least_ns[0] = 0;
        s->from_ns = now_ns;
    }
    if (s->least_ns[0] == 0 || latency_ns < s->least_ns[0])
        s->least_ns[0] = latency_ns;
}

/* Whether the first of those who were let in had to wait longer than those before it. */
static void judge(struct silence *s, uint64_t asked_ns, uint64_t latency_ns)
{
    if (s->judged)
        return;
    if (asked_ns < s->first_ns) {
        s->before_ns = latency_ns;
        return;
    }
    s->judged = true;
    if (latency_ns <= s->before_ns + s->before_ns / PART)
        s->doubt = 0;
    else if (s->doubt < DOUBT_MOST)
        s->doubt++;
}

void silence_answer(struct silence *s, uint64_t asked_ns, uint64_t now_ns)
{
    uint64_t latency_ns = now_ns > asked_ns ? now_ns - asked_ns : 1;
    remember(s, latency_ns, now_ns);
    judge(s, asked_ns, latency_ns);
}

static uint64_t quickest_ns(const struct silence *s)
{
    return s->least_ns[1] && s->least_ns[1] < s->least_ns[0] ? s->least_ns[1] : s->least_ns[0];
}

void silence_look(struct silence *s, uint64_t answered, uint64_t asked_ns, uint64_t now_ns)
{
    if (s->answered != answered || s->since_ns == 0) {
        s->answered = answered;
        s->since_ns = now_ns;
        s->granted = 0;
    }
    /* An application that was asked nothing before was not silent. */
    uint64_t since_ns = s->since_ns > asked_ns ? s->since_ns : asked_ns, each_ns = PART * quickest_ns(s);
    if (now_ns < since_ns)
        return;
    each_ns = (each_ns > SILENCE_LEAST_NS ? each_ns : SILENCE_LEAST_NS) << s->doubt;
    uint64_t places = (now_ns - since_ns) / each_ns;
    places = places < SILENCE_PLACES ? places : SILENCE_PLACES;
    if (places <= s->granted)
        return;
    if (s->granted == 0) {
        s->first_ns = now_ns;
        s->before_ns = 0;
        s->judged = false;
    }
    s->places += (uint32_t)places - s->granted;
    s->granted = (uint32_t)places;
    s->granted_ns = now_ns;
}

bool silence_end(struct silence *s, uint64_t asked_ns, bool overtaken)
{
    if (asked_ns >= s->granted_ns || s->places == 0)
        return false;
    s->places -= !overtaken;
    return overtaken;
}
