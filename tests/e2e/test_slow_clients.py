"""Slow, idle and many clients: each is held to its time, and none of them holds up another."""

import json
import resource
import selectors
import socket
import statistics
import time
from pathlib import Path

import pytest
from helpers import UserSession, sanitized
from helpers.server import PATIENCE
from helpers.wire import Incomplete, Wire, head, metric, post, take_reply

JSON = "Content-Type: application/json"


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ended(s):
    """Has the server closed this connection? Replies that come meanwhile are thrown away."""
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def feed(s, data, every, limit):
    """Sends a byte every so many seconds until the server ends the connection; returns how long that took."""
    began = time.monotonic()
    for at in range(len(data)):
        try:
            s.send(data[at:at + 1])
        except ConnectionError:
            return time.monotonic() - began
        time.sleep(every)
        if ended(s):
            return time.monotonic() - began
        assert time.monotonic() - began < limit, "the server still waits"
    raise AssertionError("there were not enough bytes")


# ---- deadlines: absolute, so that trickling bytes buy no time ----

@pytest.mark.parametrize("at", ["the first byte", "the first header", "the second request line", "the second header",
                                "the body", "the chunks"])
def test_what_trickles_in_is_cut_off_at_its_deadline(make_server, at):
    settings = {"header_timeout": 60, "body_timeout": 60, "idle_timeout": 60, "reply_timeout": 60}
    # Until its first line is whole, the next request counts as not yet come.
    settings["idle_timeout" if "line" in at else "header_timeout" if "first" in at or "header" in at else "body_timeout"] = 1
    s = make_server(settings=settings)
    with Wire(s) as w:
        if at == "the first byte":
            began = time.monotonic()
            assert w.closed()
            took = time.monotonic() - began
        else:
            if "second" in at:
                assert w.send(head()).reply().status == 200
                w.send(b"GET / HTTP/1.1\r\nX: " if "header" in at else b"G")
            if at == "the body":
                w.send(head("POST", "/attestation", JSON, "Content-Length: 5000"))
            if at == "the chunks":
                w.send(head("POST", "/attestation", JSON, "Transfer-Encoding: chunked"))
            data = {"the body": b" " * 4999, "the chunks": b"1\r\n \r\n" * 1000}.get(at, b"GET /health?" + b"x" * 5000)
            took = feed(w.socket, data, 0.05, 10 * PATIENCE)
    assert 0.9 <= took
    assert metric(s, "http_timeouts_total") == 1
    assert metric(s, "http_inflight_bytes") == 0


def test_an_idle_connection_is_closed_after_idle_timeout(make_server):
    s = make_server(settings={"idle_timeout": 1, "header_timeout": 60})
    with Wire(s) as w:
        for _ in range(3):
            assert w.send(head()).reply().status == 200
            time.sleep(0.4)
        began = time.monotonic()
        assert w.closed()
        assert time.monotonic() - began < 10 * PATIENCE


def test_a_reply_that_is_not_taken_is_given_up(make_server):
    s = make_server(settings={"reply_timeout": 1})
    with Wire(s) as w:
        w.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        w.send(post("/attestation", {"custom_data": "x" * (8 << 20)}))
        w.socket.settimeout(20 * PATIENCE)
        began = time.monotonic()
        while metric(s, "http_timeouts_total") == 0:
            assert time.monotonic() - began < 20 * PATIENCE
            w.socket.recv(10)  # a reader so slow that it might as well not read
            time.sleep(0.1)
        assert time.monotonic() - began >= 0.9
    while metric(s, "http_inflight_bytes") > 0:
        assert time.monotonic() - began < 20 * PATIENCE
        time.sleep(0.01)


def test_deadlines_do_not_touch_who_keeps_them(make_server, user):
    """Each part of each request takes nearly its time, together they take more than any."""
    s = make_server(settings={"header_timeout": 3, "body_timeout": 3, "idle_timeout": 3, "reply_timeout": 3})
    session = UserSession(s, user)
    body = json.dumps(session.plain("x")).encode()
    with Wire(s) as w:
        for _ in range(2):
            time.sleep(0.8)
            w.send(b"POST ")
            time.sleep(0.8)
            w.send(head("", "/encrypt", JSON, f"Content-Length: {len(body)}")[1:])
            time.sleep(0.8)
            assert session.open(w.send(body).reply().json()) == "x"


# ---- clients that hang up: an end that comes together with the last bytes is easily missed ----

LONG = {"header_timeout": 60, "body_timeout": 60, "idle_timeout": 60, "drain_timeout": 60}


def test_a_client_that_half_closes_is_let_go_after_its_reply(make_server):
    s = make_server(settings=LONG)
    began = time.monotonic()
    for n in range(20):
        assert s.raw(head() * (1 + n % 3), half_close=True).count(b"HTTP/1.1 200 ") == 1 + n % 3
    assert time.monotonic() - began < 20 * PATIENCE
    assert metric(s, "http_timeouts_total") == 0


