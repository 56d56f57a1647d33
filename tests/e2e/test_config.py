"""attestd config: the command, and the example file that it generates."""

import base64
import json
import os
import pathlib
import subprocess

import pytest
from helpers import BUILD, UserSession

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTESTD = str(BUILD / "attestd")


def config(*args, env=None, stdin=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ATTESTD_")}
    return subprocess.run(
        [ATTESTD, "config", *args],
        capture_output=True,
        text=True,
        input=stdin,
        env=clean | (env or {}),
        timeout=30,
        check=False,
    )


@pytest.fixture(name="conf")
def make_conf(tmp_path):
    def write(text):
        path = tmp_path / "attestd.conf"
        path.write_text(text)
        return str(path)

    return write


def test_check_says_ok_and_what_it_read(conf):
    path = conf("nsm = dummy\n")
    run = config("check", "--config", path, "--set", "workers=2", env={"ATTESTD_LOG_LEVEL": "debug"})
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"ok (file: {path}; ATTESTD_* variables: 1; flags: 1)\n"


def test_check_without_a_file_is_ok():
    run = config("check")
    assert (run.returncode, run.stdout) == (0, "ok (file: none; ATTESTD_* variables: 0; flags: 0)\n")


def test_the_file_may_be_named_by_the_environment(conf):
    path = conf("info_name = x\n")
    assert "info_name = x\n" in config("show", env={"ATTESTD_CONFIG": path}).stdout
    assert "info_name = attestd\n" in config("show", "--config", "/dev/null", env={"ATTESTD_CONFIG": path}).stdout
    assert config("check", env={"ATTESTD_CONFIG": ""}).returncode == 0


@pytest.mark.parametrize(
    "text, expected",
    [
        ("\nlisen = x\n", ':2: unknown key "lisen" (did you mean "listen"?)'),
        ("nsm = simulater\n", ":1: nsm must be auto, device, simulator, dummy or socket:PATH"),
        ("agent = a\nagent = b\n", ":2: agent was already set on line 1"),
        ("public_sessions = 2\nmax_sessions = 1\n", ":1: public_sessions (2) must be less than max_sessions (1)"),
    ],
)
def test_a_wrong_file_exits_1_and_names_the_line(conf, text, expected):
    path = conf(text)
    for action in ("check", "show"):
        run = config(action, "--config", path)
        assert (run.returncode, run.stdout) == (1, "")
        assert path + expected in run.stderr


def test_a_wrong_variable_or_flag_exits_1_and_is_named():
    run = config("check", env={"ATTESTD_LISEN": "x"})
    assert run.returncode == 1 and "ATTESTD_LISEN: there is no such key (did you mean ATTESTD_LISTEN?)" in run.stderr
    run = config("check", "--set", "workers=x")
    assert run.returncode == 1 and "--set: workers must be a whole number from 0 to 256" in run.stderr


@pytest.mark.parametrize(
    "sets, said",
    [
        (["listen=0.0.0.0:8765"], "attestd: listen = 0.0.0.0:8765 is refused: "),
        (["listen=vsock:3"], "attestd: listen = vsock:3 is refused: "),
        (["listen=[::]:80"], "attestd: listen = [::]:80 is refused: "),
        (["listen=localhost:80"], 'attestd: listen = localhost:80: "localhost" is no IPv4 address'),
        (["public_listen=foo"], 'attestd: public_listen = foo: "foo" is no address; '),
        (["public_listen=unix:@abstract"], "attestd: public_listen = unix:@abstract: "),
        (["vsock_listen=foo"], 'attestd: vsock_listen = foo: "foo" is no address; '),
        (["vsock_listen=127.0.0.1:9000"], "attestd: vsock_listen = 127.0.0.1:9000 is refused: the vsock JSON protocol has no authent"),
        (["vsock_listen=[::1]:9000"], "attestd: vsock_listen = [::1]:9000 is refused: "),
        (["vsock_listen=vsock:3", "public_listen=vsock:3"], "attestd: public_listen and vsock_listen are both vsock:3: "),
        (["listen=unix:/x", "vsock_listen=unix:/x"], "attestd: listen and vsock_listen are both unix:/x: "),
        (["public_listen=127.0.0.1:8765"], "attestd: listen and public_listen are both http://127.0.0.1:8765: "),
        (["listen="], "attestd: nothing to listen on: set listen, public_listen, vsock_listen, tls_listen, peer_listen or peer_tls_listen\n"),
    ],
)
def test_check_refuses_an_address_with_the_words_of_serve(sets, said, tmp_path):
    flags = [f"--set={s}" for s in sets]
    run = config("check", *flags)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(said)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ATTESTD_")}
    served = subprocess.run([ATTESTD, "serve", *flags], capture_output=True, text=True, env=clean, cwd=tmp_path,
                            timeout=30, check=False)
    assert (served.returncode, served.stderr) == (1, run.stderr)


@pytest.mark.parametrize(
    "sets",
    [
        ["listen=[::1]:1"],
        ["listen=127.9.9.9:0"],
        ["listen=unix:/no/such/folder/s"],
        ["public_listen=0.0.0.0:80"],
        ["public_listen=vsock:3"],
        ["listen=", "public_listen=vsock:3"],
        ["listen=", "vsock_listen=vsock:9000"],
        ["vsock_listen=unix:/no/such/folder/s"],
        ["public_listen=vsock:3", "vsock_listen=vsock:4"],
        ["public_listen=vsock:0", "vsock_listen=vsock:0"],
        ["listen=127.0.0.1:0", "public_listen=127.0.0.1:0"],
    ],
)
def test_check_takes_every_address_that_may_be_served(sets):
    run = config("check", *[f"--set={s}" for s in sets])
    assert (run.returncode, run.stderr) == (0, "")


# What 512 bytes of attested claims leave for the two names. It is known in two places, here and in src/attest.
LONGEST_NAMES = {"agent": "a" * 64, "guardrail": "g" * 24}


@pytest.mark.route("POST /key-exchange")
def test_the_longest_names_can_be_attested(make_server, user):
    server = make_server(settings=LONGEST_NAMES)
    attested = UserSession(server, user, scope="chat").reply["attestation_document"]["user_data"]
    claims = json.loads(base64.b64decode(attested))
    assert {k: claims[k] for k in LONGEST_NAMES} == LONGEST_NAMES
    assert "scope_hash" in claims and len(base64.b64decode(attested)) == 512


def test_names_one_byte_longer_are_refused():
    run = config("check", f"--set=agent={'a' * 64}", f"--set=guardrail={'g' * 25}")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        "attestd: --set: agent and guardrail together take 89 bytes as ASCII JSON, and at most 88 fit into the "
        "attested claims\n"
    )


