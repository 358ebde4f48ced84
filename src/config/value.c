/* SPDX-License-Identifier: MPL-2.0 */
#include "config/value.h"

#include "base/text.h"
#include "base/units.h"
#include "config/value_words.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum fault { FAULT_NONE, FAULT_FORM, FAULT_LOW, FAULT_HIGH };

/* A quantity: count per period. The period is 1 for everything but rates, so that one comparison serves all. */
struct quantity {
    uint64_t count, period;
};

static enum fault fault_of(int error)
{
    if (error == -ERANGE)
        return FAULT_HIGH;
    return error ? FAULT_FORM : FAULT_NONE;
}

/* "500/s" but not "500B/s": messages are not counted in bytes. */
static bool counts_bytes(const char *text)
{
    return text[strspn(text, "0123456789")] != '/';
}

static enum fault parse_rate(const struct schema_key *k, const char *text, struct quantity *ret)
{
    struct quantity q = {0};
    int r = units_parse_rate(text, &q.count, &q.period);
    if (r)
        return fault_of(r);
    if (q.count && k->type == SCHEMA_RATE && counts_bytes(text))
        return FAULT_FORM;
    if (!q.period)
        q.period = NS_PER_S;
    *ret = q;
    return FAULT_NONE;
}

/* Bytes per second, whether written "64KiB/s", "1MiB/m" or "64KiB". */
static enum fault parse_speed(const char *text, struct quantity *ret)
{
    struct quantity q = {.period = 1};
    int r = strchr(text, '/') ? units_parse_rate(text, &q.count, &q.period) : units_parse_bytes(text, &q.count);
    if (r)
        return fault_of(r);
    if (q.period > 1)
        q.count = (uint64_t)((unsigned __int128)q.count * NS_PER_S / q.period);
    *ret = (struct quantity){.count = q.count, .period = 1};
    return FAULT_NONE;
}

static enum fault parse_quantity(const struct schema_key *k, const char *text, struct quantity *ret)
{
    ret->period = 1;
    switch (k->type) {
    case SCHEMA_NUMBER:
        return fault_of(units_parse_count(text, &ret->count));
    case SCHEMA_SIZE:
        return fault_of(units_parse_bytes(text, &ret->count));
    case SCHEMA_DURATION:
        return fault_of(units_parse_duration(text, &ret->count));
    case SCHEMA_SPEED:
        return parse_speed(text, ret);
    default:
        return parse_rate(k, text, ret);
    }
}

static bool quantity_less(const struct quantity *a, const struct quantity *b)
{
    return (unsigned __int128)a->count * b->period < (unsigned __int128)b->count * a->period;
}

/* A rate of 0 is unlimited, so its range does not apply. */
static enum fault check_range(const struct schema_key *k, const struct quantity *q)
{
    struct quantity min, max;
    enum fault wrong_row = parse_quantity(k, k->min, &min) | parse_quantity(k, k->max, &max);
    assert(wrong_row == FAULT_NONE); /* constants, read by a test */
    (void)wrong_row;
    if (schema_is_rate(k) && q->count == 0)
        return FAULT_NONE;
    if (quantity_less(q, &min))
        return FAULT_LOW;
    return quantity_less(&max, q) ? FAULT_HIGH : FAULT_NONE;
}

static enum fault set_quantity(const struct schema_key *k, const char *text, void *base)
{
    struct quantity q;
    enum fault f = parse_quantity(k, text, &q);
    if (f == FAULT_NONE)
        f = check_range(k, &q);
    if (f != FAULT_NONE)
        return f;
    if (!schema_is_rate(k)) {
        schema_put(k, base, q.count);
        return FAULT_NONE;
    }
    struct rate *rate = (struct rate *)(void *)((char *)base + k->offset);
    rate->count = q.count;
    rate->period_ns = q.period;
    return FAULT_NONE;
}

static enum fault set_bool(const struct schema_key *k, const char *text, void *base)
{
    bool yes = !strcmp(text, "true") || !strcmp(text, "yes") || !strcmp(text, "on");
    bool no = !strcmp(text, "false") || !strcmp(text, "no") || !strcmp(text, "off");
    if (!yes && !no)
        return FAULT_FORM;
    *(bool *)((char *)base + k->offset) = yes;
    return FAULT_NONE;
}

static enum fault set_choice(const struct schema_key *k, const char *text, void *base)
{
    for (const struct schema_choice *c = k->choices; c->word; c++) {
        if (strcmp(c->word, text))
            continue;
        schema_put(k, base, c->value);
        return FAULT_NONE;
    }
    return FAULT_FORM;
}

