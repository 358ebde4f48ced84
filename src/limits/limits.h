/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The limits of one gate, as plain numbers in base units (bytes, nanoseconds). config/ fills them from its schema
 * table, which has their names, ranges, defaults and documentation. The judge and the relay read them. Immutable once a
 * snapshot is in force.
 */
#ifndef WEIR_LIMITS_LIMITS_H
#define WEIR_LIMITS_LIMITS_H

#include "base/network.h"
#include "limits/enforce.h"
#include "limits/gcra.h"
#include "limits/strikes.h"

#include <stdint.h>

/* What happens to traffic that is over a limit. */
enum action { ACTION_PAUSE, ACTION_DROP, ACTION_CLOSE };

struct rate_limit {
    struct rate rate;
    enum action over;
};

/* Whether the messages in the application's hand are limited to those that it works on. */
enum concurrency_limit { CONCURRENCY_LIMIT_OFF, CONCURRENCY_LIMIT_AUTO };

/* Load shedding: what happens to a request that has waited too long for its turn. */
enum shed_over { SHED_OVER_WAIT, SHED_OVER_REPLY, SHED_OVER_CLOSE, SHED_OVER_DROP };

/* How long a ban lasts: the first one, and the longest. */
struct ban_terms {
    uint64_t for_ns, max_ns; /* for_ns <= max_ns */
};

/* What newcomers from a banned source meet: an open connection that nobody reads, or a closed one. */
enum ban_action { BAN_ACTION_TARPIT, BAN_ACTION_CLOSE };

/* What happens to a source that offends too often while something well-behaved is known of it. */
enum ban_shared { BAN_SHARED_PROBATION, BAN_SHARED_BAN };

/* How the kernel is told of bans, so that it drops what banned sources send to a gate. */
enum ban_kernel { BAN_KERNEL_OFF, BAN_KERNEL_NFTABLES, BAN_KERNEL_XDP };

enum duplicate_ids { DUPLICATE_IDS_PASS, DUPLICATE_IDS_REFUSE };

struct limits {
    struct {
        uint32_t max;       /* connections of the gate; the descriptor limits may lower it */
        uint32_t half_open; /* of those, before the end of the handshake */
    } connections;
    struct {
        uint32_t bytes; /* before the handshake is done */
        uint64_t within_ns;
    } handshake;
    struct {
        uint64_t frame_bytes;
        uint64_t size_bytes; /* whole message; each frame counts at least 64 bytes */
        uint32_t frames;
        uint32_t hold_bytes;         /* messages up to this size are judged whole; larger ones stream through */
        uint64_t complete_within_ns; /* the longest time without a byte of its connection */
        uint64_t min_rate;           /* bytes per second, required while others wait for room */
        uint64_t unfinished_bytes;   /* of the gate: parts of streaming messages that the application holds; beyond it,
                                        one message at a time */
        enum action over;            /* DROP or CLOSE; for a message that already streams: CLOSE */
    } message;
    struct {
        uint32_t connections; /* 0: as many as connections.max */
        uint32_t half_open;
        struct rate connection_rate; /* over it: newcomers wait */
        struct rate_limit messages, bytes, commands;
    } source;
    struct {
        uint32_t max; /* of one connection */
        uint32_t topic_bytes;
        uint64_t source_bytes;
        uint64_t trie_bytes;    /* of the application, for the topics of all; over it: pause, or the largest give way */
        struct rate rate;       /* of one source, in bytes of that memory taken and given back; over it: pause */
        struct rate total_rate; /* the same of all sources */
        struct rate removal_rate;   /* bytes of it that the application walks through when clients leave; over it
                                       its ends of their connections close later */
        enum action over;           /* of `max`, `topic_bytes` (PAUSE: CLOSE) and `source_bytes` */
        struct rate_limit messages; /* user messages from one subscriber (to an XPUB) */
        struct rate messages_total; /* bytes of those of all clients, and some for each frame; over it: pause */
    } subscriptions;
    struct {
        uint64_t behind; /* bytes that the application may hold back for all slow readers; 0: unlimited */
    } slow_reader;
    struct {
        uint64_t interval_ns;  /* keep-alive towards the peers of a paused connection */
        uint64_t max_pause_ns; /* for CURVE passing through, where Weir cannot speak for a peer */
    } heartbeat;
    struct {
        enum concurrency_limit limit;
        uint32_t max; /* messages in hand; 0: no such limit */
        struct {
            enum shed_over over;
            uint64_t target_ns, interval_ns; /* see flow/codel.h */
        } shed;
    } concurrency;
    enum duplicate_ids duplicate_ids;
    struct {
        struct strike_rules strikes; /* strikes == 0: no offence is counted */
        struct ban_terms terms;
        uint64_t standing_ns;          /* how long something well-behaved is remembered of a source */
        uint64_t warm_up_ns;           /* from the gate's start: probation in place of bans */
        bool for_protocol, for_excess; /* which offences count */
        uint64_t paused_ns;            /* a connection that is paused over and over for this long offends; 0: never */
        enum ban_action action;
        enum ban_shared shared;
        uint32_t tarpit;        /* connections kept open and unread */
        struct networks exempt; /* never counted, never refused */
    } ban;
    uint32_t enforce[RULE_COUNT]; /* as configured: ENFORCE_ON to ENFORCE_OFF */
    uint32_t lifted;              /* bits of the rules that enforce_split() has lifted here; 0: as configured */
    const struct limits *shadow;  /* limits that are only counted, beside those in force for a source; NULL: none */
};

/* Whether these limits, as a copy of enforce_split(), contain a rule. */
static inline bool limits_hold(const struct limits *l, enum rule r)
{
    return !(l->lifted >> r & 1);
}

#endif
