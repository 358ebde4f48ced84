/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Judges established traffic: traffic_judge() decides for each message and command whether it goes on, waits, is
 * dropped, or ends the connection. A step machine over bytes follows one direction of one connection. It decodes frames
 * in the caller's bytes and charges the source's limiters. No descriptor, no clock, no copy.
 *
 * The caller keeps the bytes that are not decided and shows them again, in one piece, before new bytes. Each byte is
 * decoded once. Not decided are at most:
 *   - message.hold;
 *   - or gather_bytes and one read, of a message for which there is no room;
 *   - or what one read brought while the connection has to wait.
 *
 * The state of the current message is `mode`. Outbound traffic is always TRAFFIC_STREAM.
 *
 *   State            Its bytes           Next state
 *   TRAFFIC_HOLD     are kept            end: it is whole, and has a turn; or it is left out (shed, no delimiter)
 *                                        TRAFFIC_STREAM: it is larger than message.hold, and has room, or can be
 *                                        gathered no further (then it waits for room as `want`)
 *                                        TRAFFIC_SKIP: a verdict whose action is drop
 *   TRAFFIC_STREAM   go on as they come  end: its last octet has a turn
 *   TRAFFIC_SKIP     are dropped         end: its last byte was dropped
 *
 * The next message begins in TRAFFIC_HOLD. A verdict that closes ends the connection in any state. A streaming message
 * cannot be dropped: it is closed instead. Fields say for what a message waits in its state: `complete` for a turn,
 * `want` for room, `gathers` for room while it is held, `withheld` and `awaits` to be judged again.
 *
 * A message goes on when the application may have one more (`turns`). A held message waits whole. A streaming message
 * goes on as it comes, but for its last octet, without which the receiver has no message. That octet waits as a held
 * message does, and other messages have the room meanwhile (limits/stream_budget.h). So a large message costs what a
 * small one costs, however many parts it has, and nothing waits at a beginning whose end may never come. But once a
 * large message streams, it cannot be left out any more.
 *
 * Rules in shadow change nothing of this. What they would have done is counted beside it (traffic_shadow.c), as if it
 * had been done: a message that would have been held back or refused is charged to no limiter in shadow.
 *
 * CURVE passing through: message boundaries are inside the boxes, so every frame counts as a message and nothing is
 * ever dropped: `drop` becomes `pause`, or `close` where waiting would not help. Turns are then for frames, with two
 * exceptions by size:
 *   - An empty frame is the delimiter of a request or reply as a rule, and takes the frame behind it along. A client
 *     that abuses that has two messages for one.
 *   - A frame of the application that has the size of libzmq's PING is one, at most each TRAFFIC_CURVE_PING_NS, while
 *     the client answers such frames by one of the size of a PONG. The first one counts as a message, and so do those
 *     that are not answered: many an application has answers of seven octets, and few have heartbeats.
 * Other heartbeats and parts count as messages. What is counted too much is noticed where the application is idle
 * (flow/taken_counter.h), and costs protection only.
 *
 * Threads: one worker owns struct traffic and its caller's bytes, without a lock. Workers share struct traffic_gate and
 * struct source: their words are atomic, and `unfinished` and `topics` have locks of their own.
 */
#ifndef WEIR_INSPECT_TRAFFIC_H
#define WEIR_INSPECT_TRAFFIC_H

#include "base/account.h"
#include "base/attr.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "limits/limits.h"
#include "limits/source.h"
#include "limits/stream_budget.h"
#include "limits/topic_tree.h"
#include "limits/topics.h"
#include "limits/verdict.h"
#include "zmtp/decoder.h"

#include <stdbool.h>
#include <stdint.h>

/* Runs of admitted bytes in one result: a drop between them ends a run. */
#define TRAFFIC_SPANS 16u

/* A frame costs the receiver at least this (libzmq's msg_t). */
#define TRAFFIC_FRAME_BYTES 64u

/* A message that arrives alone pins a whole receive buffer of libzmq. */
#define TRAFFIC_PINNED_BYTES 8192u

/* The largest command that is not a subscription: ERROR with a reason of 255 bytes, and its name. */
#define TRAFFIC_COMMAND_BYTES 512u

/* A topic counts this much besides its bytes where the topics of a source are added up. */
#define TOPIC_OVERHEAD_BYTES 16u

/* A possible topic in a frame that is not the first of its message may have at least so many bytes. */
#define TRAFFIC_LATER_TOPIC_BYTES 65536u

