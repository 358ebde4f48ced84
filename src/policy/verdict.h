/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Every judgement that Weir can pass on a peer, in one table: the enum, the metric label, the log line, the
 * documentation and the completeness test come from these rows.
 *
 * VERDICT(NAME, label, strikes, sentence)
 *   label    stable name in metrics, events and documentation
 *   strikes  what one such offence adds to the source's score (strikes.h). 0: no offence, or nobody's fault, or what an
 *            honest peer cannot help: leaving at any moment (a crash, the probe of a load balancer), meeting one's own
 *            old connection after a restart, taking in slowly, and what only the sum of all clients behind an address
 *            exceeds and being refused settles
 *   sentence what a person reads; completes "refused: ..."
 */
#ifndef WEIR_POLICY_VERDICT_H
#define WEIR_POLICY_VERDICT_H

#define VERDICTS(VERDICT)                                                                                              \
    VERDICT(PASS, "pass", 0, "passed")                                                                                 \
    /* the greeting and the handshake */                                                                               \
    VERDICT(BAD_GREETING, "bad_greeting", 2, "the first bytes are not a ZMTP greeting")                                \
    VERDICT(BAD_PROXY_HEADER, "bad_proxy_header", 0,                                                                   \
            "a connection from proxy_protocol.from that does not begin with a PROXY protocol header in time")          \
    VERDICT(UNEXPECTED_PROXY_HEADER, "unexpected_proxy_header", 0,                                                     \
            "a PROXY protocol header, and the address is not in proxy_protocol.from")                                  \
    VERDICT(OLD_VERSION, "old_version", 1, "ZMTP before 3.0, which this gate does not allow")                          \
    VERDICT(WRONG_MECHANISM, "wrong_mechanism", 1, "the security mechanism is not the application's")                  \
    VERDICT(WRONG_ROLE, "wrong_role", 1,                                                                               \
            "the peer says it is the server of the security mechanism, as the application does")                       \
    VERDICT(HANDSHAKE_TOO_LARGE, "handshake_too_large", 3,                                                             \
            "more bytes before the end of the handshake than handshake.bytes")                                         \
    VERDICT(HANDSHAKE_TIMEOUT, "handshake_timeout", 1, "the handshake was not done within handshake.within")           \
    VERDICT(HANDSHAKE_ABANDONED, "handshake_abandoned", 0, "the peer left before the end of the handshake")            \
    VERDICT(HANDSHAKE_ORDER, "handshake_order", 3,                                                                     \
            "a handshake command out of place, or a message before the end of the handshake")                          \
    VERDICT(BAD_READY, "bad_ready", 3, "a malformed handshake command")                                                \
    VERDICT(BAD_METADATA, "bad_metadata", 3, "malformed metadata")                                                     \
    VERDICT(WRONG_SOCKET_TYPE, "wrong_socket_type", 1, "the peer's socket type does not fit the application's")        \
    VERDICT(BAD_ROUTING_ID, "bad_routing_id", 3, "a routing id longer than 255 bytes")                                 \
    VERDICT(RESERVED_ROUTING_ID, "reserved_routing_id", 0,                                                             \
            "a routing id of zero and four more bytes, as a ROUTER gives to clients without one")                      \
    VERDICT(DUPLICATE_ROUTING_ID, "duplicate_routing_id", 0, "the routing id is in use by another connection")         \
    /* frames and messages */                                                                                          \
    VERDICT(RESERVED_FLAGS, "reserved_flags", 5, "a frame with reserved flag bits set")                                \
    VERDICT(MORE_ON_COMMAND, "more_on_command", 5, "a command frame with the MORE flag")                               \
    VERDICT(BAD_FRAME_SIZE, "bad_frame_size", 5, "a frame size above 2^63-1")                                          \
    VERDICT(FRAME_TOO_LARGE, "frame_too_large", 2, "a frame larger than message.frame")                                \
    VERDICT(MESSAGE_TOO_LARGE, "message_too_large", 2, "a message larger than message.size")                           \
    VERDICT(TOO_MANY_FRAMES, "too_many_frames", 2, "a message with more frames than message.frames")                   \
    VERDICT(                                                                                                           \
        MESSAGE_TOO_SLOW, "message_too_slow", 1,                                                                       \
        "a message of which nothing came for message.complete_within, or too little while others waited for its room") \
    VERDICT(MESSAGE_GIVES_WAY, "message_gives_way", 0,                                                                 \
            "a message of a stranger that goes on and on, while others wait for its room")                             \
    VERDICT(MESSAGE_ABANDONED, "message_abandoned", 0, "the peer left in the middle of a message")                     \
    VERDICT(NO_DELIMITER, "no_delimiter", 1,                                                                           \
            "a request to a REP without the empty frame that ends its envelope (RFC 28)")                              \
    VERDICT(BAD_CURVE_FRAME, "bad_curve_frame", 5, "a frame that is not a CURVE MESSAGE")                              \
    /* commands */                                                                                                     \
    VERDICT(BAD_COMMAND, "bad_command", 3,                                                                             \
            "a command without a proper name, or one that may not stand inside a message")                             \
    VERDICT(UNKNOWN_COMMAND, "unknown_command", 3, "a command that ZMTP does not define")                              \
    VERDICT(COMMAND_TOO_LARGE, "command_too_large", 3, "a command larger than its kind allows")                        \
    VERDICT(BAD_PING, "bad_ping", 3, "a PING or PONG of the wrong length")                                             \
    VERDICT(PEER_ERROR, "peer_error", 0, "the peer sent ERROR and ended the connection")                               \
    /* subscriptions */                                                                                                \
    VERDICT(NOT_A_SUBSCRIBER, "not_a_subscriber", 2, "a SUBSCRIBE or CANCEL from a socket type that cannot subscribe") \
    VERDICT(SUBSCRIPTIONS_TOO_MANY, "subscriptions_too_many", 1, "more subscriptions than subscriptions.max")          \
    VERDICT(TOPIC_TOO_LONG, "topic_too_long", 1, "a topic longer than subscriptions.topic")                            \
    VERDICT(TOPICS_TOO_LARGE, "topics_too_large", 0, "more bytes of topics than subscriptions.source_bytes")           \
    VERDICT(TOPICS_FULL, "topics_full", 0,                                                                             \
            "subscriptions.trie_bytes was reached, and this source holds its share of it")                             \
    VERDICT(TOPICS_GIVE_WAY, "topics_give_way", 0,                                                                     \
            "subscriptions.trie_bytes was reached, and this source held most of it")                                   \
    VERDICT(SUBSCRIBER_MESSAGE, "subscriber_message", 1,                                                               \
            "more messages from a subscriber than subscriptions.messages")                                             \
    /* rates of a source */                                                                                            \
    VERDICT(OVER_MESSAGES, "over_messages", 1, "more messages per second than source.messages")                        \
    VERDICT(OVER_BYTES, "over_bytes", 1, "more bytes per second than source.bytes")                                    \
    VERDICT(OVER_COMMANDS, "over_commands", 1, "more commands per second than source.commands")                        \
    VERDICT(OVER_SUBSCRIPTIONS, "over_subscriptions", 1,                                                               \
            "more subscriptions and cancellations per second than subscriptions.rate")                                 \
    VERDICT(OVER_TOTAL_SUBSCRIPTIONS, "over_total_subscriptions", 0,                                                   \
            "more subscriptions and cancellations per second, of all sources, than subscriptions.total_rate")          \
    VERDICT(OVER_CONNECTION_RATE, "over_connection_rate", 0,                                                           \
            "more new connections per second than source.connections.rate")                                            \
    /* connections */                                                                                                  \
    VERDICT(TOO_MANY_CONNECTIONS, "too_many_connections", 0,                                                           \
            "more connections of one source than source.connections.max")                                              \
    VERDICT(TOO_MANY_HALF_OPEN, "too_many_half_open", 1,                                                               \
            "more unfinished handshakes of one source than source.connections.half_open")                              \
    VERDICT(TABLE_FULL, "table_full", 0, "connections.max was reached, and nobody there gives way to it")              \
    VERDICT(GIVE_WAY, "give_way", 0, "connections.max was reached, and this connection was of least use")              \
    VERDICT(HALF_OPEN_GIVE_WAY, "half_open_give_way", 0,                                                               \
            "connections.half_open was reached, and this handshake had stood still longest, or came last")             \
    VERDICT(NO_DESCRIPTORS, "no_descriptors", 0, "no file descriptor is left")                                         \
    VERDICT(NO_MEMORY, "no_memory", 0, "the memory limit was reached")                                                 \
    VERDICT(MEMORY_PRESSURE, "memory_pressure", 0,                                                                     \
            "the memory is nearly full, or much of it is held and this source holds most")                             \
    VERDICT(MEMORY_GIVE_WAY, "memory_give_way", 0,                                                                     \
            "the memory is nearly full, and this connection held most of what is not complete, or not taken")          \
    VERDICT(OVERLOADED, "overloaded", 0, "a request waited longer for the application than concurrency.shed allows")   \
    VERDICT(SLOW_READER, "slow_reader", 0,                                                                             \
            "more than slow_reader.behind waits in the application for clients that do not take it")                   \
    VERDICT(BANNED, "banned", 0, "the source is banned")                                                               \
    VERDICT(KICKED, "kicked", 0, "an operator closed the connection")                                                  \
    /* the application's side; nobody's offence */                                                                     \
    VERDICT(APPLICATION_ABSENT, "application_absent", 0, "the application could not be reached in time")               \
    VERDICT(APPLICATION_CHANGED, "application_changed", 0,                                                             \
            "the application came back with another mechanism or version")                                             \
    VERDICT(APPLICATION_REFUSED, "application_refused", 0, "the application ended the handshake")                      \
    VERDICT(APPLICATION_GONE, "application_gone", 0, "the application closed the connection")                          \
    VERDICT(NO_UPSTREAM_SOURCE, "no_upstream_source", 0,                                                               \
            "no connection to the application can be made from the client's address (upstream.source)")                \
    VERDICT(BREAKER_OPEN, "breaker_open", 0, "the circuit breaker of the application is open")                         \
    VERDICT(APPLICATION_PROTOCOL, "application_protocol", 0, "the application sent what ZMTP does not allow")          \
    VERDICT(DRAINING, "draining", 0, "Weir is shutting down")

enum verdict {
#define VERDICT_ENUM(NAME, label, strikes, sentence) VERDICT_##NAME,
    VERDICTS(VERDICT_ENUM)
#undef VERDICT_ENUM
        VERDICT_COUNT
};

/* What kind of offence a verdict with strikes is: the protocol was broken, or a limit was. */
enum offence { OFFENCE_NONE, OFFENCE_PROTOCOL, OFFENCE_EXCESS };

struct verdict_info {
    const char *label;
    const char *sentence;
    unsigned strikes;
};

/* The row of a verdict. Pure; v must be below VERDICT_COUNT. */
const struct verdict_info *verdict_info(enum verdict v);

/* The kind of a verdict; NONE when it has no strikes. Pure; v must be below VERDICT_COUNT. */
enum offence verdict_offence(enum verdict v);

#endif
