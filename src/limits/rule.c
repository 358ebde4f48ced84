/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/rule.h"

const char *rule_section(enum rule r)
{
    static const char *const sections[] = {
#define RULE_SECTION(NAME, section) [RULE_##NAME] = (section),
        RULES(RULE_SECTION)
#undef RULE_SECTION
    };
    return sections[r];
}
