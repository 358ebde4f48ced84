/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The life of the daemon: start, ready lines, signals, drain, end.
 *
 * Runs on the main thread and owns the relay and the admin server.
 */
#ifndef WEIR_DAEMON_DAEMON_H
#define WEIR_DAEMON_DAEMON_H

#include "base/attr.h"
#include "config/config.h"
#include "daemon/reload.h"

struct programs;

/*
 * Serves until SIGTERM or SIGINT, then drains for at most c->drain_ns; a second signal ends the drain at once. When
 * every gate listens, prints to standard output, flushed:
 *
 *   weir: admin: http://127.0.0.1:9700
 *   weir: ready: tcp://127.0.0.1:5555 -> tcp://127.0.0.1:5556
 *
 * Returns the exit code: 0 after a stop by signal, 1 when it could not start (a line on standard error says why).
 * SIGHUP reads the configuration again from the source `from`. To be called once, at the end of a program: the signals
 * stay blocked, and SIGPIPE ignored, when it returns.
 *
 * `programs`: under weir run, else NULL. Then there are no gates at the start and no such lines; it serves until the
 * programs have ended, and SIGTERM and SIGINT do nothing: a service manager sends them to all processes of the service,
 * and when the programs end is for them to say.
 */
MUST_USE int daemon_run(const struct config *c, const struct reload_source *from, struct programs *programs);

#endif
