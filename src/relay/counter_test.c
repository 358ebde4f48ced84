/* SPDX-License-Identifier: MPL-2.0 */
/* The counter's page: which process gets it, which does not, when it ends; and what the other side cannot do to
 * Weir. */
#include "relay/counter.h"

#include "flow/taken_counter.h"
#include "relay/testing/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <weir/taken.h>
#include <cmocka.h>

static char folder[] = "/tmp/weir-counter-XXXXXX", path[64];

/* The application's end. */
struct app {
    int line, page_fd, wake_fd;
    struct taken_page *page;
};

static struct fixture *begin(void)
{
    static struct fixture s;
    fixture_init(&s, NULL);
    fixture_start(&s);
    assert_int_equal(counter_open(fixture_gate(&s), path), 0);
    return &s;
}

static void end(struct fixture *s)
{
    fixture_fini(s);
    assert_int_equal(access(path, F_OK), -1);
}

static int dial(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Weir's answer to it: 0, with the page, or an error. */
static int hear(struct app *a)
{
    int fds[2] = {-1, -1}, error = weir_taken_hear(a->line, fds);
    if (error)
        return error;
    a->page_fd = fds[0];
    a->wake_fd = fds[1];
    a->page = mmap(NULL, sizeof(*a->page), PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    assert_true(a->page != MAP_FAILED);
    return 0;
}

static int come(struct fixture *s, struct app *a)
{
    *a = (struct app){.line = dial(), .page_fd = -1, .wake_fd = -1};
    fixture_rounds(s, 2);
    return hear(a);
}

static void leave(struct app *a)
{
    close(a->line);
    if (!a->page)
        return;
    munmap(a->page, sizeof(*a->page));
    close(a->page_fd);
    close(a->wake_fd);
}

static uint32_t state_after(struct fixture *s, uint64_t ns)
{
    fixture_sleep(s, ns);
    return atomic_load(&s->gate.counter_state);
}

static void take(struct app *a, unsigned n)
{
    while (n--)
        if (taken_page_took(a->page, fixture_now_ns(), fixture_now_ns()))
            assert_int_equal(write(a->wake_fd, &(uint64_t){1}, 8), 8);
}

/* ---- the owner of the page, and for how long ---- */

static void comes_and_goes(void **state)
{
    struct fixture *s = begin();
    struct app a;
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0660);
    assert_int_equal(come(s, &a), 0);
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_ABSENT); /* it has not started */
    taken_page_begin(a.page, fixture_now_ns());
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    take(&a, 7);
    fixture_sleep(s, NS_PER_S);
    assert_int_equal(fixture_cell(s, CELL_COUNTER_TAKEN), 7);
    take(&a, 2);
    leave(&a);
    assert_int_equal(state_after(s, NS_PER_MS), TAKEN_ABSENT);
    assert_int_equal(fixture_cell(s, CELL_COUNTER_TAKEN), 9);
    end(s);
}

static void a_stopped_heart_is_no_counter(void **state)
{
    struct fixture *s = begin();
    struct app a;
    assert_int_equal(come(s, &a), 0);
    taken_page_begin(a.page, fixture_now_ns());
    for (unsigned i = 0; i < 30; i++) {
        taken_page_beat(a.page, fixture_now_ns());
        assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    }
    assert_int_equal(state_after(s, TAKEN_STALE_NS), TAKEN_ABSENT);
    taken_page_beat(a.page, fixture_now_ns());
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    leave(&a);
    end(s);
}

static void a_second_one_is_refused(void **state)
{
    struct fixture *s = begin();
    struct app first, second;
    assert_int_equal(come(s, &first), 0);
    assert_int_equal(come(s, &second), -EBUSY); /* not even while the first has not started */
    leave(&second);
    taken_page_begin(first.page, fixture_now_ns());
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(come(s, &second), -EBUSY);
        leave(&second);
    }
    take(&first, 3);
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    assert_int_equal(fixture_cell(s, CELL_COUNTER_TAKEN), 3);
    leave(&first);
    end(s);
}

static void another_one_follows_a_crash(void **state)
{
    struct fixture *s = begin();
    struct app first, second;
    assert_int_equal(come(s, &first), 0);
    taken_page_begin(first.page, fixture_now_ns());
    take(&first, 100);
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    uint64_t generation = atomic_load(&first.page->generation);
    close(first.line); /* with the page still in use, as by a child of it */
    first.line = -1;
    assert_int_equal(come(s, &second), 0); /* in the same round in which the first one's end is seen */
    taken_page_begin(second.page, fixture_now_ns());
    assert_true(atomic_load(&second.page->generation) > generation);
    take(&first, 1000);
    take(&second, 5);
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    assert_int_equal(fixture_cell(s, CELL_COUNTER_TAKEN), 105);
    leave(&first);
    leave(&second);
    end(s);
}

