/* SPDX-License-Identifier: MPL-2.0 */
/*
 * For the tests of this floor and of the floors above: reads a folder of captured streams into memory (tests/seeds/).
 * Not part of the program.
 */
#ifndef WEIR_ZMTP_TEST_SEEDS_H
#define WEIR_ZMTP_TEST_SEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEED_NAME_MAX 128

struct seed {
    char name[SEED_NAME_MAX];
    uint8_t *bytes;
    size_t len;
};

/* In the order of their names. */
struct seeds {
    struct seed *list;
    size_t count;
};

/* Loads all files of a folder. The caller owns *ret until seeds_free(). False: the folder cannot be read or is
 * empty. */
bool seeds_load(const char *dir, struct seeds *ret);
void seeds_free(struct seeds *s);

#endif
