/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Judges the handshake of one client connection, both sides of it, as a step machine over bytes. Bytes of the client
 * and of the application go in, bytes for either come out, and three questions are answered: is the client worth a
 * connection to the application, is the handshake done, must the client go. Greetings, NULL, PLAIN, CURVE passing
 * through, ZMTP 2.0. No descriptor, no clock.
 *
 * Each side has states of its own. A verdict other than PASS ends both.
 *
 *   Client's state        Left when                                                              Sets
 *   greeting              its greeting is whole, and the application is known, or the client     client_greeted
 *                         speaks ZMTP 2.0
 *   commands              the last command has passed (NULL: its READY; ZMTP 2.0: its identity)  client_ready
 *   ready                 -
 *
 *   Application's state   Left when                                                              Sets
 *   absent                handshake_app_connected() is called, after wants_app                   app_open
 *   greeting              its greeting is whole, and is what the client was told                 app_greeted
 *   commands              the last command has passed (NULL: its READY; ZMTP 2.0: its identity)  app_ready
 *   ready                 -
 *
 * In PLAIN and CURVE `step` orders the commands of both (mechanism.h). The handshake is done when both are ready and
 * everything for them was written.
 *
 * Weir answers the client's greeting with what it knows of the application (struct handshake_app), in steps, as libzmq
 * does: the signature at once, the version when the application's is known, the rest when the client's whole greeting
 * is there. If nothing is known, the client's greeting goes on to the application in the same steps, and the answer to
 * it makes the application known. Handshake commands pass one by one, each checked. The client's metadata is rewritten:
 * reserved properties are stripped, and Weir's own come first.
 *
 * Memory: the struct, and buffers from the worker's pool:
 *   - of the client's bytes at most max_bytes (rounded up to a class);
 *   - for the application the same and 512 more;
 *   - for the client the application's commands, of at most HANDSHAKE_APP_MAX each;
 *   - of the application's bytes at most 2 * HANDSHAKE_APP_MAX, and one read more.
 *
 * When full: too many client bytes are refused (handshake_too_large). Too many bytes of the application before its
 * handshake is done are application_protocol. A pool that refuses is no_memory.
 *
 * Owned by one session of one worker, without a lock; freed by handshake_fini().
 */
#ifndef WEIR_INSPECT_HANDSHAKE_H
#define WEIR_INSPECT_HANDSHAKE_H

#include "base/addr.h"
#include "base/attr.h"
#include "base/bufpool.h"
#include "base/cursor.h"
#include "inspect/handshake_bytes.h"
#include "limits/classes.h"
#include "limits/verdict.h"
#include "zmtp/greeting.h"
#include "zmtp/socket_type.h"

#include <stdbool.h>
#include <stdint.h>

#define HANDSHAKE_APP_MAX 65536u

/* The side that says HELLO in PLAIN and CURVE, and so is the mechanism's client, whichever side connects. */
enum initiator { INITIATOR_UNKNOWN, INITIATOR_CLIENT, INITIATOR_APP };

/* What Weir has learned of the application. */
struct handshake_app {
    enum zmtp_mechanism mechanism;
    uint8_t major; /* 3; 2 for ZMTP 2.0 */
    uint8_t minor;
    bool as_server;
    enum initiator initiator;
    enum socket_type socket; /* AUTO: not known; its READY then tells which clients fit */
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
    bool told_version, answered;  /* the client was sent the version that it meets; our whole greeting */
    bool asks;                    /* this connection's own greeting tells what the application is */
    bool client_ready, app_ready; /* NULL: READY passed; ZMTP 2.0: identity passed; PLAIN, CURVE: all steps */
    uint8_t step;                 /* PLAIN, CURVE: the next of HELLO, WELCOME, INITIATE, READY */
    uint8_t initiator;            /* PLAIN, CURVE: enum initiator */
    bool app_says_hello;          /* it said HELLO, and so did the client */
    bool app_open;                /* handshake_app_connected() was called */
    uint8_t app_greeting_left;    /* bytes of our greeting to the application not written yet */
    bool goes_on;                 /* handshake_hold_no_more() was called */
    bool owes_greeting;           /* the application was sent the beginning of the client's only */

    /* results */
    struct zmtp_greeting client;
    enum socket_type client_socket, app_socket; /* AUTO where the mechanism hides it (CURVE) */
    bool named;                                 /* the client has told its routing id, if it has one */
    uint8_t routing_id_len;
    uint8_t routing_id[255];
    bool wants_app;       /* the client is worth a connection to the application */
    enum verdict verdict; /* not PASS: close, after what waits in to_client was offered to the client */
};

