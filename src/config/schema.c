/* SPDX-License-Identifier: MPL-2.0 */
#include "config/schema.h"

#include "base/units.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct schema_choice levels[] = {
    {"error", LOG_LEVEL_ERROR}, {"warn", LOG_LEVEL_WARN}, {"info", LOG_LEVEL_INFO}, {"debug", LOG_LEVEL_DEBUG}, {0},
};

static const struct schema_choice sockets[] = {
    {"auto", SOCKET_AUTO},
    {"rep", SOCKET_REP},
    {"router", SOCKET_ROUTER},
    {"dealer", SOCKET_DEALER},
    {"req", SOCKET_REQ},
    {"pull", SOCKET_PULL},
    {"push", SOCKET_PUSH},
    {"pub", SOCKET_PUB},
    {"xpub", SOCKET_XPUB},
    {"sub", SOCKET_SUB},
    {"xsub", SOCKET_XSUB},
    {"pair", SOCKET_PAIR},
    {0},
};

static const struct schema_choice over_rate[] = {
    {"pause", ACTION_PAUSE}, {"drop", ACTION_DROP}, {"close", ACTION_CLOSE}, {0}};

static const struct schema_choice over_limit[] = {{"close", ACTION_CLOSE}, {"drop", ACTION_DROP}, {0}};

static const struct schema_choice breaker_meets[] = {
    {"pause", BREAKER_MEETS_PAUSE}, {"refuse", BREAKER_MEETS_REFUSE}, {0}};

static const struct schema_choice concurrency_limits[] = {
    {"auto", CONCURRENCY_LIMIT_AUTO}, {"off", CONCURRENCY_LIMIT_OFF}, {0}};

static const struct schema_choice over_wait[] = {
    {"wait", SHED_OVER_WAIT}, {"reply", SHED_OVER_REPLY}, {"close", SHED_OVER_CLOSE}, {"drop", SHED_OVER_DROP}, {0}};

static const struct schema_choice ban_actions[] = {{"tarpit", BAN_ACTION_TARPIT}, {"close", BAN_ACTION_CLOSE}, {0}};

static const struct schema_choice ban_shared[] = {{"probation", BAN_SHARED_PROBATION}, {"ban", BAN_SHARED_BAN}, {0}};

static const struct schema_choice ban_kernels[] = {
    {"off", BAN_KERNEL_OFF}, {"nftables", BAN_KERNEL_NFTABLES}, {"xdp", BAN_KERNEL_XDP}, {0}};

static const struct schema_choice upstream_sources[] = {
    {"weir", UPSTREAM_SOURCE_WEIR}, {"client", UPSTREAM_SOURCE_CLIENT}, {0}};

static const struct schema_choice duplicates[] = {{"refuse", DUPLICATE_IDS_REFUSE}, {"pass", DUPLICATE_IDS_PASS}, {0}};

_Static_assert(sizeof(enum socket_type) == 4 && sizeof(enum action) == 4 && sizeof(enum log_level) == 4,
               "choices are stored as 32 bits");

#define TOP(field)   .offset = offsetof(struct config, field), .width = sizeof(((struct config *)0)->field)
#define GATE(field)  .offset = offsetof(struct config_gate, field), .width = sizeof(((struct config_gate *)0)->field)
#define CLASS(field) .offset = offsetof(struct config_class, field), .width = sizeof(((struct config_class *)0)->field)

/* clang-format off */

static const struct schema_key top_keys[] = {
    {"admin.listen", SCHEMA_ADMIN_ADDR, TOP(admin.text), .restart = true, .preset_words = "off",
     .doc = "Address and port of the admin server. Whoever reaches it may read metrics and health, so keep it on a loopback address; lists of clients, bans and reloads need the token of admin.token_file."},
    {"admin.token_file", SCHEMA_PATH, TOP(admin.token_file), .preset_words = "none",
     .doc = "File with the token that opens the JSON API under /v1/ and `weir ctl`: one line of 16 to 256 printable characters without spaces, readable by its owner alone. A reload reads it again. Without one the API is off."},
    {"workers", SCHEMA_NUMBER, TOP(workers), .restart = true, .min = "0", .max = "64", .preset = "0",
     .doc = "Worker threads; 0 means one for each processor that Weir may use (of its container or CPU set)."},
    {"memory", SCHEMA_SIZE, TOP(memory_bytes), .restart = true, .min = "8MiB", .max = "1024GiB", .preset = "256MiB",
     .doc = "Every byte that Weir holds for its peers: waiting bytes, sessions, topics.",
     .reached = "Newcomers are refused and no more is read, until something is given back; the number is never exceeded."},
    {"sources", SCHEMA_NUMBER, TOP(sources), .restart = true, .min = "1024", .max = "16777216", .preset = "65536",
     .doc = "Sources (IPv4 addresses, IPv6 /64 networks, user ids) that each gate remembers one by one, at 64 bytes each (beside `memory`, touched as they come); rounded up to a power of two.",
     .reached = "Sources that were quiet are forgotten; when all are busy, a new one shares the limits of its network (IPv4 /24, IPv6 /48)."},
    {"drain", SCHEMA_DURATION, TOP(drain_ns), .min = "0", .max = "1h", .preset = "5s",
     .doc = "How long SIGTERM waits for connections to come to the end of their messages.",
     .reached = "Connections still open are closed."},
    {"state.file", SCHEMA_PATH, TOP(state_file), .restart = true, .preset_words = "none",
     .doc = "File in which bans, and how often a source was banned, outlive a restart; its folder must be writable. Without one they end with the process."},
    {"ban.lists", SCHEMA_PATHS, TOP(ban_list_files), .min = "0", .max = "16", .preset_words = "none",
     .doc = "Files with networks that are banned from every gate for as long as they stand there, read at the start and at a reload: one address, network or uid:NUMBER a line, comments with # or ; all files together at most 50000 networks. A wrong line is a mistake of the configuration, and so are a network larger than /8 (IPv6: /16) and lists that together leave nobody.",
     .reached = "The configuration is refused."},
    {"events.file", SCHEMA_PATH, TOP(events.file), .restart = true, .preset_words = "none",
     .doc = "Event log: a JSON object a line for each offence, warning, ban and whatever else events.md lists, for machines such as fail2ban. Opened anew at a reload, and when the file was moved away."},
    {"events.rate", SCHEMA_RATE, TOP(events.rate), .min = "1/d", .max = "1000000/s", .preset = "20/s",
     .doc = "Lines of the event log of one event and verdict; those that are marked in events.md, such as bans, have no limit.",
     .reached = "The event is counted instead, and the next line of its kind tells how many were."},
    {"events.burst", SCHEMA_NUMBER, TOP(events.rate.burst), .min = "0", .max = "1000000", .preset = "100",
     .doc = "Lines beyond events.rate that may be written at once."},
    {"events.source_rate", SCHEMA_RATE, TOP(events.source_rate), .min = "1/d", .max = "1000000/s", .preset = "1/s",
     .doc = "The same of one source (address, IPv6 /64 network, or user id), so that one offender does not hide the others.",
     .reached = "As for events.rate."},
    {"events.source_burst", SCHEMA_NUMBER, TOP(events.source_rate.burst), .min = "0", .max = "1000000", .preset = "20",
     .doc = "Lines beyond events.source_rate that may be written at once."},
    {"kernel.table", SCHEMA_NAME, TOP(kernel_table), .restart = true, .preset = "weir",
     .doc = "Name of the nftables table (family inet) for ban.kernel, which Weir makes, replaces at each start, and leaves behind; it begins with weir. Two Weirs in one network namespace need two."},
    {"enforce_key", SCHEMA_NAME, TOP(enforce_key), .restart = true, .preset_words = "none",
     .doc = "A word of which follows which sources a percentage of `enforce` means. Machines with the same word choose the same sources; without one whoever knows Weir can work out the choice."},
    {"log.level", SCHEMA_CHOICE, TOP(log_level), .preset = "info", .choices = levels,
     .doc = "The least urgent lines that are written to standard error."},
};

