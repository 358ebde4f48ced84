/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/process.h"

#include "base/attr.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static void tells_what_the_process_does(void **state)
{
    struct process p;
    struct process_reading before, after;
    const size_t size = 64 << 20;
    int fds[10];

    process_open(&p);
    process_read(&p, &before);
    char *memory = malloc(size);
    assert_non_null(memory);
    memset(memory, 1, size);
    __asm__ volatile("" : : "r"(memory) : "memory");
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    process_read(&p, &after);
    assert_int_equal(after.open_fds, before.open_fds + ARRAY_LEN(fds));
    assert_true(after.resident_bytes >= before.resident_bytes + size / 2);
    assert_true(after.cpu_ns >= before.cpu_ns);
    assert_int_equal(after.start_time_ns, before.start_time_ns);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    free(memory);
    process_close(&p);
}

/* Only a day's accuracy can be checked on a machine whose clock may have been set; that is enough to check the unit and
 * the epoch. */
static void start_is_a_time_of_this_day(void **state)
{
    struct process p;
    struct process_reading r;
    uint64_t now_s = (uint64_t)time(NULL);

    process_open(&p);
    process_read(&p, &r);
    assert_true(r.start_time_ns / NS_PER_S <= now_s + 1);
    assert_true(r.start_time_ns / NS_PER_S >= now_s - 24 * 3600);
    process_close(&p);
}

/* A flood may have taken every descriptor: files opened at the start still work. */
static void needs_no_new_descriptor(void **state)
{
    struct process p;
    struct process_reading r;
    struct rlimit limit, none;

    process_open(&p);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    process_read(&p, &r);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(r.resident_bytes > 0);
    assert_true(r.open_fds > 0);
    process_close(&p);
}

static void without_proc_it_says_so(void **state)
{
    struct process p = {.statm = -1};
    struct process_reading r;

    process_read(&p, &r);
    assert_int_equal(r.resident_bytes, 0);
    assert_int_equal(r.open_fds, 0);
    process_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_the_process_does),
        cmocka_unit_test(start_is_a_time_of_this_day),
        cmocka_unit_test(needs_no_new_descriptor),
        cmocka_unit_test(without_proc_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
