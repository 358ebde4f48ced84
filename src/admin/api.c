/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/api.h"

#include "admin/json_rows.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/units.h"
#include "firewall/firewall.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "/v1/"

/* The longest wait for workers. A round takes milliseconds. */
#define QUERY_PATIENCE_NS NS_PER_S

enum { OK = 200, BAD = 400, NOT_FOUND = 404, NOT_ALLOWED = 405, CONFLICT = 409, UNAVAILABLE = 503, LATE = 504 };

/* ---- answers ---- */

static void api_reply_with(struct api_reply *r, unsigned status, json_t *document)
{
    *r = (struct api_reply){.status = status, .document = document};
}

static void api_complain(struct api_reply *r, unsigned status, const char *fmt, ...) PRINTF(3, 4);

static void api_complain(struct api_reply *r, unsigned status, const char *fmt, ...)
{
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    api_reply_with(r, status, json_of_error(why));
}

/* Logs an operator's action; at most one line for each request with the token. */
static void api_note(const struct api_request *q, const char *what, const char *whom)
{
    char from[ADDR_TEXT_MAX];
    LOG_INFO("admin: %s: %s (asked by %s)", whom, what, addr_format(from, sizeof(from), &q->from));
}

/* ---- bans ---- */

static void list_bans(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    const struct json_now now = {clock_now_ns(), clock_wall_ns()};
    char why[REQUEST_WHY_MAX];
    struct request_list r;
    if (request_parse_list(&r, REQUEST_CURSOR | REQUEST_HISTORY, &q->args, why)) {
        api_complain(ret, BAD, "%s", why);
        return;
    }
    struct ban *page = calloc(r.limit, sizeof(*page));
    size_t count = page ? bans_page(relay_bans(a->relay), &r.cursor, r.history, now.now_ns, page, r.limit) : 0;
    json_t *bans = page ? json_array() : NULL;
    for (size_t i = 0; i < count; i++)
        json_array_append_new(bans, json_of_ban(&page[i], &now));
    free(page);
    json_t *next = r.cursor == BANS_END ? json_null() : json_integer((json_int_t)r.cursor);
    api_reply_with(ret, OK, json_pack("{s: o, s: o}", "bans", bans, "next", next));
}

/* A ban that would hit the admin address, or the caller that could lift it again, is refused. */
static bool would_hit_admin(const struct api *a, const struct api_request *q, const struct network *who)
{
    return network_contains(who, &q->from) || network_contains(who, &a->listener);
}

static void set_ban(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    char why[REQUEST_WHY_MAX], who[NETWORK_TEXT_MAX], length[32] = "for ever", what[64];
    uint64_t wall_ns = clock_wall_ns();
    struct request_ban r;
    if (request_parse_no_args(&q->args, why) || request_parse_ban(&r, q->body, q->len, why)) {
        api_complain(ret, BAD, "%s", why);
        return;
    }
    network_format(who, sizeof(who), &r.who);
    if (relay_ban_objection(a->relay, &r.who, why, sizeof(why))) {
        api_complain(ret, CONFLICT, "not banned: %s", why);
        return;
    }
    if (would_hit_admin(a, q, &r.who)) {
        api_complain(ret, CONFLICT, "not banned: %s would ban whoever manages this Weir: the admin address or your own",
                     who);
        return;
    }
    if (!relay_ban(a->relay, &r.who, r.for_ns)) {
        api_complain(ret, CONFLICT, "not banned: the ban table has no room for %s: lift others, or ban wider networks",
                     who);
        return;
    }
    if (r.for_ns != BAN_FOR_EVER)
        units_format_duration(length, sizeof(length), r.for_ns);
    snprintf(what, sizeof(what), "banned%s%s", r.for_ns == BAN_FOR_EVER ? " " : " for ", length);
    api_note(q, what, who);
    api_reply_with(ret, OK,
                   json_pack("{s: s, s: s, s: o}", "network", who, "for", r.for_ns == BAN_FOR_EVER ? "forever" : length,
                             "until", json_of_time(r.for_ns == BAN_FOR_EVER ? BAN_FOR_EVER : wall_ns + r.for_ns)));
}