static const struct schema_key gate_keys[] = {
    {"name", SCHEMA_NAME, GATE(name), .restart = true, .preset_words = "main for a single gate, otherwise required",
     .doc = "Name of the gate in metrics and log lines; unique."},
    {"listen", SCHEMA_LISTEN, GATE(listen_text), .restart = true, .preset_words = "required",
     .doc = "Where clients connect: tcp://HOST:PORT or ipc://PATH, as for zmq_bind; HOST and PORT may be *, and HOST the name of a network interface, whose first address is looked up at the start."},
    {"forward", SCHEMA_FORWARD, GATE(forward_text), .restart = true, .preset_words = "required",
     .doc = "Where the application listens: tcp://HOST:PORT or ipc://PATH, as for zmq_connect. Names are looked up once, at the start."},
    {"upstream.source", SCHEMA_CHOICE, GATE(upstream_source), .restart = true, .preset = "weir", .choices = upstream_sources,
     .doc = "From whose address the connections to the application come. weir: Weir's own, so that an application which judges by address (ZAP allow and deny lists, ZMQ_TCP_ACCEPT_FILTER) sees Weir alone: its deny list refuses nobody, and an allow list with 127.0.0.1 admits everybody. client: the client's (of loopback and ipc clients Weir's own), for an application on tcp on this machine; needs CAP_NET_ADMIN and CAP_NET_RAW, without which Weir does not start."},
    {"socket", SCHEMA_CHOICE, GATE(socket), .restart = true, .preset = "auto", .choices = sockets,
     .doc = "The socket type that the application binds; auto learns it from the application's first handshake. A client whose socket type cannot talk to it is closed in the handshake. With CURVE the handshake does not show it: set it there, or slow_reader knows nothing of subscribers."},
    {"counter", SCHEMA_PATH, GATE(counter), .restart = true, .preset_words = "none",
     .doc = "Unix socket at which the application connects to say how many messages it has taken (weir/taken.h, a few lines in the application). Weir makes it at the start, for its user and its group, and removes it at the end; its folder must be writable. With it, what waits in front of the application during a flood is held here, where order can be kept; without it the same application works as before.",
     .reached = "One application at a time: a second one is refused, and goes on without."},
    {"proxy_protocol.from", SCHEMA_NETWORKS, GATE(proxy_protocol_from), .min = "0", .max = "32", .preset_words = "none",
     .doc = "Networks of your load balancers. A connection from there must begin with a PROXY protocol header (version 1 or 2), and is then the client's that the header names: its limits, bans, class and X-Weir-Peer are those of the client's address. Headers that name nobody (LOCAL, UNKNOWN: health checks) leave the balancer's own address, which is never banned here for it. From anywhere else such a header is refused, so nobody can name himself; list no network from which clients come directly.",
     .reached = "A connection whose header is wrong, or not there within handshake.within, is closed; that is no offence."},
    {"zmtp2", SCHEMA_BOOL, GATE(zmtp2), .preset = "true",
     .doc = "Whether clients that speak no more than ZMTP 2.0 (libzmq 3, JeroMQ 0.3) may come in; when false they are closed in the greeting. They have no metadata, so the application sees no X-Weir-Peer of them, and no security mechanism, so one with PLAIN or CURVE never sees them."},

    {"enforce", SCHEMA_ENFORCE, GATE(enforce), .preset = "on",
     .doc = "How those rules of the gate are enforced that do not say it themselves with an `enforce` of their own: on; shadow lets pass what they would refuse, and counts it in weir_shadow_verdicts_total; off does not even count; 25% means on for that share of the sources, always the same ones, and shadow for the others."},

    {"connections.max", SCHEMA_NUMBER, GATE(limits.connections.max), .min = "1", .max = "1000000", .preset = "960",
     .doc = "Client connections of the gate. The default keeps an application with the usual limit of 1024 descriptors clear of it; Weir's own descriptor limit may lower it.",
     .reached = "An unfinished handshake gives way to a newcomer, else a connection on which no message has passed yet, the youngest first; else one that has been idle for more than 10 s for each message that has passed on it (at most 10 minutes), of the source that holds most, or, for a newcomer in good standing, any. If there is none, the newcomer is refused. Up to a 16th is kept for sources in good standing (ban.standing) that hold at most 8 connections."},
    {"connections.half_open", SCHEMA_NUMBER, GATE(limits.connections.half_open), .min = "1", .max = "1000000", .preset = "512",
     .doc = "Of those, connections whose handshake is not finished.",
     .reached = "A handshake whose client has the next move makes room, the longest first, else one of a source whose connections were of no use lately. While all wait for the application, newcomers wait in the kernel."},

    {"handshake.bytes", SCHEMA_SIZE, GATE(limits.handshake.bytes), .min = "512B", .max = "64KiB", .preset = "8KiB",
     .doc = "Bytes that a client may send before its handshake is done.",
     .reached = "The connection is closed."},
    {"handshake.within", SCHEMA_DURATION, GATE(limits.handshake.within_ns), .min = "100ms", .max = "10m", .preset = "5s",
     .doc = "Time that the client may take for its part of the handshake. What waits for the application has 30 s, as in libzmq, or this if it is longer.",
     .reached = "The connection is closed; the application never saw it."},

    {"message.frame", SCHEMA_SIZE, GATE(limits.message.frame_bytes), .min = "256B", .max = "1024GiB", .preset = "256MiB",
     .doc = "Largest frame that a client may announce.",
     .reached = "See message.over; a frame that is larger than message.hold cannot be dropped, so its connection is closed."},
    {"message.size", SCHEMA_SIZE, GATE(limits.message.size_bytes), .min = "256B", .max = "1024GiB", .preset = "256MiB",
     .doc = "Largest message, all frames together; each frame counts at least 64 bytes.",
     .reached = "See message.over."},
    {"message.frames", SCHEMA_NUMBER, GATE(limits.message.frames), .min = "1", .max = "16777216", .preset = "4194304",
     .doc = "Frames of one message.",
     .reached = "See message.over."},
    {"message.hold", SCHEMA_SIZE, GATE(limits.message.hold_bytes), .min = "4KiB", .max = "512KiB", .preset = "64KiB",
     .doc = "Messages up to this size are judged whole before their first byte goes on.",
     .reached = "The message streams to the application while it arrives; if it then breaks a limit, both sides are closed and the application forgets it."},
    {"message.complete_within", SCHEMA_DURATION, GATE(limits.message.complete_within_ns), .min = "100ms", .max = "1d", .preset = "1m",
     .doc = "How long a connection may be silent, either way, in the middle of a message. One that comes slowly is not late.",
     .reached = "The connection is closed."},
    {"message.min_rate", SCHEMA_SPEED, GATE(limits.message.min_rate), .min = "1B/s", .max = "1024GiB/s", .preset = "64KiB/s",
     .doc = "Speed that a message beyond message.hold must keep while others wait for its room in message.unfinished. While nobody does, it takes what time it takes.",
     .reached = "The connection is closed."},
    {"message.unfinished", SCHEMA_SIZE, GATE(limits.message.unfinished_bytes), .min = "64KiB", .max = "1024GiB", .preset = "16MiB",
     .doc = "Unfinished messages above message.hold that the application holds, all clients of the gate together; the announced size of a frame counts from its beginning.",
     .reached = "Messages up to 512 KiB are gathered in Weir until they are whole. Of larger ones one goes on beyond it at a time, so that any that fits message.size gets through, and whoever will be through first goes first; the others wait unread. While they do, one that comes much more slowly than they did is closed, a message of a stranger that comes frame by frame ends at twice this, and one of more than 4096 frames at a quarter."},
    {"message.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_MESSAGE]), .preset_words = "as enforce of the gate",
     .doc = "How message.frame, message.size, message.frames and message.complete_within are enforced, as in `enforce`. What streams is still limited by message.unfinished."},
    {"message.over", SCHEMA_CHOICE, GATE(limits.message.over), .preset = "close", .choices = over_limit,
     .doc = "What happens to a message over message.frame, message.size or message.frames: close ends the connection; drop leaves out a message that is still held, and ends the connection of one that already streams. With CURVE drop means close."},

    {"source.connections.max", SCHEMA_NUMBER, GATE(limits.source.connections), .min = "0", .max = "1000000", .preset = "0",
     .doc = "Connections of one source; 0 means as many as connections.max.",
     .reached = "Further connections of the source are refused."},
    {"source.connections.half_open", SCHEMA_NUMBER, GATE(limits.source.half_open), .min = "1", .max = "65535", .preset = "512",
     .doc = "Unfinished handshakes of one source.",
     .reached = "Newcomers of the source wait unread until one is done, or its client has not moved for a second: that one makes room."},
    {"source.connections.rate", SCHEMA_RATE, GATE(limits.source.connection_rate), .min = "1/d", .max = "1000000/s", .preset = "100/s",
     .doc = "New connections of one source that come to nothing at the application. Who is served does not count, nor a handshake that ends before the application is asked.",
     .reached = "Newcomers of the source wait unread."},
    {"source.connections.burst", SCHEMA_NUMBER, GATE(limits.source.connection_rate.burst), .min = "0", .max = "1000000", .preset = "200",
     .doc = "New connections beyond source.connections.rate that may come at once."},
    {"source.connections.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_CONNECTIONS]), .preset_words = "as enforce of the gate",
     .doc = "How source.connections is enforced, as in `enforce`."},
    {"source.messages.rate", SCHEMA_RATE, GATE(limits.source.messages.rate), .min = "1/d", .max = "1000000000/s", .preset = "unlimited",
     .doc = "Messages of one source, over all its connections.",
     .reached = "See source.messages.over."},
    {"source.messages.burst", SCHEMA_NUMBER, GATE(limits.source.messages.rate.burst), .min = "0", .max = "1000000000", .preset_words = "what the rate allows in one second",
     .doc = "Messages beyond source.messages.rate that may come at once."},
    {"source.messages.over", SCHEMA_CHOICE, GATE(limits.source.messages.over), .preset = "pause", .choices = over_rate,
     .doc = "What happens over source.messages.rate: pause stops reading the connection until the rate allows more, and loses nothing; drop leaves the message out (with CURVE it pauses); close ends the connection. A REQ client whose request is lost by drop or close waits for the reply for ever."},
    {"source.messages.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_MESSAGES]), .preset_words = "as enforce of the gate",
     .doc = "How source.messages is enforced, as in `enforce`."},
    {"source.bytes.rate", SCHEMA_BYTE_RATE, GATE(limits.source.bytes.rate), .min = "1B/d", .max = "1024GiB/s", .preset = "unlimited",
     .doc = "Bytes of one source, over all its connections; each frame counts at least 64 bytes, and a message that arrives alone counts the buffer that it pins in the application.",
     .reached = "See source.bytes.over."},
    {"source.bytes.burst", SCHEMA_SIZE, GATE(limits.source.bytes.rate.burst), .min = "0B", .max = "1024GiB", .preset_words = "what the rate allows in one second",
     .doc = "Bytes beyond source.bytes.rate that may come at once."},
    {"source.bytes.over", SCHEMA_CHOICE, GATE(limits.source.bytes.over), .preset = "pause", .choices = over_rate,
     .doc = "What happens over source.bytes.rate; the choices are those of source.messages.over."},
    {"source.bytes.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_BYTES]), .preset_words = "as enforce of the gate",
     .doc = "How source.bytes is enforced, as in `enforce`."},
    {"source.commands.rate", SCHEMA_RATE, GATE(limits.source.commands.rate), .min = "1/d", .max = "1000000000/s", .preset = "20000/s",
     .doc = "Pings and pongs of one source. Subscriptions have a rate of their own, subscriptions.rate.",
     .reached = "See source.commands.over."},
    {"source.commands.burst", SCHEMA_NUMBER, GATE(limits.source.commands.rate.burst), .min = "0", .max = "1000000000", .preset = "20000",
     .doc = "Commands beyond source.commands.rate that may come at once."},
    {"source.commands.over", SCHEMA_CHOICE, GATE(limits.source.commands.over), .preset = "pause", .choices = over_rate,
     .doc = "What happens over source.commands.rate; the choices are those of source.messages.over."},
    {"source.commands.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_COMMANDS]), .preset_words = "as enforce of the gate",
     .doc = "How source.commands is enforced, as in `enforce`."},

    {"subscriptions.max", SCHEMA_NUMBER, GATE(limits.subscriptions.max), .min = "1", .max = "16777216", .preset = "16777216",
     .doc = "Subscriptions of one connection.",
     .reached = "See subscriptions.over."},
    {"subscriptions.topic", SCHEMA_SIZE, GATE(limits.subscriptions.topic_bytes), .min = "1B", .max = "64KiB", .preset = "64KiB",
     .doc = "Longest topic.",
     .reached = "See subscriptions.over."},
    {"subscriptions.source_bytes", SCHEMA_SIZE, GATE(limits.subscriptions.source_bytes), .min = "1KiB", .max = "1GiB", .preset = "1GiB",
     .doc = "Topics of one source, over all its connections, in bytes, and 16 more for each.",
     .reached = "See subscriptions.over."},
    {"subscriptions.trie_bytes", SCHEMA_SIZE, GATE(limits.subscriptions.trie_bytes), .min = "64KiB", .max = "1024GiB", .preset = "48MiB",
     .doc = "What the topics of all clients of the gate may take of the application's memory, as libzmq keeps them: in a trie, where a topic costs what it does not share with others. 60 000 numbered topics take 10 MiB, as many random ones of 12 letters 26 MiB.",
     .reached = "Who holds its share of them waits with more; for the others the source that holds most loses a connection."},
    {"subscriptions.rate", SCHEMA_BYTE_RATE, GATE(limits.subscriptions.rate), .min = "1B/d", .max = "1024GiB/s", .preset = "unlimited",
     .doc = "Subscriptions and cancellations of one source, in bytes of the application's memory that they take and give back.",
     .reached = "The connection is not read until the rate allows more."},
    {"subscriptions.burst", SCHEMA_SIZE, GATE(limits.subscriptions.rate.burst), .min = "0B", .max = "1024GiB", .preset = "16MiB",
     .doc = "Subscriptions beyond subscriptions.rate that may come at once."},
    {"subscriptions.total_rate", SCHEMA_BYTE_RATE, GATE(limits.subscriptions.total_rate), .min = "1B/d", .max = "1024GiB/s", .preset = "64MiB/s",
     .doc = "Subscriptions and cancellations of all clients of the gate, in bytes of the application's memory that they take and give back: a publisher needs about 2 ns for each, and publishes nothing meanwhile. The first 16 topics of a connection, of up to 64 bytes, do not wait.",
     .reached = "The connection is not read until the rate allows more."},
    {"subscriptions.total_burst", SCHEMA_SIZE, GATE(limits.subscriptions.total_rate.burst), .min = "0B", .max = "1024GiB", .preset = "2MiB",
     .doc = "Subscriptions beyond subscriptions.total_rate that may come at once."},
    {"subscriptions.removal_rate", SCHEMA_BYTE_RATE, GATE(limits.subscriptions.removal_rate), .min = "1B/d", .max = "1024GiB/s", .preset = "2MiB/s",
     .doc = "Memory that the application looks through when subscribers leave: libzmq walks through the topics of all subscribers for each that goes, and nothing is published meanwhile. The rate rises with the time that the first one has waited, and while connections to the application are short; after half a minute nobody waits.",
     .reached = "The application learns later that a subscriber has left."},
    {"subscriptions.removal_burst", SCHEMA_SIZE, GATE(limits.subscriptions.removal_rate.burst), .min = "0B", .max = "1024GiB", .preset = "2MiB",
     .doc = "Memory beyond subscriptions.removal_rate that may be looked through at once."},
    {"subscriptions.over", SCHEMA_CHOICE, GATE(limits.subscriptions.over), .preset = "pause", .choices = over_rate,
     .doc = "What happens to a subscription over subscriptions.max, subscriptions.topic or subscriptions.source_bytes: pause does not read the connection until there is room (a topic that is too long ends it); close ends the connection; drop leaves the subscription out, so its messages never come."},
    {"subscriptions.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_SUBSCRIPTIONS]), .preset_words = "as enforce of the gate",
     .doc = "How subscriptions.max, subscriptions.topic, subscriptions.source_bytes and subscriptions.rate are enforced, as in `enforce`. A topic of more than 64 KiB is always refused, and what sums over all clients (subscriptions.trie_bytes and the totals) always in force."},
    {"subscriptions.messages.rate", SCHEMA_RATE, GATE(limits.subscriptions.messages.rate), .min = "1/d", .max = "1000000000/s", .preset = "unlimited",
     .doc = "Messages that are no subscriptions, from one subscriber to an XPUB.",
     .reached = "See subscriptions.messages.over."},
    {"subscriptions.messages.burst", SCHEMA_NUMBER, GATE(limits.subscriptions.messages.rate.burst), .min = "0", .max = "1000000000", .preset = "1000",
     .doc = "Such messages beyond subscriptions.messages.rate that may come at once."},
    {"subscriptions.messages.total_rate", SCHEMA_BYTE_RATE, GATE(limits.subscriptions.messages_total), .min = "1B/d", .max = "1024GiB/s", .preset = "2MiB/s",
     .doc = "Such messages of all subscribers of the gate, in bytes, and 96 more for each frame: an XPUB keeps them in a queue without limit, and nobody outside can see whether the application takes them out.",
     .reached = "The connection is not read until the rate allows more."},
    {"subscriptions.messages.total_burst", SCHEMA_SIZE, GATE(limits.subscriptions.messages_total.burst), .min = "0B", .max = "1024GiB", .preset = "16MiB",
     .doc = "Such bytes beyond subscriptions.messages.total_rate that may come at once."},
    {"subscriptions.messages.over", SCHEMA_CHOICE, GATE(limits.subscriptions.messages.over), .preset = "pause", .choices = over_rate,
     .doc = "What happens over subscriptions.messages.rate; the choices are those of source.messages.over. A new connection brings a new burst: make it small where you set close."},
    {"subscriptions.messages.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_SUBSCRIBER_MESSAGES]), .preset_words = "as enforce of the gate",
     .doc = "How subscriptions.messages is enforced, as in `enforce`."},

    {"slow_reader.behind", SCHEMA_SIZE, GATE(limits.slow_reader.behind), .min = "0", .max = "1024GiB", .preset = "64MiB",
     .doc = "What the application holds back for all clients together that do not take what it sends them, as far as Weir can tell: for subscribers what others were sent meanwhile, for requesters what they have asked and not got. Where the application waits for slow receivers (PUSH, DEALER) nobody is slow; 0 means as much as it likes.",
     .reached = "The client that holds most loses its connection. At half of it those give way that would need more than a minute for what waits for them, and strangers."},
    {"slow_reader.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_SLOW_READER]), .preset_words = "as enforce of the gate",
     .doc = "How slow_reader is enforced, as in `enforce`."},

    {"heartbeat.interval", SCHEMA_DURATION, GATE(limits.heartbeat.interval_ns), .min = "10ms", .max = "1m", .preset = "200ms",
     .doc = "How often Weir answers for a connection that it pauses, so that neither end takes the other for dead."},
    {"heartbeat.max_pause", SCHEMA_DURATION, GATE(limits.heartbeat.max_pause_ns), .min = "10ms", .max = "1h", .preset = "5s",
     .doc = "Longest pause of a connection whose heartbeats Weir cannot answer: with CURVE passing through, and while a large message waits at its last octet for an application that sends PINGs.",
     .reached = "The connection is read on, a little at a time."},

    {"routing_ids.duplicates", SCHEMA_CHOICE, GATE(limits.duplicate_ids), .preset = "refuse", .choices = duplicates,
     .doc = "What happens to a client whose routing id another connection of the gate uses: refuse closes the newcomer, unless the connection that has the id shows no sign of life; pass leaves it to the application."},
    {"routing_ids.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_ROUTING_IDS]), .preset_words = "as enforce of the gate",
     .doc = "How routing_ids.duplicates is enforced, as in `enforce`."},

    {"ban.strikes", SCHEMA_NUMBER, GATE(limits.ban.strikes.strikes), .min = "0", .max = "100", .preset = "10",
     .doc = "Strikes within ban.within that get a source banned from every gate, however many connections they came over; verdicts.md says what an offence counts. A source in good standing (ban.standing), or with another connection in good order, is put on probation instead (ban.shared). 0: offences at this gate get nobody banned.",
     .reached = "The source is banned, and newcomers meet ban.action; or it is on probation."},
    {"ban.within", SCHEMA_DURATION, GATE(limits.ban.strikes.within_ns), .min = "10s", .max = "1d", .preset = "10s",
     .doc = "Time in which ban.strikes are forgotten again, one by one. By default one strike is forgotten each second, so that a health check that sends HTTP once a second never gets anybody banned."},
    {"ban.for", SCHEMA_DURATION, GATE(limits.ban.terms.for_ns), .min = "1s", .max = "7d", .preset = "1m",
     .doc = "How long the first ban lasts; each further one lasts twice as long, up to a quarter less at random. One ban less is held against the source for each ban.max without one."},
    {"ban.max", SCHEMA_DURATION, GATE(limits.ban.terms.max_ns), .min = "1s", .max = "30d", .preset = "1d",
     .doc = "The longest ban."},
    {"ban.standing", SCHEMA_DURATION, GATE(limits.ban.standing_ns), .min = "10m", .max = "12h", .preset = "1h",
     .doc = "How long a source is in good standing after something well-behaved was seen of it: a whole message that passed, either way. Counted in steps of five minutes."},
    {"ban.warm_up", SCHEMA_DURATION, GATE(limits.ban.warm_up_ns), .min = "0", .max = "12h", .preset = "1m",
     .doc = "For so long after the start of Weir a source that offends too often is put on probation, and not banned: clients that were well-behaved before the start need time to come back, and Weir cannot know of them yet. Of no effect with ban.shared: ban."},
    {"ban.shared", SCHEMA_CHOICE, GATE(limits.ban.shared), .preset = "probation", .choices = ban_shared,
     .doc = "What becomes of a source in good standing whose connections offend too often: probation lets its newcomers in a few unproven handshakes at a time, for ban.for, and touches no connection that stands; ban bans the address with everybody behind it, and closes their connections."},
    {"ban.for_protocol", SCHEMA_BOOL, GATE(limits.ban.for_protocol), .preset = "true",
     .doc = "Whether breaking the protocol counts."},
    {"ban.for_excess", SCHEMA_BOOL, GATE(limits.ban.for_excess), .preset = "true",
     .doc = "Whether breaking a limit counts where the limit drops or closes. Connections that are only paused do not offend, but for ban.paused."},
    {"ban.paused", SCHEMA_DURATION, GATE(limits.ban.paused_ns), .min = "0", .max = "1d", .preset = "0",
     .doc = "A connection that a rate has paused over and over for this long, without running dry in between, offends once a second from then on (with ban.for_excess). 0: never, since a client that has much to send and lets itself be slowed down looks the same as a flood."},
    {"ban.action", SCHEMA_CHOICE, GATE(limits.ban.action), .preset = "tarpit", .choices = ban_actions,
     .doc = "What newcomers of a banned source meet: tarpit keeps the connection open and reads nothing until the ban ends, so that a client that reconnects ten times a second waits instead; close closes it. With tarpit the connection of the offence that is one too many, and of each one on probation, is kept in the same way for ban.for, and that of a client with a mistake (a wrong socket type, mechanism or version) for a second before it is closed."},
    {"ban.tarpit", SCHEMA_NUMBER, GATE(limits.ban.tarpit), .min = "0", .max = "65536", .preset = "256",
     .doc = "Connections of banned sources, and of those who offend or are mistaken, that the gate keeps open and does not read; each takes a descriptor and about 100 bytes of memory. All gates together keep at most as many as a sixteenth of Weir's descriptor limit.",
     .reached = "Further ones are closed at once."},
    {"ban.kernel", SCHEMA_CHOICE, GATE(ban_kernel), .restart = true, .preset = "off", .choices = ban_kernels,
     .doc = "nftables: the kernel, too, drops what banned addresses send to this gate, whichever gate they were banned at, so that they cost Weir nothing and meet no ban.action; needs CAP_NET_ADMIN, and a gate on tcp. Each ban ends in the kernel by itself, even if Weir does not run any more. xdp: the same, earlier and cheaper, for what comes over ban.interface; needs CAP_BPF, too, and root at the start. off: Weir alone keeps them out; what an earlier run has told the kernel is removed at the start, or without the right to stays until it runs out, for a day at most. Without the right to, there is a warning, and Weir alone keeps them out."},
    {"ban.interface", SCHEMA_NAME, GATE(ban_interface), .restart = true, .preset_words = "none",
     .doc = "Network interface over which the clients of this gate come; ban.kernel: xdp needs it. What comes over others, Weir alone keeps out."},
    {"ban.exempt", SCHEMA_NETWORKS, GATE(ban_exempt), .min = "0", .max = "32", .preset_words = "none",
     .doc = "Sources whose offences are not counted, and that no ban keeps out of this gate."},
    {"ban.enforce", SCHEMA_ENFORCE, GATE(limits.enforce[RULE_BAN]), .preset_words = "as enforce of the gate",
     .doc = "How strikes and bans are enforced, as in `enforce`. In shadow nobody is banned for offences at this gate, and who was banned for them elsewhere may come in; strikes and the bans that would follow are counted, also strikes for rules in shadow. Bans by an operator are always in force."},

    {"concurrency.limit", SCHEMA_CHOICE, GATE(limits.concurrency.limit), .preset = "auto", .choices = concurrency_limits,
     .doc = "auto: messages of clients that were not served before, or ask for far more than they ever had, wait while the application provably has enough to do (its counter says so, or it was seen to be a plain request/reply service and answers become slower but not more); all others pass at once. off: everything is passed on as fast as each connection takes it, and concurrency.max and concurrency.shed have no effect; a reload changes it for connections that are there, too."},
    {"concurrency.max", SCHEMA_NUMBER, GATE(limits.concurrency.max), .restart = true, .min = "0", .max = "65536", .preset = "0",
     .doc = "Messages that the application may have unanswered at most, for one of which you know how many requests it works on at a time. 0: no such limit. Connections whose messages are not answered do not count, and for a PULL or SUB the limit means nothing.",
     .reached = "Messages wait in Weir, in the order of what their senders were served."},
    {"concurrency.shed.over", SCHEMA_CHOICE, GATE(limits.concurrency.shed.over), .preset = "wait", .choices = over_wait,
     .doc = "What becomes of a request that has waited in line for twice concurrency.shed.target, while no request of its source was served within the target for concurrency.shed.interval: wait leaves it in line; reply answers it with concurrency.shed.reply (not while earlier requests of the connection are unanswered); close ends its connection; drop leaves it out. Where classes have priorities, the lowest that waits is shed first: each above has twice the patience of the one below. What waits for a PULL or SUB, and CURVE, is never shed; what is larger than message.hold only by close."},
    {"concurrency.shed.target", SCHEMA_DURATION, GATE(limits.concurrency.shed.target_ns), .min = "1ms", .max = "1h", .preset = "5ms",
     .doc = "A wait in line that is no cause for concern."},
    {"concurrency.shed.interval", SCHEMA_DURATION, GATE(limits.concurrency.shed.interval_ns), .min = "1ms", .max = "1h", .preset = "100ms",
     .doc = "How long all requests of a source must have waited longer than the target before any is shed: a burst is no overload."},
    {"concurrency.shed.reply", SCHEMA_TEXT, GATE(shed_reply), .preset = "overloaded",
     .doc = "The body of the answer to a request that is shed; its envelope is the request's. A request whose envelope takes more than 1 KiB is left out unanswered."},

    {"classes", SCHEMA_OBJECTS, GATE(classes), .restart = true, .min = "0", .max = "32", .preset_words = "none", .items = &schema_class,
     .doc = "Clients that are served differently from others when the application cannot take all that is sent, by their network; see below. The application reads the class of a message's sender in the property X-Weir-Class, except with CURVE. A client that is in several networks is of the class with the smallest of them; one that is in none is of the class default."},

    {"breaker.failures", SCHEMA_NUMBER, GATE(breaker.failures), .min = "0", .max = "1000000", .preset = "5",
     .doc = "Failures in a row that open the circuit breaker: connections to the application that failed, or that it ended or left unanswered in the handshake for no reason that a client can give it; 0 means that they never do.",
     .reached = "New connections to the application are held back for breaker.for; see breaker.open."},
    {"breaker.stall", SCHEMA_DURATION, GATE(breaker_stall_ns), .min = "0", .max = "1d", .preset = "0",
     .doc = "Opens the breaker when connections have waited this long to be read by the application, which meanwhile took no byte of any connection of the gate, and sent no message; 0 means never. An application that is slow but alive may read a full queue only when half of it is done: set this well above the time it takes for 500 messages.",
     .reached = "As for breaker.failures."},
    {"breaker.for", SCHEMA_DURATION, GATE(breaker.for_ns), .min = "100ms", .max = "1h", .preset = "1s",
     .doc = "How long the breaker is open the first time; twice as long each time that a trial fails, up to a quarter less at random. A greeting of an application that could not be reached, or a byte taken by one that stood still, ends it early."},
    {"breaker.max", SCHEMA_DURATION, GATE(breaker.max_ns), .min = "100ms", .max = "1d", .preset = "30s",
     .doc = "The longest that it is open before the next trial."},
    {"breaker.trials", SCHEMA_NUMBER, GATE(breaker.trials), .min = "1", .max = "1000", .preset = "4",
     .doc = "Connections at a time that try the application when the open time is over (half-open); the others wait. One that succeeds closes the breaker."},
    {"breaker.slow_start", SCHEMA_DURATION, GATE(breaker.slow_start_ns), .min = "0", .max = "1h", .preset = "1s",
     .doc = "Time after closing in which the share of newcomers that go through grows from the trials to all; keep it below 30 s, or those whose turn comes last are closed and come again. 0 means all at once."},
    {"breaker.open", SCHEMA_CHOICE, GATE(breaker_open), .preset = "pause", .choices = breaker_meets,
     .doc = "What newcomers meet while the breaker is open: pause lets them wait for up to 30 s; refuse closes them at once."},
};

