/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The table of every verdict that Weir can pass on a peer. The enum, the metric label, the log line, the documentation
 * and the completeness test come from these rows.
 *
 * VERDICT(NAME, label, kind, strikes, rule, key, sentence)
 *
 *   label     stable name in metrics, events and documentation
 *   kind      NONE      no offence, or nobody's fault, or something that an honest peer cannot help:
 *                         - leaving at any moment (a crash, the probe of a load balancer);
 *                         - meeting its own old connection after a restart;
 *                         - taking in slowly;
 *                         - an excess of the sum of all clients behind an address alone, which being refused settles
 *             MISTAKE   wrong configuration or code, and what released libzmq can send: the connection ends, and
 *                       nothing is held against its source
 *             PROTOCOL  what no honest libzmq peer can send
 *             EXCESS    a limit was broken, where it drops or closes
 *   strikes   what one offence (PROTOCOL, EXCESS) adds to the source's score (strikes.h); 0 for the others
 *   rule      the rule (rule.h) that has to be in force for it; NONE: it is always in force
 *   key       the key of the configuration that decides when it is passed, of a gate or of the top level; NULL: none
 *   sentence  what a person reads; completes "refused: ..."
 */
#ifndef WEIR_LIMITS_VERDICT_H
#define WEIR_LIMITS_VERDICT_H

#include "limits/rule.h"

#include <stdbool.h>
#include <stddef.h>

