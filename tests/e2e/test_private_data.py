"""/private-data: what is stored comes back to whoever stored it, exactly, and to nobody else."""

import json
import os
import re
import socket
import subprocess
import threading
import time
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from helpers import Server
from helpers.caller import Caller
from helpers.proxy import poll
from helpers.wire import head

SECRET = b"the treasure is buried under the third palm tree"
ID = re.compile(r"[A-Za-z0-9_-]{22}")
NO_ID = "A" * 22


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """A server whose private data the tests of this module share; each has identities of its own."""
    s = Server(tmp_path_factory.mktemp("private"), settings={"tls_listen": "127.0.0.1:0"}).start()
    yield s
    s.stop()


@pytest.fixture
def make_private(make_server):
    """Makes a server of a test's own: make_private(key=value, ...)."""
    return lambda **more: make_server(settings={"tls_listen": "127.0.0.1:0", **more})


@pytest.fixture
def alice(private, tmp_path):
    return Caller(private, tmp_path / "alice")


@pytest.fixture
def bob(private, tmp_path):
    return Caller(private, tmp_path / "bob")


# ---- storing and reading ----

@pytest.mark.smoke
@pytest.mark.route("POST /private-data", "GET /private-data")
def test_two_curl_commands_without_a_certificate(private):
    """On a development server."""
    url = private.tls + "/private-data"
    curl = ["curl", "-sk", "--max-time", "60", url]
    stored = subprocess.run([*curl, "-XPOST", "-d", '{"hello":"world"}', "-H", "content-type: application/json"],
                            capture_output=True, check=True)
    assert json.loads(stored.stdout)["content_type"] == "application/json"
    assert subprocess.run(curl, capture_output=True, check=True).stdout == b'{"hello":"world"}'


def test_curl_with_a_certificate(private, alice):
    curl = ["curl", "-sk", "--max-time", "60", "--cert", alice.cert_file, "--key", alice.key_file, private.tls + "/private-data"]
    stored = subprocess.run([*curl, "--data-binary", "@-"], input=SECRET, capture_output=True, check=True)
    assert json.loads(stored.stdout)["identity_hash"] == alice.identity
    assert subprocess.run(curl, capture_output=True, check=True).stdout == SECRET


@pytest.mark.parametrize("body", [b"", b"\0", b"a\0b\r\n\xff", os.urandom(262145), os.urandom(1 << 20)], ids=len)
@pytest.mark.parametrize("kind", ["application/octet-stream", 'text/plain; charset="utf-8"', "image/svg+xml"])
def test_a_body_of_any_type_comes_back_exactly(alice, body, kind):
    stored = alice.store(body, kind)
    assert stored.status == 201 and stored.type == "application/json"
    told = stored.json()
    assert ID.fullmatch(told.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told.pop("created"))
    assert told == {"size": len(body), "content_type": kind, "identity": "certificate", "identity_hash": alice.identity}
    for reply in (alice.get(), alice.get(stored.json()["id"])):
        assert reply.status == 200
        assert reply.headers.get_all("Content-Type") == [kind]
        assert reply.body == body
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"


def test_a_body_without_a_type_is_a_stream_of_bytes(alice):
    stored = alice.request("POST", "/private-data", SECRET, headers={"Content-Type": None})
    assert stored.json()["content_type"] == "application/octet-stream"
    assert alice.get().type == "application/octet-stream"


def test_a_chunked_body_and_a_kept_connection(alice):
    with closing(alice.http()) as c:
        for i in range(3):
            chunks = [b"piece %d " % i, SECRET * 10000, b"end"]
            c.request("POST", "/private-data", iter(chunks), {"Content-Type": "a/b"}, encode_chunked=True)
            reply = c.getresponse()
            assert reply.status == 201, reply.read()
            reply.read()
            assert alice.request("GET", "/private-data", connection=c).body == b"".join(chunks)


@pytest.mark.route("GET /private-data/{id}")
def test_the_latest_and_each_by_its_id(alice):
    ids = [alice.kept(b"%d" % i) for i in range(5)]
    assert len(set(ids)) == 5
    assert alice.get().body == b"4"
    assert [alice.get(i).body for i in ids] == [b"%d" % i for i in range(5)]


@pytest.mark.route("DELETE /private-data/{id}")
def test_what_is_deleted_is_gone(alice):
    first, second = alice.kept(b"first"), alice.kept(b"second")
    reply = alice.delete(second)
    assert (reply.status, reply.json()) == (200, {"id": second, "deleted": True})
    for again in (alice.delete(second), alice.get(second)):
        assert (again.status, again.code) == (404, "not_found")
    assert alice.get().body == b"first"
    assert alice.delete(first).status == 200
    assert (alice.get().status, alice.get().code) == (404, "not_found")


