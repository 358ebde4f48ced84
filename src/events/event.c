/* SPDX-License-Identifier: MPL-2.0 */
#include "events/event.h"

#include "bans/bans.h"
#include "base/attr.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct event_info kinds[EVENT_COUNT] = {
#define EVENT_ROW(NAME, text, has, words) [EVENT_##NAME] = {.label = (text), .fields = (has), .sentence = (words)},
    EVENTS(EVENT_ROW)
#undef EVENT_ROW
};

static const struct event_field_info fields[EVENT_FIELD_COUNT] = {
#define EVENT_FIELD_ROW(NAME, word, words) [EVENT_FIELD_##NAME] = {.key = (word), .meaning = (words)},
    EVENT_FIELDS(EVENT_FIELD_ROW)
#undef EVENT_FIELD_ROW
};

static const char *const deeds[EVENT_DEED_COUNT] = {
#define EVENT_DEED_ROW(NAME, label) [EVENT_DEED_##NAME] = (label),
    EVENT_DEEDS(EVENT_DEED_ROW)
#undef EVENT_DEED_ROW
};

const struct event_info *event_info(enum event_kind k)
{
    return &kinds[k];
}

const struct event_field_info *event_field_info(enum event_field f)
{
    return &fields[f];
}

void event_set_text(struct event *e, const void *bytes, size_t len)
{
    e->text_len = (uint8_t)(len < EVENT_TEXT_MAX ? len : EVENT_TEXT_MAX);
    if (e->text_len)
        memcpy(e->text, bytes, e->text_len);
}

/* ---- the line ---- */

/* EVENT_LINE_MAX has room for the longest of all fields (a test tries it), so nothing is ever cut. */
struct line {
    char *at, *end;
};

static void event_put_bytes(struct line *l, const char *bytes, size_t len)
{
    assert(len <= (size_t)(l->end - l->at));
    memcpy(l->at, bytes, len);
    l->at += len;
}

static void event_put(struct line *l, const char *text)
{
    event_put_bytes(l, text, strlen(text));
}

/* RFC 8259: "All Unicode characters may be placed within the quotation marks, except for the characters that MUST be
 * escaped: quotation mark, reverse solidus, and the control characters". Weir escapes everything but ASCII too, since
 * bytes of a peer need not be UTF-8. */
static void event_put_byte(struct line *l, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\')
        event_put_bytes(l, (const char *)&c, 1);
    else
        event_put_bytes(l, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

static void put_quoted(struct line *l, const void *bytes, size_t len)
{
    event_put(l, "\"");
    for (size_t i = 0; i < len; i++)
        event_put_byte(l, ((const uint8_t *)bytes)[i]);
    event_put(l, "\"");
}

static void event_put_number(struct line *l, uint64_t n)
{
    char digits[21];
    snprintf(digits, sizeof(digits), "%" PRIu64, n);
    event_put(l, digits);
}

static void event_put_seconds(struct line *l, uint64_t ns)
{
    if (ns == BAN_FOR_EVER)
        event_put(l, "null");
    else
        event_put_number(l, ns / NS_PER_S + (ns % NS_PER_S != 0));
}

static void put_key(struct line *l, enum event_field f)
{
    event_put(l, ",\"");
    event_put(l, fields[f].key);
    event_put(l, "\":");
}

static void put_text_field(struct line *l, enum event_field f, const char *text)
{
    if (!text || !text[0])
        return;
    put_key(l, f);
    put_quoted(l, text, strlen(text));
}

static void put_number_field(struct line *l, enum event_field f, uint64_t n)
{
    if (n == 0)
        return;
    put_key(l, f);
    event_put_number(l, n);
}

static void put_bytes_field(struct line *l, enum event_field f, const struct event *e)
{
    if (e->text_len == 0)
        return;
    put_key(l, f);
    put_quoted(l, e->text, e->text_len);
}

static void put_field(struct line *l, enum event_field f, const struct event *e)
{
    char text[NETWORK_TEXT_MAX + ADDR_TEXT_MAX];
    switch (f) {
    case EVENT_FIELD_GATE:
        put_text_field(l, f, e->gate);
        break;
    case EVENT_FIELD_SOURCE:
        put_text_field(l, f, e->source.kind == ADDR_NONE ? NULL : addr_format_host(text, sizeof(text), &e->source));
        break;
    case EVENT_FIELD_PORT:
        put_number_field(l, f, e->source.port);
        break;
    case EVENT_FIELD_STANDING:
        if (e->standing != EVENT_STANDING_UNKNOWN)
            put_text_field(l, f, e->standing == EVENT_STANDING_GOOD ? "good" : "none");
        break;
    case EVENT_FIELD_NETWORK:
        put_text_field(l, f, e->network.kind == ADDR_NONE ? NULL : network_format(text, sizeof(text), &e->network));
        break;
    case EVENT_FIELD_OF_EVENT:
        put_text_field(l, f, kinds[e->of_kind].label);
        break;
    case EVENT_FIELD_VERDICT:
        put_text_field(l, f, e->verdict == VERDICT_PASS ? NULL : verdict_info((enum verdict)e->verdict)->label);
        break;
    case EVENT_FIELD_STRIKES:
        put_number_field(l, f, e->strikes);
        break;
    case EVENT_FIELD_OF:
        put_number_field(l, f, e->of);
        break;
    case EVENT_FIELD_REASON:
        put_text_field(l, f, e->reason);
        break;
    case EVENT_FIELD_LEVEL:
        put_number_field(l, f, e->level);
        break;
    case EVENT_FIELD_SECONDS:
        put_key(l, f);
        event_put_seconds(l, e->for_ns);
        break;
    case EVENT_FIELD_DONE:
        put_text_field(l, f, deeds[e->done]);
        break;
    case EVENT_FIELD_SUPPRESSED:
        put_number_field(l, f, e->suppressed);
        break;
    case EVENT_FIELD_DETAIL:
        if (kinds[e->kind].fields & EVENT_HAS(IDENTITY))
            put_text_field(l, f, e->note);
        else
            put_bytes_field(l, f, e);
        break;
    case EVENT_FIELD_IDENTITY:
        put_bytes_field(l, f, e);
        break;
    case EVENT_FIELD_COUNT:
        break;
    }
}

size_t event_write(char dst[static EVENT_LINE_MAX], const struct event *e)
{
    char time[TEXT_TIME_MAX];
    struct line l = {.at = dst, .end = dst + EVENT_LINE_MAX};
    event_put(&l, "{\"time\":\"");
    event_put(&l, text_time(time, e->wall_ns));
    event_put(&l, "\",\"event\":\"");
    event_put(&l, kinds[e->kind].label);
    event_put(&l, "\"");
    for (unsigned f = 0; f < EVENT_FIELD_COUNT; f++)
        if (kinds[e->kind].fields & 1u << f)
            put_field(&l, (enum event_field)f, e);
    event_put(&l, "}\n");
    return (size_t)(l.at - dst);
}
