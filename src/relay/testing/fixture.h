/* SPDX-License-Identifier: MPL-2.0 */
/*
 * For tests: one worker without a thread, one gate, and raw ZMTP peers on both sides, all driven step by step in one
 * thread, in virtual time.
 *
 * System calls and allocations of the relay can be made to fail or to fall short. Not part of the program. Tests that
 * use it depend on `fixture` of meson.build (--wrap).
 */
#ifndef WEIR_RELAY_TESTING_FIXTURE_H
#define WEIR_RELAY_TESTING_FIXTURE_H

#include "base/property.h"
#include "config/config.h"
#include "inspect/traffic_drive.h" /* struct stream */
#include "relay/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fixture {
    struct config *config;
    struct limits *limits; /* of the gate; to be changed before fixture_start() */
    struct account account;
    struct bans *bans;
    struct pressure pressure;
    struct policy_publisher publisher;
    struct limits *in_force; /* of the gate, after fixture_start() */
    struct gate gate;
    struct worker worker;
    struct worker *all[1];
    int app_fd; /* the application's listener; -1: it is down */
    uint64_t rounds;
};

/* A configuration with the defaults, except: messages may take a day, slow readers are tolerated, and nobody is banned.
 * `listen`: an endpoint, or NULL for a Unix socket. */
void fixture_init(struct fixture *s, const char *listen);
void fixture_start(struct fixture *s);

/* Ends everything, and fails the test unless every byte and every reference was given back. */
void fixture_fini(struct fixture *s);

/* Opens or closes the application's listener. */
void fixture_app_listen(struct fixture *s);
void fixture_app_stop(struct fixture *s);

/* One round of the worker, without waiting for events. */
void fixture_round(struct fixture *s);

/* Several rounds: enough for bytes under way to arrive. */
void fixture_rounds(struct fixture *s, unsigned n);

/* Advances the clock by `ns` in steps of at most 10 ms, with a round after each. */
void fixture_sleep(struct fixture *s, uint64_t ns);

/* The same in the steps of the worker's own timers. Returns the number of rounds it woke up for. */
unsigned fixture_sleep_as_told(struct fixture *s, uint64_t ns);

uint64_t fixture_now_ns(void);

/* Fails the test unless no session is open and every gauge and count stands at zero. */
void fixture_assert_empty(struct fixture *s);

uint64_t fixture_cell(const struct fixture *s, enum metric_cell c);
uint64_t fixture_verdict(const struct fixture *s, enum verdict v);
struct worker_gate *fixture_gate(struct fixture *s);

/* Of the open sessions, the one that was accepted first. There must be one. */
struct session *fixture_session(struct fixture *s);

/* ---- faults ---- */

/* While on: reads and writes of the relay fall short or say EAGAIN at random; affected readiness is reported again.
 * NULL: off. */
void fixture_disturb(struct property_rng *random);

/* The next `n` writes of messages say ENOBUFS, and as many before them EINTR; no event follows. */
void fixture_starve(unsigned n);

/* The n-th allocation (malloc, calloc) in a round from now on fails; 0: none. Returns how many there were since the
 * last call. */
uint64_t fixture_fail_allocation(uint64_t n);

/* ---- peers ---- */

/* A client, or the application's end of a connection. */
struct end {
    int fd; /* -1: closed */
    struct stream out, in;
    size_t sent;
    bool over; /* the other side has closed */
};

/* Connects to the gate; from 127.0.0.1, or over TCP from another loopback address (host order). */
void end_connect(struct end *e, struct fixture *s, uint32_t from);

/* Accepts a connection for the application, if there is one. */
bool end_accept(struct end *e, struct fixture *s);

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
void fixture_pair(struct fixture *s, struct end *client, struct end *app, const char *client_type,
                  const char *app_type);

/* The same; `from` as in end_connect(). */
void fixture_pair_by_address(struct fixture *s, struct end *client, struct end *app, const char *client_type,
                             const char *app_type, uint32_t from);

/* A pair of a DEALER and a ROUTER whose client has been served nothing yet. The second closes both, and ends the
 * fixture. */
struct fixture_duo {
    struct fixture fixture;
    struct end client, app;
    struct session *session;
};

void fixture_duo_init(struct fixture_duo *d);
void fixture_duo_fini(struct fixture_duo *d);

#endif
