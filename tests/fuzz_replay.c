/* SPDX-License-Identifier: MPL-2.0 */
/* Shows a fuzz harness its seeds, without a fuzzer: fuzz_replay FOLDER... A harness that finds something wrong aborts.
 */
#include "zmtp/test_seeds.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        struct seeds seeds;
        if (!seeds_load(argv[i], &seeds)) {
            fprintf(stderr, "%s: no seeds\n", argv[i]);
            return 1;
        }
        for (size_t s = 0; s < seeds.count; s++) {
            /* The last line before an abort names the seed. */
            printf("%s/%s\n", argv[i], seeds.list[s].name);
            fflush(stdout);
            LLVMFuzzerTestOneInput(seeds.list[s].bytes, seeds.list[s].len);
        }
        count += seeds.count;
        seeds_free(&seeds);
    }
    printf("%zu seeds\n", count);
    return count == 0;
}
