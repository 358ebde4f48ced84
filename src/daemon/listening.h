/* SPDX-License-Identifier: MPL-2.0 */
/* Asks the kernel whether somebody listens on a loopback port, or under a name. Any thread; a few microseconds. */
#ifndef WEIR_DAEMON_LISTENING_H
#define WEIR_DAEMON_LISTENING_H

#include "base/attr.h"

#include <stdint.h>

/* 1 or 0; -errno: the kernel does not tell. `family`: AF_INET (127.0.0.1) or AF_INET6 (::1). */
MUST_USE int listening_on_loopback(int family, uint16_t port);

/* The same of a name that the kernel has given to a Unix socket (preload/protocol.h), by its number. */
MUST_USE int listening_on_name(uint32_t number);

#endif
