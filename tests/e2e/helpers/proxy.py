"""`attestd proxy` as a child process, and both ends of what it carries."""

import os
import re
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from .activation import launched
from .server import BUILD, ENVIRONMENT, PATIENCE, REPORTS, RUNNER

LISTENING = re.compile(r"^listening on (\S+) -> (\S+)$", re.MULTILINE)
OWN = {"BIND_ADDR", "ENCLAVE_CID", "ENCLAVE_PORT"}
RESET, END = "reset", "end"


def poll(condition, seconds=30, what="it never became true"):
    """What condition() gives once it is true."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
    return result


# ---- the ends ----

def _plain(address):
    """(family, what Python's socket module calls an address) of "tcp:HOST:PORT" or "unix:PATH"."""
    kind, rest = address.split(":", 1)
    if kind == "unix":
        return socket.AF_UNIX, rest
    host, port = rest.rsplit(":", 1)
    return (socket.AF_INET6, (host.strip("[]"), int(port))) if host[0] == "[" else (socket.AF_INET, (host, int(port)))


def connect(address, *, timeout=30, source=None, buffers=None):
    family, plain = _plain(address)
    s = socket.socket(family)
    s.settimeout(timeout * PATIENCE)
    if buffers:
        small(s, buffers)
    if source:
        s.bind((source, 0))
    s.connect(plain)
    return s


def small(s, size):
    """Sets the kernel's buffers of a socket, which otherwise grow to megabytes."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


class Far:
    """What the proxy connects to: a listening socket at `address`."""

    def __init__(self, address="tcp:127.0.0.1:0", buffers=None):
        family, plain = _plain(address)
        self.socket = socket.socket(family)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.settimeout(30 * PATIENCE)
        if buffers:
            small(self.socket, buffers)
        self.socket.bind(plain)
        self.socket.listen(4096)
        name = self.socket.getsockname()
        self.address = address if family == socket.AF_UNIX else "tcp:%s:%d" % name[:2]

    def accept(self):
        s, _ = self.socket.accept()
        s.settimeout(30 * PATIENCE)
        return s

    def close(self):
        self.socket.close()
        if self.address.startswith("unix:"):
            os.unlink(self.address[5:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read(s, n):
    """Exactly n bytes."""
    got = b""
    while len(got) < n:
        more = s.recv(n - len(got))
        assert more, f"the stream ended after {len(got)} of {n} bytes"
        got += more
    return got


def rest(s):
    """All that still comes, and whether it ended as it should: (bytes, END or RESET)."""
    got = b""
    while True:
        try:
            more = s.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return got, RESET
        if not more:
            return got, END
        got += more


def reset(s):
    """Closes a TCP connection by a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def talk(a, b):
    """Both hear each other."""
    for x, y, text in ((a, b, b"there"), (b, a, b"and back")):
        x.sendall(text)
        assert read(y, len(text)) == text


def nowhere():
    """An address on which nothing listens. (Somebody else may take it; nobody here does.)"""
    with Far() as far:
        return far.address


# ---- the proxy ----

class Proxy:
    """One attestd proxy. pairs: (listen, to) addresses; args: further options; env: additions to the environment;
    sockets: those that the service manager passes, each `name=/path` or `name=host:port`.

    After start(), `listening` has the addresses that it takes connections at, `targets` those that they go to.
    """

    def __init__(self, directory, *pairs, args=(), env=None, sockets=(), announced=None):
        self.directory = Path(directory)
        self.args = [x for listen, to in pairs for x in ("--listen", listen, "--to", to)] + [str(x) for x in args]
        self.env = dict(env or {})
        self.sockets = list(sockets)
        self.announced = announced or len(pairs) or 1
        self.process = None
        self.listening, self.targets = [], []

    def command(self):
        plain = [*RUNNER, str(BUILD / "attestd"), "proxy", *self.args]
        return launched(self.sockets, plain) if self.sockets else plain

    def spawn(self):
        """Starts the process without waiting for anything."""
        assert self.process is None
        self.directory.mkdir(parents=True, exist_ok=True)
        self.mark = len(self.stderr)
        usual = {k: v for k, v in ENVIRONMENT.items() if k not in OWN}
        with open(self.directory / "stderr", "ab") as err:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                            env={**usual, **self.env})
        return self

    def start(self):
        self.spawn()

        def ready():
            found = LISTENING.findall(self.stderr[self.mark:])
            assert self.process.poll() is None, f"the proxy ended before it listened:\n{self.stderr}"
            return found if len(found) >= self.announced else None

        found = poll(ready, 10, "the proxy does not listen")
        self.listening, self.targets = [list(x) for x in zip(*found)]
        return self

    def wait(self, timeout=30):
        status = self.process.wait(timeout * PATIENCE)
        self.process = None
        return status

    def send_signal(self, signo):
        self.process.send_signal(signo)

    def stop(self, signo=signal.SIGTERM):
        """Ends it; twice the signal, so that it waits for no connection. Its stderr must be that of a sound one."""
        if self.process is None:
            return
        self.send_signal(signo)
        poll(lambda: self.process.poll() is not None or "stopping" in self.stderr[self.mark:], what="it does not stop")
        if self.process.poll() is None:
            self.send_signal(signo)
        status = self.wait()
        assert REPORTS.search(self.stderr) is None, self.stderr
        assert status == 0, f"exit status {status}:\n{self.stderr}"

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def pid(self):
        return self.process.pid

    @property
    def stderr(self):
        try:
            return (self.directory / "stderr").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    @property
    def at(self):
        return self.listening[0]

    # ---- what it holds ----

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self, what="VmRSS"):
        """In KiB; what: VmRSS or VmHWM."""
        return int(re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)[1])

    def counters(self):
        """What it logs when it gets SIGUSR1, as numbers."""
        mark = len(self.stderr)
        self.send_signal(signal.SIGUSR1)
        line = poll(lambda: re.search(r"^.* counters (.*)\n", self.stderr[mark:], re.MULTILINE), what="no counters are logged")
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line[1])}
