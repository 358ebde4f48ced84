/* SPDX-License-Identifier: MPL-2.0 */
/* The application's pool of libweir: kinds pool and pool8 of app.c. Without libweir it ends the program. */
#ifndef SURVIVAL_APP_POOL_H
#define SURVIVAL_APP_POOL_H

#include <stddef.h>

/* Serves a ROUTER with `workers` threads (0: as many as cores) that call `work` with the last frame of each message and
 * send the message back, until the program is killed. `counter`: a path, or NULL. */
_Noreturn void pool_serve(void *socket, unsigned workers, void (*work)(const void *bytes, size_t size),
                          const char *counter);

#endif