static void another_one_follows_when_the_heart_has_stopped(void **state)
{
    struct fixture *s = begin();
    struct app first, second;
    assert_int_equal(come(s, &first), 0);
    taken_page_begin(first.page, fixture_now_ns());
    fixture_sleep(s, TAKEN_STALE_NS + NS_PER_S);
    assert_int_equal(come(s, &second), 0);
    char byte;
    assert_int_equal(recv(first.line, &byte, 1, MSG_DONTWAIT), 0);
    leave(&first);
    leave(&second);
    end(s);
}

static void who_says_anything_is_let_go(void **state)
{
    struct fixture *s = begin();
    struct app a;
    assert_int_equal(come(s, &a), 0);
    taken_page_begin(a.page, fixture_now_ns());
    assert_int_equal(send(a.line, "hello", 5, 0), 5);
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_ABSENT);
    assert_null(fixture_gate(s)->counter->page);
    leave(&a);
    end(s);
}

/* ---- what the other side cannot do ---- */

static void the_page_cannot_shrink(void **state)
{
    struct fixture *s = begin();
    struct app a;
    assert_int_equal(come(s, &a), 0);
    taken_page_begin(a.page, fixture_now_ns());
    assert_int_equal(ftruncate(a.page_fd, 0), -1);
    assert_int_equal(ftruncate(a.page_fd, 1 << 20), -1);
    assert_int_equal(fcntl(a.page_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    /* A hole is zeros: that is not a page any more. */
    assert_int_equal(fallocate(a.page_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, sizeof(*a.page)), 0);
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_ABSENT);
    leave(&a);
    end(s);
}

static void nobody_waits_for_the_eventfd(void **state)
{
    struct fixture *s = begin();
    struct app a;
    assert_int_equal(come(s, &a), 0);
    taken_page_begin(a.page, fixture_now_ns());
    /* Both ends share the flag. */
    assert_int_equal(fcntl(a.wake_fd, F_SETFL, 0), 0);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t n = 1;
        assert_int_equal(write(a.wake_fd, &n, sizeof(n)), sizeof(n));
        if (i % 2)
            assert_int_equal(read(a.wake_fd, &n, sizeof(n)), sizeof(n));
        fixture_round(s);
    }
    assert_int_equal(state_after(s, NS_PER_S), TAKEN_BELIEVED);
    leave(&a);
    end(s);
}

static void wake_ups_are_limited(void **state)
{
    struct fixture *s = begin();
    struct app a;
    assert_int_equal(come(s, &a), 0);
    struct counter *c = fixture_gate(s)->counter;
    unsigned most = COUNTER_WAKES * COUNTER_PAUSE_NS / NS_PER_S + 2, n = 0;
    for (; n <= most && !c->wake_again.timer.expires_ns; n++) {
        assert_int_equal(write(a.wake_fd, &(uint64_t){1}, 8), 8);
        fixture_round(s);
    }
    assert_in_range(n, most / 2, most);
    gcra_word before = atomic_load(&c->wakes);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(write(a.wake_fd, &(uint64_t){1}, 8), 8);
        fixture_round(s);
    }
    assert_int_equal(atomic_load(&c->wakes), before);
    /* A signal that came meanwhile is not lost, and is reported again. */
    fixture_sleep(s, 20 * NS_PER_MS);
    assert_true(atomic_load(&c->wakes) > before);
    assert_int_equal(c->wake_again.timer.expires_ns, 0);
    leave(&a);
    end(s);
}

static void connections_are_limited(void **state)
{
    struct fixture *s = begin();
    struct app first, others[3 * COUNTER_ACCEPTS];
    assert_int_equal(come(s, &first), 0);
    fixture_sleep(s, 10 * NS_PER_MS);
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        others[i] = (struct app){.line = dial()};
    fixture_rounds(s, 20);
    unsigned heard = 0;
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        heard += hear(&others[i]) == -EBUSY;
    assert_int_equal(heard, COUNTER_ACCEPTS);
    fixture_sleep(s, 50 * NS_PER_MS);
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        heard += hear(&others[i]) == -EBUSY;
        close(others[i].line);
    }
    assert_int_equal(heard, ARRAY_LEN(others));
    leave(&first);
    end(s);
}

/* ---- the socket's file ---- */

static void what_an_earlier_run_has_left_is_replaced(void **state)
{
    struct fixture *s = begin();
    struct app a;
    counter_close(fixture_gate(s));
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd);
    assert_int_equal(counter_open(fixture_gate(s), path), 0);
    assert_int_equal(come(s, &a), 0);
    leave(&a);
    end(s);
}

