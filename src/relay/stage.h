/* SPDX-License-Identifier: MPL-2.0 */
/*
 * For tests: one worker without a thread, one gate, and raw ZMTP peers on both sides, all driven step by step in one
 * thread, in virtual time.
 *
 * System calls and allocations of the relay can be made to fail or to fall short. Not part of the program. Tests that
 * use it link with STAGE_LINK of meson.build (--wrap).
 */
#ifndef WEIR_RELAY_STAGE_H
#define WEIR_RELAY_STAGE_H

#include "base/property.h"
#include "config/config.h"
#include "relay/session.h"
#include "inspect/traffic_drive.h" /* struct stream */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stage {
    struct config *config;
    struct limits *limits; /* of the gate; to be changed before stage_start() */
    struct account account;
    struct bans *bans;
    struct pressure pressure;
    struct policy_board board;
    struct limits *in_force; /* of the gate, after stage_start() */
    struct gate gate;
    struct worker worker;
    struct worker *all[1];
    int app_fd; /* the application's listener; -1: it is down */
    uint64_t rounds;
};

/* A configuration with the defaults, except: messages may take a day, slow readers are tolerated, and nobody is banned.
 * `listen`: an endpoint, or NULL for a Unix socket. */
void stage_init(struct stage *s, const char *listen);
void stage_start(struct stage *s);

/* Ends everything, and fails the test unless every byte and every reference was given back. */
void stage_fini(struct stage *s);

/* Opens or closes the application's listener. */
void stage_app_listen(struct stage *s);
void stage_app_stop(struct stage *s);

/* One round of the worker, without waiting for events. */
void stage_round(struct stage *s);

/* Several rounds: enough for bytes under way to arrive. */
void stage_rounds(struct stage *s, unsigned n);

/* Advances the clock by `ns` in steps of at most 10 ms, with a round after each. */
void stage_sleep(struct stage *s, uint64_t ns);

/* The same in the steps of the worker's own timers. Returns the number of rounds it woke up for. */
unsigned stage_sleep_as_told(struct stage *s, uint64_t ns);

uint64_t stage_now_ns(void);

/* Fails the test unless no session is open and every gauge and count stands at zero. */
void stage_assert_empty(struct stage *s);

uint64_t stage_cell(const struct stage *s, enum metric_cell c);
uint64_t stage_verdict(const struct stage *s, enum verdict v);
struct worker_gate *stage_gate(struct stage *s);

/* ---- faults ---- */

/* While on: reads and writes of the relay fall short or say EAGAIN at random; affected readiness is reported again.
 * NULL: off. */
void stage_disturb(struct property_rng *random);

/* The next `n` writes of messages say ENOBUFS, and as many before them EINTR; no event follows. */
void stage_starve(unsigned n);

/* The n-th allocation (malloc, calloc) in a round from now on fails; 0: none. Returns how many there were since the
 * last call. */
uint64_t stage_fail_allocation(uint64_t n);

/* ---- peers ---- */

/* A client, or the application's end of a connection. */
struct end {
    int fd; /* -1: closed */
    struct stream out, in;
    size_t sent;
    bool over; /* the other side has closed */
};

/* Connects to the gate; from 127.0.0.1, or over TCP from another loopback address (host order). */
void end_connect(struct end *e, struct stage *s, uint32_t from);

/* Accepts a connection for the application, if there is one. */
bool end_accept(struct end *e, struct stage *s);

/* Puts a greeting and a READY of this socket type into `out`. */
void end_greet(struct end *e, const char *socket_type, const char *routing_id);

/* Writes from `out`, and reads to `in`, at most `most` bytes, without waiting. */
void end_write(struct end *e, size_t most);
void end_read(struct end *e, size_t most);
void end_close(struct end *e);

/* Whether the other side's greeting and READY have arrived. */
bool end_is_greeted(const struct end *e);

/* The bytes that came after them, without commands. *ret_pongs counts the PONGs left out, which may stand between
 * messages only. Valid until end_close(). */
struct bytes end_traffic(struct end *e, unsigned *ret_pongs);

/* A client and the application's end of its connection, greeted. The application's other ends must have been
 * accepted. */
void stage_pair(struct stage *s, struct end *client, struct end *app, const char *client_type, const char *app_type);

/* The same; `from` as in end_connect(). */
void stage_pair_by_address(struct stage *s, struct end *client, struct end *app, const char *client_type,
                           const char *app_type, uint32_t from);

#endif
