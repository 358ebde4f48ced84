/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Converts one value of the configuration: from the text of the file into the field of its row, and back into words.
 * Pure, except that host names in endpoints are looked up, which may block.
 */
#ifndef WEIR_CONFIG_VALUE_H
#define WEIR_CONFIG_VALUE_H

#include "base/attr.h"
#include "config/schema.h"

/* Room for a whole sentence: path, value seen, range allowed. */
#define VALUE_WHY_MAX 768
/* Room for a formatted value or range. */
#define VALUE_TEXT_MAX 256
/* Room for a quoted piece of the file; longer ones are cut. */
#define VALUE_SEEN_MAX 72

/* Reads `text` as the row says and stores it in `base` (the object of the row's table). Returns 0, or -EINVAL with the
 * field untouched and a sentence such as `message.hold is too large: "1MiB", allowed 4KiB to 512KiB` in `ret_why`. */
MUST_USE int value_set(const struct schema_key *k, const char *text, void *base, char ret_why[static VALUE_WHY_MAX]);

/* The same for one item of a list of networks. */
MUST_USE int value_network(const struct schema_key *k, const char *text, struct network *ret,
                           char ret_why[static VALUE_WHY_MAX]);

/* The same for one item of a list of paths. */
MUST_USE int value_path(const struct schema_key *k, const char *text, char ret[static CONFIG_PATH_MAX],
                        char ret_why[static VALUE_WHY_MAX]);

/* Writes the stored value as in a file; of a long list only its beginning. Returns `dst`. */
char *value_format(char dst[static VALUE_TEXT_MAX], const struct schema_key *k, const void *base);

/* Writes the range of a row: "4KiB to 512KiB", "pause, drop or close"; of a list, that of an item. Returns `dst`. */
char *value_range(char dst[static VALUE_TEXT_MAX], const struct schema_key *k);

/* The default in words: "64KiB", "required". */
const char *value_preset(const struct schema_key *k);

/* Writes foreign bytes in quotes, escaped and cut: "ab\x01". Returns `dst`. */
char *value_quote(char dst[static VALUE_SEEN_MAX], const char *bytes, size_t len);

/* Fills every field that has a default. `base` is the object of the table, zeroed. */
void value_set_defaults(const struct schema *s, void *base);

#endif