def test_head_tells_without_the_body(alice):
    ident = alice.kept(SECRET, "text/plain")
    for path in ("/private-data", f"/private-data/{ident}"):
        reply = alice.request("HEAD", path)
        assert (reply.status, reply.type, reply.body) == (200, "text/plain", b"")
        assert reply.headers["Content-Length"] == str(len(SECRET))


@pytest.mark.parametrize("kind", ["text", "text/", "/plain", "text/plain/x", "text plain", "text/plain, a/b", "text/h\xe4", "text/plain;\tx"])
def test_a_content_type_that_is_none_is_refused(alice, kind):
    reply = alice.store(b"x", kind.encode("latin-1"))
    assert (reply.status, reply.code) == (422, "validation_failed")
    assert reply.json()["errors"][0]["field"] == "Content-Type"
    assert alice.get().code == "not_found"


def test_a_content_type_has_a_longest_form(alice):
    longest = "text/" + "x" * 123
    assert alice.store(b"x", longest).status == 201
    assert alice.get().headers["Content-Type"] == longest
    for more in (1, 1000):
        reply = alice.store(b"x", longest + more * "x")
        assert (reply.status, reply.code) == (422, "validation_failed")
        assert reply.json()["errors"][0]["field"] == "Content-Type"
    assert alice.get().headers["Content-Type"] == longest


def test_a_page_that_was_stored_is_not_run_in_a_browser(alice):
    alice.kept(b"<script>alert(1)</script>", "text/html")
    reply = alice.get()
    assert reply.type == "text/html"
    assert reply.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


# ---- whose it is ----

def test_others_ids_are_like_none(alice, bob):
    ident = alice.kept(SECRET)
    known = {(r.status, r.body) for r in (bob.get(ident), bob.get(NO_ID), bob.delete(ident), bob.delete(NO_ID))}
    assert len(known) == 1 and known.pop()[0] == 404
    assert bob.get().code == "not_found"
    assert Caller(alice.server).get(ident).code == "not_found"
    assert alice.get(ident).body == SECRET


@pytest.mark.parametrize("ident", ["A", "A" * 21, "A" * 23, "A" * 4000, "'%20OR%201=1", "..", "A" * 21 + "=", "A" * 21 + "+", "%00" * 22])
def test_what_is_no_id_is_not_found(alice, ident):
    alice.kept(SECRET)
    for reply in (alice.get(ident), alice.delete(ident)):
        assert (reply.status, reply.code) == (404, "not_found")


def test_the_key_is_the_identity_and_not_the_certificate(private, alice, tmp_path):
    ident = alice.kept(SECRET)
    renewed = Caller(private, tmp_path / "renewed", key=alice.key)
    assert renewed.cert_file.read_bytes() != alice.cert_file.read_bytes()
    assert renewed.get(ident).body == SECRET


@pytest.mark.parametrize("make", [lambda: ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate,
                                  lambda: rsa.generate_private_key(65537, 2048)], ids=["P-384", "Ed25519", "RSA-2048"])
def test_any_sound_key_is_an_identity(private, tmp_path, make):
    caller = Caller(private, tmp_path / "caller", key=make())
    assert caller.store(b"x").json()["identity_hash"] == caller.identity


def test_callers_without_a_certificate_share_one_identity_in_development(private, alice):
    alice.kept(b"hers")
    one, other = Caller(private), Caller(private)
    told = one.store(SECRET).json()
    assert (told["identity"], told["identity_hash"]) == ("anonymous", None)
    assert other.get(told["id"]).body == SECRET
    assert other.get().body == SECRET
    assert alice.get().body == b"hers"
    assert other.delete(told["id"]).status == 200


def test_a_certificate_is_asked_for_where_there_is_no_such_identity(make_private, tmp_path):
    s = make_private(private_data_anonymous="false")
    nobody, alice = Caller(s), Caller(s, tmp_path / "alice")
    for reply in (nobody.store(b"x"), nobody.get(), nobody.get(NO_ID), nobody.delete(NO_ID)):
        assert (reply.status, reply.code) == (401, "identity_missing")
        assert "--cert" in reply.json()["detail"]
    assert alice.kept(b"x")


