/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Whether a call comes from libzmq: from the library itself under whatever name, or from a program or module that has
 * it linked in.
 */
#ifndef WEIR_PRELOAD_CALLER_H
#define WEIR_PRELOAD_CALLER_H

#include <link.h>
#include <stdbool.h>
#include <stdint.h>

/* `address`: in the calling code. Each object is searched once. Takes the dynamic linker's lock: not for signal
 * handlers. */
bool caller_is_libzmq(const void *address);

/* Whether the address is in a segment of this object that is loaded. */
bool caller_is_within(const struct dl_phdr_info *o, uintptr_t address);

#endif
