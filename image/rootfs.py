"""rootfs.py - collects the enclave's root file system, and writes it as the second ramdisk and as a tar archive.

rootfs.py ATTESTD START RAMDISK TAR [OVERLAY]: the two programs, what is written, and a folder with more files, which may
take the place of those here. What is in it: the programs, the libraries that image/closure names, image/root, and the
folders that file systems are mounted on. No shell, no loader's cache, no locale.
"""

import io
import os
import re
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
# Made by start.c, in what it mounts.
MADE = "run/attestd"
# What the loader would heed.
LOADED = ("etc/ld.so.preload", "etc/ld.so.cache")
ATTESTD, START = "usr/bin/attestd", "etc/attestd/start"
# Less than DRAIN_MS of supervise.c, which attestd also has to end in.
DRAIN_MAX = 15


def run(*command):
    # File names and words have any bytes.
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="surrogateescape", check=False, env=env)
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


def overlay(tree, root, fixed):
    """Adds a folder's files: owners, times and all of the mode but whether a file is executable are left behind. What is
    `fixed`, attestd and what it loads, stays what `make eif` lists."""
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
            if path in LOADED or "glibc-hwcaps" in path.split("/"):
                raise Fault(f"{real} would have attestd load other libraries than those that are listed")
            if path in fixed and not (stat.S_ISREG(mode) and Path(real).read_bytes() == fixed[path].data):
                raise Fault(f"{real} would take the place of what attestd is, or of what it loads")
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
            path = os.path.normpath(os.path.join("/", path, part)).lstrip("/")
            node = tree.get(path) if path else folder()
            if node is None:
                return None
            if node.is_link():
                target = os.path.join("/", os.path.dirname(path), os.fsdecode(node.data), *parts[i + 1 :])
                path = os.path.normpath(target)
                break
        else:
            return node
    return None


def runs(tree, path, depth=5):
    """Whether the kernel can start it: an executable file, and so is the interpreter that a script names."""
    node = find(tree, path)
    if node is None or not stat.S_ISREG(node.mode) or not node.mode & stat.S_IXOTH:
        raise Fault(f"{path} is not in the image as an executable file")
    if node.data.startswith(b"#!"):
        # As the kernel reads it, to which a carriage return is a part of the name.
        interpreter = re.match(rb"#![ \t]*([^ \t\n]*)", node.data)[1]
        if not interpreter or depth == 0:
            raise Fault(f"{path} is a script that leads to no interpreter")
        try:
            runs(tree, os.fsdecode(interpreter), depth - 1)
        except Fault as fault:
            raise Fault(f"{path} is a script, and its interpreter {fault}") from None
    elif not node.data.startswith(b"\x7fELF"):
        raise Fault(f"{path} is neither an ELF program nor a script that begins with #!")


def serve_options(words):
    """The options of `attestd serve`, (name, value) each."""
    words = iter(words)
    for word in words:
        name, joined, value = word.partition("=")
        yield name.removeprefix("--"), value if joined else next(words, "")


def check_attestd(tree, attestd, home, words):
    """Holds the configuration that attestd will be started with against attestd's own judgement."""
    path, sets = "", []
    with tempfile.TemporaryDirectory() as t:
        for name, value in serve_options(words):
            if name == "config":
                path = os.path.join(home, value)
                node = find(tree, path)
                if node is None or not stat.S_ISREG(node.mode):
                    raise Fault(f"{path}, which --config names, is not in the image as a file")
                Path(t, "config").write_bytes(node.data)
                sets += ["--config", f"{t}/config"]
            else:
                sets += ["--set", value if name == "set" else f"{name}={value}"]
        try:
            run(attestd, "config", "check", *sets)
            shown = run(attestd, "config", "show", *sets)
        except Fault as fault:
            raise Fault(str(fault).replace(f"{t}/config", path)) from None
    drain = int(re.search(r"^drain_timeout = (\d+)$", shown, re.M)[1])
    if drain > DRAIN_MAX:
        raise Fault(f"drain_timeout is {drain}, and more than {DRAIN_MAX}: /sbin/start kills attestd after 20 s")


def check(tree, attestd, start):
    """What would only show in the enclave, where nobody sees why it ended."""
    with tempfile.TemporaryDirectory() as t:
        for name in (START, "etc/passwd", "etc/group"):
            node = find(tree, name)
            if node is None:
                raise Fault(f"there is no /{name}")
            Path(t, os.path.basename(name)).write_bytes(node.data)
        programs = run(start, "--check", f"{t}/start", f"{t}/passwd", f"{t}/group")
    there = tree | {MADE: folder()}
    for line in programs.removesuffix("\n").split("\n"):
        user, _, _, home, program, *words = line.split("\t")
        try:
            runs(tree, program)
            node = find(there, home)
            if node is None or not node.is_folder():
                raise Fault(f"{home}, the home of {user}, is not in the image as a folder")
            if find(tree, program) is find(tree, ATTESTD) and words[:1] == ["serve"]:
                check_attestd(tree, attestd, home, words[1:])
        except Fault as fault:
            raise Fault(f"/{START}: {fault}") from None


def collect(attestd, start, more):
    tree = {}
    for path in COVERED:
        put(tree, path, folder(0o1777 if path == "tmp" else 0o755))
    for path in MERGED:
        put(tree, f"usr/{path}", folder())
        put(tree, path, link(f"usr/{path}"))
    put(tree, ATTESTD, read(attestd, True))
    put(tree, "usr/sbin/start", read(start, True))
    for path in run(sys.executable, "-s", HERE / "closure", "--paths", attestd).splitlines():
        put(tree, placed(path), read(path, True))
    fixed = {path: node for path, node in tree.items() if stat.S_ISREG(node.mode)}
    for root in (HERE / "root", more):
        if root:
            overlay(tree, root, fixed)
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
    # Behind all others, so that boot.c sees whether the kernel had room for all of them.
    inside["rootfs~"] = file(b"")
    Path(ramdisk).write_bytes(gzip(cpio(inside)))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Fault, OSError) as fault:
        sys.exit(f"rootfs.py: {fault}")
