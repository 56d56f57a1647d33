"""Paths and queries as received, bodies whole or in chunks, connections kept, shared and half-closed."""

import json
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from helpers import Server, UserSession
from helpers.server import PATIENCE
from helpers.wire import Wire, all_replies, chunked, head, post

JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def session(server, user):
    return UserSession(server, user)


# ---- paths and queries ----

@pytest.mark.parametrize("path", [
    "/nowhere", "/health/", "//health", "/health//", "/./health", "/../health", "/x/../health", "/health/..", "/health/.",
    "/%68ealth", "/health%00", "/health%00/x", "/%00", "/%2Fhealth", "/%2fhealth", "/%2e/health", "/%2E%2E/health", "/health%20",
    "/health%2F", "/HEALTH", "/health;x=y", "/health&x=y", "/healt", "/healthy", "/%", "/%zz", "/index.html", "//",
    "/info%3Fx", "/openapi%2Eyaml", "/openapi.yaml/", "/sessions/", "/sessions/a/b", "/sessions//a", "/session", "/a" * 2000,
    "/keys", "/keys/", "/keys/a", "/keys//decrypt", "/keys/decrypt", "/keys/a/decrypt/", "/keys/a/b/decrypt", "/keys/a//decrypt",
    "/keys/adecrypt", "/keys/a%2fdecrypt", "/keys/%61/decrypt", "/keys/a/%64ecrypt", "/keys/a/decrypt/decrypt",
])
def test_other_spellings_are_other_paths(server, path):
    for method in ("GET", "POST", "DELETE"):
        with Wire(server) as w:
            reply = w.send(head(method, path)).reply()
            assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("name", ["%41", "x%2Fy", "%2e%2e", "x%00", "%"])
def test_an_encoded_session_id_is_no_path(server, name):
    with Wire(server) as w:
        assert w.send(head("DELETE", f"/sessions/{name}")).reply().status == 404


@pytest.mark.route("GET /attestation")
@pytest.mark.parametrize("query, nonce", [
    ("nonce=text:a+b", b"a+b"), ("nonce=text:a%2Bb", b"a+b"), ("nonce=text:a%20b", b"a b"), ("nonce=text%3Aab%26c", b"ab&c"),
    ("nonce=text:a=b", b"a=b"), ("nonce=%74ext:a", b"a"), ("%6Eonce=text:a", b"a"), ("&nonce=text:a&&", b"a"),
    ("nonce=+/+/", bytes.fromhex("fbffbf")), ("nonce=ab%63d", bytes.fromhex("abcd")), ("nonce=text:?/", b"?/"),
    ("nonce=%C3%A9x", "éx".encode()), ("nonce=ab&nonce_encoding=text", b"ab"), ("nonce_encoding=text&nonce=ab", b"ab"),
    ("nonce=" + "%61" * 512 + "&nonce_encoding=text", b"a" * 512),
])
def test_queries_are_decoded_once_and_plus_stays_plus(server, query, nonce):
    reply = server.get("/attestation?" + query)
    assert reply.status == 200, reply
    assert reply.json()["nonce_hex"] == nonce.hex()


@pytest.mark.parametrize("query", [
    "nonce=ab&nonce=ab", "nonce=ab&%6Eonce=cd", "nonce=ab&x=y", "x", "=", "=ab", "nonce=%", "nonce=%a", "nonce=%zz",
    "nonce=a%", "no%nce=ab", "nonce=ab;nonce=cd&y", "Nonce=ab", "nonce%00=ab", "nonce", "nonce=", "nonce_encoding=hex%00",
    "include_metadata=yes", "nonce=" + "a" * 4097, "nonce=" + "a" * 4096, "x" * 4097, "nonce?=ab",
])
def test_queries_that_are_not_understood(server, query):
    reply = server.get("/attestation?" + query)
    assert (reply.status, reply.code) == (422, "validation_failed"), query
    assert reply.json()["errors"][0]["message"]


# ---- methods ----

LOCAL = {"/": "GET, HEAD", "/health": "GET, HEAD", "/info": "GET, HEAD", "/openapi.yaml": "GET, HEAD", "/metrics": "GET, HEAD",
         "/attestation": "GET, HEAD, POST", "/key-exchange": "POST", "/encrypt": "POST", "/decrypt": "POST",
         "/sessions": "GET, HEAD", "/sessions/x": "DELETE", "/keys/x/decrypt": "POST"}


