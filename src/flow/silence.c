/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/silence.h"

/* The part of a silence that may be added to it. */
#define PART 8

#define DOUBT_MOST 6u

void silence_learn(struct silence *s, uint64_t latency_ns, uint64_t now_ns)
{
    if (now_ns >= s->from_ns + SILENCE_REMEMBERS_NS) {
        s->least_ns[1] = s->least_ns[0];
        s->least_ns[0] = 0;
        s->from_ns = now_ns;
    }
    if (s->least_ns[0] == 0 || latency_ns < s->least_ns[0])
        s->least_ns[0] = latency_ns;
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
        s->judged = false;
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
    s->places += (uint32_t)places - s->granted;
    s->granted = (uint32_t)places;
    s->granted_ns = now_ns;
}

bool silence_end(struct silence *s, uint64_t asked_ns, bool overtaken)
{
    if (asked_ns >= s->granted_ns)
        return false;
    bool worth = overtaken && s->places;
    if (overtaken)
        s->doubt = 0;
    else if (!s->judged && s->granted && s->doubt < DOUBT_MOST)
        s->doubt++;
    s->judged = true;
    if (s->places && !overtaken)
        s->places--;
    return worth;
}
