/* SPDX-License-Identifier: MPL-2.0 */
#include "policy/verdict.h"

static const struct verdict_info table[VERDICT_COUNT] = {
#define VERDICT_ROW(NAME, text, points, words)                                                                         \
    [VERDICT_##NAME] = {.label = (text), .sentence = (words), .strikes = (points)},
    VERDICTS(VERDICT_ROW)
#undef VERDICT_ROW
};

const struct verdict_info *verdict_info(enum verdict v)
{
    return &table[v];
}

enum offence verdict_offence(enum verdict v)
{
    if (table[v].strikes == 0)
        return OFFENCE_NONE;
    switch (v) {
    case VERDICT_HANDSHAKE_TIMEOUT:
    case VERDICT_FRAME_TOO_LARGE:
    case VERDICT_MESSAGE_TOO_LARGE:
    case VERDICT_TOO_MANY_FRAMES:
    case VERDICT_MESSAGE_TOO_SLOW:
    case VERDICT_SUBSCRIPTIONS_TOO_MANY:
    case VERDICT_TOPIC_TOO_LONG:
    case VERDICT_SUBSCRIBER_MESSAGE:
    case VERDICT_OVER_MESSAGES:
    case VERDICT_OVER_BYTES:
    case VERDICT_OVER_COMMANDS:
    case VERDICT_OVER_SUBSCRIPTIONS:
    case VERDICT_TOO_MANY_HALF_OPEN:
        return OFFENCE_EXCESS;
    default:
        return OFFENCE_PROTOCOL;
    }
}
