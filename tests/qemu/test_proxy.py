"""attestd-proxy.service and attestd-proxy.socket as they were installed, before attestd on a vsock port of the guest."""

import json

import pytest
from unit import Unit

UNIT, SOCKET = "attestd-proxy.service", "attestd-proxy.socket"
ENV = "/etc/attestd/proxy.env"
CAP_NET_BIND_SERVICE = 1 << 10
# The port that takes the capability, on loopback alone: where the socket unit listens as well.
SETTINGS = "BIND_ADDR=127.0.0.1:443\nENCLAVE_CID=1\nENCLAVE_PORT=8080\n"
HEALTH = "curl -sS -m 30 --fail-with-body http://127.0.0.1:443/health"


@pytest.fixture(scope="module")
def settings(installed):
    """Only this says what is carried."""
    u = Unit(installed)
    u.start(public_listen="vsock:8080")
    installed.must(f"cp -p {ENV} /run/proxy.env")
    installed.put(ENV, SETTINGS)
    yield
    installed.must(f"mv /run/proxy.env {ENV}")
    u.end()


@pytest.fixture
def proxy(installed, settings):
    """start(units) starts them; they end with the test."""
    yield lambda *units: installed.must(f"systemctl start {' '.join(units)} || {{ journalctl -n 30 -u {UNIT}; exit 1; }}")
    installed.must(f"systemctl stop {SOCKET} {UNIT}; systemctl reset-failed")


def test_the_unit_carries_to_the_enclave(installed, proxy):
    proxy(UNIT)
    assert [installed.show(what, UNIT) for what in ("ActiveState", "Type", "DynamicUser")] == ["active", "notify", "yes"]
    assert json.loads(installed.must(HEALTH))["nsm"] == "device"
    pid = installed.show("MainPID", UNIT)
    status = dict(line.split(":\t", 1) for line in installed.must(f"cat /proc/{pid}/status").splitlines())
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == CAP_NET_BIND_SERVICE
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2") and "0" not in status["Uid"].split()
    installed.must(f"systemctl stop {UNIT}")
    assert [installed.show(what, UNIT) for what in ("Result", "ExecMainStatus")] == ["success", "0"]


def test_the_socket_starts_it_and_takes_the_place_of_bind_addr(installed, proxy):
    proxy(SOCKET)
    assert installed.show("ActiveState", UNIT) == "inactive"
    assert json.loads(installed.must(HEALTH))["nsm"] == "device"
    # It would have failed to take the same port once more.
    assert [installed.show(what, UNIT) for what in ("ActiveState", "NRestarts")] == ["active", "0"]


def test_what_connects_while_it_starts_again_waits(installed, proxy):
    proxy(SOCKET, UNIT)
    pid = installed.show("MainPID", UNIT)
    installed.must(f"kill -9 {pid}")
    assert json.loads(installed.must(HEALTH))["nsm"] == "device"
    assert installed.show("MainPID", UNIT) != pid
