/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/lane_input.h"

#include "relay/buffer_room.h"
#include "relay/lane_buffer.h"
#include "relay/record.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Up to this many held bytes are copied in front of a read. */
#define HELD_SMALL_BYTES 4096u

static void on_read_end(struct lane *l, struct session *s, ssize_t n)
{
    struct socket_side *from = lane_from(l, s);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (errno != EINTR)
            socket_side_was_emptied(from, s->wg->worker);
        return;
    }
    from->readable = false;
    l->eof = true;
}

static ssize_t read_some(struct lane *l, struct session *s, uint8_t *at, size_t room)
{
    struct socket_side *from = lane_from(l, s);
    ssize_t n = recv(from->watch.fd, at, room, 0);
    if (n <= 0) {
        on_read_end(l, s, n);
        return 0;
    }
    /* With edge-triggered events a short read has emptied the socket, unless the end of the stream waits behind it. */
    if ((size_t)n < room && !from->hup)
        socket_side_was_emptied(from, s->wg->worker);
    if ((size_t)n == room && l->read_log2 < LANE_READ_LOG2_MAX)
        l->read_log2++;
    s->progress.moved += l->traffic.inbound ? (uint64_t)n : 0;
    l->last_read = (uint32_t)n;
    s->times.active_ns = session_now_ns(s);
    cell_add(session_cells(s), lane_cell(l, CELL_RECEIVED_IN, CELL_RECEIVED_OUT), (uint64_t)n);
    return n;
}

/* The beginning of a long message is in the lane's buffer. The rest is read behind it, so that no byte is moved twice.
 * Makes room for `more` bytes. */
static bool read_behind(struct lane *l, struct session *s, size_t more, struct lane_window *w)
{
    if (!lane_buffer_make_room(l, s, more)) {
        buffer_room_wait(l, s);
        return false;
    }
    size_t room = l->cap - l->end;
    ssize_t n = read_some(l, s, l->buf + l->end, room < SCRATCH_READ_BYTES ? room : SCRATCH_READ_BYTES);
    if (n <= 0)
        return false;
    l->end += (uint32_t)n;
    *w = (struct lane_window){l->buf + l->ready, l->buf + l->scanned, l->buf + l->end, false};
    return true;
}

static bool read_to_scratch(struct lane *l, struct session *s, struct lane_window *w)
{
    uint8_t *area = s->wg->worker->loop.scratch + SCRATCH_HEAD_BYTES;
    size_t held = l->end - l->ready;
    ssize_t n = read_some(l, s, area, (size_t)1 << l->read_log2);
    if (n <= 0)
        return false;
    if (held)
        memcpy(area - held, l->buf + l->ready, held);
    *w = (struct lane_window){area - held, area, area + n, true};
    return true;
}

bool lane_input_next(struct lane *l, struct session *s, struct lane_window *w)
{
    if (l->scanned < l->end || traffic_waits(&l->traffic)) {
        *w = (struct lane_window){l->buf + l->ready, l->buf + l->scanned, l->buf + l->end, false};
        return true;
    }
    if (l->eof || !lane_from(l, s)->readable)
        return false;
    size_t held = l->end - l->ready;
    enum buffer_room_grant grant = buffer_room_grants(l, s);
    if (grant == BUFFER_ROOM_NOTHING)
        return false;
    if (grant == BUFFER_ROOM_WITHIN)
        return read_behind(l, s, l->cap - held, w);
    /* Copying the held bytes costs little beside a read that brings more than that. Beside a trickle it would be
     * expensive, and an attacker could cause that. */
    bool cheap = held <= HELD_SMALL_BYTES || (held <= SCRATCH_HEAD_BYTES && l->last_read >= held);
    return cheap ? read_to_scratch(l, s, w) : read_behind(l, s, held < 65536 ? held : 65536, w);
}
