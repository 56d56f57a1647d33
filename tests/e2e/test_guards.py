"""What two parsers could read differently is refused, and nothing hides behind it; so are other hosts and origins."""

import pytest
from helpers import UserSession
from helpers.wire import Wire, all_replies, head, metric, post

JSON = "Content-Type: application/json"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"


def upload(*lines, body=b"{}", **more):
    return head("POST", "/encrypt", JSON, *lines, **more) + body


# libmicrohttpd takes all of these without a word.
REFUSED = {
    "Host twice": head("GET", "/health", "Host: localhost"),
    "two Hosts that differ": head("GET", "/health", "Host: evil.example"),
    "no Host": head(host=None),
    "no Host in HTTP/1.0": head(host=None, version="HTTP/1.0"),
    "empty Host": head(host=""),
    "Host with a space at its end": head(host="localhost "),
    "Host with a tab at its end": head(host="localhost\t"),
    "Host with a space inside": head(host="local host"),
    "Host with an empty port": head(host="localhost:"),
    "Host with a long port": head(host="localhost:123456"),
    "Host with letters for a port": head(host="localhost:http"),
    "Host with a user": head(host="me@localhost"),
    "Host with a path": head(host="localhost/x"),
    "Host with bare IPv6": head(host="::1"),
    "Host with half a bracket": head(host="[::1"),
    "a list of Hosts": head(host="localhost,localhost"),
    "Content-Length twice": upload("Content-Length: 2", "Content-Length: 2"),
    "Content-Length 0, then 2": upload("Content-Length: 0", "Content-Length: 2"),
    "Content-Length 2, then 0": upload("Content-Length: 2", "content-length: 0"),
    "Content-Length of 19 digits": upload("Content-Length: 9000000000000000000"),
    "Content-Length and Transfer-Encoding": upload("Content-Length: 2", "Transfer-Encoding: chunked", body=CHUNKS),
    "Transfer-Encoding and Content-Length": upload("Transfer-Encoding: chunked", "Content-Length: 12", body=CHUNKS),
    "Transfer-Encoding and Content-Length 0": upload("Transfer-Encoding: chunked", "Content-Length: 0", body=CHUNKS),
    "Transfer-Encoding twice": upload("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=CHUNKS),
    "Transfer-Encoding gzip": upload("Transfer-Encoding: gzip"),
    "Transfer-Encoding gzip, chunked": upload("Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "Transfer-Encoding chunked, chunked": upload("Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "Transfer-Encoding xchunked": upload("Transfer-Encoding: xchunked", body=CHUNKS),
    "Transfer-Encoding Chunked": upload("Transfer-Encoding: Chunked", body=CHUNKS),
    "Transfer-Encoding with a space behind": upload("Transfer-Encoding: chunked ", body=CHUNKS),
    "Transfer-Encoding identity": upload("Transfer-Encoding: identity"),
    "Transfer-Encoding empty": upload("Transfer-Encoding:"),
    "Transfer-Encoding in HTTP/1.0": upload("Transfer-Encoding: chunked", body=CHUNKS, version="HTTP/1.0"),
    "absolute-form": head("GET", "http://localhost/health"),
    "absolute-form of another host": head("GET", "http://evil.example/health"),
    "authority-form": head("CONNECT", "localhost:8765"),
    "CONNECT to a path": head("CONNECT", "evil.example:80/health"),
    "asterisk-form": head("OPTIONS", "*"),
    "a target without a slash": head("GET", "health"),
    "HTTP/1.2": head(version="HTTP/1.2"),
    "HTTP/1.9": head(version="HTTP/1.9"),
    "Expect of something else": upload("Content-Length: 2", "Expect: 200-ok"),
    "Expect twice": upload("Content-Length: 2", "Expect: 100-continue", "Expect: 100-continue"),
    "a name with a space at its end": head("GET", "/health", "Origin : http://evil.example"),
    "a name with a tab at its end": head("GET", "/health", "Origin\t: http://evil.example"),
    "a name with a space inside": head("GET", "/health", "X Y: z"),
    "a name with a control character": head("GET", "/health", "X\x01: y"),
    "a name that is not ASCII": head("GET", "/health", b"X\xe9: y"),
    "an empty name": head("GET", "/health", ": x"),
    "a colon alone": head("GET", "/health", ":"),
    "an empty name before Content-Length": head("POST", "/encrypt", JSON, ": x", "Content-Length: 2") + b"{}",
    "a line that begins with NUL": head("GET", "/health", b"\0X: y"),
    "a NUL alone on a line": head("GET", "/health", b"\0"),
    "a NUL in a value": head("GET", "/health", b"X: y\0z"),
    "a NUL in Host": head(host="localhost\0.evil.example"),
    "a NUL in Content-Length": upload(b"Content-Length: 2\x000"),
    "a CR in a value": head("GET", "/health", "X: y\rz"),
    "a line with two CRs": head("GET", "/health", "X: y\r"),
    "a control character in a value": head("GET", "/health", "X: y\x01z"),
    "DEL in a value": head("GET", "/health", "X: y\x7fz"),
    "a folded line": head("GET", "/health", "X: y", " z"),
    "a folded line after Host": head("GET", "/health", "\t.evil.example"),
    "a folded line first": b"GET /health HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n",
    "lines that end with LF": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "a line that ends with LF": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: y\nZ: z\r\n\r\n",
    "a header that ends with LF": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\n",
    "a request line that ends with LF": b"GET /health HTTP/1.1\nHost: localhost\r\n\r\n",
    "a space in the target": head("GET", "/hea lth"),
    "a space behind the target": head("GET", "/health "),
    "a space before the target": head("GET", " /health"),
    "a tab in the target": head("GET", "/health\tx"),
    "a control character in the target": head("GET", "/health\x01"),
    "DEL in the target": head("GET", "/health\x7f"),
    "a NUL in the target": head("GET", "/health\0x"),
    "a CR in the target": head("GET", "/hea\rlth"),
    "UTF-8 in the target": head("GET", "/health?é"),
    "a byte above ASCII in the target": head("GET", b"/health\xff"),
    "a fragment": head("GET", "/health#top"),
    "a method that is no token": head("G@T"),
    "Origin twice": head("GET", "/health", "Origin: http://localhost", "Origin: http://localhost"),
    "Sec-Fetch-Site twice": head("GET", "/health", "Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"),
    "Content-Type twice": upload("Content-Type: text/plain", "Content-Length: 2"),
    "GET with a body": head("GET", "/health", "Content-Length: 2") + b"{}",
    "GET with a chunked body": head("GET", "/health", "Transfer-Encoding: chunked") + CHUNKS,
    "HEAD with a body": head("HEAD", "/health", "Content-Length: 2") + b"{}",
    "DELETE with a body": head("DELETE", "/sessions/x", "Content-Length: 2") + b"{}",
}

# libmicrohttpd answers these itself.
CUT = {
    "HTTP/2.0": (head(version="HTTP/2.0"), 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (head(version="HTTP/0.9"), 505),
    "no version": (b"GET /health\r\n\r\n", 400),
    "a version in small letters": (head(version="http/1.1"), 400),
    "a longer version": (head(version="HTTP/1.10"), 400),
    "a line without a colon": (head("GET", "/health", "x"), 400),
    "a NUL in a name": (head("GET", "/health", b"X\0Y: z"), 400),
    "a list as Content-Length": (upload("Content-Length: 2, 2"), 400),
    "a negative Content-Length": (upload("Content-Length: -2"), 400),
    "a signed Content-Length": (upload("Content-Length: +2"), 400),
    "a hexadecimal Content-Length": (upload("Content-Length: 0x2"), 400),
    "an empty Content-Length": (upload("Content-Length:"), 400),
    "Content-Length with a space behind": (upload("Content-Length: 2 "), 400),
    "Content-Length of 24 digits": (upload("Content-Length: 100000000000000000000000"), 413),
    "a chunk size that is none": (upload("Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"), 400),
    "a negative chunk size": (upload("Transfer-Encoding: chunked", body=b"-2\r\n{}\r\n0\r\n\r\n"), 400),
    "a chunk longer than its size": (upload("Transfer-Encoding: chunked", body=b"2\r\n{}xx0\r\n\r\n"), 400),
    "a giant chunk size": (upload("Transfer-Encoding: chunked", body=b"fffffffffffffffffff\r\n{}\r\n"), 413),
    "a target of 9000 bytes": (head("GET", "/" + "a" * 9000), 414),
    "a header of 9000 bytes": (head("GET", "/health", "X: " + "a" * 9000), 431),
    "600 header lines": (head("GET", "/health", *("X: y" for _ in range(600))), 431),
    "2000 parameters": (head("GET", "/health?" + "&x" * 2000), None),
    "no request at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", None),
    "no method": (b" /health HTTP/1.1\r\nHost: localhost\r\n\r\n", None),
}


@pytest.fixture(scope="module")
def session(server, user):
    """A session whose message numbers tell whether a hidden request was run."""
    s = UserSession(server, user)
    s.number = 0
    return s


@pytest.fixture
def smuggled(server, session):
    """A whole, good request that must never be run; after the test it turns out whether it was."""
    before = metric(server, "http_replies_total", **{"class": "2xx"})
    yield post("/encrypt", session.plain("smuggled"))
    assert metric(server, "http_replies_total", **{"class": "2xx"}) == before + 1  # of the first metrics themselves
    session.number += 1
    assert server.post("/encrypt", session.plain("x")).json()["message_number"] == session.number


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_ambiguous_requests_are_refused_and_end_the_connection(server, smuggled, request_):
    if request_.startswith(b"HEAD"):
        assert server.raw(request_ + smuggled).startswith(b"HTTP/1.1 400 ")
        return
    (reply,) = all_replies(server.raw(request_ + smuggled))
    assert (reply.status, reply.code) == (400, "malformed_request")
    assert reply.headers["Connection"] == "close"
    assert len(reply.json()["detail"]) > 20


@pytest.mark.parametrize("request_, status", CUT.values(), ids=CUT)
def test_what_libmicrohttpd_refuses_ends_the_connection(server, smuggled, request_, status):
    with server.connect() as s:
        got = b""
        try:
            s.sendall(request_ + smuggled)
            while more := s.recv(65536):
                got += more
        except (BrokenPipeError, ConnectionResetError):
            pass
    # Of a bad Content-Length it sends the header twice; there is one body all the same, and it is the refusal's.
    assert got.count(b"<html>") == (0 if status is None else 1)
    assert got.startswith(b"" if status is None else b"HTTP/1.1 %d " % status)


def test_a_hidden_body_is_not_a_request(server, smuggled):
    """A good request whose body looks like another is one request."""
    (reply,) = all_replies(server.raw(post("/attestation", smuggled, "Connection: close")))
    assert reply.status == 422


@pytest.mark.parametrize("padding", [0, 1, 500, 3000, 4000, 4096, 5000, 7000])
@pytest.mark.parametrize("piece", [1 << 20, 4096, 1000, 17])
def test_a_good_header_is_taken_whatever_its_length_and_its_pieces(server, padding, piece):
    """Every byte of it is accounted for inside libmicrohttpd's buffer, which grows and moves meanwhile."""
    data = head("GET", "/health?a=b&c", "A:", "B:  \t x", "X: " + "y" * padding, "C:", "Accept: a, b; q=0.5") * 2
    with Wire(server) as w:
        for at in range(0, len(data), piece):
            w.send(data[at:at + piece])
        assert [w.reply().status for _ in range(2)] == [200, 200]


FULL = {
    "a long line": (lambda n: ("/encrypt", f"X: {'y' * n}"), range(7000, 8300, 20)),
    "many lines": (lambda n: ("/encrypt", *["X: y"] * n), range(85, 125)),
    "a long query": (lambda n: ("/encrypt?" + "y" * n,), range(7000, 8000, 20)),
    "many parameters": (lambda n: ("/encrypt?" + "&y" * n,), range(90, 120)),
    "many cookies": (lambda n: ("/encrypt", "Cookie: " + "a=b; " * n), range(80, 110)),
    "a long cookie": (lambda n: ("/encrypt", "Cookie: a=" + "b" * n), range(3400, 4200, 10)),
}


@pytest.mark.parametrize("lines, sizes", FULL.values(), ids=FULL)
def test_a_request_without_room_for_its_reply_is_not_run(server, session, lines, sizes):
    """libmicrohttpd builds the reply's header in the memory that the request's left."""
    body = session.plain("x")
    seen = []
    for n in sizes:
        target, *more = lines(n)
        got = server.raw(post(target, body, *more, "Connection: close"))
        seen.append(int(got[9:12]) if got else None)
        if seen[-1] == 200:
            session.number += 1
            assert all_replies(got)[0].json()["message_number"] == session.number
    session.number += 1
    assert server.post("/encrypt", body).json()["message_number"] == session.number  # none was run and not answered
    assert seen[0] == 200 and 400 in seen and seen[-1] != 200
    assert set(seen) <= {200, 400, None, 414, 431}


HERE = ["localhost", "LocalHost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize("port", ["", ":1", ":8765", ":65535"])
@pytest.mark.parametrize("name", HERE)
def test_loopback_names_are_served_on_tcp(server, name, port):
    assert server.get("/health", headers={"Host": name + port}).status == 200


ELSEWHERE = ["evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example", "localhost.", "127.0.0.2",
             "127.1", "0.0.0.0", "[::]", "[::2]", "[::ffff:127.0.0.1]", "local_host"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_hosts_are_refused_on_tcp(server, name):
    reply = server.get("/health", headers={"Host": name})
    assert (reply.status, reply.code) == (403, "host_not_allowed")


@pytest.mark.parametrize("host", [*HERE, *ELSEWHERE])
def test_any_one_host_is_served_on_unix_sockets(make_server, tmp_path, host):
    s = make_server(listen=f"unix:{tmp_path}/u")
    assert s.get("/health", headers={"Host": host}).status == 200
    assert s.raw(head("GET", "/health", f"Host: {host}", host=host)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host, origin", [
    ("localhost", "http://localhost"), ("localhost", "http://LOCALHOST"), ("localhost:80", "http://localhost:80"),
    ("127.0.0.1:8765", "http://127.0.0.1:8765"), ("[::1]:8765", "http://[::1]:8765"), ("localhost", "https://localhost"),
])
def test_the_same_origin_is_served(server, host, origin):
    assert server.get("/health", headers={"Host": host, "Origin": origin}).status == 200


@pytest.mark.parametrize("origin", ["null", "", "http://evil.example", "http://localhost.evil.example", "http://localhost:81",
                                    "http://127.0.0.1", "localhost", "file://", "http://", "http://localhost/",
                                    "http://evil.example http://localhost", "chrome-extension://localhost"])
def test_foreign_origins_are_refused(server, origin):
    reply = server.get("/health", headers={"Host": "localhost", "Origin": origin})
    assert (reply.status, reply.code) == (403, "origin_not_allowed")


@pytest.mark.parametrize("site, status", [("none", 200), ("same-origin", 200), ("Same-Origin", 200), ("same-site", 403),
                                          ("cross-site", 403), ("CROSS-SITE", 403), ("", 403), ("else", 403)])
def test_fetch_metadata(server, site, status):
    assert server.get("/health", headers={"Sec-Fetch-Site": site}).status == status


def test_guards_come_before_bodies_and_routes(server, session):
    for path in ("/encrypt", "/nowhere"):
        assert server.post(path, session.plain("x"), headers={"Origin": "http://evil.example"}).status == 403
        assert server.post(path, b"}", headers={"Host": "evil.example", "Content-Type": "text/plain"}).status == 403


def test_there_are_no_cors_headers(server):
    preflight = {"Origin": "http://localhost", "Host": "localhost", "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "content-type"}
    replies = [server.request("OPTIONS", "/encrypt", headers=preflight), server.get("/health", headers=preflight),
               server.request("OPTIONS", "/encrypt", headers={**preflight, "Origin": "http://evil.example"}),
               server.post("/attestation", {}, headers={"Host": "localhost", "Origin": "http://localhost"})]
    assert [r.status for r in replies] == [405, 200, 403, 200]
    for reply in replies:
        assert not [h for h in reply.headers if h.lower().startswith("access-control")]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert reply.headers["Cache-Control"] == "no-store"
