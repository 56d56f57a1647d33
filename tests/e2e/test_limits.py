"""Every cap at its limit and one past it; what outsiders use up is never what local callers need."""

import http.client
import json
import time

import pytest
from helpers import Server, User, UserSession
from helpers.wire import Wire, chunked, head, metric, post

JSON = "Content-Type: application/json"
PUBLIC_BODY = 65536
MAX_BODY = 100_000
DISCARD = 1 << 20  # beyond max_body: so much of a body is read so that its sender sees the refusal


def until(condition, seconds=20):
    """Waits for what the server does a moment after its client did something."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def answers(server):
    try:
        return server.get("/health").status == 200
    except (ConnectionError, http.client.HTTPException):  # refused before the request was sent
        return False


def hold(server, held):
    """Opens one more connection that lasts, if there is room."""
    w = Wire(server)
    try:
        if w.send(head()).reply().status == 200:
            held.append(w)
            return True
    except (ConnectionError, AssertionError):
        pass
    w.socket.close()
    return False


def body_of(n):
    """A good body for POST /attestation of exactly n bytes."""
    body = b'{"custom_data":"%s"}' % (b"x" * (n - 18))
    assert len(body) == n
    return body


def key_exchange_of(n, pem):
    """A good body for POST /key-exchange of exactly n bytes: JSON's white space fills it up."""
    body = json.dumps({"user_public_key": pem}).encode()
    return body[:-1] + b" " * (n - len(body)) + b"}"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    directory = tmp_path_factory.mktemp("small")
    s = Server(directory, settings={"max_body": MAX_BODY, "public_listen": f"unix:{directory}/p", "nsm_rate": 100000,
                                    "nsm_burst": 100000}).start()
    yield s
    s.stop()


# ---- one body ----

def sent(w, server, path, body, framing, at=None):
    """Over w; or, chunked, over a connection of its own: such a request is the last one there."""
    if framing == "length":
        return w.send(post(path, body)).reply()
    size = 1000 if framing == "chunks" else len(body)
    with Wire(server, at) as own:
        reply = own.send(head("POST", path, JSON, "Transfer-Encoding: chunked") + chunked(body, size)).reply()
        assert own.closed()
    return reply


