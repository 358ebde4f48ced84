/* SPDX-License-Identifier: MPL-2.0 */
/*
 * For tests and fuzzers: drives a handshake machine through two byte streams, as a session would, in pieces of any
 * size, and keeps its results. Aborts where the machine breaks its own contract. Not part of the program.
 */
#ifndef WEIR_INSPECT_TEST_DRIVE_H
#define WEIR_INSPECT_TEST_DRIVE_H

#include "base/cursor.h"
#include "base/property.h"
#include "inspect/handshake.h"

struct drive {
    struct bytes client, app; /* all bytes that each side would send */
    struct handshake_app facts;
    const char *class_name; /* or NULL */
    bool allow_zmtp2;
    bool asks;    /* `facts` are not told: the connection asks itself */
    bool in_turn; /* with `asks`: the application sends its greeting and no more before the client has sent its own */
    uint32_t max_bytes;
    size_t most;                 /* bytes in a piece; 0: as many as may be read */
    struct property_rng *random; /* not NULL: pieces of 1 to `most` bytes */
    size_t fail_after;           /* the n-th buffer is refused; 0: none */
};

struct drive_result {
    bool started, done, wanted_app;
    enum verdict verdict;
    enum socket_type client_socket;
    struct bytes to_client, to_app;     /* all bytes that were written; freed by drive_free() */
    struct bytes client_rest, app_rest; /* when done: the streams behind the handshake (into the streams themselves) */
};

struct drive_result drive(const struct drive *d);
void drive_free(struct drive_result *r);

/* The facts of an application that sends these bytes: mechanism and minor version of its greeting. */
struct handshake_app drive_facts(struct bytes app);

#endif
