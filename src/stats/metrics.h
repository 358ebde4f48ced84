/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Every metric that Weir exports, in two tables. Cells are counted by workers: there is one set of cells for each
 * worker and gate, and a scrape adds them up. Readings are taken at the scrape. The enum, the exposition and
 * docs/metrics.md come from these rows.
 *
 * CELL(NAME, metric, type, labels, help)     labels: fixed, without the gate's, e.g. "direction=\"in\""; "" for none
 * READING(NAME, metric, type, names, help)   names: of its labels, comma-separated, in the order of the values, or ""
 *
 * Rows of one metric are adjacent. Names follow the Prometheus conventions (base units, _total on counters). No label
 * carries text that a peer chose, so that peers cannot make new series.
 */
#ifndef WEIR_STATS_METRICS_H
#define WEIR_STATS_METRICS_H

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

#define METRIC_CELLS(CELL)                                                                                             \
    CELL(ACCEPTED, "weir_connections_accepted_total", METRIC_COUNTER, "",                                              \
         "Client connections accepted by the listener.")                                                               \
    CELL(ESTABLISHED, "weir_connections_established_total", METRIC_COUNTER, "",                                        \
         "Client connections whose handshake with the application succeeded.")                                         \
    CELL(CLOSED, "weir_connections_closed_total", METRIC_COUNTER, "",                                                  \
         "Client connections closed, for whatever reason.")                                                            \
    CELL(OPEN, "weir_connections", METRIC_GAUGE, "", "Client connections open now, unfinished handshakes included.")   \
    CELL(CONNECTIONS_PEAK, "weir_connections_peak", METRIC_GAUGE, "",                                                  \
         "Most connections with a finished handshake so far, looked at once a second.")                                \
    CELL(HALF_OPEN, "weir_connections_half_open", METRIC_GAUGE, "",                                                    \
         "Client connections whose handshake is not finished.")                                                        \
    CELL(WAITING, "weir_connections_waiting", METRIC_GAUGE, "", "Newcomers held back by source.connections.rate.")     \
    CELL(UNNAMED, "weir_connections_unnamed", METRIC_GAUGE, "",                                                        \
         "Connections from proxy_protocol.from whose PROXY protocol header has not come yet.")                         \
    CELL(SHARED_ADDRESSES, "weir_shared_addresses_total", METRIC_COUNTER, "",                                          \
         "Times that one address, looked at once a day, held so much of the gate that it looks like a load balancer "  \
         "or NAT.")                                                                                                    \
    CELL(UNJUDGED, "weir_connections_unjudged", METRIC_GAUGE, "",                                                      \
         "Connections that are passed on without judging them, since the application does not speak ZMTP (weir run).") \
    CELL(PAUSED, "weir_connections_paused", METRIC_GAUGE, "",                                                          \
         "Connections that are not read now because a limit says so.")                                                 \
    CELL(BLOCKED_IN, "weir_connections_blocked", METRIC_GAUGE, "direction=\"in\"",                                     \
         "Connections whose receiver takes nothing now (backpressure), by direction.")                                 \
    CELL(BLOCKED_OUT, "weir_connections_blocked", METRIC_GAUGE, "direction=\"out\"",                                   \
         "Connections whose receiver takes nothing now (backpressure), by direction.")                                 \
    CELL(MESSAGES_IN, "weir_messages_total", METRIC_COUNTER, "direction=\"in\"",                                       \
         "Messages passed on: in to the application, out to clients. With CURVE, frames.")                             \
    CELL(MESSAGES_OUT, "weir_messages_total", METRIC_COUNTER, "direction=\"out\"",                                     \
         "Messages passed on: in to the application, out to clients. With CURVE, frames.")                             \
    CELL(BUSIEST_IN, "weir_busiest_second_messages", METRIC_GAUGE, "direction=\"in\"",                                 \
         "Most messages passed in a second so far.")                                                                   \
    CELL(BUSIEST_OUT, "weir_busiest_second_messages", METRIC_GAUGE, "direction=\"out\"",                               \
         "Most messages passed in a second so far.")                                                                   \
    CELL(BUSIEST_EACH, "weir_busiest_second_messages_each", METRIC_GAUGE, "",                                          \
         "Most messages passed to clients in a second so far, divided by the connections.")                            \
    CELL(HEAVIEST_IN, "weir_heaviest_second_message_bytes", METRIC_GAUGE, "direction=\"in\"",                          \
         "Largest mean size so far of the messages of a second, of seconds with 16 messages or more.")                 \
    CELL(HEAVIEST_OUT, "weir_heaviest_second_message_bytes", METRIC_GAUGE, "direction=\"out\"",                        \
         "Largest mean size so far of the messages of a second, of seconds with 16 messages or more.")                 \
    CELL(ACTIVE_IN, "weir_active_seconds_total", METRIC_COUNTER, "direction=\"in\"",                                   \
         "Seconds in which messages passed.")                                                                          \
    CELL(ACTIVE_OUT, "weir_active_seconds_total", METRIC_COUNTER, "direction=\"out\"",                                 \
         "Seconds in which messages passed.")                                                                          \
    CELL(FRAMES_IN, "weir_frames_total", METRIC_COUNTER, "direction=\"in\"", "Message frames passed on.")              \
    CELL(FRAMES_OUT, "weir_frames_total", METRIC_COUNTER, "direction=\"out\"", "Message frames passed on.")            \
    CELL(COMMANDS_IN, "weir_commands_total", METRIC_COUNTER, "direction=\"in\"",                                       \
         "Command frames passed on after the handshake.")                                                              \
    CELL(COMMANDS_OUT, "weir_commands_total", METRIC_COUNTER, "direction=\"out\"",                                     \
         "Command frames passed on after the handshake.")                                                              \
    CELL(RECEIVED_IN, "weir_received_bytes_total", METRIC_COUNTER, "direction=\"in\"",                                 \
         "Bytes read: in from clients, out from the application.")                                                     \
    CELL(RECEIVED_OUT, "weir_received_bytes_total", METRIC_COUNTER, "direction=\"out\"",                               \
         "Bytes read: in from clients, out from the application.")                                                     \
    CELL(SENT_IN, "weir_sent_bytes_total", METRIC_COUNTER, "direction=\"in\"",                                         \
         "Bytes written: in to the application, out to clients.")                                                      \
    CELL(SENT_OUT, "weir_sent_bytes_total", METRIC_COUNTER, "direction=\"out\"",                                       \
         "Bytes written: in to the application, out to clients.")                                                      \
    CELL(DROPPED_MESSAGES, "weir_dropped_messages_total", METRIC_COUNTER, "",                                          \
         "Whole messages from clients dropped by a limit whose action is drop.")                                       \
    CELL(PAUSES, "weir_pauses_total", METRIC_COUNTER, "", "Times that a connection was paused by a limit.")            \
    CELL(KEEPALIVES, "weir_keepalives_total", METRIC_COUNTER, "",                                                      \
         "PONGs sent by Weir in the name of a paused or blocked connection.")                                          \
    CELL(HELD, "weir_held_bytes", METRIC_GAUGE, "", "Bytes of peers that wait in Weir's buffers (buffer capacity).")   \
    CELL(READS_DEFERRED, "weir_reads_deferred_total", METRIC_COUNTER, "",                                              \
         "Reads put off because the memory is under pressure.")                                                        \
    CELL(UNFINISHED, "weir_unfinished_bytes", METRIC_GAUGE, "",                                                        \
         "Bytes of unfinished streaming messages that the application holds.")                                         \
    CELL(TOPIC_BYTES, "weir_topic_bytes", METRIC_GAUGE, "",                                                            \
         "Memory of the application that the topics subscribed through this gate take, estimated.")                    \
    CELL(SUBSCRIPTIONS, "weir_subscriptions", METRIC_GAUGE, "", "Subscriptions held through this gate.")               \
    CELL(LIMITER_STATE, "weir_limiter_state", METRIC_GAUGE, "",                                                        \
         "What the request limiter does: 0 none (nobody is over its claim, or concurrency.limit is off), 1 probing "   \
         "(somebody is, and there is no proof to hold on), 2 active (messages may be held).")                          \
    CELL(LIMITER_ESTABLISHED, "weir_limiter_connections", METRIC_GAUGE, "standing=\"established\"",                    \
         "Connections in the request limiter, by standing: established ones were served in calm time.")                \
    CELL(LIMITER_STRANGERS, "weir_limiter_connections", METRIC_GAUGE, "standing=\"stranger\"",                         \
         "Connections in the request limiter, by standing: established ones were served in calm time.")                \
    CELL(LIMITER_OVER, "weir_limiter_connections_over", METRIC_GAUGE, "",                                              \
         "Active connections that are strangers, or far above what they were ever served.")                            \
    CELL(IN_LINE, "weir_connections_queued", METRIC_GAUGE, "", "Connections with a message that is held back.")        \
    CELL(HELD_MESSAGES, "weir_held_messages", METRIC_GAUGE, "",                                                        \
         "Messages of these connections, as far as they are read.")                                                    \
    CELL(HELD_BY_COUNTER, "weir_held_messages_total", METRIC_COUNTER, "proof=\"counter\"",                             \
         "Messages that had to wait for others, by what the hold rested on: the application's counter, latency, or "   \
         "concurrency.max.")                                                                                           \
    CELL(HELD_BY_LATENCY, "weir_held_messages_total", METRIC_COUNTER, "proof=\"latency\"",                             \
         "Messages that had to wait for others, by what the hold rested on: the application's counter, latency, or "   \
         "concurrency.max.")                                                                                           \
    CELL(HELD_BY_MAX, "weir_held_messages_total", METRIC_COUNTER, "proof=\"max\"",                                     \
         "Messages that had to wait for others, by what the hold rested on: the application's counter, latency, or "   \
         "concurrency.max.")                                                                                           \
    CELL(PASSED_BY_COUNTER, "weir_held_messages_passed_total", METRIC_COUNTER, "proof=\"counter\"",                    \
         "Of these, messages that went on; the others wait, or their clients have left.")                              \
    CELL(PASSED_BY_LATENCY, "weir_held_messages_passed_total", METRIC_COUNTER, "proof=\"latency\"",                    \
         "Of these, messages that went on; the others wait, or their clients have left.")                              \
    CELL(PASSED_BY_MAX, "weir_held_messages_passed_total", METRIC_COUNTER, "proof=\"max\"",                            \
         "Of these, messages that went on; the others wait, or their clients have left.")                              \
    CELL(NO_PROGRESS, "weir_holds_without_progress_total", METRIC_COUNTER, "",                                         \
         "Times that messages were held while the application had nothing to do. Such a hold ends by itself; each is " \
         "worth a look.")                                                                                              \
    CELL(WINDOW_UNTAKEN, "weir_limiter_window_messages", METRIC_GAUGE, "proof=\"counter\"",                            \
         "Messages that may lie untaken (counter) or be unanswered (latency) while others are held; 0 where that "     \
         "limits nothing now, or, with a counter, where one goes on when the last was taken.")                         \
    CELL(WINDOW_IN_HAND, "weir_limiter_window_messages", METRIC_GAUGE, "proof=\"latency\"",                            \
         "Messages that may lie untaken (counter) or be unanswered (latency) while others are held; 0 where that "     \
         "limits nothing now, or, with a counter, where one goes on when the last was taken.")                         \
    CELL(UNTAKEN, "weir_untaken_messages", METRIC_GAUGE, "",                                                           \
         "Messages passed to the application that it has not taken yet, by its counter; 0 without one.")               \
    CELL(UNTAKEN_PEAK, "weir_untaken_messages_peak", METRIC_GAUGE, "",                                                 \
         "Most messages so far that the application had been passed and had not taken, by its counter.")               \
    CELL(UNANSWERED, "weir_unanswered_messages", METRIC_GAUGE, "",                                                     \
         "Messages passed to the application and not answered yet, of connections that are answered. Nothing is held " \
         "for them alone.")                                                                                            \
    CELL(COUNTER_STATE, "weir_counter_state", METRIC_GAUGE, "",                                                        \
         "The counter of the application (the key counter): 0 absent, 1 believed, 2 slow (nothing is taken although "  \
         "messages lie there), 3 doubted (it contradicts what passes, and is ignored).")                               \
    CELL(COUNTER_TAKEN, "weir_counter_taken_messages_total", METRIC_COUNTER, "",                                       \
         "Messages that the application has taken, as its counter says.")                                              \
    CELL(BUSIEST_TAKEN, "weir_busiest_second_taken_messages", METRIC_GAUGE, "",                                        \
         "Most messages that the application has taken in a second so far, as its counter says.")                      \
    CELL(PLAIN_SERVICE, "weir_plain_service", METRIC_GAUGE, "",                                                        \
         "Whether the application is a plain request/reply service: 0 not known, 1 yes, 2 no. Without a counter only " \
         "such a one is limited.")                                                                                     \
    CELL(LINGERING, "weir_upstream_lingering", METRIC_GAUGE, "",                                                       \
         "Connections to the application whose client has gone and whose end the application has not seen yet.")       \
    CELL(LEAVING, "weir_subscribers_leaving", METRIC_GAUGE, "",                                                        \
         "Of these, subscribers of which the application was not told yet (subscriptions.removal_rate).")              \
    CELL(STRIKES_PROTOCOL, "weir_strikes_total", METRIC_COUNTER, "offence=\"protocol\"",                               \
         "Strikes against sources, by the kind of offence.")                                                           \
    CELL(STRIKES_EXCESS, "weir_strikes_total", METRIC_COUNTER, "offence=\"excess\"",                                   \
         "Strikes against sources, by the kind of offence.")                                                           \
    CELL(STRIKE_WARNINGS, "weir_strike_warnings_total", METRIC_COUNTER, "",                                            \
         "Times that a source had half of the strikes that get it banned, or put on probation.")                       \
    CELL(PROBATIONS, "weir_probations_total", METRIC_COUNTER, "",                                                      \
         "Times that a source in good standing was put on probation, where another would have been banned.")           \
    CELL(SHADOW_STRIKES, "weir_shadow_strikes_total", METRIC_COUNTER, "",                                              \
         "Strikes against sources where the ban is in shadow, for rules in force and in shadow.")                      \
    CELL(SHADOW_BANS, "weir_shadow_bans_total", METRIC_COUNTER, "", "Bans that would have followed from them.")        \
    CELL(SHADOW_PROBATIONS, "weir_shadow_probations_total", METRIC_COUNTER, "",                                        \
         "The same of sources in good standing: probations in place of bans.")                                         \
    CELL(TARPITTED, "weir_connections_tarpitted", METRIC_GAUGE, "",                                                    \
         "Connections of banned sources, offenders and mistaken clients that are kept open and not read.")             \
    CELL(UPSTREAM_CONNECTS, "weir_upstream_connects_total", METRIC_COUNTER, "",                                        \
         "Connections opened to the application.")                                                                     \
    CELL(UPSTREAM_FAILURES, "weir_upstream_connect_failures_total", METRIC_COUNTER, "",                                \
         "Failed attempts to connect to the application.")

