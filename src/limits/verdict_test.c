/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void every_verdict_has_a_name_and_a_sentence(void **state)
{
    for (int v = 0; v < VERDICT_COUNT; v++) {
        const struct verdict_info *info = verdict_info((enum verdict)v);
        assert_non_null(info->label);
        assert_true(strlen(info->label) > 1);
        assert_non_null(info->sentence);
        assert_true(strlen(info->sentence) > 1);
        assert_true(info->strikes <= 5);
    }
    assert_string_equal(verdict_info(VERDICT_PASS)->label, "pass");
    assert_int_equal(verdict_info(VERDICT_PASS)->strikes, 0);
    assert_string_equal(verdict_info(VERDICT_RESERVED_FLAGS)->label, "reserved_flags");
}

/* Labels go into metrics: lower_snake_case, without a digit or underscore at either end. */
static void labels_are_lower_snake_case(void **state)
{
    for (int v = 0; v < VERDICT_COUNT; v++) {
        const char *label = verdict_info((enum verdict)v)->label;
        assert_int_equal(strspn(label, "abcdefghijklmnopqrstuvwxyz_"), strlen(label));
        assert_true(label[0] != '_' && label[strlen(label) - 1] != '_');
        assert_null(strstr(label, "__"));
    }
}

static void labels_and_sentences_are_unique(void **state)
{
    for (int a = 0; a < VERDICT_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(verdict_info((enum verdict)a)->label, verdict_info((enum verdict)b)->label);
            assert_string_not_equal(verdict_info((enum verdict)a)->sentence, verdict_info((enum verdict)b)->sentence);
        }
    }
}

/* The label is the name of the constant, so that a metric leads straight to the code. */
static void labels_follow_the_constants(void **state)
{
    static const char *const names[] = {
#define VERDICT_NAME(NAME, label, kind, strikes, rule, key, sentence) #NAME,
        VERDICTS(VERDICT_NAME)
#undef VERDICT_NAME
    };
    for (int v = 0; v < VERDICT_COUNT; v++)
        assert_int_equal(strcasecmp(names[v], verdict_info((enum verdict)v)->label), 0);
}

static void offences_are_of_the_protocol_or_of_excess(void **state)
{
    for (int v = 0; v < VERDICT_COUNT; v++) {
        assert_int_equal(verdict_counts((enum verdict)v), verdict_info((enum verdict)v)->strikes != 0);
        assert_int_equal(verdict_offence((enum verdict)v), verdict_info((enum verdict)v)->kind);
    }
    assert_int_equal(verdict_offence(VERDICT_BAD_GREETING), OFFENCE_PROTOCOL);
    assert_int_equal(verdict_offence(VERDICT_OVER_MESSAGES), OFFENCE_EXCESS);
    /* Weir's own refusals never feed back, and a peer that only leaves or is slow is no offender. */
    static const enum verdict none[] = {VERDICT_BANNED,
                                        VERDICT_TOO_MANY_CONNECTIONS,
                                        VERDICT_OVER_CONNECTION_RATE,
                                        VERDICT_TABLE_FULL,
                                        VERDICT_HANDSHAKE_ABANDONED,
                                        VERDICT_MESSAGE_ABANDONED,
                                        VERDICT_ASKER_LEFT,
                                        VERDICT_SLOW_READER,
                                        VERDICT_DUPLICATE_ROUTING_ID,
                                        VERDICT_TOPICS_TOO_LARGE,
                                        VERDICT_APPLICATION_GONE,
                                        VERDICT_APPLICATION_ABSENT,
                                        VERDICT_DRAINING,
                                        VERDICT_KICKED};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(verdict_offence(none[i]), OFFENCE_NONE);
}

/* Wrong configuration, and bytes that released libzmq can send, are held against nobody. */
static void mistakes_are_no_offences(void **state)
{
    static const enum verdict mistakes[] = {
        VERDICT_OLD_VERSION,  VERDICT_WRONG_MECHANISM,     VERDICT_WRONG_ROLE,     VERDICT_WRONG_SOCKET_TYPE,
        VERDICT_NO_DELIMITER, VERDICT_RESERVED_ROUTING_ID, VERDICT_UNKNOWN_COMMAND};
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        assert_int_equal(verdict_offence(mistakes[i]), OFFENCE_MISTAKE);
        assert_false(verdict_counts(mistakes[i]));
    }
    assert_false(verdict_counts(VERDICT_APPLICATION_REFUSED)); /* a wrong password */
}

/* A sentence completes "refused: ..." on one line of a log. */
static void sentences_are_plain_text(void **state)
{
    for (int v = 0; v < VERDICT_COUNT; v++) {
        const char *s = verdict_info((enum verdict)v)->sentence;
        assert_true(s[strlen(s) - 1] != '.' && s[0] != ' ');
        for (; *s; s++)
            assert_in_range(*s, 0x20, 0x7e);
    }
}

/* A rule lifts the limits of its section only: the key of each of its verdicts stands there. */
static void rules_have_verdicts_of_their_section(void **state)
{
    bool has_verdict[RULE_COUNT] = {false};
    for (int v = 0; v < VERDICT_COUNT; v++) {
        const struct verdict_info *info = verdict_info((enum verdict)v);
        if (info->rule == RULE_NONE)
            continue;
        const char *section = rule_section(info->rule);
        has_verdict[info->rule] = true;
        assert_non_null(info->key);
        assert_int_equal(strncmp(info->key, section, strlen(section)), 0);
        assert_int_equal(info->key[strlen(section)], '.');
    }
    for (int r = 0; r < RULE_COUNT; r++)
        assert_true(has_verdict[r]);
}

/* The first word of the form "source.messages", or NULL. */
static const char *word_with_a_dot(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
    for (; s; s = strchr(s, ' ') ? strchr(s, ' ') + 1 : NULL) {
        size_t first = strspn(s, letters);
        if (first && s[first] == '.' && strspn(s + first + 1, letters))
            return s;
    }
    return NULL;
}

/* "source.messages" for the key source.messages.rate. */
static void sentences_name_the_key_of_their_row(void **state)
{
    unsigned named = 0;
    for (int v = 0; v < VERDICT_COUNT; v++) {
        const struct verdict_info *info = verdict_info((enum verdict)v);
        const char *word = word_with_a_dot(info->sentence);
        if (!word)
            continue;
        named++;
        assert_non_null(info->key);
        assert_int_equal(strncmp(word, info->key, strcspn(word, " ,)")), 0);
    }
    assert_true(named > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verdict_has_a_name_and_a_sentence),
        cmocka_unit_test(labels_are_lower_snake_case),
        cmocka_unit_test(labels_and_sentences_are_unique),
        cmocka_unit_test(labels_follow_the_constants),
        cmocka_unit_test(sentences_are_plain_text),
        cmocka_unit_test(offences_are_of_the_protocol_or_of_excess),
        cmocka_unit_test(mistakes_are_no_offences),
        cmocka_unit_test(rules_have_verdicts_of_their_section),
        cmocka_unit_test(sentences_name_the_key_of_their_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
