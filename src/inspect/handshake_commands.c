/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/handshake_commands.h"

#include "inspect/handshake_greetings.h"
#include "inspect/mechanism.h"
#include "zmtp/command.h"
#include "zmtp/decoder.h"
#include "zmtp/metadata.h"

#include <string.h>

/* Room for Weir's own properties and a frame header, beyond what the client sent. */
#define REWRITE_ROOM 512u

/* ---- frames of the handshake ---- */

enum frame_result { FRAME_NEED, FRAME_WHOLE, FRAME_WRONG };

/* Takes one frame at the front of `q`: its body and whole length. Returns FRAME_WRONG, with the verdict, as early as
 * the bytes allow. */
static enum frame_result take_frame(const struct handshake_bytes *q, bool zmtp2, uint32_t max, struct bytes *ret_body,
                                    size_t *ret_len, enum verdict *ret_why)
{
    struct zmtp_decoder d;
    struct bytes in = handshake_bytes_all(q);
    const uint8_t *at = in.at;
    if (in.len == 0)
        return FRAME_NEED;
    zmtp_decoder_init(&d, zmtp2);
    enum zmtp_item item = zmtp_next(&d, &at, in.at + in.len);
    if (item == ZMTP_BAD) {
        *ret_why = d.error == ZMTP_MORE_ON_COMMAND ? VERDICT_MORE_ON_COMMAND
                   : d.error == ZMTP_SIZE_OVERFLOW ? VERDICT_BAD_FRAME_SIZE
                                                   : VERDICT_RESERVED_FLAGS;
        return FRAME_WRONG;
    }
    if (item == ZMTP_NEED)
        return FRAME_NEED;
    /* RFC 37: the handshake consists of commands; in 2.0 of one plain frame, the identity. */
    if (zmtp_is_command(&d) == zmtp2 || (d.flags & ZMTP_FLAG_MORE)) {
        *ret_why = VERDICT_HANDSHAKE_ORDER;
        return FRAME_WRONG;
    }
    if (d.size > max) {
        *ret_why = VERDICT_HANDSHAKE_TOO_LARGE;
        return FRAME_WRONG;
    }
    if (item == ZMTP_HEADER)
        return FRAME_NEED;
    *ret_len = (size_t)(at - in.at);
    *ret_body = (struct bytes){.at = at - d.size, .len = (size_t)d.size};
    return FRAME_WHOLE;
}

/* ---- the client's commands ---- */

static bool check_routing_id(struct handshake *h, struct bytes id)
{
    h->routing_id_len = (uint8_t)(id.len < sizeof(h->routing_id) ? id.len : sizeof(h->routing_id));
    if (h->routing_id_len)
        memcpy(h->routing_id, id.at, h->routing_id_len);
    if (!zmtp_routing_id_ok(id))
        handshake_refuse(h, VERDICT_BAD_ROUTING_ID);
    else if (zmtp_routing_id_is_generated(id))
        handshake_refuse(h, VERDICT_RESERVED_ROUTING_ID);
    return h->verdict == VERDICT_PASS;
}

static bool check_metadata(struct handshake *h, struct bytes metadata)
{
    struct zmtp_metadata m;
    if (!zmtp_metadata_parse(metadata, &m)) {
        handshake_refuse(h, VERDICT_BAD_METADATA);
        return false;
    }
    h->client_socket = socket_type_parse(m.socket_type);
    if (h->client_socket == SOCKET_AUTO || !handshake_types_fit(h)) {
        handshake_refuse(h, VERDICT_WRONG_SOCKET_TYPE);
        return false;
    }
    h->named = check_routing_id(h, m.routing_id);
    return h->named;
}

/* Weir's own properties, then the client's without the reserved ones. Returns the bytes written; 0: no room. */
static size_t put_metadata(const struct handshake *h, uint8_t *dst, size_t size, struct bytes metadata)
{
    size_t used = h->class_name[0] ? zmtp_property_put(dst, size, "X-Weir-Class", h->class_name) : 0;
    size_t rest = zmtp_metadata_rewrite(dst + used, size - used, metadata, "X-Weir-Peer", h->peer);
    return rest ? used + rest : 0;
}