#define METRIC_READINGS(READING)                                                                                       \
    READING(BUILD_INFO, "weir_build_info", METRIC_GAUGE, "version", "Always 1; the label tells which version runs.")   \
    READING(START_TIME, "process_start_time_seconds", METRIC_GAUGE, "",                                                \
            "When the process started, in seconds since the Unix epoch.")                                              \
    READING(CPU, "process_cpu_seconds_total", METRIC_COUNTER, "",                                                      \
            "User and system CPU time that the process has used.")                                                     \
    READING(RESIDENT, "process_resident_memory_bytes", METRIC_GAUGE, "", "Resident memory of the process.")            \
    READING(OPEN_FDS, "process_open_fds", METRIC_GAUGE, "", "File descriptors that the process has open.")             \
    READING(MAX_FDS, "process_max_fds", METRIC_GAUGE, "", "File descriptors that the process may have open.")          \
    READING(RELOADS, "weir_reloads_total", METRIC_COUNTER, "result",                                                   \
            "Times that the configuration was read again, by result: done or refused.")                                \
    READING(CONFIG_GENERATION, "weir_config_generation", METRIC_GAUGE, "",                                             \
            "Which configuration is in force: 1 is that of the start, each reload adds 1.")                            \
    READING(CONFIG_LOADED, "weir_config_loaded_timestamp_seconds", METRIC_GAUGE, "",                                   \
            "When the configuration in force was read, in seconds since the Unix epoch.")                              \
    READING(GATES, "weir_gates", METRIC_GAUGE, "", "Gates that listen.")                                               \
    READING(GATES_OPENED, "weir_gates_opened_total", METRIC_COUNTER, "",                                               \
            "Gates opened: those of weir serve at the start, under weir run each time that a program begins to "       \
            "listen. The series of a gate that was closed are shown for five minutes more.")                           \
    READING(GATES_REFUSED, "weir_gates_refused_total", METRIC_COUNTER, "",                                             \
            "Times that a program under weir run listens without a gate, since there was none to be had; the log "     \
            "says why.")                                                                                               \
    READING(WORKERS, "weir_workers", METRIC_GAUGE, "", "Worker threads.")                                              \
    READING(MEMORY_HELD, "weir_memory_held_bytes", METRIC_GAUGE, "",                                                   \
            "Memory held on behalf of peers, all gates together.")                                                     \
    READING(MEMORY_PEAK, "weir_memory_peak_bytes", METRIC_GAUGE, "", "The most memory ever held on behalf of peers.")  \
    READING(MEMORY_LIMIT, "weir_memory_limit_bytes", METRIC_GAUGE, "",                                                 \
            "The memory limit, which weir_memory_held_bytes never passes.")                                            \
    READING(MEMORY_PRESSURE, "weir_memory_pressure", METRIC_GAUGE, "",                                                 \
            "How full the memory is: 0 below 70 %, 1 above, 2 above 85 %, 3 above 95 % of weir_memory_limit_bytes.")   \
    READING(SOURCES, "weir_sources", METRIC_GAUGE, "", "Sources that the gates remember in their source tables.")      \
    READING(SOURCES_CAPACITY, "weir_sources_capacity", METRIC_GAUGE, "", "Entries of the source tables.")              \
    READING(SOURCES_CREATED, "weir_sources_created_total", METRIC_COUNTER, "",                                         \
            "Entries of the source tables taken for a source that had none.")                                          \
    READING(SOURCES_EVICTED, "weir_sources_evicted_total", METRIC_COUNTER, "",                                         \
            "Of those, taken over from a source that was idle.")                                                       \
    READING(SOURCE_FALLBACKS, "weir_source_fallbacks_total", METRIC_COUNTER, "",                                       \
            "Times that a source was counted with its network because its set of a table was full.")                   \
    READING(SOURCE_TABLE, "weir_source_table_bytes", METRIC_GAUGE, "",                                                 \
            "Memory of the source tables, touched as they fill.")                                                      \
    READING(BANS, "weir_bans", METRIC_GAUGE, "", "Sources and networks that are banned now.")                          \
    READING(BANS_REMEMBERED, "weir_bans_remembered", METRIC_GAUGE, "",                                                 \
            "Entries of the ban table: banned, or with bans still held against them.")                                 \
    READING(BANS_SET, "weir_bans_total", METRIC_COUNTER, "reason", "Bans, by reason.")                                 \
    READING(BANS_LIFTED, "weir_bans_lifted_total", METRIC_COUNTER, "", "Bans lifted before their end.")                \
    READING(BANS_REPLACED, "weir_bans_replaced_total", METRIC_COUNTER, "",                                             \
            "Bans that gave way to others because the ban table was full.")                                            \
    READING(BANS_REFUSED, "weir_bans_refused_total", METRIC_COUNTER, "",                                               \
            "Bans that found no room: the ban table was full of bans of operators and lists.")                         \
    READING(ADMIN_UNAUTHORIZED, "weir_admin_unauthorized_total", METRIC_COUNTER, "",                                   \
            "Requests of the admin API that were sent away because they showed no token or a wrong one.")              \
    READING(EVENTS, "weir_events_total", METRIC_COUNTER, "result",                                                     \
            "Events for the event log, by result: written, suppressed (by events.rate and events.source_rate), lost "  \
            "(they came faster than they could be written), failed (the file could not be written).")                  \
    READING(LOG_LINES_LOST, "weir_log_lines_lost_total", METRIC_COUNTER, "",                                           \
            "Lines of the log that were lost because standard error took no more.")                                    \
    READING(KERNEL_IN_FORCE, "weir_kernel_bans_in_force", METRIC_GAUGE, "",                                            \
            "Whether the kernel keeps the banned out, too (ban.kernel): 0 no, 1 yes.")                                 \
    READING(KERNEL_BANS, "weir_kernel_bans", METRIC_GAUGE, "",                                                         \
            "Bans that the kernel has been told of and that have not run out.")                                        \
    READING(KERNEL_PACKETS, "weir_kernel_dropped_packets_total", METRIC_COUNTER, "",                                   \
            "Packets of the banned that the kernel has dropped.")                                                      \
    READING(KERNEL_BYTES, "weir_kernel_dropped_bytes_total", METRIC_COUNTER, "", "Bytes of these packets.")            \
    READING(KERNEL_REPLACEMENTS, "weir_kernel_replacements_total", METRIC_COUNTER, "",                                 \
            "Times that all bans were sent to the kernel again.")                                                      \
    READING(KERNEL_FAILURES, "weir_kernel_failures_total", METRIC_COUNTER, "",                                         \
            "Times that the kernel did not take what it was told of bans.")                                            \
    READING(GATE_INFO, "weir_gate_info", METRIC_GAUGE, "gate,listen,forward,socket,mechanism",                         \
            "Always 1; the labels tell the gate's addresses, and what Weir has learned of the application.")           \
    READING(                                                                                                           \
        APPLICATION_HWM, "weir_application_hwm", METRIC_GAUGE, "gate,direction",                                       \
        "High-water marks that the application's socket had when it was bound (in: ZMQ_RCVHWM, out: ZMQ_SNDHWM; 0: "   \
        "no limit). Only under weir run, where libzmq can be reached.")                                                \
    READING(UPSTREAM_UP, "weir_upstream_up", METRIC_GAUGE, "gate",                                                     \
            "Whether the application answered when it was last tried.")                                                \
    READING(BREAKER_STATE, "weir_breaker_state", METRIC_GAUGE, "gate",                                                 \
            "The circuit breaker of the application: 0 closed, 1 half-open, 2 open.")                                  \
    READING(BREAKER_OPENED, "weir_breaker_opened_total", METRIC_COUNTER, "gate",                                       \
            "Times that the circuit breaker opened, also again after a trial.")                                        \
    READING(CONNECTIONS_MAX, "weir_connections_max", METRIC_GAUGE, "gate",                                             \
            "Client connections that the gate takes at most.")                                                         \
    READING(CLASS_CONNECTIONS, "weir_class_connections", METRIC_GAUGE, "gate,class",                                   \
            "Client connections open now, by class; only where classes are configured.")                               \
    READING(CLASS_MESSAGES, "weir_class_messages_total", METRIC_COUNTER, "gate,class",                                 \
            "Messages passed to the application, by class; only where classes are configured. With CURVE, frames.")    \
    READING(CLASS_SHED, "weir_class_shed_total", METRIC_COUNTER, "gate,class",                                         \
            "Requests shed because they had waited for too long, by class; only where classes are configured.")        \
    READING(VERDICTS, "weir_verdicts_total", METRIC_COUNTER, "gate,verdict",                                           \
            "Judgements passed on peers, by verdict. Every verdict is always there, at 0 if need be.")                 \
    READING(SHADOW_VERDICTS, "weir_shadow_verdicts_total", METRIC_COUNTER, "gate,verdict",                             \
            "What rules in shadow would have said, by verdict. A message that would have waited counts as one.")

enum metric_cell {
#define METRIC_CELL_ENUM(NAME, metric, type, labels, help) CELL_##NAME,
    METRIC_CELLS(METRIC_CELL_ENUM)
#undef METRIC_CELL_ENUM
        CELL_COUNT
};

enum metric_reading {
#define METRIC_READING_ENUM(NAME, metric, type, names, help) READING_##NAME,
    METRIC_READINGS(METRIC_READING_ENUM)
#undef METRIC_READING_ENUM
        READING_COUNT
};

struct metric_info {
    const char *metric;
    const char *names; /* of the labels whose values come with each sample; "gate" for every cell */
    const char *fixed; /* fixed labels, as in the exposition; "" for every reading */
    const char *help;
    enum metric_type type;
};

/* The row of a cell; c must be below CELL_COUNT. Pure. */
const struct metric_info *metric_cell_info(enum metric_cell c);

/* The row of a reading; r must be below READING_COUNT. Pure. */
const struct metric_info *metric_reading_info(enum metric_reading r);

/* "counter" or "gauge". Pure. */
const char *metric_type_name(enum metric_type t);

#endif
