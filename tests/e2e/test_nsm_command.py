"""`attestd nsm`: the NSM by hand, on a simulator of its own and on one behind a socket."""

import errno
import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from helpers import BUILD, RUNNER, clean_environment

ACTIONS = ("describe", "pcr", "extend", "lock", "random")
without_nsm = pytest.mark.skipif(Path("/dev/nsm").exists(), reason="there is an NSM here")


def run(*args, status=0, **how):
    """What it prints to stdout, or on failure to stderr."""
    done = subprocess.run([*RUNNER, BUILD / "attestd", "nsm", *map(str, args)], capture_output=True, text=True, timeout=60,
                          check=False, env=clean_environment(), **how)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert (done.stdout if status else done.stderr) == "", done
    return done.stderr if status else done.stdout


def extended(value, data):
    return hashlib.sha384(bytes.fromhex(value) + data).hexdigest()


@pytest.fixture
def ask(make_simulator):
    """run() on a fresh simulator behind a socket."""
    nsm = make_simulator().nsm

    def ask(*args, **how):
        return run("--nsm", nsm, *args, **how)

    return ask


# ---- what it tells ----

def test_describe(ask):
    said = ask("describe")
    assert re.fullmatch(
        r"nsm:        socket\nversion:    1\.0\.0\nmodule id:  i-[0-9a-f]{17}-enc[0-9a-f]+\ndigest:     SHA384\n"
        r"PCRs:       32\nlocked:     0-15\n", said)
    ask("lock", 20)
    ask("lock", 31)
    assert "locked:     0-15, 20, 31\n" in ask("describe")
    told = json.loads(ask("describe", "--json"))
    assert list(told) == ["nsm", "version", "module_id", "digest", "max_pcrs", "locked_pcrs"]
    assert told["max_pcrs"] == 32 and told["locked_pcrs"] == [*range(16), 20, 31]
    assert told["module_id"] in said


@pytest.mark.smoke
def test_a_simulator_lives_in_the_command_itself():
    assert run("--nsm", "simulator", "describe").startswith("nsm:        simulator\n")
    data = run("--nsm", "simulator", "extend", 16, "00").strip()
    assert data == extended("00" * 48, b"\0")
    assert run("--nsm", "simulator", "pcr", 16).endswith("  all zeros\n"), "the next one begins anew"


def test_pcr_tells_lock_and_value_and_marks_zeros(ask):
    lines = ask("pcr").splitlines()
    assert len(lines) == 32
    assert lines[0] == f"PCR0   locked    {'a77e57d0' * 12}"
    assert lines[3] == f"PCR3   locked    {'00' * 48}  all zeros"
    assert lines[31] == f"PCR31  unlocked  {'00' * 48}  all zeros"
    for i, line in enumerate(lines):
        assert ask("pcr", i) == line + "\n"


def test_pcr_as_json(ask):
    told = json.loads(ask("--json", "pcr"))["pcrs"]
    assert [p["index"] for p in told] == list(range(32))
    assert told[2] == {"index": 2, "locked": True, "zero": False, "value": "a77e57d2" * 12}
    assert told[16] == {"index": 16, "locked": False, "zero": True, "value": "00" * 48}
    assert json.loads(ask("--json", "pcr", 2)) == told[2]


def test_the_dummys_pcrs_are_those_that_it_has():
    lines = run("--nsm", "dummy", "pcr").splitlines()
    assert [line.split()[0] for line in lines] == [f"PCR{i}" for i in (0, 1, 2, 3, 4, 8)]
    assert len(json.loads(run("--nsm", "dummy", "--json", "pcr"))["pcrs"]) == 6


def test_what_the_dummy_says_is_marked_as_invented():
    assert all(line.endswith("  invented") for line in run("--nsm", "dummy", "pcr").splitlines())
    assert run("--nsm", "dummy", "pcr", 1) == f"PCR1   locked    {'11' * 48}  invented\n"
    assert run("--nsm", "dummy", "describe").endswith("All of this is invented: there is no NSM.\n")
    for args in (["describe"], ["pcr"], ["pcr", 1]):
        assert json.loads(run("--nsm", "dummy", "--json", *args))["dummy"] is True
        assert "dummy" not in json.loads(run("--nsm", "simulator", "--json", *args))


