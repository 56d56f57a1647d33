"""Reads and damages enclave image files, by their documented layout and without the code that writes them."""

import re
import struct
import zlib

HEAD = 548
CRC = slice(544, 548)


def mended(data):
    """With the checksum that it should have."""
    data = bytearray(data)
    data[CRC] = struct.pack(">I", zlib.crc32(data[:544] + data[HEAD:]))
    return bytes(data)


def sections(data):
    """(kind, bytes) of each, as its own head says."""
    at, found = HEAD, []
    while at < len(data):
        kind, _, size = struct.unpack_from(">HHQ", data, at)
        found.append((kind, data[at + 12 : at + 12 + size]))
        at += 12 + size
    return found


def image(parts):
    """An image of these (kind, bytes)."""
    n = len(parts)
    offsets, at = [], HEAD
    for _, part in parts:
        offsets.append(at)
        at += 12 + len(part)
    numbers = offsets + [0] * (32 - n) + [len(part) for _, part in parts] + [0] * (32 - n)
    head = b".eif" + bytes.fromhex("0004 0000 0000000040000000 0000000000000002 0000") + struct.pack(">H64QII", n, *numbers, 0, 0)
    return mended(head + b"".join(struct.pack(">HHQ", kind, 0, len(part)) + part for kind, part in parts))


class Cpio:
    """The entries of a newc archive: each a dict of its fields, with `name` and `data`."""

    FIELDS = "ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check".split()

    def __init__(self, data):
        self.entries, at = [], 0
        while True:
            assert re.fullmatch(rb"070701[0-9A-F]{104}", data[at : at + 110])
            entry = {f: int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i, f in enumerate(self.FIELDS)}
            at += 110
            entry["name"] = data[at : at + entry["namesize"]].decode().removesuffix("\0")
            at += entry["namesize"] + -(at + entry["namesize"]) % 4
            entry["data"] = data[at : at + entry["filesize"]]
            at += entry["filesize"] + -entry["filesize"] % 4
            if entry["name"] == "TRAILER!!!":
                break
            self.entries.append(entry)
        assert at == len(data)
