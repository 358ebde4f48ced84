/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Steps through libyaml's events, one at a time: says where each stands, and refuses what is not allowed anywhere
 * (aliases, anchors and tags, nesting deeper than CONFIG_DEPTH_MAX, bytes that are not YAML). Belongs to one reader.
 */
#ifndef WEIR_CONFIG_EVENTS_H
#define WEIR_CONFIG_EVENTS_H

#include "base/attr.h"
#include "config/report.h"

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

struct events {
    yaml_parser_t parser;
    yaml_event_t event; /* the one being looked at */
    const char *bytes;
    struct report *report;
    unsigned depth;
    bool ended; /* nothing more can be read: syntax error, too deep, no memory */
};

/* `bytes` must outlive it. Returns false when there is no memory, with nothing to be freed. */
MUST_USE bool events_init(struct events *in, const char *bytes, size_t len, struct report *report);
void events_fini(struct events *in);

/* Where the event begins. */
struct place events_here(const struct events *in);

/* Moves to the next event. Once the reading has ended the type stays YAML_NO_EVENT. */
yaml_event_type_t events_next(struct events *in);

/* Skips from the first event of a value to its last. */
void events_skip_value(struct events *in);

/* Whether the event is a value that was left out. */
bool events_is_empty(const struct events *in);

/* "nothing", "a single value", "a list", "a mapping". */
const char *events_kind(const struct events *in);

#endif
