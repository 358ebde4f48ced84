/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The directory of a gate inside a program: the application's socket and its counter are there. Only this user can
 * enter it. One thread.
 */
#ifndef WEIR_EMBED_INSIDE_H
#define WEIR_EMBED_INSIDE_H

#include "base/attr.h"

/* A Unix socket's path has at most 107 bytes. */
#define INSIDE_PATH_MAX 108

struct inside {
    char dir[64];                   /* "": there is none */
    char endpoint[INSIDE_PATH_MAX]; /* "ipc://DIR/app" */
    char counter[INSIDE_PATH_MAX];  /* "DIR/taken" */
};

/* Makes the directory in $XDG_RUNTIME_DIR, $TMPDIR or /tmp, whichever can be had and is short enough. 0 or -errno. */
MUST_USE int inside_make(struct inside *i);

/* Removes it, with what is in it. Harmless when there is none. */
void inside_remove(struct inside *i);

#endif
