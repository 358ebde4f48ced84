/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/verdict.h"

static const struct verdict_info table[VERDICT_COUNT] = {
#define VERDICT_ROW(NAME, text, what, points, of, where, words)                                                        \
    [VERDICT_##NAME] = {.label = (text),                                                                               \
                        .sentence = (words),                                                                           \
                        .kind = OFFENCE_##what,                                                                        \
                        .strikes = (points),                                                                           \
                        .rule = RULE_##of,                                                                             \
                        .key = (where)},
    VERDICTS(VERDICT_ROW)
#undef VERDICT_ROW
};

const struct verdict_info *verdict_info(enum verdict v)
{
    return &table[v];
}

enum offence verdict_offence(enum verdict v)
{
    return table[v].kind;
}
