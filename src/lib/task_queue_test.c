/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/task_queue.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define T0 (1000 * NS_PER_S)

static struct task_queue q;

static struct task_queue_params params(void)
{
    return (struct task_queue_params){.messages = 100, .sources = 16, .bytes = 1 << 20};
}

static void make(struct task_queue_params p)
{
    assert_int_equal(task_queue_init(&q, &p), 0);
}

static struct weir_task *push(const char *source, bool make_room, uint64_t now_ns)
{
    struct weir_task *t = task_new(now_ns);
    assert_non_null(t);
    t->bytes = 100;
    t->source = task_queue_source(&q, source, strlen(source));
    assert_non_null(t->source);
    task_queue_push(&q, t, make_room, now_ns);
    return t;
}

/* The source of the next task, which then ends after `took_ns`. */
static char serve(uint64_t now_ns, uint64_t took_ns)
{
    struct weir_task *t = task_queue_pop(&q, now_ns);
    if (!t)
        return 0;
    char source = t->source->key[0];
    task_queue_end(&q, t, took_ns);
    task_free(t);
    return source;
}

static unsigned free_shed(enum task_end why)
{
    unsigned n = 0;
    for (struct weir_task *t; (t = task_queue_shed(&q)); n++) {
        assert_int_equal(t->end, why);
        assert_null(t->source);
        task_free(t);
    }
    return n;
}

static void finish(void)
{
    while (serve(T0, 0))
        ;
    for (struct weir_task *t; (t = task_queue_shed(&q));)
        task_free(t);
    assert_int_equal(q.waiting, 0);
    assert_int_equal(q.waiting_bytes, 0);
    assert_int_equal(q.running, 0);
    assert_int_equal(q.longest, 0);
    task_queue_fini(&q);
}

static void sources_take_turns(void **state)
{
    make(params());
    for (unsigned i = 0; i < 20; i++)
        push("a", false, T0);
    for (unsigned i = 0; i < 3; i++)
        push("b", false, T0);
    char order[8] = "";
    for (unsigned i = 0; i < 7; i++)
        order[i] = serve(T0, NS_PER_MS);
    assert_string_equal(order, "abababa");
    finish();
}

static void who_costs_more_is_served_less_often(void **state)
{
    make(params());
    unsigned served[2] = {0};
    for (unsigned i = 0; i < 50; i++) {
        push("a", false, T0);
        push("b", false, T0);
    }
    for (unsigned i = 0; i < 50; i++) {
        struct weir_task *t = task_queue_pop(&q, T0);
        bool costly = t->source->key[0] == 'a';
        served[costly]++;
        task_queue_end(&q, t, costly ? 10 * NS_PER_MS : NS_PER_MS);
        task_free(t);
    }
    assert_in_range(served[true], 4, 7);
    finish();
}

static void who_comes_late_goes_first_but_saves_nothing_up(void **state)
{
    make(params());
    push("b", false, T0);
    assert_int_equal(serve(T0, NS_PER_MS), 'b');
    for (unsigned i = 0; i < 40; i++)
        push("a", false, T0);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(serve(T0, NS_PER_MS), 'a');
    for (unsigned i = 0; i < 10; i++)
        push("b", false, T0);
    unsigned of_b = 0;
    for (unsigned i = 0; i < 10; i++)
        of_b += serve(T0, NS_PER_MS) == 'b';
    assert_in_range(of_b, 5, 6);
    finish();
}

static void a_source_keeps_only_some_workers_busy(void **state)
{
    struct task_queue_params p = params();
    p.source_running = 2;
    make(p);
    struct weir_task *running[2];
    for (unsigned i = 0; i < 5; i++)
        push("a", false, T0);
    for (unsigned i = 0; i < 2; i++) {
        running[i] = task_queue_pop(&q, T0);
        assert_non_null(running[i]);
    }
    assert_null(task_queue_pop(&q, T0));
    push("b", false, T0);
    assert_int_equal(serve(T0, 1), 'b');
    for (unsigned i = 0; i < 2; i++) {
        task_queue_end(&q, running[i], 1);
        task_free(running[i]);
    }
    assert_int_equal(serve(T0, 1), 'a');
    finish();
}

static void the_longest_source_makes_room(void **state)
{
    struct task_queue_params p = params();
    p.messages = 10;
    make(p);
    for (unsigned i = 0; i < 7; i++)
        push("a", true, T0);
    for (unsigned i = 0; i < 3; i++)
        push("b", true, T0);
    assert_true(task_queue_is_full(&q));
    push("c", true, T0);
    push("c", true, T0);
    assert_int_equal(free_shed(TASK_SHED_FULL), 2);
    assert_int_equal(task_queue_source(&q, "a", 1)->waiting, 5);
    assert_int_equal(q.waiting, 10);
    finish();
}

static void bytes_are_bounded_too(void **state)
{
    struct task_queue_params p = params();
    p.bytes = 1000;
    make(p);
    for (unsigned i = 0; i < 6; i++)
        push("a", true, T0);
    struct weir_task *t = task_new(T0);
    t->bytes = 500;
    t->source = task_queue_source(&q, "b", 1);
    task_queue_push(&q, t, true, T0);
    assert_int_equal(free_shed(TASK_SHED_FULL), 1); /* of a, which has more bytes */
    t = task_new(T0);
    t->bytes = 2000; /* never fits: nobody else gives way */
    t->source = task_queue_source(&q, "c", 1);
    task_queue_push(&q, t, true, T0);
    assert_int_equal(free_shed(TASK_SHED_FULL), 1);
    assert_int_equal(q.waiting, 6);
    finish();
}

