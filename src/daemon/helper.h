/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The privileged helper: a process of its own that keeps CAP_NET_ADMIN (with XDP also CAP_BPF) and nothing else, for
 * the main process, which gives these up.
 *
 * From the start it knows which table it may write and which ports belong to gates. A request can only name the
 * networks that these are closed to, and the helper checks that again (firewall/firewall_validate.h). It reads one
 * message at a time from its socket and answers each. It ends when the socket closes, when its parent dies, or at the
 * first malformed message.
 *
 * A transaction that an operator or another program makes impossible is only answered with an error; the helper writes
 * no log.
 */
#ifndef WEIR_DAEMON_HELPER_H
#define WEIR_DAEMON_HELPER_H

#include "firewall/firewall.h"

#include <sys/types.h>

struct helper {
    pid_t pid;
    int fd; /* SOCK_SEQPACKET; to be closed by the owner */
};

/* Forks it, and waits until it reports that it has confined itself. Before there are threads. 0 or -errno; after an
 * error there is no helper. */
MUST_USE int helper_start(const char *table, const struct firewall_gates *gates, struct helper *ret);

/* Ends it, even during a transaction: a transaction happens as a whole or not at all. */
void helper_stop(struct helper *h);

#endif
