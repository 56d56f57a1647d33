"""Attested peers, the server's side: reports are exchanged, and whoever proves the right enclave meets it by mutual TLS."""

import base64
import datetime
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from helpers import BUILD, RUNNER, clean_environment
from helpers.document import Document
from helpers.peer_by_hand import Peer, peer_server, spki
from helpers.proxy import poll
from helpers.server import any_certificate
from helpers.simulator import Simulator
from helpers.wire import Wire, head, metric

TOP = Path(__file__).resolve().parents[2]
ROUTES = re.findall(r'^ROUTE\((\w+), "([^"]+)", ([^,]+),', (TOP / "src/api/routes.def").read_text(), re.MULTILINE)
PCR0 = "a77e57d0" * 12


@pytest.fixture(scope="module")
def nsms(tmp_path_factory):
    """Two software NSMs with equal PCRs: the server's and the client's."""
    made = [Simulator(tmp_path_factory.mktemp(name)).start() for name in ("own", "others")]
    yield made
    for s in made:
        s.stop()
        s.remove()


@pytest.fixture(scope="module")
def server(nsms, tmp_path_factory):
    s = peer_server(tmp_path_factory.mktemp("peers"), nsms[0].nsm, nsms[1].root).start()
    yield s
    s.stop()


@pytest.fixture
def peer(server, nsms, tmp_path):
    return Peer(server, nsms[1], tmp_path)


@pytest.fixture
def make_peer(nsms, make_simulator, tmp_path):
    """make_peer("--debug-mode", ..., **settings): a client on a simulator of its own, and a server that trusts its root."""
    made = []

    def make(*args, **settings):
        nsm = make_simulator(*args)
        s = peer_server(tmp_path / f"peers{len(made)}", nsms[0].nsm, nsm.root, **settings)
        made.append(s)
        return Peer(s.start(), nsm, tmp_path)

    yield make
    for s in made:
        s.stop()


def problem(reply, status, code, says, field=None):
    assert (reply.status, reply.code) == (status, code), reply
    assert reply.type == "application/problem+json"
    detail = reply.json()["detail"]
    assert says in detail, detail
    if field is not None:
        assert detail.startswith(f"{field}: "), detail


def refused(reply, says, field=None):
    problem(reply, 403, "peer_refused", says, field)


# ---- all of it ----


