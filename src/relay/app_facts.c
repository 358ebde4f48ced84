/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/app_facts.h"

#include "relay/gate_limiter.h"

#define KNOWN           (UINT64_C(1) << 63)
#define INITIATOR_SHIFT 32u
#define INITIATOR_BITS  (UINT64_C(3) << INITIATOR_SHIFT)

void app_facts_init(struct app_facts *f, enum socket_type configured, struct gate_limiter *limiter)
{
    f->limiter = limiter;
    f->configured = configured;
    atomic_store(&f->socket, configured);
}

/* ---- the limiter ---- */

/* Facts about an application of another type do not hold for this one. */
static void shape_limiter(struct app_facts *f, enum socket_type t, uint64_t now_ns)
{
    if ((enum socket_type)atomic_exchange(&f->shapes, t) != t)
        gate_limiter_begin_anew(f->limiter, t, now_ns);
}

/* ---- learning ---- */

static void learn_socket(struct app_facts *f, enum socket_type t, uint64_t now_ns)
{
    if (f->configured == SOCKET_AUTO)
        atomic_store_explicit(&f->socket, t, memory_order_relaxed);
    atomic_store_explicit(&f->socket_at_ns, now_ns, memory_order_relaxed);
    shape_limiter(f, t, now_ns);
}

/* The greeting in one word. */
static uint64_t pack(const struct handshake_app *app)
{
    return KNOWN | (uint64_t)app->major << 24 | (uint64_t)app->as_server << 16 | (uint64_t)app->minor << 8 |
           (uint64_t)app->mechanism;
}

static uint64_t pack_all(const struct handshake_app *app)
{
    return pack(app) | (uint64_t)app->initiator << INITIATOR_SHIFT;
}

void app_facts_tell(struct app_facts *f, enum socket_type configured, const struct handshake_app *greeting)
{
    f->configured = configured;
    if (configured != SOCKET_AUTO)
        atomic_store(&f->socket, configured);
    atomic_store(&f->told, greeting ? pack_all(greeting) : 0);
}

void app_facts_learn(struct app_facts *f, const struct handshake_app *app, uint64_t now_ns)
{
    uint64_t before = atomic_load_explicit(&f->greeting, memory_order_acquire), v = pack(app);
    if (app->initiator != INITIATOR_UNKNOWN)
        v |= (uint64_t)app->initiator << INITIATOR_SHIFT;
    else if ((before & ~INITIATOR_BITS) == v)
        v = before;
    if (v != before)
        atomic_store_explicit(&f->greeting, v, memory_order_release);
    if (app->socket != SOCKET_AUTO)
        learn_socket(f, app->socket, now_ns);
}

void app_facts_forget_initiator(struct app_facts *f)
{
    atomic_fetch_and(&f->greeting, ~INITIATOR_BITS);
}

void app_facts_forget(struct app_facts *f, uint64_t now_ns)
{
    atomic_store_explicit(&f->told, 0, memory_order_release);
    atomic_store_explicit(&f->greeting, 0, memory_order_release);
    atomic_store(&f->socket, f->configured);
    shape_limiter(f, SOCKET_AUTO, now_ns);
}

/* ---- looking ---- */

static enum socket_type believed_socket(const struct app_facts *f, bool stands, uint64_t now_ns)
{
    bool fresh = stands && now_ns < atomic_load_explicit(&f->socket_at_ns, memory_order_relaxed) + APP_FACTS_TYPE_NS;
    return f->configured != SOCKET_AUTO ? f->configured : fresh ? app_facts_socket(f) : SOCKET_AUTO;
}

static bool unpack_greeting(struct handshake_app *ret, uint64_t v, enum socket_type socket)
{
    if (!(v & KNOWN))
        return false;
    *ret = (struct handshake_app){
        .mechanism = (enum zmtp_mechanism)(v & 0xff),
        .major = (uint8_t)(v >> 24),
        .minor = (uint8_t)(v >> 8),
        .as_server = (v >> 16) & 1,
        .initiator = (enum initiator)((v & INITIATOR_BITS) >> INITIATOR_SHIFT),
        .socket = socket,
    };
    return true;
}

bool app_facts_get(const struct app_facts *f, struct handshake_app *ret, bool stands, uint64_t now_ns)
{
    uint64_t told = atomic_load_explicit(&f->told, memory_order_acquire);
    uint64_t v = told ? told : atomic_load_explicit(&f->greeting, memory_order_acquire);
    return unpack_greeting(ret, v, believed_socket(f, stands, now_ns));
}

bool app_facts_shown(const struct app_facts *f, struct handshake_app *ret)
{
    return unpack_greeting(ret, atomic_load_explicit(&f->greeting, memory_order_acquire), SOCKET_AUTO);
}
