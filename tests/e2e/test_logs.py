"""One line a request, that a machine can read, a client cannot forge, and that holds no secret."""

import json
import re

import pytest
from helpers import UserSession
from helpers.wire import Wire, head, post

TEXT_LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (error|warn|info|debug) (\S+)((?: [a-z_]+=(?:[^\s"=]+|"(?:[^"\\]|\\.)*"))*)')
FIELD = re.compile(r' ([a-z_]+)=([^\s"=]+|"(?:[^"\\]|\\.)*")')
NUMBERS = {"status", "bytes_in", "bytes_out", "us"}
REQUEST_FIELDS = ["method", "route", "reach", "status", "code", "bytes_in", "bytes_out", "us", "outcome"]


def parse(line, form):
    if form == "json":
        event = json.loads(line)
        assert list(event)[:3] == ["time", "level", "event"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"])
        return event
    m = TEXT_LINE.fullmatch(line)
    assert m, line
    fields = {k: json.loads(v) if v.startswith('"') else int(v) if k in NUMBERS else v for k, v in FIELD.findall(m[3])}
    return {"level": m[1], "event": m[2], **fields}


def events(server, form):
    """All that was logged since the start, line by line."""
    lines = server.stderr[server.mark:].split("\n")
    assert lines.pop() == ""
    return [parse(line, form) for line in lines if not line.startswith(("listening on ", "attestd: ATTESTATIONS "))]


@pytest.mark.parametrize("form", ["text", "json"])
def test_one_line_a_request(make_server, tmp_path, user, form):
    s = make_server(settings={"log_format": form, "public_listen": f"unix:{tmp_path}/p"})
    session = UserSession(s, user, at=s.public)
    sent = json.dumps(session.plain("x" * 1000))
    s.post("/encrypt", sent)
    s.delete(f"/sessions/{session.id}")
    s.get("/nowhere?x=y")
    s.request("PUT", "/health", b"12345")
    s.post("/attestation", "{")
    s.raw(head(host=None))
    with Wire(s) as w:
        w.send(post("/encrypt", b"x" * 100)[:-50])
        s.get("/health")
    s.stop()
    lines = [e for e in events(s, form) if e["event"] == "request"]
    for e in lines:
        assert [k for k in e if k not in ("time", "level", "event")] == REQUEST_FIELDS
        assert e["level"] == "info" and e["us"] >= 0
    got = [tuple(e[k] for k in ("method", "route", "reach", "status", "code", "bytes_in", "outcome")) for e in lines]
    assert got == [
        ("POST", "/key-exchange", "public", 200, "ok", got[0][5], "sent"),
        ("POST", "/encrypt", "local", 200, "ok", len(sent), "sent"),
        ("DELETE", "/sessions/{session_id}", "local", 200, "ok", 0, "sent"),
        ("-", "-", "local", 404, "not_found", 0, "sent"),
        ("-", "-", "local", 405, "method_not_allowed", 5, "sent"),
        ("POST", "/attestation", "local", 422, "validation_failed", 1, "sent"),
        ("-", "-", "local", 400, "malformed_request", 0, "sent"),
        ("GET", "/health", "local", 200, "ok", 0, "sent"),
        ("POST", "/encrypt", "local", 0, "ok", 50, "aborted"),
    ]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_logged_even_at_debug(make_server, user, form):
    s = make_server(settings={"log_format": form, "log_level": "debug"})
    plain, nonce, scope = "tell-nobody-plaintext", "tell-nobody-nonce-0123", "tell-nobody-scope"
    session = UserSession(s, user, nonce=nonce, scope=scope)
    sealed = s.post("/encrypt", session.plain(plain)).json()
    message = session.seal(plain)
    for _ in range(2):
        s.post("/decrypt", message)
    assert s.post("/decrypt", {**message, "ciphertext": message["ciphertext"][:-8] + "AAAAAAA="}).status == 409
    s.post("/decrypt", {**session.seal(plain), "ciphertext": "A" * 40})
    s.post("/encrypt", {**session.plain(plain), "scope": "other-scope"})
    s.post("/encrypt", {**session.plain(plain), plain: plain})
    s.post("/encrypt", json.dumps(session.plain(plain))[:-1])
    s.post("/encrypt", b"\xff" + plain.encode())
    s.get(f"/attestation?nonce={nonce}")
    s.get(f"/attestation?nonce={nonce}&{plain}=1")
    s.get(f"/attestation?nonce={nonce}&nonce_encoding=hex")
    s.post("/attestation", {"custom_data": {plain: plain}, "nonce": nonce})
    s.post("/key-exchange", {"user_public_key": user.pem.replace("MII", "MIJ"), "nonce": nonce})
    s.get(f"/sessions/{session.id}/{plain}")
    s.get("/health", headers={"X-Secret": plain, "Cookie": plain, "Authorization": f"Bearer {plain}", "Origin": f"http://{plain}"})
    s.raw(head("GET", f"/{plain} {plain}", f"{plain} : x"))
    s.raw(head("GET", "/" + plain * 1000))
    s.raw(head("GET", "/health", "X: " + plain * 1000))
    with Wire(s) as w:
        w.send(post("/encrypt", session.plain(plain))[:-3])
    s.delete(f"/sessions/{session.id}")
    s.delete(f"/sessions/{session.id}")
    s.stop()
    events(s, form)
    log = s.stderr
    key = session.key
    for secret in (plain, nonce, scope, session.id, session.id[:20], session.id[17:], key.hex(), session.reply["session_key_hash"],
                   session.reply["encrypted_session_key"], sealed["ciphertext"], sealed["iv"], message["ciphertext"], message["iv"],
                   user.pem.split("\n")[1], user.key_hash):
        assert secret not in log, secret
    kek = (s.directory / "kek").read_bytes()
    assert kek.hex() not in log and kek not in log.encode()


FORGED = "\n2026-01-01T00:00:00Z info request method=GET route=/forged\r\x1b[31m\u202e"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("level", ["info", "debug"])
def test_nothing_that_a_client_sends_forges_a_line(make_server, form, level):
    s = make_server(settings={"log_format": form, "log_level": level})
    raw = FORGED.encode()
    for request in (head("GET", b"/" + raw), head("GET", b"/health?" + raw), head(FORGED.encode().decode("latin-1")),
                    head("GET", "/health", b"X: " + raw), head("GET", "/health", raw + b": x"), head("GET", "/health", b"Host: " + raw),
                    head("GET", "/health%0a%0dforged"), head("GET", "/health", b"Origin: http://" + raw),
                    head(host="x" + FORGED), b"GET /health " + raw + b"\r\n\r\n", raw * 20):
        s.raw(request, half_close=True, timeout=1)
    for body in (json.dumps({FORGED: 1}), json.dumps({"nonce": FORGED, "nonce_encoding": FORGED}), FORGED, f'{{"{FORGED}":1}}',
                 json.dumps({"session_id": FORGED, "plaintext": FORGED})):
        s.post("/attestation", body)
        s.post("/encrypt", body)
    s.stop()
    log = (s.directory / "stderr").read_bytes()
    assert all(0x20 <= b < 0x7F or b == 0x0A for b in log)
    for e in events(s, form):
        assert e.get("route") != "/forged"
    assert not re.search(r"^2026-01-01", s.stderr, re.MULTILINE)


@pytest.mark.parametrize("level", ["error", "warn", "info", "debug"])
def test_log_level(make_server, level):
    s = make_server(settings={"log_level": level})
    s.get("/health")
    s.post("/encrypt", "{")
    s.stop()
    seen = {e["level"] for e in events(s, "text")}
    order = ["error", "warn", "info", "debug"]
    assert seen <= set(order[:order.index(level) + 1])
    assert ("info" in seen) == (level in ("info", "debug"))