static struct task_queue_params with_delay(bool newest_first)
{
    struct task_queue_params p = params();
    p.codel = (struct codel_params){.target_ns = 5 * NS_PER_MS, .interval_ns = 50 * NS_PER_MS};
    p.newest_first = newest_first;
    return p;
}

static void what_waits_too_long_is_shed(void **state)
{
    for (unsigned newest = 0; newest < 2; newest++) {
        make(with_delay(newest));
        unsigned shed = 0, of_b = 0, begun = 0;
        uint64_t longest_ns = 0;
        for (uint64_t now_ns = T0; now_ns < T0 + NS_PER_S; now_ns += 4 * NS_PER_MS) {
            for (unsigned i = 0; i < 4; i++)
                push("a", true, now_ns);
            push("b", true, now_ns);
            for (unsigned i = 0; i < 2; i++) {
                struct weir_task *t = task_queue_pop(&q, now_ns);
                assert_non_null(t);
                of_b += t->source->key[0] == 'b';
                begun++;
                if (now_ns > T0 + NS_PER_S / 2 && now_ns - t->received_ns > longest_ns)
                    longest_ns = now_ns - t->received_ns;
                task_queue_end(&q, t, NS_PER_MS);
                task_free(t);
            }
            shed += free_shed(TASK_SHED_DELAY);
        }
        assert_int_equal(begun, 500);
        assert_true(of_b >= 249); /* it asks for less than its share, and loses nothing */
        assert_true(shed > 500);
        assert_true(longest_ns < 200 * NS_PER_MS);
        finish();
    }
}

static void it_is_shed_without_a_worker_too(void **state)
{
    make(with_delay(false));
    uint64_t again_ns;
    task_queue_look(&q, T0, &again_ns);
    assert_true(again_ns == UINT64_MAX);
    push("a", true, T0);
    push("a", true, T0 + 200 * NS_PER_MS);
    task_queue_look(&q, T0 + NS_PER_MS, &again_ns);
    assert_true(again_ns > T0 + NS_PER_MS && again_ns <= T0 + 60 * NS_PER_MS);
    for (unsigned i = 0; i < 3 && q.waiting == 2; i++)
        task_queue_look(&q, again_ns, &again_ns);
    assert_int_equal(free_shed(TASK_SHED_DELAY), 1);
    assert_true(again_ns < UINT64_MAX);
    finish();
}

static void idle_sources_are_forgotten(void **state)
{
    make(params());
    for (unsigned i = 0; i < 1000; i++) {
        char name[8];
        snprintf(name, sizeof(name), "%u", i);
        push(name, false, T0);
        assert_true(serve(T0, 1));
    }
    assert_int_equal(q.source_count, 16);
    finish();
}

/* Whatever happens, the sums agree and the heap is one. */
static void the_sums_agree(void **state)
{
    struct property_rng rng = property_rng_new("task_queue");
    struct task_queue_params p = with_delay(false);
    p.messages = 20;
    p.source_running = 2;
    make(p);
    struct weir_task *running[8] = {0};
    uint64_t now_ns = T0, again_ns;
    for (unsigned i = 0; i < 50000; i++) {
        char name[2] = {(char)('a' + property_next(&rng) % 24), 0};
        unsigned at = (unsigned)(property_next(&rng) % 8);
        now_ns += property_next(&rng) % (2 * NS_PER_MS);
        if (property_next(&rng) % 2)
            push(name, true, now_ns);
        if (running[at]) {
            task_queue_end(&q, running[at], property_next(&rng) % NS_PER_S);
            task_free(running[at]);
            running[at] = NULL;
        } else if (property_next(&rng) % 4 == 0) {
            running[at] = task_queue_pop(&q, now_ns);
        }
        if (property_next(&rng) % 16 == 0)
            task_queue_look(&q, now_ns, &again_ns);
        for (struct weir_task *t; (t = task_queue_shed(&q));)
            task_free(t);
        uint32_t waiting = 0, busy = 0;
        LIST_FOREACH(node, &q.active)
        {
            struct task_source *s = LIST_ENTRY(node, struct task_source, active);
            waiting += s->waiting;
            busy += s->running;
            assert_int_equal(s->heap_at != 0, s->waiting && s->running < 2);
            assert_true(s->heap_at <= 1 || q.heap[s->heap_at / 2]->tag_ns <= s->tag_ns);
        }
        assert_int_equal(waiting, q.waiting);
        assert_int_equal(busy, q.running);
        assert_int_equal(q.waiting_bytes, 100 * waiting);
        assert_true(waiting <= p.messages && q.source_count <= 24);
    }
    for (unsigned i = 0; i < 8; i++)
        if (running[i]) {
            task_queue_end(&q, running[i], 0);
            task_free(running[i]);
        }
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_take_turns),
        cmocka_unit_test(who_costs_more_is_served_less_often),
        cmocka_unit_test(who_comes_late_goes_first_but_saves_nothing_up),
        cmocka_unit_test(a_source_keeps_only_some_workers_busy),
        cmocka_unit_test(the_longest_source_makes_room),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(what_waits_too_long_is_shed),
        cmocka_unit_test(it_is_shed_without_a_worker_too),
        cmocka_unit_test(idle_sources_are_forgotten),
        cmocka_unit_test(the_sums_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
