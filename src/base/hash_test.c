/* SPDX-License-Identifier: MPL-2.0 */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* The test vectors of the paper (appendix A) and of its reference code: key 00..0f, message 00..(n-1). */
static void is_siphash_2_4(void **state)
{
    struct hash_key key;
    uint8_t message[15];
    for (uint8_t i = 0; i < 16; i++)
        key.bytes[i] = i;
    for (uint8_t i = 0; i < 15; i++)
        message[i] = i;
    assert_int_equal(hash_bytes(&key, message, 15), 0xa129ca6149be45e5);
    assert_int_equal(hash_bytes(&key, message, 0), 0x726fdb47dd0e0e31);
    assert_int_equal(hash_bytes(&key, message, 8), 0x93f5f5799a932462);
}

static void each_random_key_is_another(void **state)
{
    struct hash_key a, b, zero = {{0}};
    hash_key_random(&a);
    hash_key_random(&b);
    assert_memory_not_equal(&a, &b, sizeof(a));
    assert_memory_not_equal(&a, &zero, sizeof(a));
    assert_int_not_equal(hash_bytes(&a, "x", 1), hash_bytes(&b, "x", 1));
    assert_int_equal(hash_bytes(&a, "x", 1), hash_bytes(&a, "x", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_siphash_2_4),
        cmocka_unit_test(each_random_key_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
