/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Asks Weir for something, and waits for the answer. By system calls only: it is safe in signal handlers, after fork(),
 * and in several threads at once. errno stays as it was.
 */
#ifndef WEIR_PRELOAD_REQUEST_H
#define WEIR_PRELOAD_REQUEST_H

#include "preload/setting.h"

/* The longest that a program waits for Weir. Its main thread answers within a millisecond, if it gets a processor. */
#define REQUEST_PATIENCE_MS 5000

/* Weir is not there, or did not answer in time. */
#define REQUEST_UNANSWERED (-1)

/* Returns run_reply.error, or REQUEST_UNANSWERED. `fd` is attached (-1: none). *ret_fd gets an attached descriptor, or
 * -1; may be NULL. */
int request_make(const struct setting *s, enum run_request_kind kind, int family, uint32_t number, int fd, int *ret_fd);

/* RUN_OPEN, RUN_HANDOVER. `told`: what libzmq says of the socket; NULL: it is out of reach. */
int request_tell(const struct setting *s, enum run_request_kind kind, int family, uint32_t number, int fd,
                 const struct socket_options *told);

#endif
