"""What a start needs of its surroundings: an NSM and descriptors."""

import subprocess
from pathlib import Path

import pytest
from helpers import Server
from helpers.start import refused, said_by

without_nsm = pytest.mark.skipif(Path("/dev/nsm").exists(), reason="there is an NSM here")


class Confined(Server):
    """A server whose hard limit of descriptors is a low one, as that of a kernel's first process."""

    LIMIT = ["prlimit", "--nofile=512:512"]

    def command(self):
        return [*self.LIMIT, *super().command()]


@pytest.fixture
def confined(tmp_path):
    made = Confined(tmp_path / "confined", settings={"max_connections": 512})
    yield made
    made.stop()


def limits_can_be_raised():
    done = subprocess.run([*Confined.LIMIT, "prlimit", "--nofile=1024:1024", "true"], capture_output=True)
    return done.returncode == 0


@without_nsm
def test_device_mode_refuses_to_start_without_the_device(make_server):
    server = make_server(start=False, nsm="device")
    said = refused(server)
    assert "attestd: /dev/nsm is missing: this is not a Nitro Enclave, or its kernel lacks the nsm driver" in said
    assert [p.name for p in server.directory.iterdir()] == ["stderr"], "neither a key nor a database is left behind"


@without_nsm
def test_auto_says_loudly_that_it_fell_back(make_server):
    server = make_server(start=False, nsm="auto")
    assert "THERE IS NO /dev/nsm" in said_by(server, server.start)
    assert server.get("/health").json()["nsm"] == "dummy"


def test_a_low_limit_of_descriptors_is_raised_or_named(confined):
    if limits_can_be_raised():
        limits = Path(f"/proc/{confined.start().pid}/limits").read_text()
        assert next(x for x in limits.splitlines() if x.startswith("Max open files")).split()[3:5] == ["640", "640"]
    else:
        assert "max_connections = 512 needs 640 file descriptors: raise the limit" in refused(confined)
