/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The privileged helper: a process of its own that keeps CAP_NET_ADMIN (with XDP CAP_BPF, too), and nothing else, for
 * the main process, which gives it up. It knows from the start which table it may write and which ports are the gates';
 * all that it can be asked is whom they are closed to, and it checks that again (policy/firewall_stage.h). It reads one
 * message at a time from its socket, answers each, and ends when the socket closes, when its parent dies, or at the
 * first message that is none.
 *
 * A transaction that an operator or another program makes impossible is answered with an error, and no more; the helper
 * writes no log.
 */
#ifndef WEIR_DAEMON_HELPER_H
#define WEIR_DAEMON_HELPER_H

#include "policy/firewall.h"

#include <sys/types.h>

struct helper {
    pid_t pid;
    int fd; /* SOCK_SEQPACKET; to be closed by the owner */
};

/* Forks it, and waits until it says that it has confined itself. Before there are threads. 0 or -errno; after an error
 * there is no helper. */
MUST_USE int helper_start(const char *table, const struct firewall_gates *gates, struct helper *ret);

/* Ends it, whatever it is at: a transaction happens whole or not at all. */
void helper_stop(struct helper *h);

#endif
