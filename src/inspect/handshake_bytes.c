/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/handshake_bytes.h"

#include "inspect/handshake.h"

#include <string.h>

uint32_t handshake_bytes_len(const struct handshake_bytes *q)
{
    return q->len - q->start;
}

bool handshake_bytes_reserve(struct handshake *h, struct handshake_bytes *q, size_t more)
{
    if (q->len + more <= q->cap)
        return true;
    uint32_t cap, used = handshake_bytes_len(q);
    uint8_t *data = bufpool_get(h->pool, used + more, &cap);
    if (!data) {
        handshake_refuse(h, VERDICT_NO_MEMORY);
        return false;
    }
    if (used)
        memcpy(data, q->data + q->start, used);
    bufpool_put(h->pool, q->data, q->cap);
    *q = (struct handshake_bytes){.data = data, .start = 0, .len = used, .cap = cap};
    return true;
}

bool handshake_bytes_put(struct handshake *h, struct handshake_bytes *q, const void *data, size_t len)
{
    if (!handshake_bytes_reserve(h, q, len))
        return false;
    if (len)
        memcpy(q->data + q->len, data, len);
    q->len += (uint32_t)len;
    return true;
}

struct bytes handshake_bytes_all(const struct handshake_bytes *q)
{
    if (!q->data)
        return (struct bytes){0};
    return (struct bytes){.at = q->data + q->start, .len = handshake_bytes_len(q)};
}

void handshake_bytes_drop(struct handshake_bytes *q, size_t n)
{
    q->start += (uint32_t)n;
    if (q->start == q->len)
        q->start = q->len = 0;
}

void handshake_bytes_free(struct handshake *h, struct handshake_bytes *q)
{
    bufpool_put(h->pool, q->data, q->cap);
    *q = (struct handshake_bytes){0};
}
