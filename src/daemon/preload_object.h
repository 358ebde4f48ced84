/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The objects that Weir has the dynamic linker load into other programs (src/preload): where they are, and how a
 * program gets one.
 */
#ifndef WEIR_DAEMON_PRELOAD_OBJECT_H
#define WEIR_DAEMON_PRELOAD_OBJECT_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>

/* Where they are, from the folder of the program: in a build tree, and installed. */
#define PRELOAD_FOLDERS "src/preload", WEIR_PRELOAD_FROM_PROGRAM

/* The path of the object NAME: in the build tree of this program, else where it is installed. */
MUST_USE bool preload_object_find(const char *name, char *ret, size_t size);

/* Whether LD_PRELOAD can name it: it separates by blanks and colons, and has no way to write one. */
MUST_USE bool preload_object_can_be_named(const char *path);

/* Puts the object into LD_PRELOAD, before the user's own. 0 or -errno. */
MUST_USE int preload_object_add(const char *path);

#endif
