/* SPDX-License-Identifier: MPL-2.0 */
/* For tests: a relay whose snapshots are set by the test. */
#ifndef WEIR_ADMIN_FAKE_RELAY_H
#define WEIR_ADMIN_FAKE_RELAY_H

#include "relay/relay.h"

#define FAKE_GATES_MAX 64

struct relay {
    size_t gate_count;
    struct gate_snapshot gates[FAKE_GATES_MAX];
    struct relay_snapshot snapshot;
    struct bans *bans;     /* of fake_relay_begin_bans(); else NULL */
    const char *objection; /* to every ban; NULL: none */
    struct query_ask asked;
    struct query_answer found; /* the result of a query; its rows are copied */
    struct kernel_bans kernel;
    bool out_of_memory; /* a query fails for lack of memory */
};

/* `gates` healthy gates called "gate0", ...; every number is different. */
void fake_relay_init(struct relay *r, size_t gates);

/* Makes an empty ban table, to be freed by bans_free(). */
void fake_relay_begin_bans(struct relay *r);

#endif
