"""What is in the image: ramdisks and archive of one tree, with nothing of the machine that made them."""

import gzip
import io
import lzma
import os
import stat
import subprocess
import tarfile
import zlib

import pytest
import ramdisk
import rootfs
from conftest import BUILD
from eif_file import Cpio, sections

FAULT = ramdisk.Fault


def unpacked(data):
    # By the fields of its head: no name, no time, and the same system wherever it was made.
    assert data[:10] == bytes.fromhex("1f8b0800000000000203")
    return Cpio(gzip.decompress(data))


@pytest.fixture(scope="module")
def ramdisks():
    return [unpacked(part) for kind, part in sections((BUILD / "attestd.eif").read_bytes()) if kind == 3]


@pytest.fixture(scope="module")
def archive():
    return tarfile.open(BUILD / "docker/attestd-rootfs.tar")


def test_all_is_roots_without_a_time_and_with_one_of_few_modes(ramdisks):
    for entries in (r.entries for r in ramdisks):
        assert [e["name"] for e in entries] == sorted({e["name"] for e in entries})
        assert len({e["ino"] for e in entries}) == len(entries)
        for e in entries:
            assert [e[f] for f in ("uid", "gid", "mtime", "devmajor", "devminor", "rdevmajor", "rdevminor", "check")] == [0] * 8
            kinds = {stat.S_IFDIR: {0o755}, stat.S_IFREG: {0o644, 0o755}, stat.S_IFLNK: {0o777}}
            assert stat.S_IMODE(e["mode"]) in kinds[stat.S_IFMT(e["mode"])] or e["name"] == "rootfs/tmp" and e["mode"] == stat.S_IFDIR | 0o1777


def test_folders_come_before_what_is_in_them(ramdisks):
    for r in ramdisks:
        seen = set()
        for e in r.entries:
            above = os.path.dirname(e["name"])
            assert above in seen or above == ""
            seen.add(e["name"])


def test_the_first_ramdisk_has_init_and_modules_alone(ramdisks):
    names = [e["name"] for e in ramdisks[0].entries]
    order = next(e["data"] for e in ramdisks[0].entries if e["name"] == "modules/order").decode().split("\n")[:-1]
    assert sorted(names) == sorted(["dev", "init", "modules", "modules/order", "proc", *(f"modules/{m}" for m in order)])
    assert all(e["data"].startswith(b"\x7fELF") for e in ramdisks[0].entries if e["name"].endswith((".ko", "init")))


def test_the_second_ramdisk_is_the_archive_below_rootfs(ramdisks, archive):
    in_tar = {
        m.name: (m.mode, m.isdir(), m.linkname, archive.extractfile(m).read() if m.isreg() else b"") for m in archive.getmembers()
    }
    in_ramdisk = {
        e["name"].removeprefix("rootfs/"): (
            stat.S_IMODE(e["mode"]),
            stat.S_ISDIR(e["mode"]),
            e["data"].decode() if stat.S_ISLNK(e["mode"]) else "",
            e["data"] if stat.S_ISREG(e["mode"]) else b"",
        )
        for e in ramdisks[1].entries
        if e["name"] not in ("rootfs", "rootfs~")
    }
    # tarfile tells no mode of links.
    assert {n: v if not v[2] else v[1:] for n, v in in_tar.items()} == {n: v if not v[2] else v[1:] for n, v in in_ramdisk.items()}


def test_the_last_file_is_the_one_that_init_looks_for(ramdisks):
    """Where memory runs out in the middle, the kernel leaves the rest of the files out and goes on."""
    last = ramdisks[1].entries[-1]
    assert (last["name"], last["data"]) == ("rootfs~", b"")
    init = next(e["data"] for e in ramdisks[0].entries if e["name"] == "init")
    assert b"/rootfs~\0" in init


