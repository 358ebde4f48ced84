/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides who may use the API: a caller that shows the token.
 *
 * Keeps the token's hash, counts refused callers, and logs them, one line in 10 s. Threads: asked on the admin thread;
 * the main thread changes the token at a reload, under `lock`.
 */
#ifndef WEIR_ADMIN_AUTH_H
#define WEIR_ADMIN_AUTH_H

#include "admin/token.h"
#include "base/addr.h"
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct auth {
    pthread_mutex_t lock;
    bool has_token, next_has_token;
    struct token_hash token, next;
    _Atomic uint64_t unauthorized;
    struct log_limit notice;
};

enum auth_says { AUTH_OPEN, AUTH_OFF /* there is no token */, AUTH_WRONG /* or none was shown */ };

void auth_init(struct auth *d);
void auth_fini(struct auth *d);

/* Reads the token of a file ("": no token) for auth_take(). 0, or -EINVAL with a sentence. Main thread. */
MUST_USE int auth_read(struct auth *d, const char *path, char why[static TOKEN_WHY_MAX]);

/* Puts the token read by auth_read() into force. Main thread. */
void auth_take(struct auth *d);

/* `header`: the value of Authorization, or NULL. */
enum auth_says auth_ask(struct auth *d, const char *header, const struct addr *from, uint64_t now_ns);

#endif
