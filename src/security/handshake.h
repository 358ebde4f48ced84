/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The handshake of one client connection, both sides of it, as a step machine over bytes: bytes of the client and of
 * the application go in, bytes for either come out, and three questions are answered: is the client worth a connection
 * to the application, is the handshake done, must the client go. Greetings, NULL, PLAIN, CURVE passing through,
 * ZMTP 2.0. No descriptor, no clock.
 *
 * Weir answers the client's greeting with what it knows of the application (struct handshake_app), in steps, as libzmq
 * does: the signature at once, the version when the application's is known, the rest when the client's whole greeting
 * is there. If nothing is known, the client's greeting goes on to the application in the same steps, and what that
 * answers is known. Handshake commands pass one by one, each checked; the client's metadata is rewritten: reserved
 * properties are stripped, Weir's own come first.
 *
 * Memory: the struct, and buffers from the worker's pool: at most max_bytes (rounded up to a class) of client bytes,
 * the same and 512 more for the application, and HANDSHAKE_APP_MAX each way of the application's, with one read more of
 * what follows its handshake. Owned by one session of one worker; freed by handshake_fini(). When full: too many client
 * bytes are refused (handshake_too_large), too many of the application's before its handshake is done are
 * application_protocol, a pool that refuses is no_memory.
 */
#ifndef WEIR_SECURITY_HANDSHAKE_H
#define WEIR_SECURITY_HANDSHAKE_H

#include "base/addr.h"
#include "base/attr.h"
#include "base/bufpool.h"
#include "base/cursor.h"
#include "policy/classes.h"
#include "policy/verdict.h"
#include "zmtp/greeting.h"
#include "zmtp/socket_type.h"

#include <stdbool.h>
#include <stdint.h>

#define HANDSHAKE_APP_MAX 65536u

/* Who says HELLO in PLAIN and CURVE, and then is the mechanism's client, whoever of both connects. */
enum initiator { INITIATOR_UNKNOWN, INITIATOR_CLIENT, INITIATOR_APP };

/* What Weir has learned of the application. */
struct handshake_app {
    enum zmtp_mechanism mechanism;
    uint8_t major; /* 3; 2 for ZMTP 2.0 */
    uint8_t minor;
    bool as_server;
    enum initiator initiator;
    enum socket_type socket; /* AUTO: not known; clients are judged by what its READY says */
};

/* A queue of bytes in one buffer: [start, len) waits. */
struct handshake_bytes {
    uint8_t *data;
    uint32_t start, len, cap;
};

struct handshake {
    struct bufpool *pool;
    uint32_t max_bytes;
    bool allow_zmtp2;
    bool app_known;
    struct handshake_app app;
    char peer[ADDR_TEXT_MAX];            /* the value of X-Weir-Peer */
    char class_name[CLASS_NAME_MAX + 1]; /* of X-Weir-Class; "": there are no classes, and no such property */

    struct handshake_bytes from_client, from_app, to_client, to_app;
    uint32_t client_bytes; /* all that the client has sent so far */

    /* progress */
    bool client_greeted, app_greeted;
    bool told_version, answered;  /* the client has the version that it meets; our whole greeting */
    bool asks;                    /* this connection's own greeting tells what the application is */
    bool client_ready, app_ready; /* NULL: READY passed; ZMTP 2.0: identity passed */
    uint8_t step;                 /* PLAIN, CURVE: the next of HELLO, WELCOME, INITIATE, READY */
    uint8_t initiator;            /* PLAIN, CURVE: enum initiator */
    bool app_says_hello;          /* so did the client */
    bool app_open;                /* handshake_app_connected() was called */
    uint8_t app_greeting_left;    /* bytes of our greeting to the application not written yet */
    bool goes_on;                 /* handshake_hold_no_more() was called */
    bool owes_greeting;           /* it has had the beginning of the client's only */

    /* results */
    struct zmtp_greeting client;
    enum socket_type client_socket, app_socket; /* AUTO where the mechanism hides it (CURVE) */
    bool named;                                 /* the client has told its routing id, if it has one */
    uint8_t routing_id_len;
    uint8_t routing_id[255];
    bool wants_app;       /* the client is worth a connection to the application */
    enum verdict verdict; /* not PASS: close, after what waits in to_client was offered to the client */
};

