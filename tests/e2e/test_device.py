"""Device mode, on a stand-in for /dev/nsm: real requests, documents that nobody signed, so nothing here is verified."""

import base64
import errno
import hashlib
import json

import pytest
from helpers import UserSession
from helpers.nsm import payload, query, text
from helpers.start import refused, said_by
from helpers.wire import metric

MEASURED = {i: f"{0xa0 + i:02x}" * 48 for i in (0, 1, 2, 3, 4, 8)}  # what the stand-in has in its PCRs
UNVERIFIED = "UNVERIFIED ATTESTATION: this server's own verifier does not accept the document (chain_untrusted)."
FAULTS = {
    "error=InternalError": "the NSM refused Attestation with InternalError",
    "error=InputTooLarge": "the NSM refused Attestation with InputTooLarge",
    "error=Whatever": "the NSM refused Attestation with an error of unknown name",
    f"errno={errno.ETIMEDOUT}": "the NSM device failed with ETIMEDOUT",
    "garbage": "the NSM's reply to Attestation is not understood",
    "truncated": "the NSM's reply to Attestation is not understood",
    "overlong": "the NSM device says that it wrote beyond the reply buffer",
    "other_nonce": "the NSM's document does not hold the nonce that was to be attested",
    "other_user_data": "the NSM's document does not hold the user data that was to be attested",
    "other_public_key": "the NSM's document holds a public key, and none was to be attested",
}


def pem(user):
    return {"user_public_key": user.pem}


def check_document(reply, purpose, nonce):
    """The reply shows what the document says, and the document says what was asked for."""
    shown = reply["attestation_document"]
    inside = payload(shown["document"])
    assert inside["user_data"].decode() == json.dumps(reply["user_data"], separators=(",", ":"))
    assert reply["user_data"]["purpose"] == purpose
    assert inside["nonce"] == nonce and inside["public_key"] is None and shown["public_key"] is None
    assert base64.b64decode(shown["user_data"], validate=True) == inside["user_data"]
    assert (nonce is None and shown["nonce"] is None) or base64.b64decode(shown["nonce"], validate=True) == nonce
    assert {int(i): bytes.fromhex(v) for i, v in shown["pcrs"].items()} == inside["pcrs"]
    assert base64.b64decode(shown["certificate"], validate=True) == inside["certificate"]
    assert [base64.b64decode(c, validate=True) for c in shown["cabundle"]] == inside["cabundle"]
    for same in ("module_id", "digest", "timestamp"):
        assert shown[same] == inside[same]
    assert {i: shown["pcrs"][str(i)] for i in MEASURED} == MEASURED and reply["pcr2"] == MEASURED[2]
    assert reply["tee_verified"] is False, "it came from the device, and that proves nothing"
    assert shown["_warning"].startswith(UNVERIFIED)
    return inside


# ---- what is served ----

@pytest.mark.route("GET /health")
@pytest.mark.parametrize("debug", [False, True])
def test_health_tells_of_the_device_and_of_debug_mode(make_server, nsm, debug):
    server = make_server(start=False, **nsm.server(FirstDocument="zero" if debug else ""))
    said = said_by(server, server.start)
    assert ("this enclave runs in debug mode" in said) == debug
    health = server.get("/health").json()
    assert (health["nsm"], health["debug_mode"]) == ("device", debug)


@pytest.mark.route("GET /health", "POST /attestation")
def test_health_tells_what_the_last_document_said(make_server, nsm):
    server = make_server(**nsm.server())
    for nonce, status, debug in (("zero", 200, True), ("n", 200, False), ("error=InternalError", 503, None), ("n", 200, False),
                                 (f"errno={errno.EIO}", 503, None), ("other_nonce", 503, None), ("zero", 200, True)):
        assert server.post("/attestation", text(nonce)).status == status
        health = server.get("/health").json()
        assert (health["debug_mode"], health["tee_available"]) == (debug, False), nonce


@pytest.mark.route("GET /health")
def test_a_device_whose_documents_do_not_verify_is_no_tee(make_server, nsm):
    server = make_server(start=False, **nsm.server())
    assert f'warn nsm text="{UNVERIFIED}' in said_by(server, server.start)
    assert nsm.calls("FirstDocument") == [""], "that was known before the first request"
    assert server.get("/health").json()["tee_available"] is False
    assert nsm.calls() == []


def test_auto_takes_the_device(make_server, nsm):
    server = make_server(start=False, **nsm.server(nsm="auto"))
    assert "NO /dev/nsm" not in said_by(server, server.start)
    health = server.get("/health").json()
    assert health["nsm"] == "device"
    payload(server.post("/attestation", {}).json()["attestation_document"]["document"])


