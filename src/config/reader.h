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

/* A pattern without an address is for all. */
#define CONFIG_PATTERN_LISTEN "tcp://*:*"

/* Reads the bytes of a file that the report names. Returns the snapshot, or NULL after at least one mistake in `r`.
 * patterns: for `weir run` (config_load_patterns()). ret_places: as for config_load_placed(); may be NULL. */
MUST_USE struct config *config_read(const char *bytes, size_t len, bool patterns, struct report *r,
                                    struct section_given *ret_places);

/* Reads the same for its admin section alone: mistakes elsewhere do not matter, and what stands in front of a syntax
 * error counts. False, with the mistakes in the report: the section cannot be read, or was perhaps not reached. */
MUST_USE bool config_read_admin(const char *bytes, size_t len, struct report *r, struct config_admin *ret);

#endif
