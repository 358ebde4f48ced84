/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The token that opens the JSON API: one line of a file that only its owner may read.
 *
 * The server keeps only its hash and compares in constant time, so that neither memory nor timing reveals it. Any
 * thread; token_read() may block on the disk.
 */
#ifndef WEIR_ADMIN_TOKEN_H
#define WEIR_ADMIN_TOKEN_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_BYTES_MIN 16u
#define TOKEN_BYTES_MAX 256u
#define TOKEN_TEXT_MAX  (TOKEN_BYTES_MAX + 1)
#define TOKEN_WHY_MAX   768u

/* Whether a text may be a token: 16 to 256 printable ASCII characters without spaces. */
bool token_is_fit(const char *text, size_t len);

/* Reads the file at `path`, which only its owner may read. A credential that systemd has provided for this service (in
 * $CREDENTIALS_DIRECTORY) may have a group bit, because that is how an access list looks. 0, or -EINVAL with a sentence
 * for a person in `why`: which file, what is wrong with it, and what to do. */
MUST_USE int token_read(const char *path, char ret[static TOKEN_TEXT_MAX], char why[static TOKEN_WHY_MAX]);

struct token_hash {
    uint8_t bytes[32];
};

/* The hash of a token of any length. */
struct token_hash token_hash(const char *text, size_t len);

bool token_hash_equal(const struct token_hash *a, const struct token_hash *b);

/* Overwrites a token that is not needed any more. */
void token_forget(char text[static TOKEN_TEXT_MAX]);

/* The token in the value of `Authorization`, if that has the form "Bearer TOKEN"; its length in *ret_len. NULL: it does
 * not. */
const char *token_of_header(const char *value, size_t *ret_len);

#endif
