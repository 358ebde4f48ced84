/* SPDX-License-Identifier: MPL-2.0 */
/* What the admin server asks of the daemon above it. The functions are called on the admin thread. */
#ifndef WEIR_ADMIN_CALLS_H
#define WEIR_ADMIN_CALLS_H

enum admin_reloaded {
    ADMIN_RELOADED,
    ADMIN_RELOAD_REFUSED, /* the old configuration stays in force */
    ADMIN_RELOAD_LATE,    /* it goes on; what comes of it will be in the log */
    ADMIN_RELOAD_ENDING,  /* the daemon is ending, or memory is out: nothing is reloaded */
};

struct admin_calls {
    void *context;
    /* Has the configuration read again, as SIGHUP does, and waits for it, some seconds at most. *ret_said: what was
     * logged, a line each, to be given to free(); or NULL. */
    enum admin_reloaded (*reload)(void *context, char **ret_said);
};

#endif