static const struct schema_key class_keys[] = {
    {"name", SCHEMA_NAME, CLASS(name), .preset_words = "required",
     .doc = "Name of the class in metrics and in X-Weir-Class; unique in the gate. The class named default is that of all clients that are in no other: it has weight and priority, and no match."},
    {"match.networks", SCHEMA_NETWORKS, CLASS(networks), .min = "1", .max = "256", .preset_words = "required, but for the class default",
     .doc = "Networks and addresses whose clients are of this class; uid:NUMBER is a user on ipc://. Each network belongs to one class."},
    {"weight", SCHEMA_NUMBER, CLASS(weight), .min = "1", .max = "100", .preset = "1",
     .doc = "How many messages a connection of the class may pass when it is next, among those in line that were served equally little. A client that is in no line is not concerned."},
    {"priority", SCHEMA_NUMBER, CLASS(priority), .min = "1", .max = "4", .preset = "2",
     .doc = "Of the messages in line those of a lower number go first; one in eight is for the next number that waits, so that nobody starves. Within a priority whoever was served least of what is due to it goes first, then weights count. What is within its claim passes at once, whatever its priority."},
};

/* clang-format on */

_Static_assert(CLASSES_MAX == 32 && CLASS_NETWORKS_MAX == 256 && CLASS_PRIORITIES == 4 && CLASS_PRIORITY_DEFAULT == 2,
               "as the rows have it");
