/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Keyed hashing (SipHash-2-4 of libsodium) for every table whose keys a peer chooses. Without the secret key no peer
 * can aim entries at one bucket. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_KEY_BYTES 16

struct hash_key {
    uint8_t bytes[HASH_KEY_BYTES];
};

/* A fresh random key. Initialises libsodium on first use. Any thread. */
void hash_key_random(struct hash_key *ret_key);

/* 64-bit keyed hash of `len` bytes. Pure. */
uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);

#endif
