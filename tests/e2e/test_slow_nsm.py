"""An NSM that is slow or hangs: callers get 503 in time, everything else goes on, and so does the end of the server."""

import json
import socket
import threading
import time

import pytest
from helpers.nsm import query, text
from helpers.server import PATIENCE
from helpers.wire import Wire, head, metric, post

SHORT = {"nsm_timeout": 1, "nsm_rate": 100000, "nsm_burst": 100000}
MIB = 1 << 20


def get(target):
    return head("GET", target)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def late(reply):
    """Is it what a caller is told for whom the NSM was too slow?"""
    return (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "nsm_unavailable", "1")


# ---- timeouts ----

@pytest.mark.route("POST /attestation", "GET /attestation", "POST /key-exchange")
def test_a_hung_nsm_is_503_in_time_and_holds_up_nobody_else(make_server, nsm, user):
    server = make_server(**nsm.server(settings=SHORT))
    requests = [post("/attestation", text("hold")), get(query("hold")),
                post("/key-exchange", text("hold", user_public_key=user.pem))]
    wires = [Wire(server) for _ in requests]
    began = time.monotonic()
    for wire, request in zip(wires, requests):
        wire.send(request)
    nsm.until_called("hold")
    health = [server.get("/health").status for _ in range(20)]
    assert health == [200] * 20 and metric(server, "nsm_queue") > 0
    replies = [w.reply() for w in wires]
    took = time.monotonic() - began
    assert all(late(r) for r in replies), replies
    assert 0.9 <= took < 1 + 10 * PATIENCE
    assert "in time" in replies[0].json()["detail"]

    # It still hangs: who comes now waits no longer than the others did.
    assert late(server.post("/attestation", text("now")))
    nsm.go_on()
    until(lambda: metric(server, "nsm_queue") == 0)
    for wire in wires:  # and on the very connections that were told 503
        assert wire.send(post("/attestation", text("then"))).reply().status == 200
    assert server.get("/health").json()["active_sessions"] == 0


def test_calls_that_nobody_waits_for_any_more_never_reach_the_nsm(make_server, nsm):
    server = make_server(**nsm.server(settings=SHORT))
    first = Wire(server).send(post("/attestation", text("hold")))
    nsm.until_called("hold")
    # Before the others, so that whoever waits for these has seen the time of those pass, too.
    gone = [Wire(server).send(post("/attestation", text(f"gone {i}"))) for i in range(20)]
    queued = [Wire(server).send(post("/attestation", text(f"timed out {i}"))) for i in range(20)]
    until(lambda: metric(server, "nsm_queue") == 41)
    for wire in gone:
        wire.socket.close()
    assert all(late(w.reply()) for w in [first, *queued])
    nsm.go_on()
    assert server.post("/attestation", text("waited for")).status == 200
    assert nsm.calls() == ["hold", "waited for"]
    assert metric(server, "nsm_queue") == 0


def test_a_slow_nsm_within_the_time_is_waited_for(make_server, nsm):
    server = make_server(**nsm.server(settings={"nsm_timeout": 60}))
    wires = [Wire(server).send(post("/attestation", text("delay=300"))) for _ in range(5)]
    assert [w.reply().status for w in wires] == [200] * 5


# ---- the queue ----

def test_a_full_queue_is_503_at_once_and_half_of_it_is_for_local_callers(make_server, nsm, tmp_path):
    settings = {"nsm_queue": 8, "nsm_timeout": 60, "nsm_rate": 1000, "public_listen": f"unix:{tmp_path}/p"}
    server = make_server(**nsm.server(settings=settings))
    first = Wire(server).send(post("/attestation", text("hold")))
    nsm.until_called("hold")
    public = [Wire(server, at=server.public).send(get(query(f"public {i}"))) for i in range(4)]
    until(lambda: metric(server, "nsm_queue") == 5)
    refused = server.get(query("public 4"), at=server.public)
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "busy", "1")
    local = [Wire(server).send(post("/attestation", text(f"local {i}"))) for i in range(4)]
    until(lambda: metric(server, "nsm_queue") == 9)
    refused = server.post("/attestation", text("local 4"))
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "busy", "1")
    nsm.go_on()
    assert [w.reply().status for w in [first, *public, *local]] == [200] * 9
    assert nsm.calls() == ["hold", *(f"local {i}" for i in range(4)), *(f"public {i}" for i in range(4))]


@pytest.mark.slow
def test_a_public_flood_on_a_slow_nsm_starves_no_local_caller(make_server, nsm, tmp_path):
    """What the flood may queue takes longer than nsm_timeout."""
    settings = {"nsm_rate": 100000, "nsm_burst": 100000, "public_listen": f"unix:{tmp_path}/p"}
    server = make_server(**nsm.server(settings=settings))
    stop, statuses = threading.Event(), []

    def flood(i):
        while not stop.is_set():
            reply = server.get(query(f"delay=200 public {i}"), at=server.public)
            statuses.append(reply.status)
            if reply.status != 200:
                stop.wait(0.02)

    threads = [threading.Thread(target=flood, args=(i,)) for i in range(40)]
    try:
        for t in threads:
            t.start()
        until(lambda: metric(server, "nsm_queue") >= 30)
        local = []
        for i in range(6):
            asked = len(nsm.calls())
            local.append(server.post("/attestation", text(f"local {i}")))
            # Only what was under way when it came may go before it, and not the thirty that wait.
            assert f"local {i}" in nsm.calls()[asked:asked + 10]
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert [r.status for r in local] == [200] * 6, local
    assert 503 in statuses, "the flood filled its share"