@pytest.mark.parametrize("framing", ["length", "chunks", "one chunk"])
def test_a_body_at_the_limit_and_one_past_it(small, framing):
    with Wire(small) as w:
        def send(body):
            return sent(w, small, "/attestation", body, framing)

        assert send(body_of(MAX_BODY)).status == 200
        reply = send(body_of(MAX_BODY + 1))
        assert (reply.status, reply.code) == (413, "body_too_large")
        assert str(MAX_BODY) in reply.json()["detail"]
        assert send(body_of(MAX_BODY + DISCARD // 2)).status == 413
        assert send(body_of(20)).status == 200  # with a length, on the same connection: it was worth keeping
    until(lambda: metric(small, "http_inflight_bytes") == 0)


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_public_body_at_the_limit_and_one_past_it(small, user, framing):
    with Wire(small, small.public) as w:
        def send(body):
            return sent(w, small, "/key-exchange", body, framing, small.public)

        assert send(key_exchange_of(PUBLIC_BODY, user.pem)).status == 200
        reply = send(key_exchange_of(PUBLIC_BODY + 1, user.pem))
        assert (reply.status, reply.code) == (413, "body_too_large")
        assert send(key_exchange_of(2000, user.pem)).status == 200
    # The same body is no longer too long for a local caller.
    assert small.post("/key-exchange", key_exchange_of(PUBLIC_BODY + 1, user.pem)).status == 200


def test_a_body_beyond_reading_is_refused_at_once(small):
    with Wire(small) as w:
        w.send(head("POST", "/attestation", JSON, f"Content-Length: {MAX_BODY + DISCARD + 1}"))
        reply = w.reply()  # before a byte of the body was sent
        assert (reply.status, reply.code, reply.headers["Connection"]) == (413, "body_too_large", "close")
        assert w.closed()


def test_a_chunked_body_that_runs_on_is_cut_off(small):
    with Wire(small) as w, pytest.raises((BrokenPipeError, ConnectionResetError)):
        w.send(head("POST", "/attestation", JSON, "Transfer-Encoding: chunked"))
        for _ in range(100):
            w.send(b"10000\r\n%s\r\n" % (b"x" * 65536))
            time.sleep(0.001)
    until(lambda: metric(small, "http_inflight_bytes") == 0)


# ---- all bodies ----

def test_bodies_in_flight(make_server):
    s = make_server(settings={"max_body": 131072, "max_inflight": 131072})
    first = body_of(131072)
    with Wire(s) as a, Wire(s) as b:
        a.send(head("POST", "/attestation", JSON, "Content-Length: 131072")).send(first[:100_000])
        until(lambda: metric(s, "http_inflight_bytes") == 100_000)
        reply = b.send(post("/attestation", body_of(31_073))).reply()
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "too_many_body_bytes", "1")
        assert s.get("/health").status == 200
        assert b.send(post("/attestation", body_of(31_072))).reply().status == 200  # what is left, to the byte
        assert a.send(first[100_000:]).reply().status == 200
        until(lambda: metric(s, "http_inflight_bytes") == 0)
        assert b.send(post("/attestation", first)).reply().status == 200
    with Wire(s) as a:
        a.send(head("POST", "/attestation", JSON, "Content-Length: 131072")).send(first[:100_000])
        until(lambda: metric(s, "http_inflight_bytes") == 100_000)
    until(lambda: metric(s, "http_inflight_bytes") == 0)  # a client that went away holds nothing


def test_public_bodies_leave_room_for_local_ones(make_server, tmp_path, user):
    s = make_server(settings={"max_body": 131072, "max_inflight": 262144, "public_inflight": 65536,
                              "public_listen": f"unix:{tmp_path}/p"})
    with Wire(s, s.public) as a, Wire(s, s.public) as b:
        body = key_exchange_of(60_000, user.pem)
        a.send(head("POST", "/key-exchange", JSON, "Content-Length: 60000")).send(body[:59_999])
        until(lambda: metric(s, "http_inflight_bytes") == 59_999)
        reply = b.send(post("/key-exchange", key_exchange_of(5538, user.pem))).reply()
        assert (reply.status, reply.code) == (503, "too_many_body_bytes")
        assert b.send(post("/key-exchange", key_exchange_of(5537, user.pem))).reply().status == 200
        assert s.post("/attestation", body_of(131072)).status == 200
        assert a.send(body[59_999:]).reply().status == 200
    until(lambda: metric(s, "http_inflight_bytes") == 0)


@pytest.mark.parametrize("how", ["refused", "answered late", "gone meanwhile"])
def test_nothing_stays_in_flight(small, user, how):
    session = UserSession(small, user)
    for _ in range(20):
        with Wire(small) as w:
            if how == "refused":
                assert w.send(post("/encrypt", b"[" * 50_000)).reply().status == 422
            elif how == "answered late":
                assert w.send(post("/key-exchange", {"user_public_key": user.pem})).reply().status == 200
            else:
                w.send(post("/encrypt", session.plain("x" * 90_000)))
                w.send(post("/key-exchange", {"user_public_key": user.pem}))
    until(lambda: metric(small, "http_inflight_bytes") == 0)
    until(lambda: metric(small, "http_connections", reach="local") == 1)


# ---- connections ----

def test_connections_are_capped_with_a_reserve_for_local_callers(make_server, tmp_path):
    s = make_server(settings={"max_connections": 10, "public_connections": 4, "public_listen": f"unix:{tmp_path}/p"})
    held = [Wire(s, s.public) for _ in range(4)]
    for w in held:
        assert w.send(head()).reply().status == 200
    for _ in range(3):
        with Wire(s, s.public) as w:
            reply = w.reply()  # nothing had to be asked
            assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "too_many_connections", "1")
            assert w.closed()
    assert metric(s, "http_connections_refused_total", reach="public") == 3
    for _ in range(6):
        until(lambda: hold(s, held))  # that of the metrics may still be open
    for w in held:
        assert w.send(head()).reply().status == 200
    with Wire(s) as w:
        reply = w.reply()
        assert (reply.status, reply.code) == (503, "too_many_connections")
    for w in held[4:]:
        w.socket.close()
    until(lambda: answers(s))
    assert metric(s, "http_connections_refused_total", reach="local") >= 1
    for w in held[:4]:
        assert w.send(head()).reply().status == 200
        w.socket.close()
    until(lambda: metric(s, "http_connections", reach="public") == 0)
    assert s.get("/health", at=s.public).status == 200


