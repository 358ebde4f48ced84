/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The event log: the table of all events that Weir tells to machines, and the writer of one event as a line of JSON.
 * The enum, the label, the fields of a line, docs/events.md and the completeness test come from these rows.
 *
 * A line is ASCII for any bytes that a peer sends: a byte that is not printable, the quote and the backslash become
 * \u00NN. So a peer cannot begin another line, another field, or another address. Fields of Weir itself stand in front
 * of those that come from a peer. Pure.
 */
#ifndef WEIR_EVENTS_EVENT_H
#define WEIR_EVENTS_EVENT_H

#include "base/addr.h"
#include "base/network.h"
#include "limits/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* FIELD(NAME, key, meaning), in the order of a line. A field that an event does not have is left out. */
#define EVENT_FIELDS(FIELD)                                                                                            \
    FIELD(GATE, "gate", "name of the gate")                                                                            \
    FIELD(SOURCE, "source", "the peer's address, or uid:NUMBER")                                                       \
    FIELD(PORT, "port", "the peer's port, over TCP")                                                                   \
    FIELD(STANDING, "standing",                                                                                        \
          "good: the source also serves well-behaved clients and must not be banned for this; none: nothing is known") \
    FIELD(NETWORK, "network", "what is banned: an address, an IPv6 /64, any prefix, or uid:NUMBER")                    \
    FIELD(OF_EVENT, "of_event", "the event that lines are missing of")                                                 \
    FIELD(VERDICT, "verdict", "why, as in verdicts.md")                                                                \
    FIELD(STRIKES, "strikes", "strikes of the source, this offence included")                                          \
    FIELD(OF, "of", "strikes that get it banned, or put on probation")                                                 \
    FIELD(REASON, "reason", "why it is banned: protocol, excess, operator or list")                                    \
    FIELD(LEVEL, "level", "bans that are held against it, this one included")                                          \
    FIELD(SECONDS, "seconds", "for how long, rounded up; null: until it is lifted")                                    \
    FIELD(DONE, "done",                                                                                                \
          "what was done: closed, dropped, paused, refused, tarpitted, warned, on_probation, banned, lifted, ended")   \
    FIELD(SUPPRESSED, "suppressed", "lines of this event and verdict that were left out since the last one")           \
    FIELD(DETAIL, "detail", "in words")                                                                                \
    FIELD(IDENTITY, "identity", "the routing id that the peer gave itself, each byte as one character")

enum event_field {
#define EVENT_FIELD_ENUM(NAME, key, meaning) EVENT_FIELD_##NAME,
    EVENT_FIELDS(EVENT_FIELD_ENUM)
#undef EVENT_FIELD_ENUM
        EVENT_FIELD_COUNT
};

#define EVENT_HAS(NAME) (1u << EVENT_FIELD_##NAME)
#define EVENT_WHO       (EVENT_HAS(GATE) | EVENT_HAS(SOURCE) | EVENT_HAS(PORT) | EVENT_HAS(VERDICT))
#define EVENT_SCORE     (EVENT_HAS(STRIKES) | EVENT_HAS(OF))
#define EVENT_SOME      (EVENT_HAS(SUPPRESSED)) /* limited by events.rate */
#define EVENT_BREAKER   (EVENT_HAS(GATE) | EVENT_SOME | EVENT_HAS(DETAIL))

/* EVENT(NAME, label, fields, sentence). Events with SUPPRESSED among their fields are limited, but for SUPPRESSED and
 * LOST. */
