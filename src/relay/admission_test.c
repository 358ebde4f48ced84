/* SPDX-License-Identifier: MPL-2.0 */
/* Sessions that take turns: before an application that answers, and before one from which nothing comes back. */
#include "relay/admission.h"
#include "relay/session.h"
#include "relay/stage.h"
#include "zmtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define CLIENTS  12u
#define REQUESTS 3u
#define BODY     10u
#define WIRE     (2u + BODY + 2u) /* with its delimiter */
#define KIB      1024u

struct play {
    struct stage stage;
    struct end clients[CLIENTS], apps[CLIENTS];
    unsigned count;
};

static void play_init(struct play *p, unsigned count, const char *client_type, const char *app_type, uint32_t max)
{
    memset(p, 0, sizeof(*p));
    p->count = count;
    stage_init(&p->stage, NULL);
    p->stage.limits->concurrency.max = max;
    stage_start(&p->stage);
    for (unsigned i = 0; i < count; i++)
        stage_pair(&p->stage, &p->clients[i], &p->apps[i], client_type, app_type);
}

static void play_fini(struct play *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        end_close(&p->clients[i]);
        end_close(&p->apps[i]);
    }
    stage_rounds(&p->stage, 20);
    stage_fini(&p->stage);
}

static void put(struct end *e, uint8_t fill)
{
    stream_frame(&e->out, ZMTP_FLAG_MORE, 0, 0);
    stream_frame(&e->out, 0, fill, BODY);
}

static void ask(struct play *p, unsigned client, unsigned requests)
{
    for (unsigned i = 0; i < requests; i++)
        put(&p->clients[client], (uint8_t)('a' + client));
    end_write(&p->clients[client], SIZE_MAX);
}

/* Bytes of messages that an end has got. */
static size_t got(struct end *e)
{
    end_read(e, SIZE_MAX);
    return end_traffic(e, NULL).len;
}

static size_t all_got(struct play *p)
{
    size_t sum = 0;
    for (unsigned i = 0; i < p->count; i++)
        sum += got(&p->apps[i]);
    return sum;
}

static void reply(struct play *p, unsigned client)
{
    put(&p->apps[client], 'r');
    end_write(&p->apps[client], SIZE_MAX);
    stage_rounds(&p->stage, 4);
}

/* Answers one request that was not answered yet. False: there is none. */
static bool reply_to_one(struct play *p, unsigned *answered)
{
    for (unsigned i = 0; i < p->count; i++)
        if (answered[i] < got(&p->apps[i]) / WIRE) {
            answered[i]++;
            reply(p, i);
            return true;
        }
    return false;
}

