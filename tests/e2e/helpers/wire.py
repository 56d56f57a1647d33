"""HTTP by hand: requests as bytes, replies out of bytes, connections that misbehave."""

import email.parser
import json
import re
import socket

from .server import Reply


def head(method="GET", target="/health", *lines, host="localhost", version="HTTP/1.1"):
    """A request's header as bytes. lines: str or bytes, without their line ends. host None: no Host line."""
    out = [f"{method} {target} {version}".encode() if isinstance(target, str) else
           method.encode() + b" " + target + b" " + version.encode()]
    if host is not None:
        out.append(f"Host: {host}".encode())
    out += [line.encode() if isinstance(line, str) else line for line in lines]
    return b"\r\n".join(out) + b"\r\n\r\n"


def post(target, body, *lines, **more):
    """A whole POST as bytes."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head("POST", target, "Content-Type: application/json", f"Content-Length: {len(body)}", *lines, **more) + body


def chunked(body, size):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


class Incomplete(Exception):
    """The bytes end before the reply does."""


def take_reply(data, method="GET"):
    """The first reply of the bytes, and the rest. Replies of ours always say their length."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise Incomplete(data)
    line, _, fields = data[:end].partition(b"\r\n")
    version, status = line.split(b" ")[:2]
    assert version == b"HTTP/1.1", line
    headers = email.parser.Parser().parsestr(fields.decode("latin-1"))
    rest = data[end + 4:]
    if status.startswith(b"1") or method == "HEAD":
        return Reply(int(status), headers, b""), rest
    n = int(headers["Content-Length"])
    if len(rest) < n:
        raise Incomplete(data)
    return Reply(int(status), headers, rest[:n]), rest[n:]


def all_replies(data):
    out = []
    while data:
        reply, data = take_reply(data)
        out.append(reply)
    return out


class Wire:
    """One connection, for sending bytes and taking replies one by one."""

    def __init__(self, server, at=None, timeout=30):
        self.socket = server.connect(at, timeout)
        self.got = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reply(self, method="GET"):
        while True:
            try:
                reply, self.got = take_reply(self.got, method)
                return reply
            except Incomplete:
                more = self.socket.recv(65536)
                assert more, f"the server closed after {self.got!r}"
                self.got += more

    def closed(self):
        """Waits for the end of the connection; what still came is an error."""
        try:
            more = self.socket.recv(65536)
        except ConnectionResetError:
            more = b""
        return self.got == b"" and more == b""


def metric(server, name, **labels):
    """The value of one metric."""
    text = server.get("/metrics").body.decode()
    inside = ",".join(f'{k}="{v}"' for k, v in labels.items())
    found = re.search(rf"^attestd_{name}{re.escape('{' + inside + '}') if inside else ''} (\S+)$", text, re.MULTILINE)
    assert found, (name, labels, text)
    return float(found[1])
