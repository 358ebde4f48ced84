/* SPDX-License-Identifier: MPL-2.0 */
/* The command line of `weir ctl`: its options, and what they say of whom to ask with which token. */
#ifndef WEIR_CLI_CTL_ARGS_H
#define WEIR_CLI_CTL_ARGS_H

#include "admin/token.h"
#include "base/network.h"
#include "cli/admin_client.h"

#include <stdbool.h>

#define CTL_ADDRESS_DEFAULT "127.0.0.1:9700"
#define CTL_ADDRESS_MAX     (ENDPOINT_TEXT_MAX - 6) /* behind "tcp://" */

/* As they were given; NULL: not. */
struct ctl_args {
    const char *config, *admin, *token_file, *duration, *gate, *network, *limit;
    bool json, history;
};

struct ctl {
    struct ctl_args args;
    struct admin_client client;
    char address[CTL_ADDRESS_MAX + 1];
    char token[TOKEN_TEXT_MAX];
};

/* All return an exit code, and have said why if it is not EXIT_DONE. */

/* Leaves what is no option behind `optind`. */
int ctl_parse(struct ctl_args *a, int argc, char **argv);

/* Fills client, address and token. The token is to be given to token_forget(). */
int ctl_connect(struct ctl *c);

/* `normal`: the shortest form of it. `nor` follows "is no network" in the message. */
int ctl_check_network(const char *text, const char *nor, char normal[static NETWORK_TEXT_MAX]);
int ctl_check_duration(const char *text);
int ctl_check_limit(const char *text);

/* Options that have no meaning for this command; `listing`: it knows --network and --limit. */
int ctl_refuse_options(const struct ctl_args *a, bool duration, bool gate, bool listing, bool history);

/* Says it on standard error; returns EXIT_FAILED. */
int ctl_failed(const char *fmt, ...) PRINTF(1, 2);

#endif
