"""Key pairs that are generated over vsock: what is attested of them, who may use them, and for how long."""

import base64
import concurrent.futures
import hashlib
import json
import os
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from helpers.document import Document
from helpers.server import PATIENCE
from helpers.simulated import Simulated
from helpers.verifier import verify
from helpers.vsock import ask, bad, good, settings
from helpers.wire import metric, post

pytestmark = pytest.mark.route("POST /keys/{key_id}/decrypt")

SIZE, PLAIN_MAX = 384, 318
SHA1, SHA256 = hashes.SHA1(), hashes.SHA256()


def oaep(mgf=SHA256, digest=SHA256, label=None):
    return padding.OAEP(mgf=padding.MGF1(mgf), algorithm=digest, label=label)


class Key:
    """A key pair that a server generated, as the parent and everybody else sees it."""

    def __init__(self, server, **members):
        self.server = server
        self.reply = good(server, command="attest", generate_key=True, **members)
        self.document = Document(base64.b64decode(self.reply["attestation_document"], validate=True))
        self.document.verify()
        self.spki = self.document.payload["public_key"]
        self.public = serialization.load_der_public_key(self.spki)
        self.id = self.reply["key_id"]

    def encrypt(self, plain, how=None):
        return self.public.encrypt(plain, how or oaep())

    def decrypt(self, ciphertext, **more):
        """The reply of the local route, or of what is there on another listener."""
        return decrypt(self.server, self.id, ciphertext, **more)

    def opens(self, plain=b"a message"):
        return self.decrypt(self.encrypt(plain)).status == 200


def decrypt(server, key_id, ciphertext, **more):
    return server.post(f"/keys/{key_id}/decrypt", {"ciphertext": base64.b64encode(ciphertext).decode()}, **more)


def told_alike(replies):
    """All these replies are one, to whoever looks for a difference."""
    lines = {(r.status, r.body, tuple((k, v) for k, v in r.headers.items() if k != "Date")) for r in replies}
    assert len(lines) == 1, lines
    return replies[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keys")
    s = Simulated(directory, settings=settings(directory, public_listen=f"unix:{directory}/public")).start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def key(server):
    return Key(server, user_data="for a key", nonce="a-nonce-of-some-length")


def public(server):
    return server.settings["public_listen"]


@pytest.fixture
def make_keyed(tmp_path):
    """Makes servers that generate keys, with settings of their own."""
    made = []

    def make(**more):
        directory = tmp_path / f"keyed{len(made)}"
        directory.mkdir()
        made.append(Simulated(directory, settings=settings(directory, **more)).start())
        return made[-1]

    yield make
    for s in made:
        s.stop()


def test_the_key_is_attested_and_its_id_is_its_hash(server, key):
    assert key.reply["has_public_key"] is True
    assert key.id == hashlib.sha256(key.spki).hexdigest()
    assert (key.public.key_size, key.public.public_numbers().e) == (8 * SIZE, 65537)
    assert key.document.payload["user_data"] == b"for a key"
    assert key.document.payload["nonce"] == b"a-nonce-of-some-length"
    assert 1 <= key.reply["key_expires_in_seconds"] <= 300
    # Our own verifier has every member of the reply be so.
    run = verify("--root", server.root, "--nonce", "text:a-nonce-of-some-length", "--json", data=json.dumps(key.reply).encode())
    assert run.status == 0, run
    lie = json.dumps({**key.reply, "key_id": hashlib.sha256(b"").hexdigest()}).encode()
    assert verify("--root", server.root, "--json", data=lie).verdict["field"] == "key_id"


def test_there_is_no_key_where_none_was_asked_for(server):
    for members in ({}, {"generate_key": False}, {"generate_key": None}):
        reply = ask(server, command="attest", **members)
        if reply["success"]:
            assert reply["has_public_key"] is False and not {"key_id", "key_expires_in_seconds"} & set(reply)
            assert Document(base64.b64decode(reply["attestation_document"])).payload["public_key"] is None


@pytest.mark.parametrize("n", [0, 1, 64, 65, PLAIN_MAX])
def test_what_is_encrypted_to_the_document_s_key_is_decrypted_locally(key, n):
    plain = os.urandom(n)
    reply = key.decrypt(key.encrypt(plain))
    assert reply.status == 200, reply
    assert reply.json() == {"plaintext": base64.b64encode(plain).decode(), "key_id": key.id}


def test_a_key_is_used_more_than_once_and_by_many_at_a_time(key):
    plains = [b"message %d" % i for i in range(32)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda p: key.decrypt(key.encrypt(p)), plains))
    assert [base64.b64decode(r.json()["plaintext"]) for r in replies] == plains


