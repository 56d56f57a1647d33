"""The enclave's image in the guest's place: from its sign of life to a document that is verified on the host.

What the emulator has not: the devices of a Nitro enclave are on virtio-mmio and found by the kernel's command line, here
they are on PCI; and its parent is at CID 3, here it is at CID 2."""

import json
import os
import re
import shutil
import subprocess

import pytest
from enclave import Enclave
from machine import BUILD, CACHE, ROOT, wait_for


START = """attestd /usr/bin/attestd serve --config /etc/attestd/attestd.conf --nsm device
agent /opt/agent
"""


@pytest.fixture(scope="module")
def overlaid(tmp_path_factory):
    """An image with an agent of ours beside attestd."""
    d = tmp_path_factory.mktemp("image")
    for path in ("overlay/opt", "overlay/etc/attestd"):
        (d / path).mkdir(parents=True)
    shutil.copy(BUILD / "qemu/probes/agent", d / "overlay/opt/agent")
    (d / "overlay/etc/attestd/start").write_text(START)
    make = ["make", "-s", "eif-all", f"B={d}", f"OVERLAY={d}/overlay", f"ENCLAVE={BUILD}-enclave/attestd", f"CACHE={CACHE}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(make, cwd=ROOT, env=env, check=True, capture_output=True)
    return d / "attestd.eif"


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


def test_an_agent_that_was_taken_over_reaches_neither_nsm_nor_keys_and_keeps_the_end_from_nobody(machines, overlaid):
    e = machines(overlaid, "agent", cls=Enclave, ready="agent: nsm ")
    told = wait_for("the agent's line", 30, lambda: re.search(r"agent: (.*)\n", e.console()))[1]
    assert told == "nsm EACCES, kek EACCES, first process ENOENT, console EPERM, processes 512"
    # It stops the console and ends; the enclave has to end as well, though its last words cannot be written.
    wait_for("end of the enclave", 60, lambda: e.children["qemu"].poll() is not None)
    e.end()
