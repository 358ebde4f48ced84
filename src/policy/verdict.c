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
