"""POST /key-exchange: what is attested, which keys are taken, and that a failure leaves no session behind."""

import base64
import hashlib
import json
import re

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from helpers import User, UserSession

pytestmark = pytest.mark.route("POST /key-exchange")

# (1 << bits / 2) - a and (3 << bits / 2 - 2) - b are primes: making an RSA key of 8192 bits would take a minute.
PRIMES = {2048: (105, 91), 3072: (3453, 721), 4096: (1557, 43), 8192: (2549, 71)}


class KnownUser(User):
    """Somebody whose key is anything but secret."""

    def __init__(self, bits, exponent=65537):
        a, b = PRIMES[bits]
        p, q = (1 << bits // 2) - a, (3 << bits // 2 - 2) - b
        d = pow(exponent, -1, (p - 1) * (q - 1))
        numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p),
                                        rsa.RSAPublicNumbers(exponent, p * q))
        self.key = numbers.private_key()
        assert self.key.key_size == bits


def exchange(server, key, **members):
    return server.post("/key-exchange", {"user_public_key": key, **members})


def active(server):
    count = server.get("/health").json()["active_sessions"]
    assert server.get("/sessions").json()["active_sessions"] == count
    return count


def attested(reply):
    """The claims that the document signs; the reply's own copy must be the same, in the same order."""
    text = base64.b64decode(reply["attestation_document"]["user_data"], validate=True)
    claims = json.loads(text)
    assert list(claims.items()) == list(reply["user_data"].items())
    assert len(text) <= 512
    assert text.startswith(b'{"purpose":"key-exchange",')
    return claims


# ---- what a good reply says ----

FORMS = {
    "spki": lambda u: u.pem,
    "pkcs1": lambda u: u.pkcs1,
    "spki-crlf": lambda u: u.pem.replace("\n", "\r\n"),
    "pkcs1-crlf": lambda u: u.pkcs1.replace("\n", "\r\n"),
    "no-newline-at-the-end": lambda u: u.pem.rstrip("\n"),
    "newlines-at-the-end": lambda u: u.pem + "\n\r\n",
}


@pytest.fixture(scope="module")
def users():
    return {bits: KnownUser(bits) for bits in PRIMES}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bits", PRIMES)
def test_rsa_keys_of_all_sizes_are_taken_in_both_forms(server, users, bits, form):
    u = users[bits]
    reply = exchange(server, FORMS[form](u))
    assert reply.status == 200, reply
    r = reply.json()
    key = u.unwrap(r["encrypted_session_key"])
    assert len(key) == 32
    claims = attested(r)
    for said in (r, claims):
        assert said["session_key_hash"] == hashlib.sha256(key).hexdigest()
        # Of the SubjectPublicKeyInfo, whichever form the key came in.
        assert said["user_key_hash"] == hashlib.sha256(u.spki).hexdigest()
    assert len(base64.b64decode(r["encrypted_session_key"])) == bits // 8


def test_unusual_but_sound_exponents_are_taken(server):
    u = User(exponent=3)
    reply = exchange(server, u.pem)
    assert reply.status == 200, reply
    assert len(u.unwrap(reply.json()["encrypted_session_key"])) == 32


@pytest.mark.smoke
def test_the_reply_is_bound_to_the_attested_claims(server, user):
    r = exchange(server, user.pem).json()
    claims = attested(r)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", r["session_id"])
    assert list(claims) == ["purpose", "timestamp", "agent", "guardrail", "session_id", "session_key_hash",
                            "user_key_hash", "key_exchange_version"]
    assert claims["session_id"] == r["session_id"]
    assert claims["key_exchange_version"] == "1.1"
    assert claims["timestamp"] == r["timestamp"]
    assert r["attestation_document"]["public_key"] is None, "KMS would encrypt to it"
    assert r["attestation_document"]["nonce"] is None
    assert (r["nonce_hex"], r["nonce_encoding"]) == (None, None)
    assert r["expires_in_minutes"] == 60
    assert r["tee_verified"] is False
    assert r["pcr2"] == "2" * 96
    assert r["verification_instructions"]


def test_every_exchange_makes_its_own_id_and_key(server, user):
    made = [UserSession(server, user) for _ in range(20)]
    assert len({s.id for s in made}) == len({s.key for s in made}) == len(made)


def test_the_lifetime_is_told_in_minutes(make_server, user):
    s = make_server(settings={"session_lifetime": "7200"})
    assert exchange(s, user.pem).json()["expires_in_minutes"] == 120


def test_the_public_listener_opens_sessions_too(make_server, user):
    s = make_server(settings={"public_listen": "127.0.0.1:0"})
    opened = UserSession(s, user, at=s.public)
    assert active(s) == 1
    assert s.post("/encrypt", opened.plain("x"), at=s.public).status == 404
    assert s.post("/encrypt", opened.plain("x")).status == 200