#define EVENTS(EVENT)                                                                                                  \
    EVENT(OFFENCE, "offence",                                                                                          \
          EVENT_WHO | EVENT_HAS(STANDING) | EVENT_SCORE | EVENT_HAS(DONE) | EVENT_SOME | EVENT_HAS(IDENTITY),          \
          "a peer has done what costs strikes; what goes on is told once a second and connection")                     \
    EVENT(WARNING, "warning", EVENT_WHO | EVENT_HAS(STANDING) | EVENT_SCORE | EVENT_HAS(DONE) | EVENT_SOME,            \
          "a source has half of the strikes that get it banned, or put on probation")                                  \
    EVENT(                                                                                                             \
        PROBATION, "probation", EVENT_WHO | EVENT_HAS(SECONDS) | EVENT_HAS(DONE) | EVENT_SOME,                         \
        "a source in good standing has offended too often: it is not banned, but few of its newcomers are let in at "  \
        "a time; the verdict is that of the last offence")                                                             \
    EVENT(                                                                                                             \
        BAN, "ban",                                                                                                    \
        EVENT_WHO | EVENT_HAS(NETWORK) | EVENT_HAS(REASON) | EVENT_HAS(LEVEL) | EVENT_HAS(SECONDS) | EVENT_HAS(DONE),  \
        "somebody is banned from every gate; the gate, the source and the verdict are those of the last offence, and " \
        "missing when an operator has said so")                                                                        \
    EVENT(BAN_LIFTED, "ban_lifted", EVENT_HAS(NETWORK) | EVENT_HAS(REASON) | EVENT_HAS(DONE),                          \
          "a ban was lifted before its end, or gave way to others in a full table")                                    \
    EVENT(BAN_ENDED, "ban_ended", EVENT_HAS(NETWORK) | EVENT_HAS(REASON) | EVENT_HAS(LEVEL) | EVENT_HAS(DONE),         \
          "a ban has come to its end")                                                                                 \
    EVENT(BAN_LISTS, "ban_lists", EVENT_HAS(DETAIL),                                                                   \
          "networks of ban.lists were banned or are banned no longer, how many; they are not told one by one")         \
    EVENT(CLOSED, "closed", EVENT_WHO | EVENT_HAS(DONE) | EVENT_SOME | EVENT_HAS(DETAIL) | EVENT_HAS(IDENTITY),        \
          "a connection was ended for what costs no strikes: because of the application, of a limit that an honest "   \
          "peer can meet, or of an exempt peer")                                                                       \
    EVENT(REFUSED, "refused", EVENT_WHO | EVENT_HAS(DONE) | EVENT_SOME,                                                \
          "a newcomer was not let in: it is banned, the gate or the source has no room, or the breaker is open")       \
    EVENT(BREAKER_OPENED, "breaker_opened", EVENT_BREAKER | EVENT_HAS(SECONDS),                                        \
          "the circuit breaker of the application has opened")                                                         \
    EVENT(BREAKER_HALF_OPEN, "breaker_half_open", EVENT_BREAKER, "newcomers try the application, a few at a time")     \
    EVENT(BREAKER_CLOSED, "breaker_closed", EVENT_BREAKER, "the application works again")                              \
    EVENT(COUNTER, "counter", EVENT_BREAKER,                                                                           \
          "the counter of the application (the key counter) has come, has gone, or is not believed any more")          \
    EVENT(HOLD_WITHOUT_PROGRESS, "hold_without_progress", EVENT_HAS(GATE) | EVENT_SOME | EVENT_HAS(DETAIL),            \
          "messages were held back while the application had nothing to do: such a hold ends by itself, and is worth " \
          "a look")                                                                                                    \
    EVENT(GATE_OPENED, "gate_opened", EVENT_HAS(GATE) | EVENT_HAS(DETAIL),                                             \
          "a program under weir run has begun to listen, and has a gate in front of it")                               \
    EVENT(GATE_CLOSED, "gate_closed", EVENT_HAS(GATE) | EVENT_HAS(DETAIL),                                             \
          "the program does not listen any more; connections that are open go on")                                     \
    EVENT(RELOADED, "reloaded", EVENT_HAS(DETAIL), "the configuration was read again and is in force")                 \
    EVENT(RELOAD_REFUSED, "reload_refused", EVENT_HAS(DETAIL),                                                         \
          "the configuration was read again and refused; the old one stays in force")                                  \
    EVENT(START, "start", EVENT_HAS(DETAIL), "Weir serves")                                                            \
    EVENT(STOP, "stop", EVENT_HAS(DETAIL), "Weir was asked to stop, and drains")                                       \
    EVENT(SUPPRESSED, "suppressed", EVENT_HAS(OF_EVENT) | EVENT_HAS(VERDICT) | EVENT_HAS(SUPPRESSED),                  \
          "lines were left out by events.rate or events.source_rate, and for ten seconds there was none to say so")    \
    EVENT(LOST, "lost", EVENT_HAS(SUPPRESSED), "events came faster than the file could be written, so many are missing")