/* YAML 1.1 tools write `on` and `off` as true and false. */
static enum fault set_enforce(const struct schema_key *k, const char *text, void *base)
{
    bool on = !strcmp(text, "on") || !strcmp(text, "true") || !strcmp(text, "yes");
    bool off = !strcmp(text, "off") || !strcmp(text, "false") || !strcmp(text, "no");
    if (on || off || !strcmp(text, "shadow")) {
        schema_put(k, base, on ? ENFORCE_ON : off ? ENFORCE_OFF : ENFORCE_SHADOW);
        return FAULT_NONE;
    }
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || strcmp(text + digits, "%") != 0)
        return FAULT_FORM;
    unsigned percent = 0;
    for (size_t i = 0; i < digits; i++)
        percent = 10 * percent + (unsigned)(text[i] - '0');
    if (percent == 0 || percent >= 100)
        return percent == 0 ? FAULT_LOW : FAULT_HIGH;
    schema_put(k, base, 100 - percent);
    return FAULT_NONE;
}

static enum fault set_name(const struct schema_key *k, const char *text, void *base)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t len = strlen(text);
    if (len == 0 || len > CONFIG_NAME_MAX || strspn(text, allowed) != len)
        return FAULT_FORM;
    memcpy((char *)base + k->offset, text, len + 1);
    return FAULT_NONE;
}

static int parse_endpoint(struct endpoint *ret, char ret_text[static ENDPOINT_TEXT_MAX], const char *text, bool to_bind,
                          const char **ret_why)
{
    if (strlen(text) >= ENDPOINT_TEXT_MAX) {
        *ret_why = "it is too long";
        return -EINVAL;
    }
    if (endpoint_parse(ret, text, to_bind, ret_why))
        return -EINVAL;
    memcpy(ret_text, text, strlen(text) + 1);
    return 0;
}

static int set_admin(const char *text, struct config *c, const char **ret_why)
{
    struct endpoint e;
    if (strlen(text) >= sizeof(c->admin.text)) {
        *ret_why = "it is too long";
        return -EINVAL;
    }
    if (endpoint_parse_address(&e, text, true, ret_why))
        return -EINVAL;
    memcpy(c->admin.text, text, strlen(text) + 1);
    memset(&c->admin.addr, 0, sizeof(c->admin.addr));
    memcpy(&c->admin.addr, &e.sa, e.len);
    c->admin.addr_len = e.len;
    c->admin.enabled = true;
    return 0;
}

static int set_endpoint(const struct schema_key *k, const char *text, void *base, const char **ret_why)
{
    struct config_gate *g = base;
    if (k->type == SCHEMA_ADMIN_ADDR)
        return set_admin(text, base, ret_why);
    if (k->type == SCHEMA_LISTEN)
        return parse_endpoint(&g->listen, g->listen_text, text, true, ret_why);
    return parse_endpoint(&g->forward, g->forward_text, text, false, ret_why);
}

#define UNITS_OF_SIZES "B, kB, MB, GB (of 1000), KiB, MiB, GiB (of 1024)"

/* The units and an example, for a value that is not of the form. */
static const char *example(const struct schema_key *k)
{
    switch (k->type) {
    case SCHEMA_SIZE:
        return ", such as 64KiB; units: " UNITS_OF_SIZES;
    case SCHEMA_DURATION:
        return ", such as 5s; units: ms, s, m, h, d";
    case SCHEMA_RATE:
        return ", such as 500/s; per s, m, h or d";
    case SCHEMA_BYTE_RATE:
    case SCHEMA_SPEED:
        return ", such as 1MiB/s; per s, m, h or d; units: " UNITS_OF_SIZES;
    default:
        return "";
    }
}

/* What to write in place of a fraction, or of no message at all; NULL: the value is neither. */
static const char *whole_number(const struct schema_key *k, const char *text)
{
    size_t digits = strspn(text, "0123456789");
    bool fraction = digits && text[digits] == '.', none = digits && strspn(text, "0") == digits && text[digits] == '/';
    if (schema_is_rate(k) && fraction)
        return "a whole number is needed: 0.5/s is written 30/m";
    if (schema_is_rate(k) && none)
        return "nothing would ever pass; little is written per minute, hour or day, such as 30/m";
    return fraction && (k->type == SCHEMA_SIZE || k->type == SCHEMA_DURATION || k->type == SCHEMA_SPEED)
               ? "a whole number is needed, of a smaller unit"
               : NULL;
}

