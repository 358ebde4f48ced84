/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/hwm_advice.h"

#include "base/attr.h"
#include "cli/ctl_show.h"

#include <stdio.h>
#include <string.h>

#define SHORT_MAX 48u

/* ---- types of sockets ---- */

static bool is_one_of(enum socket_type t, unsigned types)
{
    return types >> t & 1u;
}

#define PUBLISHERS  (1u << SOCKET_PUB | 1u << SOCKET_XPUB)
#define SUBSCRIBERS (1u << SOCKET_SUB | 1u << SOCKET_XSUB)
#define DROPPERS    (PUBLISHERS | 1u << SOCKET_ROUTER | 1u << SOCKET_REP)

static bool hwm_receives(enum socket_type t)
{
    return t != SOCKET_AUTO && !is_one_of(t, PUBLISHERS | 1u << SOCKET_PUSH);
}

static bool hwm_sends(enum socket_type t)
{
    return t != SOCKET_AUTO && !is_one_of(t, SUBSCRIBERS | 1u << SOCKET_PULL);
}

/* ---- arithmetic ---- */

/* Two digits; `up`: at least n. */
static uint64_t hwm_round(uint64_t n, bool up)
{
    uint64_t unit = 1;
    while (n / unit > 99)
        unit *= 10;
    return (n + (up ? unit - 1 : 0)) / unit * unit;
}

static uint64_t hwm_connections(const struct hwm_seen *s)
{
    return s->connections ? s->connections : 1;
}

/* What passes at this rate in the delay, for each of `share`. */
static void choose_by_delay(struct hwm_advice *a, const struct hwm_wish *w, uint64_t share)
{
    double all = (double)a->rate * (double)w->delay_ns / (double)NS_PER_S, each = all / (double)share;
    a->mark = each < HWM_LEAST ? HWM_LEAST : each < HWM_DEFAULT ? hwm_round((uint64_t)each, false) : HWM_DEFAULT;
    a->basis = each < HWM_LEAST ? HWM_FEWEST : each < HWM_DEFAULT ? HWM_DELAY : HWM_ENOUGH;
}

/* What is too little loses messages. */
static void choose_by_burst(struct hwm_advice *a)
{
    bool enough = a->rate <= HWM_DEFAULT / 2;
    a->mark = enough ? HWM_DEFAULT : a->rate < HWM_MOST / 2 ? hwm_round(2 * a->rate, true) : HWM_MOST;
    a->basis = enough ? HWM_ENOUGH : HWM_BURST;
}

static void bound_by_memory(struct hwm_advice *a, const struct hwm_flow *f, const struct hwm_seen *s,
                            const struct hwm_wish *w)
{
    uint64_t both = 1 + (hwm_receives(s->socket) && hwm_sends(s->socket)), bytes = f->bytes ? f->bytes : 1;
    uint64_t most = w->memory_bytes / both / hwm_connections(s) / bytes;
    if (most < a->mark) {
        a->mark = most ? hwm_round(most, false) : 1;
        a->basis = HWM_MEMORY;
    }
    a->messages = a->mark * hwm_connections(s);
    a->bytes = a->messages * f->bytes;
}

static void measure_time(struct hwm_advice *a, uint64_t messages)
{
    a->lasts_ns = a->rate ? (uint64_t)((double)messages * (double)NS_PER_S / (double)a->rate) : 0;
}

/* Whether there is something to choose. */
static bool hwm_begin(struct hwm_advice *ret, const struct hwm_seen *s, const struct hwm_flow *f, bool used,
                      unsigned subscriptions)
{
    *ret = (struct hwm_advice){.basis = s->socket == SOCKET_AUTO              ? HWM_UNKNOWN
                                        : is_one_of(s->socket, subscriptions) ? HWM_SUBSCRIPTIONS
                                        : !used                               ? HWM_UNUSED
                                                                              : HWM_LITTLE_SEEN};
    return ret->basis == HWM_LITTLE_SEEN && f->messages >= HWM_SEEN_MESSAGES && f->seconds >= HWM_SEEN_SECONDS;
}

void hwm_advise_receive(struct hwm_advice *ret, const struct hwm_seen *s, const struct hwm_wish *w)
{
    bool told = is_one_of(s->socket, SUBSCRIBERS);
    if (!hwm_begin(ret, s, &s->in, hwm_receives(s->socket), PUBLISHERS))
        return;
    ret->beyond = told ? HWM_SENDERS_DROP : HWM_SENDERS_WAIT;
    ret->rate = s->taken && !told ? s->taken : s->in.busiest;
    if (told)
        choose_by_burst(ret);
    else
        choose_by_delay(ret, w, hwm_connections(s));
    bound_by_memory(ret, &s->in, s, w);
    measure_time(ret, told ? ret->mark : ret->messages);
}

