"""The enclave's image in the guest's place: from its sign of life to a document that is verified on the host.

What the emulator has not: the devices of a Nitro enclave are on virtio-mmio and found by the kernel's command line, here
they are on PCI; and its parent is at CID 3, here it is at CID 2."""

import json
import subprocess

import pytest
from enclave import Enclave
from machine import BUILD


@pytest.fixture(scope="module")
def enclave(machines):
    e = machines(cls=Enclave, ready="listening on vsock:8080")
    yield e
    e.end()


def host(*command, **how):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, **how)


def test_it_tells_the_parent_that_it_booted(enclave):
    assert enclave.heartbeats == [b"\xb7"]


def test_it_serves_health_over_vsock(enclave):
    r = host("curl", "-sS", "--max-time", 30, "--unix-socket", enclave.vsock_unix(8080), "http://enclave/health")
    assert json.loads(r.stdout)["status"] == "healthy", r
    assert json.loads(r.stdout)["nsm"] == "device"


def test_a_policy_made_by_the_build_verifies_on_the_host(enclave):
    """The simulator was told the PCRs that `make eif` printed, so this says nothing of whether these are the image's:
    tests/image computes them a second time."""
    ask = [BUILD / "attestd", "client", "--verify", "--to", f"unix:{enclave.vsock_unix(9000)}", "--root", enclave.root_pem]
    r = host(*ask, "--policy", enclave.measured)
    assert r.returncode == 0, r
    assert host(*ask, "--pcr", f"0={enclave.pcrs[1]}").returncode == 1