/* While the commands of all connections are more than the first of these per second, each connection has the second.
 * That is more than heartbeats from both ends every 10 ms. Each command wakes the application's I/O thread. */
#define TRAFFIC_COMMANDS      10000u
#define TRAFFIC_COMMANDS_EACH 250u

/* How long a subscription waits before it asks again for room among all topics. */
#define TRAFFIC_TOPICS_RETRY_NS (200 * NS_PER_MS)

/* While others wait for room, a stranger's message that goes on frame by frame may take TRAFFIC_STRANGERS_PART times
 * message.unfinished. With more than TRAFFIC_MANY_FRAMES frames it may take a quarter of message.unfinished: they cost
 * the application twice their bytes. */
#define TRAFFIC_STRANGERS_PART 2u
#define TRAFFIC_MANY_FRAMES    4096u

/* In such a message a stranger waits for this time after each TRAFFIC_MANY_FRAMES frames. */
#define TRAFFIC_MANY_FRAMES_NS (50 * NS_PER_MS)

/* Inside CURVE, one PING of the application in this time is not counted as an answer. */
#define TRAFFIC_CURVE_PING_NS (50 * NS_PER_MS)

/* How long a connection waits before it asks again for room for a large message. */
#define TRAFFIC_UNFINISHED_RETRY_NS (5 * NS_PER_MS)

/* What the connections of a gate share. */
struct traffic_gate {
    struct stream_budget unfinished;
    struct topic_tree topics;       /* subscribed */
    _Atomic uint32_t topic_sources; /* sources that hold some */
    gcra_word topic_rate;           /* of all sources */
    gcra_word commands;             /* of all connections */
    gcra_word user_bytes;           /* of messages from all subscribers */
    struct account *account;
    struct hash_key key;
    uint64_t app_frame_bytes; /* larger frames the application itself refuses (ZMQ_MAXMSGSIZE); 0: not known */
};

/* What rules in shadow would have done with the traffic of one call: how often, by verdict. */
struct traffic_shadow {
    uint32_t verdicts[VERDICT_COUNT];
};

/* What happens to a message that waits for its turn and is not to have one. */
enum traffic_shed { SHED_NOTHING, SHED_DROP, SHED_CLOSE };

enum traffic_mode { TRAFFIC_HOLD, TRAFFIC_STREAM, TRAFFIC_SKIP };

/* What an unfinished frame has to wait for before anything of it may go on. */
enum traffic_awaits { AWAITS_NOTHING, AWAITS_BEGINNING, AWAITS_END };

/* What waits for room: a subscription, for room among all topics; a subscriber's message or the beginning of one. */
enum traffic_withheld { WITHHELD_NOTHING, WITHHELD_TOPIC, WITHHELD_MESSAGE };

/* The state of one direction. */
struct traffic {
    struct zmtp_decoder dec;
    uint8_t mode; /* enum traffic_mode, of the current message */
    bool inbound; /* from the client: limits apply. Outbound traffic is only followed */
    bool curve;
    bool subscriber;      /* the client is SUB or XSUB: frames beginning with 00 or 01 are subscriptions */
    bool wants_delimiter; /* the application is REP: it throws away messages without an envelope (RFC 28) */
    bool delimited;       /* the current message has one */
    bool judged;          /* the current frame was judged by its header */
    uint8_t awaits;       /* enum traffic_awaits, of the current frame */
    uint8_t pace_log2;    /* log2 of the bytes per second at which it came while it was gathered; 0: not known */
    bool grace;           /* the next message passes without regard to the rates (heartbeat.max_pause) */
    bool complete : 1;    /* a message waits for its turn: whole, or its last octet (traffic_end_waits()) */
    bool led : 1;         /* CURVE: the last frame was empty, and the next one belongs to it */
    bool pinged : 1;      /* CURVE, outbound: there was a frame of the size of a PING, and no PONG yet */
    bool pings : 1;       /* CURVE, outbound: the last PONG came after one, so these frames are PINGs */
    bool shadowed : 1;    /* a rule in shadow would have kept the current message out */
    uint8_t withheld : 2; /* enum traffic_withheld: to be judged again */
    bool gathers : 1;     /* the current message is held although it is larger than message.hold, for want of room */
    uint32_t frames;      /* of the current message */
    union {
        uint64_t size;      /* inbound: of the current message, each frame counted as at least TRAFFIC_FRAME_BYTES */
        uint64_t pinged_ns; /* CURVE, outbound: when the last frame came that may be a PING */
    };
    uint64_t reserved;       /* of the current message, in the gate's `unfinished` */
    uint64_t want;           /* to be reserved before the message may go on */
    gcra_word user_messages; /* inbound: of a subscriber. Outbound: the client's commands, for its inbound twin */
};

