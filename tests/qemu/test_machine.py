"""The guest is what it says: Linux's own nsm driver and vsock, under systemd, with the host within reach."""

import hashlib
import os
import threading
from contextlib import contextmanager

import pytest

# Sends a line to port 7001 of CID 2 and no more, then says what comes back.
HALF_CLOSING = """
use Socket;
socket(my $s, 40, SOCK_STREAM, 0) or die "socket: $!";
connect($s, pack("SSLLL", 40, 0, 7001, 2, 0)) or die "connect: $!\\n";
syswrite($s, "from-guest\\n");
shutdown($s, 1);
local $/;
print scalar <$s>;
"""


@contextmanager
def listening(guest, unit, port, command):
    """A port of the guest where this command gets each connection as its stdin and stdout."""
    guest.must(f"systemd-run -q --unit {unit} systemd-socket-activate -l vsock::{port} --inetd -a {command}")
    try:
        guest.until(f"journalctl -u {unit} | grep -q Listening")
        yield port
    finally:
        guest.must(f"systemctl stop {unit}")


@pytest.fixture(scope="module")
def echo(guest):
    """A port of the guest that gives back what it gets."""
    with listening(guest, "echo", 7002, "cat") as port:
        yield port


def in_background(task):
    said = []
    t = threading.Thread(target=lambda: said.append(task()))
    t.start()
    return lambda: t.join() or said[0]


def everything(s):
    data = b""
    while more := s.recv(65536):
        data += more
    return data


def test_the_driver_of_dev_nsm_is_linux_own(guest):
    nsm = "/sys/bus/virtio/drivers/nsm"
    assert guest.must(f"cat {nsm}/virtio*/device") == "0x0021\n"
    assert guest.must(f"basename $(readlink -f {nsm}/module)") == "nsm\n"
    assert guest.must("stat -c %F /dev/nsm") == "character special file\n"


def test_the_kernels_generator_has_the_nsm(guest):
    assert "nsm-hwrng" in guest.must("cat /sys/class/misc/hw_random/rng_available")


def test_systemd_is_the_first_process(guest):
    assert guest.must("cat /proc/1/comm") == "systemd\n"


def test_the_installed_program_reaches_the_nsm(installed):
    assert "module id:  i-" in installed.must("attestd nsm --nsm device describe")
    assert b"\x6bDescribeNSM" in installed.nsm.log


def test_the_host_dials_the_guest(guest, echo):
    data = os.urandom(1 << 20)
    with guest.dial(echo, timeout=60) as s:
        sent = in_background(lambda: s.sendall(data) or s.shutdown(1))
        assert hashlib.sha256(everything(s)).digest() == hashlib.sha256(data).digest()
        sent()


def test_a_guest_that_does_not_read_holds_the_host_back(guest):
    with listening(guest, "deaf", 7003, "sleep 100") as port, guest.dial(port, timeout=2) as s, pytest.raises(TimeoutError):
        for _ in range(100):
            s.sendall(bytes(65536))


def test_the_guest_dials_the_host(guest):
    with guest.on_host(7001) as listener:
        listener.settimeout(30)
        said = in_background(lambda: guest.must("perl -", stdin=HALF_CLOSING))
        s, _ = listener.accept()
        with s:
            s.settimeout(30)
            assert everything(s) == b"from-guest\n"
            s.sendall(b"from-host")
        assert said() == "from-host"


def test_a_port_that_nobody_listens_on_refuses(guest):
    with pytest.raises(ConnectionRefusedError):
        guest.dial(7004)
    r = guest.run("perl -", stdin=HALF_CLOSING)
    assert (r.rc, r.err) != (0, "") and "connect: Connection reset by peer" in r.err


def test_scripts_come_back_with_all_they_said(guest):
    r = guest.run("cat; echo wrong >&2; exit 7", stdin=b"x" * 300000)
    assert (r.rc, len(r.out), r.err) == (7, 300000, "wrong\n")
    assert guest.run("sleep 100", timeout=1).rc == 124


def test_scripts_run_side_by_side(guest):
    tasks = [in_background(lambda i=i: guest.must(f"echo {i}")) for i in range(8)]
    assert [task() for task in tasks] == [f"{i}\n" for i in range(8)]
