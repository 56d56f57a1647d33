"""A worker that is long at a heavy body: neither key exchanges nor messages wait for it, and the end of the server does not."""

import time

import pytest
from helpers import UserSession
from helpers.server import PATIENCE
from helpers.wire import Wire, metric, post

HEAVY = 300_000  # more than HTTP_HEAVY_BODY


def until(condition):
    deadline = time.monotonic() + 20 * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def occupied(make_server, nsm):
    """A server whose worker for heavy bodies is held up until nsm.go_on(), and the request that it works on."""
    server = make_server(**nsm.server(malloc_trim="hold", settings={"drain_timeout": 1}))
    wire = Wire(server).send(post("/verify", {"document": "A" * HEAVY}))
    until(lambda: nsm.calls("malloc_trim"))
    yield server, wire
    nsm.go_on()


@pytest.mark.route("POST /verify", "POST /key-exchange", "POST /encrypt", "POST /decrypt", "POST /attestation", "GET /metrics")
def test_heavy_work_keeps_nobody_else_waiting(occupied, nsm, user):
    server, wire = occupied
    session = UserSession(server, user)
    assert session.open(server.post("/encrypt", session.plain("short")).json()) == "short"
    assert server.post("/decrypt", session.seal("short")).json()["plaintext"] == "short"
    assert server.post("/attestation", {"custom_data": 1}).status == 200
    assert metric(server, "bulk_queue") == 1
    # What is long itself waits its turn, and so does every verification.
    waiting = [Wire(server).send(post("/encrypt", session.plain("x" * HEAVY))),
               Wire(server).send(post("/verify", {"document": "A"})),
               Wire(server).send(post("/key-exchange", {"user_public_key": "A" * HEAVY}))]
    until(lambda: metric(server, "bulk_queue") == 4)
    assert UserSession(server, user).id != session.id
    assert metric(server, "worker_queue") == 0
    nsm.go_on()
    assert [w.reply().status for w in (wire, *waiting)] == [200, 200, 200, 400]
    until(lambda: metric(server, "bulk_queue") == 0)


def test_heavy_work_does_not_hold_up_the_end(occupied, nsm, user):
    server, wire = occupied
    session = UserSession(server, user)
    queued = Wire(server).send(post("/verify", {"document": "A"}))
    until(lambda: metric(server, "bulk_queue") == 2)
    server.send_signal(15)
    began = time.monotonic()
    assert server.wait() == 0
    assert time.monotonic() - began < 10 * PATIENCE
    assert "work on a long body is still under way and is left behind" in server.stderr
    for w in (wire, queued):
        reply = w.reply()
        assert (reply.status, reply.code) == (503, "busy")
    nsm.go_on()
    server.start()
    assert server.post("/encrypt", session.plain("x")).json()["message_number"] == 1, "the database is sound"
