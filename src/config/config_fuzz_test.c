/* SPDX-License-Identifier: MPL-2.0 */
/* Replays the seeds of the fuzz harness: each as it is, cut at every length, and with random bytes changed (the seed is
 * printed). */
#include "base/attr.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SEED_BYTES_MAX 4096
#define MUTANTS        200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_mutants(const uint8_t *data, size_t size)
{
    static const char marks[] = "{}[]&*!?:-#'\"|>%@, \n\t\\0";
    uint8_t mutant[SEED_BYTES_MAX];
    for (int i = 0; i < MUTANTS && size; i++) {
        memcpy(mutant, data, size);
        for (int changes = rand() % 4; changes >= 0; changes--)
            mutant[(size_t)rand() % size] =
                rand() % 2 ? (uint8_t)rand() : (uint8_t)marks[(size_t)rand() % (sizeof(marks) - 1)];
        LLVMFuzzerTestOneInput(mutant, size);
    }
}

static void run_seed(const char *name)
{
    char path[1024];
    uint8_t *data = malloc(SEED_BYTES_MAX);
    assert_non_null(data);
    snprintf(path, sizeof(path), "%s/%s", CONFIG_SEEDS_FOLDER, name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t size = fread(data, 1, SEED_BYTES_MAX, f);
    fclose(f);
    for (size_t len = 0; len <= size; len++)
        LLVMFuzzerTestOneInput(data, len);
    run_mutants(data, size);
    free(data);
}

static void test_seeds(void **state)
{
    unsigned seeds = 0, seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    DIR *folder = opendir(CONFIG_SEEDS_FOLDER);
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        if (e->d_name[0] == '.')
            continue;
        run_seed(e->d_name);
        seeds++;
    }
    closedir(folder);
    assert_true(seeds >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
