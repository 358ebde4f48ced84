/* SPDX-License-Identifier: MPL-2.0 */
/* Files of ban.lists on a real disk: their effect, and the whole sentence for each wrong one. */
#include "config/ban_lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], first[96], second[96], file[96];

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/weir-lists-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(first, sizeof(first), "%s/first", folder);
    snprintf(second, sizeof(second), "%s/second", folder);
    snprintf(file, sizeof(file), "%s/weir.yaml", folder);
    FILE *f = fopen(file, "we");
    if (!f)
        return -1;
    fprintf(f, "ban: {lists: [%s, %s]}\ngates: [{listen: 'ipc:///a', forward: 'ipc:///b'}]\n", first, second);
    return fclose(f);
}

static int teardown(void **state)
{
    unlink(first);
    unlink(second);
    unlink(file);
    return rmdir(folder);
}

/* Loads the file; `said` is to be freed. */
static struct config *load(char **said)
{
    size_t len;
    FILE *out = open_memstream(said, &len);
    assert_non_null(out);
    struct config *c = config_load(file, out);
    fclose(out);
    return c;
}

static void refused(const char *format)
{
    char *said, expected[512];
    assert_null(load(&said));
    snprintf(expected, sizeof(expected), format, first);
    assert_string_equal(said, expected);
    free(said);
}

static void all_files_together_each_network_once(void **state)
{
    static const char *const expected[] = {"192.0.2.0/24", "192.0.2.1", "198.51.100.7", "2001:db8::/32"};
    char *said, text[NETWORK_TEXT_MAX];
    put(first, "# ours\n198.51.100.7\n192.0.2.1 # a neighbour\n");
    put(second, "; theirs\n2001:db8::/32 ; x\n192.0.2.1\n192.0.2.0/24\n");
    struct config *c = load(&said);
    assert_string_equal(said, "");
    assert_non_null(c);
    assert_int_equal(c->ban_lists.count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_string_equal(network_format(text, sizeof(text), &c->ban_lists.at[i]), expected[i]);
    config_free(c);
    free(said);
}

static void empty_files_ban_nobody(void **state)
{
    char *said;
    put(first, "");
    put(second, "# nothing today\n");
    struct config *c = load(&said);
    assert_non_null(c);
    assert_int_equal(c->ban_lists.count, 0);
    config_free(c);
    free(said);
}

static void wrong_lines_are_named(void **state)
{
    put(second, "192.0.2.1\n");
    put(first, "192.0.2.1\n   \"evil\"\n");
    refused(
        "%s:2:4: not in a ban list: \"\\x22evil\\x22\" (an address is written 192.0.2.0, 2001:db8:: or uid:1000)\n");
    put(first, "0.0.0.0/0");
    refused("%s:1:1: not in a ban list: \"0.0.0.0/0\" (that would ban everybody)\n");
}

static void many_wrong_lines_are_counted(void **state)
{
    char *said;
    put(second, "");
    FILE *f = fopen(first, "we");
    assert_non_null(f);
    for (unsigned i = 0; i < 1000; i++)
        fputs("<html>\n", f);
    fclose(f);
    assert_null(load(&said));
    assert_non_null(strstr(said, "first:10:1: "));
    assert_null(strstr(said, "first:11:1: "));
    assert_non_null(strstr(said, "first: 990 more mistakes not shown\n"));
    free(said);
}

static void out_of_reach(void **state)
{
    put(second, "");
    refused("%s: cannot be read: No such file or directory\n");
    assert_int_equal(symlink(folder, first), 0);
    refused("%s: cannot be read: Is a directory\n");
}

static void write_many(const char *path, unsigned count, unsigned net)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (unsigned i = 0; i < count; i++)
        fprintf(f, "%u.%u.%u.%u\n", net, i >> 16, i >> 8 & 255, i & 255);
    fclose(f);
}

static void so_many_and_no_more(void **state)
{
    char *said;
    write_many(first, 30000, 10);
    write_many(second, BAN_LISTS_MOST - 30000, 11);
    struct config *c = load(&said);
    assert_string_equal(said, "");
    assert_int_equal(c->ban_lists.count, BAN_LISTS_MOST);
    config_free(c);
    free(said);
    put(second, "");
    write_many(first, BAN_LISTS_MOST + 9, 10);
    refused("%s:50001:1: too many networks: number 50001, allowed 50000 in all files of ban.lists together\n");
}

static void too_large(void **state)
{
    put(first, "");
    put(second, "");
    assert_int_equal(truncate(first, BAN_LIST_BYTES_MAX + 1), 0);
    refused("%s: too large: more than 8388608 bytes, allowed up to 8MiB\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_files_together_each_network_once, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_files_ban_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_lines_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(many_wrong_lines_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_reach, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(too_large, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