void hwm_advise_send(struct hwm_advice *ret, const struct hwm_seen *s, const struct hwm_wish *w)
{
    bool drops = is_one_of(s->socket, DROPPERS);
    if (!hwm_begin(ret, s, &s->out, hwm_sends(s->socket), SUBSCRIBERS))
        return;
    ret->beyond = drops ? HWM_DROPS : HWM_BLOCKS;
    ret->rate = s->each;
    if (drops)
        choose_by_burst(ret);
    else
        choose_by_delay(ret, w, 1);
    bound_by_memory(ret, &s->out, s, w);
    measure_time(ret, ret->mark);
}

uint64_t hwm_message_bytes(uint64_t heaviest_bytes, uint64_t all_bytes, uint64_t messages, uint64_t frames)
{
    uint64_t mean = messages ? all_bytes / messages : 0, parts = messages ? (frames + messages - 1) / messages : 0;
    return (heaviest_bytes > mean ? heaviest_bytes : mean) + (parts ? parts : 1) * HWM_MESSAGE_RECORD;
}

/* ---- sentences ---- */

const char *hwm_basis_word(enum hwm_basis b)
{
    static const char *const words[HWM_BASES] = {[HWM_UNKNOWN] = "unknown",
                                                 [HWM_UNUSED] = "unused",
                                                 [HWM_SUBSCRIPTIONS] = "subscriptions",
                                                 [HWM_LITTLE_SEEN] = "little_seen",
                                                 [HWM_DELAY] = "delay",
                                                 [HWM_FEWEST] = "fewest",
                                                 [HWM_BURST] = "burst",
                                                 [HWM_ENOUGH] = "default",
                                                 [HWM_MEMORY] = "memory"};
    return words[b];
}