static void nothing_else_is_replaced(void **state)
{
    struct fixture *s = begin();
    counter_close(fixture_gate(s));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(counter_open(fixture_gate(s), path), -EADDRINUSE);
    counter_close(fixture_gate(s));
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    /* Nor is a socket removed that another process has put there meanwhile. */
    assert_int_equal(counter_open(fixture_gate(s), path), 0);
    unlink(path);
    f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    counter_close(fixture_gate(s));
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    end(s);
}

/* ---- the application's side ---- */

static void an_application_does_without_weir(void **state)
{
    struct weir_taken *c = weir_taken_open(path);
    assert_non_null(c);
    for (unsigned i = 0; i < 1000; i++) {
        weir_taken_asked(c);
        weir_taken_found_nothing(c, true);
        weir_taken_took(c);
    }
    weir_taken_close(c);
    char much[256];
    memset(much, 'x', sizeof(much) - 1);
    much[sizeof(much) - 1] = '\0';
    assert_null(weir_taken_open(much));
    assert_int_equal(errno, ENAMETOOLONG);
    weir_taken_asked(NULL);
    weir_taken_took(NULL);
    weir_taken_found_nothing(NULL, false);
    weir_taken_close(NULL);
}

/* Takes `n` messages; of how many the times were noted. */
static unsigned noted(struct weir_taken *c, unsigned n)
{
    unsigned count = 0;
    for (; n; n--) {
        uint64_t index = atomic_load(&c->page->taken);
        const struct taken_entry *e = &c->page->takes[index % TAKEN_RING];
        weir_taken_asked(c);
        weir_taken_took(c);
        assert_int_equal(atomic_load(&c->page->taken), index + 1);
        bool is = atomic_load(&e->at_ns) != 0;
        assert_true(is == (atomic_load(&e->asked_ns) != 0));
        count += is;
    }
    return count;
}

static void times_are_noted_where_that_costs_little(void **state)
{
    struct weir_taken *c = weir_taken_open(path);
    assert_non_null(c);
    c->noted_ns = UINT64_MAX / 2; /* long ago or not: messages come slowly */
    assert_int_equal(noted(c, 1), 1);
    noted(c, 10 * WEIR_TAKEN_SAMPLE); /* quickly */
    assert_true(c->sparse);
    assert_int_equal(noted(c, 10 * WEIR_TAKEN_SAMPLE), 20);
    weir_taken_found_nothing(c, true);
    assert_int_equal(noted(c, 1), 1);
    c->noted_ns -= NS_PER_S; /* slowly again: known at the next that is noted */
    noted(c, WEIR_TAKEN_SAMPLE);
    weir_taken_close(c);
}

/* Each wish wakes Weir once, however many messages are taken until it wishes anew. */
static void weir_is_woken_once_for_each_wish(void **state)
{
    struct fixture *s = begin();
    struct weir_taken *c = NULL;
    struct app a;
    assert_int_equal(come(s, &a), 0);
    struct weir_taken own = {.page = a.page, .wake_fd = a.wake_fd, .woken_for = UINT64_MAX, .offered_page_fd = -1};
    c = &own;
    uint64_t count = 0;
    taken_page_begin(a.page, 1);
    atomic_store(&a.page->wake_taken, 5);
    for (unsigned i = 0; i < 20; i++)
        weir_taken_took(c);
    assert_int_equal(read(a.wake_fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    atomic_store(&a.page->wake_taken, 22);
    for (unsigned i = 0; i < 5; i++)
        weir_taken_took(c);
    assert_int_equal(read(a.wake_fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    leave(&a);
    end(s);
}

static int make_folder(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/main.taken", folder);
    return 0;
}

static int remove_folder(void **state)
{
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_and_goes),
        cmocka_unit_test(a_stopped_heart_is_no_counter),
        cmocka_unit_test(a_second_one_is_refused),
        cmocka_unit_test(another_one_follows_a_crash),
        cmocka_unit_test(another_one_follows_when_the_heart_has_stopped),
        cmocka_unit_test(who_says_anything_is_let_go),
        cmocka_unit_test(the_page_cannot_shrink),
        cmocka_unit_test(nobody_waits_for_the_eventfd),
        cmocka_unit_test(wake_ups_are_limited),
        cmocka_unit_test(connections_are_limited),
        cmocka_unit_test(what_an_earlier_run_has_left_is_replaced),
        cmocka_unit_test(nothing_else_is_replaced),
        cmocka_unit_test(an_application_does_without_weir),
        cmocka_unit_test(times_are_noted_where_that_costs_little),
        cmocka_unit_test(weir_is_woken_once_for_each_wish),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