_Static_assert(ARRAY_LEN(top_keys) <= SCHEMA_KEYS_MAX && ARRAY_LEN(gate_keys) <= SCHEMA_KEYS_MAX,
               "arrays indexed by row");

const struct schema schema_top = {
    .keys = top_keys, .count = ARRAY_LEN(top_keys), .noun = "the file", .prefix = "", .size = sizeof(struct config)};
const struct schema schema_gate = {.keys = gate_keys,
                                   .count = ARRAY_LEN(gate_keys),
                                   .noun = "a gate",
                                   .prefix = "",
                                   .size = sizeof(struct config_gate)};
const struct schema schema_class = {.keys = class_keys,
                                    .count = ARRAY_LEN(class_keys),
                                    .noun = "a class",
                                    .prefix = "classes.",
                                    .size = sizeof(struct config_class)};

const struct schema *const schemas[SCHEMAS] = {&schema_top, &schema_gate, &schema_class};

const struct schema_key *schema_find(const struct schema *s, const char *path)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->keys[i].path, path))
            return &s->keys[i];
    return NULL;
}

const struct schema_key *schema_section(const struct schema *s, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < s->count; i++)
        if (!strncmp(s->keys[i].path, path, len) && s->keys[i].path[len] == '.')
            return &s->keys[i];
    return NULL;
}