def test_it_is_on_no_other_listener(make_server, tmp_path):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "public_listen": f"unix:{tmp_path}/public"})
    for at in (s.local, s.public):
        for method, path in (("POST", "/private-data"), ("GET", "/private-data"), ("GET", f"/private-data/{NO_ID}"),
                             ("DELETE", f"/private-data/{NO_ID}")):
            assert s.request(method, path, b"{}" if method == "POST" else None, at=at).code == "not_found"


# ---- how much ----

def test_a_body_has_a_largest_size(make_private, tmp_path):
    s = make_private(private_data_max_body="300000")
    alice = Caller(s, tmp_path / "alice")
    assert alice.store(b"x" * 300000).status == 201
    reply = alice.store(b"x" * 300001)
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert len(alice.get().body) == 300000


def test_quotas_hold_at_the_limit_and_deleting_makes_room(make_private, tmp_path):
    s = make_private(private_data_items=3, private_data_bytes=2048, private_data_total_items=4, private_data_total_bytes=4096)
    alice, bob, carol = (Caller(s, tmp_path / name) for name in ("alice", "bob", "carol"))

    def full(reply, said):
        known = (503, "private_data_full") if said.startswith("All") else (413, "quota_exceeded")
        assert (reply.status, reply.code) == known, reply
        assert said in reply.json()["detail"], reply

    first = alice.kept(b"x" * 2048)
    full(alice.store(b"x"), "This identity has stored 2048 bytes, and may store 2048")
    alice.kept(b"")
    alice.kept(b"")
    full(alice.store(b""), "This identity has stored 3 items, and may store 3")
    bob.kept(b"x")
    full(carol.store(b""), "All identities together may store 4 items")
    assert alice.delete(first).status == 200
    assert carol.kept(b"x" * 2047)
    s.restart()
    full(carol.store(b""), "All identities together may store 4 items")


def test_all_bytes_together_have_a_limit(make_private, tmp_path):
    s = make_private(private_data_bytes=1024, private_data_total_bytes=1536)
    alice, bob = Caller(s, tmp_path / "alice"), Caller(s, tmp_path / "bob")
    alice.kept(b"x" * 1024)
    reply = bob.store(b"x" * 513)
    assert (reply.status, reply.code) == (503, "private_data_full")
    assert "All identities together may store 1536 bytes here, and 513 more do not fit" in reply.json()["detail"]
    bob.kept(b"x" * 512)


def test_operations_have_a_rate_all_identities_together(make_private, tmp_path):
    """Whatever the operation, whosever it is, and however it ends; one second brings one more."""
    s = make_private(private_data_rate=1, private_data_burst=4, private_data_anonymous="false")
    alice, bob, nobody = Caller(s, tmp_path / "alice"), Caller(s, tmp_path / "bob"), Caller(s)
    started = time.monotonic()
    for _ in range(5):
        assert nobody.get().code == "identity_missing"
    done = [lambda: alice.store(b"x"), bob.get, lambda: alice.request("HEAD", "/private-data"), lambda: bob.delete(NO_ID)]
    assert [one().status for one in done] == [201, 404, 200, 404]
    more = [one() for one in done]
    if time.monotonic() - started < 1:
        assert [r.status for r in more] == [429] * 4
        assert (more[0].code, more[0].headers["Retry-After"]) == ("rate_limited", "1")
        assert more[0].json()["detail"] == "More than 1 requests a second came for private data; try again in 1 s."
    poll(lambda: alice.get().status == 200, what="no more operation is taken")


def test_many_at_once_never_pass_the_limit(make_private, tmp_path):
    s = make_private(private_data_items=5)
    alice = Caller(s, tmp_path / "alice")
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(alice.store(os.urandom(300000)).status)) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(replies) == [201] * 5 + [413] * 7


def test_replies_that_nobody_reads_count_against_the_bytes_in_flight(make_private, tmp_path):
    s = make_private(private_data_max_body=8 << 20, tls_inflight=12 << 20)
    alice = Caller(s, tmp_path / "alice")
    body = os.urandom(8 << 20)
    ident = alice.kept(body)
    host, port = s.tls.removeprefix("https://").rsplit(":", 1)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(60)
        plain.connect((host, int(port)))
        with alice.context.wrap_socket(plain) as slow:
            slow.sendall(head("GET", f"/private-data/{ident}"))
            assert slow.recv(1) == b"H"
            reply = alice.get(ident)
            assert (reply.status, reply.code) == (503, "too_many_body_bytes")
            assert reply.headers["Retry-After"] == "1"
            assert s.get("/health").status == 200
    poll(lambda: alice.get(ident).status == 200, what="the room does not come back")
    assert alice.get(ident).body == body
