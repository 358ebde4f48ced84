/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides who may use the API: a caller that shows the token.
 *
 * Keeps the token's hash, counts refused callers, and logs them, one line in 10 s. Threads: asked on the admin thread;
 * the main thread changes the token at a reload, under `lock`.
 */
#ifndef WEIR_ADMIN_DOOR_H
#define WEIR_ADMIN_DOOR_H

#include "admin/token.h"
#include "base/addr.h"
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct door {
    pthread_mutex_t lock;
    bool has_token, next_has_token;
    struct token_hash token, next;
    _Atomic uint64_t unauthorized;
    struct log_limit notice;
};

enum door_says { DOOR_OPEN, DOOR_OFF /* there is no token */, DOOR_WRONG /* or none was shown */ };

void door_init(struct door *d);
void door_fini(struct door *d);

/* Reads the token of a file ("": no token) for door_take(). 0, or -EINVAL with a sentence. Main thread. */
MUST_USE int door_read(struct door *d, const char *path, char why[static TOKEN_WHY_MAX]);

/* Puts the token read by door_read() into force. Main thread. */
void door_take(struct door *d);

/* `header`: the value of Authorization, or NULL. */
enum door_says door_ask(struct door *d, const char *header, const struct addr *from, uint64_t now_ns);

#endif
