/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/reload_request.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void reload_request_init(struct reload_request *o)
{
    pthread_condattr_t attr;
    *o = (struct reload_request){0};
    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&o->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void reload_request_fini(struct reload_request *o)
{
    free(o->said);
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
}

/* Under the lock. */
static void reload_request_wait_for(struct reload_request *o, uint64_t number)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RELOAD_REQUEST_PATIENCE_S;
    while (!o->closed && o->served < number && pthread_cond_timedwait(&o->changed, &o->lock, &until) == 0)
        ;
}

enum admin_reloaded reload_request_make(void *orders, char **ret_said)
{
    struct reload_request *o = orders;
    enum admin_reloaded r = ADMIN_RELOAD_LATE;
    *ret_said = NULL;
    pthread_mutex_lock(&o->lock);
    uint64_t number = ++o->asked;
    if (!o->closed) {
        kill(getpid(), SIGHUP); /* blocked in every thread, except where the main thread waits for it */
        reload_request_wait_for(o, number);
    }
    if (o->served >= number) {
        r = o->done ? ADMIN_RELOADED : ADMIN_RELOAD_REFUSED;
        *ret_said = o->said ? strdup(o->said) : NULL;
    } else if (o->closed) {
        r = ADMIN_RELOAD_ENDING;
    }
    pthread_mutex_unlock(&o->lock);
    return r;
}

uint64_t reload_request_begin(struct reload_request *o)
{
    pthread_mutex_lock(&o->lock);
    uint64_t number = o->asked;
    pthread_mutex_unlock(&o->lock);
    return number;
}

void reload_request_end(struct reload_request *o, uint64_t number, bool done, char *said)
{
    pthread_mutex_lock(&o->lock);
    free(o->said);
    o->said = said;
    o->done = done;
    o->served = number;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

void reload_request_close(struct reload_request *o)
{
    pthread_mutex_lock(&o->lock);
    o->closed = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}
