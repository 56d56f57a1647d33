"""The Debian package: what is in it, where it comes from, and that the same tree always gives the same bytes."""

import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from helpers import BUILD, RUNNER, sanitized

ROOT = Path(__file__).resolve().parents[2]
DOC = "usr/share/doc/attestd/"
VERSION = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
NOBODY = 65534
SERVICES = ["attestd-proxy.service", "attestd.service"]
SOCKETS = ["attestd-proxy.socket", "attestd.socket"]

pytestmark = [
    pytest.mark.skipif(shutil.which("dh") is None, reason="debhelper is not installed, so no package is built: scripts/deps deb"),
    pytest.mark.skipif(sanitized(), reason="the package has flags of its own, whatever is tested here"),
]


def make(target, *args, tree=ROOT, before=(), **how):
    # None of what the tests were started with may show, nor may an outer make's variables.
    env = {k: os.environ[k] for k in ("PATH", "HOME", "LANG") if k in os.environ} | how.pop("env", {})
    return subprocess.run([*before, "make", "-s", "-C", tree, target, "DEPS=true", *args], capture_output=True, text=True,
                          timeout=600, check=False, env=env, **how)


class Deb:
    """A package, unpacked: files is path -> (mode, owner and group, content), control the fields, scripts their texts."""

    def __init__(self, path, folder):
        self.path = path
        self.sum = hashlib.sha256(path.read_bytes()).hexdigest()
        with tarfile.open(fileobj=self._tar("--fsys-tarfile")) as tar:
            self.members = tar.getmembers()
            self.files = {m.name.removeprefix("./"): (stat.S_IMODE(m.mode), f"{m.uname}:{m.gname}", tar.extractfile(m).read())
                          for m in self.members if m.isfile()}
        with tarfile.open(fileobj=self._tar("--ctrl-tarfile")) as tar:
            self.scripts = {m.name.removeprefix("./"): tar.extractfile(m).read().decode() for m in tar.getmembers() if m.isfile()}
        self.control = dict(re.findall(r"^([A-Z][\w-]*): (.*)$", self.scripts.pop("control"), re.MULTILINE))
        self.folder = folder
        for name, (_, _, content) in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def _tar(self, what):
        told = tempfile.TemporaryFile()
        subprocess.run(["dpkg-deb", what, self.path], stdout=told, check=True)
        told.seek(0)
        return told


class Built:
    def __init__(self, folder):
        self.folder = folder
        run = make("deb-build", f"B={folder}/b", umask=0o077)
        assert run.returncode == 0, run.stdout + run.stderr
        found = {p.name.split("_")[0]: p for p in sorted((folder / "b/deb").glob("*.deb"))}
        assert sorted(found) == ["attestd", "attestd-dbgsym"]
        self.deb = Deb(found["attestd"], folder / "attestd")
        self.symbols = Deb(found["attestd-dbgsym"], folder / "symbols")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return Built(tmp_path_factory.mktemp("package"))


@pytest.fixture
def deb(built):
    return built.deb


@pytest.mark.slow
def test_the_package_holds_these_files(deb):
    documents = [p.relative_to(ROOT) for p in (ROOT / "docs").rglob("*.md")]
    assert sorted(deb.files) == sorted([
        "etc/attestd/attestd.conf", "etc/attestd/proxy.env", "usr/bin/attestd", "usr/lib/sysusers.d/attestd.conf",
        "usr/share/man/man1/attestd.1.gz", *(f"lib/systemd/system/{u}" for u in SERVICES + SOCKETS),
        *(DOC + n for n in ("README.md", "README.Debian", "CHANGELOG.md", "changelog.gz", "copyright", "openapi.yaml",
                            "examples/attestd.conf", "examples/proxy.env")), *(f"{DOC}{p}" for p in documents)])
    modes = {name: mode for name, (mode, _, _) in deb.files.items()}
    assert modes.pop("usr/bin/attestd") == 0o755 and set(modes.values()) == {0o644}
    assert {m.mode & 0o7777 for m in deb.members if m.isdir()} == {0o755}
    assert {(m.uname, m.gname) for m in deb.members} == {("root", "root")}
    assert all(m.isfile() or m.isdir() for m in deb.members)
    assert deb.scripts["conffiles"].split() == ["/etc/attestd/attestd.conf", "/etc/attestd/proxy.env"]


