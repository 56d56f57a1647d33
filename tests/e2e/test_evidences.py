"""GET /evidences/: the certificate of the connection that asks is the attested one, and anybody can check it."""

import base64
import hashlib
import json
import re
import shutil
import signal
import subprocess

import pytest
from helpers.document import Document
from helpers.proxy import poll
from helpers.server import BUILD, PATIENCE, RUNNER, clean_environment
from helpers.simulated import Simulated, check_schema
from helpers.tls import Pair, TlsWire, context, dial, spki_hash
from helpers.wire import head, metric

TLS = {"tls_listen": "127.0.0.1:0"}
NONCE = "a5" * 32


@pytest.fixture(scope="module")
def enclave(tmp_path_factory):
    s = Simulated(tmp_path_factory.mktemp("enclave"), settings={**TLS, "public_listen": "127.0.0.1:0"}).start()
    yield s
    s.stop()


def verify(root, reply, *flags):
    """What `attestd verify --json` says of the reply."""
    run = subprocess.run([*RUNNER, BUILD / "attestd", "verify", "--json", "--root", root, *flags, "-"], input=json.dumps(reply).encode(),
                         capture_output=True, timeout=60 * PATIENCE, env=clean_environment(), check=False)
    verdict = json.loads(run.stdout)
    check_schema(verdict)
    assert run.returncode == (0 if verdict["verified"] else 1)
    return verdict


def pem_der(text):
    assert re.fullmatch(r"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n", text)
    return base64.b64decode("".join(text.split("\n")[1:-2]))


@pytest.mark.smoke
@pytest.mark.route("GET /evidences/")
def test_the_certificate_of_this_connection_is_attested(enclave):
    with TlsWire(enclave) as w:
        reply = w.send(head("GET", f"/evidences/?nonce={NONCE}")).reply()
        der = w.socket.getpeercert(True)
    assert reply.status == 200 and reply.type == "application/json"
    told = reply.json()
    assert pem_der(told["certificate"]) == der
    want = {"tls_cert_hash": hashlib.sha256(der).hexdigest(), "tls_spki_hash": spki_hash(der), "key_origin": "memory"}
    assert {k: told[k] for k in want} == want
    document = Document(base64.b64decode(told["attestation_document"]["document"]))
    document.check_by_openssl(enclave.root)
    claims = json.loads(document.payload["user_data"])
    assert list(claims) == ["purpose", "timestamp", "agent", "guardrail", *want]
    assert claims["purpose"] == "tls" and {k: claims[k] for k in want} == want
    assert document.payload["nonce"] == bytes.fromhex(NONCE) and told["nonce_encoding"] == "hex"
    assert document.payload["public_key"] is None


def test_each_request_has_a_document_of_its_own(enclave):
    with TlsWire(enclave) as w:
        made = [w.send(head("GET", "/evidences/")).reply().json()["attestation_document"]["document"] for _ in range(3)]
    assert len(set(made)) == 3


def test_attestd_verifies_it(enclave):
    reply = enclave.get(f"/evidences/?nonce={NONCE}", at=enclave.tls).json()
    verdict = verify(enclave.root, reply, "--nonce", NONCE, "--purpose", "tls")
    assert verdict["verified"] and verdict["purpose"] == "tls" and verdict["claims"]["key_origin"] == "memory"
    assert verify(enclave.root, reply, "--purpose", "attestation")["code"] == "purpose_mismatch"
    other = enclave.get("/evidences/", at=enclave.tls).json()
    assert other["certificate"] == reply["certificate"]


@pytest.mark.parametrize("member", ["certificate", "tls_cert_hash", "tls_spki_hash", "key_origin"])
def test_a_reply_that_was_altered_is_told(enclave, tmp_path, member):
    reply = enclave.get("/evidences/", at=enclave.tls).json()
    pair = Pair(tmp_path / "pair")
    lies = {"certificate": pair.cert_file.read_text(), "tls_cert_hash": pair.hash, "tls_spki_hash": "0" * 64, "key_origin": "file"}
    verdict = verify(enclave.root, {**reply, member: lies[member]})
    assert (verdict["code"], verdict["field"]) == ("reply_mismatch", member)
    assert verify(enclave.root, {k: v for k, v in reply.items() if k != member})["verified"]  # what is not said is no lie
    assert verify(enclave.root, {**reply, "metadata": {}})["code"] == "reply_mismatch"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command here")
def test_the_commands_in_its_instructions_are_true(enclave):
    told = enclave.get("/evidences/", at=enclave.tls).json()
    steps = " ".join(told["verification_instructions"]["steps"])
    commands = re.findall(r"openssl s_client .*? \| sha256sum", steps)
    assert len(commands) == 2
    at = enclave.tls.removeprefix("https://")
    said = [subprocess.run(["sh", "-c", c.replace("HOST:PORT", at)], capture_output=True, text=True, timeout=60 * PATIENCE, check=True).stdout
            for c in commands]
    assert [s.split()[0] for s in said] == [told["tls_cert_hash"], told["tls_spki_hash"]]


