/* SPDX-License-Identifier: MPL-2.0 */
#include "app_pool.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef WITH_LIBWEIR
#include <weir.h>

static void (*work_on)(const void *bytes, size_t size);

static enum weir_outcome handle(struct weir_task *task, void *unused)
{
    size_t count = weir_task_frames(task), size = 0;
    const void *bytes = count ? weir_task_frame(task, count - 1, &size) : NULL;
    if (count)
        work_on(bytes, size);
    for (size_t i = 0; i < count; i++) {
        bytes = weir_task_frame(task, i, &size);
        if (weir_task_reply(task, bytes, size) < 0)
            return WEIR_FAILED;
    }
    return WEIR_OK;
}

_Noreturn void pool_serve(void *socket, unsigned workers, void (*work)(const void *bytes, size_t size),
                          const char *counter)
{
    struct weir_pool_options options;
    weir_pool_options_init(&options);
    work_on = work;
    options.handler = handle;
    options.workers_min = workers;
    options.full = WEIR_POOL_SHED;
    options.counter = counter ? weir_counter_open(counter) : NULL;
    struct weir_pool *pool = weir_pool_new(socket, &options);
    if (!pool || (counter && !options.counter)) {
        perror("pool");
        exit(1);
    }
    puts("ready");
    fflush(stdout);
    exit(weir_pool_run(pool, UINT64_MAX) ? 1 : 0);
}
#else
_Noreturn void pool_serve(void *socket, unsigned workers, void (*work)(const void *bytes, size_t size),
                          const char *counter)
{
    fputs("this build has no libweir (-Dlibrary=enabled)\n", stderr);
    exit(1);
}
#endif
