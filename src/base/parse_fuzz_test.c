/* SPDX-License-Identifier: MPL-2.0 */
/* The fuzz harness in the normal run: its seeds, and random changes of them. */
#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const seeds[] = {
    "",
    "tcp://127.0.0.1:5555",
    "tcp://*:*",
    "tcp://[2001:db8::1]:65535",
    "tcp://[fe80::1%1]:80",
    "tcp://[::ffff:1.2.3.4]:1",
    "tcp://app.internal:5555",
    "ipc:///run/app/zmq.sock",
    "ipc://@abstract",
    "10MiB/s",
    "1000/10s",
    "unlimited",
    "18446744073709551615",
    "17179869184GiB",
    "213504d",
    "198.51.100.0/24",
    "198.51.100.7/9",
    "2001:db8::/32",
    "::1",
    "uid:1000",
};

static void seeds_hold(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(seeds); i++)
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)seeds[i], strlen(seeds[i])), 0);
}

static void changed_seeds_hold(void **state)
{
    static const char alphabet[] = "0123456789:/[]*@.%abcdefisGMKkBhmu-";
    struct property_rng rng = property_rng_new("parse");
    for (int i = 0; i < 50000; i++) {
        uint8_t data[160];
        const char *seed = seeds[property_below(&rng, ARRAY_LEN(seeds))];
        size_t len = strlen(seed);
        memcpy(data, seed, len);
        for (uint64_t n = property_below(&rng, 4); n > 0 && len > 0; n--) {
            size_t at = property_below(&rng, len);
            data[at] = (uint8_t)alphabet[property_below(&rng, sizeof(alphabet) - 1)];
            if (property_below(&rng, 8) == 0)
                data[at] = (uint8_t)property_next(&rng);
        }
        while (len < sizeof(data) && property_below(&rng, 4) == 0)
            data[len++] = (uint8_t)alphabet[property_below(&rng, sizeof(alphabet) - 1)];
        assert_int_equal(LLVMFuzzerTestOneInput(data, len), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_hold),
        cmocka_unit_test(changed_seeds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
