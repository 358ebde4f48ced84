/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Orders to the main thread from another one, which waits for what comes of it: so far, to reload. An order raises
 * SIGHUP, so that it meets the main thread where it waits, and several at once become one reload. Whoever waits does so
 * for a bounded time, and no longer once the daemon ends.
 */
#ifndef WEIR_DAEMON_ORDERS_H
#define WEIR_DAEMON_ORDERS_H

#include "admin/calls.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Looking up names in the file may take as long. */
#define ORDERS_PATIENCE_S 10

struct orders {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    uint64_t asked, served; /* orders, by number */
    bool done;              /* what came of the last that was served, and what was said */
    char *said;
};

void orders_init(struct orders *o);
void orders_fini(struct orders *o);

/* An admin_calls.reload: `orders` is the struct orders. The admin thread. */
enum admin_reloaded orders_reload(void *orders, char **ret_said);

/* The number of the latest order: whatever is read from now on is what it asks for. Main thread. */
uint64_t orders_begin(struct orders *o);

/* Answers it and all before it. Takes over `said` (may be NULL). Main thread. */
void orders_end(struct orders *o, uint64_t number, bool done, char *said);

/* None is carried out any more. Main thread. */
void orders_close(struct orders *o);

#endif
