/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The rules: groups of keys of the configuration that have an `enforce` of their own (enforce.h). A verdict belongs to
 * one rule, or to none (verdict.h). Constant; any thread.
 */
#ifndef WEIR_LIMITS_RULE_H
#define WEIR_LIMITS_RULE_H

/* RULE(NAME, section): the section of the configuration whose keys it has */
#define RULES(RULE)                                                                                                    \
    RULE(MESSAGE, "message")                                                                                           \
    RULE(CONNECTIONS, "source.connections")                                                                            \
    RULE(MESSAGES, "source.messages")                                                                                  \
    RULE(BYTES, "source.bytes")                                                                                        \
    RULE(COMMANDS, "source.commands")                                                                                  \
    RULE(SUBSCRIPTIONS, "subscriptions")                                                                               \
    RULE(SUBSCRIBER_MESSAGES, "subscriptions.messages")                                                                \
    RULE(SLOW_READER, "slow_reader")                                                                                   \
    RULE(ROUTING_IDS, "routing_ids")                                                                                   \
    RULE(BAN, "ban")

enum rule {
#define RULE_ENUM(NAME, section) RULE_##NAME,
    RULES(RULE_ENUM)
#undef RULE_ENUM
        RULE_COUNT,
    RULE_NONE = RULE_COUNT /* of a verdict that belongs to none */
};

/* "source.messages": the section of the configuration. r must be below RULE_COUNT. */
const char *rule_section(enum rule r);

#endif