def test_the_most_messages_are_what_a_session_can_count():
    assert config("check", "--set", "max_messages=2147483647").returncode == 0
    run = config("check", "--set", "max_messages=2147483648")
    assert run.returncode == 1 and "max_messages must be a whole number from 1 to 2147483647" in run.stderr


def test_an_unreadable_file_exits_3(tmp_path):
    for path in (str(tmp_path / "none"), str(tmp_path)):
        run = config("check", "--config", path)
        assert (run.returncode, run.stdout) == (3, "")
        assert path in run.stderr


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("frob",),
        ("check", "more"),
        ("check", "--frob"),
        ("check", "--set"),
        ("check", "--set", "workers"),
        ("check", "--set", "=1"),
        ("check", "--config"),
        ("check", "-x"),
        ("check", "--help=1"),
        ("check", "--security"),
        ("check", "--example"),
        ("show", "--example", "--security"),
        ("show", "--example", "--set", "workers=1"),
    ],
)
def test_wrong_usage_exits_2(args):
    run = config(*args)
    assert (run.returncode, run.stdout) == (2, "")
    assert "attestd config --help" in run.stderr


def test_help():
    run = config("--help")
    assert run.returncode == 0 and run.stderr == ""
    assert run.stdout.startswith("usage: attestd config check")


def test_show_prints_every_key_and_parses_back():
    first = config("show", "--set", 'agent= #"\\', "--set", "max_body=1m")
    assert first.returncode == 0
    assert 'agent = " #\\"\\\\"\n' in first.stdout
    assert "max_body = 1048576\n" in first.stdout
    again = config("show", "--config", "/dev/stdin", stdin=first.stdout)
    assert (again.returncode, again.stdout) == (0, first.stdout)


def test_security_shows_only_what_a_peer_may_rely_on():
    every = config("show").stdout.splitlines()
    some = config("show", "--security").stdout.splitlines()
    assert [line for line in every if line in some] == some
    assert some[0] == "listen = 127.0.0.1:8765"
    assert not any(line.startswith(("workers", "db", "log_")) for line in some)
    same = config("show", "--security", "--set", "workers=7", "--set", "db=/x").stdout.splitlines()
    assert same == some
    assert config("show", "--security", "--set", "session_lifetime=61").stdout.splitlines() != some


def test_the_example_in_the_tree_is_the_generated_one():
    run = config("show", "--example")
    assert run.returncode == 0
    assert (ROOT / "configs" / "attestd.conf").read_text() == run.stdout


def test_the_example_is_right_and_changes_nothing():
    example = str(ROOT / "configs" / "attestd.conf")
    assert config("check", "--config", example).returncode == 0
    assert config("show", "--config", example).stdout == config("show").stdout


def test_output_that_cannot_be_written_exits_3():
    with open("/dev/full", "w", encoding="ascii") as full:
        run = subprocess.run([ATTESTD, "config", "show", "--example"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert run.returncode == 3
    assert b"cannot write" in run.stderr
