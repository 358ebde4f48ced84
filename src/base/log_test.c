/* SPDX-License-Identifier: MPL-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define THREADS 4
#define LINES   500

/* Standard error goes to a file of no name while lines are caught; both ends in one test, without an assertion between.
 */
static int saved_fd, caught_fd;

static void catch_begin(void)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    caught_fd = dup(fileno(f));
    fclose(f);
    assert_true(caught_fd >= 0 && fcntl(caught_fd, F_SETFL, O_APPEND) == 0);
    saved_fd = dup(STDERR_FILENO);
    assert_true(saved_fd >= 0 && dup2(caught_fd, STDERR_FILENO) >= 0);
}

static size_t catch_end(char *dst, size_t size)
{
    dup2(saved_fd, STDERR_FILENO);
    close(saved_fd);
    ssize_t n = pread(caught_fd, dst, size - 1, 0);
    close(caught_fd);
    assert_true(n >= 0);
    dst[n] = '\0';
    return (size_t)n;
}

static void a_line_is_prefixed_and_ended(void **state)
{
    char out[256];
    log_set_timestamps(false);
    catch_begin();
    LOG_INFO("ready: %s -> %d", "here", 7);
    catch_end(out, sizeof(out));
    assert_string_equal(out, "weir: ready: here -> 7\n");
}

static void levels_above_the_chosen_are_silent(void **state)
{
    char out[256];
    log_set_timestamps(false);
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    catch_begin();
    LOG_DEBUG("no");
    log_set_level(LOG_LEVEL_WARN);
    LOG_INFO("no");
    LOG_WARN("yes");
    log_set_level(LOG_LEVEL_DEBUG);
    LOG_DEBUG("too");
    log_set_level(LOG_LEVEL_INFO);
    catch_end(out, sizeof(out));
    assert_string_equal(out, "weir: yes\nweir: too\n");
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    char out[256];
    log_set_timestamps(false);
    catch_begin();
    LOG_INFO("a\nb\rc\x1b[2Jd\x7f \xc2\x9b \xc3\xa9 \xc2");
    catch_end(out, sizeof(out));
    assert_string_equal(out, "weir: a?b?c?[2Jd? ?? \xc3\xa9 \xc2\n");
}

static void a_long_line_is_cut(void **state)
{
    for (int len = 1000; len < 1040; len++) {
        char text[1100], out[1200];
        memset(text, 'x', sizeof(text));
        text[len] = '\0';
        log_set_timestamps(false);
        catch_begin();
        LOG_INFO("%s", text);
        size_t n = catch_end(out, sizeof(out));
        assert_int_equal(n, 6 + len + 1 <= 1023 ? 6 + len + 1 : 1023);
        assert_int_equal(out[n - 1], '\n');
        assert_int_equal(strchr(out, '\n') - out, n - 1);
        if (6 + len + 1 > 1023)
            assert_string_equal(out + n - 5, "x...\n");
        else
            assert_string_equal(out + n - 5, "xxxx\n");
    }
}

static void errno_survives_and_is_shown(void **state)
{
    char out[256];
    log_set_timestamps(false);
    catch_begin();
    errno = ENOENT;
    LOG_ERROR("%m");
    int after = errno;
    catch_end(out, sizeof(out));
    assert_int_equal(after, ENOENT);
    assert_string_equal(out, "weir: No such file or directory\n");
}

