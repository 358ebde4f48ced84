/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Drops rights: the main process gives up for ever what only the helper needs, and the helper gives up everything else.
 *
 * Uses system calls, without libcap or libseccomp. Rights belong to each thread: call these before there is a second
 * one.
 */
#ifndef WEIR_DAEMON_PRIVILEGES_H
#define WEIR_DAEMON_PRIVILEGES_H

#include "base/attr.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whether this process may change the packet filter of its network namespace (CAP_NET_ADMIN). */
bool privileges_filter_packets(void);

/* Whether it may load programs into the kernel besides (CAP_BPF). */
bool privileges_load_programs(void);

/* Whether it may connect from addresses that are not its own (CAP_NET_RAW). */
bool privileges_be_anybody(void);

/* The main process: gives up all capabilities that reach into the network, the kernel, or other processes, and the
 * possibility to regain any by executing a program. It then cannot trace the helper, whose rights it lacks. If it has
 * to connect from other addresses (`keep_raw`) it keeps CAP_NET_RAW. A system call filter then refuses the other uses
 * of that capability: packet sockets, and raw ones other than netlink's; also by io_uring. 0 or -errno. */
MUST_USE int privileges_give_up(bool keep_raw);

/* The helper, step 1: ends when `parent` does, leaves no core, and has nothing open but standard error and descriptor
 * `keep`, which becomes descriptor 3. 0 or -errno. */
MUST_USE int privileges_be_alone(pid_t parent, int keep);

/* The helper, step 2, when all libraries have opened what they need. It becomes an unprivileged user where it was root,
 * with CAP_NET_ADMIN alone (with `programs` also CAP_BPF). A system call filter leaves netlink sockets, memory and
 * reading (with `programs` also bpf(2)). 0 or -errno. */
MUST_USE int privileges_confine(bool programs);

#endif