static void one_request_is_in_hand_at_a_time(void **state)
{
    struct play p;
    unsigned answered[CLIENTS] = {0};
    play_init(&p, 3, "REQ", "REP", 1);
    for (unsigned i = 0; i < 3; i++)
        ask(&p, i, REQUESTS);
    stage_rounds(&p.stage, 10);
    for (unsigned n = 1; n <= 3 * REQUESTS; n++) {
        assert_int_equal(all_got(&p), n * WIRE);
        assert_true(reply_to_one(&p, answered));
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(got(&p.clients[i]), REQUESTS * WIRE);
    play_fini(&p);
}

static void connections_take_turns(void **state)
{
    struct play p;
    unsigned answered[CLIENTS] = {0};
    play_init(&p, 3, "REQ", "REP", 1);
    ask(&p, 0, 30);
    stage_rounds(&p.stage, 4);
    ask(&p, 1, 1);
    ask(&p, 2, 1);
    stage_rounds(&p.stage, 4);
    for (unsigned n = 0; n < 4; n++)
        assert_true(reply_to_one(&p, answered));
    assert_int_equal(got(&p.clients[1]), WIRE);
    assert_int_equal(got(&p.clients[2]), WIRE);
    assert_true(got(&p.clients[0]) < 5 * WIRE);
    play_fini(&p);
}

static unsigned pongs_at(struct end *e)
{
    unsigned pongs;
    end_read(e, SIZE_MAX);
    end_traffic(e, &pongs);
    return pongs;
}

/* Neither end may take the other for dead while the client stands in line; but one that sends no PINGs does not. */
static void who_stands_in_line_is_kept_alive(void **state)
{
    struct play p;
    static const uint8_t ping[] = {0, 50, 'c', 't', 'x'};
    play_init(&p, 2, "REQ", "REP", 1);
    /* One reply took half a second: so long is a request waited for before it is forgotten, and longer. */
    ask(&p, 0, 1);
    stage_sleep(&p.stage, 500 * NS_PER_MS);
    reply(&p, 0);
    ask(&p, 0, 1);
    stage_rounds(&p.stage, 4);
    ask(&p, 1, 1);
    stage_rounds(&p.stage, 4);
    assert_int_equal(got(&p.apps[1]), 0);
    stage_sleep(&p.stage, 900 * NS_PER_MS);
    assert_true(pongs_at(&p.clients[1]) >= 3);
    assert_int_equal(pongs_at(&p.apps[1]), 0);
    stream_command(&p.apps[1].out, "PING", ping, sizeof(ping));
    end_write(&p.apps[1], SIZE_MAX);
    stage_rounds(&p.stage, 4);
    assert_int_equal(pongs_at(&p.apps[1]), 1);
    stage_sleep(&p.stage, 900 * NS_PER_MS);
    assert_true(pongs_at(&p.apps[1]) >= 4);
    play_fini(&p);
}

/* A request that nobody answers holds its place for a while only. */
static void what_is_not_answered_is_forgotten(void **state)
{
    struct play p;
    play_init(&p, 2, "REQ", "REP", 1);
    ask(&p, 0, 1);
    stage_rounds(&p.stage, 4);
    ask(&p, 1, 1);
    stage_sleep(&p.stage, ANSWERS_FORGET_NS / 2);
    assert_int_equal(all_got(&p), WIRE);
    stage_sleep(&p.stage, ANSWERS_FORGET_NS);
    assert_int_equal(all_got(&p), 2 * WIRE);
    play_fini(&p);
}

/* To the first client: larger than what lies between the two, so it does not end before the client takes it. */
static void reply_at_length(struct play *p)
{
    stream_frame(&p->apps[0].out, ZMTP_FLAG_MORE, 0, 0);
    stream_frame(&p->apps[0].out, 0, 'r', 4096 * KIB);
    for (unsigned n = 0; n < 50; n++) {
        end_write(&p->apps[0], SIZE_MAX);
        stage_round(&p->stage);
    }
    assert_int_equal(stage_cell(&p->stage, CELL_BLOCKED_OUT), 1);
}

/* A client that does not take its answers holds no place for longer than the application needs. */
static void who_takes_no_answers_holds_no_place(void **state)
{
    struct play p;
    play_init(&p, 3, "DEALER", "REP", 1);
    ask(&p, 0, 3);
    stage_rounds(&p.stage, 4);
    ask(&p, 1, 1);
    stage_rounds(&p.stage, 4);
    assert_int_equal(all_got(&p), WIRE);
    reply_at_length(&p);
    stage_sleep(&p.stage, 50 * NS_PER_MS);
    assert_int_equal(got(&p.apps[1]), WIRE);
    reply(&p, 1);
    ask(&p, 2, 1);
    stage_sleep(&p.stage, 50 * NS_PER_MS);
    assert_int_equal(got(&p.apps[2]), WIRE);
    /* It takes them after all, and goes on. */
    reply(&p, 2);
    for (unsigned n = 0; n < 200; n++) {
        end_write(&p.apps[0], SIZE_MAX);
        stage_round(&p.stage);
        end_read(&p.clients[0], SIZE_MAX);
    }
    assert_true(got(&p.apps[0]) >= 2 * WIRE);
    play_fini(&p);
}

/* The same when nobody stood in line yet as it began not to take them. */
static void who_takes_no_answers_is_not_waited_for_by_those_who_come_later(void **state)
{
    struct play p;
    play_init(&p, 2, "DEALER", "REP", 1);
    ask(&p, 0, 1);
    stage_rounds(&p.stage, 4);
    assert_int_equal(got(&p.apps[0]), WIRE);
    reply_at_length(&p);
    ask(&p, 1, 1);
    for (unsigned n = 0; n < 10; n++)
        stage_sleep(&p.stage, NS_PER_MS);
    assert_int_equal(got(&p.apps[1]), WIRE);
    play_fini(&p);
}

static void who_leaves_gives_its_place_to_others(void **state)
{
    struct play p;
    play_init(&p, 3, "REQ", "REP", 1);
    for (unsigned i = 0; i < 3; i++) {
        ask(&p, i, 1);
        stage_rounds(&p.stage, 4);
    }
    end_close(&p.clients[1]); /* it stands in line */
    end_close(&p.apps[1]);
    stage_rounds(&p.stage, 10);
    assert_int_equal(got(&p.apps[2]), 0);
    end_close(&p.clients[0]); /* its request is in hand */
    end_close(&p.apps[0]);
    stage_rounds(&p.stage, 10);
    assert_int_equal(got(&p.apps[2]), WIRE);
    play_fini(&p);
}

static void switched_off_nothing_waits(void **state)
{
    struct play p;
    memset(&p, 0, sizeof(p));
    p.count = 2;
    stage_init(&p.stage, NULL);
    p.stage.limits->concurrency.limit = CONCURRENCY_LIMIT_OFF;
    p.stage.limits->concurrency.max = 1;
    stage_start(&p.stage);
    for (unsigned i = 0; i < 2; i++)
        stage_pair(&p.stage, &p.clients[i], &p.apps[i], "REQ", "REP");
    ask(&p, 0, 100);
    ask(&p, 1, 100);
    stage_rounds(&p.stage, 10);
    assert_int_equal(all_got(&p), 200 * WIRE);
    play_fini(&p);
}

/* ---- classes ---- */

/* Clients 0 and 1 are of "first", 2 and 3 of "heavy", the others of none. */
static void play_classes(struct play *p, unsigned count)
{
    memset(p, 0, sizeof(*p));
    p->count = count;
    stage_init(&p->stage, "tcp://127.0.0.1:*");
    p->stage.limits->concurrency.max = 1;
    struct classes *c = classes_new(4);
    unsigned first = classes_add(c, "first", 1, 1), heavy = classes_add(c, "heavy", 4, 2);
    for (unsigned i = 0; i < 4; i++) {
        struct network n;
        char text[32];
        snprintf(text, sizeof(text), "127.0.1.%u", i + 1);
        assert_int_equal(network_parse(&n, text, NULL), 0);
        classes_add_network(c, i < 2 ? first : heavy, &n);
    }
    classes_settle(c);
    p->stage.config->gates[0].class_table = c;
    stage_start(&p->stage);
    for (unsigned i = 0; i < count; i++)
        stage_pair_by_address(&p->stage, &p->clients[i], &p->apps[i], "REQ", "REP", 0x7f000101u + i);
}

static uint64_t class_cell(const struct play *p, unsigned class, enum class_cell c)
{
    return atomic_load(&p->stage.gate.class_cells[0].at[class][c]);
}

static void classes_are_counted(void **state)
{
    struct play p;
    play_classes(&p, 5);
    assert_int_equal(class_cell(&p, 0, CLASS_CONNECTIONS), 1);
    assert_int_equal(class_cell(&p, 1, CLASS_CONNECTIONS), 2);
    assert_int_equal(class_cell(&p, 2, CLASS_CONNECTIONS), 2);
    ask(&p, 2, 1);
    stage_rounds(&p.stage, 4);
    reply(&p, 2);
    ask(&p, 4, 1);
    stage_rounds(&p.stage, 4);
    assert_int_equal(class_cell(&p, 0, CLASS_MESSAGES), 1);
    assert_int_equal(class_cell(&p, 1, CLASS_MESSAGES), 0);
    assert_int_equal(class_cell(&p, 2, CLASS_MESSAGES), 1);
    end_close(&p.clients[0]);
    end_close(&p.apps[0]);
    stage_rounds(&p.stage, 20);
    assert_int_equal(class_cell(&p, 1, CLASS_CONNECTIONS), 1);
    play_fini(&p);
}

/* All always want more. One turn in eight is for those without priority; of these one in six for each without weight.
 */
static void classes_are_served_by_priority_and_weight(void **state)
{
    struct play p;
    unsigned answered[CLIENTS] = {0};
    play_classes(&p, 6);
    for (unsigned i = 0; i < 6; i++)
        ask(&p, i, 600);
    stage_rounds(&p.stage, 10);
    stage_sleep(&p.stage, 100 * NS_PER_MS); /* nobody has idle time left */
    for (unsigned n = 0; n < 960; n++)
        assert_true(reply_to_one(&p, answered));
    unsigned first = answered[0] + answered[1], heavy = answered[2] + answered[3], others = answered[4] + answered[5];
    assert_in_range(first, 830, 850);
    assert_in_range(heavy, 3 * others, 5 * others);
    assert_in_range(answered[0], first / 2 - 10, first / 2 + 10);
    play_fini(&p);
}

/* ---- where nothing comes back ---- */

/* Fills what the kernel takes of a client. */
static void push_much(struct play *p, unsigned client)
{
    for (unsigned i = 0; i < 16; i++)
        stream_frame(&p->clients[client].out, 0, 'p', 64 * KIB);
    end_write(&p->clients[client], SIZE_MAX);
}

static void write_all(struct play *p)
{
    for (unsigned i = 0; i < p->count; i++)
        end_write(&p->clients[i], SIZE_MAX);
    stage_sleep(&p->stage, NS_PER_MS);
}

/* The application takes nothing: no more than TENURES_MOST of its queues fill up. One who says little is heard, and
 * when it takes what it has, everybody is. */
static void full_queues_are_limited(void **state)
{
    struct play p;
    play_init(&p, CLIENTS, "PUSH", "PULL", 65536);
    for (unsigned i = 0; i < CLIENTS - 1; i++)
        push_much(&p, i);
    for (unsigned i = 0; i < 200; i++)
        write_all(&p);
    assert_int_equal(stage_cell(&p.stage, CELL_BLOCKED_IN), TENURES_MOST);
    ask(&p, CLIENTS - 1, 1);
    stage_rounds(&p.stage, 4);
    assert_int_equal(got(&p.apps[CLIENTS - 1]), WIRE);
    size_t all = (CLIENTS - 1) * (16 * (64 * KIB + 9)) + WIRE;
    for (unsigned i = 0; i < 5000 && all_got(&p) < all; i++)
        write_all(&p);
    assert_int_equal(all_got(&p), all);
    play_fini(&p);
}

/* A few bytes may be a thousand messages, and the application's work is for messages. */
static void many_tiny_messages_are_not_little(void **state)
{
    struct play p;
    play_init(&p, TENURES_MOST + 2, "PUSH", "PULL", 65536);
    for (unsigned i = 0; i <= TENURES_MOST; i++)
        push_much(&p, i);
    for (unsigned i = 0; i < 200; i++)
        write_all(&p);
    assert_int_equal(stage_cell(&p.stage, CELL_BLOCKED_IN), TENURES_MOST);
    struct end *tiny = &p.clients[TENURES_MOST + 1], *app = &p.apps[TENURES_MOST + 1];
    for (unsigned i = 0; i < 1000; i++)
        stream_frame(&tiny->out, 0, 't', 1);
    end_write(tiny, SIZE_MAX);
    for (unsigned i = 0; i < 100; i++)
        stage_sleep(&p.stage, NS_PER_MS);
    assert_int_equal(got(app), 3 * TENURE_LITTLE_MESSAGES);
    for (unsigned i = 0; i < 5000 && got(app) < 3000; i++) {
        all_got(&p);
        write_all(&p);
    }
    assert_int_equal(got(app), 3000);
    play_fini(&p);
}

/* All queues that may fill are full, and somebody waits. */
static void crowd(struct play *p, unsigned count)
{
    play_init(p, count, "PUSH", "PULL", 65536);
    for (unsigned i = 0; i <= TENURES_MOST; i++)
        push_much(p, i);
    for (unsigned i = 0; i < 200; i++)
        write_all(p);
    assert_int_equal(stage_cell(&p->stage, CELL_BLOCKED_IN), TENURES_MOST);
}

/* Says 250 small messages in a second, more than TENURE_LITTLE_RATE. Returns how often it was not heard within two
 * milliseconds. */
static unsigned unheard(struct play *p, unsigned client)
{
    size_t said = 0;
    unsigned n = 0;
    for (unsigned i = 0; i < 50; i++) {
        for (unsigned k = 0; k < 5; k++)
            stream_frame(&p->clients[client].out, 0, 'l', 64);
        end_write(&p->clients[client], SIZE_MAX);
        said += 5 * (64 + 2);
        stage_sleep(&p->stage, 2 * NS_PER_MS);
        n += got(&p->apps[client]) != said;
        stage_sleep(&p->stage, 18 * NS_PER_MS);
    }
    return n;
}

/* Its queue in the application is empty again before it says more, however full those of others are. */
static void who_says_less_than_the_application_takes_of_a_queue_does_not_wait(void **state)
{
    struct play p;
    crowd(&p, TENURES_MOST + 2);
    pace_note(&p.stage.gate.queue_pace, 200000, 200, NS_PER_S, stage_now_ns()); /* a thousand messages a second */
    assert_int_equal(unheard(&p, TENURES_MOST + 1), 0);
    play_fini(&p);
}

static void who_says_more_than_the_application_takes_of_a_queue_waits(void **state)
{
    struct play p;
    crowd(&p, TENURES_MOST + 2);
    pace_note(&p.stage.gate.queue_pace, 20000, 200, NS_PER_S, stage_now_ns()); /* a hundred */
    assert_in_range(unheard(&p, TENURES_MOST + 1), 1, 40);
    play_fini(&p);
}

/* In batches, as libzmq reads on when half of its queue is empty: what comes in one of them is no pace. */
static void the_pace_is_what_is_taken_from_full_to_full(void **state)
{
    struct play p;
    uint64_t most = 0;
    crowd(&p, TENURES_MOST + 1);
    for (unsigned i = 0; i < 10; i++) {
        stage_sleep(&p.stage, 2000 * NS_PER_MS);
        for (unsigned k = 0; k <= TENURES_MOST; k++) {
            for (unsigned chunk = 0; chunk < 32; chunk++) {
                end_read(&p.apps[k], 8 * KIB);
                stage_sleep(&p.stage, 100 * NS_PER_US);
                uint64_t pace = pace_bytes(&p.stage.gate.queue_pace, stage_now_ns());
                most = pace > most ? pace : most;
            }
            push_much(&p, k);
        }
    }
    assert_in_range(most, 80 * KIB, 600 * KIB); /* 128 KiB a second, and the first has doubled once */
    play_fini(&p);
}

/* Its message has begun, and then it waits for its turn longer than a message may take. */
static void who_stands_in_line_is_not_late(void **state)
{
    struct play p;
    play_init(&p, TENURES_MOST + 1, "PUSH", "PULL", 65536);
    p.stage.in_force->message.complete_within_ns = NS_PER_S;
    for (unsigned i = 0; i < TENURES_MOST; i++)
        push_much(&p, i);
    for (unsigned i = 0; i < 200; i++)
        write_all(&p);
    assert_int_equal(stage_cell(&p.stage, CELL_BLOCKED_IN), TENURES_MOST);
    stream_frame(&p.clients[TENURES_MOST].out, 0, 'p', 64 * KIB);
    end_write(&p.clients[TENURES_MOST], KIB);
    stage_rounds(&p.stage, 4);
    for (unsigned i = 0; i < 50; i++) {
        end_write(&p.clients[TENURES_MOST], SIZE_MAX);
        stage_sleep(&p.stage, 100 * NS_PER_MS);
    }
    assert_int_equal(got(&p.apps[TENURES_MOST]), KIB);
    size_t all = (TENURES_MOST * 16 + 1) * (64 * KIB + 9);
    for (unsigned i = 0; i < 5000 && all_got(&p) < all; i++)
        write_all(&p);
    assert_int_equal(all_got(&p), all);
    assert_int_equal(stage_verdict(&p.stage, VERDICT_MESSAGE_TOO_SLOW), 0);
    play_fini(&p);
}

static unsigned muted_sessions(const struct play *p)
{
    unsigned n = 0;
    for (const struct list *node = p->stage.worker.sessions.next; node != &p->stage.worker.sessions; node = node->next)
        n += LIST_ENTRY(node, struct session, in_worker)->front.muted;
    return n;
}

/* Each segment of one that is not read would wake the worker. When it is read again, it has lost nothing, and is heard.
 */
static void who_stands_in_line_does_not_wake_the_worker(void **state)
{
    struct play p;
    play_init(&p, TENURES_MOST + 1, "PUSH", "PULL", 65536);
    for (unsigned i = 0; i < TENURES_MOST; i++)
        push_much(&p, i);
    for (unsigned i = 0; i < 200; i++)
        write_all(&p);
    struct end *client = &p.clients[TENURES_MOST], *app = &p.apps[TENURES_MOST];
    pace_note(&p.stage.gate.queue_pace, 2000, 200, NS_PER_S, stage_now_ns());
    for (unsigned i = 0; i < 300; i++) {
        stream_frame(&client->out, 0, 'k', KIB);
        end_write(client, 100);
        stage_sleep(&p.stage, NS_PER_MS);
    }
    assert_int_equal(muted_sessions(&p), 1);
    size_t all = 300 * (KIB + 9);
    for (unsigned i = 0; i < 5000 && got(app) < all; i++) {
        all_got(&p);
        write_all(&p);
    }
    assert_int_equal(got(app), all);
    for (unsigned i = 0; i < 5000 && all_got(&p) < all + TENURES_MOST * 16 * (64 * KIB + 9); i++)
        write_all(&p);
    assert_int_equal(muted_sessions(&p), 0);
    ask(&p, TENURES_MOST, 1);
    stage_rounds(&p.stage, 4);
    assert_int_equal(got(app), all + WIRE);
    play_fini(&p);
}

#define MUCH (80u * KIB)

/* How many of the clients were heard. */
static unsigned heard(struct play *p)
{
    unsigned n = 0;
    for (unsigned round = 0; round < 20; round++) {
        stage_round(&p->stage);
        all_got(p);
    }
    for (unsigned i = 0; i < p->count; i++)
        n += got(&p->apps[i]) > MUCH;
    return n;
}

/* All places are taken by clients that had much to say and fall silent; one more waits in line. */
static void say_much(struct play *p)
{
    play_init(p, TENURES_MOST + 1, "PUSH", "PULL", 65536);
    for (unsigned i = 0; i <= TENURES_MOST; i++) {
        for (unsigned n = 0; n < 8; n++)
            stream_frame(&p->clients[i].out, 0, 'p', MUCH / 8);
        end_write(&p->clients[i], SIZE_MAX);
    }
    assert_int_equal(heard(p), TENURES_MOST);
}

/* Else the place would go round, and every queue would be filled with what a kernel held. */
static void who_had_much_to_say_is_given_a_moment(void **state)
{
    struct play p;
    say_much(&p);
    stage_sleep(&p.stage, 2 * NS_PER_MS);
    assert_int_equal(heard(&p), TENURES_MOST);
    stage_sleep(&p.stage, 10 * NS_PER_MS);
    assert_int_equal(heard(&p), TENURES_MOST + 1);
    play_fini(&p);
}

/* At the pace that was seen a moment ago the application works on what each has said for a second. */
static void what_was_said_by_those_who_left_is_worked_on_first(void **state)
{
    struct play p;
    say_much(&p);
    pace_note(&p.stage.gate.queue_pace, MUCH, MUCH, NS_PER_S, stage_now_ns());
    for (unsigned i = 0; i < p.count; i++)
        end_close(&p.clients[i]);
    stage_sleep(&p.stage, 500 * NS_PER_MS);
    assert_int_equal(heard(&p), TENURES_MOST);
    stage_sleep(&p.stage, 600 * NS_PER_MS);
    assert_int_equal(heard(&p), TENURES_MOST + 1);
    play_fini(&p);
}

/* A queue that was full, and nobody else who would want the place. */
static void nobody_waits_for_those_who_left_when_nobody_wants_their_place(void **state)
{
    struct play p;
    play_init(&p, 1, "PUSH", "PULL", 65536);
    for (unsigned i = 0; i < 50; i++) {
        push_much(&p, 0);
        stage_round(&p.stage);
    }
    assert_int_equal(stage_cell(&p.stage, CELL_BLOCKED_IN), 1);
    stage_sleep(&p.stage, 100 * NS_PER_MS);
    end_close(&p.clients[0]);
    for (unsigned i = 0; i < 1000 && !p.apps[0].over; i++) {
        end_read(&p.apps[0], SIZE_MAX);
        stage_round(&p.stage);
    }
    assert_true(p.apps[0].over);
    play_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_is_in_hand_at_a_time),
        cmocka_unit_test(connections_take_turns),
        cmocka_unit_test(who_stands_in_line_is_kept_alive),
        cmocka_unit_test(what_is_not_answered_is_forgotten),
        cmocka_unit_test(who_takes_no_answers_holds_no_place),
        cmocka_unit_test(who_takes_no_answers_is_not_waited_for_by_those_who_come_later),
        cmocka_unit_test(who_leaves_gives_its_place_to_others),
        cmocka_unit_test(switched_off_nothing_waits),
        cmocka_unit_test(classes_are_counted),
        cmocka_unit_test(classes_are_served_by_priority_and_weight),
        cmocka_unit_test(full_queues_are_limited),
        cmocka_unit_test(many_tiny_messages_are_not_little),
        cmocka_unit_test(who_says_less_than_the_application_takes_of_a_queue_does_not_wait),
        cmocka_unit_test(who_says_more_than_the_application_takes_of_a_queue_waits),
        cmocka_unit_test(the_pace_is_what_is_taken_from_full_to_full),
        cmocka_unit_test(who_stands_in_line_is_not_late),
        cmocka_unit_test(who_stands_in_line_does_not_wake_the_worker),
        cmocka_unit_test(who_had_much_to_say_is_given_a_moment),
        cmocka_unit_test(what_was_said_by_those_who_left_is_worked_on_first),
        cmocka_unit_test(nobody_waits_for_those_who_left_when_nobody_wants_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
