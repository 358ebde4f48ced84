/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/common.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool common_options(void *defaults, const void *given, size_t first, size_t known)
{
    size_t size;
    if (!given)
        return true;
    memcpy(&size, given, sizeof(size));
    if (size < first || size > known)
        return false;
    memcpy(defaults, given, size);
    return true;
}

int common_stats(void *ret, const void *stats, size_t known)
{
    size_t size;
    memcpy(&size, ret, sizeof(size));
    if (size <= sizeof(size) || size > known)
        return -EINVAL;
    memcpy(ret, stats, size);
    memcpy(ret, &size, sizeof(size));
    return 0;
}

uint64_t common_now_ns(const struct weir_clock *clock)
{
    return clock->now_ns ? clock->now_ns(clock->arg) : clock_now_ns();
}

uint32_t weir_version(void)
{
    return WEIR_VERSION_MAJOR << 16 | WEIR_VERSION_MINOR << 8 | WEIR_VERSION_PATCH;
}

void weir_free(void *memory)
{
    free(memory);
}