# ---- nonce ----

@pytest.mark.parametrize("members, encoding, decoded", [
    ({"nonce": "deadbeef1234abcd"}, "hex", bytes.fromhex("deadbeef1234abcd")),
    ({"nonce": "dGVzdCBub25jZQ=="}, "base64", b"test nonce"),
    ({"nonce": "user-session-123abc"}, "text", b"user-session-123abc"),
    ({"nonce": "deadbeef", "nonce_encoding": "text"}, "text", b"deadbeef"),
    ({"nonce": "text:deadbeef"}, "text", b"deadbeef"),
    ({"nonce": "~" * 512}, "text", b"~" * 512),
])
def test_the_nonce_goes_into_the_document(server, user, members, encoding, decoded):
    r = exchange(server, user.pem, **members).json()
    assert (r["nonce_encoding"], r["nonce_hex"]) == (encoding, decoded.hex())
    assert base64.b64decode(r["attestation_document"]["nonce"], validate=True) == decoded


@pytest.mark.parametrize("members, field", [
    ({"nonce": "===="}, "nonce"),
    ({"nonce": "~" * 513}, "nonce"),
    ({"nonce": "xyz", "nonce_encoding": "hex"}, "nonce"),
    ({"nonce": "abcd", "nonce_encoding": "morse"}, "nonce_encoding"),
    ({"nonce": 7}, "nonce"),
    ({"scope": ""}, "scope"),
    ({"scope": "s" * 65}, "scope"),
    ({"scope": "\u00e9" * 33}, "scope"),  # 66 bytes
    ({"scope": ["chat"]}, "scope"),
    ({"user_public_key": None}, "user_public_key"),
    ({"user_public_key": 5}, "user_public_key"),
    ({"public_key": "x"}, "public_key"),
    ({"custom_data": {}}, "custom_data"),
    ({"include_metadata": False}, "include_metadata"),
])
def test_members_that_are_wrong_or_unknown_are_named(server, user, members, field):
    before = active(server)
    reply = server.post("/key-exchange", {"user_public_key": user.pem, **members})
    assert (reply.status, reply.code) == (422, "validation_failed"), reply
    assert [e["field"] for e in reply.json()["errors"]] == [field]
    assert active(server) == before


def test_the_key_is_required(server):
    reply = server.post("/key-exchange", {"nonce": "abcd"})
    assert reply.status == 422
    assert [e["field"] for e in reply.json()["errors"]] == ["user_public_key"]


def test_optional_members_may_be_null(server, user):
    s = UserSession(server, user, nonce=None, nonce_encoding=None, scope=None)
    assert s.reply["nonce_hex"] is None
    # With a null scope it is a session without one.
    assert server.post("/encrypt", s.plain("x")).status == 200


@pytest.mark.parametrize("scope", ["s", "s" * 64, "\u00e9" * 32, "a\u0000b", "\U0001f512"])
def test_a_scope_has_up_to_64_bytes(server, user, scope):
    s = UserSession(server, user, scope=scope)
    assert server.post("/encrypt", s.plain("x")).status == 200
    assert list(attested(s.reply))[-2:] == ["key_exchange_version", "scope_hash"]
    digest = hashlib.sha256(scope.encode()).hexdigest()
    assert (attested(s.reply)["scope_hash"], s.reply["scope_hash"]) == (digest, digest)


@pytest.mark.parametrize("members", [{}, {"scope": None}])
def test_without_a_scope_none_is_attested(server, user, members):
    s = UserSession(server, user, **members)
    assert "scope_hash" not in s.reply and "scope_hash" not in attested(s.reply)


# ---- keys that are refused ----

