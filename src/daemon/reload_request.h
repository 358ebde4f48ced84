/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Orders of another thread to the main thread; the other thread waits for the result. The only order is to reload.
 *
 * An order raises SIGHUP, so that it reaches the main thread where that waits, and several at once become one reload.
 * The wait is bounded, and ends when the daemon ends.
 */
#ifndef WEIR_DAEMON_RELOAD_REQUEST_H
#define WEIR_DAEMON_RELOAD_REQUEST_H

#include "admin/callbacks.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Looking up names in the file may take that long. */
#define RELOAD_REQUEST_PATIENCE_S 10

struct reload_request {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    uint64_t asked, served; /* orders, by number */
    bool done;              /* the result of the last served order, and its log text */
    char *said;
};

void reload_request_init(struct reload_request *o);
void reload_request_fini(struct reload_request *o);

/* An admin_callbacks.reload: `orders` is the struct reload_request. The admin thread. */
enum admin_reloaded reload_request_make(void *orders, char **ret_said);

/* The number of the latest order: anything read from now on satisfies it. Main thread. */
uint64_t reload_request_begin(struct reload_request *o);

/* Answers this order and all before it. Takes over `said` (may be NULL). Main thread. */
void reload_request_end(struct reload_request *o, uint64_t number, bool done, char *said);

/* No further order is carried out. Main thread. */
void reload_request_close(struct reload_request *o);

#endif
