"""Who stands between a command and the server: the relay of tests/demo, one that changes what it hands on, one that refuses."""

import json
import sys

from .server import TOP

sys.path.insert(0, str(TOP / "tests" / "demo"))

from relay import Relay, SwapKeys, rescoped  # noqa: E402, F401


def _same(method, path, body):
    return body


def changed(**members):
    """Changes members of a body, for Liar."""
    return lambda method, path, body: json.dumps({**json.loads(body), **members}).encode()


class Liar(Relay):
    """Hands on what `request` and `reply` make of a body; each gets the method, the path and the body."""

    def __init__(self, server, request=_same, reply=_same):
        super().__init__(server)
        self.request, self.reply = request, reply

    def take(self, method, path, body):
        status, kind, data = self.forward(method, path, self.request(method, path, body))
        return status, kind, self.reply(method, path, data)


class Refusing(Relay):
    """Answers everything with this status, and hands on nothing."""

    def __init__(self, status, detail):
        super().__init__(None)
        problem = {"title": "Refused", "status": status, "detail": detail, "code": "refused"}
        self.answer = status, "application/problem+json", json.dumps(problem).encode()

    def take(self, method, path, body):
        return self.answer
