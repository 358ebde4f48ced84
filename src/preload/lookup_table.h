/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The table of addresses (protocol.h) in this process, and what the kernel says of a descriptor, past the functions
 * that are replaced.
 */
#ifndef WEIR_PRELOAD_LOOKUP_TABLE_H
#define WEIR_PRELOAD_LOOKUP_TABLE_H

#include "preload/setting.h"

/* Mapped when it is first needed. NULL: it cannot be had. Changes errno. */
const struct run_table *lookup_table(const struct setting *s);

/* The same, also where it could not be had before. */
const struct run_table *lookup_table_at_last(const struct setting *s);

/* SYS_getsockname or SYS_getpeername; what lies behind the address is zero. Changes errno. */
bool lookup_name(long call, int fd, struct sockaddr_storage *ret);

bool lookup_listens(int fd);

#endif
