"""attestd's unit, with another program in attestd's place: what its sandbox lets through, and what it does not."""

import pytest

# What a program in the sandbox has to reach.
ALLOWED = {"open /dev/nsm", "write here", "write /run/attestd/confined", "connect to loopback"}
# What even root cannot do in the guest, for want of it.
NOT_THERE = {"open /dev/mem", "open /dev/vsock"}
HERE = "/var/lib/attestd"

DROP_IN = """
[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
Restart=no
BindReadOnlyPaths=/srv/files/confined:/usr/bin/attestd
"""


def told(guest):
    lines = guest.must(f"cat {HERE}/confined.out; rm {HERE}/confined.out").splitlines()
    return dict(line.split(": ") for line in lines)


@pytest.fixture(scope="module")
def outside(installed):
    """What root can do without the sandbox, so that the refusals below are the sandbox's."""
    installed.must(f"mkdir -p {HERE} /run/attestd && cd {HERE} && /srv/files/confined --free")
    return told(installed)


@pytest.fixture(scope="module")
def inside(installed, outside):
    drop_in = "/run/systemd/system/attestd.service.d/confined.conf"
    installed.put(drop_in, DROP_IN)
    try:
        installed.must("systemctl daemon-reload && systemctl start attestd.service || { journalctl -n 30 -u attestd; exit 1; }")
        return told(installed)
    finally:
        installed.must(f"rm -r {drop_in} && systemctl daemon-reload && systemctl reset-failed")


def test_outside_the_sandbox_every_attempt_succeeds(outside):
    assert {what for what, result in outside.items() if result != "ok"} <= NOT_THERE


def test_the_sandbox_lets_through_what_attestd_needs(inside):
    assert {what: inside[what] for what in ALLOWED} == dict.fromkeys(ALLOWED, "ok")


def test_the_sandbox_refuses_everything_else(inside, outside, tell):
    assert inside.keys() == outside.keys()
    refused = {what: result for what, result in inside.items() if what not in ALLOWED}
    tell("refused: " + ", ".join(f"{what} ({result})" for what, result in refused.items()))
    assert {what for what, result in refused.items() if result == "ok"} == set()
