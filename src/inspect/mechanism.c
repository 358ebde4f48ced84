/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/mechanism.h"

#include "zmtp/command.h"

#include <string.h>

/* RFC 26: HELLO has 200 bytes, WELCOME 168, INITIATE at least 257; READY: name, 8 bytes of nonce, a box of at least 16.
 */
#define CURVE_HELLO_BYTES    200u
#define CURVE_WELCOME_BYTES  168u
#define CURVE_INITIATE_BYTES 257u
#define CURVE_READY_BYTES    30u

enum { STEP_HELLO, STEP_WELCOME, STEP_INITIATE, STEP_READY, STEP_DONE };

static const enum zmtp_command_kind expected[] = {
    [STEP_HELLO] = COMMAND_HELLO,
    [STEP_WELCOME] = COMMAND_WELCOME,
    [STEP_INITIATE] = COMMAND_INITIATE,
    [STEP_READY] = COMMAND_READY,
};

/* HELLO and INITIATE come from the side that is not the mechanism's server. */
static bool initiator_turn(const struct handshake *h)
{
    return h->step == STEP_HELLO || h->step == STEP_INITIATE;
}

static bool has_steps(const struct handshake *h)
{
    return !handshake_is_zmtp2(h) && h->app.mechanism != MECHANISM_NULL;
}

/* As long as the initiator is not known, either side may speak. */
bool mechanism_client_turn(const struct handshake *h)
{
    if (!has_steps(h))
        return !h->client_ready;
    return h->step < STEP_DONE &&
           (h->initiator == INITIATOR_UNKNOWN || initiator_turn(h) == (h->initiator == INITIATOR_CLIENT));
}

/* libzmq closes when it is told a type that does not fit its own, and has then often not said its own READY. So the
 * application's waits until the client's type is known, or nobody could say what was wrong. */
bool mechanism_app_turn(const struct handshake *h)
{
    if (!has_steps(h))
        return !h->app_ready && (h->client_ready || handshake_is_zmtp2(h));
    return h->step < STEP_DONE &&
           (h->initiator == INITIATOR_UNKNOWN || initiator_turn(h) == (h->initiator == INITIATOR_APP));
}

bool mechanism_is_early(const struct handshake *h, struct bytes body)
{
    struct zmtp_command c;
    return has_steps(h) && h->initiator == INITIATOR_UNKNOWN && zmtp_command_parse(body, &c) &&
           c.kind == COMMAND_WELCOME;
}

/* HELLO and WELCOME come from different sides: the application's own command counts. */
enum initiator handshake_shown_initiator(const struct handshake *h)
{
    if (h->app_says_hello)
        return INITIATOR_APP;
    if (!h->app_known || !has_steps(h) || h->step < (h->initiator == INITIATOR_APP ? STEP_WELCOME : STEP_INITIATE))
        return INITIATOR_UNKNOWN;
    return (enum initiator)h->initiator;
}

/* RFC 24: "hello = command-size %d5 'HELLO' username password", each with one length byte, and nothing behind. */
static bool plain_hello_ok(struct bytes data)
{
    struct cursor c = cursor_over(data.at, data.len);
    cursor_take(&c, cursor_u8(&c));
    cursor_take(&c, cursor_u8(&c));
    return !c.failed && cursor_left(&c) == 0;
}

static bool curve_size_ok(unsigned step, size_t len)
{
    static const struct {
        uint16_t bytes;
        bool at_least;
    } sizes[] = {
        [STEP_HELLO] = {CURVE_HELLO_BYTES, false},
        [STEP_WELCOME] = {CURVE_WELCOME_BYTES, false},
        [STEP_INITIATE] = {CURVE_INITIATE_BYTES, true},
        [STEP_READY] = {CURVE_READY_BYTES, true},
    };
    return len == sizes[step].bytes || (sizes[step].at_least && len > sizes[step].bytes);
}

