/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the API tells, as JSON values. Whatever bytes a text holds, what comes out is valid UTF-8, and the finished
 * document printable ASCII: nothing in it can steer a terminal. Pure. Values are new, the caller's to json_decref();
 * NULL when memory is out, which the functions of jansson take for values, so that it shows at the end.
 */
#ifndef WEIR_ADMIN_JSON_ROWS_H
#define WEIR_ADMIN_JSON_ROWS_H

#include "base/attr.h"
#include "policy/bans.h"
#include "relay/relay.h"
#include "relay/survey.h"
#include "stats/text_out.h"

#include <jansson.h>

/* Two clocks at one moment. */
struct json_now {
    uint64_t now_ns, wall_ns;
};

/* A string. If some bytes are no UTF-8 (or DEL), all that are not printable ASCII become \xNN. */
MUST_USE json_t *json_of_text(const char *bytes, size_t len);

/* {"error": ...} */
MUST_USE json_t *json_of_error(const char *why);

/* "2026-11-25T15:16:33Z" of nanoseconds since the Unix epoch; null for BAN_FOR_EVER and years that have more than four
 * digits. */
MUST_USE json_t *json_of_time(uint64_t wall_ns);

MUST_USE json_t *json_of_ban(const struct ban *b, const struct json_now *now);
MUST_USE json_t *json_of_connection(const struct connection_row *c, const char *gate);
MUST_USE json_t *json_of_gate(const struct gate_snapshot *g);
MUST_USE json_t *json_of_source(const struct source_row *s, const char *gate, bool banned);

/* Writes the document and a line's end. */
void json_write(struct text_out *o, const json_t *document);

#endif
