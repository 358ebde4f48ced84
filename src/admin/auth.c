/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/auth.h"

#include <string.h>

void auth_init(struct auth *d)
{
    *d = (struct auth){0};
    pthread_mutex_init(&d->lock, NULL);
}

void auth_fini(struct auth *d)
{
    pthread_mutex_destroy(&d->lock);
}

int auth_read(struct auth *d, const char *path, char why[static TOKEN_WHY_MAX])
{
    char text[TOKEN_TEXT_MAX];
    if (!path[0]) {
        d->next_has_token = false;
        return 0;
    }
    int error = token_read(path, text, why);
    if (error)
        return error;
    d->next = token_hash(text, strlen(text));
    d->next_has_token = true;
    token_forget(text);
    return 0;
}

void auth_take(struct auth *d)
{
    pthread_mutex_lock(&d->lock);
    d->token = d->next;
    d->has_token = d->next_has_token;
    pthread_mutex_unlock(&d->lock);
}

static void auth_note(struct auth *d, const struct addr *from, bool shown, uint64_t now_ns)
{
    char who[ADDR_TEXT_MAX];
    LOG_LIMITED(&d->notice, now_ns, LOG_LEVEL_WARN, "admin: %s asked for the API with %s token",
                addr_format(who, sizeof(who), from), shown ? "a wrong" : "no");
}

static bool is_right(struct auth *d, const char *header)
{
    size_t len = 0;
    const char *shown = header ? token_of_header(header, &len) : NULL;
    if (!shown)
        return false;
    struct token_hash h = token_hash(shown, len);
    pthread_mutex_lock(&d->lock);
    bool right = d->has_token && token_hash_equal(&h, &d->token);
    pthread_mutex_unlock(&d->lock);
    return right;
}

enum auth_says auth_ask(struct auth *d, const char *header, const struct addr *from, uint64_t now_ns)
{
    pthread_mutex_lock(&d->lock);
    bool off = !d->has_token;
    pthread_mutex_unlock(&d->lock);
    if (off)
        return AUTH_OFF;
    if (is_right(d, header))
        return AUTH_OPEN;
    atomic_fetch_add(&d->unauthorized, 1);
    auth_note(d, from, header != NULL, now_ns);
    return AUTH_WRONG;
}