/* Copies `peer` and `class_name` (may be NULL). The signature waits in to_client at once. Returns false when the pool
 * refuses. */
MUST_USE bool handshake_init(struct handshake *h, struct bufpool *pool, uint32_t max_bytes, bool allow_zmtp2,
                             const char *peer, const char *class_name);
void handshake_fini(struct handshake *h);

/* Tells what is known of the application, so that the client's greeting can be answered. Ignored once that is known, or
 * when this connection asks. */
void handshake_set_app(struct handshake *h, const struct handshake_app *app);

/* Whether this connection may ask the application, which is the other way to learn what it is. It may as soon as the
 * client has said its version, while nothing is known. */
bool handshake_may_ask(const struct handshake *h);

/* Asks: the client wants the application now. Each part of the client's greeting is passed on as soon as it is there.
 * From the application's answer on, h->app has what it tells (app_known). `socket`: the type that is configured, or
 * AUTO. */
void handshake_ask(struct handshake *h, enum socket_type socket);

/* Stops asking: another connection has learned it before this one had a connection to the application. */
void handshake_ask_no_more(struct handshake *h);

/* Whether Weir waits for the client's HELLO only because the application was seen to wait for it before. If that is
 * doubted, the application is wanted now. */
bool handshake_trusts_initiator(const struct handshake *h);
void handshake_doubt_initiator(struct handshake *h);

/* Whether the client's READY waits for the application's, which tells its type. libzmq closes a connection that does
 * not fit without a word, and often before its own READY has left. The READY waits no longer than an application takes
 * that says its own unasked; handshake_hold_no_more() passes it on. */
bool handshake_holds_ready(const struct handshake *h);
void handshake_hold_no_more(struct handshake *h);

/* Whether only bytes of the client are missing. If not, the handshake waits for the application. */
bool handshake_is_clients_turn(const struct handshake *h);

/* Whether both sides speak ZMTP 2.0, because one of them does. */
static inline bool handshake_is_zmtp2(const struct handshake *h)
{
    return h->client.major == 2 || (h->app_known && h->app.major == 2);
}

/* The first verdict counts. For the parts of the machine (handshake_greetings.h, handshake_commands.h). */
static inline void handshake_refuse(struct handshake *h, enum verdict v)
{
    if (h->verdict == VERDICT_PASS)
        h->verdict = v;
}

/* How many bytes may be read from the client now: 0 while it has to wait (for the application, or because all is
 * done). */
uint32_t handshake_client_room(const struct handshake *h);

/* The same for the application: 0 once its side of the handshake is done. Its bytes behind that are traffic. They stay
 * in the kernel, however many they are, but for those that one read brings along. */
uint32_t handshake_app_room(const struct handshake *h);

/* Takes bytes from the client (at most handshake_client_room()), or from the application (at most
 * handshake_app_room()). Look at wants_app, verdict and handshake_done() afterwards. */
void handshake_client_input(struct handshake *h, const uint8_t *data, size_t len);
void handshake_app_input(struct handshake *h, const uint8_t *data, size_t len);

/* The connection to the application stands (only after wants_app): the greeting for it waits in to_app. */
void handshake_app_connected(struct handshake *h);

/* The bytes that may be written now. After writing n bytes of them, call handshake_sent_*(h, n). */
struct bytes handshake_to_client(const struct handshake *h);
struct bytes handshake_to_app(const struct handshake *h);
void handshake_sent_client(struct handshake *h, size_t n);
void handshake_sent_app(struct handshake *h, size_t n);

/* Whether both sides are ready, and everything for them was written. Bytes left in from_client and from_app are
 * ordinary traffic. */
bool handshake_done(const struct handshake *h);

/* Whether the client has sent less than the signature of a ZMTP peer (for the choice of verdict when it leaves
 * early). */
bool handshake_is_silent(const struct handshake *h);

/* How far the client has got before the mechanism: 0: nothing, 1: the signature, 2: the greeting. It goes up no more
 * often than that, in however many pieces the bytes come. */
unsigned handshake_client_steps(const struct handshake *h);

/* The initiator, as far as the application has shown it in this handshake. */
enum initiator handshake_shown_initiator(const struct handshake *h);

/* Bytes that came behind the handshake. Valid until handshake_fini(). */
struct bytes handshake_rest_of_client(const struct handshake *h);
struct bytes handshake_rest_of_app(const struct handshake *h);

#endif