@pytest.mark.parametrize("path", LOCAL)
def test_other_methods_are_told_which_there_are(server, path):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "GETS", "BREW"):
        if method in LOCAL[path].split(", "):
            continue
        reply = server.request(method, path, b"{}" if method in ("PUT", "PATCH") else None)
        assert (reply.status, reply.code, reply.headers["Allow"]) == (405, "method_not_allowed", LOCAL[path]), method


@pytest.mark.parametrize("path", ["/", "/health", "/info", "/openapi.yaml", "/attestation?nonce=ab", "/sessions", "/metrics",
                                  "/nowhere", "/encrypt"])
def test_head_is_get_without_the_body(server, path):
    with Wire(server) as w:
        short = w.send(head("HEAD", path)).reply("HEAD")
        long = w.send(head("GET", path)).reply()  # on the same connection: no byte of a body is in between
    for name in ("Content-Type", "Cache-Control", "Allow"):
        assert short.headers[name] == long.headers[name]
    assert short.status == long.status
    assert int(short.headers["Content-Length"]) > 0


# ---- content types ----

@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8",
                                  "APPLICATION/JSON", "application/json ; charset=utf-8"])
def test_json_types(server, kind):
    assert server.post("/attestation", {}, headers={"Content-Type": kind}).status == 200


@pytest.mark.parametrize("kind", [None, "", "text/plain", "text/json", "application/jsonx", "application/json-patch+json",
                                  "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jso",
                                  "text/plain; application/json", "application/json, text/plain", "application / json"])
def test_other_types(server, kind):
    reply = server.post("/attestation", {}, headers={"Content-Type": kind})
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("coding, status", [("gzip", 415), ("br", 415), ("gzip, identity", 415), ("identity", 200)])
def test_content_codings(server, coding, status):
    assert server.post("/attestation", {}, headers={"Content-Encoding": coding}).status == status


def test_a_second_content_encoding_hides_nothing(server):
    with Wire(server) as w:
        assert w.send(post("/attestation", {}, "Content-Encoding: gzip", "Content-Encoding:")).reply().status == 415


# ---- connections ----

def test_a_connection_outlives_refusals(server, session):
    """Where the framing is sound, a refusal costs one request and not the connection."""
    cases = [(head("GET", "/nowhere"), 404), (head("PUT", "/health"), 405), (post("/encrypt", b"{"), 422),
             (head("GET", "/health", host="evil.example"), 403), (head("GET", "/health", "Origin: null"), 403),
             (head("POST", "/encrypt", "Content-Type: text/plain", "Content-Length: 5") + b"hello", 415),
             (post("/nowhere", b"x" * 100_000), 404), (post("/health", b"x" * 100_000), 405),
             (post("/encrypt", {"session_id": "x", "plaintext": ""}), 401),
             (post("/decrypt", {"session_id": session.id, "ciphertext": "A" * 24, "iv": "A" * 16}), 400),
             (head("POST", "/encrypt", JSON), 422), (head("DELETE", "/sessions/x"), 401)]
    with Wire(server) as w:
        for request, status in cases:
            reply = w.send(request).reply()
            assert reply.status == status, (request[:200], reply)
            assert reply.headers["Connection"] is None
        assert w.send(head()).reply().status == 200


@pytest.mark.parametrize("lines, version, kept", [((), "HTTP/1.1", True), (("Connection: close",), "HTTP/1.1", False),
                                                  (("Connection: keep-alive",), "HTTP/1.1", True), ((), "HTTP/1.0", False)])
def test_who_keeps_a_connection(server, lines, version, kept):
    with Wire(server) as w:
        reply = w.send(head("GET", "/health", *lines, version=version)).reply()
        assert reply.status == 200
        if kept:
            assert w.send(head()).reply().status == 200
        else:
            assert reply.headers["Connection"] == "close"
            assert w.closed()


def test_pipelined_requests_are_answered_in_order(server, session):
    """Quick ones, ones whose reply waits for the commit, and ones that a worker has to do."""
    big = "x" * 300_000
    requests = [head("GET", "/info"), post("/encrypt", session.plain("one")), post("/encrypt", session.plain(big)),
                head("GET", "/attestation?nonce=ab"), post("/encrypt", session.plain("two")), head("GET", "/nowhere"), head()]
    with Wire(server) as w:
        threading.Thread(target=w.send, args=(b"".join(requests),)).start()
        got = [w.reply() for _ in requests]
        assert [r.status for r in got] == [200, 200, 200, 200, 200, 404, 200]
        assert got[0].json()["name"] == "attestd"
        assert [session.open(got[i].json()) for i in (1, 2, 4)] == ["one", big, "two"]
        numbers = [got[i].json()["message_number"] for i in (1, 2, 4)]
        assert numbers == list(range(numbers[0], numbers[0] + 3))
        assert got[6].json()["status"] == "healthy"