/* Everything else that a judgement needs. */
struct traffic_context {
    const struct limits *limits;
    struct traffic_gate *gate;
    struct source *source;
    struct topics *topics;         /* of this connection */
    gcra_word *commands;           /* the same; NULL: they are not paced */
    struct traffic *twin;          /* the other direction of the connection; NULL: not known */
    struct traffic_shadow *shadow; /* added to; NULL: limits->shadow is not looked at */
    uint64_t id;                   /* of this connection, not 0 */
    uint32_t turns;                /* messages that the application may be given now */
    enum traffic_shed shed;        /* what happens to the message that waits for its turn */
    uint64_t gather_bytes;         /* how much of a large message may be held while there is no room for it */
    uint64_t pace;                 /* at which the current message comes, in bytes per second; 0: not known */
    uint64_t now_ns;
};

/* A PING that passed by. */
struct traffic_ping {
    bool seen;
    uint16_t ttl; /* tenths of a second; 0: none announced */
    uint8_t context_len;
    uint8_t context[16];
};

struct traffic_result {
    struct bytes spans[TRAFFIC_SPANS]; /* admitted, in order */
    unsigned span_count;
    const uint8_t *keep;                 /* the bytes from here on must be kept */
    const uint8_t *scanned;              /* ... of which these in front were decoded already */
    const uint8_t *unmarked;             /* the flags of an admitted frame that lacks LONG, to be set there; or NULL */
    bool again;                          /* no span was left: write, then call again at once */
    enum verdict verdict;                /* not PASS: close */
    uint64_t wait_ns;                    /* > 0: pause for that long, then call again */
    enum verdict wait_reason;            /* PASS: waiting for room for a large message */
    enum verdict drop_reason;            /* of the last message dropped */
    uint32_t drops;                      /* rulings to drop a message or command */
    uint32_t messages, frames, commands; /* passed */
    uint32_t turns;                      /* used; outbound and CURVE: the messages that came, counted in the same way */
    bool awaits_turn;                    /* a message is there, and no turn was left: call again when there is one */
    uint32_t dropped;                    /* messages whose end was dropped */
    struct bytes shed;                   /* the message that was shed, as it came; empty: none */
    bool make_room; /* subscriptions.trie_bytes is exceeded: the source holding most must give way */
    struct traffic_ping ping;
};

/* The bytes of topics that each source may hold when all together want more than subscriptions.trie_bytes; a byte is a
 * node of the application's trie. Any thread. */
uint64_t traffic_topics_share(const struct traffic_gate *g, const struct limits *l);

/* Counts that `source` holds `cost` bytes of topics less. Any thread. */
void traffic_topics_give_back(struct traffic_gate *g, struct source *source, uint64_t cost);

void traffic_init(struct traffic *t, bool inbound, bool zmtp2, bool curve, bool subscriber);

/* Gives back reservations; for inbound traffic of a connection that ends. */
void traffic_fini(struct traffic *t, const struct traffic_context *c);

/*
 * Judges the bytes [base, end), of which [base, scan) were shown and decoded before. base <= scan <= end, in one piece.
 * *r is overwritten. After a verdict other than PASS the spans (whole messages before the offence) may still be
 * written.
 */
void traffic_judge(struct traffic *t, const struct traffic_context *c, const uint8_t *base, const uint8_t *scan,
                   const uint8_t *end, struct traffic_result *r);

/* Whether the bytes that were admitted so far end between two messages, so that a frame of Weir's own may follow. */
static inline bool traffic_at_boundary(const struct traffic *t)
{
    bool between = zmtp_at_boundary(&t->dec) && !t->complete;
    return between || t->mode == TRAFFIC_HOLD || t->mode == TRAFFIC_SKIP;
}

/* Whether all of a message but its last octet has gone on, and that waits for its turn. Such a message cannot be left
 * out any more. */
static inline bool traffic_end_waits(const struct traffic *t)
{
    return t->complete && t->mode == TRAFFIC_STREAM;
}

/* Whether bytes that were decoded wait for room or for a turn. */
static inline bool traffic_waits(const struct traffic *t)
{
    return t->want != 0 || t->complete || t->withheld;
}

/* Whether a message or frame has begun and not ended. */
static inline bool traffic_in_message(const struct traffic *t)
{
    return !zmtp_at_boundary(&t->dec);
}

#endif
