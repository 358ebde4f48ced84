/* SPDX-License-Identifier: MPL-2.0 */
/* Frames inside CURVE, of which only their sizes are seen: traffic_inner.h. */
#include "inspect/traffic_inner.h"

/* The heartbeats of libzmq in it, which have no context: "\4PING" with a TTL, "\4PONG". */
#define CURVE_PING_BYTES (CURVE_FRAME_BYTES + 7u)
#define CURVE_PONG_BYTES (CURVE_FRAME_BYTES + 5u)

/* RFC 26: after the handshake every frame is a MESSAGE command. Its flags are 0 or LONG, or COMMAND as the RFC's own
 * text has it. */
bool traffic_curve_header_ok(const struct zmtp_decoder *d)
{
    return !(d->flags & ZMTP_FLAG_MORE) && d->size >= CURVE_FRAME_BYTES;
}

bool traffic_curve_name_ok(const uint8_t *body)
{
    static const uint8_t name[CURVE_NAME_BYTES] = {7, 'M', 'E', 'S', 'S', 'A', 'G', 'E'};
    return memcmp(body, name, sizeof(name)) == 0;
}

/* Whether a frame inside CURVE is no message of its own (see the header). */
bool traffic_curve_goes_along(const struct judgement *j)
{
    const struct traffic *t = j->t;
    struct traffic *twin = j->c->twin;
    if (t->led && t->dec.size != CURVE_FRAME_BYTES)
        return true;
    if (t->dec.size != CURVE_PONG_BYTES || !twin || !twin->pinged)
        return false;
    twin->pinged = false;
    twin->pings = true;
    return true;
}

/* The answers that a frame of the size of a PING stands for. If the one before it was taken for a PING and no PONG has
 * come, that one was an answer too. */
static uint32_t answers_by_ping(struct traffic *t, uint64_t now_ns)
{
    bool missed = t->pings && t->pinged;
    t->pings = t->pings && !t->pinged;
    t->pinged = true;
    t->pinged_ns = now_ns;
    return !t->pings + missed;
}

/* Counts the application's frames in the same way as the client's. */
void traffic_curve_count_answer(struct judgement *j)
{
    struct traffic *t = j->t;
    bool empty = t->dec.size == CURVE_FRAME_BYTES, along = t->led && !empty;
    t->led = empty;
    if (!along && t->dec.size == CURVE_PING_BYTES && j->c->now_ns - t->pinged_ns >= TRAFFIC_CURVE_PING_NS)
        j->r->turns += answers_by_ping(t, j->c->now_ns);
    else
        j->r->turns += !along;
}
