/* SPDX-License-Identifier: MPL-2.0 */
/* Standard error is a pipe of the test's own, which the test reads or does not read. */
#include "events/log_writer.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define THREADS  4
#define LINES    40
#define PATIENCE 20000 /* ms */

struct pipe {
    int saved, out;
    char text[1 << 20];
    size_t len;
};

static void pipe_open(struct pipe *p)
{
    int fds[2];
    log_set_timestamps(false);
    p->len = 0;
    p->saved = dup(STDERR_FILENO);
    assert_true(p->saved >= 0 && pipe2(fds, O_CLOEXEC) == 0);
    p->out = fds[0];
    assert_true(fcntl(p->out, F_SETFL, O_NONBLOCK) == 0 && dup2(fds[1], STDERR_FILENO) >= 0);
    close(fds[1]);
}

static void pipe_close(struct pipe *p)
{
    dup2(p->saved, STDERR_FILENO);
    close(p->saved);
    close(p->out);
}

static bool drain_some(struct pipe *p)
{
    ssize_t n = read(p->out, p->text + p->len, sizeof(p->text) - 1 - p->len);
    p->len += n > 0 ? (size_t)n : 0;
    p->text[p->len] = '\0';
    return n > 0;
}

/* Reads until the text has arrived. */
static bool comes(struct pipe *p, const char *text)
{
    struct pollfd f = {.fd = p->out, .events = POLLIN};
    for (uint64_t end = clock_now_ns() + PATIENCE * NS_PER_MS; clock_now_ns() < end;) {
        while (drain_some(p))
            ;
        if (strstr(p->text, text))
            return true;
        (void)poll(&f, 1, 100);
    }
    return false;
}

static void fill(void)
{
    char junk[4096];
    memset(junk, '#', sizeof(junk));
    assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
    while (write(STDERR_FILENO, junk, sizeof(junk)) > 0)
        ;
    assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, 0), 0);
}

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++)
        LOG_INFO("thread %s line %d.", (const char *)arg, i);
    return NULL;
}

static void lines_of_all_threads_are_written(void **state)
{
    static struct pipe p;
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    pipe_open(&p);
    uint64_t lost = log_lost();
    struct log_writer *w = log_writer_start(NULL, NULL);
    assert_non_null(w);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_writer_stop(w); /* writes the remaining lines */
    LOG_INFO("the last");
    bool last = comes(&p, "weir: the last\n");
    pipe_close(&p);
    assert_true(last);
    assert_int_equal(log_lost(), lost);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < LINES; i++) {
            char line[64];
            snprintf(line, sizeof(line), "weir: thread %c line %d.\n", 'a' + t, i);
            assert_non_null(strstr(p.text, line));
        }
}

static void a_full_pipe_holds_up_nobody_and_lost_lines_are_told(void **state)
{
    static struct pipe p;
    char said[128];
    pipe_open(&p);
    uint64_t lost = log_lost();
    fill();
    struct log_writer *w = log_writer_start(NULL, NULL);
    assert_non_null(w);
    for (unsigned i = 0; i < LOG_WRITER_LINES + 100; i++)
        LOG_INFO("number %u.", i); /* returns, or the test never ends */
    uint64_t missing = log_lost() - lost;
    snprintf(said, sizeof(said), "weir: %llu lines of the log were lost: standard error took no more\n",
             (unsigned long long)missing);
    bool told = comes(&p, said);
    LOG_INFO("the last");
    bool last = comes(&p, "weir: the last\n");
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    log_writer_stop(w);
    pipe_close(&p);
    assert_true(missing == 100 || missing == 99); /* the thread may hold a line of its own */
    assert_true(told && last);
    assert_non_null(strstr(p.text, "weir: number 0.\nweir: number 1.\n"));
    assert_int_equal(flags & O_NONBLOCK, 0);
}

static void the_end_does_not_wait_for_a_pipe_that_nobody_reads(void **state)
{
    static struct pipe p;
    pipe_open(&p);
    uint64_t lost = log_lost();
    fill();
    struct log_writer *w = log_writer_start(NULL, NULL);
    assert_non_null(w);
    LOG_INFO("never read");
    log_writer_stop(w); /* returns, or the test never ends */
    uint64_t missing = log_lost() - lost;
    pipe_close(&p);
    assert_int_equal(missing, 1);
}

static void a_reader_that_has_left_holds_up_nobody(void **state)
{
    static struct pipe p;
    pipe_open(&p);
    signal(SIGPIPE, SIG_IGN);
    uint64_t lost = log_lost();
    close(p.out);
    p.out = -1;
    struct log_writer *w = log_writer_start(NULL, NULL);
    LOG_INFO("to nobody");
    log_writer_stop(w);
    pipe_close(&p);
    assert_non_null(w);
    assert_int_equal(log_lost() - lost, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_all_threads_are_written),
        cmocka_unit_test(a_full_pipe_holds_up_nobody_and_lost_lines_are_told),
        cmocka_unit_test(the_end_does_not_wait_for_a_pipe_that_nobody_reads),
        cmocka_unit_test(a_reader_that_has_left_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