@pytest.mark.slow
def test_what_make_install_installs_is_what_the_package_installs(deb, tmp_path):
    run = make("install-files", f"B={tmp_path}/b", f"DESTDIR={tmp_path}/root", "PREFIX=/usr", "UNITDIR=/lib/systemd/system")
    assert run.returncode == 0, run.stderr
    installed = {str(p.relative_to(tmp_path / "root")): p.read_bytes() for p in (tmp_path / "root").rglob("*") if p.is_file()}
    page = subprocess.run([*RUNNER, BUILD / "attestd", "man"], capture_output=True, timeout=60, check=True).stdout
    packaged = {name: content for name, (_, _, content) in deb.files.items() if not name.startswith(DOC)}
    del packaged["usr/bin/attestd"]
    assert gzip.decompress(packaged.pop("usr/share/man/man1/attestd.1.gz")) == page
    assert packaged == installed


@pytest.mark.slow
def test_the_control_fields(deb):
    assert deb.control["Package"] == "attestd" and deb.control["Version"] == VERSION
    needed = [re.split(r"[ :]", d)[0] for d in deb.control["Depends"].split(", ")]
    assert sorted(needed) == ["libc6", "libcbor0.8", "libmicrohttpd12", "libsqlite3-0", "libssl3", "procps", "systemd"]
    assert re.fullmatch(r"http-parser \(= \S+\)", deb.control["Built-Using"]), "it is linked statically"
    assert re.fullmatch(r"attestd maintainers <\S+\.invalid>", deb.control["Maintainer"])


@pytest.mark.slow
def test_nothing_is_enabled_or_started_and_upgrades_restart_what_runs(deb):
    everything = "\n".join(deb.scripts[s] for s in ("postinst", "prerm", "postrm"))
    done = re.findall(r"deb-systemd-invoke (.*?) >", everything)
    assert sorted(done) == [
        "stop attestd.socket attestd.service attestd-proxy.socket attestd-proxy.service",
        "try-restart 'attestd-proxy.service' 'attestd.service'",
    ]
    assert "preinst" not in deb.scripts, "nothing is stopped before an upgrade"
    # `enable` is only for who had enabled it before.
    lines = deb.scripts["postinst"].splitlines()
    enabling = [i for i, line in enumerate(lines) if "deb-systemd-helper enable" in line]
    assert len(enabling) == 4 and all("was-enabled" in "".join(lines[i - 2:i]) for i in enabling)
    assert "systemd-sysusers" in deb.scripts["postinst"]
    assert not re.search(r"deluser|userdel", everything)


@pytest.mark.slow
def test_purging_overwrites_keys_and_data_and_removes_them(deb):
    (purge,) = re.findall(r'^if \[ "\$1" = purge \]; then\n(.*?)^fi$', deb.scripts["postrm"], re.MULTILINE | re.DOTALL)
    assert "/run/attestd /etc/attestd /var/lib/attestd" in purge and "shred" in purge and "rm -rf" in purge


@pytest.mark.slow
def test_purging_overwrites_its_own_files_and_leaves_what_is_linked_from_elsewhere(deb, tmp_path):
    (tmp_path / "state/deep").mkdir(parents=True)
    (tmp_path / "state/deep/attestd.db").write_bytes(b"sealed")
    outside = tmp_path / "outside"
    outside.write_bytes(b"somebody else's")
    (tmp_path / "state/link").symlink_to(outside)
    os.link(outside, tmp_path / "state/second-name")
    own, _, added = deb.scripts["postrm"].partition("# Automatically added")
    assert added
    for path, here in (("/run/attestd", "absent"), ("/etc/attestd", "absent"), ("/var/lib/attestd", "state")):
        own = own.replace(path, str(tmp_path / here))
    held = (tmp_path / "state/deep/attestd.db").open("rb")
    subprocess.run(["sh", "-c", own, "postrm", "purge"], check=True, timeout=60)
    assert not (tmp_path / "state").exists()
    assert outside.read_bytes() == b"somebody else's"
    assert b"sealed" not in held.read(), "its bytes were overwritten before it went"


