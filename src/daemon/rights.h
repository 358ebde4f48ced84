/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Who may do what: the main process gives up for ever what only the helper needs, and the helper everything else.
 * System calls without libcap or libseccomp. Threads have rights of their own: call before there is a second one.
 */
#ifndef WEIR_DAEMON_RIGHTS_H
#define WEIR_DAEMON_RIGHTS_H

#include "base/attr.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whether this process may change the packet filter of its network namespace (CAP_NET_ADMIN). */
bool rights_filter_packets(void);

/* Whether it may load programs into the kernel besides (CAP_BPF). */
bool rights_load_programs(void);

/* Whether it may connect from addresses that are not its own (CAP_NET_RAW). */
bool rights_be_anybody(void);

/* The main process: no capability that reaches into the network, the kernel, or other processes any more, none to be
 * had by executing something either. It then cannot trace the helper, whose rights it lacks. Where it has to be anybody
 * (`keep_raw`) it keeps CAP_NET_RAW, and a filter of system calls refuses what else that is for: packet sockets, and
 * raw ones other than netlink's; by io_uring, too. 0 or -errno. */
MUST_USE int rights_give_up(bool keep_raw);

/* The helper, 1: ends when `parent` does, leaves no core, has nothing open but standard error and descriptor `keep`,
 * which becomes descriptor 3. 0 or -errno. */
MUST_USE int rights_be_alone(pid_t parent, int keep);

/* The helper, 2, when all libraries have opened what they need: an unprivileged user where it was root, with
 * CAP_NET_ADMIN alone, with `programs` CAP_BPF, too, and a system call filter that leaves netlink sockets, memory and
 * reading, with `programs` bpf(2). 0 or -errno. */
MUST_USE int rights_confine(bool programs);

#endif
