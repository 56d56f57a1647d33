"""`attestd simulate` as a child process, and its socket's protocol."""

import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import cbor2

from .document import Document
from .server import BUILD, ENVIRONMENT, PATIENCE, REPORTS, RUNNER


class Simulator:
    """A software NSM. `path` is its socket, `nsm` the back end that names it (for Server and --nsm), `root` the file
    that holds its root certificate (PEM). args: more flags, as "--debug-mode". After start() it takes connections."""

    def __init__(self, directory, *args, env=None):
        self.directory = Path(directory)
        self.args = list(args)
        self.env = dict(env or {})
        self.short = Path(tempfile.mkdtemp(prefix="nsm-"))  # a socket's path has at most 107 bytes
        self.path = self.short / "socket"
        self.root = self.directory / "root.pem"
        self.process = None

    @property
    def nsm(self):
        return f"socket:{self.path}"

    @property
    def stderr(self):
        try:
            return (self.directory / "stderr").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def command(self):
        return [*RUNNER, str(BUILD / "attestd"), "simulate", "--socket", str(self.path), "--root-out", str(self.root),
                *self.args]

    def spawn(self):
        """Starts the process without waiting for anything."""
        assert self.process is None
        self.directory.mkdir(parents=True, exist_ok=True)
        self.mark = len(self.stderr)
        with open(self.directory / "stderr", "ab") as err:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                            env={**ENVIRONMENT, **self.env})
        return self

    def start(self):
        self.spawn()
        deadline = time.monotonic() + 10 * PATIENCE
        while f"listening on unix:{self.path}\n" not in self.stderr[self.mark:]:
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the simulator {'ended' if ended else 'does not listen'}:\n{self.stderr}")
            time.sleep(0.003)
        return self

    def stop(self, signo=signal.SIGTERM):
        """Ends it; its exit status and its stderr must be those of a sound one."""
        if self.process is not None:
            self.process.send_signal(signo)
            try:
                status = self.process.wait(30 * PATIENCE)
            finally:
                self.kill()
            assert REPORTS.search(self.stderr) is None, self.stderr
            assert status == 0, f"exit status {status}:\n{self.stderr}"
            assert not self.path.exists(), "its socket is removed"

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self):
        """To be called last."""
        shutil.rmtree(self.short, ignore_errors=True)

    # ---- talking ----

    def connect(self, timeout=30):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout * PATIENCE)
        s.connect(str(self.path))
        return s

    def ask(self, request, connection=None):
        """One request as a Python value; the reply as one."""
        return cbor2.loads(self.ask_raw(cbor2.dumps(request), connection))

    def ask_raw(self, request, connection=None):
        s = connection or self.connect()
        try:
            s.sendall(struct.pack(">I", len(request)) + request)
            return receive(s)
        finally:
            if connection is None:
                s.close()

    def document(self, user_data=None, nonce=None, public_key=None, *, sound=True):
        """An attestation document, which openssl's command line agrees on unless it is not to be sound."""
        reply = self.ask({"Attestation": {"user_data": user_data, "nonce": nonce, "public_key": public_key}})
        assert set(reply) == {"Attestation"} and set(reply["Attestation"]) == {"document"}, reply
        made = reply["Attestation"]["document"]
        if sound:
            Document(made).check_by_openssl(self.root)
        return made


def exactly(s, n):
    got = b""
    while len(got) < n:
        more = s.recv(n - len(got))
        assert more, f"the connection ended after {len(got)} of {n} bytes"
        got += more
    return got


def receive(s):
    """A reply's bytes."""
    return exactly(s, struct.unpack(">I", exactly(s, 4))[0])