/* Finds a ban that contains `who`, for a caller that wants to lift the ban of a part of it. */
static bool banned_with(const struct api *a, const struct network *who, char text[static NETWORK_TEXT_MAX])
{
    struct addr first = {.kind = (enum addr_kind)who->kind};
    struct ban b;
    memcpy(first.bytes, who->bytes, sizeof(first.bytes));
    if (!bans_find(relay_bans(a->relay), &first, clock_now_ns(), &b) || b.who.bits > who->bits)
        return false;
    network_format(text, NETWORK_TEXT_MAX, &b.who);
    return true;
}

#define KERNEL_GOES_ON                                                                                                 \
    "the kernel cannot be told now (weir_kernel_bans_in_force is 0): what it was told before, it drops until it can "  \
    "be, "                                                                                                             \
    "or until that ban's own end, for a day at most"

/* Whether the kernel may have a ban of which it does not learn the end. */
static bool kernel_goes_on(const struct api *a, const struct network *who)
{
    const struct kernel_bans *k = relay_kernel_bans(a->relay);
    return atomic_load(&k->wanted) && !atomic_load(&k->in_force) && firewall_accepts(who);
}

static void api_lift_ban(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    char why[REQUEST_WHY_MAX], text[NETWORK_TEXT_MAX], wider[NETWORK_TEXT_MAX];
    struct network who;
    if (request_parse_unban(&who, &q->args, why)) {
        api_complain(ret, BAD, "%s", why);
        return;
    }
    network_format(text, sizeof(text), &who);
    if (relay_unban(a->relay, &who)) {
        api_note(q, "ban lifted", text);
        api_reply_with(ret, OK, json_pack("{s: s}", "network", text));
        if (kernel_goes_on(a, &who))
            json_object_set_new(ret->document, "warning", json_string(KERNEL_GOES_ON));
    } else if (banned_with(a, &who, wider)) {
        api_complain(ret, NOT_FOUND, "%s is banned as a part of %s: lift that", text, wider);
    } else {
        api_complain(ret, NOT_FOUND, "%s is not banned", text);
    }
}

/* ---- connections ---- */

/* The number of a gate; QUERY_ALL for "". False after an answer that there is no such gate. */
static bool find_gate(const struct api *a, const char *name, uint32_t *ret, struct api_reply *reply)
{
    char shown[4 * CONFIG_NAME_MAX + 1];
    *ret = QUERY_ALL;
    if (!name[0])
        return true;
    for (size_t i = 0; i < relay_gate_count(a->relay); i++)
        if (strcmp(relay_gate_name(a->relay, i), name) == 0)
            *ret = (uint32_t)i;
    if (*ret != QUERY_ALL)
        return true;
    api_complain(reply, NOT_FOUND, "there is no gate \"%s\"", text_escape(shown, sizeof(shown), name, strlen(name)));
    return false;
}

/* False after an answer. The caller owns the rows. */
static bool ask_workers(const struct api *a, const struct query_ask *ask, struct query_answer *ret,
                        struct api_reply *reply)
{
    if (relay_query(a->relay, ask, QUERY_PATIENCE_NS, ret) == 0)
        return true;
    api_complain(reply, UNAVAILABLE, "out of memory: try again, or ask for fewer with limit");
    return false;
}

static json_t *api_rows_of(const struct api *a, enum query_kind kind, const struct query_answer *found)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < found->count; i++) {
        const struct connection_row *c = &found->rows.connections[kind == QUERY_CONNECTIONS ? i : 0];
        const struct source_row *s = &found->rows.sources[kind == QUERY_SOURCES ? i : 0];
        json_t *row = kind == QUERY_CONNECTIONS
                          ? json_of_connection(c, relay_gate_name(a->relay, c->gate))
                          : json_of_source(s, relay_gate_name(a->relay, s->gate),
                                           bans_find(relay_bans(a->relay), &s->addr, clock_now_ns(), NULL));
        json_array_append_new(rows, row);
    }
    return rows;
}

