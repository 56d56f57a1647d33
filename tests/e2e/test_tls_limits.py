"""TLS connections that stall, break or pile up: each costs its slot, and nobody else anything."""

import os
import signal
import socket
import ssl

import pytest
from helpers.proxy import Proxy, connect, poll
from helpers.server import PATIENCE, any_certificate
from helpers.tls import HalfClosing, TlsWire, context, dial
from helpers.wire import Wire, head, metric

RESET = (ConnectionError, ssl.SSLError, OSError)


def client_hello(server):
    """A whole one, as a client sends it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = any_certificate().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def handshaking(server):
    return int(metric(server, "tls_handshaking", reach="tls"))


def open_now(server):
    return int(metric(server, "tls_connections", reach="tls"))


def ended(s):
    """Waits for the server's end of the connection."""
    try:
        while s.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return True


# ---- handshakes ----

@pytest.mark.parametrize("sent", ["nothing", "a part", "a hello"])
def test_two_hundred_handshakes_that_stall_keep_nobody_waiting(make_server, sent):
    """Others make progress, however long that takes: the stalled ones are not timed out meanwhile."""
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "tls_handshake_timeout": 300})
    hello = client_hello(s)
    data = {"nothing": b"", "a part": hello[:100], "a hello": hello}[sent]
    stalled = [s.connect(s.tls) for _ in range(200)]
    for c in stalled:
        c.sendall(data)
    poll(lambda: handshaking(s) == 200)
    for _ in range(20):
        assert s.get("/health").status == 200
        assert s.get("/health", at=s.tls).status == 200
    assert handshaking(s) == 200
    for c in stalled:
        c.close()
    poll(lambda: open_now(s) == 0)


def test_handshakes_at_the_limit_and_one_past_it(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "tls_handshakes": 5})
    stalled = [s.connect(s.tls) for _ in range(5)]
    poll(lambda: handshaking(s) == 5)
    with s.connect(s.tls) as one_more:
        assert ended(one_more)
    with pytest.raises(RESET):
        dial(s)
    assert metric(s, "tls_handshakes_refused_total", reach="tls") == 2
    assert s.get("/health").status == 200
    stalled.pop().close()
    poll(lambda: handshaking(s) == 4)
    with TlsWire(s) as w:
        assert w.send(head()).reply().status == 200
    for c in stalled:
        c.close()


def test_one_silent_source_behind_the_proxy_shuts_nobody_out(make_server, tmp_path):
    """Both at their default limits."""
    s = make_server(settings={"tls_listen": f"unix:{tmp_path}/tls.sock", "tls_handshake_timeout": 300})
    proxy = Proxy(tmp_path / "proxy", ("tcp:127.0.0.1:0", f"unix:{tmp_path}/tls.sock")).start()
    try:
        silent = [connect(proxy.at, source="127.0.0.8") for _ in range(300)]
        poll(lambda: (count := proxy.counters())["refused_source"] + count["open"] == 300)
        poll(lambda: handshaking(s) == proxy.counters()["open"])
        with any_certificate().wrap_socket(connect(proxy.at, source="127.0.0.9"), server_hostname="localhost") as other:
            other.sendall(head("GET", "/health", "Connection: close"))
            assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert metric(s, "tls_handshakes_refused_total", reach="tls") == 0
        for c in silent:
            c.close()
    finally:
        proxy.stop()


def test_a_handshake_has_its_time(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "tls_handshake_timeout": 1 * PATIENCE})
    hello = client_hello(s)
    with TlsWire(s) as good:
        stalled = [s.connect(s.tls) for _ in range(4)]
        stalled[1].sendall(hello[:5])
        stalled[2].sendall(hello)
        stalled[3].sendall(hello[:-1])
        for c in stalled:
            assert ended(c)
            c.close()
        poll(lambda: handshaking(s) == 0)
        assert metric(s, "tls_handshakes_timed_out_total", reach="tls") == 4
        assert good.send(head()).reply().status == 200  # it is only the handshake that is timed


def test_a_trickle_does_not_prolong_a_handshake(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "tls_handshake_timeout": 1 * PATIENCE})
    hello = client_hello(s)
    with s.connect(s.tls) as c:
        sent = 0
        try:
            while sent < len(hello) - 1:
                c.sendall(hello[sent:sent + 1])
                sent += 1
                c.settimeout(0.05 * PATIENCE)
                try:
                    if c.recv(100) == b"":
                        break
                except TimeoutError:
                    pass
        except ConnectionError:
            pass
        assert sent < len(hello) - 1, "it was never cut off"


# ---- connections ----

def test_connections_at_the_limit_and_one_past_it(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "tls_connections": 3})
    held = [TlsWire(s) for _ in range(3)]
    assert all(w.send(head()).reply().status == 200 for w in held)
    with s.connect(s.tls) as one_more:
        assert one_more.recv(100) == b""  # no plain text to a client that speaks TLS
    assert metric(s, "http_connections_refused_total", reach="tls") == 1
    assert s.get("/health").status == 200
    held.pop().socket.close()
    poll(lambda: open_now(s) == 2)
    with TlsWire(s) as w:
        assert w.send(head()).reply().status == 200
    for w in held:
        w.socket.close()


def test_stalled_handshakes_count_as_connections(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "tls_connections": 3})
    stalled = [s.connect(s.tls) for _ in range(3)]
    poll(lambda: handshaking(s) == 3)
    with s.connect(s.tls) as one_more:
        assert one_more.recv(100) == b""
    for c in stalled:
        c.close()


