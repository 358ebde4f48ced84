/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Holds what was learned of a gate's application: its greeting, its socket type, and what follows from the type for the
 * gate's request limiter.
 *
 * This is the only place for these facts. Everything a handshake shows is learned here, and all of it is forgotten here
 * when the application turns out to be another.
 *
 * Threads: any worker. A few atomic words in struct gate; nothing is allocated.
 */
#ifndef WEIR_RELAY_APP_FACTS_H
#define WEIR_RELAY_APP_FACTS_H

#include "inspect/handshake.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A socket type that is not configured is believed for this long after the application has shown it, and only while a
 * connection to it stands. Otherwise a client that does not fit is let through to the application, whose own READY then
 * decides: the application may have come back as another. */
#define APP_FACTS_TYPE_NS NS_PER_S

struct gate_limiter;

struct app_facts {
    struct gate_limiter *limiter;
    enum socket_type configured;   /* AUTO: to be learned */
    _Atomic uint64_t told;         /* the greeting that libzmq has told of, packed; 0: none */
    _Atomic uint64_t greeting;     /* packed; 0: not known */
    _Atomic uint32_t socket;       /* enum socket_type: configured, or seen last */
    _Atomic uint64_t socket_at_ns; /* when it was seen */
    _Atomic uint32_t shapes;       /* the type last reported to the limiter */
};

void app_facts_init(struct app_facts *f, enum socket_type configured, struct gate_limiter *limiter);

/* libzmq has told this of the socket (told.h): `configured` takes the place of the type. `greeting`, which may be NULL,
 * holds without any connection, until the application shows another one. While no worker runs, or all are parked. */
void app_facts_tell(struct app_facts *f, enum socket_type configured, const struct handshake_app *greeting);

/* Whether its greeting was told: it need not be learned. */
static inline bool app_facts_told(const struct app_facts *f)
{
    return atomic_load_explicit(&f->told, memory_order_relaxed) != 0;
}

/* A connection has shown this: its greeting and, unless `socket` is AUTO, its READY. An `initiator` of UNKNOWN adds
 * nothing, unless the greeting differs. */
void app_facts_learn(struct app_facts *f, const struct handshake_app *app, uint64_t now_ns);

/* Forgets the initiator, which has to be seen again: it is no part of the greeting. */
void app_facts_forget_initiator(struct app_facts *f);

/* The application is another than before: everything learned is forgotten. */
void app_facts_forget(struct app_facts *f, uint64_t now_ns);

/* Its greeting; false: not known. ret->socket is the type that clients may be judged by beforehand, or AUTO. `stands`:
 * a connection to the application stands. */
bool app_facts_get(const struct app_facts *f, struct handshake_app *ret, bool stands, uint64_t now_ns);

/* The greeting that a connection has shown, whatever was told; false: none has. ret->socket is AUTO. */
bool app_facts_shown(const struct app_facts *f, struct handshake_app *ret);

/* Its socket type: the configured one, or the last one seen. */
static inline enum socket_type app_facts_socket(const struct app_facts *f)
{
    return (enum socket_type)atomic_load_explicit(&f->socket, memory_order_relaxed);
}

#endif
