/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Where the flood tools may send to: this machine's loopback addresses and Unix sockets, nothing else. Addresses are
 * numeric, names are never looked up, so that nothing outside this file decides what is local.
 */
#ifndef WEIR_TESTS_ATTACKS_TARGET_H
#define WEIR_TESTS_ATTACKS_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct target {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    uint32_t source; /* first IPv4 source address, host order, within 127.0.0.0/8; 0: the kernel's choice */
    uint32_t sources;
};

/* Parses "tcp://127.x.y.z:PORT", "tcp://[::1]:PORT" or "ipc://PATH". False for anything else, and for every address
 * beyond loopback. */
bool target_parse(struct target *t, const char *url);

/* Sets the source addresses: `count` of them from `first` on. False unless all lie within 127.0.0.0/8. */
bool target_set_sources(struct target *t, const char *first, uint32_t count);

/* A non-blocking socket on its way to the target, from source number `n` (modulo the sources). -errno on failure. A
 * receive buffer of `rcvbuf_bytes` when that is not 0. */
int target_connect(const struct target *t, uint64_t n, int rcvbuf_bytes);

#endif