@pytest.mark.route("POST /attestation")
@pytest.mark.parametrize("nonce", [None, "n", "x" * 512])
def test_attestation(make_server, nsm, nonce):
    server = make_server(**nsm.server())
    custom = {"key": "value"}
    reply = server.post("/attestation", text(nonce, custom_data=custom) if nonce else {"custom_data": custom})
    assert reply.status == 200, reply
    inside = check_document(reply.json(), "attestation", nonce and nonce.encode())
    digest = hashlib.sha256(json.dumps(custom, sort_keys=True).encode()).hexdigest()
    assert json.loads(inside["user_data"])["custom_digest"] == digest
    assert nsm.calls() == [nonce or ""]


@pytest.mark.route("GET /attestation")
def test_attestation_of_info_has_the_document_as_quote(make_server, nsm):
    server = make_server(**nsm.server())
    reply = server.get(query("a nonce")).json()
    assert reply["quote"] == reply["attestation_document"]["document"]
    inside = check_document(reply, "info", b"a nonce")
    assert json.loads(inside["user_data"])["info_digest"] == hashlib.sha256(server.get("/info").body).hexdigest()


@pytest.mark.route("POST /key-exchange")
def test_key_exchange_attests_both_keys(make_server, nsm, user):
    server = make_server(**nsm.server())
    session = UserSession(server, user, nonce="a nonce", nonce_encoding="text")
    inside = check_document(session.reply, "key-exchange", b"a nonce")
    claims = json.loads(inside["user_data"])
    assert claims["user_key_hash"] == user.key_hash
    assert claims["session_key_hash"] == hashlib.sha256(session.key).hexdigest()
    assert claims["session_id"] == session.id
    assert session.open(server.post("/encrypt", session.plain("hello")).json()) == "hello"


# ---- an NSM that fails ----

@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_that_fails_is_503_and_the_next_one_is_fine(make_server, nsm, user, fault):
    server = make_server(**nsm.server())
    for reply in (server.post("/attestation", text(fault)), server.get(query(fault)),
                  server.post("/key-exchange", text(fault, **pem(user)))):
        assert (reply.status, reply.code) == (503, "nsm_unavailable")
        assert "refused" not in reply.json()["detail"], "the fault is told to the log and not to the client"
    assert server.get("/health").json()["active_sessions"] == 0, "a session exists only once all has succeeded"
    assert server.stderr.count(FAULTS[fault]) == 3
    assert nsm.calls() == [fault] * 3
    check_document(server.post("/attestation", text("fine")).json(), "attestation", b"fine")
    check_document(UserSession(server, user).reply, "key-exchange", None)
    assert metric(server, "nsm_queue") == 0


def test_a_nonce_in_a_document_that_was_to_have_none_is_refused_too(make_server, nsm):
    server = make_server(**nsm.server(Attestation="other_nonce"))
    for _ in range(3):
        assert server.post("/attestation", {}).code == "nsm_unavailable"
    assert server.get("/health").status == 200


# ---- starting ----

def left_behind(nsm, server):
    return {p.name for p in (*nsm.directory.iterdir(), *server.directory.iterdir())} - {"calls", "stderr"}


@pytest.mark.parametrize(
    "faults, says",
    [
        ({"GetRandom": "error=InvalidOperation"}, "the NSM refused GetRandom with InvalidOperation"),
        ({"GetRandom": f"errno={errno.EIO}"}, "the NSM device failed with EIO"),
        ({"GetRandom": "size=0"}, "the NSM's reply to GetRandom is not understood"),
        ({"GetRandom": "garbage"}, "the NSM's reply to GetRandom is not understood"),
        ({"GetRandom": "truncated"}, "the NSM's reply to GetRandom is not understood"),
        ({"FirstDocument": "error=InternalError"},
         "the NSM (device) gives no attestation document, so the server does not start: the NSM refused Attestation with "
         "InternalError"),
        ({"FirstDocument": "truncated"}, "so the server does not start: the NSM's reply to Attestation is not understood"),
        ({"FirstDocument": "other_user_data"}, "does not hold the user data that was to be attested"),
    ],
)
def test_a_start_without_a_sound_nsm_is_refused_and_makes_no_key(make_server, nsm, faults, says):
    server = make_server(start=False, **nsm.server(**faults))
    assert says in refused(server)
    assert left_behind(nsm, server) == set()


def test_randomness_in_small_pieces_will_do(make_server, nsm):
    server = make_server(**nsm.server(GetRandom="size=5"))
    assert server.get("/health").json()["nsm"] == "device"
    assert len(nsm.calls("GetRandom")) > 5
    assert "kek" in left_behind(nsm, server)


def test_with_a_device_a_generated_key_is_never_kept_beside_the_database(make_server, nsm):
    server = make_server(start=False, **nsm.server(settings={"runtime_dir": ""}))
    assert "runtime_dir" in refused(server)
    assert not any("kek" in name for name in left_behind(nsm, server))