def test_replies_of_one_length_are_never_mixed_up(server, user):
    """The server uses its responses again, by their length, while some wait for a client that does not read."""
    sessions = [UserSession(server, user) for _ in range(5)]
    texts = [f"{n:0600}" for n in range(3000)]
    with Wire(server) as idle:
        sender = threading.Thread(target=idle.send, args=(b"".join(post("/encrypt", sessions[0].plain(t)) for t in texts),))
        sender.start()
        with Wire(server) as busy:
            for n in range(400):
                own = sessions[1 + n % 4]
                assert own.open(busy.send(post("/encrypt", own.plain(f"{n:0600}"))).reply().json()) == f"{n:0600}"
        for text in texts:
            assert sessions[0].open(idle.reply().json()) == text
        sender.join()


def test_replies_around_the_length_that_is_kept(server, session):
    with Wire(server) as w:
        for _ in range(3):
            lengths = set()
            for n in range(600, 700):
                reply = w.send(post("/encrypt", session.plain("x" * n))).reply()
                assert session.open(reply.json()) == "x" * n
                lengths.add(len(reply.body))
            assert min(lengths) < 1024 < max(lengths)


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 8192, 70_000])
def test_chunked_uploads(server, session, size):
    body = json.dumps(session.plain("zwölf " * 10_000 if size > 7 else "zwölf")).encode()
    with Wire(server) as w:
        reply = w.send(head("POST", "/encrypt", JSON, "Transfer-Encoding: chunked") + chunked(body, size)).reply()
        assert reply.status == 200 and reply.headers["Connection"] == "close"
        assert json.dumps(session.plain(session.open(reply.json()))).encode() == body


def test_chunk_extensions_change_nothing(server, session):
    body = json.dumps(session.plain("x")).encode()
    with Wire(server) as w:
        reply = w.send(head("POST", "/encrypt", JSON, "Transfer-Encoding: chunked")
                       + b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(body), body)).reply()
        assert session.open(reply.json()) == "x"


@pytest.mark.parametrize("behind", range(1, 8))
@pytest.mark.parametrize("more", [[], ["X-Last: 1"]])
def test_the_end_of_a_chunked_body_may_come_in_two_pieces(server, session, behind, more):
    """libmicrohttpd then tells of the last header once more, as if it were a trailer."""
    data = head("POST", "/encrypt", JSON, "Transfer-Encoding: chunked", *more) + chunked(json.dumps(session.plain("x")).encode(), 7)
    with Wire(server) as w:
        w.send(data[:-behind])
        assert server.get("/health").status == 200  # by when the loop has read the first piece
        w.send(data[-behind:])
        assert session.open(w.reply().json()) == "x"


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
@pytest.mark.parametrize("line", [b":x", b"\0x", b"", b"X: y", b" x"])
def test_nothing_behind_a_chunked_body_is_another_request(server, session, line, kind, at):
    """libmicrohttpd takes some lines that are not empty for the one that ends the body."""
    body = json.dumps(session.plain("x")).encode()
    with Wire(server) as w:
        w.send(head("POST", "/encrypt", f"Content-Type: {kind}", "Transfer-Encoding: chunked")
               + b"%x\r\n%s\r\n0\r\n" % (len(body), body) + line[:at])
        assert server.get("/health").status == 200
        got = b""
        try:
            w.send(line[at:] + b"\r\n" + head("GET", "/openapi.yaml"))
            while more := w.socket.recv(65536):
                got += more
        except OSError:
            pass  # it had closed already, with these bytes unread
        assert got.count(b"HTTP/1.1 ") <= 1 and b"openapi: " not in got


@pytest.mark.parametrize("line", [b"Transfer-Encoding: chunked", b" chunked", b"X: y"])
@pytest.mark.parametrize("at", range(0, 6))
def test_trailers_in_two_pieces_are_refused(server, session, line, at):
    body = json.dumps(session.plain("x")).encode()
    sent = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    tail = line + b"\r\n\r\n"
    with Wire(server) as w:
        w.send(head("POST", "/encrypt", JSON, "Transfer-Encoding: chunked") + sent + tail[:at])
        assert server.get("/health").status == 200
        assert w.send(tail[at:]).reply().status == 400


