"""What Linux's driver of the NSM does, and what attestd makes of it: sizes, errors, lateness, loss, and the start."""

import json
import re

import pytest
from machine import wait_for
from nsm_device import error
from unit import Unit, attestd

REQUEST_MAX, REPLY_MAX = 4096, 12288  # the driver's
DESCRIBE = b"\x6bDescribeNSM"
ATTEST = "/attestation?nonce=00ff"
NAMES = ["InvalidArgument", "InvalidIndex", "InvalidResponse", "ReadOnlyIndex", "InvalidOperation", "BufferTooSmall",
         "InputTooLarge", "InternalError"]  # fmt: skip
PCR = 19  # one that nothing else here uses


@pytest.fixture(scope="module")
def unit(installed):
    u = Unit(installed)
    u.start(nsm_timeout=2, public_listen="vsock:8080", vsock_listen="vsock:9000")
    yield u
    u.end()


@pytest.fixture
def nsm(installed):
    yield installed.nsm
    installed.nsm.normal()
    assert installed.nsm.faults == []


def call(guest, request, *sizes):
    """What the driver says to a request as it is: hex, or the name of an error."""
    return guest.run(" ".join(["/srv/files/nsm_call", request.hex(), *map(str, sizes)])).out.strip()


def whole(n):
    """A reply to Attestation of n bytes, whose document is none."""
    head = b"\xa1\x6bAttestation\xa1\x68document\x59"
    return head + (n - len(head) - 2).to_bytes(2, "big") + bytes(n - len(head) - 2)


def works(unit):
    return unit.get(ATTEST)[0].status == 200


# ---- sizes ----


def test_requests_of_4096_bytes_reach_the_device_and_longer_ones_do_not(installed, nsm):
    nsm.log.clear()
    assert call(installed, DESCRIBE, REQUEST_MAX) == error("InvalidOperation").hex()
    assert call(installed, DESCRIBE, REQUEST_MAX + 1) == "EMSGSIZE"
    assert [len(r) for r in nsm.log if r.startswith(DESCRIBE)] == [REQUEST_MAX]


def test_the_largest_attestation_there_is(installed, nsm):
    request = b"\xa1\x6bAttestation\xa3"
    for name, size in ((b"user_data", 512), (b"nonce", 512), (b"public_key", 1024)):
        request += bytes([0x60 + len(name)]) + name + b"\x59" + size.to_bytes(2, "big") + b"x" * size
    reply = bytes.fromhex(call(installed, request))
    assert reply.startswith(b"\xa1\x6bAttestation\xa1\x68document") and b"x" * 1024 in reply


def test_attestds_own_largest_request(installed, unit, nsm, tmp_path):
    user_data, nonce = "u" * 512, "n" * 512
    nsm.log.clear()
    to = f"unix:{installed.vsock_unix(9000)}"
    r = attestd("client", "attest", "--to", to, "--user-data", user_data, "--nonce", nonce, "--json")
    assert r.returncode == 0, r.stderr
    (request,) = (x for x in nsm.log if b"Attestation" in x)
    assert user_data.encode() in request and nonce.encode() in request and len(request) < REQUEST_MAX
    (tmp_path / "reply.json").write_text(r.stdout)
    r = attestd("verify", tmp_path / "reply.json", "--root", installed.root_pem, "--nonce", f"text:{nonce}",
                "--user-data", f"text:{user_data}")  # fmt: skip
    assert r.returncode == 0, r.stdout


def test_the_driver_cuts_long_replies_off_without_a_word(installed, nsm):
    """What attestd has to make up for."""
    for size, room, got in ((REPLY_MAX, 20000, REPLY_MAX), (20000, 20000, REPLY_MAX), (REPLY_MAX, 100, 100)):
        nsm.say(whole(size), to=DESCRIBE)
        assert bytes.fromhex(call(installed, DESCRIBE, len(DESCRIBE), room)) == whole(size)[:got]


