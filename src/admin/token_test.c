/* SPDX-License-Identifier: MPL-2.0 */
/* Token files, and which header opens the API. */
#include "admin/auth.h"

#include "base/property.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define GOOD "0123456789abcdef"

static char path[64];

static int setup(void **state)
{
    snprintf(path, sizeof(path), "/tmp/weir-token-test-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}

static int teardown(void **state)
{
    return unlink(path);
}

static void write_file(const void *bytes, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void one_line_is_a_token(void **state)
{
    static const char *const lines[] = {GOOD, GOOD "\n", GOOD "\r\n"};
    char token[TOKEN_TEXT_MAX], why[TOKEN_WHY_MAX];
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        write_file(lines[i], strlen(lines[i]), 0600);
        assert_int_equal(token_read(path, token, why), 0);
        assert_string_equal(token, GOOD);
    }
    char longest[TOKEN_BYTES_MAX + 2];
    memset(longest, '~', sizeof(longest));
    longest[TOKEN_BYTES_MAX] = '\n';
    write_file(longest, TOKEN_BYTES_MAX + 1, 0400);
    assert_int_equal(token_read(path, token, why), 0);
    assert_int_equal(strlen(token), TOKEN_BYTES_MAX);
    token_forget(token);
    assert_int_equal(token[0] | token[TOKEN_BYTES_MAX - 1], 0);
}

static void other_files_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        mode_t mode;
        const char *said;
    } cases[] = {
        {"", 0, 0600, "it is empty"},
        {"\n", 1, 0600, "too short"},
        {"0123456789abcde\n", 16, 0600, "too short"},
        {GOOD "\n\n", 18, 0600, "too short or too long"},
        {GOOD "\n" GOOD "\n", 34, 0600, "or there is more"},
        {GOOD " " GOOD, 33, 0600, "without spaces"},
        {GOOD "\0" GOOD, 33, 0600, "holds no token"},
        {GOOD "\xc3\xa9\n", 19, 0600, "holds no token"},
        {GOOD, 16, 0640, "its mode is 0640"},
        {GOOD, 16, 0601, "its mode is 0601"},
        {GOOD, 16, 0620, "chmod 600"},
    };
    char token[TOKEN_TEXT_MAX] = "as it was", why[TOKEN_WHY_MAX];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_file(cases[i].bytes, cases[i].len, cases[i].mode);
        assert_int_equal(token_read(path, token, why), -EINVAL);
        assert_non_null(strstr(why, cases[i].said));
        assert_non_null(strstr(why, path));
        assert_string_equal(token, "as it was");
    }
    char much[TOKEN_BYTES_MAX + 100];
    memset(much, 'x', sizeof(much));
    for (size_t len = TOKEN_BYTES_MAX + 1; len <= sizeof(much); len++) {
        write_file(much, len, 0600);
        assert_int_equal(token_read(path, token, why), -EINVAL);
    }
    assert_int_equal(token_read("/", token, why), -EINVAL);
    assert_non_null(strstr(why, "is not a file"));
    assert_int_equal(token_read("/nonexistent", token, why), -EINVAL);
    assert_non_null(strstr(why, "No such file"));
}

static void credentials_of_systemd_may_be_read_by_a_group(void **state)
{
    char token[TOKEN_TEXT_MAX], why[TOKEN_WHY_MAX];
    write_file(GOOD, 16, 0440);
    setenv("CREDENTIALS_DIRECTORY", "/tm", 1);
    assert_int_equal(token_read(path, token, why), -EINVAL);
    setenv("CREDENTIALS_DIRECTORY", "/tmp", 1);
    assert_int_equal(token_read(path, token, why), 0);
    write_file(GOOD, 16, 0444);
    assert_int_equal(token_read(path, token, why), -EINVAL);
    unsetenv("CREDENTIALS_DIRECTORY");
}

/* Opening a pipe must not wait for a writer. */
static void a_pipe_is_refused(void **state)
{
    char token[TOKEN_TEXT_MAX], why[TOKEN_WHY_MAX];
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(token_read(path, token, why), -EINVAL);
    assert_non_null(strstr(why, "is not a file"));
}

static void the_door(void **state)
{
    struct auth d;
    char why[TOKEN_WHY_MAX];
    const struct addr from = {.kind = ADDR_V4, .bytes = {127, 0, 0, 1}};
    auth_init(&d);
    assert_int_equal(auth_ask(&d, "Bearer " GOOD, &from, 1), AUTH_OFF);
    write_file(GOOD "\n", 17, 0600);
    assert_int_equal(auth_read(&d, path, why), 0);
    assert_int_equal(auth_ask(&d, "Bearer " GOOD, &from, 1), AUTH_OFF); /* not before it is taken */
    auth_take(&d);
    assert_int_equal(auth_ask(&d, "Bearer " GOOD, &from, 1), AUTH_OPEN);
    assert_int_equal(auth_ask(&d, "bearer " GOOD, &from, 1), AUTH_OPEN);
    static const char *const wrong[] = {NULL,
                                        "",
                                        "Bearer",
                                        "Bearer ",
                                        "Bearer  " GOOD,
                                        GOOD,
                                        "Basic " GOOD,
                                        "Bearer " GOOD "\n",
                                        "Bearer 0",
                                        "Bearer " GOOD "0",
                                        "Bearer 0123456789abcdeF"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(auth_ask(&d, wrong[i], &from, 1), AUTH_WRONG);
        assert_int_equal(atomic_load(&d.unauthorized), i + 1);
    }
    assert_int_equal(d.notice.held, ARRAY_LEN(wrong) - 1); /* one line for all of them */
    assert_int_equal(auth_ask(&d, NULL, &from, 1 + 10 * NS_PER_S), AUTH_WRONG);
    assert_int_equal(d.notice.held, 0);
    write_file("short", 5, 0600);
    assert_int_equal(auth_read(&d, path, why), -EINVAL);
    auth_take(&d);
    assert_int_equal(auth_ask(&d, "Bearer " GOOD, &from, 1), AUTH_OPEN); /* the old token stays */
    assert_int_equal(auth_read(&d, "", why), 0);
    auth_take(&d);
    assert_int_equal(auth_ask(&d, "Bearer " GOOD, &from, 1), AUTH_OFF);
    auth_fini(&d);
}

/* One changed bit anywhere, or one byte more or less, makes another token. */
static void whatever_differs_is_wrong(void **state)
{
    struct property_rng rng = property_rng_new("whatever_differs_is_wrong");
    for (int i = 0; i < 2000; i++) {
        char token[64], other[64];
        size_t len = 16 + (size_t)property_below(&rng, 40), other_len = len;
        for (size_t n = 0; n < len; n++)
            token[n] = (char)(33 + property_below(&rng, 94));
        memcpy(other, token, sizeof(token));
        if (property_below(&rng, 4) == 0)
            other_len--;
        else
            other[property_below(&rng, len)] ^= (char)(1u << property_below(&rng, 8));
        struct token_hash a = token_hash(token, len), same = token_hash(token, len), b = token_hash(other, other_len);
        assert_true(token_hash_equal(&a, &same));
        assert_false(token_hash_equal(&a, &b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_line_is_a_token, setup, teardown),
        cmocka_unit_test_setup_teardown(other_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(credentials_of_systemd_may_be_read_by_a_group, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pipe_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_door, setup, teardown),
        cmocka_unit_test(whatever_differs_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