/* Passes a command with metadata on: "<name>", then the metadata as rewritten. */
static bool forward_rewritten(struct handshake *h, struct bytes body, struct bytes metadata)
{
    size_t name_len = body.len - metadata.len;
    size_t most = body.len + REWRITE_ROOM;
    if (!handshake_bytes_reserve(h, &h->to_app, most + ZMTP_HEADER_MAX))
        return false;
    /* The header's length depends on the body's. So the body is made behind the place of a long header, then moved. */
    uint8_t *at = h->to_app.data + h->to_app.len, *new_body = at + ZMTP_HEADER_MAX;
    memcpy(new_body, body.at, name_len);
    size_t len = put_metadata(h, new_body + name_len, most - name_len, metadata);
    if (len == 0) {
        handshake_refuse(h, VERDICT_NO_MEMORY);
        return false;
    }
    size_t header = zmtp_put_header(at, ZMTP_FLAG_COMMAND, name_len + len);
    memmove(at + header, new_body, name_len + len);
    h->to_app.len += (uint32_t)(header + name_len + len);
    return true;
}

static bool take_client_command(struct handshake *h, struct bytes frame, struct bytes body)
{
    struct mechanism_command m = mechanism_client_command(h, body);
    if (m.verdict != VERDICT_PASS) {
        handshake_refuse(h, m.verdict);
        return false;
    }
    if (m.has_metadata && !check_metadata(h, m.metadata))
        return false;
    bool queued = m.has_metadata ? forward_rewritten(h, body, m.metadata)
                                 : handshake_bytes_put(h, &h->to_app, frame.at, frame.len);
    h->wants_app = true;
    return queued;
}

static bool take_client_identity(struct handshake *h, struct bytes frame, struct bytes body)
{
    h->named = check_routing_id(h, body);
    if (!h->named)
        return false;
    h->client_ready = true;
    return handshake_bytes_put(h, &h->to_app, frame.at, frame.len);
}

bool handshake_commands_client_step(struct handshake *h)
{
    struct bytes body, frame = handshake_bytes_all(&h->from_client);
    enum verdict why = VERDICT_PASS;
    if (!handshake_greetings_take_client(h) || !mechanism_client_turn(h))
        return false;
    enum frame_result r = take_frame(&h->from_client, handshake_is_zmtp2(h), h->max_bytes, &body, &frame.len, &why);
    if (r == FRAME_WRONG)
        handshake_refuse(h, why);
    if (r != FRAME_WHOLE || mechanism_is_early(h, body))
        return false;
    frame.at = h->from_client.data + h->from_client.start;
    bool taken = handshake_is_zmtp2(h) ? take_client_identity(h, frame, body) : take_client_command(h, frame, body);
    handshake_bytes_drop(&h->from_client, frame.len);
    return taken;
}

/* ---- the application's commands ---- */

static bool take_app_command(struct handshake *h, struct bytes body)
{
    struct mechanism_command m = mechanism_app_command(h, body);
    if (m.has_metadata) {
        struct zmtp_metadata metadata;
        if (!zmtp_metadata_parse(m.metadata, &metadata))
            m.verdict = VERDICT_APPLICATION_PROTOCOL;
        else
            h->app_socket = socket_type_parse(metadata.socket_type);
        if (m.verdict == VERDICT_PASS && h->client_socket != SOCKET_AUTO && !handshake_types_fit(h))
            m.verdict = VERDICT_WRONG_SOCKET_TYPE;
    }
    if (m.verdict != VERDICT_PASS)
        handshake_refuse(h, m.verdict);
    /* An ERROR goes on to the client, with its reason, before the connection ends. */
    return m.verdict == VERDICT_PASS || m.verdict == VERDICT_APPLICATION_REFUSED;
}

bool handshake_commands_app_step(struct handshake *h)
{
    struct bytes body, frame = {0};
    enum verdict why = VERDICT_PASS;
    bool greeted = h->app_greeted;
    if (!h->app_open || !handshake_greetings_take_app(h))
        return false;
    /* The client's greeting may wait for the application's. */
    if (!greeted)
        return true;
    if (!h->client_greeted || !mechanism_app_turn(h))
        return false;
    enum frame_result r = take_frame(&h->from_app, handshake_is_zmtp2(h), HANDSHAKE_APP_MAX, &body, &frame.len, &why);
    if (r == FRAME_WRONG)
        handshake_refuse(h, VERDICT_APPLICATION_PROTOCOL);
    if (r != FRAME_WHOLE || mechanism_is_early(h, body))
        return false;
    frame.at = h->from_app.data + h->from_app.start;
    if (handshake_is_zmtp2(h))
        h->app_ready = true;
    else if (!take_app_command(h, body))
        return false;
    bool queued = handshake_bytes_put(h, &h->to_client, frame.at, frame.len);
    handshake_bytes_drop(&h->from_app, frame.len);
    return queued;
}
