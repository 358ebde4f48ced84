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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
