/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Says a value of the configuration in words: what is stored, what a row allows, what is its default. For error
 * messages, `weir check`, docs/config.md and the differences of two configurations. Pure; the caller's memory.
 */
#ifndef WEIR_CONFIG_VALUE_WORDS_H
#define WEIR_CONFIG_VALUE_WORDS_H

#include "config/schema.h"

/* Room for a formatted value or range. */
#define VALUE_TEXT_MAX 256
/* Room for a quoted piece of the file; longer ones are cut. */
#define VALUE_SEEN_MAX 72

/* Writes the stored value as in a file; of a long list only its beginning. Returns `dst`. */
char *value_words_format(char dst[static VALUE_TEXT_MAX], const struct schema_key *k, const void *base);

/* Writes the range of a row: "4KiB to 512KiB", "pause, drop or close"; of a list, that of an item. Returns `dst`. */
char *value_words_range(char dst[static VALUE_TEXT_MAX], const struct schema_key *k);

/* The default in words: "64KiB", "required". */
const char *value_words_preset(const struct schema_key *k);

/* Writes foreign bytes in quotes, escaped and cut: "ab\x01". Returns `dst`. */
char *value_words_quote(char dst[static VALUE_SEEN_MAX], const char *bytes, size_t len);

#endif