@pytest.mark.parametrize("trailers", [1, 16])
def test_trailers_are_refused_and_use_up_nothing(server, session, trailers):
    """They could name a Host, and would take the room of the reply in libmicrohttpd's pool."""
    body = json.dumps(session.plain("x")).encode()
    before = server.post("/encrypt", session.plain("x")).json()["message_number"]
    sent = b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, b"Host: evil.example\r\n" * trailers)
    with Wire(server) as w:
        assert w.send(head("POST", "/encrypt", JSON, "Transfer-Encoding: chunked") + sent).reply().status == 400
    assert server.post("/encrypt", session.plain("x")).json()["message_number"] == before + 1


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_requests_in_small_pieces(server, session, pieces):
    data = post("/encrypt", session.plain("x"))
    with Wire(server) as w:
        for at in range(0, len(data), pieces):
            w.send(data[at:at + pieces])
        assert session.open(w.reply().json()) == "x"


# ---- 100-continue ----

def test_expect_100_continue(server, session):
    body = json.dumps(session.plain("x")).encode()
    for how, sent in ((f"Content-Length: {len(body)}", body), ("Transfer-Encoding: chunked", chunked(body, 50))):
        with Wire(server) as w:
            w.send(head("POST", "/encrypt", JSON, how, "Expect: 100-continue"))
            assert w.reply().status == 100
            assert session.open(w.send(sent).reply().json()) == "x"
            assert w.closed() if how.startswith("T") else w.send(head()).reply().status == 200


@pytest.mark.parametrize("lines, status", [
    ((JSON, f"Content-Length: {1 << 30}"), 413), ((JSON, "Content-Length: 5", "Origin: null"), 403),
    (("Content-Type: text/plain", "Content-Length: 5"), 415), ((JSON, "Content-Length: 5", "Content-Encoding: gzip"), 415),
])
def test_a_body_that_would_be_refused_is_not_asked_for(server, lines, status):
    with Wire(server) as w:
        reply = w.send(head("POST", "/encrypt", *lines, "Expect: 100-continue")).reply()
        assert reply.status == status
        assert w.closed()


@pytest.mark.parametrize("method, path, status", [("POST", "/nowhere", 404), ("PUT", "/encrypt", 405)])
def test_a_body_for_nobody_is_not_asked_for(server, method, path, status):
    with Wire(server) as w:
        w.send(head(method, path, JSON, "Content-Length: 5", "Expect: 100-continue"))
        assert w.reply().status == status
        assert w.closed()


# ---- clients that close their half ----

REPEAT = 200


@pytest.fixture(scope="module")
def public_key():
    """RSA-8192, whose other half nobody has."""
    n = (3 << 8190) + 0x1234567
    return rsa.RSAPublicNumbers(65537, n).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def late_server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("late"), settings={"nsm_rate": 100000, "nsm_burst": 100000, "idle_timeout": 5}).start()
    yield s
    s.stop()


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("what", ["quick", "committed", "nsm", "worker", "heavy"])
def test_a_half_closed_client_gets_its_reply(late_server, user, public_key, what, parts):
    s = late_server
    session = UserSession(s, user)
    request = {
        "quick": lambda: head(),
        "committed": lambda: post("/encrypt", session.plain("x")),
        "nsm": lambda: head("GET", "/attestation?nonce=ab"),
        "worker": lambda: post("/key-exchange", {"user_public_key": public_key}),
        "heavy": lambda: post("/attestation", {"custom_data": "x" * (1 << 20)}),
    }[what]()
    for i in range(REPEAT // PATIENCE // (4 if (what, parts) == ("heavy", 2) else 1)):
        with Wire(s) as w:
            if parts == 1:
                w.send(request)
            else:
                cut = (i * 37) % len(request)
                w.send(request[:cut]).send(request[cut:])
            w.half_close()
            assert w.reply().status == 200, i


def test_half_closed_pipelines_are_answered_whole(late_server, user):
    session = UserSession(late_server, user)
    for n in range(1, 51):
        data = head("GET", "/info") + post("/encrypt", session.plain("x"), "Connection: close")
        got = all_replies(late_server.raw(data, half_close=True))
        assert [r.status for r in got] == [200, 200]
        assert got[1].json()["message_number"] == n
