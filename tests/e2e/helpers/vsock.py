"""The parent's side of the vsock JSON protocol, over the Unix socket that stands in for vsock.

A connection carries one request, ended by a newline or by the end of what is sent, and one reply: a line, after which the
server ends the stream.
"""

import json
import socket
import threading
import time
from pathlib import Path

from .server import PATIENCE

# Whoever is not tested for these does not meet them.
AMPLE = {"vsock_rate": 100000, "vsock_burst": 100000, "nsm_rate": 100000, "nsm_burst": 100000}


def settings(directory, **more):
    """The server's, for a socket in `directory`."""
    return {"vsock_listen": f"unix:{directory}/vs", **AMPLE, **more}


def only_once(pairs):
    assert len(pairs) == len(dict(pairs)), f"a member comes twice: {pairs}"
    return dict(pairs)


class Talk:
    """One connection."""

    def __init__(self, server, timeout=30):
        self.socket = server.connect(server.settings["vsock_listen"], timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """What the server no longer wants to hear is not sent."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def rest(self):
        """All bytes until the end of the stream. Where the server did not read all that it was sent, that may be a reset."""
        got = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return got
            if not more:
                return got
            got += more

    def reply(self):
        return read_reply(self.rest())


def read_reply(line):
    """A reply's value. It is one line, and an object that says whether it is a success; a failure says why, and no more."""
    assert line.endswith(b"\n") and line.count(b"\n") == 1, line
    reply = json.loads(line.decode(), object_pairs_hook=only_once)
    assert list(reply)[0] == "success" and type(reply["success"]) is bool, reply
    if not reply["success"]:
        assert set(reply) - {"available_commands"} == {"success", "error", "code"}, reply
        assert len(reply["error"]) > 10 and reply["code"].replace("_", "").islower(), reply
    return reply


def request(value=None, **members):
    """A request as bytes: bytes as they are, text in UTF-8, anything else as JSON; without its newline."""
    if value is None:
        value = members
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def ask(server, value=None, **members):
    """The reply to one request."""
    with Talk(server) as t:
        return t.send(request(value, **members) + b"\n").reply()


def good(server, value=None, **members):
    """The same, of a request that is to succeed."""
    reply = ask(server, value, **members)
    assert reply["success"] is True, reply
    return reply


def bad(server, value=None, code=None, **members):
    """The same, of one that is to fail."""
    reply = ask(server, value, **members)
    assert reply["success"] is False and code in (None, reply["code"]), reply
    return reply


def pongs(server):
    return good(server, command="ping")["message"] == "pong"


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def descriptors(server):
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


class Flood:
    """Threads that do the same again and again; a fault in one of them is raised at the end."""

    def __init__(self, threads, what):
        self.over, self.done, self.faults = threading.Event(), 0, []
        self.threads = [threading.Thread(target=self.run, args=(what,)) for _ in range(threads)]

    def run(self, what):
        try:
            while not self.over.is_set():
                what()
                self.done += 1
        except Exception as e:
            self.faults.append(e)

    def __enter__(self):
        for t in self.threads:
            t.start()
        until(lambda: self.done > 0 or self.faults)
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join()
        assert self.faults == [] and self.done > 0
