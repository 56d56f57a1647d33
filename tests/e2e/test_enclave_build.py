"""The binary of `make enclave`: without what only developers and hosts need, and the same wherever it is built."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import BUILD, Server, clean_environment
from helpers.nsm import payload, text
from helpers.start import refused

TOP = Path(__file__).resolve().parents[2]
ENCLAVE = BUILD.with_name(f"{BUILD.name}-enclave")
if not (ENCLAVE / "attestd").exists():
    pytest.skip(f"{ENCLAVE.name}/attestd is not there (make enclave)", allow_module_level=True)

GONE = ["client", "proxy", "simulate"]  # commands
NO_SIMULATOR = "device or auto (this build is for the enclave and has no simulator, dummy or socket)"
TLS_LIBRARY = re.compile(r"libgnutls|libnettle|libp11-kit")


def attestd(*args, **more):
    return subprocess.run([ENCLAVE / "attestd", *args], capture_output=True, text=True, timeout=60, check=False,
                          env=clean_environment(), **more)


class Enclave(Server):
    def command(self):
        return [str(ENCLAVE / "attestd") if word == str(BUILD / "attestd") else word for word in super().command()]


@pytest.fixture
def enclave(nsm, tmp_path):
    """Makes servers of the enclave's binary on the stand-in for the NSM device: enclave(nsm="auto") is a running one."""
    made = []

    def make(**how):
        made.append(Enclave(tmp_path / f"enclave{len(made)}", **nsm.server(**how)))
        return made[-1].start()

    yield make
    for one in made:
        one.stop()


# ---- what it is without ----

@pytest.mark.parametrize("name", GONE)
def test_a_command_that_is_left_out_is_unknown(name):
    run = attestd(name)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"attestd: there is no command `{name}`; see attestd --help\n"


def test_help_and_man_page_tell_of_what_is_there_only():
    listed = re.findall(r"^  (\w+)  +\S", attestd("--help").stdout, re.MULTILINE)
    assert listed == ["serve", "verify", "attest", "session", "peer", "nsm", "config", "man"]
    page = attestd("man").stdout.replace("\\-", "-")
    assert "attestd-serve" in page or "attestd serve" in page
    assert re.findall(rf"attestd[ -](?:{'|'.join(GONE)})\b|nsm_root_out|proxy\.env", page) == []


@pytest.mark.parametrize("name", ["simulator", "dummy", "socket:/run/nsm", "bogus"])
def test_no_back_end_but_the_device_is_taken(name, tmp_path):
    for run, status in ((attestd("serve", "--nsm", name, cwd=tmp_path), 1), (attestd("nsm", "--nsm", name, "describe"), 2),
                        (attestd("config", "check", "--set", f"nsm={name}"), 1)):
        assert (run.returncode, run.stdout) == (status, ""), run.stderr
        assert name in run.stderr and NO_SIMULATOR in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_the_simulator_s_root_is_unknown():
    assert 'unknown key "nsm_root_out"' in attestd("serve", "--set", "nsm_root_out=x").stderr
    assert "nsm_root_out" not in attestd("config", "show").stdout


@pytest.mark.skipif(Path("/dev/nsm").exists(), reason="this machine has an NSM")
@pytest.mark.parametrize("name", ["auto", "device"])
def test_without_a_device_it_does_not_start(name, tmp_path):
    assert "/dev/nsm is missing" in refused(Enclave(tmp_path, nsm=name))


def literals(text):
    """What a source would leave in a binary: its longer strings, as far as no escape is in them."""
    code = re.sub(r"^#include[^\n]*|/\*.*?\*/", "", text, flags=re.MULTILINE | re.DOTALL)
    return {found.encode() for found in re.findall(r'"([^"\\\n]{16,})"', code)}


def test_nothing_of_the_sources_left_out_is_in_it():
    sources = set(TOP.glob("src/*/*.c"))
    kept = {path for path in sources if (ENCLAVE / "obj" / path.relative_to(TOP / "src").with_suffix(".o")).exists()}
    gone = sources - kept
    names = {path.stem for path in gone}
    assert {"client", "proxy", "simulate", "simulator", "simulator_ca", "in_process", "dummy", "socket"} <= names
    others = b"".join(path.read_bytes() for path in (*kept, *TOP.glob("include/**/*.h"), *TOP.glob("src/*/*.h"),
                                                      TOP / "src/config/keys.def", TOP / "openapi.yaml"))
    own = {one for path in gone for one in literals(path.read_text()) if one not in others}
    there, here = (BUILD / "attestd").read_bytes(), (ENCLAVE / "attestd").read_bytes()
    assert sum(one in there for one in own) > 100, "this looks for nothing"
    assert [one for one in own if one in here] == []