def test_no_public_route_decrypts(server, key):
    at, ciphertext = public(server), key.encrypt(b"for the enclave alone")
    assert key.decrypt(ciphertext, at=at).code == "not_found"
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        assert server.request(method, f"/keys/{key.id}/decrypt", at=at).status == 404
    assert not any("keys" in e["path"] for e in server.get("/", at=at).json()["endpoints"])
    assert any(e["path"] == "/keys/{key_id}/decrypt" for e in server.get("/").json()["endpoints"])


def test_no_vsock_command_decrypts(server, key):
    ciphertext = base64.b64encode(key.encrypt(b"for the enclave alone")).decode()
    for command in ("decrypt", "key_decrypt", "keys", f"/keys/{key.id}/decrypt", "POST"):
        reply = bad(server, command=command, key_id=key.id, ciphertext=ciphertext)
        assert reply["code"] == "unknown_command" and sorted(reply["available_commands"]) == ["attest", "ping", "status"]
    for command in ("ping", "status", "attest"):
        reply = ask(server, command=command, key_id=key.id, ciphertext=ciphertext)
        assert not {"plaintext", "private_key"} & set(reply), reply
        assert base64.b64encode(b"for the enclave alone").decode() not in json.dumps(reply)
    assert key.opens()


def test_wrong_ciphertexts_are_told_alike(server, key):
    """One answer for all: whoever could tell them apart would open other people's messages (Bleichenbacher, Manger)."""
    numbers, sealed = key.public.public_numbers(), key.encrypt(b"sealed")
    n, c = numbers.n, int.from_bytes(sealed, "big")
    other = Key(server)
    wrong = [
        other.encrypt(b"for another key"),
        bytes([sealed[0]]) + bytes(x ^ 1 for x in sealed[1:2]) + sealed[2:],
        sealed[:-1] + bytes([sealed[-1] ^ 1]),
        key.encrypt(b"otherwise", padding.PKCS1v15()),
        key.encrypt(b"otherwise", oaep(SHA1, SHA1)),
        key.encrypt(b"otherwise", oaep(SHA1, SHA256)),
        key.encrypt(b"otherwise", oaep(SHA256, SHA1)),
        key.encrypt(b"otherwise", oaep(label=b"a label")),
        bytes(SIZE), bytes(SIZE - 1) + b"\1", b"\xff" * SIZE,
        *(x.to_bytes(SIZE, "big") for x in (n - 1, n, n + 1, n >> 1)),
        # Manger's own questions: is the first byte of f * m zero?
        *((c * pow(f, numbers.e, n) % n).to_bytes(SIZE, "big") for f in (2, 3, 255, 256, 257, 1 << 64)),
    ]
    reply = told_alike([key.decrypt(w) for w in wrong])
    assert (reply.status, reply.code) == (400, "decryption_failed") and "RSA-OAEP" in reply.json()["detail"]
    assert key.opens() and other.opens()


@pytest.mark.parametrize("ciphertext", [b"", b"x", b"x" * (SIZE - 1), b"x" * (SIZE + 1), b"x" * (2 * SIZE)])
def test_a_ciphertext_of_another_length_is_said_to_be_one(key, ciphertext):
    reply = key.decrypt(ciphertext)
    assert (reply.status, reply.code) == (422, "validation_failed")
    assert reply.json()["errors"] == [{"field": "ciphertext",
                                       "message": "Must be 384 bytes in padded base64, as RSA-3072 makes them."}]


@pytest.mark.parametrize("body", [
    {}, [], "x", {"ciphertext": None}, {"ciphertext": 1}, {"ciphertext": "=" * 512}, {"ciphertext": "A" * 511 + "="},
    {"ciphertext": "_" * 512}, {"ciphertext": "A" * 512, "key_id": "a" * 64}, {"plaintext": "A" * 512}])