const char *schema_type_words(enum schema_type t)
{
    static const char *const words[] = {
        [SCHEMA_NUMBER] = "a number",
        [SCHEMA_SIZE] = "a size",
        [SCHEMA_DURATION] = "a duration",
        [SCHEMA_RATE] = "a rate",
        [SCHEMA_BYTE_RATE] = "a rate of bytes",
        [SCHEMA_SPEED] = "a speed",
        [SCHEMA_BOOL] = "true or false",
        [SCHEMA_CHOICE] = "one of the words",
        [SCHEMA_ENFORCE] = "a way to enforce a rule",
        [SCHEMA_NAME] = "a name",
        [SCHEMA_LISTEN] = "an endpoint",
        [SCHEMA_FORWARD] = "an endpoint",
        [SCHEMA_PATH] = "an absolute path",
        [SCHEMA_TEXT] = "a text",
        [SCHEMA_ADMIN_ADDR] = "an address and port",
        [SCHEMA_NETWORKS] = "a network",
        [SCHEMA_PATHS] = "an absolute path",
        [SCHEMA_OBJECTS] = "a mapping",
    };
    return words[t];
}

/* The place of an item in the file does not count. */
static bool items_equal(const struct schema_key *list, const void *a, const void *b)
{
    if (list->type == SCHEMA_PATHS)
        return !strcmp(((const struct config_path *)a)->path, ((const struct config_path *)b)->path);
    if (!list->items)
        return network_equal(&((const struct config_network *)a)->network,
                             &((const struct config_network *)b)->network);
    for (size_t i = 0; i < list->items->count; i++)
        if (!schema_equal(&list->items->keys[i], a, b))
            return false;
    return true;
}

