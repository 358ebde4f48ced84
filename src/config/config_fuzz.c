/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness of the configuration reader. Host names are not looked up: see getaddrinfo() in
 * config_fuzz_names.c. */
#include "config/config_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading r = reading_of_bytes((const char *)data, size);
    if ((r.config == NULL) == (strstr(r.said, "weir.yaml:") == NULL) && !strstr(r.said, " warning: "))
        abort(); /* refused without a word, or a complaint about what was accepted */
    reading_free(&r);
    return 0;
}