static enum fault set_path(const char *text, char ret[static CONFIG_PATH_MAX])
{
    size_t len = strlen(text);
    if (text[0] != '/' || len >= CONFIG_PATH_MAX || text[len - 1] == '/')
        return FAULT_FORM;
    memcpy(ret, text, len + 1);
    return FAULT_NONE;
}

/* A text is one line: it stands in messages that reach people. */
static enum fault set_text(const struct schema_key *k, const char *text, void *base)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return FAULT_FORM;
    if (len >= CONFIG_TEXT_MAX)
        return FAULT_FORM;
    memcpy((char *)base + k->offset, text, len + 1);
    return FAULT_NONE;
}

static int value_complain(const struct schema_key *k, const char *text, enum fault f, const char *detail,
                          char why[static VALUE_WHY_MAX])
{
    char seen[VALUE_SEEN_MAX], range[VALUE_TEXT_MAX], what[64];
    if (f == FAULT_FORM && k->type != SCHEMA_CHOICE)
        snprintf(what, sizeof(what), "is not %s", schema_type_words(k->type));
    else
        snprintf(what, sizeof(what), "%s",
                 f == FAULT_LOW    ? "is too small"
                 : f == FAULT_HIGH ? "is too large"
                                   : "has no such choice");
    snprintf(why, VALUE_WHY_MAX, "%s %s: %s%s%s%s, allowed %s%s", k->path, what,
             value_words_quote(seen, text, strlen(text)), detail ? " (" : "", detail ? detail : "", detail ? ")" : "",
             value_words_range(range, k), f == FAULT_FORM ? example(k) : "");
    return -EINVAL;
}

int value_set(const struct schema_key *k, const char *text, void *base, char ret_why[static VALUE_WHY_MAX])
{
    enum fault f;
    const char *detail = NULL;
    switch (k->type) {
    case SCHEMA_BOOL:
        f = set_bool(k, text, base);
        break;
    case SCHEMA_CHOICE:
        f = set_choice(k, text, base);
        break;
    case SCHEMA_ENFORCE:
        f = set_enforce(k, text, base);
        break;
    case SCHEMA_NAME:
        f = set_name(k, text, base);
        break;
    case SCHEMA_NETWORKS:
    case SCHEMA_PATHS:
    case SCHEMA_OBJECTS:
        f = FAULT_FORM; /* no single value is a list */
        break;
    case SCHEMA_LISTEN:
    case SCHEMA_FORWARD:
    case SCHEMA_ADMIN_ADDR:
        f = set_endpoint(k, text, base, &detail) ? FAULT_FORM : FAULT_NONE;
        break;
    case SCHEMA_PATH:
        f = set_path(text, (char *)base + k->offset);
        break;
    case SCHEMA_TEXT:
        f = set_text(k, text, base);
        break;
    default:
        f = set_quantity(k, text, base);
        detail = f == FAULT_FORM ? whole_number(k, text) : NULL;
    }
    return f == FAULT_NONE ? 0 : value_complain(k, text, f, detail, ret_why);
}

int value_network(const struct schema_key *k, const char *text, struct network *ret, char ret_why[static VALUE_WHY_MAX])
{
    char meant[NETWORK_TEXT_MAX], detail[NETWORK_TEXT_MAX + 64];
    const char *why = NULL;
    struct network n;
    int r = network_parse(&n, text, &why);
    if (r == 0)
        *ret = n;
    if (r == 0)
        return 0;
    if (r == -EDOM)
        snprintf(detail, sizeof(detail), "%s; the network is %s", why, network_format(meant, sizeof(meant), &n));
    return value_complain(k, text, FAULT_FORM, r == -EDOM ? detail : why, ret_why);
}

int value_path(const struct schema_key *k, const char *text, char ret[static CONFIG_PATH_MAX],
               char ret_why[static VALUE_WHY_MAX])
{
    enum fault f = set_path(text, ret);
    return f == FAULT_NONE ? 0 : value_complain(k, text, f, NULL, ret_why);
}

void value_set_defaults(const struct schema *s, void *base)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!s->keys[i].preset)
            continue;
        char why[VALUE_WHY_MAX];
        int r = value_set(&s->keys[i], s->keys[i].preset, base, why);
        assert(r == 0); /* constants against constants; a test reads every row */
        (void)r;
    }
}