def test_a_body_of_another_form(key, body):
    reply = key.server.post(f"/keys/{key.id}/decrypt", body)
    assert (reply.status, reply.code) == (422, "validation_failed"), reply


def test_unknown_ids_are_told_alike(server, key):
    ids = ["0" * 64, key.id.upper(), key.id[:-1], key.id + "0", "x", "..", "{key_id}", "sha256:" + key.id, key.id + ";",
           key.id[:-1] + ("0" if key.id[-1] != "0" else "1"), "decrypt", "A" * 43]
    assert key.id.upper() != key.id
    sealed = key.encrypt(b"sealed")
    reply = told_alike([decrypt(server, i, sealed) for i in ids])
    assert (reply.status, reply.code) == (404, "key_unknown") and "generate_key" in reply.json()["detail"]
    assert key.opens()


def test_other_paths_are_not_there(server, key):
    body = {"ciphertext": base64.b64encode(key.encrypt(b"sealed")).decode()}
    for path in ("/keys//decrypt", f"/keys/{key.id}/decrypt/", f"/keys/{key.id}", f"/keys/{key.id}/", "/keys/decrypt", "/keys",
                 f"/keys/{key.id}/Decrypt", f"/keys/{key.id}/encrypt", f"/keys/a/{key.id}/decrypt", f"/keys/{key.id}decrypt",
                 f"/keys/{key.id}//decrypt", f"/keys/%{ord(key.id[0]):02x}{key.id[1:]}/decrypt", f"/keys/{key.id}/decrypt/decrypt",
                 f"/keys/{key.id}%2fdecrypt", f"//keys/{key.id}/decrypt", f"/keys/{key.id}/%64ecrypt", f"/x/keys/{key.id}/decrypt"):
        reply = server.post(path, body)
        assert (reply.status, reply.code) == (404, "not_found"), (path, reply)
    reply = server.get(f"/keys/{key.id}/decrypt")
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


def test_those_who_do_not_wait_for_the_answer_leave_nothing_behind(server, key):
    body = {"ciphertext": base64.b64encode(key.encrypt(b"sealed")).decode()}
    for _ in range(30):
        with server.connect() as s:
            s.sendall(post(f"/keys/{key.id}/decrypt", body))
    deadline = time.monotonic() + 20 * PATIENCE
    while metric(server, "worker_queue") > 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert key.opens()


def test_as_many_keys_as_configured_are_kept_and_no_more(make_keyed):
    server = make_keyed(max_keys=2)
    keys = [Key(server), Key(server)]
    for _ in range(2):
        reply = bad(server, command="attest", generate_key=True, code="too_many_keys")
        assert "All 2 generated keys" in reply["error"] and "300 seconds" in reply["error"]
    assert good(server, command="attest")["has_public_key"] is False
    assert all(k.opens() for k in keys) and keys[0].id != keys[1].id


def test_a_restart_forgets_the_keys(make_keyed):
    server = make_keyed()
    old = Key(server)
    ciphertext = old.encrypt(b"to a process that is gone")
    assert old.decrypt(ciphertext).status == 200
    server.restart()
    assert old.decrypt(ciphertext).code == "key_unknown"
    new = Key(server)
    assert new.opens() and new.id != old.id
    assert old.decrypt(ciphertext).code == "key_unknown"
    server.kill()
    server.start()
    assert new.decrypt(new.encrypt(b"x")).code == "key_unknown"


@pytest.mark.slow
def test_a_key_is_gone_when_its_lifetime_ends(make_keyed):
    lifetime = 10  # the shortest that can be configured
    server = make_keyed(key_lifetime=lifetime, max_keys=1)
    begun = time.monotonic()
    key = Key(server)
    assert 1 <= key.reply["key_expires_in_seconds"] <= lifetime
    ciphertext = key.encrypt(b"in time")
    while key.decrypt(ciphertext).status == 200:
        assert time.monotonic() < begun + lifetime + 20 * PATIENCE
        time.sleep(0.1)
    assert time.monotonic() >= begun + lifetime
    reply = told_alike([key.decrypt(ciphertext), decrypt(server, "0" * 64, ciphertext)])
    assert (reply.status, reply.code) == (404, "key_unknown")
    # Its place is free again.
    assert Key(server).opens()
