/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/request.h"

#include "bans/bans.h"
#include "base/text.h"
#include "base/units.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SEEN_MAX 64u

static int request_refuse(char why[static REQUEST_WHY_MAX], const char *fmt, ...) PRINTF(2, 3);

static int request_refuse(char why[static REQUEST_WHY_MAX], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, REQUEST_WHY_MAX, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

/* Escapes untrusted text for a sentence. */
static const char *seen(char dst[static SEEN_MAX], const char *bytes, size_t len)
{
    return text_escape(dst, SEEN_MAX, bytes, len);
}

/* ---- values ---- */

static int parse_network(struct network *ret, const char *text, size_t len, char why[static REQUEST_WHY_MAX])
{
    char shown[SEEN_MAX], meant[NETWORK_TEXT_MAX];
    const char *reason = "it holds a NUL character";
    struct network n;
    int r = strlen(text) == len ? network_parse(&n, text, &reason) : -EINVAL;
    if (r == -EDOM)
        return request_refuse(why, "network is not one: \"%s\" (%s; the network is %s)", seen(shown, text, len), reason,
                              network_format(meant, sizeof(meant), &n));
    if (r)
        return request_refuse(why, "network is not one: \"%s\" (%s)", seen(shown, text, len), reason);
    *ret = n;
    return 0;
}

static int parse_for(uint64_t *ret_ns, const char *text, size_t len, char why[static REQUEST_WHY_MAX])
{
    char shown[SEEN_MAX];
    uint64_t ns = 0;
    if (strlen(text) == len && strcmp(text, "forever") == 0) {
        *ret_ns = BAN_FOR_EVER;
        return 0;
    }
    if (strlen(text) != len || units_parse_duration(text, &ns))
        return request_refuse(why, "for is not a duration: \"%s\", allowed 1s to 365d, such as 10m, or forever",
                              seen(shown, text, len));
    if (ns < REQUEST_FOR_MIN_NS || ns > REQUEST_FOR_MAX_NS)
        return request_refuse(why, "for is out of its range: \"%s\", allowed 1s to 365d, or forever",
                              seen(shown, text, len));
    *ret_ns = ns;
    return 0;
}

static int parse_gate(char ret[static CONFIG_NAME_MAX + 1], const char *text, size_t len,
                      char why[static REQUEST_WHY_MAX])
{
    char shown[SEEN_MAX];
    if (len == 0 || len > CONFIG_NAME_MAX || strlen(text) != len)
        return request_refuse(why, "gate is not a name of a gate: \"%s\", allowed 1 to %d characters",
                              seen(shown, text, len), CONFIG_NAME_MAX);
    memcpy(ret, text, len + 1);
    return 0;
}

static int parse_number(uint64_t *ret, const char *name, const char *text, size_t len, uint64_t min, uint64_t max,
                        char why[static REQUEST_WHY_MAX])
{
    char shown[SEEN_MAX];
    uint64_t n;
    if (strlen(text) != len || units_parse_count(text, &n) || n < min || n > max)
        return request_refuse(why, "%s is out of its range: \"%s\", allowed %llu to %llu", name, seen(shown, text, len),
                              (unsigned long long)min, (unsigned long long)max);
    *ret = n;
    return 0;
}

static int parse_bool(bool *ret, const char *name, const char *text, size_t len, char why[static REQUEST_WHY_MAX])
{
    char shown[SEEN_MAX];
    bool yes = strcmp(text, "true") == 0;
    if (strlen(text) != len || (!yes && strcmp(text, "false") != 0))
        return request_refuse(why, "%s is neither true nor false: \"%s\"", name, seen(shown, text, len));
    *ret = yes;
    return 0;
}

/* ---- bodies ---- */

/* The nesting depth of the brackets, as far as the parser would descend; it recurses for each level. */
static unsigned request_depth_of(const char *body, size_t len)
{
    unsigned depth = 0, most = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        char c = body[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            most = ++depth > most ? depth : most;
        else if (!quoted && (c == '}' || c == ']') && depth)
            depth--;
    }
    return most;
}

/* The body's object, to be freed by json_decref(); NULL after a sentence. */
static json_t *parse_object(const char *body, size_t len, char why[static REQUEST_WHY_MAX])
{
    char shown[SEEN_MAX];
    json_error_t error;
    if (len > REQUEST_BODY_MAX) {
        request_refuse(why, "the body is too large: %zu bytes, allowed %u", len, REQUEST_BODY_MAX);
        return NULL;
    }
    if (request_depth_of(body, len) > REQUEST_DEPTH_MAX) {
        request_refuse(why, "the body is nested too deep: allowed one object without others inside");
        return NULL;
    }
    json_t *o = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
    if (o && json_is_object(o))
        return o;
    if (o)
        request_refuse(why, "the body is not an object: allowed {\"name\": \"value\", ...}");
    else
        request_refuse(why, "the body is not JSON: line %d, column %d: %s", error.line, error.column,
                       seen(shown, error.text, strlen(error.text)));
    json_decref(o);
    return NULL;
}

static int refuse_member(const char *name, const char *allowed, char why[static REQUEST_WHY_MAX])
{
    char shown[SEEN_MAX];
    return request_refuse(why, "a member is not known: \"%s\", allowed %s", seen(shown, name, strlen(name)), allowed);
}

static const char *request_string_of(const char *name, json_t *value, char why[static REQUEST_WHY_MAX])
{
    if (!json_is_string(value))
        (void)request_refuse(why, "%s is not a string", name);
    return json_string_value(value);
}

static int read_ban_member(struct request_ban *ret, const char *name, json_t *value, char why[static REQUEST_WHY_MAX])
{
    bool is_network = strcmp(name, "network") == 0;
    if (!is_network && strcmp(name, "for") != 0)
        return refuse_member(name, "network, for", why);
    const char *text = request_string_of(name, value, why);
    if (!text)
        return -EINVAL;
    size_t len = json_string_length(value);
    return is_network ? parse_network(&ret->who, text, len, why) : parse_for(&ret->for_ns, text, len, why);
}

int request_parse_ban(struct request_ban *ret, const char *body, size_t len, char why[static REQUEST_WHY_MAX])
{
    struct request_ban r = {.for_ns = REQUEST_FOR_DEFAULT_NS};
    const char *name;
    json_t *value, *o = parse_object(body, len, why);
    int error = o ? 0 : -EINVAL;
    if (o)
        json_object_foreach(o, name, value) if (!error) error = read_ban_member(&r, name, value, why);
    json_decref(o);
    if (error)
        return error;
    if (r.who.kind == ADDR_NONE)
        return request_refuse(why, "network is missing: allowed an address such as 192.0.2.1, or a network such as "
                                   "192.0.2.0/24");
    *ret = r;
    return 0;
}

static int read_kick_member(struct request_kick *ret, const char *name, json_t *value, char why[static REQUEST_WHY_MAX])
{
    if (strcmp(name, "connection") == 0) {
        if (!json_is_integer(value) || json_integer_value(value) < 1)
            return request_refuse(why,
                                  "connection is not the number of one: allowed 1 and more, as /v1/connections tells");
        ret->id = (uint64_t)json_integer_value(value);
        return 0;
    }
    bool is_network = strcmp(name, "network") == 0;
    if (!is_network && strcmp(name, "gate") != 0)
        return refuse_member(name, "network, connection, gate", why);
    const char *text = request_string_of(name, value, why);
    if (!text)
        return -EINVAL;
    size_t len = json_string_length(value);
    return is_network ? parse_network(&ret->who, text, len, why) : parse_gate(ret->gate, text, len, why);
}

int request_parse_kick(struct request_kick *ret, const char *body, size_t len, char why[static REQUEST_WHY_MAX])
{
    struct request_kick r = {0};
    const char *name;
    json_t *value, *o = parse_object(body, len, why);
    int error = o ? 0 : -EINVAL;
    if (o)
        json_object_foreach(o, name, value) if (!error) error = read_kick_member(&r, name, value, why);
    json_decref(o);
    if (error)
        return error;
    if ((r.who.kind == ADDR_NONE) == (r.id == 0))
        return request_refuse(why, "%s: allowed either a network or the number of a connection",
                              r.id ? "network and connection are both given" : "network or connection is missing");
    *ret = r;
    return 0;
}

int request_parse_nothing(const char *body, size_t len, char why[static REQUEST_WHY_MAX])
{
    if (len == 0)
        return 0;
    json_t *o = parse_object(body, len, why);
    int error = !o ? -EINVAL : json_object_size(o) ? request_refuse(why, "the body has members: allowed none") : 0;
    json_decref(o);
    return error;
}

/* ---- queries ---- */

/* The argument of this name, or NULL. */
static const struct request_arg *request_find(const struct request_args *args, const char *name)
{
    for (size_t i = 0; i < args->count && i < REQUEST_ARGS_MAX; i++)
        if (args->at[i].name_len == strlen(name) && memcmp(args->at[i].name, name, args->at[i].name_len) == 0)
            return &args->at[i];
    return NULL;
}

/* Refuses a name that is not in `names` (ended by NULL), and a name given twice. */
static int request_check_names(const struct request_args *args, const char *const *names,
                               char why[static REQUEST_WHY_MAX])
{
    char shown[SEEN_MAX], allowed[96] = "";
    size_t known = 0, len = 0;
    for (const char *const *name = names; *name; name++)
        len += (size_t)snprintf(allowed + len, sizeof(allowed) - len, "%s%s", len ? ", " : "", *name);
    if (args->count > REQUEST_ARGS_MAX)
        return request_refuse(why, "too many arguments: allowed %s", len ? allowed : "none");
    for (size_t i = 0; i < args->count; i++) {
        const struct request_arg *a = &args->at[i];
        for (const char *const *name = names; *name; name++)
            known += strlen(*name) == a->name_len && memcmp(*name, a->name, a->name_len) == 0;
        if (known <= i)
            return request_refuse(why, "an argument is not known: \"%s\", allowed %s",
                                  seen(shown, a->name, a->name_len), len ? allowed : "none");
        for (size_t j = 0; j < i; j++)
            if (args->at[j].name_len == a->name_len && memcmp(args->at[j].name, a->name, a->name_len) == 0)
                return request_refuse(why, "an argument is given twice: \"%s\"", seen(shown, a->name, a->name_len));
        if (!a->value)
            return request_refuse(why, "an argument has no value: \"%s\"", seen(shown, a->name, a->name_len));
    }
    return 0;
}

int request_parse_no_args(const struct request_args *args, char why[static REQUEST_WHY_MAX])
{
    static const char *const none[] = {NULL};
    return request_check_names(args, none, why);
}

int request_parse_unban(struct network *ret, const struct request_args *args, char why[static REQUEST_WHY_MAX])
{
    static const char *const names[] = {"network", NULL};
    int error = request_check_names(args, names, why);
    const struct request_arg *network = request_find(args, "network");
    if (error)
        return error;
    if (!network)
        return request_refuse(why, "network is missing: allowed exactly what was banned, as /v1/bans tells");
    return parse_network(ret, network->value, network->value_len, why);
}

static int read_list_args(struct request_list *r, const struct request_args *args, char why[static REQUEST_WHY_MAX])
{
    const struct request_arg *a;
    uint64_t limit = r->limit, cursor = 0;
    if ((a = request_find(args, "limit")) &&
        parse_number(&limit, "limit", a->value, a->value_len, REQUEST_ROWS_MIN, REQUEST_ROWS_MAX, why))
        return -EINVAL;
    if ((a = request_find(args, "cursor")) &&
        parse_number(&cursor, "cursor", a->value, a->value_len, 0, UINT32_MAX, why))
        return -EINVAL;
    if ((a = request_find(args, "gate")) && parse_gate(r->gate, a->value, a->value_len, why))
        return -EINVAL;
    if ((a = request_find(args, "network")) && parse_network(&r->who, a->value, a->value_len, why))
        return -EINVAL;
    if ((a = request_find(args, "history")) && parse_bool(&r->history, "history", a->value, a->value_len, why))
        return -EINVAL;
    r->limit = (size_t)limit;
    r->cursor = (size_t)cursor;
    return 0;
}

int request_parse_list(struct request_list *ret, unsigned allowed, const struct request_args *args,
                       char why[static REQUEST_WHY_MAX])
{
    static const char *const all[] = {"gate", "network", "cursor", "history"};
    const char *names[ARRAY_LEN(all) + 2] = {"limit"};
    struct request_list r = {.limit = REQUEST_ROWS_DEFAULT};
    size_t n = 1;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (allowed & 1u << i)
            names[n++] = all[i];
    if (request_check_names(args, names, why) || read_list_args(&r, args, why))
        return -EINVAL;
    *ret = r;
    return 0;
}
