"""Plain HTTP on a socket, for requests that wrk does not send."""

import socket
from urllib.parse import urlsplit

from servers import Failed

BLOCK = 1 << 20


def connect(url, timeout=60):
    at = urlsplit(url)
    return socket.create_connection((at.hostname, at.port), timeout)


def receive(s, space, keep=True):
    """(status, header, body) of a reply; the body's length in place of the body unless it is to be kept."""
    got = b""
    while (end := got.find(b"\r\n\r\n")) < 0:
        n = s.recv_into(space)
        if n == 0:
            raise Failed(f"the server closed the connection after {got!r}")
        got += space[:n]
    header = got[:end].decode("latin-1")
    fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in header.split("\r\n")[1:])}
    want = int(fields["content-length"])
    body, have = [got[end + 4:]], len(got) - end - 4
    while have < want:
        n = s.recv_into(space, 0, 0 if keep else socket.MSG_TRUNC)  # which drops them in the kernel
        if n == 0:
            raise Failed(f"the server closed the connection after {have} of {want} bytes")
        have += n
        if keep:
            body.append(bytes(space[:n]))
    return int(header.split(" ", 2)[1]), fields, b"".join(body) if keep else have


def ask(url, request, s=None, keep=True, fine=(200,)):
    """(header, body) of the reply, whose status must be one of `fine` (None: any; then the status comes first)."""
    own = s or connect(url)
    try:
        own.sendall(request)
        status, header, body = receive(own, memoryview(bytearray(BLOCK)), keep)
    finally:
        if s is None:
            own.close()
    if fine is None:
        return status, header, body
    if status not in fine:
        raise Failed(f"status {status}: {body[:300] if keep else body}")
    return header, body
