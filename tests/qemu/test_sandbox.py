"""The units with another program in attestd's place: what their sandboxes let through, and what they do not."""

import re

import pytest

# What a program in the sandbox has to reach.
ALLOWED = {
    "attestd.service": {"open /dev/nsm", "write here", "write /run/attestd/confined", "connect to loopback", "vsock socket"},
    "attestd-proxy.service": {"connect to loopback", "connect out", "bind to port 444", "vsock socket"},
}
SCORE_MAX = 2.0
# What even root cannot do in the guest, for want of it.
NOT_THERE = {"open /dev/mem", "open /dev/vsock"}
HERE = "/var/lib/attestd"
OUT = "/run/confined.out"

DROP_IN = f"""
[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
Restart=no
StandardOutput=truncate:{OUT}
BindReadOnlyPaths=/srv/files/confined:/usr/bin/attestd
"""


def told(guest):
    lines = guest.must(f"cat {OUT}; rm {OUT}").splitlines()
    return dict(line.split(": ") for line in lines)


@pytest.fixture(scope="module")
def outside(installed):
    """What root can do without the sandbox, so that the refusals below are the sandbox's."""
    installed.must(f"mkdir -p {HERE} /run/attestd && cd {HERE} && /srv/files/confined --free >{OUT}")
    return told(installed)


@pytest.fixture(scope="module", params=ALLOWED)
def unit(request):
    return request.param


@pytest.fixture(scope="module")
def inside(installed, outside, unit):
    drop_in = f"/run/systemd/system/{unit}.d/confined.conf"
    installed.put(drop_in, DROP_IN)
    try:
        installed.must(f"systemctl daemon-reload && systemctl start {unit} || {{ journalctl -n 30 -u {unit}; exit 1; }}")
        return told(installed)
    finally:
        installed.must(f"rm -r {drop_in} && systemctl daemon-reload && systemctl reset-failed")


def test_outside_the_sandbox_every_attempt_succeeds(outside):
    assert {what for what, result in outside.items() if result != "ok"} <= NOT_THERE


def test_systemd_scores_the_sandbox(installed, unit, tell):
    said = installed.must(f"systemd-analyze security --no-pager {unit} 2>&1 | tail -n 1")
    tell(said.strip())
    assert float(re.search(rf"exposure level for {re.escape(unit)}: ([\d.]+)", said)[1]) <= SCORE_MAX


def test_the_sandbox_lets_through_what_the_unit_needs(inside, unit):
    assert {what: inside[what] for what in ALLOWED[unit]} == dict.fromkeys(ALLOWED[unit], "ok")


def test_the_sandbox_refuses_everything_else(inside, outside, unit, tell):
    assert inside.keys() == outside.keys()
    refused = {what: result for what, result in inside.items() if what not in ALLOWED[unit]}
    tell(f"{unit} refused: " + ", ".join(f"{what} ({result})" for what, result in refused.items()))
    assert {what for what, result in refused.items() if result == "ok"} == set()