# ---- bodies in flight ----

@pytest.mark.route("GET /metrics")
@pytest.mark.parametrize("leave", [False, True])
def test_bodies_are_counted_until_the_worker_lets_go_of_them(make_server, nsm, leave):
    """Whether the callers were told 503 or went away: what was made of their bodies is still there."""
    size = 14 * MIB
    settings = {**SHORT, "max_body": "16m", "max_inflight": "33m"}
    server = make_server(**nsm.server(settings=settings))
    body = json.dumps(text("hold", custom_data="x" * size)).encode()
    for n in (1, 2):
        with Wire(server) as wire:
            wire.send(post("/attestation", body))
            until(lambda: metric(server, "nsm_queue") == n)
            if not leave:
                assert late(wire.reply())
    if leave:
        until(lambda: metric(server, "http_connections", reach="local") == 1)
    assert metric(server, "http_inflight_bytes") == 2 * len(body)
    for _ in range(3):
        full = server.post("/attestation", body)
        assert (full.status, full.code, full.headers["Retry-After"]) == (503, "too_many_body_bytes", "1")
    assert metric(server, "http_inflight_bytes") == 2 * len(body)
    assert server.get("/health").status == 200
    nsm.go_on()
    until(lambda: metric(server, "http_inflight_bytes") == 0)
    assert server.post("/attestation", body).status == 200
    until(lambda: metric(server, "http_inflight_bytes") == 0)


# ---- the end ----

def ends(server, within):
    began = time.monotonic()
    server.send_signal(15)
    assert server.wait(within + 20) == 0, server.stderr
    server.check()
    assert time.monotonic() - began < within + 10 * PATIENCE


@pytest.mark.parametrize("drain_timeout", [0, 1])
def test_a_hung_call_does_not_hold_up_the_end(make_server, nsm, drain_timeout):
    settings = {"nsm_timeout": 60, "drain_timeout": drain_timeout}
    server = make_server(**nsm.server(settings=settings))
    wires = [Wire(server).send(post("/attestation", text(nonce))) for nonce in ("hold", "queued")]
    nsm.until_called("hold")
    until(lambda: metric(server, "nsm_queue") == 2)
    ends(server, drain_timeout)
    for wire in wires:
        reply = wire.reply()
        assert (reply.status, reply.code, reply.headers["Connection"]) == (503, "busy", "close")
        assert wire.closed()
    assert "an NSM call is still under way and is left behind" in server.stderr
    assert nsm.calls() == ["hold"]
    nsm.go_on()
    server.start()  # and the database is sound
    assert server.post("/attestation", {}).status == 200


def test_a_call_that_ends_in_the_drain_is_answered(make_server, nsm):
    server = make_server(**nsm.server(settings={"nsm_timeout": 60, "drain_timeout": 60}))
    wire = Wire(server).send(post("/attestation", text("hold")))
    nsm.until_called("hold")
    server.send_signal(15)
    until(lambda: "stopping" in server.stderr)
    nsm.go_on()
    assert wire.reply().status == 200
    assert server.wait() == 0
    assert "left behind" not in server.stderr


def replies_sent(server):
    return server.stderr.count(" route=/health ")


def until_stuck(server, sent):
    """Waits until the server has answered as much as the client's silence lets it; how much that is."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < 0.5 * PATIENCE and before < sent:
        now = replies_sent(server)
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.02)
    return before


@pytest.mark.slow
def test_a_timeout_during_the_drain_with_a_client_that_does_not_read(make_server, nsm, tmp_path):
    """When the drain ends, the call is given up. Its 503 cannot be sent, so its request is still there at nsm_timeout."""
    settings = {"nsm_timeout": 2, "drain_timeout": 1, "idle_timeout": 60, "reply_timeout": 60, "log_level": "info"}
    how = nsm.server(settings=settings)
    server = make_server(listen=f"unix:{tmp_path}/u", **how)
    with server.connect() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
        probe.sendall(get("/health") * 2000)
        fits = until_stuck(server, 2000)
    assert fits < 2000, "so many unread replies fit that none is ever stuck"

    server = make_server(listen=f"unix:{tmp_path}/v", **how)
    with server.connect() as mute:
        mute.sendall(get("/health") * fits)
        assert until_stuck(server, fits) == fits
        mute.sendall(post("/attestation", text("hold")))
        nsm.until_called("hold")
        time.sleep(0.87)  # so that the timeout falls into the moment between the end of the drain and that of the server
        ends(server, 2)
    assert "an NSM call is still under way and is left behind" in server.stderr
