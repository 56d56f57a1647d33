"""attestd as systemd runs it from the installed unit, on the NSM that Linux's own driver offers."""

import base64
import json
import re
import subprocess

import pytest
from machine import BUILD, wait_for

UNIT = "attestd.service"
API = "http://127.0.0.1:8765"
METADATA = "/etc/attestd/metadata.json"
SCORE_MAX = 2.0


def show(guest, what):
    return guest.must(f"systemctl show -P {what} {UNIT}").strip()


def curl(guest, path, body=None):
    data = "" if body is None else "-H 'Content-Type: application/json' -d @-"
    return json.loads(guest.must(f"curl -sS --fail-with-body {data} {API}{path}", stdin="" if body is None else json.dumps(body)))


@pytest.fixture(scope="module", autouse=True)
def service(installed):
    """The unit as it was installed, but for what tests would wait for: the watchdog's half minute."""
    drop_in = f"/run/systemd/system/{UNIT}.d/test.conf"
    installed.put(METADATA, '{"model":"one"}')
    installed.put(drop_in, f"[Service]\nWatchdogSec=5\nEnvironment=ATTESTD_METADATA_FILE={METADATA}\n")
    installed.must("systemctl daemon-reload && systemctl start attestd.socket attestd.service")
    yield
    installed.must(f"systemctl stop attestd.socket {UNIT}; rm -r {drop_in} {METADATA} /var/lib/attestd/*; systemctl daemon-reload")


@pytest.fixture(scope="module")
def session(installed, service, user):
    """The user's end of a session: a folder of the guest that holds s.json."""
    installed.must(
        f"cd {user} && rm -f s.json && attestd session open --url {API} --key key.pem --root root.pem --any-enclave --out s.json"
    )
    return user


def test_systemd_starts_it_and_scores_its_sandbox(installed, tell):
    assert (show(installed, "ActiveState"), show(installed, "Type"), show(installed, "User")) == ("active", "notify", "attestd")
    told = installed.must(f"systemd-analyze security --no-pager {UNIT} 2>&1 | tail -n 1")
    tell(told.strip())
    assert float(re.search(r"exposure level for attestd\.service: ([\d.]+)", told)[1]) <= SCORE_MAX


def test_the_process_is_without_privileges(installed):
    pid = show(installed, "MainPID")
    status = dict(line.split(":\t", 1) for line in installed.must(f"cat /proc/{pid}/status").splitlines())
    assert [status[s].strip("0") for s in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [""] * 5
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["Uid"].split() == [installed.must("id -u attestd").strip()] * 4
    assert status["VmSwap"].split()[0] == "0"
    # What may not be dumped belongs to root.
    assert installed.must(f"stat -c %U /proc/{pid}/environ") == "root\n"


def test_the_api_is_served_on_the_device(installed):
    health = curl(installed, "/health")
    # Its documents end in a simulator's root, and that is none to AWS's own.
    assert (health["status"], health["nsm"], health["tee_available"]) == ("healthy", "device", False)


def test_an_attestation_verifies_on_the_host(installed, tmp_path):
    nonce = "8f" * 32
    reply = curl(installed, "/attestation", {"nonce": nonce, "custom_data": {"guest": "Linux's own driver"}})
    assert reply["tee_verified"] is False
    assert base64.b64decode(reply["attestation_document"]["document"])[:1] in (b"\x84", b"\xd2")
    (tmp_path / "reply.json").write_text(json.dumps(reply))
    for nonce_asked, status in ((nonce, 0), ("00" * 32, 1)):
        told = subprocess.run(
            [BUILD / "attestd", "verify", "--root", installed.root_pem, "--nonce", nonce_asked, tmp_path / "reply.json"],
            capture_output=True,
            text=True,
        )
        assert told.returncode == status, told.stdout + told.stderr


def say(guest, session, text):
    """The user's message as the agent decrypts it."""
    sealed = json.loads(guest.must(f"cd {session} && attestd session encrypt --session s.json", stdin=text))
    return curl(guest, "/decrypt", sealed)["plaintext"]


def test_a_session_survives_kill_9(installed, session):
    assert say(installed, session, "before") == "before"
    pid, restarts = show(installed, "MainPID"), int(show(installed, "NRestarts"))
    installed.must(f"kill -9 {pid}")
    # The socket stays open: the next request waits for the next process instead of failing.
    assert say(installed, session, "after") == "after"
    assert show(installed, "MainPID") != pid
    assert int(show(installed, "NRestarts")) == restarts + 1


def test_the_watchdog_ends_a_process_that_hangs(installed, session):
    pid = show(installed, "MainPID")
    installed.must(f"kill -STOP {pid}")
    wait_for("new process", 60, lambda: show(installed, "MainPID") not in (pid, "0"))
    assert f"{UNIT}: Watchdog timeout" in installed.must(f"journalctl -o cat _PID=1 UNIT={UNIT} --no-pager")
    assert say(installed, session, "still there") == "still there"


def test_a_reload_reaches_the_process_and_ends_nothing(installed, session):
    pid = show(installed, "MainPID")
    installed.must(f"systemctl reload {UNIT}")
    assert say(installed, session, "reloaded") == "reloaded"
    assert show(installed, "MainPID") == pid


def test_metadata_is_read_again_when_it_changes(installed):
    assert curl(installed, "/attestation", {})["user_data"]["model"] == "one"
    installed.put(METADATA, '{"model":"another"}')
    assert curl(installed, "/attestation", {})["user_data"]["model"] == "another"


def test_a_stop_is_clean_and_without_the_device_there_is_no_start(installed):
    """An enclave never falls back."""
    installed.must(f"systemctl stop attestd.socket {UNIT}")
    assert (show(installed, "Result"), show(installed, "ExecMainStatus")) == ("success", "0")
    installed.must("mv /dev/nsm /dev/nsm.away")
    try:
        assert installed.run(f"systemctl start {UNIT}").rc != 0
        assert "/dev/nsm" in installed.must(f"journalctl -o cat -u {UNIT} -n 20 --no-pager")
    finally:
        installed.must(f"mv /dev/nsm.away /dev/nsm; systemctl stop {UNIT}; systemctl reset-failed")