@pytest.mark.parametrize("left", ["in the first line", "in the header", "in the body", "in a chunk", "after a request"])
def test_a_client_that_goes_away_holds_nothing(make_server, left):
    s = make_server(settings=LONG)
    for _ in range(50):
        with Wire(s) as w:
            w.send({"in the first line": b"GET /hea", "in the header": b"GET /health HTTP/1.1\r\nHost: loc",
                    "in the body": post("/attestation", {"custom_data": "x" * 50_000})[:-1], "after a request": head(),
                    "in a chunk": head("POST", "/attestation", JSON, "Transfer-Encoding: chunked") + b"ffff\r\n123"}[left])
    began = time.monotonic()
    while metric(s, "http_connections", reach="local") > 1 or metric(s, "http_inflight_bytes") > 0:
        assert time.monotonic() - began < 20 * PATIENCE
        time.sleep(0.01)
    s.stop()  # and it delays no end
    assert time.monotonic() - began < 30 * PATIENCE


# ---- many of them ----

def slowest_health(server, seconds):
    """The longest that GET /health took, asked again and again on new connections."""
    worst, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert server.get("/health").status == 200
        worst = max(worst, time.monotonic() - began)
        time.sleep(0.02)
    return worst


def test_300_clients_that_send_a_byte_a_second_delay_nobody(make_server):
    s = make_server()
    data = post("/attestation", b" " * 100)
    slow = [s.connect() for _ in range(300)]
    for i, c in enumerate(slow):
        c.sendall(data[:i % len(data)])
    for n in range(3):
        for i, c in enumerate(slow):
            at = (i + n) % len(data)
            c.sendall(data[at:at + 1])
        assert slowest_health(s, 1) < PATIENCE
    assert not any(ended(c) for c in slow[:150])
    for c in slow:
        c.close()


def test_1000_idle_connections_delay_nobody(make_server):
    s = make_server()
    idle = [Wire(s) for _ in range(1000)]
    for w in idle[::2]:  # half of them idle before their first request, half after it
        w.send(head())
    for w in idle[::2]:
        assert w.reply().status == 200
    assert slowest_health(s, 2) < PATIENCE
    assert metric(s, "http_connections", reach="local") == 1001
    for w in idle[::7]:
        assert w.send(head()).reply().status == 200
    for w in idle:
        w.socket.close()


def test_1000_clients_that_declare_much_and_send_little_get_little_memory(make_server):
    """Room is made for what has come: what is only declared costs its sender nothing."""
    s = make_server(settings={"header_timeout": 60, "body_timeout": 60})

    def size():
        lines = Path(f"/proc/{s.pid}/status").read_text().splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith("VmSize")) << 10

    before = size()
    wires = [Wire(s).send(head("POST", "/encrypt", JSON, f"Content-Length: {64 << 20}") + b"{") for _ in range(1000)]
    until = time.monotonic() + 20 * PATIENCE
    while metric(s, "http_inflight_bytes") < 1000:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert size() - before < 1 << 30
    assert slowest_health(s, 1) < PATIENCE
    for w in wires:
        w.socket.close()
    assert slowest_health(s, 1) < PATIENCE, "letting go of them took long"


class Asker:
    """A kept-alive client that asks as soon as it was answered."""

    def __init__(self, server, request, rounds):
        self.socket = server.connect()
        self.socket.setblocking(False)
        self.request, self.left, self.got, self.times = request, rounds, b"", []
        self.ask()

    def ask(self):
        self.began = time.monotonic()
        assert self.socket.send(self.request) == len(self.request)

    def on_bytes(self):
        """True when done."""
        more = self.socket.recv(65536)
        assert more, "the server closed"
        self.got += more
        try:
            reply, self.got = take_reply(self.got)
        except Incomplete:
            return False
        assert reply.status == 200, reply
        self.times.append(time.monotonic() - self.began)
        self.left -= 1
        if self.left == 0:
            return True
        self.ask()
        return False


@pytest.mark.slow
@pytest.mark.parametrize("clients", [128, 256, 512])
@pytest.mark.parametrize("what", ["health", "encrypt", "mixed"])
def test_many_kept_alive_clients_progress_steadily(make_server, user, what, clients):
    rounds = 40 if not sanitized() else 5
    s = make_server(settings={"nsm_rate": 100000, "nsm_burst": 100000, "nsm_queue": 4096})
    session = UserSession(s, user)
    requests = {"health": [head()], "encrypt": [post("/encrypt", session.plain("x" * 256))],
                "mixed": [head(), post("/encrypt", session.plain("x")), head("GET", "/attestation?nonce=ab"),
                          post("/key-exchange", {"user_public_key": user.pem})]}[what]
    with selectors.DefaultSelector() as ready:
        askers = [Asker(s, requests[i % len(requests)], rounds) for i in range(clients)]
        for a in askers:
            ready.register(a.socket, selectors.EVENT_READ, a)
        busy, began = len(askers), time.monotonic()
        while busy > 0:
            events = ready.select(10 * PATIENCE)
            assert events, f"{busy} clients wait and nothing comes"
            for key, _ in events:
                if key.data.on_bytes():
                    ready.unregister(key.fileobj)
                    busy -= 1
        took = time.monotonic() - began
    for a in askers:
        a.socket.close()
    # Nobody is starved: the slowest single reply is within the time of a few rounds of everybody.
    slowest = max(t for a in askers for t in a.times)
    assert slowest < max(1, 10 * took / rounds), (slowest, took, statistics.median(t for a in askers for t in a.times))
    if what == "encrypt":
        assert s.post("/encrypt", session.plain("x")).json()["message_number"] == clients * rounds + 1