/* "1 connection", "2 connections". */
static const char *hwm_count(char dst[static SHORT_MAX], uint64_t n, const char *what)
{
    snprintf(dst, SHORT_MAX, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
    return dst;
}

/* "0.3 ms", "1.5 s", "3m20s". */
static const char *hwm_time(char dst[static SHORT_MAX], uint64_t ns)
{
    if (ns < NS_PER_S)
        snprintf(dst, SHORT_MAX, ns < 10 * NS_PER_MS ? "%.1f ms" : "%.0f ms", (double)ns / (double)NS_PER_MS);
    else if (ns < 60 * NS_PER_S)
        snprintf(dst, SHORT_MAX, ns < 10 * NS_PER_S ? "%.1f s" : "%.0f s", (double)ns / (double)NS_PER_S);
    else
        ctl_show_seconds(dst, SHORT_MAX, ns / NS_PER_S);
    return dst;
}

static char *say_by_delay(char dst[static HWM_TEXT_MAX], const struct hwm_advice *a, const struct hwm_seen *s,
                          const struct hwm_wish *w)
{
    char n[SHORT_MAX], delay[SHORT_MAX], shared[SHORT_MAX + 24] = "", peers[SHORT_MAX];
    bool blocks = a->beyond == HWM_BLOCKS;
    const char *rate = hwm_count(n, a->rate, "message"), *d = hwm_time(delay, w->delay_ns);
    const char *what = blocks ? "that a connection got" : s->taken ? "that the application took" : "that passed";
    if (!blocks)
        snprintf(shared, sizeof(shared), ", shared by %s", hwm_count(peers, hwm_connections(s), "connection"));
    if (a->basis == HWM_DELAY)
        snprintf(dst, HWM_TEXT_MAX, "%s of the %s %s in the busiest second%s", d, rate, what, shared);
    else if (a->basis == HWM_FEWEST)
        snprintf(
            dst, HWM_TEXT_MAX,
            "%s of the %s %s in the busiest second%s, would be fewer: then sender and receiver wait for one another", d,
            rate, what, shared);
    else
        snprintf(dst, HWM_TEXT_MAX,
                 "libzmq's default: %s of the %s %s in the busiest second%s, would be more, which is of no use", d,
                 rate, what, shared);
    return dst;
}

static char *say_by_burst(char dst[static HWM_TEXT_MAX], const struct hwm_advice *a)
{
    const char *who = a->beyond == HWM_SENDERS_DROP ? "came" : "a connection got";
    if (a->basis == HWM_BURST)
        snprintf(dst, HWM_TEXT_MAX, "twice the %llu messages that %s in the busiest second",
                 (unsigned long long)a->rate, who);
    else
        snprintf(dst, HWM_TEXT_MAX, "libzmq's default: no more than %llu messages %s in the busiest second",
                 (unsigned long long)a->rate, a->beyond == HWM_SENDERS_DROP ? "came" : "for each connection passed");
    return dst;
}

static char *say_by_memory(char dst[static HWM_TEXT_MAX], const struct hwm_flow *f, const struct hwm_seen *s,
                           const struct hwm_wish *w)
{
    char peers[SHORT_MAX], size[SHORT_MAX], memory[SHORT_MAX];
    uint64_t both = 1 + (hwm_receives(s->socket) && hwm_sends(s->socket));
    snprintf(dst, HWM_TEXT_MAX, "messages take %s each, and %s may hold %s together",
             ctl_show_bytes(size, sizeof(size), f->bytes), hwm_count(peers, hwm_connections(s), "connection"),
             ctl_show_bytes(memory, sizeof(memory), w->memory_bytes / both));
    return dst;
}

char *hwm_reason(char dst[static HWM_TEXT_MAX], const struct hwm_advice *a, const struct hwm_flow *f,
                 const struct hwm_seen *s, const struct hwm_wish *w)
{
    char messages[SHORT_MAX], seconds[SHORT_MAX];
    switch (a->basis) {
    case HWM_DELAY:
    case HWM_FEWEST:
        return say_by_delay(dst, a, s, w);
    case HWM_BURST:
        return say_by_burst(dst, a);
    case HWM_ENOUGH:
        return a->beyond == HWM_DROPS || a->beyond == HWM_SENDERS_DROP ? say_by_burst(dst, a)
                                                                       : say_by_delay(dst, a, s, w);
    case HWM_MEMORY:
        return say_by_memory(dst, f, s, w);
    case HWM_LITTLE_SEEN:
        snprintf(dst, HWM_TEXT_MAX, "not enough seen: %s in %s; ask again after %u messages in %u seconds",
                 hwm_count(messages, f->messages, "message"), hwm_count(seconds, f->seconds, "second"),
                 HWM_SEEN_MESSAGES, HWM_SEEN_SECONDS);
        return dst;
    case HWM_SUBSCRIPTIONS:
        snprintf(dst, HWM_TEXT_MAX, "it counts subscriptions with a %s socket: leave it", socket_type_name(s->socket));
        return dst;
    case HWM_UNUSED:
        snprintf(dst, HWM_TEXT_MAX, "no messages go this way with a %s socket", socket_type_name(s->socket));
        return dst;
    default:
        snprintf(dst, HWM_TEXT_MAX, "the type of the socket is not known: no client has been connected to it yet");
        return dst;
    }
}

char *hwm_trade_off(char dst[static HWM_TEXT_MAX], const struct hwm_advice *a, const struct hwm_seen *s)
{
    char peers[SHORT_MAX], messages[SHORT_MAX], bytes[SHORT_MAX], time[SHORT_MAX], lay[SHORT_MAX + 32] = "";
    dst[0] = '\0';
    if (!a->mark)
        return dst;
    hwm_count(peers, hwm_connections(s), "connection");
    hwm_count(messages, a->messages, "message");
    ctl_show_bytes(bytes, sizeof(bytes), a->bytes);
    hwm_time(time, a->lasts_ns);
    if (s->untaken)
        snprintf(lay, sizeof(lay), " (so far at most %llu lay there)", (unsigned long long)s->untaken);
    switch (a->beyond) {
    case HWM_SENDERS_WAIT:
        snprintf(
            dst, HWM_TEXT_MAX,
            "up to %s (%s) are held for %s%s, and the last one waits %s; those that come then wait at their senders "
            "and in Weir",
            messages, bytes, peers, lay, time);
        break;
    case HWM_SENDERS_DROP:
        snprintf(dst, HWM_TEXT_MAX,
                 "the application may stand still for %s, then publishers drop what their own send marks have no room "
                 "for; up to %s (%s) are held for %s",
                 time, messages, bytes, peers);
        break;
    case HWM_DROPS:
        snprintf(dst, HWM_TEXT_MAX,
                 "a client may stand still for %s, and then loses what is sent to it; up to %s (%s) are held for %s",
                 time, messages, bytes, peers);
        break;
    case HWM_BLOCKS:
        snprintf(
            dst, HWM_TEXT_MAX,
            "clients may stand still for %s, then zmq_send() waits or fails with EAGAIN; up to %s (%s) are held for "
            "%s, and those of one that ends are lost",
            time, messages, bytes, peers);
        break;
    }
    return dst;
}
