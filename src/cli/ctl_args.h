/* SPDX-License-Identifier: MPL-2.0 */
/* The command line of `weir ctl`: its options, and the address and token that follow from them. */
#ifndef WEIR_CLI_CTL_ARGS_H
#define WEIR_CLI_CTL_ARGS_H

#include "admin/token.h"
#include "base/network.h"
#include "cli/admin_client.h"

#include <stdbool.h>

#define CTL_ADDRESS_DEFAULT "127.0.0.1:9700"
#define CTL_ADDRESS_MAX     (ENDPOINT_TEXT_MAX - 6) /* behind "tcp://" */

/* As given; NULL: not given. */
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

/* All return an exit code, and have printed the reason if it is not EXIT_DONE. */

/* Leaves the arguments that are no options behind `optind`. */
int ctl_parse(struct ctl_args *a, int argc, char **argv);

/* Fills client, address and token. The caller passes the token to token_forget() afterwards. */
int ctl_connect(struct ctl *c);

/* The address alone, for the subcommand of that name. */
int ctl_find_server(struct ctl *c, const char *command);

/* `normal`: the network in its shortest form. `nor` follows "is no network" in the message. */
int ctl_check_network(const char *text, const char *nor, char normal[static NETWORK_TEXT_MAX]);
int ctl_check_duration(const char *text);
int ctl_check_limit(const char *text);

/* Refuses options that have no meaning for this command; `listing`: it knows --network and --limit. */
int ctl_refuse_options(const struct ctl_args *a, bool duration, bool gate, bool listing, bool history);

/* Prints the message to standard error; the second for another subcommand. Return EXIT_FAILED. */
int ctl_failed(const char *fmt, ...) PRINTF(1, 2);
int ctl_failed_for(const char *command, const char *fmt, ...) PRINTF(2, 3);

#endif
