/* SPDX-License-Identifier: MPL-2.0 */
#include "base/hash.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(crypto_shorthash_KEYBYTES == HASH_KEY_BYTES, "SipHash-2-4 has a key of 16 bytes");
_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "SipHash-2-4 gives 64 bits");

void hash_key_random(struct hash_key *ret_key)
{
    /* Only at start-up, and only on a system without random numbers: there is no safe way on from there. */
    if (sodium_init() < 0)
        abort();
    randombytes_buf(ret_key->bytes, sizeof(ret_key->bytes));
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len)
{
    uint64_t h;
    uint8_t out[crypto_shorthash_BYTES];
    crypto_shorthash(out, data, len, key->bytes);
    memcpy(&h, out, sizeof(h));
    return h;
}
