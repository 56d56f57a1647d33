"""attestd as systemd runs it from the installed unit, on the NSM that Linux's own driver offers."""

import base64
import json

import pytest
from machine import wait_for
from unit import API, UNIT, Unit, attestd

METADATA = "/etc/attestd/metadata.json"
SETTINGS = {"metadata_file": METADATA}


@pytest.fixture(scope="module")
def unit(installed):
    """The unit as it was installed, with the socket."""
    u = Unit(installed)
    installed.put(METADATA, '{"model":"one"}')
    installed.must("systemctl start attestd.socket")
    u.start(**SETTINGS)
    yield u
    installed.must(f"systemctl stop attestd.socket; rm {METADATA}")
    u.end()


@pytest.fixture(scope="module")
def session(installed, unit, user):
    """The user's end of a session: a folder of the guest that holds s.json."""
    installed.must(
        f"cd {user} && rm -f s.json && attestd session open --url {API} --key key.pem --root root.pem --any-enclave --out s.json"
    )
    return user


def test_systemd_starts_it(installed, unit):
    assert [installed.show(what) for what in ("ActiveState", "Type", "User")] == ["active", "notify", "attestd"]


def test_the_process_is_without_privileges(installed, unit):
    pid = installed.show("MainPID")
    status = dict(line.split(":\t", 1) for line in installed.must(f"cat /proc/{pid}/status").splitlines())
    assert [status[s].strip("0") for s in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [""] * 5
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["Uid"].split() == [installed.must("id -u attestd").strip()] * 4
    assert status["VmSwap"].split()[0] == "0"
    # What may not be dumped belongs to root.
    assert installed.must(f"stat -c %U /proc/{pid}/environ") == "root\n"


def test_the_api_is_served_on_the_device(unit):
    health = unit.ask("/health")
    # Its documents end in a simulator's root, and that is none to AWS's own.
    assert (health["status"], health["nsm"], health["tee_available"]) == ("healthy", "device", False)


def test_nobody_else_may_call_the_nsm(installed):
    """The driver lets everybody; whoever calls it could have attested what attestd says of itself."""
    assert installed.must("stat -c %U:%G:%a /dev/nsm") == "attestd:attestd:600\n"
    assert installed.run("setpriv --reuid=nobody --clear-groups head -c 0 /dev/nsm").rc != 0


def test_an_attestation_verifies_on_the_host(installed, unit, tmp_path):
    nonce = "8f" * 32
    reply = unit.ask("/attestation", {"nonce": nonce, "custom_data": {"guest": "Linux's own driver"}})
    assert reply["tee_verified"] is False
    assert base64.b64decode(reply["attestation_document"]["document"])[:1] in (b"\x84", b"\xd2")
    (tmp_path / "reply.json").write_text(json.dumps(reply))
    for nonce_asked, status in ((nonce, 0), ("00" * 32, 1)):
        told = attestd("verify", "--root", installed.root_pem, "--nonce", nonce_asked, tmp_path / "reply.json")
        assert told.returncode == status, told.stdout + told.stderr


def say(unit, session, text):
    """The user's message as the agent decrypts it."""
    sealed = json.loads(unit.guest.must(f"cd {session} && attestd session encrypt --session s.json", stdin=text))
    return unit.ask("/decrypt", sealed)["plaintext"]


def test_a_session_survives_kill_9(installed, unit, session):
    assert say(unit, session, "before") == "before"
    pid, restarts = installed.show("MainPID"), int(installed.show("NRestarts"))
    installed.must(f"kill -9 {pid}")
    # The socket stays open: the next request waits for the next process instead of failing.
    assert say(unit, session, "after") == "after"
    assert installed.show("MainPID") != pid
    assert int(installed.show("NRestarts")) == restarts + 1


@pytest.fixture
def watched(unit):
    """The unit with a watchdog that is not waited for half a minute."""
    unit.start("WatchdogSec=5", **SETTINGS)
    yield unit
    unit.start(**SETTINGS)


def test_the_watchdog_ends_a_process_that_hangs(installed, watched, session):
    pid = installed.show("MainPID")
    installed.must(f"kill -STOP {pid}")
    wait_for("new process", 60, lambda: installed.show("MainPID") not in (pid, "0"))
    assert f"{UNIT}: Watchdog timeout" in installed.must(f"journalctl -o cat _PID=1 UNIT={UNIT} --no-pager")
    assert say(watched, session, "still there") == "still there"


def test_a_reload_reaches_the_process_and_ends_nothing(installed, unit, session):
    pid = installed.show("MainPID")
    installed.must(f"systemctl reload {UNIT}")
    assert say(unit, session, "reloaded") == "reloaded"
    assert installed.show("MainPID") == pid


def test_metadata_is_read_again_when_it_changes(installed, unit):
    assert unit.ask("/attestation", {})["user_data"]["model"] == "one"
    installed.put(METADATA, '{"model":"another"}')
    assert unit.ask("/attestation", {})["user_data"]["model"] == "another"


def test_a_stop_is_clean_and_without_the_device_there_is_no_start(installed, unit):
    """An enclave never falls back."""
    installed.must(f"systemctl stop attestd.socket {UNIT}")
    assert (installed.show("Result"), installed.show("ExecMainStatus")) == ("success", "0")
    installed.must("mv /dev/nsm /dev/nsm.away")
    try:
        assert installed.run(f"systemctl start {UNIT}").rc != 0
        assert "/dev/nsm" in unit.log()
    finally:
        installed.must(f"mv /dev/nsm.away /dev/nsm; systemctl stop {UNIT}; systemctl reset-failed")
