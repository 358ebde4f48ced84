/* SPDX-License-Identifier: MPL-2.0 */
/* The state file on a real disk: written, read back, damaged, out of reach. */
#include "daemon/ban_store.h"

#include "base/clock.h"
#include "base/log.h"
#include "limits/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64], path[128], aside[160], beside[160], claims_path[160], claims_aside[192];

static int setup(void **state)
{
    log_set_level(LOG_LEVEL_ERROR);
    snprintf(folder, sizeof(folder), "/tmp/weir-ban-store-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/state", folder);
    snprintf(aside, sizeof(aside), "%s.damaged", path);
    snprintf(beside, sizeof(beside), "%s.new", path);
    snprintf(claims_path, sizeof(claims_path), "%s.claims", path);
    snprintf(claims_aside, sizeof(claims_aside), "%s.damaged", claims_path);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    unlink(aside);
    unlink(claims_path);
    unlink(claims_aside);
    return rmdir(folder); /* nothing else was left */
}

static struct bans *new_table(void)
{
    const struct hash_key key = {{1}};
    struct bans *t = bans_new(0, &key);
    assert_non_null(t);
    return t;
}

static struct ban_store *start(struct bans *t)
{
    struct ban_store *k = ban_store_start(path, t, NULL);
    assert_non_null(k);
    return k;
}

static void ban(struct bans *t, const char *who)
{
    struct network n;
    assert_int_equal(network_parse(&n, who, NULL), 0);
    bans_set(t, &n, 3600 * NS_PER_S, BAN_REASON_OPERATOR, clock_now_ns());
}

static bool is_banned(struct bans *t, uint8_t last)
{
    struct addr a = {.kind = ADDR_V4, .bytes = {192, 0, 2, last}};
    return bans_find(t, &a, clock_now_ns(), NULL);
}

static void bans_outlive_the_process(void **state)
{
    struct stat st;
    struct bans *t = new_table();
    struct ban_store *k = start(t);
    ban(t, "192.0.2.1");
    ban_store_stop(k);
    bans_free(t);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(access(beside, F_OK), -1);
    t = new_table();
    k = start(t);
    assert_true(is_banned(t, 1));
    assert_false(is_banned(t, 2));
    ban_store_stop(k);
    bans_free(t);
}

/* Without waiting for the end: a killed process loses about two seconds. */
static void a_change_is_written_soon(void **state)
{
    struct bans *t = new_table();
    struct ban_store *k = start(t);
    ban(t, "192.0.2.1");
    for (unsigned i = 0; i < 3000 && access(path, F_OK) < 0; i++)
        usleep(10000);
    assert_int_equal(access(path, F_OK), 0);
    ban_store_stop(k);
    bans_free(t);
}

static void a_table_without_changes_is_not_written(void **state)
{
    struct bans *t = new_table();
    ban_store_stop(start(t));
    bans_free(t);
    assert_int_equal(access(path, F_OK), -1);
}

static void many_entries_fit(void **state)
{
    struct bans *t = new_table();
    struct ban_store *k = start(t);
    struct bans_stats before, after;
    for (unsigned i = 0; i < 5000; i++) {
        struct addr a = {.kind = ADDR_V4, .bytes = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        struct network n = network_of(&a, 32);
        bans_set(t, &n, BAN_FOR_EVER, BAN_REASON_OPERATOR, clock_now_ns());
    }
    bans_stats(t, &before);
    ban_store_stop(k);
    bans_free(t);
    t = new_table();
    k = start(t);
    bans_stats(t, &after);
    assert_int_equal(after.banned, before.banned);
    ban_store_stop(k);
    bans_free(t);
}

static void what_a_list_says_is_not_written(void **state)
{
    const struct ban_terms terms = {.for_ns = 60 * NS_PER_S, .max_ns = 3600 * NS_PER_S};
    struct bans *t = new_table();
    struct ban_store *k = start(t);
    struct network listed, offender;
    struct ban b;
    assert_int_equal(network_parse(&listed, "192.0.2.1", NULL), 0);
    assert_int_equal(network_parse(&offender, "192.0.2.2", NULL), 0);
    assert_true(bans_punish(t, &offender, &terms, BAN_REASON_EXCESS, 0, clock_now_ns(), &b));
    bans_set(t, &listed, BAN_FOR_EVER, BAN_REASON_LIST, clock_now_ns());
    bans_set(t, &offender, BAN_FOR_EVER, BAN_REASON_LIST, clock_now_ns());
    ban(t, "192.0.2.3");
    ban_store_stop(k);
    bans_free(t);
    t = new_table();
    k = start(t);
    assert_false(is_banned(t, 1));
    assert_false(is_banned(t, 2));
    assert_true(is_banned(t, 3));
    /* Its history does not belong to the list. */
    assert_true(bans_punish(t, &offender, &terms, BAN_REASON_EXCESS, 0, clock_now_ns(), &b));
    assert_int_equal(b.level, 2);
    ban_store_stop(k);
    bans_free(t);
}

static void put(const char *bytes)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(bytes, f);
    fclose(f);
}