def test_a_reply_that_was_cut_off_is_refused(installed, unit, nsm):
    sizes = (REPLY_MAX, REPLY_MAX + 1, 16384, 16385)
    for size in sizes:
        nsm.say(whole(size), to=b"Attestation")
    before = len(unit.log())
    *replies, after = unit.get(*[ATTEST] * (len(sizes) + 1))
    assert [(r.status, r.json()["code"]) for r in replies] == [(503, "nsm_unavailable")] * len(sizes)
    said = [line for line in unit.log()[before:].splitlines() if " warn " in line]
    # The first is whole: it is its document that is none.
    assert "the NSM's document is not understood" in said[0]
    for line in said[1:]:
        assert f"the NSM's reply to Attestation is not understood: byte 23 of {REPLY_MAX}: the input ends" in line
    assert len(said) == len(sizes) and after.status == 200
    nsm.say(whole(16384), to=DESCRIBE)
    r = installed.run("attestd nsm describe")
    assert (r.rc, r.out) == (3, "") and "the NSM's reply to DescribeNSM is not understood" in r.err


# ---- errors ----


def test_errors_are_named_in_the_log_and_nowhere_else(installed, unit, nsm):
    for name in NAMES:
        nsm.say(error(name), to=b"Attestation")
    before = len(unit.log())
    *replies, after = unit.get(*[ATTEST] * (len(NAMES) + 1))
    said = unit.log()[before:]
    for name, reply in zip(NAMES, replies):
        assert (reply.status, reply.json()["code"]) == (503, "nsm_unavailable")
        assert name not in reply.body
        assert f"the NSM refused Attestation with {name}" in said
    assert after.status == 200


def test_the_command_names_errors(installed, nsm):
    for name in NAMES:
        nsm.say(error(name), to=DESCRIBE)
    told = installed.must(f"for i in $(seq {len(NAMES)}); do attestd nsm describe 2>&1; echo $?; done")
    assert told == "".join(f"attestd: the NSM refused DescribeNSM with {name}\n1\n" for name in NAMES)


def test_rubbish_is_refused(installed, unit, nsm):
    rubbish = [b"", b"\xff", b"\xa1", b"\xa1\x65Error", error("NoSuchError"), b"rubbish", bytes(4000), b"\x9f" * 9000,
               b"\xa1\x69GetRandom\xa1\x66random\x41\0", whole(1000)[:-1], whole(1000) + b"\0"]  # fmt: skip
    for reply in rubbish:
        nsm.say(reply, to=b"Attestation")
    *replies, after = unit.get(*[ATTEST] * (len(rubbish) + 1))
    assert [r.status for r in replies] == [503] * len(rubbish)
    assert after.status == 200


# ---- time ----


def test_a_device_that_is_late_is_waited_for_within_the_time(unit, nsm):
    nsm.late(0.4, to=b"Attestation")
    (reply,) = unit.get(ATTEST)
    assert reply.status == 200 and reply.seconds >= 0.4


def test_a_device_that_does_not_answer_is_503_in_time_and_holds_up_nothing_else(unit, nsm):
    nsm.silent(to=b"Attestation")
    # The second comes while the driver is still at the first.
    *late, health = unit.get(ATTEST, ATTEST, "/health")
    assert [(r.status, r.json()["code"]) for r in late] == [(503, "nsm_unavailable")] * 2
    assert all(r.seconds >= 1.9 and "in time" in r.json()["detail"] for r in late)
    assert health.json()["status"] == "healthy"
    assert unit.metrics()["nsm_queue"] > 0
    nsm.normal()
    wait_for("end of the queue", 20, lambda: unit.metrics()["nsm_queue"] == 0)
    assert works(unit)


# ---- loss ----