def test_the_archive_names_nobody_and_no_time(archive):
    listed = subprocess.run(
        ["tar", "-tv", "--numeric-owner", "--full-time", "-f", BUILD / "docker/attestd-rootfs.tar"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "TZ": "UTC"},
    ).stdout
    assert all(line.split()[1] == "0/0" and " 1970-01-01 00:00:00 " in line for line in listed.splitlines())
    assert all((m.uname, m.gname, m.pax_headers) == ("", "", {}) for m in archive.getmembers())


def test_the_image_has_no_shell_and_no_program_but_two(archive):
    elf = [m.name for m in archive.getmembers() if m.isreg() and archive.extractfile(m).read(4) == b"\x7fELF"]
    programs = [name for name in elf if not name.startswith(("usr/lib/", "usr/lib64/"))]
    assert programs == ["usr/bin/attestd", "usr/sbin/start"]
    assert all(".so." in name for name in elf if name not in programs)
    others = {m.name for m in archive.getmembers() if m.isreg()} - set(elf)
    assert others == {"etc/attestd/attestd.conf", "etc/attestd/start", "etc/group", "etc/hosts", "etc/nsswitch.conf", "etc/passwd"}


def test_aws_own_init_finds_the_folders_that_it_mounts_on(archive):
    assert all(archive.getmember(name).isdir() for name in ("dev", "proc", "run", "sys", "tmp"))


# ---- modules ----


def test_modules_are_unpacked_and_keep_their_order(tmp_path):
    (tmp_path / "b.ko.xz").write_bytes(lzma.compress(b"\x7fELF b"))
    (tmp_path / "a.ko").write_bytes(b"\x7fELF a")
    (tmp_path / "boot").write_bytes(b"\x7fELF")
    tree = ramdisk.boot(tmp_path / "boot", [str(tmp_path / "b.ko.xz"), str(tmp_path / "a.ko")])
    assert tree["modules/order"].data == b"b.ko\na.ko\n" and tree["modules/b.ko"].data == b"\x7fELF b"
    assert ramdisk.boot(tmp_path / "boot", [])["modules/order"].data == b""
    with pytest.raises(FAULT, match="named twice"):
        ramdisk.boot(tmp_path / "boot", [str(tmp_path / "a.ko")] * 2)


@pytest.mark.parametrize("name, data", [("a.ko.gz", b"\x7fELF"), ("a.ko", b"\x1f\x8b.."), ("a.so", b"\x7fELF")])
def test_what_is_no_module_is_refused(name, data, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FAULT, match="no kernel module"):
        ramdisk.module(str(tmp_path / name))


def test_so_many_modules_with_so_long_names_and_no_more(tmp_path):
    (tmp_path / "boot").write_bytes(b"\x7fELF")
    modules = [tmp_path / f"{i:0125}.ko" for i in range(65)]
    for m in (*modules, tmp_path / f"{0:0126}.ko"):
        m.write_bytes(b"\x7fELF")
    assert len(ramdisk.boot(tmp_path / "boot", modules[:64])["modules/order"].data) == 64 * 129
    with pytest.raises(FAULT, match="65 modules are more than 64"):
        ramdisk.boot(tmp_path / "boot", modules)
    with pytest.raises(FAULT, match="at most 128 bytes"):
        ramdisk.module(tmp_path / f"{0:0126}.ko")


# ---- the operator's files ----