@pytest.mark.route("GET /ping", "GET /whoami", "POST /client")
def test_a_client_that_proves_itself_gets_a_certificate_and_a_pong(server, nsms, peer):
    asked = peer.get("/client")
    proven = peer.check_server(nsms[0].root, asked["config_digest"])
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    reply = peer.attest()
    assert reply.status == 200, reply
    reply = reply.json()
    assert set(reply) == {"certificate", "ca_certificate", "expires_in_seconds"}
    assert reply["expires_in_seconds"] == asked["certificate_lifetime_seconds"] == 3600
    assert reply["ca_certificate"] == asked["ca_certificate"]
    peer.issued = x509.load_pem_x509_certificate(reply["certificate"].encode())
    with socket.create_connection(server._target(server.listener("peer_tls_listen"))) as s, \
            peer.context().wrap_socket(s) as tls:
        assert tls.version() == "TLSv1.3"
        assert tls.getpeercert(binary_form=True) == proven.public_bytes(serialization.Encoding.DER)
    pong = peer.meet("/ping")
    assert (pong.status, pong.type, pong.body) == (200, "text/plain", b"pong")
    facts = peer.meet("/whoami").json()
    document = Document(peer.nsm.document(sound=False))
    assert facts.pop("verified_at") >= before.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert facts == {"module_id": document.payload["module_id"],
                     "pcrs": {str(i): v.hex() for i, v in sorted(document.payload["pcrs"].items())},
                     "key_hash": peer.key_hash, "config_digest": asked["config_digest"],
                     "certificate_not_after": peer.issued.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ")}


@pytest.mark.parametrize("key", [
    lambda: ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate,
    lambda: rsa.generate_private_key(65537, 2048)], ids=["P-384", "Ed25519", "RSA-2048"])
def test_other_kinds_of_keys_will_do(server, nsms, tmp_path, key):
    peer = Peer(server, nsms[1], tmp_path, key())
    peer.attested()
    assert peer.meet("/ping").body == b"pong"
    assert peer.meet("/whoami").json()["key_hash"] == peer.key_hash


def test_the_certificate_is_for_a_client_and_for_an_hour_at_most(peer):
    first, again = peer.attested(), peer.attested()
    ca = x509.load_pem_x509_certificate(peer.get("/client")["ca_certificate"].encode())
    ca.public_key().verify(first.signature, first.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    assert spki(first.public_key()) == spki(peer.key.public_key())
    assert first.serial_number != again.serial_number and first.serial_number.bit_length() > 100
    assert first.not_valid_after - datetime.datetime.utcnow() <= datetime.timedelta(hours=1)
    by_name = {e.oid: e for e in first.extensions}
    usage = by_name[x509.ExtendedKeyUsage.oid]
    assert usage.critical and list(usage.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert by_name[x509.BasicConstraints.oid].value.ca is False
    assert by_name[x509.KeyUsage.oid].value.digital_signature and not by_name[x509.KeyUsage.oid].value.key_cert_sign


def test_the_lifetime_of_certificates_is_the_configured_one(make_peer):
    peer = make_peer(peer_cert_lifetime="60")
    assert peer.get("/client")["certificate_lifetime_seconds"] == 60
    assert peer.attested().not_valid_after - datetime.datetime.utcnow() <= datetime.timedelta(seconds=60)


# ---- the server's own report ----


@pytest.mark.route("GET /cert", "POST /report", "GET /report")
def test_a_report_binds_both_keys_the_challenge_and_the_configuration(server, nsms, peer):
    peer.check_server(nsms[0].root, peer.get("/client")["config_digest"])
    challenge = os.urandom(32)
    reply = peer.get(f"/report?challenge={challenge.hex()}&key_hash={peer.key_hash}")
    document = Document(base64.b64decode(reply["attestation_document"]["document"]))
    document.check_by_openssl(nsms[0].root)
    claims = json.loads(document.payload["user_data"])
    assert document.payload["nonce"] == challenge and reply["nonce_hex"] == challenge.hex()
    assert document.payload["public_key"] is None
    assert claims == reply["user_data"] and claims["peer_key_hash"] == peer.key_hash
    assert claims["key_hash"] == peer.cert()[1]
    assert reply["tee_verified"] is False and "SIMULATED" in reply["_warning"]


def test_attestd_verify_agrees_with_the_servers_report(nsms, peer, tmp_path):
    challenge = os.urandom(32).hex()
    shown = tmp_path / "report.json"
    shown.write_text(json.dumps(peer.get(f"/report?challenge={challenge}&key_hash={peer.key_hash}")["attestation_document"]))
    done = subprocess.run([*RUNNER, BUILD / "attestd", "verify", shown, "--root", nsms[0].root, "--purpose", "peer", "--nonce",
                           f"hex:{challenge}", "--pcr", f"0={PCR0}"], capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("body, status, code, says", [
    ({}, 422, "validation_failed", "challenge"),
    ({"challenge": "00" * 31, "public_key": None}, 422, "validation_failed", "public_key"),
    ({"challenge": "00" * 31}, 422, "validation_failed", "64 lower-case hex digits"),
    ({"challenge": "00" * 33}, 422, "validation_failed", "64 lower-case hex digits"),
    ({"challenge": "AB" * 32}, 422, "validation_failed", "64 lower-case hex digits"),
    ({"challenge": "0g" * 32}, 422, "validation_failed", "64 lower-case hex digits"),
    ({"challenge": 5}, 422, "validation_failed", "challenge"),
    ({"challenge": "00" * 32, "public_key": "no key"}, 400, "invalid_public_key", "not PEM"),
    ({"challenge": "00" * 32, "more": 1}, 422, "validation_failed", "more"),
])
def test_a_report_is_asked_for_strictly(peer, body, status, code, says):
    problem(peer.request("POST", "/report", {"public_key": peer.pem, **body}), status, code, says)


@pytest.mark.parametrize("query", ["", "?challenge=" + "0" * 64, "?key_hash=" + "0" * 64, "?challenge=" + "0" * 64 + "&key_hash=" + "A" * 64,
                                   "?challenge=" + "0" * 64 + "&key_hash=" + "0" * 64 + "&more=1"])
def test_a_report_is_asked_for_strictly_in_a_query_too(peer, query):
    problem(peer.request("GET", "/report" + query), 422, "validation_failed", "")


@pytest.mark.parametrize("curve", [ec.SECP521R1(), ec.SECP256K1()])
def test_a_key_that_tls_has_no_use_for_is_refused(server, nsms, tmp_path, curve):
    peer = Peer(server, nsms[1], tmp_path, ec.generate_private_key(curve))
    for reply in (peer.request("POST", "/report", {"challenge": "00" * 32, "public_key": peer.pem}), peer.attest()):
        problem(reply, 400, "invalid_public_key", "must be P-256, P-384, Ed25519, or RSA")


def test_the_nsm_is_asked_within_the_budget_of_peers(make_peer):
    peer = make_peer(nsm_rate="1", nsm_burst="1")
    query = f"/report?challenge={'0' * 64}&key_hash={'0' * 64}"
    replies = [peer.request("GET", query)]
    while replies[-1].status == 200 and len(replies) < 200:
        replies.append(peer.request("GET", query))
    limited = replies[-1]
    problem(limited, 429, "rate_limited", "")
    assert limited.headers["Retry-After"] == "1"
    assert peer.server.get("/health").status == 200 and peer.server.post("/attestation", {}).status == 200


# ---- what the client's report must be ----


@pytest.mark.parametrize("claims, says, field", [
    ({"role": "server"}, "in the role of server", "role"),
    ({"key_hash": "1" * 64}, "another key than the one that came with it", "key_hash"),
    ({"peer_key_hash": "1" * 64}, "another peer than us", "peer_key_hash"),
    ({"config_digest": "1" * 64}, "another configuration", "config_digest"),
    ({"purpose": "attestation", "role": None, "key_hash": None, "peer_key_hash": None, "config_digest": None},
     "(purpose_mismatch)", None),
    ({"purpose": "attestation"}, "(claims_forbidden)", None),
    ({"purpose": "tls", "role": None, "key_hash": None, "peer_key_hash": None, "config_digest": None,
      "tls_cert_hash": "1" * 64, "tls_spki_hash": "1" * 64}, "(purpose_mismatch)", None),
    ({"purpose": "key-exchange", "agent": "a", "guardrail": "g", "role": None, "key_hash": None, "peer_key_hash": None,
      "config_digest": None, "session_id": "A" * 43, "session_key_hash": "1" * 64, "user_key_hash": "1" * 64,
      "key_exchange_version": "1.1"}, "(purpose_mismatch)", None),
    ({"role": None}, "(claims_malformed)", None),
    ({"role": "both"}, "(claims_malformed)", None),
])
def test_a_report_that_says_something_else_is_refused(peer, claims, says, field):
    refused(peer.attest(**claims), says, field)


def test_a_swapped_public_key_is_refused(server, nsms, peer, tmp_path):
    thief = Peer(server, nsms[1], tmp_path)
    refused(peer.send(peer.document(peer.challenge()), thief.pem), "another key than the one that came", "key_hash")


def test_the_servers_own_report_sent_back_to_it_is_refused(peer):
    challenge = peer.challenge().hex()
    own = peer.get(f"/report?challenge={challenge}&key_hash={peer.key_hash}")["attestation_document"]["document"]
    reply = peer.request("POST", "/client", {"attestation_document": own, "public_key": peer.pem})
    refused(reply, "(chain_untrusted)")  # its simulator has another root than the peers'


def test_the_servers_own_report_is_recognised_under_its_own_root(nsms, tmp_path):
    s = peer_server(tmp_path / "mirror", nsms[0].nsm, nsms[0].root).start()
    try:
        peer = Peer(s, nsms[0], tmp_path)
        for key_hash in (peer.key_hash, peer.cert()[1]):
            own = peer.get(f"/report?challenge={peer.challenge().hex()}&key_hash={key_hash}")
            reply = peer.request("POST", "/client", {"attestation_document": own["attestation_document"]["document"],
                                                     "public_key": peer.pem})
            refused(reply, "a report of our own", "role")
        assert peer.attested()
    finally:
        s.stop()


@pytest.mark.parametrize("args, says", [
    (["--pcr", "0=" + "1" * 96], "(pcr_mismatch)"), (["--pcr", "1=" + "1" * 96], "(pcr_mismatch)"),
    (["--pcr", "2=" + "1" * 96], "(pcr_mismatch)"), (["--debug-mode"], "(debug_mode)"),
    (["--fault", "expired"], "(certificate_expired)"), (["--fault", "bad-signature"], "(signature_invalid)"),
    (["--clock-offset", "-400"], "(document_too_old)"), (["--clock-offset", "200"], "(certificate_not_yet_valid)"),
])
def test_another_enclave_is_refused(make_peer, args, says):
    refused(make_peer(*args).attest(), says)


def test_another_root_is_refused(server, peer, make_simulator):
    peer.nsm = make_simulator()
    refused(peer.attest(), "(chain_untrusted)")


# ---- challenges ----


@pytest.mark.route("GET /challenge")
def test_a_challenge_is_new_each_time(peer):
    replies = [peer.get("/challenge") for _ in range(20)]
    assert all(set(r) == {"challenge", "expires_in_seconds"} and r["expires_in_seconds"] == 60 for r in replies)
    assert len({r["challenge"] for r in replies}) == 20 and all(re.fullmatch("[0-9a-f]{64}", r["challenge"]) for r in replies)


def unknown(reply):
    problem(reply, 409, "challenge_unknown", "Ask for a new one")


def test_a_report_and_a_challenge_are_good_for_one_time(peer):
    challenge = peer.challenge()
    document = peer.document(challenge)
    assert peer.send(document).status == 200
    unknown(peer.send(document))
    unknown(peer.send(peer.document(challenge)))
    assert peer.attest().status == 200


def test_a_challenge_that_the_server_did_not_give_is_refused(peer):
    unknown(peer.send(peer.document(os.urandom(32))))
    unknown(peer.send(peer.document(b"short")))
    unknown(peer.send(peer.document(peer.challenge() + b"\0")))
    for i in (0, 7, 8, 15, 16, 31):
        challenge = bytearray(peer.challenge())
        challenge[i] ^= 1
        unknown(peer.send(peer.document(bytes(challenge))))
    unknown(peer.send(peer.document(None)))


def test_a_flood_of_challenges_takes_none_away(peer):
    challenge = peer.challenge()
    for _ in range(1100):
        peer.challenge()
    assert peer.send(peer.document(challenge)).status == 200


def test_a_refused_report_has_used_its_challenge_up_and_no_other(peer):
    challenge, other = peer.challenge(), peer.challenge()
    refused(peer.send(peer.document(challenge, role="server")), "in the role of server")
    unknown(peer.send(peer.document(challenge)))
    assert peer.send(peer.document(other)).status == 200


def test_one_of_many_who_send_the_same_report_at_once_gets_a_certificate(peer):
    document = peer.document(peer.challenge())
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(peer.send(document).status)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(replies) == [200] + [409] * 7


@pytest.mark.parametrize("document, says", [
    ("", "padded base64"), ("no base64", "padded base64"), (base64.b64encode(b"x" * 16385).decode(), "at most 16384 bytes"),
    (base64.b64encode(b"x" * 16384).decode(), "COSE_Sign1"), ("aGVsbG8=", "COSE_Sign1"),
])
def test_what_is_no_document_is_refused(peer, document, says):
    reply = peer.request("POST", "/client", {"attestation_document": document, "public_key": peer.pem})
    problem(reply, 422, "validation_failed", says, "attestation_document")


# ---- what is asked of clients ----


@pytest.mark.route("GET /client")
def test_the_configuration_that_is_asked_for_is_what_config_show_prints(server, nsms, peer):
    sets = [f"--set={k}={v}" for k, v in {**server.settings, "listen": server.listen, "db": server.db, "nsm": server.nsm}.items()]
    shown = subprocess.run([*RUNNER, BUILD / "attestd", "config", "show", "--security", *sets], capture_output=True, check=True,
                           env=clean_environment()).stdout
    asked = peer.get("/client")
    assert set(asked) == {"config_digest", "allowed_pcrs", "certificate_lifetime_seconds", "ca_certificate"}
    assert asked["config_digest"] == hashlib.sha256(shown).hexdigest()
    assert asked["allowed_pcrs"] == {str(i): [f"a77e57d{i}" * 12] for i in range(3)}


def test_a_policy_file_says_who_the_peers_are(make_peer, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"pcrs": {"8": ["2" * 96, "1" * 96]}, "max_age": 60}))
    peer = make_peer("--pcr", "8=" + "1" * 96, "--pcr", "0=" + "3" * 96, peer_policy=policy)
    assert peer.get("/client")["allowed_pcrs"] == {"8": ["2" * 96, "1" * 96]}
    peer.attested()
    assert peer.meet("/whoami").json()["pcrs"]["0"] == "3" * 96
    other = make_peer(peer_policy=policy)
    refused(other.attest(), "(pcr_mismatch)")


def starts_not(tmp_path, says, status=1, **how):
    s = peer_server(tmp_path / "refusing", **how).spawn()
    assert s.wait() == status
    said = s.stderr[s.mark:]
    assert says in said.splitlines()[-1], said
    assert "listening" not in said


@pytest.mark.parametrize("policy, says", [
    ({"pcrs": {"0": "1" * 96}, "nonce": "00" * 16}, "must leave nonce out"),
    ({"pcrs": {"0": "1" * 96}, "user_data": "text:x"}, "must leave user_data out"),
    ({"pcrs": {"0": "1" * 96}, "purpose": "peer"}, "must leave purpose out"),
    ({"pcrs": {"0": "1" * 96}, "at": "document"}, "must leave at out"),
    ({}, "must tell one enclave from another"), ({"pcrs": {"2": "1" * 96}}, "must tell one enclave from another"),
    ({"pcrs": {"0": "0" * 96}, "allow_debug": True}, "must tell one enclave from another"),
    ({"pcrs": {"0": "1" * 95}}, "96 hex digits"), ([], "Must be an object"),
])
def test_a_policy_that_is_not_fit_for_peers_is_refused(nsms, tmp_path, policy, says):
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    starts_not(tmp_path, says, nsm=nsms[0].nsm, root=nsms[1].root, peer_policy=tmp_path / "policy.json")


def test_a_server_that_cannot_know_whom_to_trust_does_not_start(nsms, make_simulator, tmp_path):
    root = nsms[1].root
    starts_not(tmp_path, "signs nothing", nsm="dummy", root=root)
    for nsm in ("simulator", nsms[0].nsm):
        starts_not(tmp_path, "need peer_root", nsm=nsm, root="")
    starts_not(tmp_path, "debug mode", nsm=make_simulator("--debug-mode").nsm, root=root)
    (tmp_path / "policy.json").write_text(json.dumps({"pcrs": {"0": "1" * 96}, "root": root.read_text()}))
    starts_not(tmp_path, "leave one of them out", nsm=nsms[0].nsm, root=root, peer_policy=tmp_path / "policy.json")
    (tmp_path / "large").write_bytes(b" " * 65537)
    starts_not(tmp_path, "larger than 64 KiB", nsm=nsms[0].nsm, root=root, peer_policy=tmp_path / "large")
    starts_not(tmp_path, "at most 16384 are read", nsm=nsms[0].nsm, root=tmp_path / "large")
    starts_not(tmp_path, "not one PEM certificate", nsm=nsms[0].nsm, root=tmp_path / "policy.json")
    starts_not(tmp_path, "cannot be opened", 3, nsm=nsms[0].nsm, root=tmp_path / "missing")


# ---- mutual TLS ----


def test_only_a_certificate_of_this_server_passes_the_handshake(server, nsms, peer, tmp_path):
    assert peer.refused(any_certificate())
    assert peer.refused(peer.context(peer.self_signed()))
    # Somebody else's authority of the same name.
    other = peer_server(tmp_path / "other", nsms[0].nsm, nsms[1].root).start()
    try:
        elsewhere = Peer(other, nsms[1], tmp_path, peer.key)
        elsewhere.attested()
        assert elsewhere.meet("/ping").body == b"pong"
        assert peer.refused(peer.context(elsewhere.issued))
    finally:
        other.stop()
    peer.attested()
    assert not peer.refused(peer.context())


def test_a_certificate_with_another_key_put_into_it_is_refused(peer, tmp_path):
    """A thief of the certificate alone cannot sign with its key, so it needs one with a key of its own."""
    thief = ec.generate_private_key(ec.SECP256R1())
    der = peer.attested().public_bytes(serialization.Encoding.DER)
    swapped = der.replace(spki(peer.key.public_key()), spki(thief.public_key()))
    assert swapped != der
    assert peer.refused(peer.context(x509.load_der_x509_certificate(swapped), thief))
    assert not peer.refused(peer.context())


def test_a_certificate_of_an_earlier_run_is_refused(make_peer):
    peer = make_peer()
    peer.attested()
    assert not peer.refused(peer.context())
    stale = peer.document(peer.challenge())
    peer.server.restart()
    assert peer.refused(peer.context())
    unknown(peer.send(stale))
    peer.attested()
    assert not peer.refused(peer.context())


def test_tls_1_2_is_not_spoken_with_peers(make_peer):
    peer = make_peer(tls_min_version="1.2")
    peer.attested()
    context = peer.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert peer.refused(context)


def test_a_connection_goes_on_for_more_than_one_request(peer):
    peer.attested()
    c = peer.connect()
    for _ in range(3):
        assert peer.server.request("GET", "/ping", connection=c).body == b"pong"
        assert peer.server.request("GET", "/whoami", connection=c).json()["key_hash"] == peer.key_hash
    c.close()


def test_peers_have_their_own_routes_and_no_others(peer):
    peer.attested()
    for method, path, reach in ROUTES:
        target = path.replace("{session_id}", "A" * 43).replace("{key_id}", "a" * 64).replace("{id}", "A" * 22)
        body = {} if method == "POST" else None
        reached = {r.strip() for r in reach.split("|")}
        c = peer.connect()
        replies = {"HTTP_PEER": peer.request(method, target, body),
                   "HTTP_PEER_TLS": peer.server.request(method, target, body, connection=c),
                   "HTTP_LOCAL": peer.server.request(method, target, body)}
        c.close()
        for name, reply in replies.items():
            assert (reply.code not in ("not_found", "method_not_allowed")) == (name in reached), (name, reply)


def test_connections_at_the_limit_and_one_past_it(make_peer):
    s = make_peer(peer_connections=3).server
    plain, mutual = s.listener("peer_listen"), s.listener("peer_tls_listen")
    held = [Wire(s, at=plain) for _ in range(3)]
    assert all(w.send(head("GET", "/cert")).reply().status == 200 for w in held)
    with s.connect(plain) as one_more:
        assert b"too_many_connections" in one_more.recv(4096)
    stalled = [s.connect(mutual) for _ in range(3)]  # each listener has its own
    poll(lambda: metric(s, "tls_handshaking", reach="peer_tls") == 3)
    with s.connect(mutual) as one_more:
        assert one_more.recv(100) == b""
    assert s.get("/health").status == 200
    for w in held:
        w.socket.close()
    for c in stalled:
        c.close()
    poll(lambda: metric(s, "tls_connections", reach="peer_tls") == 0)
    poll(lambda: metric(s, "http_connections", reach="peer") == 0)
    with Wire(s, at=plain) as w:
        assert w.send(head("GET", "/cert")).reply().status == 200