#define VERDICTS(VERDICT)                                                                                              \
    VERDICT(PASS, "pass", NONE, 0, NONE, NULL, "passed")                                                               \
    /* the greeting and the handshake */                                                                               \
    VERDICT(BAD_GREETING, "bad_greeting", PROTOCOL, 1, NONE, NULL, "the first bytes are not a ZMTP greeting")          \
    VERDICT(BAD_PROXY_HEADER, "bad_proxy_header", NONE, 0, NONE, "proxy_protocol.from",                                \
            "a connection from proxy_protocol.from whose PROXY protocol header is wrong, or does not come in time")    \
    VERDICT(UNEXPECTED_PROXY_HEADER, "unexpected_proxy_header", MISTAKE, 0, NONE, "proxy_protocol.from",               \
            "a PROXY protocol header, and the address is not in proxy_protocol.from")                                  \
    VERDICT(OLD_VERSION, "old_version", MISTAKE, 0, NONE, "zmtp2",                                                     \
            "a version of ZMTP that this gate does not allow: 2.0 only with zmtp2, 1.0 never")                         \
    VERDICT(WRONG_MECHANISM, "wrong_mechanism", MISTAKE, 0, NONE, NULL,                                                \
            "the security mechanism is not the application's")                                                         \
    VERDICT(WRONG_ROLE, "wrong_role", MISTAKE, 0, NONE, NULL,                                                          \
            "the peer says it is the server of the security mechanism, as the application does")                       \
    VERDICT(HANDSHAKE_TOO_LARGE, "handshake_too_large", PROTOCOL, 3, NONE, "handshake.bytes",                          \
            "more bytes before the end of the handshake than handshake.bytes")                                         \
    VERDICT(HANDSHAKE_TIMEOUT, "handshake_timeout", EXCESS, 1, NONE, "handshake.within",                               \
            "the handshake was not done within handshake.within")                                                      \
    VERDICT(HANDSHAKE_ABANDONED, "handshake_abandoned", NONE, 0, NONE, NULL,                                           \
            "the peer left before the end of the handshake")                                                           \
    VERDICT(HANDSHAKE_ORDER, "handshake_order", PROTOCOL, 3, NONE, NULL,                                               \
            "a handshake command out of place, or a message before the end of the handshake")                          \
    VERDICT(BAD_READY, "bad_ready", PROTOCOL, 3, NONE, NULL, "a malformed handshake command")                          \
    VERDICT(BAD_METADATA, "bad_metadata", PROTOCOL, 3, NONE, NULL, "malformed metadata")                               \
    VERDICT(WRONG_SOCKET_TYPE, "wrong_socket_type", MISTAKE, 0, NONE, "socket",                                        \
            "the peer's socket type does not fit the application's")                                                   \
    VERDICT(BAD_ROUTING_ID, "bad_routing_id", PROTOCOL, 3, NONE, NULL, "a routing id longer than 255 bytes")           \
    VERDICT(RESERVED_ROUTING_ID, "reserved_routing_id", MISTAKE, 0, NONE, NULL,                                        \
            "a routing id of zero and four more bytes, as a ROUTER gives to clients without one")                      \
    VERDICT(DUPLICATE_ROUTING_ID, "duplicate_routing_id", NONE, 0, ROUTING_IDS, "routing_ids.duplicates",              \
            "the routing id is in use by another connection")                                                          \
    VERDICT(HOLDER_VANISHED, "holder_vanished", NONE, 0, NONE, NULL,                                                   \
            "the connection that had this client's routing id showed no sign of life, and was closed")                 \
    /* frames and messages */                                                                                          \
    VERDICT(RESERVED_FLAGS, "reserved_flags", PROTOCOL, 5, NONE, NULL, "a frame with reserved flag bits set")          \
    VERDICT(MORE_ON_COMMAND, "more_on_command", PROTOCOL, 5, NONE, NULL, "a command frame with the MORE flag")         \
    VERDICT(BAD_FRAME_SIZE, "bad_frame_size", PROTOCOL, 5, NONE, NULL, "a frame size above 2^63-1")                    \
    VERDICT(FRAME_TOO_LARGE, "frame_too_large", EXCESS, 2, MESSAGE, "message.frame",                                   \
            "a frame larger than message.frame")                                                                       \
    VERDICT(MESSAGE_TOO_LARGE, "message_too_large", EXCESS, 2, MESSAGE, "message.size",                                \
            "a message larger than message.size")                                                                      \
    VERDICT(TOO_MANY_FRAMES, "too_many_frames", EXCESS, 2, MESSAGE, "message.frames",                                  \
            "a message with more frames than message.frames")                                                          \
    VERDICT(                                                                                                           \
        MESSAGE_TOO_SLOW, "message_too_slow", EXCESS, 1, MESSAGE, "message.complete_within",                           \
        "a message of which nothing came for message.complete_within, or too little while others waited for its room") \
    VERDICT(MESSAGE_GIVES_WAY, "message_gives_way", NONE, 0, NONE, "message.unfinished",                               \
            "a message that comes too slowly for others that wait for its room, or a stranger's that goes on and on")  \
    VERDICT(MESSAGE_ABANDONED, "message_abandoned", NONE, 0, NONE, NULL, "the peer left in the middle of a message")   \
    VERDICT(ASKER_LEFT, "asker_left", NONE, 0, NONE, NULL,                                                             \
            "the client left while its request was held back, and nobody is there for the answer")                     \
    VERDICT(NO_DELIMITER, "no_delimiter", MISTAKE, 0, NONE, NULL,                                                      \
            "a request to a REP without the empty frame that ends its envelope (RFC 28)")                              \
    VERDICT(BAD_CURVE_FRAME, "bad_curve_frame", PROTOCOL, 5, NONE, NULL, "a frame that is not a CURVE MESSAGE")        \
    /* commands */                                                                                                     \
    VERDICT(BAD_COMMAND, "bad_command", PROTOCOL, 3, NONE, NULL,                                                       \
            "a command without a proper name, or one that may not stand inside a message")                             \
    VERDICT(UNKNOWN_COMMAND, "unknown_command", MISTAKE, 0, NONE, NULL, "a command that ZMTP does not define")         \
    VERDICT(COMMAND_TOO_LARGE, "command_too_large", PROTOCOL, 3, NONE, NULL, "a command larger than its kind allows")  \
    VERDICT(BAD_PING, "bad_ping", PROTOCOL, 3, NONE, NULL, "a PING or PONG of the wrong length")                       \
    VERDICT(PEER_ERROR, "peer_error", NONE, 0, NONE, NULL, "the peer sent ERROR and ended the connection")             \
    /* subscriptions */                                                                                                \
    VERDICT(NOT_A_SUBSCRIBER, "not_a_subscriber", PROTOCOL, 2, NONE, NULL,                                             \
            "a SUBSCRIBE or CANCEL from a socket type that cannot subscribe")                                          \
    VERDICT(SUBSCRIPTIONS_TOO_MANY, "subscriptions_too_many", EXCESS, 2, SUBSCRIPTIONS, "subscriptions.max",           \
            "more subscriptions than subscriptions.max")                                                               \
    VERDICT(TOPIC_TOO_LONG, "topic_too_long", EXCESS, 2, SUBSCRIPTIONS, "subscriptions.topic",                         \
            "a topic longer than subscriptions.topic")                                                                 \
    VERDICT(TOPICS_TOO_LARGE, "topics_too_large", NONE, 0, SUBSCRIPTIONS, "subscriptions.source_bytes",                \
            "more bytes of topics than subscriptions.source_bytes")                                                    \
    VERDICT(TOPICS_FULL, "topics_full", NONE, 0, NONE, "subscriptions.trie_bytes",                                     \
            "subscriptions.trie_bytes was reached, and this source holds its share of it")                             \
    VERDICT(TOPICS_GIVE_WAY, "topics_give_way", NONE, 0, NONE, "subscriptions.trie_bytes",                             \
            "subscriptions.trie_bytes was reached, and this source held most of it")                                   \
    VERDICT(SUBSCRIBER_MESSAGE, "subscriber_message", EXCESS, 2, SUBSCRIBER_MESSAGES, "subscriptions.messages.rate",   \
            "more messages from a subscriber than subscriptions.messages")                                             \
    /* rates of a source */                                                                                            \
    VERDICT(OVER_MESSAGES, "over_messages", EXCESS, 2, MESSAGES, "source.messages.rate",                               \
            "more messages per second than source.messages")                                                           \
    VERDICT(OVER_BYTES, "over_bytes", EXCESS, 2, BYTES, "source.bytes.rate",                                           \
            "more bytes per second than source.bytes")                                                                 \
    VERDICT(OVER_COMMANDS, "over_commands", EXCESS, 2, COMMANDS, "source.commands.rate",                               \
            "more commands per second than source.commands")                                                           \
    VERDICT(OVER_SUBSCRIPTIONS, "over_subscriptions", EXCESS, 2, SUBSCRIPTIONS, "subscriptions.rate",                  \
            "more subscriptions and cancellations per second than subscriptions.rate")                                 \
    VERDICT(OVER_SUBSCRIBER_MESSAGES, "over_subscriber_messages", NONE, 0, NONE, "subscriptions.messages.total_rate",  \
            "more bytes of messages per second, of all subscribers, than subscriptions.messages.total_rate")           \
    VERDICT(OVER_TOTAL_SUBSCRIPTIONS, "over_total_subscriptions", NONE, 0, NONE, "subscriptions.total_rate",           \
            "more subscriptions and cancellations per second, of all sources, than subscriptions.total_rate")          \
    VERDICT(OVER_CONNECTION_RATE, "over_connection_rate", NONE, 0, CONNECTIONS, "source.connections.rate",             \
            "more new connections per second than source.connections.rate")                                            \
    /* connections */                                                                                                  \
    VERDICT(TOO_MANY_CONNECTIONS, "too_many_connections", NONE, 0, CONNECTIONS, "source.connections.max",              \
            "more connections of one source than source.connections.max")                                              \
    VERDICT(TOO_MANY_HALF_OPEN, "too_many_half_open", EXCESS, 1, CONNECTIONS, "source.connections.half_open",          \
            "more unfinished handshakes of one source than source.connections.half_open")                              \
    VERDICT(TABLE_FULL, "table_full", NONE, 0, NONE, "connections.max",                                                \
            "connections.max was reached, and nobody there gives way to it")                                           \
    VERDICT(GIVE_WAY, "give_way", NONE, 0, NONE, "connections.max",                                                    \
            "connections.max was reached, and this connection was of least use")                                       \
    VERDICT(HALF_OPEN_GIVE_WAY, "half_open_give_way", NONE, 0, NONE, "connections.half_open",                          \
            "connections.half_open was reached, and this handshake had stood still longest, or came last")             \
    VERDICT(NO_DESCRIPTORS, "no_descriptors", NONE, 0, NONE, NULL, "no file descriptor is left")                       \
    VERDICT(NO_MEMORY, "no_memory", NONE, 0, NONE, "memory", "the memory limit was reached")                           \
    VERDICT(MEMORY_PRESSURE, "memory_pressure", NONE, 0, NONE, "memory",                                               \
            "the memory is nearly full, or much of it is held and this source holds most")                             \
    VERDICT(MEMORY_GIVE_WAY, "memory_give_way", NONE, 0, NONE, "memory",                                               \
            "the memory is nearly full, and this connection held most of what is not complete, or not taken")          \
    VERDICT(OVERLOADED, "overloaded", NONE, 0, NONE, "concurrency.shed.over",                                          \
            "a request waited longer for the application than concurrency.shed allows")                                \
    VERDICT(SLOW_READER, "slow_reader", NONE, 0, SLOW_READER, "slow_reader.behind",                                    \
            "more than slow_reader.behind waits in the application for clients that do not take it")                   \
    VERDICT(PROBATION, "probation", NONE, 0, NONE, "ban.shared",                                                       \
            "the source is on probation, and this handshake made room for a newcomer")                                 \
    VERDICT(BANNED, "banned", NONE, 0, BAN, "ban.strikes", "the source is banned")                                     \
    VERDICT(KICKED, "kicked", NONE, 0, NONE, NULL, "an operator closed the connection")                                \
    /* the application's side; nobody's offence */                                                                     \
    VERDICT(APPLICATION_ABSENT, "application_absent", NONE, 0, NONE, NULL,                                             \
            "the application could not be reached in time")                                                            \
    VERDICT(APPLICATION_TIMEOUT, "application_timeout", NONE, 0, NONE, NULL,                                           \
            "the application did not finish the handshake in time")                                                    \
    VERDICT(APPLICATION_CHANGED, "application_changed", NONE, 0, NONE, NULL,                                           \
            "the application came back with another mechanism or version")                                             \
    VERDICT(APPLICATION_REFUSED, "application_refused", NONE, 0, NONE, NULL, "the application ended the handshake")    \
    VERDICT(APPLICATION_GONE, "application_gone", NONE, 0, NONE, NULL, "the application closed the connection")        \
    VERDICT(NO_UPSTREAM_SOURCE, "no_upstream_source", NONE, 0, NONE, "upstream.source",                                \
            "no connection to the application can be made from the client's address (upstream.source)")                \
    VERDICT(OVER_MAXMSGSIZE, "over_maxmsgsize", NONE, 0, NONE, NULL,                                                   \
            "a frame larger than the application's ZMQ_MAXMSGSIZE")                                                    \
    VERDICT(OVER_HANDSHAKE_IVL, "over_handshake_ivl", NONE, 0, NONE, NULL,                                             \
            "the handshake was not done within the application's ZMQ_HANDSHAKE_IVL")                                   \
    VERDICT(BREAKER_OPEN, "breaker_open", NONE, 0, NONE, "breaker.failures",                                           \
            "the circuit breaker of the application is open")                                                          \
    VERDICT(APPLICATION_PROTOCOL, "application_protocol", NONE, 0, NONE, NULL,                                         \
            "the application sent what ZMTP does not allow")                                                           \
    VERDICT(DRAINING, "draining", NONE, 0, NONE, "drain", "Weir is shutting down")

enum verdict {
#define VERDICT_ENUM(NAME, label, kind, strikes, rule, key, sentence) VERDICT_##NAME,
    VERDICTS(VERDICT_ENUM)
#undef VERDICT_ENUM
        VERDICT_COUNT
};

/* The kinds of the table. */
enum offence { OFFENCE_NONE, OFFENCE_MISTAKE, OFFENCE_PROTOCOL, OFFENCE_EXCESS };

struct verdict_info {
    const char *label;
    const char *sentence;
    enum offence kind;
    unsigned strikes;
    enum rule rule;
    const char *key; /* NULL: none */
};

/* The row of a verdict. Pure; v must be below VERDICT_COUNT. */
const struct verdict_info *verdict_info(enum verdict v);

/* The kind of a verdict, and whether it counts against the source. Pure; v must be below VERDICT_COUNT. */
enum offence verdict_offence(enum verdict v);
static inline bool verdict_counts(enum verdict v)
{
    return verdict_offence(v) > OFFENCE_MISTAKE;
}

#endif
