/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the environment tells a program of `weir run`, read once. The program may change its environment afterwards.
 */
#ifndef WEIR_PRELOAD_SETTING_H
#define WEIR_PRELOAD_SETTING_H

#include "preload/hwm_rules.h"
#include "preload/protocol.h"

#include <sys/types.h>
#include <sys/un.h>

struct setting {
    struct sockaddr_un weir; /* where Weir takes requests */
    socklen_t weir_len;
    char token[RUN_TOKEN_BYTES];
    int32_t ports[RUN_PORTS_MOST]; /* named by --port; by --leave: negative */
    unsigned port_count;
    bool ipc;               /* Unix sockets have gates, too */
    struct hwm_rules marks; /* of --hwm */
};

/* NULL: the program does not run under `weir run`. */
const struct setting *setting_get(void);

/* Whether --port names this port, or --leave the negative one. */
bool setting_names(const struct setting *s, int32_t port);

/* Reads the value of RUN_ENV. False: it is not as Weir writes it. */
bool setting_parse(struct setting *ret, const char *text);

#endif
