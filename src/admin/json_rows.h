/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Rows of the API as JSON values. Whatever bytes a text holds, the output is valid UTF-8, and the finished document is
 * printable ASCII: nothing in it can steer a terminal.
 *
 * Pure. Values are new references, for the caller to json_decref(). NULL when out of memory; the functions of jansson
 * accept NULL as a value, so that it shows at the end.
 */
#ifndef WEIR_ADMIN_JSON_ROWS_H
#define WEIR_ADMIN_JSON_ROWS_H

#include "bans/bans.h"
#include "base/attr.h"
#include "relay/query.h"
#include "relay/relay.h"
#include "stats/text_out.h"

#include <jansson.h>

/* Two clocks at one moment. */
struct json_now {
    uint64_t now_ns, wall_ns;
};

/* A string. If it holds bytes that are not UTF-8 (or DEL), all bytes that are not printable ASCII become \xNN. */
MUST_USE json_t *json_of_text(const char *bytes, size_t len);

/* {"error": ...} */
MUST_USE json_t *json_of_error(const char *why);

/* "2026-11-25T15:16:33Z" from nanoseconds since the Unix epoch; null for BAN_FOR_EVER and years of more than four
 * digits. */
MUST_USE json_t *json_of_time(uint64_t wall_ns);

MUST_USE json_t *json_of_ban(const struct ban *b, const struct json_now *now);
MUST_USE json_t *json_of_connection(const struct connection_row *c, const char *gate);
MUST_USE json_t *json_of_gate(const struct gate_snapshot *g);
MUST_USE json_t *json_of_setting(const struct gate_setting *s, const char *gate);
MUST_USE json_t *json_of_source(const struct source_row *s, const char *gate, bool banned);

/* Writes the document and a newline. */
void json_write(struct text_out *o, const json_t *document);

#endif
