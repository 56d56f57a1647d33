"""attestd as a child process, and plain HTTP to it: http.client for whole requests, sockets for broken ones."""

import http.client
import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
BUILD = TOP / os.environ.get("ATTESTD_BUILD", "build")
RUNNER = shlex.split(os.environ.get("ATTESTD_RUNNER", ""))
# The server takes every ATTESTD_* for a setting, and these.
SETTINGS = ("ATTESTD_", "USE_TLS", "TLS_CERT_PATH", "TLS_KEY_PATH", "ENCLAVE_KEY_BASE64")
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}

# A sanitizer slows a server down, valgrind does so by far more.
PATIENCE = 20 if "valgrind" in RUNNER else 4 if BUILD.name in ("build-asan", "build-tsan") else 1

REPORTS = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error: |^==\d+== (?!Warning: )", re.MULTILINE
)
LISTENERS = ("public_listen", "vsock_listen", "tls_listen", "peer_listen", "peer_tls_listen")  # beside `listen`
LISTENING = re.compile(r"\blistening on (\S+)$", re.MULTILINE)


def clean_environment():
    """Ours without what the server would read as its configuration."""
    return dict(ENVIRONMENT)


def sanitized():
    """Is the server slowed down by a sanitizer or valgrind? Tests of speed then have nothing to say."""
    return PATIENCE > 1


def any_certificate():
    """For a client that believes whatever certificate the server shows: what it is worth is attested."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class UnixHTTPConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class UnixHTTPSConnection(UnixHTTPConnection):
    def __init__(self, path, timeout, context):
        super().__init__(path, timeout)
        self.context = context

    def connect(self):
        super().connect()
        self.sock = self.context.wrap_socket(self.sock)


class Reply:
    """A reply, read to its end."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # email.message.Message: case-insensitive, get_all()
        self.body = body

    @property
    def type(self):
        return (self.headers["Content-Type"] or "").split(";")[0].strip()

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The problem's stable code, or None if this is no problem document."""
        return self.json()["code"] if self.type == "application/problem+json" else None

    def __repr__(self):
        return f"<Reply {self.status} {self.body[:300]!r}>"


