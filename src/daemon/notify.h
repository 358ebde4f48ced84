/* SPDX-License-Identifier: MPL-2.0 */
/* The service manager's notification socket (sd_notify(3)), without libsystemd: one datagram to $NOTIFY_SOCKET. */
#ifndef WEIR_DAEMON_NOTIFY_H
#define WEIR_DAEMON_NOTIFY_H

/* Sends `state`, such as "READY=1", and never blocks. Does nothing without a service manager. The loss of a datagram is
 * no error: the manager then times out and reports it itself. */
void notify(const char *state);

#endif
