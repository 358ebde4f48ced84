/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/handshake_bytes.h"

#include "inspect/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct queue {
    struct account account;
    struct bufpool pool;
    struct handshake h;
    struct handshake_bytes *q;
};

static void queue_init(struct queue *t)
{
    memset(t, 0, sizeof(*t));
    account_init(&t->account, 1 << 20);
    bufpool_init(&t->pool, &t->account);
    t->h.pool = &t->pool;
    t->q = &t->h.from_client;
}

static void queue_fini(struct queue *t)
{
    handshake_bytes_free(&t->h, t->q);
    handshake_bytes_free(&t->h, t->q);
    bufpool_fini(&t->pool);
    assert_int_equal(account_held(&t->account), 0);
}

static void assert_waits(const struct queue *t, const char *text)
{
    struct bytes all = handshake_bytes_all(t->q);
    assert_int_equal(all.len, strlen(text));
    assert_int_equal(handshake_bytes_len(t->q), strlen(text));
    assert_memory_equal(all.at ? all.at : (const uint8_t *)"", text, strlen(text));
}

static void first_come_first_served(void **state)
{
    struct queue t;
    queue_init(&t);
    assert_waits(&t, "");
    assert_true(handshake_bytes_put(&t.h, t.q, "HELLO", 5));
    assert_true(handshake_bytes_put(&t.h, t.q, "READY", 5));
    assert_waits(&t, "HELLOREADY");
    handshake_bytes_drop(t.q, 5);
    assert_waits(&t, "READY");
    handshake_bytes_drop(t.q, 5);
    assert_waits(&t, "");
    assert_int_equal(t.q->start, 0); /* an empty queue begins at the front again */
    queue_fini(&t);
}

static void a_larger_buffer_takes_what_waits(void **state)
{
    struct queue t;
    queue_init(&t);
    assert_true(handshake_bytes_put(&t.h, t.q, "goneleft", 8));
    handshake_bytes_drop(t.q, 4);
    uint32_t cap = t.q->cap;
    assert_true(handshake_bytes_reserve(&t.h, t.q, cap));
    assert_true(t.q->cap > cap);
    assert_waits(&t, "left");
    queue_fini(&t);
}

static void without_memory_the_handshake_ends(void **state)
{
    struct queue t;
    queue_init(&t);
    assert_true(handshake_bytes_put(&t.h, t.q, "left", 4));
    t.pool.fail_after = 1;
    assert_false(handshake_bytes_reserve(&t.h, t.q, t.q->cap));
    assert_int_equal(t.h.verdict, VERDICT_NO_MEMORY);
    assert_waits(&t, "left");
    queue_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(a_larger_buffer_takes_what_waits),
        cmocka_unit_test(without_memory_the_handshake_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
