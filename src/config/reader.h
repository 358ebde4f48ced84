/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Reads the YAML file: walks libyaml's events under the schema tables and fills a struct config. It builds no document,
 * so its memory does not grow with the file.
 *
 * Refused: aliases, anchors and tags (one line could expand to gigabytes), keys given twice, unknown keys, nesting
 * deeper than CONFIG_DEPTH_MAX, a second document. It reads on after a mistake. Only a syntax error, too deep nesting
 * or a lack of memory end the reading.
 */
#ifndef WEIR_CONFIG_READER_H
#define WEIR_CONFIG_READER_H

#include "base/attr.h"
#include "config/config.h"
#include "config/report.h"

#include <stddef.h>

#define CONFIG_BYTES_MAX (1024u * 1024u)
#define CONFIG_DEPTH_MAX 8

struct section_given;

/* What forwards to the application of a pattern is known when its gate is opened: until then it is this. */
#define CONFIG_PATTERN_FORWARD "ipc://@weir-run"

/* Reads the bytes of a file that the report names. Returns the snapshot, or NULL after at least one mistake in `r`.
 * patterns: for `weir run` (config_load_patterns()). ret_gates: gets the places of each gate's keys, CONFIG_GATES_MAX
 * of them; may be NULL. */
MUST_USE struct config *config_read(const char *bytes, size_t len, bool patterns, struct report *r,
                                    struct section_given *ret_gates);

#endif
