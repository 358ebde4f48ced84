/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness of the event log. For any name that a peer gives itself, an event is one line of ASCII. The line is
 * an object of strings and numbers (by a parser of this file's own), its fields are the table's, and the peer's bytes
 * can be read back. */
#include "events/event.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void expect(const char **at, const char *text)
{
    require(strncmp(*at, text, strlen(text)) == 0);
    *at += strlen(text);
}

static unsigned hex_digit(char c)
{
    require((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* A string as Weir writes it, decoded; returns its length. */
static size_t read_string(const char **at, uint8_t *ret, size_t room)
{
    size_t len = 0;
    expect(at, "\"");
    while (**at != '"') {
        require(**at >= 0x20 && **at <= 0x7e && len < room);
        if (**at != '\\') {
            ret[len++] = (uint8_t)(*at)[0];
            *at += 1;
            continue;
        }
        expect(at, "\\u00");
        ret[len++] = (uint8_t)(hex_digit((*at)[0]) << 4 | hex_digit((*at)[1]));
        *at += 2;
    }
    expect(at, "\"");
    return len;
}

static void read_number(const char **at)
{
    if (strncmp(*at, "null", 4) == 0) {
        *at += 4;
        return;
    }
    require(**at >= '1' && **at <= '9'); /* zeros are left out */
    while (**at >= '0' && **at <= '9')
        ++*at;
}

/* The field of this key, behind the field `after`: fields stand in the order of the table, none twice. */
static enum event_field field_of(const uint8_t *key, size_t len, int after)
{
    for (unsigned f = (unsigned)(after + 1); f < EVENT_FIELD_COUNT; f++) {
        const char *has = event_field_info((enum event_field)f)->key;
        if (strlen(has) == len && memcmp(has, key, len) == 0)
            return (enum event_field)f;
    }
    abort();
}

static void check_line(const char *line, const struct event *e)
{
    uint8_t text[EVENT_LINE_MAX];
    const char *at = line;
    int field = -1;
    expect(&at, "{\"time\":");
    require(read_string(&at, text, sizeof(text)) == 24);
    expect(&at, ",\"event\":");
    size_t len = read_string(&at, text, sizeof(text));
    require(len == strlen(event_info((enum event_kind)e->kind)->label));
    while (*at == ',') {
        at++;
        len = read_string(&at, text, sizeof(text));
        field = (int)field_of(text, len, field);
        require(event_info((enum event_kind)e->kind)->fields >> field & 1);
        expect(&at, ":");
        if (*at != '"') {
            read_number(&at);
            continue;
        }
        len = read_string(&at, text, sizeof(text));
        require(len > 0);
        bool note = field == EVENT_FIELD_DETAIL && e->note[0];
        if (note)
            require(len == strlen(e->note) && memcmp(text, e->note, len) == 0);
        else if (field == EVENT_FIELD_DETAIL || field == EVENT_FIELD_IDENTITY)
            require(len == e->text_len && memcmp(text, e->text, len) == 0);
    }
    expect(&at, "}\n");
    require(*at == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[EVENT_LINE_MAX + 1];
    struct event e = {.gate = "main", .reason = "protocol"};
    uint8_t head[32] = {0};
    memcpy(head, data, size < sizeof(head) ? size : sizeof(head));
    e.kind = head[0] % EVENT_COUNT;
    e.of_kind = head[1] % EVENT_COUNT;
    e.verdict = head[2] % VERDICT_COUNT;
    e.done = head[3] % EVENT_DEED_COUNT;
    e.level = head[4];
    e.source.kind = (enum addr_kind)(head[5] % 4);
    memcpy(e.source.bytes, head + 8, sizeof(e.source.bytes));
    memcpy(&e.source.port, head + 24, sizeof(e.source.port));
    e.network = network_of(&e.source, head[6]);
    memcpy(&e.strikes, head + 8, sizeof(e.strikes));
    memcpy(&e.of, head + 12, sizeof(e.of));
    memcpy(&e.wall_ns, head + 16, sizeof(e.wall_ns));
    memcpy(&e.for_ns, head + 24, sizeof(e.for_ns));
    e.for_ns |= 1;
    memcpy(&e.suppressed, head + 20, sizeof(e.suppressed));
    if (head[7] & 1 && event_info((enum event_kind)e.kind)->fields & EVENT_HAS(IDENTITY))
        memcpy(e.note, "it is a \"SUB\"", 14);
    if (size > sizeof(head))
        event_set_text(&e, data + sizeof(head), size - sizeof(head));
    size_t len = event_write(line, &e);
    require(len <= EVENT_LINE_MAX);
    line[len] = '\0';
    require(strlen(line) == len && memchr(line, '\n', len) == line + len - 1);
    check_line(line, &e);
    return 0;
}
