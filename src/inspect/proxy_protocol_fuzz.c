/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness of the PROXY protocol. Each prefix of a header says NEED until one says DONE or BAD, and all longer
 * ones say the same. Seeds: tests/seeds/proxy_protocol. */
#include "inspect/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

/* Longer prefixes are tried in larger steps. */
#define EACH_BYTE_TO 300u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        abort();
}

static bool same(const struct proxy_protocol *a, const struct proxy_protocol *b)
{
    return a->bytes == b->bytes && a->client.kind == b->client.kind && a->client.port == b->client.port &&
           memcmp(a->client.bytes, b->client.bytes, sizeof(a->client.bytes)) == 0;
}

static void check_done(const struct proxy_protocol *p, size_t len)
{
    bool named = p->client.kind == ADDR_V4 || p->client.kind == ADDR_V6;
    require(p->bytes > 0 && p->bytes <= len && p->bytes <= PROXY_PROTOCOL_MAX);
    require(named || (p->client.kind == ADDR_NONE && p->client.port == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum proxy_protocol_result decided = PROXY_PROTOCOL_NEED;
    struct proxy_protocol first = {0};
    for (size_t len = 0; len <= size && len <= PROXY_PROTOCOL_MAX + 1; len += len < EACH_BYTE_TO ? 1 : 97) {
        struct proxy_protocol p = {0};
        /* In memory of just this length, so that AddressSanitizer sees a read beyond it. */
        uint8_t *copy = malloc(len ? len : 1);
        require(copy != NULL);
        memcpy(copy, data, len);
        enum proxy_protocol_result r = proxy_protocol_parse((struct bytes){.at = copy, .len = len}, &p);
        free(copy);
        require(decided == PROXY_PROTOCOL_NEED || r == decided);
        if (r == PROXY_PROTOCOL_DONE)
            check_done(&p, len);
        if (decided == PROXY_PROTOCOL_DONE)
            require(same(&p, &first));
        if (decided == PROXY_PROTOCOL_NEED)
            first = p;
        decided = r;
    }
    struct proxy_protocol all;
    require(size < PROXY_PROTOCOL_MAX ||
            proxy_protocol_parse((struct bytes){.at = data, .len = size}, &all) != PROXY_PROTOCOL_NEED);
    return 0;
}
