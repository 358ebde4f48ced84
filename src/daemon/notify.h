/* SPDX-License-Identifier: MPL-2.0 */
/* The service manager's notification socket (sd_notify(3)), without libsystemd: one datagram to $NOTIFY_SOCKET. */
#ifndef WEIR_DAEMON_NOTIFY_H
#define WEIR_DAEMON_NOTIFY_H

/* Sends `state`, such as "READY=1", and never blocks. Does nothing when no service manager asks for it; the loss of a
 * datagram is not worth an error, the manager then times out and says so itself. */
void notify(const char *state);

#endif
