/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/json_rows.h"

#include "base/text.h"

#include <string.h>
#include <time.h>

#define ESCAPED_MAX 1024u

json_t *json_of_text(const char *bytes, size_t len)
{
    char escaped[ESCAPED_MAX];
    /* jansson writes DEL unchanged. */
    json_t *text = memchr(bytes, 0x7f, len) ? NULL : json_stringn(bytes, len);
    return text ? text : json_string(text_escape(escaped, sizeof(escaped), bytes, len));
}

static json_t *json_of_string(const char *text)
{
    return json_of_text(text, strlen(text));
}

static json_t *number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *json_of_error(const char *why)
{
    return json_pack("{s: o}", "error", json_of_string(why));
}

json_t *json_of_time(uint64_t wall_ns)
{
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    if (wall_ns == BAN_FOR_EVER || !gmtime_r(&seconds, &tm) || tm.tm_year > 9999 - 1900)
        return json_null();
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

/* A future time on the wall clock. */
static json_t *json_of_later(uint64_t at_ns, const struct json_now *now)
{
    if (at_ns == BAN_FOR_EVER)
        return json_null();
    return json_of_time(now->wall_ns + (at_ns - now->now_ns));
}

/* A past time, perhaps before this boot, when the difference wraps (bans/bans.h). */
static json_t *past_of(uint64_t at_ns, const struct json_now *now)
{
    uint64_t ago_ns = now->now_ns - at_ns;
    if (ago_ns > INT64_MAX) /* since `now` was read */
        ago_ns = 0;
    return json_of_time(now->wall_ns > ago_ns ? now->wall_ns - ago_ns : 0);
}

json_t *json_of_ban(const struct ban *b, const struct json_now *now)
{
    char who[NETWORK_TEXT_MAX];
    bool banned = b->until_ns > now->now_ns, for_ever = b->until_ns == BAN_FOR_EVER;
    json_t *left = banned && !for_ever ? number((b->until_ns - now->now_ns + NS_PER_S - 1) / NS_PER_S) : json_null();
    const char *reason = b->reason < BAN_REASON_COUNT ? ban_reason_label((enum ban_reason)b->reason) : "unknown";
    return json_pack("{s: o, s: b, s: s, s: i, s: o, s: o, s: o, s: b}", "network",
                     json_of_string(network_format(who, sizeof(who), &b->who)), "banned", banned, "reason", reason,
                     "level", (int)b->level, "since", past_of(b->since_ns, now), "until",
                     banned ? json_of_later(b->until_ns, now) : json_null(), "seconds_left", left, "forever",
                     banned && for_ever);
}

static json_t *sums(const struct traffic_sums *s)
{
    return json_pack("{s: o, s: o, s: o, s: o}", "messages_in", number(s->messages_in), "messages_out",
                     number(s->messages_out), "bytes_in", number(s->bytes_in), "bytes_out", number(s->bytes_out));
}

static const char *state_word(enum connection_state s)
{
    return s == CONNECTION_OPEN ? "open" : s == CONNECTION_HANDSHAKE ? "handshake" : "waiting";
}

static json_t *seconds(uint64_t ns)
{
    return json_real((double)(ns / NS_PER_MS) / 1000.0);
}

/* Why its next message waits, and since when; null: it does not. */
static json_t *hold_of(const struct connection_row *c)
{
    if (c->hold.proof == PROOF_NONE)
        return json_null();
    return json_pack("{s: s, s: o, s: o, s: b}", "proof", hold_proof_word(c->hold.proof), "seconds",
                     seconds(c->hold.waited_ns), "messages", number(c->hold.messages), "established",
                     c->hold.established);
}

json_t *json_of_connection(const struct connection_row *c, const char *gate)
{
    char peer[ADDR_TEXT_MAX];
    json_t *socket = c->socket == SOCKET_AUTO ? json_null() : json_of_string(socket_type_name(c->socket));
    return json_pack("{s: o, s: o, s: o, s: s, s: o, s: b, s: b, s: o, s: o, s: o, s: o}", "id", number(c->id), "gate",
                     json_of_string(gate), "peer", json_of_string(addr_format(peer, sizeof(peer), &c->addr)), "state",
                     state_word(c->state), "socket", socket, "paused", c->paused, "blocked", c->blocked, "hold",
                     hold_of(c), "age_seconds", seconds(c->age_ns), "idle_seconds", seconds(c->idle_ns), "traffic",
                     sums(&c->sums));
}

json_t *json_of_source(const struct source_row *s, const char *gate, bool banned)
{
    return json_pack("{s: o, s: o, s: o, s: o, s: o, s: b, s: b, s: b, s: o}", "source", json_of_string(s->text),
                     "gate", json_of_string(gate), "connections", number(s->connections), "paused", number(s->paused),
                     "strikes", number(s->strikes), "banned", banned, "probation", s->probation, "exempt", s->exempt,
                     "traffic", sums(&s->sums));
}

static const char *counter_word(enum taken_state s)
{
    static const char *const words[] = {
        [TAKEN_ABSENT] = "none", [TAKEN_BELIEVED] = "believed", [TAKEN_SLOW] = "slow", [TAKEN_DOUBTED] = "doubted"};
    return words[s];
}

static json_t *limiter_of(const struct gate_snapshot *g)
{
    const struct reqlimit_report *r = &g->limiter;
    const char *why_not = g->limiter_off ? "concurrency.limit is off" : reqlimit_report_why_not(r);
    const char *plain = r->plain == PLAIN_YES ? "yes" : r->plain == PLAIN_NO ? "no" : "unknown";
    return json_pack("{s: s, s: s, s: o, s: s, s: s, s: o, s: o, s: o, s: o, s: o, s: o, s: o}", "state",
                     g->limiter_off ? "off" : limit_state_word(r->state), "proof",
                     g->limiter_off && !r->in_line ? "none" : hold_proof_word(r->proof), "why_not",
                     why_not ? json_of_string(why_not) : json_null(), "counter", counter_word(r->counter), "plain",
                     plain, "established", number(r->established), "strangers", number(r->connections - r->established),
                     "in_line", number(r->in_line), "held", number(r->waiting), "held_seconds",
                     r->in_line ? seconds(g->held_ns) : json_null(), "window",
                     number(r->proof == PROOF_COUNTER ? r->untaken_window
                            : r->proof == PROOF_MAX   ? r->most
                                                      : r->in_hand_window),
                     "without_progress", number(r->without_progress));
}

json_t *json_of_gate(const struct gate_snapshot *g)
{
    return json_pack("{s: o, s: o, s: o, s: b, s: o, s: o}", "gate", json_of_string(g->name), "listen",
                     json_of_string(g->listen), "forward", json_of_string(g->forward), "up", g->upstream_up,
                     "connections", number(g->cells[CELL_OPEN]), "limiter", limiter_of(g));
}

json_t *json_of_setting(const struct gate_setting *s, const char *gate)
{
    static const char *const words[] = {[SETTING_FROM_DEFAULT] = "default",
                                        [SETTING_FROM_FILE] = "file",
                                        [SETTING_FROM_OPTION] = "option",
                                        [SETTING_FROM_DESCRIPTORS] = "descriptors"};
    return json_pack("{s: o, s: s?, s: o, s: s, s: s?}", "gate", json_of_string(gate), "key", s->key, "value",
                     json_of_string(s->value), "from", words[s->from], "option", s->option);
}

static int write_part(const char *bytes, size_t len, void *o)
{
    text_out_bytes(o, bytes, len);
    return 0;
}

void json_write(struct text_out *o, const json_t *document)
{
    if (!document ||
        json_dump_callback(document, write_part, o, JSON_ENSURE_ASCII | JSON_COMPACT | JSON_REAL_PRECISION(12)) < 0)
        text_out_fail(o);
    text_out_str(o, "\n");
}