static bool form_ok(const struct handshake *h, const struct zmtp_command *c, size_t body_len)
{
    if (h->app.mechanism == MECHANISM_CURVE)
        return curve_size_ok(h->step, body_len);
    return h->step != STEP_HELLO || plain_hello_ok(c->data);
}

static bool step_has_metadata(const struct handshake *h)
{
    return h->app.mechanism == MECHANISM_PLAIN && (h->step == STEP_INITIATE || h->step == STEP_READY);
}

/* PLAIN and CURVE: `wrong` and `malformed` are the verdicts for this side. */
static struct mechanism_command mechanism_next_step(struct handshake *h, const struct zmtp_command *c, size_t body_len,
                                                    enum initiator side, enum verdict wrong, enum verdict malformed)
{
    if (c->kind != expected[h->step])
        return (struct mechanism_command){.verdict = wrong};
    if (!form_ok(h, c, body_len))
        return (struct mechanism_command){.verdict = malformed};
    struct mechanism_command m = {.verdict = VERDICT_PASS, .has_metadata = step_has_metadata(h), .metadata = c->data};
    if (h->initiator == INITIATOR_UNKNOWN)
        h->initiator = side;
    h->step++;
    h->client_ready = h->app_ready = h->step == STEP_DONE;
    return m;
}

/* NULL: "each peer sends a READY", in no particular order. */
static struct mechanism_command null_ready(bool *ready, const struct zmtp_command *c, enum verdict wrong)
{
    if (c->kind != COMMAND_READY)
        return (struct mechanism_command){.verdict = wrong};
    *ready = true;
    return (struct mechanism_command){.verdict = VERDICT_PASS, .has_metadata = true, .metadata = c->data};
}

struct mechanism_command mechanism_client_command(struct handshake *h, struct bytes body)
{
    struct zmtp_command c;
    if (!zmtp_command_parse(body, &c))
        return (struct mechanism_command){.verdict = VERDICT_BAD_COMMAND};
    if (c.kind == COMMAND_ERROR)
        return (struct mechanism_command){.verdict = VERDICT_PEER_ERROR};
    if (h->app.mechanism == MECHANISM_NULL)
        return null_ready(&h->client_ready, &c, VERDICT_HANDSHAKE_ORDER);
    return mechanism_next_step(h, &c, body.len, INITIATOR_CLIENT, VERDICT_HANDSHAKE_ORDER, VERDICT_BAD_READY);
}

/* The PLAIN server of libzmq up to 4.3.4 spells ERROR this way (in C, "\x5ERROR" is the byte 5E and "RROR"), and its
 * clients read it so. */
static bool is_misspelt_error(struct bytes body)
{
    static const char error[] = "^RROR";
    return body.len > sizeof(error) - 1 && memcmp(body.at, error, sizeof(error) - 1) == 0;
}

struct mechanism_command mechanism_app_command(struct handshake *h, struct bytes body)
{
    struct zmtp_command c;
    if (is_misspelt_error(body))
        return (struct mechanism_command){.verdict = VERDICT_APPLICATION_REFUSED};
    if (!zmtp_command_parse(body, &c))
        return (struct mechanism_command){.verdict = VERDICT_APPLICATION_PROTOCOL};
    if (c.kind == COMMAND_ERROR)
        return (struct mechanism_command){.verdict = VERDICT_APPLICATION_REFUSED};
    if (h->app.mechanism == MECHANISM_NULL)
        return null_ready(&h->app_ready, &c, VERDICT_APPLICATION_PROTOCOL);
    /* No side is to blame: neither has said which is the mechanism's server. */
    if (c.kind == COMMAND_HELLO && h->initiator == INITIATOR_CLIENT && h->step == STEP_WELCOME) {
        h->app_says_hello = true;
        return (struct mechanism_command){.verdict = VERDICT_WRONG_ROLE};
    }
    return mechanism_next_step(h, &c, body.len, INITIATOR_APP, VERDICT_APPLICATION_PROTOCOL,
                               VERDICT_APPLICATION_PROTOCOL);
}
