"""rootfs.py - collects the enclave's root file system, and writes it as the second ramdisk and as a tar archive.

rootfs.py ATTESTD START RAMDISK TAR [OVERLAY]: the two programs, what is written, and a folder with more files, which may
take the place of those here. What is in it: the programs, the libraries that image/closure names, image/root, and the
folders that file systems are mounted on. No shell, no loader's cache, no locale.
"""

import io
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from ramdisk import Fault, cpio, file, folder, gzip, link, put

HERE = Path(__file__).resolve().parent
# Folders of the first level that are links to those below usr, as in Debian.
MERGED = ("bin", "lib", "lib64", "sbin")
# Mounted over at the start, so that nothing in them would ever be seen.
COVERED = ("dev", "proc", "run", "sys", "tmp", "var/lib/attestd")
CONFIG, START = "etc/attestd/attestd.conf", "etc/attestd/start"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    if done.returncode != 0:
        raise Fault((done.stderr or done.stdout).strip() or f"{command[0]} failed")
    return done.stdout


def placed(path):
    """Where a path is, past the links of the first level."""
    path = path.lstrip("/")
    return f"usr/{path}" if path.partition("/")[0] in MERGED else path


def read(path, executable):
    return file(Path(path).read_bytes(), executable)


def unreadable(fault):
    raise fault


def overlay(tree, root):
    """Adds a folder's files: owners, times and all of the mode but whether a file is executable are left behind."""
    for at, folders, names in os.walk(root, onerror=unreadable):
        for name in folders + names:
            real = os.path.join(at, name)
            path = os.path.relpath(real, root)
            mode = os.lstat(real).st_mode
            if stat.S_ISLNK(mode) and path in MERGED and os.readlink(real).strip("/") == f"usr/{path}":
                continue
            path = placed(path)
            if any(path.startswith(c + "/") for c in COVERED):
                raise Fault(f"{real}: /{path} would be hidden by what is mounted there at the start")
            if stat.S_ISLNK(mode):
                put(tree, path, link(os.readlink(real)))
            elif stat.S_ISDIR(mode):
                put(tree, path, tree[path] if path in tree and tree[path].is_folder() else folder())
            elif stat.S_ISREG(mode):
                put(tree, path, read(real, mode & stat.S_IXUSR))
            else:
                raise Fault(f"{real} is neither a file nor a folder nor a link")


def find(tree, path):
    """The node that a path leads to, through links; None: there is none."""
    for _ in range(40):
        parts, path = path.strip("/").split("/"), ""
        for i, part in enumerate(parts):
            path = os.path.normpath(os.path.join(path, part)).lstrip("/")
            node = tree.get(path)
            if node is None:
                return None
            if node.is_link():
                target = os.path.join("/", os.path.dirname(path), os.fsdecode(node.data), *parts[i + 1 :])
                path = os.path.normpath(target)
                break
        else:
            return node
    return None


def check(tree, attestd, start):
    """What would only show in the enclave, where nobody sees why it ended."""
    with tempfile.TemporaryDirectory() as t:
        for name in (START, CONFIG, "etc/passwd", "etc/group"):
            node = find(tree, name)
            if node is None:
                raise Fault(f"there is no /{name}")
            Path(t, os.path.basename(name)).write_bytes(node.data)
        run(attestd, "config", "check", "--config", f"{t}/attestd.conf")
        for line in run(start, "--check", f"{t}/start", f"{t}/passwd", f"{t}/group").splitlines():
            program = line.split(" ")[4]
            node = find(tree, program)
            if node is None or not stat.S_ISREG(node.mode) or not node.mode & stat.S_IXOTH:
                raise Fault(f"/{START}: {program} is not in the image as an executable file")


def collect(attestd, start, more):
    tree = {}
    for path in COVERED:
        put(tree, path, folder(0o1777 if path == "tmp" else 0o755))
    for path in MERGED:
        put(tree, f"usr/{path}", folder())
        put(tree, path, link(f"usr/{path}"))
    put(tree, "usr/bin/attestd", read(attestd, True))
    put(tree, "usr/sbin/start", read(start, True))
    for path in run(HERE / "closure", "--paths", attestd).splitlines():
        put(tree, placed(path), read(path, True))
    for root in (HERE / "root", more):
        if root:
            overlay(tree, root)
    check(tree, attestd, start)
    return tree


def tar(tree):
    """ustar, with pax headers for names alone that do not fit into it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, node in sorted(tree.items()):
            entry = tarfile.TarInfo(path)
            entry.mode = stat.S_IMODE(node.mode)
            if node.is_folder():
                entry.type = tarfile.DIRTYPE
            elif node.is_link():
                entry.type, entry.linkname = tarfile.SYMTYPE, os.fsdecode(node.data)
            else:
                entry.size = len(node.data)
            archive.addfile(entry, io.BytesIO(node.data) if entry.isreg() else None)
    return out.getvalue()


def main(arguments):
    if len(arguments) not in (4, 5):
        sys.exit("usage: rootfs.py ATTESTD START RAMDISK TAR [OVERLAY]")
    attestd, start, ramdisk, archive = arguments[:4]
    tree = collect(attestd, start, *(arguments[4:] or [None]))
    Path(archive).write_bytes(tar(tree))
    inside = {"rootfs": folder()} | {f"rootfs/{path}": node for path, node in tree.items()}
    Path(ramdisk).write_bytes(gzip(cpio(inside)))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Fault, OSError) as fault:
        sys.exit(f"rootfs.py: {fault}")