def test_all_outsiders_together_leave_room_for_local_callers(make_server):
    """Each has a share that is smaller than the whole, and the shares together are larger."""
    s = make_server(settings={"public_listen": "127.0.0.1:0", "tls_listen": "127.0.0.1:0", "max_connections": 16, "public_connections": 12,
                              "tls_connections": 12})
    held = [TlsWire(s, at=s.tls) for _ in range(12)] + [Wire(s, at=s.public) for _ in range(2)]  # all but an eighth
    for w in held:
        assert w.send(head()).reply().status == 200
    with s.connect(s.public) as one_more:
        assert b"too_many_connections" in one_more.recv(4096)
    with s.connect(s.tls) as one_more:
        assert one_more.recv(100) == b""
    with Wire(s) as a, Wire(s) as b:
        assert a.send(head()).reply().status == 200 and b.send(head()).reply().status == 200
    for w in held:
        w.socket.close()


def test_an_idle_connection_and_a_slow_header_are_cut_off(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "header_timeout": 1 * PATIENCE, "idle_timeout": 1 * PATIENCE})
    with TlsWire(s) as silent, TlsWire(s) as slow, TlsWire(s) as idle:
        slow.send(head()[:-2])
        assert idle.send(head()).reply().status == 200
        assert silent.closed() and slow.closed() and idle.closed()
    poll(lambda: open_now(s) == 0)


def test_bytes_in_flight_have_a_share(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "tls_inflight": "128k", "private_data_max_body": "128k"})
    post = head("POST", "/private-data", f"Content-Length: {128 << 10}")
    with TlsWire(s) as a, TlsWire(s) as b:
        a.send(post + b"x" * ((128 << 10) - 1))
        poll(lambda: metric(s, "http_inflight_bytes") == (128 << 10) - 1)
        b.send(head("POST", "/private-data", "Content-Length: 2") + b"xx")
        assert b.reply().code == "too_many_body_bytes"
        assert s.post("/attestation", {}).status == 200
        assert a.send(b"x").reply().status == 201
        # What is stored is longer than what was sent, and has the share to itself.
        assert b.send(head("GET", "/private-data")).reply().body == b"x" * (128 << 10)
        a.send(head("POST", "/private-data", "Content-Length: 2") + b"x")
        poll(lambda: metric(s, "http_inflight_bytes") == 1)
        assert b.send(head("GET", "/private-data")).reply().code == "too_many_body_bytes"
        assert a.send(b"x").reply().status == 201


def test_what_was_stored_under_larger_limits_can_be_read_under_smaller_ones(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0"})
    assert s.post("/private-data", b"x" * 900000, at=s.tls).status == 201
    s.settings |= {"tls_inflight": "64k", "private_data_max_body": "64k", "max_body": "128k", "max_inflight": "128k"}
    s.restart()
    assert s.get("/private-data", at=s.tls).body == b"x" * 900000
    assert s.post("/private-data", b"x" * 65537, at=s.tls).status == 413


# ---- the end ----

def test_sigterm_answers_what_is_in_flight_and_says_the_end(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "drain_timeout": 60})
    stalled = s.connect(s.tls)
    poll(lambda: handshaking(s) == 1)
    with TlsWire(s) as idle, TlsWire(s) as upload, HalfClosing(s) as half:
        assert idle.send(head()).reply().status == 200
        upload.send(head("POST", "/private-data", "Content-Length: 10") + b"12345")
        half.send(head("POST", "/private-data", "Content-Length: 10") + b"12345")
        poll(lambda: metric(s, "http_inflight_bytes") == 10)
        s.send_signal(signal.SIGTERM)
        assert ended(stalled)  # at once: it has nothing to lose
        assert idle.closed()
        reply = upload.send(b"67890").reply()
        assert reply.status == 201 and reply.headers["Connection"] == "close"
        assert upload.closed()
        assert half.send(b"67890").say_end().reply().status == 201
        assert s.wait() == 0, s.stderr
    stalled.close()


def test_a_client_that_does_not_let_go_does_not_keep_the_server(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "drain_timeout": 1})
    with TlsWire(s) as upload, HalfClosing(s) as silent:
        upload.send(head("POST", "/private-data", "Content-Length: 10") + b"12345")
        silent.send(head())
        assert silent.reply().status == 200
        poll(lambda: metric(s, "http_inflight_bytes") == 5)
        s.send_signal(signal.SIGTERM)
        assert s.wait() == 0, s.stderr


def descriptors(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may count the descriptors of an undumpable process")
def test_three_hundred_connections_of_all_kinds_leave_nothing_open(make_server):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "tls_handshake_timeout": 1 * PATIENCE})
    hello, body = client_hello(s), head("POST", "/private-data", "Content-Length: 1000")
    assert s.get("/health", at=s.tls).status == 200
    poll(lambda: open_now(s) == 0)
    before = descriptors(s)
    timed = []
    for i in range(300):
        kind, rude = i % 10, i % 4 < 2
        if kind < 5:
            c = s.connect(s.tls)
            c.sendall([b"", hello[:50], hello, b"GET / HTTP/1.1\r\n\r\n", hello + b"x" * 100][kind])
            if kind == 0 and not rude:
                timed.append(c)  # for the time-out to end
                continue
        else:
            c = dial(s, context())
            if kind > 5:
                c.sendall([head(), head() * 50, body + b"x" * 500, head("GET", "/openapi.yaml") * 20][kind - 6])
            if kind == 6:
                assert c.recv(4096)
        if rude:
            abort(c)
        elif kind == 7:
            c.shutdown(socket.SHUT_WR)  # of TCP, without TLS's
            ended(c)
            c.close()
        else:
            c.close()
    for c in timed:
        assert ended(c)
        c.close()
    poll(lambda: open_now(s) == 0, what="connections stay open")
    poll(lambda: metric(s, "http_connections", reach="tls") == 0)
    poll(lambda: descriptors(s) <= before + 1, what="descriptors stay open")  # the one that asks for the metric
    assert s.get("/health", at=s.tls).status == 200