/* The order of items counts. */
static bool lists_equal(const struct schema_key *k, struct schema_list a, struct schema_list b)
{
    size_t size = schema_item_size(k);
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i < a.count; i++)
        if (!items_equal(k, (const char *)a.at + i * size, (const char *)b.at + i * size))
            return false;
    return true;
}

bool schema_equal(const struct schema_key *k, const void *a, const void *b)
{
    const char *left = (const char *)a + k->offset, *right = (const char *)b + k->offset;
    struct rate l, r;
    switch (k->type) {
    case SCHEMA_NAME:
    case SCHEMA_LISTEN:
    case SCHEMA_FORWARD:
    case SCHEMA_PATH:
    case SCHEMA_TEXT:
    case SCHEMA_ADMIN_ADDR:
        return !strcmp(left, right);
    case SCHEMA_NETWORKS:
    case SCHEMA_PATHS:
    case SCHEMA_OBJECTS:
        return lists_equal(k, schema_get_list(k, a), schema_get_list(k, b));
    case SCHEMA_RATE:
    case SCHEMA_BYTE_RATE:
        memcpy(&l, left, sizeof(l));
        memcpy(&r, right, sizeof(r));
        return l.count == r.count && (l.count == 0 || l.period_ns == r.period_ns);
    default:
        return !memcmp(left, right, k->width);
    }
}