class Server:
    """One attestd. `directory` holds its database, its key and its stderr; it survives stop, kill and restart.

    settings: config keys for --set. args: further arguments. env: additions to the environment.
    After start(), `listening` has the addresses in the order printed: "http://127.0.0.1:1234", "unix:/path".
    `local`, `public` and `tls` are those of `listen`, `public_listen` and `tls_listen`.
    """

    def __init__(self, directory, *, listen="127.0.0.1:0", nsm="dummy", settings=None, args=(), env=None, cwd=None):
        self.directory = Path(directory)
        self.listen = listen
        self.nsm = nsm
        self.settings = dict(settings or {})
        self.args = list(args)
        self.env = dict(env or {})
        self.cwd = cwd  # what relative paths in its settings begin at
        self.process = None
        self.listening = []
        self.expect_status = 0  # what stop() and the fixtures' teardown require

    # ---- life ----

    @property
    def db(self):
        return self.directory / "s.db"

    def command(self):
        if self.settings.get("tls_listen"):
            self.settings.setdefault("private_data_db", self.directory / "private.db")
        sets = [f"--set={k}={v}" for k, v in self.settings.items()]
        usual = {"--listen": self.listen, "--db": str(self.db), "--nsm": self.nsm}
        flags = [x for flag, value in usual.items() if flag not in self.args for x in (flag, value)]
        return [*RUNNER, str(BUILD / "attestd"), "serve", *flags, *sets, *self.args]

    def spawn(self):
        """Starts the process without waiting for anything."""
        assert self.process is None
        self.directory.mkdir(parents=True, exist_ok=True)
        self.mark = len(self.stderr)
        with open(self.directory / "stderr", "ab") as err:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                            env={**ENVIRONMENT, **self.env}, cwd=self.cwd)
        return self

    def start(self):
        """Starts the process and waits until all listeners are announced."""
        self.spawn()
        listeners = 1 + sum(bool(self.settings.get(key)) for key in LISTENERS)
        deadline = time.monotonic() + 10 * PATIENCE
        while True:
            self.listening = LISTENING.findall(self.stderr[self.mark:])
            if len(self.listening) >= listeners:
                return self
            if self.process.poll() is not None:
                self.process = None
                raise AssertionError(f"the server ended before it listened:\n{self.stderr}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server does not listen:\n{self.stderr}")
            time.sleep(0.003)

    def wait(self, timeout=30):
        """Waits for the process's own end; returns its exit status."""
        try:
            return self.process.wait(timeout * PATIENCE)
        finally:
            if self.process.poll() is not None:
                self.process = None

    def send_signal(self, signo):
        self.process.send_signal(signo)

    def stop(self, signo=signal.SIGTERM):
        """Ends the server as systemd would; its exit status and its stderr must be those of a sound server."""
        if self.process is None:
            return
        self.send_signal(signo)
        try:
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server does not stop:\n{self.stderr}") from None
        self.check()
        assert status == self.expect_status, f"exit status {status}:\n{self.stderr}"

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def check(self):
        """No sanitizer has anything to say."""
        report = REPORTS.search(self.stderr)
        assert report is None, self.stderr[max(0, report.start() - 2000):report.start() + 8000]

    @property
    def pid(self):
        return self.process.pid

    @property
    def stderr(self):
        """Everything that this server has said since it was made, over all its starts."""
        try:
            return (self.directory / "stderr").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    # ---- addresses ----

    @property
    def local(self):
        return self.listening[0]

    @property
    def public(self):
        return self.listening[1]

    def listener(self, key):
        """The address of the listener of that key."""
        return self.listening[sum(bool(self.settings.get(before)) for before in LISTENERS[:LISTENERS.index(key)]) + 1]

    @property
    def tls(self):
        return self.listener("tls_listen")

    def speaks_tls(self, at):
        return any(self.settings.get(key) and at == self.listener(key) for key in ("tls_listen", "peer_tls_listen"))

    @property
    def port(self):
        return int(self.local.rsplit(":", 1)[1])

    def _target(self, at):
        at = at or self.local
        if at.startswith("unix:"):
            return at[5:]
        host, port = at.split("//", 1)[1].rsplit(":", 1)
        return host.strip("[]"), int(port)

    # ---- talking ----

    def http(self, at=None, timeout=30, context=None):
        """A kept-alive http.client connection; at: an address of `listening`, the local one if not given. context: of a
        TLS listener, any_certificate() if not given."""
        target = self._target(at)
        if at is not None and self.speaks_tls(at):
            context = context or any_certificate()
            if isinstance(target, str):
                return UnixHTTPSConnection(target, timeout * PATIENCE, context)
            return http.client.HTTPSConnection(*target, timeout=timeout * PATIENCE, context=context)
        if isinstance(target, str):
            return UnixHTTPConnection(target, timeout * PATIENCE)
        return http.client.HTTPConnection(*target, timeout=timeout * PATIENCE)

    def request(self, method, path, body=None, *, headers=None, at=None, connection=None, timeout=30):
        """One request. body: bytes or str as they are, anything else as JSON (and None for no body). Content-Type is
        application/json for bodies unless `headers` says otherwise; a header whose value is None is left out."""
        send = dict(headers or {})
        if body is not None:
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if isinstance(body, str):
                body = body.encode()
            if not any(name.lower() == "content-type" for name in send):
                send["Content-Type"] = "application/json"
        send = {name: value for name, value in send.items() if value is not None}
        c = connection or self.http(at, timeout)
        try:
            c.request(method, path, body, send)
            r = c.getresponse()
            return Reply(r.status, r.headers, r.read())
        finally:
            if connection is None:
                c.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def connect(self, at=None, timeout=30):
        """A connected socket."""
        target = self._target(at)
        s = socket.socket(socket.AF_UNIX if isinstance(target, str) else
                          socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(timeout * PATIENCE)
        s.connect(target)
        return s

    def raw(self, data, *, at=None, half_close=False, timeout=30):
        """Sends the bytes on a new connection and returns all that comes until the server closes it. Data should ask for
        `Connection: close`, or half_close be True."""
        with self.connect(at, timeout) as s:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
            got = b""
            while True:
                try:
                    more = s.recv(65536)
                except ConnectionResetError:
                    return got
                if not more:
                    return got
                got += more
