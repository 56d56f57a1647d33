"""ramdisk.py - writes ramdisks: trees of files as a newc archive, compressed. The same tree gives the same bytes.

ramdisk.py OUT BOOT [MODULE.ko[.xz]]... writes the first ramdisk of an image: /init, and the modules that it inserts, in
this order.
"""

import lzma
import os
import stat
import sys
import zlib
from typing import NamedTuple


# What boot.c takes.
MODULES_MAX, MODULE_NAME_MAX = 64, 128


class Fault(Exception):
    pass


class Node(NamedTuple):
    mode: int
    data: bytes = b""  # of a link, where it leads to

    def is_folder(self):
        return stat.S_ISDIR(self.mode)

    def is_link(self):
        return stat.S_ISLNK(self.mode)


def folder(mode=0o755):
    return Node(stat.S_IFDIR | mode)


def link(target):
    return Node(stat.S_IFLNK | 0o777, os.fsencode(target))


def file(data, executable=False):
    return Node(stat.S_IFREG | (0o755 if executable else 0o644), data)


def put(tree, path, node):
    """Adds a node and the folders above it; it takes the place of another file, but never of another kind of node."""
    above = os.path.dirname(path)
    if above and above not in tree:
        put(tree, above, folder())
    if above and not tree[above].is_folder():
        raise Fault(f"/{path} lies in /{above}, which is no folder")
    if path in tree and stat.S_IFMT(tree[path].mode) != stat.S_IFMT(node.mode):
        raise Fault(f"/{path} is there already, as a file, a folder or a link, and cannot become another kind of it")
    tree[path] = node


def cpio(tree):
    """The archive: by path, all of it root's, with no time."""
    out = bytearray()

    def record(number, name, node):
        name = os.fsencode(name) + b"\0"
        links = 2 if node.is_folder() else 1
        fields = (number, node.mode, 0, 0, links, 0, len(node.data), 0, 0, 0, 0, len(name), 0)
        out.extend(b"070701" + b"".join(b"%08X" % f for f in fields) + name)
        out.extend(bytes(-len(out) % 4))
        out.extend(node.data)
        out.extend(bytes(-len(out) % 4))

    for number, (path, node) in enumerate(sorted(tree.items()), 1):
        record(number, path, node)
    record(0, "TRAILER!!!", Node(0))
    return bytes(out)


def gzip(data):
    """As gzip -9n writes it; Python's own module has differed between versions in what the header says of the system."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\x03" + body + zlib.crc32(data).to_bytes(4, "little") + (len(data) % 2**32).to_bytes(4, "little")


def module(path):
    """(name, bytes) of a kernel module: the kernel takes it uncompressed."""
    with open(path, "rb") as f:
        data = f.read()
    name = os.path.basename(path)
    if name.endswith(".xz"):
        name, data = name.removesuffix(".xz"), lzma.decompress(data)
    if not name.endswith(".ko") or data[:4] != b"\x7fELF":
        raise Fault(f"{path} is no kernel module (.ko or .ko.xz)")
    if len(os.fsencode(name)) > MODULE_NAME_MAX:
        raise Fault(f"{name}: the name of a module has at most {MODULE_NAME_MAX} bytes")
    return name, data


def boot(init, modules):
    if len(modules) > MODULES_MAX:
        raise Fault(f"{len(modules)} modules are more than {MODULES_MAX}")
    tree = {}
    for path in ("dev", "proc", "modules"):
        put(tree, path, folder())
    with open(init, "rb") as f:
        put(tree, "init", file(f.read(), executable=True))
    found = [module(m) for m in modules]
    put(tree, "modules/order", file("".join(name + "\n" for name, _ in found).encode()))
    for name, data in found:
        if f"modules/{name}" in tree:
            raise Fault(f"the module {name} is named twice")
        put(tree, f"modules/{name}", file(data))
    return tree


def main(arguments):
    if len(arguments) < 2:
        sys.exit("usage: ramdisk.py OUT BOOT [MODULE.ko[.xz]]...")
    written = gzip(cpio(boot(arguments[1], arguments[2:])))
    with open(arguments[0], "wb") as f:
        f.write(written)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Fault, OSError, lzma.LZMAError) as fault:
        sys.exit(f"ramdisk.py: {fault}")