uint64_t schema_get(const struct schema_key *k, const void *base)
{
    const char *field = (const char *)base + k->offset;
    uint32_t narrow;
    uint64_t wide;
    if (k->width == sizeof(wide)) {
        memcpy(&wide, field, sizeof(wide));
        return wide;
    }
    assert(k->width == sizeof(narrow));
    memcpy(&narrow, field, sizeof(narrow));
    return narrow;
}

void schema_put(const struct schema_key *k, void *base, uint64_t value)
{
    char *field = (char *)base + k->offset;
    uint32_t narrow = (uint32_t)value;
    assert(k->width == sizeof(value) || (k->width == sizeof(narrow) && narrow == value));
    if (k->width == sizeof(value))
        memcpy(field, &value, sizeof(value));
    else
        memcpy(field, &narrow, sizeof(narrow));
}

size_t schema_item_size(const struct schema_key *k)
{
    if (k->type == SCHEMA_PATHS)
        return sizeof(struct config_path);
    return k->items ? k->items->size : sizeof(struct config_network);
}

static size_t schema_number_of(const char *text)
{
    uint64_t n = 0;
    int r = units_parse_count(text, &n);
    assert(r == 0); /* a constant, read by a test */
    (void)r;
    return (size_t)n;
}

size_t schema_items_least(const struct schema_key *k)
{
    return schema_number_of(k->min);
}

size_t schema_items_most(const struct schema_key *k)
{
    return schema_number_of(k->max);
}

struct schema_list schema_get_list(const struct schema_key *k, const void *base)
{
    struct schema_list list;
    assert(schema_is_list(k) && k->width == sizeof(list));
    memcpy(&list, (const char *)base + k->offset, sizeof(list));
    return list;
}

void schema_put_list(const struct schema_key *k, void *base, struct schema_list list)
{
    assert(schema_is_list(k) && k->width == sizeof(list));
    memcpy((char *)base + k->offset, &list, sizeof(list));
}

void schema_free_lists(const struct schema *s, void *base)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct schema_key *k = &s->keys[i];
        if (!schema_is_list(k))
            continue;
        struct schema_list list = schema_get_list(k, base);
        for (size_t n = 0; k->items && n < list.count; n++)
            schema_free_lists(k->items, (char *)list.at + n * k->items->size);
        free(list.at);
        schema_put_list(k, base, (struct schema_list){0});
    }
}