def test_a_device_that_vanishes_and_returns(installed, unit, nsm):
    """As a driver is unbound. Only resetting the device brings it back (Linux 6.12 does not when it lets go of it), as
    binding its bus's driver again does. A back end that goes away is, to the guest, a device that does not answer."""
    assert works(unit)
    device, bus = "virtio0", "/sys/bus/pci/drivers/virtio-pci"
    pci = installed.must(f"basename $(dirname $(readlink -f /sys/bus/virtio/devices/{device}))").strip()
    pid = installed.show("MainPID")
    installed.must(f"echo {device} >/sys/bus/virtio/drivers/nsm/unbind && [ ! -e /dev/nsm ]")
    try:
        *gone, health = unit.get(ATTEST, ATTEST, "/health")
        assert [(r.status, r.json()["code"]) for r in gone] == [(503, "nsm_unavailable")] * 2
        # No document says any more whether this is a debug enclave.
        assert (health.status, health.json()["debug_mode"], health.json()["tee_available"]) == (200, None, False)
        assert "/dev/nsm cannot be opened any more (ENOENT)" in unit.log()
        r = installed.run("attestd nsm describe")
        assert (r.rc, r.out) == (3, "") and "/dev/nsm is missing" in r.err
    finally:
        installed.must(f"echo {pci} >{bus}/unbind && echo {pci} >{bus}/bind && [ -e /dev/nsm ]")
    (reply, health) = unit.get(ATTEST, "/health")
    assert (reply.status, health.json()["debug_mode"]) == (200, False)
    assert installed.show("MainPID") == pid
    # Whoever has the device open meanwhile, and calls it, makes the kernel do so.
    assert not re.search("BUG:|Oops:", installed.must("dmesg"))


# ---- the start ----


def test_the_kernels_generator_is_fed_by_the_device(installed):
    assert installed.must("cat /sys/class/misc/hw_random/rng_current") == "nsm-hwrng\n"


def starts(directory):
    """A server of its own, with all that it leaves in a folder."""
    return (
        f"rm -rf {directory}; mkdir {directory}; cd {directory}; exec attestd serve --nsm device --listen unix:{directory}/api"
        f" --set runtime_dir={directory} >said 2>&1"
    )


def test_a_start_without_randomness_is_refused_and_makes_no_key(installed, nsm):
    """The kernel asks for some of its own, which it is refused as well."""
    for answer, says in (
        (error("InternalError"), "the NSM refused GetRandom with InternalError"),
        (b"\xa1\x69GetRandom\xa1\x66random\x40", "the NSM's reply to GetRandom is not understood"),
    ):
        nsm.set_rule("say", answer, b"GetRandom")
        told = installed.must(f"({starts('/run/refused')}); echo $?; cd /run/refused; cat said; ls").splitlines()
        assert told[0] == "3" and says in told[1] and told[2:] == ["said"], told
        nsm.normal()


def test_a_start_waits_for_randomness_and_makes_no_key_before(installed, nsm):
    nsm.silent(to=b"GetRandom")
    nsm.log.clear()
    pid = installed.must(f"({starts('/run/waits')}) & echo $!").strip()
    try:
        installed.until("grep -qs 'waiting for the NSM' /run/waits/said")
        assert installed.must("ls /run/waits") == "said\n"
        assert set(nsm.log) == {b"\x69GetRandom"}
        nsm.normal()
        installed.until("grep -qs 'listening on' /run/waits/said")
        assert {"attestd.db", "kek"} < set(installed.must("ls /run/waits").split())
    finally:
        nsm.normal()
        installed.must(f"kill {pid}")


# ---- PCRs ----


def test_a_pcr_that_was_extended_and_locked_is_in_documents(installed, unit, tmp_path):
    def nsm(*args):
        return installed.run(f"attestd nsm --json {' '.join(map(str, args))}")

    before = json.loads(nsm("pcr", PCR).out)
    assert nsm("extend", PCR, "c0ffee").rc == 0
    extended = json.loads(nsm("pcr", PCR).out)
    assert extended["value"] != before["value"] and not extended["locked"]
    assert nsm("lock", PCR).rc == 0
    for again in (("extend", PCR, "c0ffee"), ("lock", PCR)):
        r = nsm(*again)
        assert r.rc == 1 and "with ReadOnlyIndex" in r.err, r
    with installed.dial(8080) as s:
        s.sendall(b"GET /attestation?nonce=00ff HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n")
        with s.makefile("rb") as f:
            head, _, body = f.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    (tmp_path / "reply.json").write_bytes(body)
    for value, status in ((extended["value"], 0), (before["value"], 1)):
        which = ["--root", installed.root_pem, "--nonce", "hex:00ff", "--pcr", f"{PCR}={value}"]
        r = attestd("verify", tmp_path / "reply.json", *which)
        assert r.returncode == status, r.stdout