def debug_texts(built):
    """The symbols' file, decompressed, and the program: what a compiler may leave paths in."""
    for name in [n for n in built.symbols.files if n.endswith(".debug")]:
        plain = built.symbols.folder / "plain"
        subprocess.run(["objcopy", "--decompress-debug-sections", built.symbols.folder / name, plain], check=True)
        yield plain.read_bytes()


@pytest.mark.slow
def test_no_file_tells_where_or_by_whom_it_was_built(built):
    where = {str(built.folder), str(ROOT), os.uname().nodename} - {"/", "", "localhost"}
    texts = [(name, content) for d in (built.deb, built.symbols) for name, (_, _, content) in d.files.items()]
    texts += [(name, gzip.decompress(content)) for name, content in texts if name.endswith(".gz")]
    texts += [("scripts", text.encode()) for text in built.deb.scripts.values()]
    texts += [("symbols", text) for text in debug_texts(built)]
    assert len(texts) > 20 and any(b"src/main.c" in text for name, text in texts if name == "symbols")
    # A host's name may be an ordinary word.
    assert [(name, w) for name, text in texts for w in where if len(w) > 4 and w.encode() in text] == []


@pytest.mark.slow
def test_the_program_is_hardened_and_stripped(deb):
    program = deb.folder / "usr/bin/attestd"
    told = subprocess.run(["readelf", "-hdlsSW", program], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Type: +DYN .*Position-Independent", told)
    assert re.search(r"\(FLAGS\) +BIND_NOW", told) and "GNU_RELRO" in told
    assert re.search(r"GNU_STACK .* RW +0x", told) and "__stack_chk_fail" in told and "_chk@GLIBC" in told
    assert ".symtab" not in told


@pytest.mark.slow
def test_two_builds_are_identical(built):
    """From another folder, by another user, with another umask, in another time zone, with other flags in the environment."""
    with tempfile.TemporaryDirectory(prefix="another-place-") as place:
        tree = Path(place) / "and a longer path".replace(" ", "-") / "tree"
        shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns("build*", ".git", ".pytest_cache", "__pycache__"))
        before = []
        if os.geteuid() == 0:
            for path in [place, *Path(place).rglob("*")]:
                os.chown(path, NOBODY, NOBODY)
            before = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        run = make("deb-build", tree=tree, before=before, umask=0o002, env={"TZ": "Asia/Tokyo", "HOME": place, "CFLAGS": "-O0"})
        assert run.returncode == 0, run.stdout + run.stderr
        sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tree / "build/deb").glob("*.deb")}
    assert sums == {d.path.name: d.sum for d in (built.deb, built.symbols)}


@pytest.mark.slow
def test_the_tree_stays_clean(built):
    assert sorted(p.name for p in (ROOT / "debian").iterdir()) == [
        "README.Debian", "changelog", "control", "copyright", "docs", "postrm", "prerm", "rules", "source"]
    assert not (built.folder / "b/deb" / f"attestd-{VERSION}").exists(), "nor is the copy kept"


def test_the_changelog_is_about_the_makefiles_version(tmp_path):
    first = (ROOT / "debian/changelog").read_text().splitlines()[0]
    assert first == f"attestd ({VERSION}) unstable; urgency=medium"
    run = make("deb-build", f"B={tmp_path}/b", "VERSION=9.9.9")
    assert run.returncode != 0
    assert f"debian/changelog is about {VERSION}, and the Makefile's VERSION is 9.9.9: make them the same" in run.stderr
    assert not (tmp_path / "b/deb").exists()