def test_an_old_connection_s_evidence_is_of_its_own_certificate_after_a_renewal(make_server):
    s = make_server(settings=TLS)
    with TlsWire(s) as old:
        first = old.send(head("GET", "/evidences/")).reply().json()
        mark = len(s.stderr)
        s.send_signal(signal.SIGHUP)
        poll(lambda: "tls_renewed" in s.stderr[mark:])
        with TlsWire(s) as new:
            assert new.hash != old.hash
            assert new.send(head("GET", "/evidences/")).reply().json()["tls_cert_hash"] == new.hash
        again = old.send(head("GET", "/evidences/")).reply().json()
        assert again["tls_cert_hash"] == again["user_data"]["tls_cert_hash"] == first["tls_cert_hash"] == old.hash
        assert again["certificate"] == first["certificate"]


def test_a_key_from_a_file_is_marked(tmp_path):
    pair = Pair(tmp_path / "pair", "rsa2048")
    s = Simulated(tmp_path / "s", settings={**TLS, **pair.settings}).start()
    try:
        reply = s.get("/evidences/", at=s.tls).json()
        assert reply["key_origin"] == "file" and reply["tls_cert_hash"] == pair.hash
        assert verify(s.root, reply)["claims"]["key_origin"] == "file"
    finally:
        s.stop()


def test_it_is_there_on_tls_alone_and_exactly(enclave):
    for at in (enclave.local, enclave.public):
        reply = enclave.get("/evidences/", at=at)
        assert (reply.status, reply.code) == (404, "not_found")
    for path in ("/evidences", "/evidences//", "/evidences/x", "/Evidences/", "/evidences%2F"):
        assert enclave.get(path, at=enclave.tls).status == 404, path
    reply = enclave.request("DELETE", "/evidences/", at=enclave.tls)
    assert reply.status == 405 and reply.headers["Allow"] == "GET, HEAD"
    assert enclave.request("HEAD", "/evidences/", at=enclave.tls).status == 200


@pytest.mark.parametrize("query, field", [("nounce=1", "query"), ("nonce=%3D", "nonce"), ("nonce=a&nonce=b", "nonce"), ("nonce_encoding=x", "nonce_encoding"),
                                          ("include_metadata=false", "query"), ("nonce=" + "61" * 513, "nonce")])
def test_queries_that_are_refused(enclave, query, field):
    reply = enclave.get(f"/evidences/?{query}", at=enclave.tls)
    assert reply.status == 422 and reply.json()["errors"][0]["field"] == field


def test_nonces_have_the_encodings_of_other_attestations(enclave):
    for query, encoding, value in (("nonce=text:hello", "text", b"hello"), ("nonce=aGVsbG8=", "base64", b"hello"),
                                   ("nonce=abcd&nonce_encoding=text", "text", b"abcd"), ("nonce=" + "61" * 512, "hex", b"a" * 512)):
        reply = enclave.get(f"/evidences/?{query}", at=enclave.tls).json()
        assert (reply["nonce_encoding"], bytes.fromhex(reply["nonce_hex"])) == (encoding, value)


def test_it_is_within_the_budget_of_its_reach(make_server):
    s = make_server(settings={**TLS, "nsm_rate": 1, "nsm_burst": 3})
    with TlsWire(s) as w:
        got = [w.send(head("GET", "/evidences/")).reply() for _ in range(6)]
    assert [r.status for r in got[:3]] == [200] * 3
    late = [r for r in got if r.status == 429]
    assert late and all(r.code == "rate_limited" and int(r.headers["Retry-After"]) >= 1 for r in late)
    assert s.get("/attestation").status == 200  # local callers have their own
    assert metric(s, "nsm_refused_total", reach="tls") >= len(late)


def test_a_broken_metadata_file_is_no_matter(make_server, tmp_path):
    (tmp_path / "m").write_text("[")
    s = make_server(settings={**TLS, "metadata_file": tmp_path / "m"})
    assert s.get("/attestation").status == 503
    assert s.get("/evidences/", at=s.tls).status == 200


def test_the_dummy_proves_nothing_and_says_so(make_server):
    s = make_server(settings=TLS)
    reply = s.get("/evidences/", at=s.tls).json()
    assert reply["tee_verified"] is False and "DUMMY" in reply["_warning"]
    assert "document" not in reply["attestation_document"]


def test_a_client_certificate_changes_nothing(enclave, tmp_path):
    pair = Pair(tmp_path / "client")
    with dial(enclave, context(certificate=(pair.cert_file, pair.key_file))) as s:
        s.sendall(head("GET", "/evidences/", "Connection: close"))
        got = b""
        while more := s.recv(65536):
            got += more
    assert b'"key_origin":"memory"' in got