enum event_kind {
#define EVENT_ENUM(NAME, label, fields, sentence) EVENT_##NAME,
    EVENTS(EVENT_ENUM)
#undef EVENT_ENUM
        EVENT_COUNT
};

#define EVENT_DEEDS(DEED)                                                                                              \
    DEED(NOTHING, "")                                                                                                  \
    DEED(CLOSED, "closed")                                                                                             \
    DEED(DROPPED, "dropped")                                                                                           \
    DEED(PAUSED, "paused")                                                                                             \
    DEED(REFUSED, "refused")                                                                                           \
    DEED(TARPITTED, "tarpitted")                                                                                       \
    DEED(WARNED, "warned")                                                                                             \
    DEED(ON_PROBATION, "on_probation")                                                                                 \
    DEED(BANNED, "banned")                                                                                             \
    DEED(LIFTED, "lifted")                                                                                             \
    DEED(ENDED, "ended")

enum event_deed {
#define EVENT_DEED_ENUM(NAME, label) EVENT_DEED_##NAME,
    EVENT_DEEDS(EVENT_DEED_ENUM)
#undef EVENT_DEED_ENUM
        EVENT_DEED_COUNT
};

struct event_info {
    const char *label;
    unsigned fields; /* EVENT_HAS() of each that a line may have */
    const char *sentence;
};

struct event_field_info {
    const char *key, *meaning;
};

/* The most bytes of words or of a routing id; longer ones are cut. */
#define EVENT_TEXT_MAX 255u

#define EVENT_NOTE_MAX 64u

/* Whether well-behaved clients are known behind a source. */
enum event_standing { EVENT_STANDING_UNKNOWN, EVENT_STANDING_NONE, EVENT_STANDING_GOOD };

/* Fields that are zero are left out of the line, but for `for_ns`. */
struct event {
    uint64_t wall_ns; /* since the Unix epoch */
    uint64_t for_ns;  /* BAN_FOR_EVER: no end */
    uint64_t suppressed;
    const char *gate;   /* constant */
    const char *reason; /* constant */
    struct addr source;
    struct network network;
    uint32_t strikes, of;
    uint8_t kind;    /* enum event_kind */
    uint8_t of_kind; /* of EVENT_SUPPRESSED: enum event_kind */
    uint8_t verdict; /* enum verdict */
    uint8_t done;    /* enum event_deed */
    uint8_t level;
    uint8_t standing; /* of OFFENCE and WARNING: enum event_standing */
    uint8_t text_len;
    uint8_t text[EVENT_TEXT_MAX]; /* DETAIL or IDENTITY */
    char note[EVENT_NOTE_MAX];    /* DETAIL of an event that also has an IDENTITY: what does not fit the application */
};
_Static_assert(VERDICT_COUNT <= UINT8_MAX, "verdicts fit");

/* The longest line, its end included. */
#define EVENT_LINE_MAX 2560u

/* The row of a kind, a field. Pure; each must be below its count. */
const struct event_info *event_info(enum event_kind k);
const struct event_field_info *event_field_info(enum event_field f);

static inline bool event_is_limited(enum event_kind k)
{
    return k != EVENT_SUPPRESSED && k != EVENT_LOST && (event_info(k)->fields & EVENT_SOME) != 0;
}

/* Copies the beginning of these bytes, at most EVENT_TEXT_MAX. */
void event_set_text(struct event *e, const void *bytes, size_t len);

/* Writes the line with its '\n', without a NUL. Returns its length. */
size_t event_write(char dst[static EVENT_LINE_MAX], const struct event *e);

#endif
