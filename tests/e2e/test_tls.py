"""tls_listen: what TLS is spoken there and what is not, and HTTP through it."""

import json
import re
import shutil
import ssl
import subprocess

import pytest
from helpers import UserSession
from helpers.proxy import Proxy
from helpers.server import PATIENCE, Server, any_certificate
from helpers.tls import HalfClosing, Pair, TlsWire, context, dial, s_client
from helpers.wire import head, post

V = ssl.TLSVersion
WEAK = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("secured"), settings={"tls_listen": "127.0.0.1:0"}).start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """A server that speaks TLS 1.2, too, with an RSA key."""
    directory = tmp_path_factory.mktemp("older")
    pair = Pair(directory / "pair", "rsa2048")
    s = Server(directory, settings={"tls_listen": "127.0.0.1:0", "tls_min_version": "1.2", **pair.settings}).start()
    yield s
    s.stop()


# ---- the protocol ----

@pytest.mark.smoke
def test_tls_1_3_is_spoken(secured):
    assert re.fullmatch(r"https://127\.0\.0\.1:[1-9]\d*", secured.tls)
    with dial(secured) as s:
        assert s.version() == "TLSv1.3" and s.compression() is None
        assert s.cipher()[0] in ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
    assert secured.get("/health", at=secured.tls).status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [V.TLSv1, V.TLSv1_1, V.TLSv1_2])
def test_nothing_older_is_spoken(secured, version):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        dial(secured, context(version, version, ciphers=WEAK))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_1_2_is_spoken_only_where_the_configuration_says_so(older):
    with dial(older, context(high=V.TLSv1_2)) as s:
        assert s.version() == "TLSv1.2"
    with dial(older) as s:
        assert s.version() == "TLSv1.3"
    for version in (V.TLSv1, V.TLSv1_1):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            dial(older, context(version, version, ciphers=WEAK))


def test_tls_1_2_takes_suites_with_forward_secrecy_and_authenticated_encryption_alone(older):
    names = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2", WEAK], capture_output=True, text=True, check=True).stdout.strip().split(":")
    names = [n for n in names if not n.startswith(("TLS_", "PSK", "SRP", "DHE-PSK", "ECDHE-PSK", "RSA-PSK"))]
    assert {"AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES256-GCM-SHA384"} <= set(names)
    taken = set()
    for name in names:
        try:
            with dial(older, context(high=V.TLSv1_2, ciphers=f"{name}:@SECLEVEL=0")):
                taken.add(name)
        except (ssl.SSLError, ConnectionError):
            pass
    assert taken == {"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"}


def test_nothing_is_renegotiated_or_compressed(older):
    said = s_client(older, "-tls1_2", send=b"R\n")
    assert "no renegotiation" in said.partition("RENEGOTIATING")[2], said
    assert "Compression: NONE" in said
    assert said.count("-----BEGIN CERTIFICATE-----") == 1


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_no_session_is_resumed(older, tmp_path, version):
    kept = tmp_path / "session"
    said = s_client(older, version, "-reconnect", send=b"")
    assert "Reused" not in said and said.count("New, TLSv1") >= 1
    said = s_client(older, version, "-sess_out", str(kept), "-ign_eof", send=head("GET", "/health", "Connection: close"))
    assert '"healthy"' in said and "New Session Ticket" not in said
    if kept.exists():
        said = s_client(older, version, "-sess_in", str(kept), send=b"")
        assert "Reused" not in said and "New, TLSv1" in said


def test_http_1_1_is_chosen_and_a_client_without_it_is_refused(secured):
    for offered in (["http/1.1"], ["h2", "http/1.1"], ["spdy/3", "http/1.1", "h2"]):
        with dial(secured, context(alpn=offered)) as s:
            assert s.selected_alpn_protocol() == "http/1.1"
    with dial(secured) as s:
        assert s.selected_alpn_protocol() is None
    for offered in (["h2"], ["http/1.0"], ["http/1.1x"]):
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            dial(secured, context(alpn=offered))


def test_plain_http_gets_no_answer(secured):
    for sent in (head(), b"GET", b"\x16\x03\x01" + b"x" * 600, b"\x80" * 100, b"\n"):
        assert not secured.raw(sent, at=secured.tls, half_close=True).startswith(b"HTTP")
    assert secured.get("/health", at=secured.tls).status == 200


# ---- HTTP through it ----

