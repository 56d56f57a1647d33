"""The command line: what attestd says without serving anything. (`attestd config` has tests of its own.)"""

import re
import socket
import subprocess

import pytest
from helpers import BUILD, RUNNER, clean_environment

COMMANDS = ("serve", "verify", "attest", "session", "peer", "client", "proxy", "simulate", "nsm", "config", "man")


def attestd(*args, **how):
    return subprocess.run([*RUNNER, BUILD / "attestd", *args], capture_output=True, text=True, timeout=60, check=False,
                          env=clean_environment(), **how)


@pytest.mark.smoke
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_the_commands_on_stdout(flag):
    run = attestd(flag)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("usage: attestd COMMAND")
    listed = re.findall(r"^  (\w+)  +\S", run.stdout, re.MULTILINE)
    assert tuple(listed) == COMMANDS
    assert "Exit status: 0 success, 1 the thing asked about is false or failed, 2 usage, 3" in run.stdout


@pytest.mark.smoke
def test_version_is_one_line():
    run = attestd("--version")
    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(r"attestd \d+\.\d+\.\d+\n", run.stdout)


def test_without_a_command_the_help_goes_to_stderr():
    run = attestd()
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == attestd("--help").stdout


@pytest.mark.parametrize("command", ["sevre", "", "--nope", "-V", "serve ", "help"])
def test_an_unknown_command_is_a_usage_error(command):
    run = attestd(command)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"attestd: there is no command `{command}`; see attestd --help\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_on_stdout(command):
    run = attestd(command, "--help")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"usage: attestd {command}")


def test_the_help_of_serve_tells_of_every_key():
    keys = re.findall(r"^(\w+) = ", attestd("config", "show").stdout, re.MULTILINE)
    told = re.findall(r"^  (\w+) = ", attestd("serve", "--help").stdout, re.MULTILINE)
    assert len(keys) > 30
    assert told == keys
    assert max(map(len, attestd("serve", "--help").stdout.splitlines())) <= 110


@pytest.mark.parametrize(
    "args, text",
    [
        (["--bogus"], "--bogus"),
        (["--listen"], "--listen"),
        (["--set", "agent"], "--set"),
        (["--set", "=x"], "--set"),
        (["extra"], "extra"),
        (["-x"], "-x is no option"),
        (["--help=1"], "--help=1 is no option"),
    ],
)
def test_serve_with_wrong_arguments_is_a_usage_error(args, text):
    run = attestd("serve", *args)
    assert (run.returncode, run.stdout) == (2, "")
    assert text in run.stderr
    assert "see attestd serve --help" in run.stderr


@pytest.mark.parametrize(
    "args, text",
    [
        (["--set", "lisen=x"], 'unknown key "lisen" (did you mean "listen"?)'),
        (["--set", "bogus=1"], 'unknown key "bogus"'),
        (["--set", "workers=x"], "workers must be a whole number from 0 to 256"),
        (["--nsm", "simulater"], "nsm must be auto, device, simulator, dummy or socket:PATH"),
        (["--nsm", "socket:"], "the path in nsm = socket:PATH has 0 bytes"),
        (["--nsm", "device", "--set", "nsm_root_out=x"], "nsm_root_out is for nsm = simulator"),
        (["--listen", "0.0.0.0:0"], "listen"),
        (["--listen", "vsock:1234"], "listen"),
        (["--listen", "example.org:1"], "example.org"),
    ],
)
def test_serve_with_a_wrong_setting_says_so_and_exits_1(args, text, tmp_path):
    run = attestd("serve", *args, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (1, ""), run.stderr
    assert text in run.stderr
    assert list(tmp_path.iterdir()) == []  # nothing was made before everything was judged


def test_an_unknown_variable_stops_the_start(tmp_path):
    run = subprocess.run([*RUNNER, BUILD / "attestd", "serve"], capture_output=True, text=True, timeout=60, check=False,
                         env={**clean_environment(), "ATTESTD_LISEN": "x"}, cwd=tmp_path)
    assert run.returncode == 1
    assert "ATTESTD_LISEN: there is no such key (did you mean ATTESTD_LISTEN?)" in run.stderr


def test_what_the_environment_lacks_exits_3(tmp_path):
    def serve(*args):
        return attestd("serve", "--set", "listen=127.0.0.1:0", "--nsm", "dummy", *args, cwd=tmp_path)

    run = serve("--config", "gone.conf")
    assert run.returncode == 3 and "gone.conf" in run.stderr
    run = serve("--db", "gone/s.db")
    assert run.returncode == 3 and "gone" in run.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = serve("--listen", f"127.0.0.1:{port}")
    assert run.returncode == 3 and str(port) in run.stderr
    run = attestd("serve", "--listen", "127.0.0.1:0", "--nsm", "device", cwd=tmp_path)
    assert run.returncode == 3 and "/dev/nsm" in run.stderr


def test_output_that_cannot_be_written_exits_3():
    for args in (["--help"], ["--version"], ["serve", "--help"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            run = subprocess.run([BUILD / "attestd", *args], stdout=full, stderr=subprocess.PIPE, check=False,
                                 env=clean_environment())
        assert run.returncode == 3, args
        assert b"cannot write" in run.stderr