# ---- what is left ----

@pytest.mark.parametrize("name", ["device", "auto"])
def test_it_serves_on_the_device(enclave, name):
    server = enclave(nsm=name)
    health = server.get("/health").json()
    assert (health["status"], health["nsm"]) == ("healthy", "device")
    reply = server.post("/attestation", text("a nonce")).json()
    assert payload(reply["attestation_document"]["document"])["nonce"] == b"a nonce"


def test_it_takes_no_secret_from_the_environment(nsm, tmp_path):
    how = nsm.server()
    how["env"]["ENCLAVE_KEY_BASE64"] = "A" * 43 + "="
    assert "ENCLAVE_KEY_BASE64" in refused(Enclave(tmp_path / "enclave", **how), status=1)


# ---- what it loads ----

def closure(*args, script=TOP / "image" / "closure"):
    return subprocess.run([script, *args], capture_output=True, text=True, timeout=300, check=False)


def test_its_libraries_are_those_of_the_list_and_no_second_tls():
    run = closure(ENCLAVE / "attestd")
    assert (run.returncode, run.stderr) == (0, "")
    rows = [line.split() for line in run.stdout.splitlines()]
    paths = closure("--paths", ENCLAVE / "attestd").stdout.split()
    assert [row[1] for row in rows[1:-1]] == [Path(path).name for path in paths]
    assert [int(row[0]) for row in rows] == [(size := (ENCLAVE / "attestd").stat().st_size), *map(os.path.getsize, paths),
                                             size + sum(map(os.path.getsize, paths))]
    assert not any(TLS_LIBRARY.search(path) or "microhttpd" in path for path in paths)


def test_another_library_and_one_that_is_gone_fail(tmp_path):
    shutil.copy(TOP / "image" / "closure", tmp_path)
    lines = (TOP / "image" / "closure.txt").read_text().splitlines(keepends=True)
    (tmp_path / "closure.txt").write_text("".join(line for line in lines if not line.startswith("libssl")) + "libx.so.1 why\n")
    for args in ([ENCLAVE / "attestd"], ["--paths", ENCLAVE / "attestd"]):
        run = closure(*args, script=tmp_path / "closure")
        assert run.returncode == 1
        assert "libssl.so.3 is loaded and not in closure.txt" in run.stderr
        assert "libx.so.1 is in closure.txt and not loaded" in run.stderr


def test_what_loads_nothing_is_no_binary_of_ours():
    run = closure(TOP / "Makefile")
    assert run.returncode == 1 and "Makefile" in run.stderr


# ---- how it is built ----

def make(top, *args, umask=0o022, **env):
    """Makes the enclave's binary as somebody else would, who did not start this test by another make."""
    plain = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "XDG_CACHE_HOME")}
    run = subprocess.run(["make", "-s", "-j2", "DEPS=true", *args, "enclave"], cwd=top, capture_output=True, text=True, check=False,
                         timeout=600, env={**plain, **env}, umask=umask)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_two_builds_in_two_folders_are_the_same(tmp_path):
    built = []
    for name, how in (("one", {}), ("two/deeper", {"umask": 0o077, "TZ": "Asia/Tokyo", "LANG": "C.UTF-8", "USER": "other"})):
        top = tmp_path / name
        top.mkdir(parents=True)
        for part in ("Makefile", "openapi.yaml", "image", "include", "scripts", "src", "tests/qemu/guest.mk"):
            copy = shutil.copytree if (TOP / part).is_dir() else shutil.copy
            (top / part).parent.mkdir(parents=True, exist_ok=True)
            copy(TOP / part, top / part)
        make(top, **how)
        built.append([(top / "build-enclave" / file).read_bytes() for file in ("attestd", "libmicrohttpd.a")])
    assert built[0] == built[1]
    assert str(tmp_path).encode() not in built[0][0] + built[0][1]