static void a_damaged_file_is_set_aside(void **state)
{
    static const char *const wrongs[] = {"", "WEIRBANS", "nonsense that is longer than any head of a sound file is"};
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        struct bans *t = new_table();
        put(wrongs[i]);
        struct ban_store *k = start(t);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(access(aside, F_OK), 0);
        ban(t, "192.0.2.1"); /* it goes on as if there had been no file */
        ban_store_stop(k);
        assert_int_equal(access(path, F_OK), 0);
        bans_free(t);
        unlink(aside);
    }
}

static void out_of_reach_is_no_reason_to_stop(void **state)
{
    struct bans *t = new_table();
    struct ban_store *k = ban_store_start("/nonexistent/folder/state", t, NULL);
    assert_non_null(k);
    ban(t, "192.0.2.1");
    ban_store_stop(k);
    k = ban_store_start(folder, t, NULL); /* a folder is no file */
    assert_non_null(k);
    ban(t, "192.0.2.2");
    ban_store_stop(k);
    bans_free(t);
}

/* A FIFO without another side: a process that opens it to read waits for ever. */
static void a_fifo_is_no_file(void **state)
{
    struct bans *t = new_table();
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(20);
    ban_store_stop(start(t));
    alarm(0);
    bans_free(t);
}

static void none_is_asked_for(void **state)
{
    struct bans *t = new_table();
    struct ban_store *k = ban_store_start("", t, NULL);
    assert_non_null(k);
    ban(t, "192.0.2.1");
    ban_store_stop(k);
    ban_store_stop(NULL);
    bans_free(t);
}

/* ---- claims ---- */

/* An object that has claims. */
struct holder {
    char text[32];
    uint64_t served;
    const char *fault;
    bool out_of_memory;
    unsigned writes;
};

static uint64_t holder_served(void *of)
{
    return ((struct holder *)of)->served;
}

static uint8_t *holder_write(void *of, size_t *ret_len)
{
    struct holder *h = of;
    h->writes++;
    *ret_len = strlen(h->text);
    return h->out_of_memory ? NULL : (uint8_t *)strdup(h->text);
}

static const char *holder_read(void *of, const uint8_t *bytes, size_t len)
{
    struct holder *h = of;
    snprintf(h->text, sizeof(h->text), "%.*s", (int)len, (const char *)bytes);
    return h->fault;
}

static struct ban_store *start_with(struct bans *t, struct holder *h, struct ban_store_claims *claims)
{
    *claims = (struct ban_store_claims){.of = h, .served = holder_served, .write = holder_write, .read = holder_read};
    struct ban_store *k = ban_store_start(path, t, claims);
    assert_non_null(k);
    return k;
}

static void claims_outlive_the_process(void **state)
{
    struct stat st;
    struct ban_store_claims claims;
    struct holder before = {.text = "who was served"}, after = {.text = ""};
    struct bans *t = new_table();
    struct ban_store *k = start_with(t, &before, &claims);
    before.served = 7;
    ban_store_stop(k);
    assert_int_equal(before.writes, 1);
    assert_int_equal(stat(claims_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(access(path, F_OK), -1); /* no bans have changed */
    k = start_with(t, &after, &claims);
    assert_string_equal(after.text, "who was served");
    ban_store_stop(k);
    assert_int_equal(after.writes, 0); /* no message has passed since */
    bans_free(t);
}

static void damaged_claims_are_set_aside_and_bans_stay(void **state)
{
    struct ban_store_claims claims;
    struct holder holder = {.text = "nonsense", .served = 0};
    struct bans *t = new_table();
    struct ban_store *k = start_with(t, &holder, &claims);
    ban(t, "192.0.2.1");
    holder.served = 1;
    ban_store_stop(k);
    bans_free(t);
    holder.fault = "is damaged";
    t = new_table();
    k = start_with(t, &holder, &claims);
    assert_true(is_banned(t, 1));
    assert_int_equal(access(claims_path, F_OK), -1);
    assert_int_equal(access(claims_aside, F_OK), 0);
    holder.served = 2;
    holder.out_of_memory = true;
    ban_store_stop(k);
    assert_int_equal(access(claims_path, F_OK), -1);
    bans_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bans_outlive_the_process, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_is_written_soon, setup, teardown),
        cmocka_unit_test_setup_teardown(a_table_without_changes_is_not_written, setup, teardown),
        cmocka_unit_test_setup_teardown(many_entries_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_list_says_is_not_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_reach_is_no_reason_to_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fifo_is_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(claims_outlive_the_process, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_claims_are_set_aside_and_bans_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(none_is_asked_for, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
