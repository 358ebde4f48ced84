/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A file that is read at the start and written as a whole now and then, for the ban store.
 *
 * It is written beside the old one, flushed to the disk and renamed into its place, so that there is always a complete
 * one. Only its owner may read it (0600). A damaged file is set aside as FILE.damaged, and the start goes on without
 * it.
 */
#ifndef WEIR_DAEMON_KEPT_FILE_H
#define WEIR_DAEMON_KEPT_FILE_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest path of a configuration, plus a suffix. */
#define KEPT_FILE_PATH_MAX 512

struct kept_file {
    char path[KEPT_FILE_PATH_MAX];
    const char *without; /* "bans": what Weir starts without, and what would be lost */
    int last_error;      /* reported once, until it changes or is to be reported again */
};

void kept_file_init(struct kept_file *f, const char *path, const char *suffix, const char *without);

/* Its contents, to be freed by the caller. NULL: there is no such file, or, after a warning, it cannot be read. */
MUST_USE uint8_t *kept_file_read(struct kept_file *f, size_t *ret_len);

/* The file is of no use; `why` says the reason ("is damaged"). */
void kept_file_set_aside(const struct kept_file *f, const char *why);

/* Tries whether it can be written, and leaves nothing behind; a warning if not, even if the last one said the same. */
void kept_file_try(struct kept_file *f);

/* The next failure is reported, even if the last one was the same. */
void kept_file_report_again(struct kept_file *f);

/* Writes it; false after a warning. `bytes` NULL: out of memory. */
bool kept_file_write(struct kept_file *f, const uint8_t *bytes, size_t len);

#endif
