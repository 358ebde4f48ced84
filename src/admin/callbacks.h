/* SPDX-License-Identifier: MPL-2.0 */
/* The calls of the admin server to the daemon above it. The functions are called on the admin thread. */
#ifndef WEIR_ADMIN_CALLBACKS_H
#define WEIR_ADMIN_CALLBACKS_H

enum admin_reloaded {
    ADMIN_RELOADED,
    ADMIN_RELOAD_REFUSED, /* the old configuration stays in force */
    ADMIN_RELOAD_LATE,    /* it goes on; its result will be in the log */
    ADMIN_RELOAD_ENDING,  /* the daemon is ending, or out of memory: there is no reload */
};

struct admin_callbacks {
    void *context;
    /* Has the configuration read again, as SIGHUP does, and waits for it, some seconds at most. *ret_said: the logged
     * text, one line for each message, to be freed by free(); or NULL. */
    enum admin_reloaded (*reload)(void *context, char **ret_said);
};

#endif