def public_pem(n, e, label="RSA PUBLIC KEY"):
    """PKCS#1 of numbers that no library would take."""
    def tlv(tag, body):
        size = bytes([len(body)]) if len(body) < 0x80 else \
            bytes([0x80 | (len(body).bit_length() + 7) // 8]) + len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
        return bytes([tag]) + size + body

    def integer(v):
        return tlv(2, v.to_bytes(v.bit_length() // 8 + 1, "big"))

    text = base64.encodebytes(tlv(0x30, integer(n) + integer(e))).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def private_pem(u, form):
    return u.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def generated(name):
    """A key of another kind, by `cryptography`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, x25519
    from datetime import datetime

    if name == "x509":
        u = User()
        subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "user")])
        made = x509.CertificateBuilder(subject, subject, u.key.public_key(), 1, datetime(2026, 1, 1), datetime(2036, 1, 1))
        return made.sign(u.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    key = {"ec": lambda: ec.generate_private_key(ec.SECP256R1()), "ed25519": ed25519.Ed25519PrivateKey.generate,
           "x25519": x25519.X25519PrivateKey.generate, "dsa": lambda: dsa.generate_private_key(1024)}[name]()
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo).decode()


N = 1 << 2047 | 1  # 2048 bits, odd; nobody factors it to find out that it is no product of two primes

REFUSED = {  # name -> (key made from a sound user, what the reason must speak of)
    "ec": (lambda u: generated("ec"), "EC"),
    "ed25519": (lambda u: generated("ed25519"), "Ed25519"),
    "x25519": (lambda u: generated("x25519"), "X25519"),
    "dsa": (lambda u: generated("dsa"), "DSA"),
    "x509": (lambda u: generated("x509"), "certificate"),
    "private-pkcs8": (lambda u: private_pem(u, serialization.PrivateFormat.PKCS8), "private"),
    "private-pkcs1": (lambda u: private_pem(u, serialization.PrivateFormat.TraditionalOpenSSL), "private"),
    "1024-bits": (lambda u: User(1024).pem, "1024"),
    "2047-bits": (lambda u: public_pem(N >> 1 | 1, 65537), "2047"),
    "8193-bits": (lambda u: public_pem(1 << 8192 | 1, 65537), "8193"),
    "even-modulus": (lambda u: public_pem(N - 1, 65537), "modulus"),
    "exponent-1": (lambda u: public_pem(N, 1), "exponent"),
    "exponent-2": (lambda u: public_pem(N, 2), "even"),
    "exponent-65536": (lambda u: public_pem(N, 65536), "even"),
    "exponent-65-bits": (lambda u: public_pem(N, 1 << 64 | 1), "64 bits"),
    "wrong-label": (lambda u: public_pem(N, 65537, label="PUBLIC KEY"), "SubjectPublicKeyInfo"),
    "truncated": (lambda u: u.pem[:200], "END"),
    "truncated-inside": (lambda u: re.sub(r"\n[^\n]+\n-----END", "\n-----END", u.pem), "DER"),
    "a-line-missing": (lambda u: "\n".join(u.pem.split("\n")[:2] + u.pem.split("\n")[3:]), "DER"),
    "two-keys": (lambda u: u.pem + u.pem, "one"),
    "text-before": (lambda u: "my key:\n" + u.pem, "before"),
    "text-behind": (lambda u: u.pem + "thank you", "after"),
    "openssh": (lambda u: u.key.public_key().public_bytes(serialization.Encoding.OpenSSH,
                                                          serialization.PublicFormat.OpenSSH).decode(), "ssh-keygen"),
    "der-in-base64": (lambda u: base64.b64encode(u.spki).decode(), "PEM"),
    "escaped-newlines": (lambda u: u.pem.replace("\n", "\\n"), "backslash"),
    "1-MiB": (lambda u: u.pem.replace("-----END", "A" * (1 << 20) + "\n-----END"), "at most"),
    "1-MiB-of-nothing": (lambda u: " " * (1 << 20), "at most"),
    "no-key": (lambda u: "hello", "PEM"),
    "empty": (lambda u: "", "empty"),
    "nul": (lambda u: u.pem.replace("\n", "\x00\n"), "BEGIN"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_keys_are_refused_with_a_reason(server, user, name):
    make, reason = REFUSED[name]
    before = active(server)
    key = make(user)
    assert key != user.pem
    reply = exchange(server, key)
    assert (reply.status, reply.code) == (400, "invalid_public_key"), reply
    detail = reply.json()["detail"]
    assert reason in detail and len(detail.split()) >= 5, detail
    assert active(server) == before


def test_the_largest_body_of_the_public_listener(make_server, user):
    s = make_server(settings={"public_listen": "127.0.0.1:0"})
    body = json.dumps({"user_public_key": user.pem}).encode()
    assert s.post("/key-exchange", body + b" " * (65536 - len(body)), at=s.public).status == 200
    reply = s.post("/key-exchange", body + b" " * (65537 - len(body)), at=s.public)
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert active(s) == 1


def test_a_hundred_failures_leave_no_session_behind(make_server, user):
    s = make_server(settings={"nsm_burst": "1000"})
    opened = UserSession(s, user)
    bad = [make(user) for make, _ in REFUSED.values() if len(make(user)) < 100000]
    bodies = [{"user_public_key": key} for key in bad] + [{}, {"user_public_key": user.pem, "nonce": "===="}]
    for i in range(100):
        assert s.post("/key-exchange", bodies[i % len(bodies)]).status in (400, 422)
    assert active(s) == 1
    assert s.post("/encrypt", opened.plain("still here")).json()["message_number"] == 1
    s.restart()
    assert active(s) == 1