/* The calendar is our own arithmetic: compared with the C library's for the moment of the call. */
static void timestamps_are_rfc_3339_in_utc(void **state)
{
    char out[256];
    struct tm tm = {0};
    int ms;
    log_set_timestamps(true);
    time_t before = time(NULL);
    catch_begin();
    LOG_INFO("x");
    catch_end(out, sizeof(out));
    time_t after = time(NULL);
    log_set_timestamps(false);
    assert_int_equal(sscanf(out, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ weir: x", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                            &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms),
                     7);
    assert_non_null(strstr(out, "Z weir: x\n"));
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t shown = timegm(&tm);
    assert_true(before <= shown && shown <= after);
}

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++)
        LOG_INFO("%s", (const char *)arg);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    static char out[THREADS * LINES * 64];
    static char texts[THREADS][21] = {"aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccc",
                                      "dddddddddddddddddddd"};
    pthread_t threads[THREADS];
    int seen[THREADS] = {0}, others = 0;
    log_set_timestamps(false);
    catch_begin();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, log_many, texts[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    catch_end(out, sizeof(out));
    for (char *rest, *line = strtok_r(out, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int i = line[6] - 'a';
        if (strncmp(line, "weir: ", 6) == 0 && i >= 0 && i < THREADS && strcmp(line + 6, texts[i]) == 0)
            seen[i]++;
        else
            others++;
    }
    assert_int_equal(others, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(seen[i], LINES);
}

static char taken[4][LOG_LINE_MAX];
static unsigned takes, room;

static bool take(struct log_sink *sink, const char *line, size_t len)
{
    if (takes == room)
        return false;
    memcpy(taken[takes], line, len);
    taken[takes++][len] = '\0';
    return true;
}

static void a_sink_takes_lines_and_what_it_refuses_is_counted(void **state)
{
    struct log_sink sink = {.put = take};
    char out[256];
    uint64_t lost = log_lost();
    log_set_timestamps(false);
    takes = 0;
    room = 2;
    catch_begin();
    log_set_sink(&sink);
    LOG_INFO("%s", "one");
    LOG_DEBUG("not of a level that is written");
    LOG_WARN("two");
    LOG_WARN("three");
    LOG_WARN("four");
    log_set_sink(NULL);
    LOG_INFO("five");
    catch_end(out, sizeof(out));
    assert_string_equal(taken[0], "weir: one\n");
    assert_string_equal(taken[1], "weir: two\n");
    assert_string_equal(out, "weir: five\n");
    assert_int_equal(log_lost() - lost, 2);
}

static unsigned evaluated;

static unsigned evaluate(void)
{
    return ++evaluated;
}

static void what_a_limit_held_back_is_told_by_the_next_line(void **state)
{
    struct log_limit limit = {0};
    char out[256];
    uint64_t now = NS_PER_S;
    log_set_timestamps(false);
    evaluated = 0;
    catch_begin();
    for (int i = 0; i < 4; i++)
        LOG_LIMITED(&limit, now, LOG_LEVEL_INFO, "line %u", evaluate());
    LOG_LIMITED(&limit, now + LOG_LIMIT_NS, LOG_LEVEL_INFO, "line %u", evaluate());
    LOG_LIMITED(&limit, now + 2 * LOG_LIMIT_NS, LOG_LEVEL_INFO, "line %u", evaluate());
    catch_end(out, sizeof(out));
    assert_string_equal(out, "weir: line 1\nweir: line 2; 3 more like this not shown\nweir: line 3\n");
}

static void what_no_line_has_told_is_taken_later(void **state)
{
    struct log_limit limit = {0};
    uint64_t now = NS_PER_S, held;
    assert_int_equal(log_limit_take_held(&limit, now), 0);
    assert_true(log_limit_pass(&limit, now, &held));
    assert_int_equal(log_limit_take_held(&limit, now + 2 * LOG_LIMIT_NS), 0); /* there is nothing */
    assert_false(log_limit_pass(&limit, now, &held));
    assert_false(log_limit_pass(&limit, now, &held));
    assert_int_equal(log_limit_take_held(&limit, now + 2 * LOG_LIMIT_NS - 1), 0); /* a next line may come */
    assert_int_equal(log_limit_take_held(&limit, now + 2 * LOG_LIMIT_NS), 2);
    assert_int_equal(log_limit_take_held(&limit, now + 3 * LOG_LIMIT_NS), 0);
    assert_true(log_limit_pass(&limit, now + 3 * LOG_LIMIT_NS, &held));
    assert_int_equal(held, 0);
}

static void a_long_line_keeps_what_was_held_back(void **state)
{
    char text[1100], out[1200];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_set_timestamps(false);
    catch_begin();
    log_line_held(LOG_LEVEL_INFO, 7, "%s", text);
    size_t n = catch_end(out, sizeof(out));
    assert_int_equal(n, LOG_LINE_MAX - 1);
    assert_non_null(strstr(out, "x...; 7 more like this not shown\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_prefixed_and_ended),
        cmocka_unit_test(levels_above_the_chosen_are_silent),
        cmocka_unit_test(control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(errno_survives_and_is_shown),
        cmocka_unit_test(timestamps_are_rfc_3339_in_utc),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(a_sink_takes_lines_and_what_it_refuses_is_counted),
        cmocka_unit_test(what_a_limit_held_back_is_told_by_the_next_line),
        cmocka_unit_test(what_no_line_has_told_is_taken_later),
        cmocka_unit_test(a_long_line_keeps_what_was_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
