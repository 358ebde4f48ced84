/* SPDX-License-Identifier: MPL-2.0 */
/* Memory runs out, at every place in turn: a sentence, no snapshot, no leak. The linker puts the functions below
 * between the code and the allocator (--wrap), and between the code and libyaml, whose own allocations then fail as it
 * would report them. */
#include "config/config_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <yaml.h>

#include <cmocka.h>

/* Calls until one fails; 0: none does. */
static size_t fail_at;
static size_t calls;

static bool fails(void)
{
    return ++calls == fail_at;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_yaml_parser_initialize(yaml_parser_t *p);
int __wrap_yaml_parser_initialize(yaml_parser_t *p);
int __real_yaml_parser_parse(yaml_parser_t *p, yaml_event_t *e);
int __wrap_yaml_parser_parse(yaml_parser_t *p, yaml_event_t *e);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

int __wrap_yaml_parser_initialize(yaml_parser_t *p)
{
    return fails() ? 0 : __real_yaml_parser_initialize(p);
}

int __wrap_yaml_parser_parse(yaml_parser_t *p, yaml_event_t *e)
{
    if (!fails())
        return __real_yaml_parser_parse(p, e);
    p->error = YAML_MEMORY_ERROR;
    return 0;
}

static const char text[] = "log: {level: info}\n"
                           "gates:\n"
                           "- {listen: 'ipc:///a', forward: 'ipc:///b', message: {size: 1MiB},\n"
                           "   classes: [{name: a, match: {networks: [10.0.0.0/8, uid:1]}},\n"
                           "             {name: b, match: {networks: ['::1']}}, {name: default, weight: 2}]}\n";

/* Runs `work` with the n-th call failing, for every n that there is. */
static size_t at_every_place(struct config *(*work)(const char *path, FILE *out), const char *path)
{
    for (size_t n = 1;; n++) {
        char *said;
        size_t len;
        FILE *out = open_memstream(&said, &len);
        assert_non_null(out);
        fail_at = n;
        calls = 0;
        struct config *c = work(path, out);
        bool failed = calls >= n;
        fail_at = 0;
        fclose(out);
        if (!failed) {
            assert_non_null(c);
            assert_string_equal(said, "");
        } else {
            assert_null(c);
            assert_non_null(strstr(said, "emory")); /* "not enough memory", "Cannot allocate memory" */
        }
        config_free(c);
        free(said);
        if (!failed)
            return n - 1;
    }
}

static struct config *from_args(const char *path, FILE *out)
{
    return config_from_args("ipc:///a", "ipc:///b", out);
}

static void test_loading(void **state)
{
    char path[] = "/tmp/weir-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    assert_true(at_every_place(config_load, path) > 20);
    unlink(path);
}

static void test_arguments(void **state)
{
    assert_true(at_every_place(from_args, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loading),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
