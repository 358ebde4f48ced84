# SPDX-License-Identifier: MPL-2.0
"""The messages that every foreign peer sends or expects. node/peer.js and java/Peer.java build the same from the same rule: byte j of frame f of
message m is (31 j + 7 f + 13 m) mod 256."""

SHAPES = [[0], [1], [0, 0], [255], [256, 0, 1], [65535], [65536, 1], [1 << 20], [(1 << 20) + 1, 0, 300000], [100] * 100]


def frame(m, f, size):
    cycle = bytes((31 * j + 7 * f + 13 * m) & 255 for j in range(256))
    return (cycle * (size // 256 + 1))[:size]


def messages():
    return [[frame(m, f, size) for f, size in enumerate(shape)] for m, shape in enumerate(SHAPES)]