def test_a_thousand_requests_on_one_connection(secured):
    with TlsWire(secured) as w:
        for _ in range(1000 // PATIENCE):
            assert w.send(head()).reply().status == 200
        for _ in range(20):  # and several at once
            w.send(head() * 5)
            assert [w.reply().status for _ in range(5)] == [200] * 5


def test_a_request_in_pieces_and_records_of_one_byte(secured):
    with TlsWire(secured) as w:
        for b in head():
            w.send(bytes([b]))
        assert w.reply().status == 200


def test_large_bodies_both_ways(make_server, tmp_path):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "private_data_max_body": 8 << 20})
    body = bytes(range(256)) * (8 << 12)
    kept = s.post("/private-data", body, headers={"Content-Type": "x/y"}, at=s.tls)
    assert kept.status == 201, kept
    reply = s.get("/private-data", at=s.tls)
    assert reply.body == body and reply.headers["Content-Type"] == "x/y"
    reply = s.post("/private-data", body + b"x", at=s.tls)
    assert (reply.status, reply.code) == (413, "body_too_large")
    reply = s.post("/key-exchange", b" " * 65537, at=s.tls)  # as on every listener for outsiders
    assert (reply.status, reply.code) == (413, "body_too_large")


def test_a_client_that_says_it_sends_no_more_gets_its_reply(secured):
    with HalfClosing(secured) as c:
        c.send(head()).say_end()
        assert c.reply().status == 200
        assert c.rest() == b""  # and the server's close_notify


def test_an_end_without_close_notify_is_no_end_of_a_request(make_server):
    """Whoever cuts the connection must not be able to shorten a request."""
    s = make_server(settings={"tls_listen": "127.0.0.1:0"})
    with TlsWire(s) as w:
        w.send(b"POST /private-data HTTP/1.0\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
    assert s.get("/private-data", at=s.tls).status == 404
    with TlsWire(s) as w:
        w.send(b"POST /private-data HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
    assert s.get("/private-data", at=s.tls).status == 404


def test_the_end_of_a_connection_is_said(secured):
    """Without a close_notify dial() makes an error of it."""
    with TlsWire(secured) as w:
        assert w.send(head("GET", "/health", "Connection: close")).reply().status == 200
        assert w.closed()
    with TlsWire(secured) as w:
        assert w.send(b"GET /health HTTP/1.1\r\n\r\n").reply().status == 400
        assert w.closed()


# ---- who may ask, and for what ----

def test_hosts(make_server, tmp_path):
    s = make_server(settings={"tls_listen": "127.0.0.1:0", "allowed_hosts": "enclave.example,10.0.0.7"})
    for host in ("localhost", "127.0.0.1:1", "[::1]:443", "enclave.example", "Enclave.Example:443", "10.0.0.7"):
        assert s.get("/health", at=s.tls, headers={"Host": host}).status == 200, host
    for host in ("evil.example", "enclave.example.evil", "nclave.example", "enclave.exampl", "10.0.0.70", "enclave.example,10.0.0.7"):
        assert s.get("/health", at=s.tls, headers={"Host": host}).status in (400, 403), host
    assert s.get("/health", headers={"Host": "enclave.example"}).status == 403  # not on listen
    assert s.get("/health", at=s.tls, headers={"Host": "enclave.example", "Origin": "https://evil.example"}).status == 403


def test_on_a_unix_socket(make_server, tmp_path):
    s = make_server(settings={"tls_listen": f"unix:{tmp_path}/tls.sock"})
    assert s.tls == f"unix:{tmp_path}/tls.sock"
    assert s.get("/health", at=s.tls, headers={"Host": "any.example"}).status == 200
    assert s.get("/sessions", at=s.tls).status == 404


SEED = """
curl -k -XPOST https://localhost:{port}/private-data -d '{{"hello":"world"}}' -H 'content-type: application/json'
curl -k https://localhost:{port}/private-data
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_commands_that_people_know_work_through_the_proxy(make_server, tmp_path):
    """TLS on a Unix socket in the place of vsock, the proxy on TCP in front of it."""
    s = make_server(settings={"tls_listen": f"unix:{tmp_path}/tls.sock"})
    proxy = Proxy(tmp_path / "proxy", ("tcp:127.0.0.1:0", f"unix:{tmp_path}/tls.sock")).start()
    try:
        port = proxy.at.rsplit(":", 1)[1]
        stored, got = [subprocess.run(["sh", "-c", line.replace("curl", "curl -s")], capture_output=True, check=True, timeout=60 * PATIENCE).stdout
                       for line in SEED.format(port=port).strip().split("\n")]
    finally:
        proxy.stop()
    assert json.loads(stored)["content_type"] == "application/json"
    assert got == b'{"hello":"world"}'
    s.stop()
    for path in s.directory.iterdir():
        assert b'"hello"' not in path.read_bytes(), path
    assert b'"hello"' not in (tmp_path / "proxy" / "stderr").read_bytes()


def test_a_session_opened_over_tls_serves_local_callers(secured, user):
    session = UserSession(secured, user, at=secured.tls)
    assert secured.post("/encrypt", session.plain("x"), at=secured.tls).status == 404
    assert session.open(secured.post("/encrypt", session.plain("x")).json()) == "x"


def test_requests_over_tls_are_guarded_as_others_are(secured):
    for bad in (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", head("GET", "/health", "Transfer-Encoding: x"),
                post("/key-exchange", b"{}", "Content-Length: 3")):
        with TlsWire(secured, any_certificate()) as w:
            assert w.send(bad).reply().status == 400