def test_random_gives_as_many_bytes_as_were_asked_for(ask):
    assert re.fullmatch("[0-9a-f]{64}\n", ask("random"))
    assert re.fullmatch("[0-9a-f]{2}\n", ask("random", 1))
    assert re.fullmatch("[0-9a-f]{8192}\n", ask("random", 4096)), "more than one reply holds"
    assert ask("random") != ask("random")
    told = json.loads(ask("random", 5, "--json"))
    assert set(told) == {"random"} and len(bytes.fromhex(told["random"])) == 5


# ---- what it changes ----

def test_extend_prints_the_new_value(ask, tmp_path):
    one = ask("extend", 16, b"hello".hex()).strip()
    assert one == extended("00" * 48, b"hello")
    file = tmp_path / "data"
    file.write_bytes(b"\0world\n")
    told = json.loads(ask("extend", 16, "--file", file, "--json"))
    assert told == {"index": 16, "value": extended(one, b"\0world\n")}
    assert told["value"] in ask("pcr", 16)


def test_extend_takes_1_to_1024_bytes(ask, tmp_path):
    file = tmp_path / "data"
    file.write_bytes(b"x" * 1024)
    one = ask("extend", 17, "--file", file).strip()
    assert one == extended("00" * 48, b"x" * 1024)
    assert ask("extend", 17, "78" * 1024).strip() == extended(one, b"x" * 1024)
    file.write_bytes(b"x" * 1025)
    said = ask("extend", 17, "--file", file, status=2)
    assert f"{file} has more than the 1024 bytes that a PCR can be extended with" in said
    assert 'attestd nsm extend 17 "$(sha384sum <FILE | cut -c-96)"' in said
    assert "at most 2048" in ask("extend", 17, "78" * 1025, status=2)
    file.write_bytes(b"")
    assert "at least one byte" in ask("extend", 17, "--file", file, status=2)
    assert "at least one byte" in ask("extend", 17, "", status=2)


def test_a_locked_pcr_cannot_be_extended(ask):
    assert ask("lock", 16) == "PCR16 is locked until the enclave ends.\n"
    assert ask("pcr", 16).startswith("PCR16  locked  ")
    assert ask("extend", 16, "00", status=1) == "attestd: the NSM refused ExtendPCR with ReadOnlyIndex\n"
    assert ask("lock", 16, status=1) == "attestd: the NSM refused LockPCR with ReadOnlyIndex\n"
    assert json.loads(ask("lock", 17, "--json")) == {"index": 17, "locked": True}


def test_lock_below_locks_all_before_it(ask):
    assert ask("lock", "--below", 20) == "All PCRs below 20 are locked until the enclave ends.\n"
    assert json.loads(ask("describe", "--json"))["locked_pcrs"] == list(range(20))
    assert json.loads(ask("lock", "--below", 32, "--json")) == {"below": 32, "locked": True}
    assert ask("lock", "--below", 33, status=1).startswith("attestd: the NSM refused LockPCRs with ")


def test_what_the_nsm_refuses_is_told_by_its_name(ask):
    assert ask("pcr", 32, status=1) == "attestd: the NSM refused DescribePCR with InvalidIndex\n"
    assert ask("extend", 65535, "00", status=1) == "attestd: the NSM refused ExtendPCR with InvalidIndex\n"
    for args in (["random"], ["extend", 16, "00"], ["lock", 16]):
        assert "with InvalidOperation" in run("--nsm", "dummy", *args, status=1)


# ---- back ends ----

@without_nsm
def test_without_a_device_it_exits_3_and_auto_says_so():
    assert "/dev/nsm is missing" in run("describe", status=3)
    done = subprocess.run([*RUNNER, BUILD / "attestd", "nsm", "--nsm", "auto", "describe"], capture_output=True, text=True,
                          timeout=60, check=False, env=clean_environment())
    assert done.returncode == 0 and done.stdout.startswith("nsm:        dummy\n")
    assert done.stderr == "attestd: there is no /dev/nsm: the dummy answers\n"


