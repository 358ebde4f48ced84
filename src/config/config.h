/* SPDX-License-Identifier: MPL-2.0 */
/*
 * One immutable snapshot of the configuration. config_load() or config_from_args() build it. Then it is only read, from
 * any thread, until config_free(). Everything in it was checked against the schema table (config/schema.h), so its
 * users check nothing.
 */
#ifndef WEIR_CONFIG_CONFIG_H
#define WEIR_CONFIG_CONFIG_H

#include "base/addr.h"
#include "base/attr.h"
#include "base/log.h"
#include "flow/breaker.h"
#include "limits/classes.h"
#include "limits/gcra.h"
#include "limits/limits.h"
#include "zmtp/socket_type.h" /* the names: socket_type_name() */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CONFIG_GATES_MAX 64
#define CONFIG_NAME_MAX  32
#define CONFIG_PATH_MAX  256
#define CONFIG_TEXT_MAX  256

/* What newcomers meet while the circuit breaker is open. */
enum breaker_meets { BREAKER_MEETS_PAUSE, BREAKER_MEETS_REFUSE };

/* The address from which Weir connects to the application. */
enum upstream_source { UPSTREAM_SOURCE_WEIR, UPSTREAM_SOURCE_CLIENT };

struct config_network {
    struct network network;
    uint32_t line, column; /* in the file */
};

struct config_networks {
    struct config_network *at;
    size_t count;
};

/* Absolute paths. */
struct config_path {
    char path[CONFIG_PATH_MAX];
    uint32_t line, column; /* in the file */
};

struct config_paths {
    struct config_path *at;
    size_t count;
};

/* The networks of all files of ban.lists, each once, in the order of network_compare(). */
#define BAN_LISTS_MOST 50000u

struct ban_lists {
    struct network *at;
    size_t count;
};

/* A class as it is written. */
struct config_class {
    char name[CONFIG_NAME_MAX + 1];
    uint32_t weight, priority;
    struct config_networks networks;
    uint32_t line, column; /* of its name */
};

struct config_classes {
    struct config_class *at;
    size_t count;
};

struct config_gate {
    char name[CONFIG_NAME_MAX + 1]; /* [A-Za-z0-9_-]{1,32}, unique */
    char listen_text[ENDPOINT_TEXT_MAX];
    char forward_text[ENDPOINT_TEXT_MAX];
    struct endpoint listen;
    struct endpoint forward;
    enum upstream_source upstream_source;
    char counter[CONFIG_PATH_MAX]; /* where the application's counter connects; absolute; "": none */
    enum socket_type socket;       /* what the application binds; AUTO: learned from its first handshake */
    bool zmtp2;                    /* accept ZMTP 2.0 clients */
    struct limits limits;
    uint32_t enforce; /* of the rules that have none of their own; limits.enforce has the result */
    struct breaker_params breaker;
    char shed_reply[CONFIG_TEXT_MAX];  /* the answer to a request that is shed */
    uint64_t breaker_stall_ns;         /* 0: never */
    enum breaker_meets breaker_open;   /* what newcomers meet */
    struct config_networks ban_exempt; /* as limits.ban.exempt has them */
    struct config_networks proxy_protocol_from;
    struct networks balancers;     /* the same networks: connections from them begin with a PROXY protocol header */
    struct networks kernel_spares; /* these and ban_exempt: bans in the kernel let them through */
    enum ban_kernel ban_kernel;
    char ban_interface[CONFIG_NAME_MAX + 1]; /* "": none */
    struct config_classes classes;
    struct classes *class_table; /* made of `classes`; NULL: there are none */
    uint64_t given[2];           /* bits of the keys that the file has (config_gate_gives()) */
};

struct config_admin {
    bool enabled;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    char text[ENDPOINT_TEXT_MAX];     /* "127.0.0.1:9700" */
    char token_file[CONFIG_PATH_MAX]; /* absolute; "": none, and no API */
};

struct config {
    struct config_admin admin;
    uint32_t workers; /* 0: one per core */
    uint64_t memory_bytes;
    uint64_t sources; /* entries of the source table */
    uint64_t drain_ns;
    char state_file[CONFIG_PATH_MAX];      /* absolute; "": none */
    char enforce_key[CONFIG_NAME_MAX + 1]; /* "": none */
    char kernel_table[CONFIG_NAME_MAX + 1];
    enum log_level log_level;
    struct {
        char file[CONFIG_PATH_MAX]; /* absolute; "": none */
        struct rate rate;           /* lines of one kind and verdict */
        struct rate source_rate;    /* the same of one source */
    } events;
    struct config_paths ban_list_files;
    struct ban_lists ban_lists; /* the networks in those files */
    bool patterns; /* weir run: the gates are patterns for those that are opened at run time; none is open at the start
                    */
    size_t gate_count;
    struct config_gate *gates;
};

/* Reads and checks a YAML file, and the files of ban.lists. Returns the snapshot, or NULL after writing EVERY mistake
 * found to `errors`, one a line, as "FILE:LINE:COLUMN: message (value seen, range allowed)". Warnings go there too and
 * do not fail. May block (names are looked up). */
MUST_USE struct config *config_load(const char *path, FILE *errors);

/* The same. ret[], which has room for CONFIG_PLACES, gets the places of each gate's keys in the file, and last those of
 * the top level (config/checks.h has the struct). */
#define CONFIG_PLACES (CONFIG_GATES_MAX + 1)
struct section_given;
MUST_USE struct config *config_load_placed(const char *path, FILE *errors, struct section_given *ret);

/* The same for `weir run`: the gates are patterns, and need no `listen` and no `forward`. NULL as `path`: one pattern
 * with the defaults for everything. */
MUST_USE struct config *config_load_patterns(const char *path, FILE *errors);

/* The same, with places as config_load_placed() gives them. */
MUST_USE struct config *config_load_patterns_placed(const char *path, FILE *errors, struct section_given *ret);

/* The same from text that is called `name` in messages. */
MUST_USE struct config *config_read_patterns(const char *text, const char *name, FILE *errors);

/* Makes one gate between these endpoints of the pattern that fits; the other patterns go. 0, or -EINVAL after a line to
 * `errors`; then `c` may only be freed. */
MUST_USE int config_make_gate(struct config *c, const char *listen, const char *forward, FILE *errors);

/* The pattern for a gate on this TCP port or this path: the one that listens there, else the one with a wildcard port,
 * else NULL. */
const struct config_gate *config_pattern_for(const struct config *c, const struct endpoint *listen);

/* Whether the file has this key of the gate; if not, it has its default. */
bool config_gate_gives(const struct config_gate *g, const char *path);

/* Reads the admin section alone. Mistakes elsewhere do not matter, so that whoever asks a running Weir to read the file
 * reaches it. -EINVAL, with all mistakes written to `errors`: the section itself cannot be read. */
MUST_USE int config_load_admin(const char *path, struct config_admin *ret, FILE *errors);

/* Makes the snapshot of `--listen URL --forward URL` alone, with defaults for the rest; the gate is called "main". NULL
 * after a line to `errors`. */
MUST_USE struct config *config_from_args(const char *listen, const char *forward, FILE *errors);

/* Overrides admin.listen ("ADDR:PORT", "[V6]:PORT"). Returns 0 or -EINVAL after a line to `errors`. */
MUST_USE int config_set_admin(struct config *c, const char *text, FILE *errors);

/* Frees what a gate owns, but not the gate. */
void config_gate_fini(struct config_gate *g);

/* Accepts NULL. */
void config_free(struct config *c);

#endif
