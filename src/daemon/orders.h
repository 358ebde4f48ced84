/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Orders of another thread to the main thread; the other thread waits for the result. The only order is to reload.
 *
 * An order raises SIGHUP, so that it reaches the main thread where that waits, and several at once become one reload.
 * The wait is bounded, and ends when the daemon ends.
 */
#ifndef WEIR_DAEMON_ORDERS_H
#define WEIR_DAEMON_ORDERS_H

#include "admin/calls.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Looking up names in the file may take that long. */
#define ORDERS_PATIENCE_S 10

struct orders {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    uint64_t asked, served; /* orders, by number */
    bool done;              /* the result of the last served order, and its log text */
    char *said;
};

void orders_init(struct orders *o);
void orders_fini(struct orders *o);

/* An admin_calls.reload: `orders` is the struct orders. The admin thread. */
enum admin_reloaded orders_reload(void *orders, char **ret_said);

/* The number of the latest order: anything read from now on satisfies it. Main thread. */
uint64_t orders_begin(struct orders *o);

/* Answers this order and all before it. Takes over `said` (may be NULL). Main thread. */
void orders_end(struct orders *o, uint64_t number, bool done, char *said);

/* No further order is carried out. Main thread. */
void orders_close(struct orders *o);

#endif
