"""HDF5's checksum, so that a lie in a file is not found out by it."""

from __future__ import annotations

import struct


def lookup3(data: bytes) -> int:
    """Bob Jenkins' lookup3 hash (`hashlittle`, start value 0), which HDF5 uses as checksum."""

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF

    mask: int = 0xFFFFFFFF
    x: int
    y: int
    z: int
    a = b = c = (0xDEADBEEF + len(data)) & mask
    at = 0
    while len(data) - at > 12:
        x, y, z = struct.unpack_from("<3I", data, at)
        a, b, c = (a + x) & mask, (b + y) & mask, (c + z) & mask
        a = (a - c) & mask ^ rotated(c, 4)
        c = (c + b) & mask
        b = (b - a) & mask ^ rotated(a, 6)
        a = (a + c) & mask
        c = (c - b) & mask ^ rotated(b, 8)
        b = (b + a) & mask
        a = (a - c) & mask ^ rotated(c, 16)
        c = (c + b) & mask
        b = (b - a) & mask ^ rotated(a, 19)
        a = (a + c) & mask
        c = (c - b) & mask ^ rotated(b, 4)
        b = (b + a) & mask
        at += 12
    if at == len(data):
        return c
    x, y, z = struct.unpack("<3I", data[at:].ljust(12, b"\0"))
    a, b, c = (a + x) & mask, (b + y) & mask, (c + z) & mask
    c = ((c ^ b) - rotated(b, 14)) & mask
    a = ((a ^ c) - rotated(c, 11)) & mask
    b = ((b ^ a) - rotated(a, 25)) & mask
    c = ((c ^ b) - rotated(b, 16)) & mask
    a = ((a ^ c) - rotated(c, 4)) & mask
    b = ((b ^ a) - rotated(a, 14)) & mask
    return ((c ^ b) - rotated(b, 24)) & mask