static void list(const struct api *a, const struct api_request *q, enum query_kind kind, struct api_reply *ret)
{
    char why[REQUEST_WHY_MAX];
    struct request_list r;
    struct query_ask ask = {.kind = kind};
    struct query_answer found;
    if (request_parse_list(&r, REQUEST_GATE | REQUEST_NETWORK, &q->args, why)) {
        api_complain(ret, BAD, "%s", why);
        return;
    }
    ask.network = r.who;
    ask.rows = r.limit;
    if (!find_gate(a, r.gate, &ask.gate, ret) || !ask_workers(a, &ask, &found, ret))
        return;
    json_t *rows = api_rows_of(a, kind, &found);
    free(found.rows.any);
    api_reply_with(ret, OK,
                   json_pack("{s: o, s: I, s: b}", kind == QUERY_SOURCES ? "sources" : "connections", rows, "matched",
                             (json_int_t)found.matched, "complete", found.complete));
}

static void list_sources(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    list(a, q, QUERY_SOURCES, ret);
}

static void list_connections(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    list(a, q, QUERY_CONNECTIONS, ret);
}

static void list_gates(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    char why[REQUEST_WHY_MAX];
    if (request_parse_no_args(&q->args, why)) {
        api_complain(ret, BAD, "%s", why);
        return;
    }
    json_t *rows = json_array();
    for (size_t i = 0; i < relay_gate_count(a->relay); i++) {
        struct gate_snapshot g;
        relay_gate_snapshot(a->relay, i, &g);
        if (!g.closed || g.cells[CELL_OPEN])
            json_array_append_new(rows, json_of_gate(&g));
    }
    api_reply_with(ret, OK, json_pack("{s: o}", "gates", rows));
}

/* False: no memory. */
static bool add_settings(const struct api *a, size_t gate, json_t *rows)
{
    struct gate_setting *found = calloc(GATE_SETTINGS_MOST, sizeof(*found));
    size_t count = found ? relay_gate_settings(a->relay, gate, found) : 0;
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, json_of_setting(&found[i], relay_gate_name(a->relay, gate)));
    free(found);
    return found != NULL;
}

static void list_settings(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    char why[REQUEST_WHY_MAX];
    struct request_list r;
    uint32_t gate;
    if (request_parse_list(&r, REQUEST_GATE, &q->args, why)) {
        api_complain(ret, BAD, "%s", why);
        return;
    }
    if (!find_gate(a, r.gate, &gate, ret))
        return;
    json_t *rows = json_array();
    bool whole = true;
    for (size_t i = 0; i < relay_gate_count(a->relay); i++) {
        struct gate_snapshot g;
        relay_gate_snapshot(a->relay, i, &g);
        if (!g.closed && (gate == QUERY_ALL || gate == i))
            whole &= add_settings(a, i, rows);
    }
    if (whole) {
        api_reply_with(ret, OK, json_pack("{s: o}", "settings", rows));
        return;
    }
    json_decref(rows);
    api_complain(ret, UNAVAILABLE, "out of memory: try again");
}

