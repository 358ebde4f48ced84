/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/silence.h"

#include <string.h>

/* The part of a silence that may be added to it. */
#define PART 8

/* A silence of this, and of each double, may bring as many again. */
#define LONG_NS (250 * NS_PER_MS)

void silence_init(struct silence *s)
{
    memset(s, 0, sizeof(*s));
    s->trust = SILENCE_FIRST;
}

static void remember(struct silence *s, uint64_t latency_ns, uint64_t now_ns)
{
    if (now_ns >= s->from_ns + SILENCE_REMEMBERS_NS) {
        s->least_ns[1] = now_ns < s->from_ns + 2 * SILENCE_REMEMBERS_NS ? s->least_ns[0] : 0;
        s->least_ns[0] = 0;
        s->from_ns = now_ns;
    }
    if (s->least_ns[0] == 0 || latency_ns < s->least_ns[0])
        s->least_ns[0] = latency_ns;
}

uint64_t silence_each_ns(const struct silence *s)
{
    uint64_t least_ns = s->least_ns[1] && s->least_ns[1] < s->least_ns[0] ? s->least_ns[1] : s->least_ns[0];
    return PART * least_ns > SILENCE_LEAST_NS ? PART * least_ns : SILENCE_LEAST_NS;
}

static bool is_judged(const struct silence *s)
{
    return s->granted == 0;
}

/* All additional places end with the judgement. Some may have gone before, with those who were in hand then. */
static uint32_t judge(struct silence *s, bool worth)
{
    uint32_t places = s->places > s->granted ? s->places : s->granted;
    if (worth)
        s->trust = s->trust < SILENCE_MOST / 2 ? 2 * s->trust : SILENCE_MOST;
    else
        s->trust = s->trust > 1 ? s->trust / 2 : 1;
    s->places = s->granted = 0;
    return worth ? places : 0;
}

/* Who was let in later took as long as those before it, and not just what was left of a pause; nor longer by half of
 * what it would have if it had queued. */
static bool did_not_queue(const struct silence *s, uint64_t latency_ns)
{
    uint64_t later_ns = s->granted_ns - s->before_asked_ns, longer_ns = s->before_ns * s->granted / s->before;
    return latency_ns + later_ns / 2 >= s->before_ns && latency_ns <= s->before_ns + longer_ns / 2;
}

uint32_t silence_answer(struct silence *s, uint64_t answered, uint64_t asked_ns, uint64_t now_ns)
{
    uint64_t latency_ns = now_ns > asked_ns ? now_ns - asked_ns : 1;
    remember(s, latency_ns, now_ns);
    if (is_judged(s))
        return 0;
    if (asked_ns < s->first_ns) {
        s->before_ns = latency_ns;
        s->before_asked_ns = asked_ns;
    }
    if (asked_ns < s->granted_ns)
        return 0;
    bool before_most = 2 * (answered - s->first) <= s->before + 1ull;
    return judge(s, before_most || (s->before_ns && did_not_queue(s, latency_ns)));
}

void silence_look(struct silence *s, uint64_t answered, struct silence_load load, uint64_t asked_ns, uint64_t now_ns)
{
    if (s->answered != answered || s->since_ns == 0) {
        s->answered = answered;
        s->since_ns = now_ns;
    }
    /* An application that was asked nothing before was not silent. */
    uint64_t since_ns = s->since_ns > asked_ns ? s->since_ns : asked_ns;
    bool other = !is_judged(s) && s->first_ns < s->since_ns;
    if (now_ns < since_ns || other)
        return;
    uint64_t places = (now_ns - since_ns) / silence_each_ns(s), most = s->trust;
    for (uint64_t long_ns = LONG_NS; long_ns < now_ns - since_ns; long_ns *= 2)
        most += s->trust;
    most = most < load.waiting + s->granted ? most : load.waiting + s->granted;
    places = places < most ? places : most;
    if (places <= s->granted)
        return;
    if (s->granted == 0) {
        s->first_ns = now_ns;
        s->before_ns = 0;
        s->before = load.in_hand ? load.in_hand : 1;
        s->first = answered;
    }
    s->places += (uint32_t)places - s->granted;
    s->granted = (uint32_t)places;
    s->granted_ns = now_ns;
}

/* Of those before who are lost nothing is learned, nor without any of those who were let in. */
uint32_t silence_end(struct silence *s, uint64_t asked_ns, bool overtaken, bool lost)
{
    if (is_judged(s))
        return 0;
    if (asked_ns < s->granted_ns && overtaken)
        return judge(s, true);
    if (lost && asked_ns < s->first_ns)
        s->before -= s->before > 0;
    if (asked_ns >= s->granted_ns || s->before == 0)
        s->places = s->granted = 0;
    s->places -= s->places > 0;
    return 0;
}