@pytest.fixture
def more(tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    return folder


def write(root, path, data=b"x", mode=0o644):
    at = root / path
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(data)
    at.chmod(mode)
    return at


def collect(enclave, start, more):
    return rootfs.collect(str(enclave), str(start), str(more))


def test_an_agent_and_its_line_go_into_the_image(enclave, start, more):
    write(more, "opt/agent/run", b"\x7fELF", 0o4700)
    write(more, "opt/agent/data", b"d", 0o600)
    write(more, "lib/x86_64-linux-gnu/libagent.so.1", b"l")
    write(more, "usr/lib64/other.so", b"o")
    (more / "opt/agent/link").symlink_to("run")
    (more / "lib64").symlink_to("usr/lib64")
    write(more, "etc/attestd/start", b"attestd /usr/bin/attestd serve\nagent /opt/agent/link --fast\n")
    tree = collect(enclave, start, more)
    assert tree["opt/agent/run"] == (stat.S_IFREG | 0o755, b"\x7fELF")
    assert tree["opt/agent/data"] == (stat.S_IFREG | 0o644, b"d")
    assert tree["opt/agent/link"] == (stat.S_IFLNK | 0o777, b"run")
    assert "usr/lib/x86_64-linux-gnu/libagent.so.1" in tree and tree["lib"].is_link() and tree["lib64"].data == b"usr/lib64"
    assert tree["etc/attestd/start"].data.endswith(b"--fast\n")


@pytest.mark.parametrize(
    "path, data, told",
    [
        ("etc/attestd/start", b"agent /opt/agent\n", "/opt/agent is not in the image"),
        ("etc/attestd/start", b"nobody1 /usr/bin/attestd\n", "no user nobody1"),
        ("etc/attestd/start", b"attestd /etc/passwd\n", "/etc/passwd is not in the image as an executable"),
        ("etc/attestd/start", b"attestd /usr/bin\n", "/usr/bin is not in the image as an executable"),
        ("etc/attestd/start", b"attestd /usr/bin/attestd serve --config /etc/attestd/missing.conf\n", "/etc/attestd/missing.conf, which --config names"),
        ("etc/attestd/start", b"attestd /usr/bin/attestd serve --nsm device --config=mine.conf\n", "/var/lib/attestd/mine.conf, which --config names"),
        ("etc/attestd/start", b"attestd /bin/attestd serve --config /etc/passwd\n", "/etc/passwd:1"),
        ("etc/attestd/start", b"attestd /usr/bin/attestd serve --set drain_timeout=16\n", "drain_timeout is 16, and more than 15"),
        ("etc/attestd/start", b"attestd /usr/bin/attestd serve --nsm simulator\n", "nsm must be"),
        ("etc/attestd/start", b"attestd /usr/bin/attestd serve --what ever\n", "what"),
        ("etc/passwd", b"attestd:x:100:100::/my home:/x\n", "/my home, the home of attestd, is not in the image as a folder"),
        ("etc/passwd", b"attestd:x:100:100::/etc/passwd:/x\n", "/etc/passwd, the home of attestd, is not in the image as a folder"),
        ("etc/passwd", b"root:x:0:0::/:/x\n", "no user attestd"),
        ("etc/attestd/attestd.conf", b"listen = 0.0.0.0:80\n", "/etc/attestd/start: attestd: listen"),
        ("etc/attestd/attestd.conf", b"drain_timeout = 300\n", "drain_timeout is 300, and more than 15"),
        ("etc/attestd/attestd.conf", b"unknown = 1\n", "/etc/attestd/attestd.conf:1: "),
        ("usr/bin/attestd", b"\x7fELF", "would take the place of what attestd is"),
        ("bin/attestd", b"\x7fELF", "would take the place of what attestd is"),
        ("usr/sbin/start", b"\x7fELF", "would take the place of what attestd is"),
        ("lib/x86_64-linux-gnu/libcrypto.so.3", b"x", "would take the place of what attestd is, or of what it loads"),
        ("lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libcrypto.so.3", b"x", "would have attestd load other libraries"),
        ("etc/ld.so.preload", b"x", "would have attestd load other libraries"),
        ("etc/ld.so.cache", b"x", "would have attestd load other libraries"),
        ("run/x", b"", "would be hidden"),
        ("var/lib/attestd/x", b"", "would be hidden"),
        ("usr/bin", b"", "/usr/bin is there already"),
        ("etc/passwd/x", b"", "/etc/passwd is there already"),
    ],
)
def test_what_would_only_fail_in_the_enclave_is_refused(path, data, told, enclave, start, more):
    write(more, path, data)
    with pytest.raises(FAULT, match=told):
        collect(enclave, start, more)


@pytest.mark.parametrize(
    "data, told",
    [
        (b"#!/bin/sh\n", "is a script, and its interpreter /bin/sh is not in the image"),
        (b"#! /opt/text -x\n", "its interpreter /opt/text is neither an ELF program nor a script"),
        (b"#!/opt/elf\r\n", "its interpreter /opt/elf\r is not in the image"),
        (b"#!/opt/run\n", "leads to no interpreter"),
        (b"#!\n", "leads to no interpreter"),
        (b"", "is neither an ELF program nor a script"),
        (b"#!/opt/elf -x\n", None),
        (b"#! \t/opt/elf", None),
        (b"#!/opt/script\n", None),
    ],
)
def test_an_agent_is_a_program_or_has_its_interpreter_beside_it(data, told, enclave, start, more):
    for name, content in (("run", data), ("elf", b"\x7fELF"), ("text", b"echo"), ("script", b"#!/opt/elf\n")):
        write(more, f"opt/{name}", content, 0o755)
    write(more, "etc/attestd/start", b"agent /opt/run\n")
    if told is None:
        assert collect(enclave, start, more)["opt/run"].data == data
    else:
        with pytest.raises(FAULT, match=told):
            collect(enclave, start, more)


def test_homes_and_configurations_may_be_elsewhere(enclave, start, more):
    write(more, "srv/my home/mine.conf", b"drain_timeout = 15\nlisten = unix:/run/attestd/x\n")
    # Nothing reads this one then.
    write(more, "etc/attestd/attestd.conf", b"listen = 0.0.0.0:80\n")
    write(more, "etc/passwd", b"attestd:x:100:100::/srv/my home:/x\nagent:x:101:101::/run/attestd:/x\nother:x:102:102::/:/x\n")
    line = b"attestd /bin/attestd serve --config mine.conf --listen 127.0.0.1:1 --set log_level=debug\n"
    write(more, "etc/attestd/start", line + b"agent /usr/bin/attestd version\nother /usr/bin/attestd version \xff\xc2\x85 x\n")
    assert "srv/my home" in collect(enclave, start, more)


def test_a_library_that_is_there_already_may_come_along(enclave, start, more):
    there = rootfs.collect(str(enclave), str(start), None)["usr/lib/x86_64-linux-gnu/libcrypto.so.3"].data
    write(more, "usr/lib/x86_64-linux-gnu/libcrypto.so.3", there)
    collect(enclave, start, more)


def test_a_pipe_and_an_unreadable_folder_are_refused(enclave, start, more, tmp_path):
    os.mkfifo(more / "pipe")
    with pytest.raises(FAULT, match="neither a file nor"):
        collect(enclave, start, more)
    with pytest.raises(OSError, match="missing"):
        collect(enclave, start, tmp_path / "missing")


def test_links_in_the_tree_are_followed_and_loops_end():
    tree = {}
    ramdisk.put(tree, "usr/bin/x", ramdisk.file(b"x", True))
    ramdisk.put(tree, "bin", ramdisk.link("usr/bin"))
    ramdisk.put(tree, "usr/y", ramdisk.link("../bin/x"))
    ramdisk.put(tree, "loop", ramdisk.link("/loop"))
    assert rootfs.find(tree, "/bin/x") == rootfs.find(tree, "usr/y") == tree["usr/bin/x"]
    assert rootfs.find(tree, "/").is_folder() and rootfs.find(tree, "/usr/../../bin/x") == tree["usr/bin/x"]
    assert rootfs.find(tree, "/loop") is rootfs.find(tree, "/bin/z") is None


def test_long_names_fit_into_the_archive():
    tree = {}
    name = "/".join(["long" * 20] * 5)
    ramdisk.put(tree, name, ramdisk.file(b"x"))
    assert name in tarfile.open(fileobj=io.BytesIO(rootfs.tar(tree))).getnames()


def test_a_packed_ramdisk_is_what_gzip_reads():
    data = bytes(range(256)) * 5000
    assert gzip.decompress(ramdisk.gzip(data)) == data
    assert ramdisk.gzip(data)[-8:-4] == zlib.crc32(data).to_bytes(4, "little")