static void api_kick(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    char why[REQUEST_WHY_MAX], whom[NETWORK_TEXT_MAX], what[64];
    struct query_ask ask = {.kind = QUERY_KICK};
    struct query_answer found;
    struct request_kick r;
    if (request_parse_no_args(&q->args, why) || request_parse_kick(&r, q->body, q->len, why)) {
        api_complain(ret, BAD, "%s", why);
        return;
    }
    ask.network = r.who;
    ask.id = r.id;
    if (!find_gate(a, r.gate, &ask.gate, ret) || !ask_workers(a, &ask, &found, ret))
        return;
    free(found.rows.any);
    if (r.id)
        snprintf(whom, sizeof(whom), "connection %llu", (unsigned long long)r.id);
    else
        network_format(whom, sizeof(whom), &r.who);
    snprintf(what, sizeof(what), "%llu connection%s closed", (unsigned long long)found.matched,
             found.matched == 1 ? "" : "s");
    api_note(q, what, whom);
    if (!found.matched && found.complete)
        api_complain(ret, NOT_FOUND, "%s: there is no such connection", whom);
    else
        api_reply_with(ret, OK,
                       json_pack("{s: I, s: b}", "closed", (json_int_t)found.matched, "complete", found.complete));
}

/* ---- reload ---- */

static json_t *lines_of(const char *text)
{
    json_t *lines = json_array();
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\n");
        if (end > text)
            json_array_append_new(lines, json_of_text(text, (size_t)(end - text)));
    }
    return lines;
}

static void reload(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    char why[REQUEST_WHY_MAX], *said = NULL;
    if (request_parse_no_args(&q->args, why) || request_parse_nothing(q->body, q->len, why)) {
        api_complain(ret, BAD, "%s", why);
        return;
    }
    enum admin_reloaded r = a->calls->reload(a->calls->context, &said);
    json_t *lines = lines_of(said ? said : "");
    free(said);
    switch (r) {
    case ADMIN_RELOADED:
        api_reply_with(ret, OK, json_pack("{s: b, s: o}", "reloaded", true, "lines", lines));
        return;
    case ADMIN_RELOAD_REFUSED:
        api_reply_with(ret, CONFLICT,
                       json_pack("{s: s, s: o}", "error", "the configuration in force stays", "lines", lines));
        return;
    case ADMIN_RELOAD_LATE:
        api_complain(ret, LATE, "the reload takes long and goes on: the log will tell what came of it");
        break;
    case ADMIN_RELOAD_ENDING:
        api_complain(ret, UNAVAILABLE, "nothing is reloaded: Weir is ending, or out of memory");
        break;
    }
    json_decref(lines);
}

/* ---- routes ---- */

static const struct {
    const char *path, *method;
    bool takes_body;
    void (*run)(const struct api *a, const struct api_request *q, struct api_reply *ret);
} routes[] = {
    {PREFIX "bans", "GET", false, list_bans},       {PREFIX "bans", "PUT", true, set_ban},
    {PREFIX "bans", "POST", true, set_ban},         {PREFIX "bans", "DELETE", false, api_lift_ban},
    {PREFIX "sources", "GET", false, list_sources}, {PREFIX "connections", "GET", false, list_connections},
    {PREFIX "gates", "GET", false, list_gates},     {PREFIX "kick", "POST", true, api_kick},
    {PREFIX "reload", "POST", true, reload},        {PREFIX "settings", "GET", false, list_settings},
};

bool api_owns(const char *path)
{
    return strncmp(path, PREFIX, sizeof(PREFIX) - 1) == 0;
}

unsigned api_check(const char *path, const char *method, const char **ret_allow, bool *ret_takes_body)
{
    bool found = false;
    *ret_allow = strcmp(path, PREFIX "bans") == 0                                         ? "GET, PUT, POST, DELETE"
                 : strcmp(path, PREFIX "kick") == 0 || strcmp(path, PREFIX "reload") == 0 ? "POST"
                                                                                          : "GET";
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        found = true;
        if (strcmp(routes[i].method, method) != 0)
            continue;
        *ret_takes_body = routes[i].takes_body;
        return 0;
    }
    return found ? NOT_ALLOWED : NOT_FOUND;
}

void api_answer(const struct api *a, const struct api_request *q, struct api_reply *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].path, q->path) == 0 && strcmp(routes[i].method, q->method) == 0) {
            routes[i].run(a, q, ret);
            return;
        }
    }
    api_complain(ret, NOT_FOUND, "there is no such page");
}
