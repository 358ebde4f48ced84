/* SPDX-License-Identifier: MPL-2.0 */
/* The event log on a real disk: written, moved away, full, out of reach; and the events that only the ban table
 * knows. */
#include "daemon/event_writer.h"

#include "base/clock.h"
#include "base/log.h"
#include "relay/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96], moved[128], text[1 << 20];
static struct event_log *events;
static struct bans *bans;

static int setup(void **state)
{
    const struct hash_key key = {{1}};
    log_set_level(LOG_LEVEL_ERROR);
    snprintf(folder, sizeof(folder), "/tmp/weir-events-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/events", folder);
    snprintf(moved, sizeof(moved), "%s.1", path);
    events = event_log_new();
    bans = bans_new(0, &key);
    return events && bans ? 0 : -1;
}

static int teardown(void **state)
{
    event_log_free(events);
    bans_free(bans);
    unlink(path);
    unlink(moved);
    return rmdir(folder); /* nothing else was left */
}

static struct event_writer *start(void)
{
    struct event_writer *w = event_writer_start(path, events, bans);
    assert_non_null(w);
    return w;
}

static const char *read_back(const char *file)
{
    FILE *f = fopen(file, "re");
    size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f)
        fclose(f);
    text[len] = '\0';
    return text;
}

static unsigned count_of(const char *file, const char *what)
{
    unsigned n = 0;
    for (const char *at = read_back(file); (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* Waits until the file contains the text; the writer checks the file every second at the latest. */
static void await(const char *file, const char *what)
{
    for (unsigned i = 0; i < 3000 && count_of(file, what) == 0; i++)
        usleep(10000);
    assert_int_not_equal(count_of(file, what), 0);
}

static void await_failures(uint64_t n)
{
    for (unsigned i = 0; i < 3000 && event_log_stats(events).failed < n; i++)
        usleep(10000);
    assert_true(event_log_stats(events).failed >= n);
}

static struct network net(const char *name)
{
    struct network n;
    assert_int_equal(network_parse(&n, name, NULL), 0);
    return n;
}

static void written_at_once_and_all_of_it(void **state)
{
    struct stat st;
    struct event_writer *w = start();
    event_log_note(events, EVENT_START, "first");
    await(path, "\"event\":\"start\",\"detail\":\"first\"}\n");
    for (unsigned i = 0; i < 1000; i++) /* more than fit one buffer */
        event_log_note(events, EVENT_RELOADED, "a line that is neither short nor long, but something in between");
    event_log_note(events, EVENT_STOP, "last");
    event_writer_stop(w);
    assert_int_equal(count_of(path, "\n"), 1002);
    assert_int_equal(count_of(path, "{\"time\":\"2"), 1002);
    assert_int_equal(strcmp(text + strlen(text) - 27, "\"stop\",\"detail\":\"last\"}\n") < 0, 0);
    assert_int_equal(event_log_stats(events).written, 1002);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0640u, 0);
    w = start(); /* appended to the existing contents */
    event_log_note(events, EVENT_START, "second");
    event_writer_stop(w);
    assert_int_equal(count_of(path, "\n"), 1003);
}

static void moved_away(void **state)
{
    struct event_writer *w = start();
    event_log_note(events, EVENT_START, "old");
    await(path, "old");
    assert_int_equal(rename(path, moved), 0);
    /* By itself, within a second or so: events meanwhile go into the moved file, and are not lost. */
    for (unsigned i = 0; i < 3000 && access(path, F_OK) < 0; i++)
        usleep(10000);
    event_log_note(events, EVENT_RELOADED, "new");
    await(path, "new");
    assert_int_equal(count_of(moved, "\n"), 1);
    /* And at once when asked. */
    assert_int_equal(rename(path, moved), 0);
    event_writer_reopen(w);
    for (unsigned i = 0; i < 3000 && access(path, F_OK) < 0; i++)
        usleep(10000);
    event_log_note(events, EVENT_RELOADED, "newer");
    event_writer_stop(w);
    event_writer_reopen(NULL);
    event_writer_stop(NULL);
    assert_int_equal(count_of(path, "newer"), 1);
}

static void out_of_reach(void **state)
{
    char elsewhere[128];
    snprintf(elsewhere, sizeof(elsewhere), "%s/later/events", folder);
    struct event_writer *w = event_writer_start(elsewhere, events, bans);
    assert_non_null(w);
    event_log_note(events, EVENT_START, "lost");
    await_failures(1);
    /* The folder is created: writing goes on. */
    char later[96];
    snprintf(later, sizeof(later), "%s/later", folder);
    assert_int_equal(mkdir(later, 0700), 0);
    for (unsigned i = 0; i < 3000 && access(elsewhere, F_OK) < 0; i++)
        usleep(10000);
    event_log_note(events, EVENT_RELOADED, "found");
    event_writer_stop(w);
    assert_int_equal(count_of(elsewhere, "found"), 1);
    assert_int_equal(count_of(elsewhere, "\n"), 1);
    unlink(elsewhere);
    rmdir(later);
}

static void a_full_disk(void **state)
{
    struct event_writer *w = event_writer_start("/dev/full", events, bans);
    assert_non_null(w);
    for (unsigned i = 0; i < 10; i++)
        event_log_note(events, EVENT_RELOADED, "x");
    event_writer_stop(w);
    assert_int_equal(event_log_stats(events).failed, 10);
    assert_int_equal(event_log_stats(events).written, 0);
}

/* The writer must end all the same. */
static void a_fifo_that_nobody_reads(void **state)
{
    assert_int_equal(mkfifo(path, 0600), 0);
    struct event_writer *w = start();
    event_log_note(events, EVENT_START, "x");
    event_writer_stop(w);
    assert_int_equal(event_log_stats(events).failed, 1);
}

/* The disk is full in the middle of a line, and later not: the next line is a line of its own. */
static void a_line_cut_short(void **state)
{
    struct rlimit was, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = (struct rlimit){.rlim_cur = 100, .rlim_max = was.rlim_max};
    struct event_writer *w = start();
    event_log_note(events, EVENT_START, "first");
    await(path, "first");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    event_log_note(events, EVENT_RELOADED, "second, which does not fit into what is left");
    await_failures(1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    event_log_note(events, EVENT_STOP, "third");
    event_writer_stop(w);
    read_back(path);
    assert_int_equal(strlen(text) > 100, 1);
    assert_int_equal(text[100], '\n');
    assert_memory_equal(text + 101, "{\"time\":", 8);
    assert_int_equal(count_of(path, "\n"), 3);
    assert_int_equal(event_log_stats(events).written, 2);
}

static void what_the_ban_table_knows(void **state)
{
    const struct ban_terms terms = {.for_ns = 60 * NS_PER_S, .max_ns = 60 * NS_PER_S};
    struct network operators = net("192.0.2.0/24"), offender = net("192.0.2.1"), short_one = net("192.0.2.2");
    struct network listed = net("192.0.2.3");
    struct ban b;
    bans_set(bans, &listed, NS_PER_S, BAN_REASON_OPERATOR, clock_now_ns()); /* before the start: not reported */
    struct event_writer *w = start();
    bans_set(bans, &operators, BAN_FOR_EVER, BAN_REASON_OPERATOR, clock_now_ns());
    assert_true(bans_punish(bans, &offender, &terms, BAN_REASON_EXCESS, 0, clock_now_ns(), &b));
    bans_set(bans, &short_one, 1, BAN_REASON_OPERATOR, clock_now_ns());
    bans_set(bans, &listed, BAN_FOR_EVER, BAN_REASON_LIST, clock_now_ns());
    assert_true(bans_lift(bans, &offender, clock_now_ns()));
    assert_true(bans_lift(bans, &listed, clock_now_ns()));
    bans_sweep(bans, clock_now_ns());
    event_writer_stop(w);
    read_back(path);
    assert_non_null(strstr(text,
                           "\"event\":\"ban\",\"network\":\"192.0.2.0/24\",\"reason\":\"operator\",\"seconds\":null,"
                           "\"done\":\"banned\"}\n"));
    assert_non_null(strstr(text, "\"event\":\"ban\",\"network\":\"192.0.2.2\",\"reason\":\"operator\",\"seconds\":1,"));
    assert_non_null(strstr(
        text, "\"event\":\"ban_lifted\",\"network\":\"192.0.2.1\",\"reason\":\"excess\",\"done\":\"lifted\"}\n"));
    assert_non_null(strstr(
        text, "\"event\":\"ban_ended\",\"network\":\"192.0.2.2\",\"reason\":\"operator\",\"done\":\"ended\"}\n"));
    assert_int_equal(count_of(path, "\n"), 4);
}

/* It comes faster than it can be followed, and in a table of this size displaces itself: no loss. */
static void a_long_list(void **state)
{
    struct event_writer *w = start();
    event_log_note(events, EVENT_START, "x");
    await(path, "start");
    for (uint32_t i = 0; i < 2 * BANS_FEED; i++) {
        struct addr a = {.kind = ADDR_V4, .bytes = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        struct network n = network_of(&a, 32);
        bans_set(bans, &n, BAN_FOR_EVER, BAN_REASON_LIST, clock_now_ns());
    }
    event_writer_stop(w);
    assert_int_equal(count_of(path, "\"lost\""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_at_once_and_all_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_away, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_reach, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fifo_that_nobody_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_cut_short, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_ban_table_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_list, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