# ---- the NSM ----

def test_a_public_flood_on_the_nsm_leaves_local_callers_alone(make_server, tmp_path, user):
    s = make_server(settings={"nsm_rate": 1, "nsm_burst": 3, "public_listen": f"unix:{tmp_path}/p"})
    with Wire(s, s.public) as w:
        began = time.monotonic()
        replies = [w.send(head("GET", "/attestation?nonce=ab")).reply() for _ in range(60)]
        replies += [w.send(post("/key-exchange", {"user_public_key": user.pem})).reply() for _ in range(20)]
        refilled = int(time.monotonic() - began) + 1
    good = [r for r in replies if r.status == 200]
    assert 3 <= len(good) <= 3 + refilled
    for r in replies:
        if r.status != 200:
            assert (r.status, r.code) == (429, "rate_limited")
            assert r.headers["Retry-After"] == "1"
    assert metric(s, "nsm_refused_total", reach="public") == len(replies) - len(good)
    assert metric(s, "nsm_calls_total", reach="public") == len(good)
    assert metric(s, "sessions_active") == sum(r.status == 200 for r in replies[60:])  # a refused exchange leaves nothing
    assert s.get("/health", at=s.public).status == 200
    assert s.get("/health").status == 200
    assert s.post("/attestation", {"nonce": "ab"}).status == 200
    UserSession(s, user)


def test_a_local_flood_leaves_the_public_budget_alone(make_server, tmp_path):
    s = make_server(settings={"nsm_rate": 1, "nsm_burst": 2, "public_listen": f"unix:{tmp_path}/p"})
    with Wire(s) as w:
        assert [w.send(post("/attestation", {})).reply().status for _ in range(12)].count(429) >= 8
    assert s.get("/attestation?nonce=ab", at=s.public).status == 200


def test_retry_after_is_true(make_server):
    s = make_server(settings={"nsm_rate": 1, "nsm_burst": 1})
    assert s.post("/attestation", {}).status == 200
    reply = s.post("/attestation", {})
    assert reply.status == 429
    time.sleep(int(reply.headers["Retry-After"]) + 0.1)
    assert s.post("/attestation", {}).status == 200


# ---- sessions ----

@pytest.mark.route("POST /key-exchange")
def test_public_sessions_leave_room_for_local_ones(make_server, tmp_path):
    s = make_server(settings={"max_sessions": 4, "public_sessions": 2, "public_listen": f"unix:{tmp_path}/p"})
    user = User()
    opened = [UserSession(s, user, at=s.public) for _ in range(2)]
    ask = {"user_public_key": user.pem}
    reply = s.post("/key-exchange", ask, at=s.public)
    assert (reply.status, reply.code) == (503, "too_many_sessions")
    opened += [UserSession(s, user) for _ in range(2)]
    reply = s.post("/key-exchange", ask)
    assert (reply.status, reply.code) == (503, "too_many_sessions")
    assert s.delete(f"/sessions/{opened[0].id}").status == 200
    assert s.post("/key-exchange", ask, at=s.public).status == 200
    assert s.post("/key-exchange", ask).status == 503
