/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Converts one value of the configuration: from the text of the file into the field of its row.
 * value_words.h has the way back. Pure, except that host names in endpoints are looked up, which may block.
 */
#ifndef WEIR_CONFIG_VALUE_H
#define WEIR_CONFIG_VALUE_H

#include "base/attr.h"
#include "config/schema.h"

/* Room for a whole sentence: path, value seen, range allowed. */
#define VALUE_WHY_MAX 768

/* Reads `text` as the row says and stores it in `base` (the object of the row's table). Returns 0, or -EINVAL with the
 * field untouched and a sentence such as `message.hold is too large: "1MiB", allowed 4KiB to 512KiB` in `ret_why`. */
MUST_USE int value_set(const struct schema_key *k, const char *text, void *base, char ret_why[static VALUE_WHY_MAX]);

/* The same for one item of a list of networks. */
MUST_USE int value_network(const struct schema_key *k, const char *text, struct network *ret,
                           char ret_why[static VALUE_WHY_MAX]);

/* The same for one item of a list of paths. */
MUST_USE int value_path(const struct schema_key *k, const char *text, char ret[static CONFIG_PATH_MAX],
                        char ret_why[static VALUE_WHY_MAX]);

/* Fills every field that has a default. `base` is the object of the table, zeroed. */
void value_set_defaults(const struct schema *s, void *base);

#endif