def test_where_nobody_answers_it_says_what_to_start(tmp_path):
    said = run("--nsm", "socket:gone", "describe", status=3, cwd=tmp_path)
    assert said == ("attestd: no NSM answers on unix:gone (No such file or directory): start `attestd simulate --socket "
                    "gone`\n")


def test_an_nsm_that_is_not_understood_exits_3(make_simulator):
    garbage = make_simulator("--fault", "garbage")
    assert "is not understood" in run("--nsm", garbage.nsm, "describe", status=3)
    refuses = make_simulator("--fault", "error=InternalError")
    assert run("--nsm", refuses.nsm, "describe", status=1) == "attestd: the NSM refused DescribeNSM with InternalError\n"


@without_nsm
def test_a_device_that_fails_exits_3(nsm):
    how = nsm.server(DescribeNSM=f"errno={errno.EIO}")["env"]
    done = subprocess.run([*RUNNER, BUILD / "attestd", "nsm", "describe"], capture_output=True, text=True, timeout=60,
                          check=False, env={**clean_environment(), **how})
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "attestd: the NSM device failed with EIO\n")


# ---- wrong usage ----

@pytest.mark.parametrize(
    "args, says",
    [
        ([], "say describe, pcr, extend, lock or random"),
        (["bogus"], "say describe, pcr, extend, lock or random"),
        (["describe", "x"], "unexpected argument `x`"),
        (["pcr", "x"], "`x` is no number of a PCR"),
        (["pcr", "-1"], "-1 is no option"),
        (["pcr", "65536"], "`65536` is no number of a PCR"),
        (["pcr", "1", "2"], "unexpected argument `2`"),
        (["extend"], "extend takes the number of a PCR, and either HEX or --file FILE"),
        (["extend", "1"], "extend takes the number of a PCR, and either HEX or --file FILE"),
        (["extend", "1", "00", "--file", "f"], "extend takes the number of a PCR, and either HEX or --file FILE"),
        (["extend", "1", "0"], "the data must be an even number of hex digits"),
        (["extend", "1", "xy"], "the data must be an even number of hex digits"),
        (["lock"], "lock takes either the number of a PCR or --below N"),
        (["lock", "1", "--below", "2"], "lock takes either the number of a PCR or --below N"),
        (["lock", "--below"], "--below lacks its value"),
        (["random", "0"], "random gives 1 to 4096 bytes, not `0`"),
        (["random", "4097"], "random gives 1 to 4096 bytes, not `4097`"),
        (["random", "1", "1"], "unexpected argument `1`"),
        (["describe", "--file", "f"], "--file belongs to extend"),
        (["pcr", "--below", "1"], "--below belongs to lock"),
        (["--bogus"], "--bogus is no option"),
        (["--nsm", "bogus", "describe"], "--nsm: there is no NSM back end `bogus`: say auto, device, simulator, dummy or "),
        (["--nsm", "socket:", "describe"], "--nsm: the path in socket:PATH has 0 bytes"),
        (["--nsm", "socket:" + "x" * 108, "describe"], "--nsm: the path in socket:PATH has 108 bytes"),
    ],
)
def test_wrong_usage_exits_2(args, says):
    said = run(*args, status=2)
    assert says in said
    assert "; see attestd nsm --help\n" in said


def test_a_file_that_is_not_there_exits_3(tmp_path):
    said = run("--nsm", "simulator", "extend", 16, "--file", tmp_path / "gone", status=3)
    assert said == f"attestd: the file {tmp_path}/gone cannot be opened: No such file or directory\n"


def test_help_names_every_action_and_says_what_cannot_be_undone():
    said = run("--help")
    assert all(f"  {action} " in said for action in ACTIONS)
    assert "extend and lock cannot be undone: what they do lasts until the enclave ends." in said
    assert max(map(len, said.splitlines())) <= 120
