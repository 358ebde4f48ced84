/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Weir's side of `weir run`: the gates of the command and of the programs that it starts (preload/protocol.h).
 *
 * A gate is opened when a program asks for it. It is closed when nobody listens on the loopback port behind it any
 * more. Weir looks when a program says so or cannot bind, when the process that has asked ends, and once a second.
 *
 * Weir ends when the command has ended, the last program that inherited the descriptor `lifeline` too, no gate is
 * open, and no process is left that has begun with RUN_ENV (program_search.h). Memory: the table of addresses, 73 MiB
 * of which only the pages in use exist; CONFIG_GATES_MAX gates. A request beyond that is refused, and the program then
 * listens without a gate.
 *
 * Threads: the main thread.
 */
#ifndef WEIR_DAEMON_PROGRAMS_H
#define WEIR_DAEMON_PROGRAMS_H

#include "base/attr.h"
#include "preload/protocol.h"
#include "relay/relay.h"

#include <stdbool.h>
#include <sys/types.h>

#define PROGRAM_ENDED (-2)

struct program_gate {
    bool open;
    size_t gate;     /* of the relay */
    int family;      /* of the hidden socket: AF_INET, AF_INET6 or AF_UNIX */
    uint32_t number; /* the same: its port, or that of its name */
    uint16_t real_port;
    int process; /* of the program that has asked (pidfd); -1: not known; PROGRAM_ENDED */
    char name[CONFIG_NAME_MAX + 1];
    char listen[ENDPOINT_TEXT_MAX];
};

struct programs {
    int requests; /* the Unix socket */
    int table_fd; /* read-only for programs */
    struct run_table *table;
    char name[RUN_NAME_BYTES + 1], token[RUN_TOKEN_BYTES + 1];
    pid_t command_pid;
    int ready;    /* the end of a pipe, written to when Weir has started; -1: nobody waits */
    int command;  /* pidfd, or that of another program that is left; -1: none */
    int lifeline; /* the end of a pipe whose other end the programs have; -1: none has it any more */
    int signals;  /* signalfd */
    bool no_counter;
    struct program_gate at[CONFIG_GATES_MAX];
};

/* Makes the socket and the table. 0, or -errno after a line to `errors`. programs_close() in any case. */
MUST_USE int programs_open(struct programs *p, FILE *errors);
void programs_close(struct programs *p);

/* The value of RUN_ENV; `ports`: those of --port and --leave, `marks`: those of --hwm, as text with commas. To be freed
 * by the caller; NULL: no memory. */
MUST_USE char *programs_setting(const struct programs *p, const char *ports, const char *marks);

/* Follows the command, takes SIGHUP over, which must be blocked, and tells who waits that Weir has started. 0 or
 * -errno. */
MUST_USE int programs_follow(struct programs *p);

enum programs_news { PROGRAMS_ENDED, PROGRAMS_RELOAD };

/* Serves requests until there is news for the main thread: the programs have ended, or a SIGHUP. */
MUST_USE enum programs_news programs_serve(struct programs *p, struct relay *r);

#endif