/* `peer` and `class_name` (may be NULL) are copied. The signature waits in to_client at once.
 * False when the pool refuses. */
MUST_USE bool handshake_init(struct handshake *h, struct bufpool *pool, uint32_t max_bytes, bool allow_zmtp2,
                             const char *peer, const char *class_name);
void handshake_fini(struct handshake *h);

/* Tells what is known of the application, so that the client's greeting can be answered. Ignored once that is known, or
 * asked by this connection. */
void handshake_set_app(struct handshake *h, const struct handshake_app *app);

/* The other way to learn it: as soon as the client has said its version, its own connection is used to ask. Whether it
 * has said so, and nothing is known. */
bool handshake_may_ask(const struct handshake *h);

/* Asks: the client wants the application now. What it has said of its greeting is passed on as soon as that is there,
 * and what the application's answer tells is in h->app (app_known) from then on. `socket`: the type that is configured,
 * or AUTO. */
void handshake_ask(struct handshake *h, enum socket_type socket);

/* Not any more: somebody else has learned it before a connection was there. */
void handshake_ask_no_more(struct handshake *h);

/* Whether the client is waited for to say HELLO only because the application was seen to wait for it before; if that is
 * not believed any more, the application is wanted now. */
bool handshake_trusts_initiator(const struct handshake *h);
void handshake_doubt_initiator(struct handshake *h);

/* Whether the client's READY waits for the application's, which tells its type: libzmq closes a connection that does
 * not fit without a word, and often before its own READY has left. Not longer than an application that says it unasked
 * takes; handshake_hold_no_more() passes it on. */
bool handshake_holds_ready(const struct handshake *h);
void handshake_hold_no_more(struct handshake *h);

/* Whether nothing but the client's own words is missing. If not, the handshake waits for the application. */
bool handshake_is_clients_turn(const struct handshake *h);

/* Whether both sides speak ZMTP 2.0, because one of them does. */
static inline bool handshake_is_zmtp2(const struct handshake *h)
{
    return h->client.major == 2 || (h->app_known && h->app.major == 2);
}

/* How many bytes may be read from the client now: 0 while it has to wait (for the application, or because all is done).
 */
uint32_t handshake_client_room(const struct handshake *h);

/* The same of the application: 0 once its side of the handshake is done. What it says behind that is traffic, however
 * much it is, and stays in the kernel but for what one read brings along. */
uint32_t handshake_app_room(const struct handshake *h);

/* Bytes from the client (at most handshake_client_room()), and from the application (at most handshake_app_room()).
 * Look at wants_app, verdict and handshake_done() afterwards. */
void handshake_client_input(struct handshake *h, const uint8_t *data, size_t len);
void handshake_app_input(struct handshake *h, const uint8_t *data, size_t len);

/* The connection to the application stands (only after wants_app): its greeting waits in to_app. */
void handshake_app_connected(struct handshake *h);

/* What may be written now; after writing n bytes of it, handshake_sent_*(h, n). */
struct bytes handshake_to_client(const struct handshake *h);
struct bytes handshake_to_app(const struct handshake *h);
void handshake_sent_client(struct handshake *h, size_t n);
void handshake_sent_app(struct handshake *h, size_t n);

/* Both sides are through, and everything for them was written. What is left in from_client and from_app is ordinary
 * traffic. */
bool handshake_done(const struct handshake *h);

/* Whether the client has said nothing that only a ZMTP peer would say (for the choice of verdict when it leaves early).
 */
bool handshake_is_silent(const struct handshake *h);

/* How far the client's own words have got before the mechanism: nothing, the signature, the greeting. No more often
 * than that does it go up, however many pieces they come in. */
unsigned handshake_client_steps(const struct handshake *h);

/* Who initiates, as far as the application has shown it in this handshake. */
enum initiator handshake_shown_initiator(const struct handshake *h);

/* Bytes that came behind the handshake. Valid until handshake_fini(). */
struct bytes handshake_rest_of_client(const struct handshake *h);
struct bytes handshake_rest_of_app(const struct handshake *h);

#endif
