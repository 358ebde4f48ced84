/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/end_detail.h"

#include "base/text.h"
#include "base/units.h"
#include "relay/handshaking.h"

#include <stdio.h>

/* The size announced by the frame that ended the session: its header is the last that was read. */
static const char *size_detail(char *dst, size_t size, const struct session *s, enum verdict v)
{
    const struct traffic *t = &s->up.traffic;
    const struct limits *l = session_limits(s);
    char seen[32], allowed[32];
    dst[0] = 0;
    if (v == VERDICT_FRAME_TOO_LARGE)
        snprintf(dst, size, ": announced %s, allowed %s", units_format_bytes(seen, sizeof(seen), t->dec.size),
                 units_format_bytes(allowed, sizeof(allowed), l->message.frame_bytes));
    if (v == VERDICT_OVER_MAXMSGSIZE)
        snprintf(dst, size, ": announced %s, allowed %s", units_format_bytes(seen, sizeof(seen), t->dec.size),
                 units_format_bytes(allowed, sizeof(allowed), s->wg->gate->traffic.app_frame_bytes));
    if (v == VERDICT_MESSAGE_TOO_LARGE)
        snprintf(dst, size, ": announced %s%s, allowed %s", t->frames ? "so far " : "",
                 units_format_bytes(seen, sizeof(seen), t->size + t->dec.size),
                 units_format_bytes(allowed, sizeof(allowed), l->message.size_bytes));
    if (v == VERDICT_TOO_MANY_FRAMES)
        snprintf(dst, size, ": allowed %u", l->message.frames);
    return dst;
}

/* The name in capitals, as usually written: "SUB". */
static const char *capitals(char dst[static 16], enum socket_type t)
{
    const char *name = socket_type_name(t);
    size_t i = 0;
    for (; i < 15 && name[i]; i++)
        dst[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    dst[i] = 0;
    return dst;
}

/* The application's type that the client does not fit: the one it has sent in this handshake, or the one it is believed
 * to have. */
static enum socket_type misfit_type(const struct handshake *h)
{
    bool said = h->app_socket != SOCKET_AUTO && !socket_types_fit(h->client_socket, h->app_socket);
    return said ? h->app_socket : h->app.socket;
}

/* Whose the id is. A load balancer's address says nothing: it carries many clients. */
static void duplicate_detail(char *dst, size_t size, const struct session *s)
{
    const struct handshake *h = &s->handshaking->handshake;
    const struct addr *holder = &s->handshaking->claim.holder;
    char id[48], who[ADDR_TEXT_MAX];
    text_escape(id, sizeof(id), h->routing_id, h->routing_id_len);
    if (holder->kind == ADDR_NONE || networks_contain(&s->wg->gate->config->balancers, holder))
        snprintf(dst, size, ": \"%s\"", id);
    else
        snprintf(dst, size, ": \"%s\" belongs to %s", id, addr_format(who, sizeof(who), holder));
}

/* A mismatch between client and application. */
static const char *misfit_detail(char *dst, size_t size, const struct session *s, enum verdict v)
{
    const struct handshake *h = s->handshaking ? &s->handshaking->handshake : NULL;
    char its[16], apps[16];
    dst[0] = 0;
    if (!h)
        return dst;
    enum socket_type app = misfit_type(h);
    if (v == VERDICT_WRONG_SOCKET_TYPE && h->client_socket != SOCKET_AUTO && app != SOCKET_AUTO)
        snprintf(dst, size, ": it is a %s, the application a %s", capitals(its, h->client_socket), capitals(apps, app));
    if (v == VERDICT_WRONG_MECHANISM && h->client.mechanism != MECHANISM_OTHER && h->app.mechanism != MECHANISM_OTHER)
        snprintf(dst, size, ": it speaks %s, the application %s", zmtp_mechanism_name(h->client.mechanism),
                 zmtp_mechanism_name(h->app.mechanism));
    if (v == VERDICT_OLD_VERSION)
        snprintf(dst, size, ": it speaks ZMTP %u.0", h->client.major);
    if (v == VERDICT_DUPLICATE_ROUTING_ID)
        duplicate_detail(dst, size, s);
    return dst;
}

const char *end_detail(char *dst, size_t size, const struct session *s, enum verdict v)
{
    return s->handshaking ? misfit_detail(dst, size, s, v) : size_detail(dst, size, s, v);
}
