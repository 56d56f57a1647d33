"""Lies that other verifiers have believed, told by documents: each is perfect but for the one that is named.

Those of claims and replies are in test_lying_replies.py."""

import base64
import json

import pytest
from helpers import forge
from helpers.forge import ABSENT, AT, DAY, LEAF, Forger
from helpers.vectors import VECTORS, needs_vectors
from helpers.verifier import accepted, judge, refused, say, verify


@pytest.fixture(scope="module")
def forger():
    return Forger()


# ---- the forger is as good as it can be ----


@pytest.mark.smoke
def test_without_a_lie_all_is_accepted(forger):
    verdict = accepted(forger.document(nonce=b"n" * 20), forger.policy(nonce="hex:" + (b"n" * 20).hex()))
    assert verdict["root"]["aws"] is False
    for reply in (forger.attested(), forger.attested(custom={"key": "value"}), forger.key_exchange(), forger.info()):
        accepted(json.dumps(reply).encode(), forger.policy(), "reply")
        accepted(json.dumps(reply).encode(), forger.policy(), "auto")
        accepted(json.dumps(reply["attestation_document"]).encode(), forger.policy(), "reply")
    accepted(json.dumps(forger.vsock()).encode(), forger.policy(), "auto")


# ---- whose signature? ----


def test_an_own_root_with_the_subject_of_aws(forger):
    """The chain is sound, and its root calls itself what AWS's does."""
    refused(forger.document(), {"at": AT}, "chain_untrusted")
    refused(forger.document(), Forger().policy(), "chain_untrusted")


@needs_vectors
def test_an_own_root_slipped_into_the_bundle():
    aws = (VECTORS / "root" / "aws_nitro_g1.der").read_bytes()
    own = Forger()
    beside = [[aws, *own.cabundle], [aws, *own.cabundle[1:]], [*own.cabundle, aws], [own.root, aws, *own.cabundle[1:]]]
    for bundle, code in zip(beside, ["chain_broken", "chain_broken", "chain_untrusted", "chain_untrusted"]):
        refused(own.document(cabundle=bundle), {"at": AT}, code)


def test_another_root_behind_the_pinned_one(forger):
    other = Forger()
    refused(other.document(cabundle=[forger.root, *other.cabundle]), forger.policy(), "chain_broken")
    refused(other.document(cabundle=[forger.root, *other.cabundle[1:]]), forger.policy(), "chain_broken")


def test_a_chain_that_was_seen_before_is_judged_by_each_policy(forger):
    """A chain that held is remembered; whose root it led to and when it holds is no part of what is remembered."""
    document, other = forger.document(), Forger()
    jobs = [(forger.policy(), "verified"), ({"at": AT}, "chain_untrusted"), (other.policy(), "chain_untrusted"),
            (forger.policy(at=AT + 3 * 3600 + 1), "certificate_expired"), (forger.policy(), "verified"),
            (forger.policy(at=AT - 61), "certificate_not_yet_valid")]
    answers = judge([(document, policy) for policy, _ in jobs] * 2)
    assert [a.code for a in answers] == [code for _, code in jobs] * 2
    # Nor does the remembered leaf vouch for another bundle.
    moved = forger.document(cabundle=[forger.root, *forger.cabundle[:0:-1]])
    answers = judge([(document, forger.policy()), (moved, forger.policy()), (document, forger.policy())])
    assert [a.code for a in answers] == ["verified", "chain_broken", "verified"]


def test_an_expired_self_signed_certificate_alone(forger):
    key, who = forge.p384(), forge.name("nobody")
    alone = forge.certificate(who, key, who, key, since=AT - 2 * DAY, until=AT - DAY, usage=LEAF)
    for bundle, code in (([alone], "chain_untrusted"), ([], "payload_malformed"), ([forger.root], "chain_broken")):
        refused(forger.document(certificate=alone, cabundle=bundle, key=key), forger.policy(), code)


def test_a_leaf_that_signs_a_leaf(forger):
    key, who = forge.p384(), forge.name("i-1-enc1.us-east-1.aws")
    second = forge.certificate(who, key, forger.leaf_name, forger.key, since=AT - 60, until=AT + 3600, usage=LEAF)
    refused(forger.document(certificate=second, cabundle=[*forger.cabundle, forger.leaf], key=key), forger.policy(),
            "certificate_constraint")
    # Nor does it help to leave the first one out, or to call the second one a CA's.
    refused(forger.document(certificate=second, key=key), forger.policy(), "chain_broken")
    ca = forge.certificate(who, key, forger.leaf_name, forger.key, since=AT - 60, until=AT + 3600)
    refused(forger.document(certificate=ca, cabundle=[*forger.cabundle, forger.leaf], key=key), forger.policy(),
            "certificate_constraint")


def test_a_signature_of_another_key(forger):
    refused(forger.document(key=forge.p384()), forger.policy(), "signature_invalid")
    refused(forger.document(key=forger.keys[-1]), forger.policy(), "signature_invalid")


# ---- with which algorithm? ----


def test_es256_with_a_p256_leaf(forger):
    key = forge.p256()
    leaf = forger.make_leaf(key)
    how = {"alg": forge.ES256, "digest": forge.hashes.SHA256(), "size": 32}
    refused(forger.document(certificate=leaf, key=key, how=how), forger.policy(), "algorithm_unsupported")
    # The same key under ES384's name: r and s take 48 bytes each, so nothing but the curve is wrong.
    refused(forger.document(certificate=leaf, key=key), forger.policy(), "certificate_unsupported")


def test_a_p521_leaf(forger):
    key = forge.p521()
    leaf = forger.make_leaf(key)
    how = {"alg": forge.ES512, "digest": forge.hashes.SHA512(), "size": 66}
    refused(forger.document(certificate=leaf, key=key, how=how), forger.policy(), "algorithm_unsupported")
    refused(forger.document(certificate=leaf, key=forger.key), forger.policy(), "certificate_unsupported")
    refused(forger.document(certificate=leaf, key=key, how={"size": 66}), forger.policy(), "cose_malformed")


def test_an_rsa_leaf(forger):
    leaf = forger.make_leaf(forge.rsa2048())
    assert len(leaf) <= 1024
    refused(forger.document(certificate=leaf), forger.policy(), "certificate_unsupported")


def test_other_curves_and_keys_among_the_authorities():
    for make in (forge.p256, forge.p521, forge.rsa2048):
        f = Forger()
        key, who = make(), forge.name("i-0.us-east-1.aws.nitro-enclaves")
        f.cabundle[-1] = forge.certificate(who, key, f.names[2], f.keys[2], since=AT - DAY, until=AT + DAY, path_length=0)
        f.keys[-1] = key
        refused(f.document(certificate=f.make_leaf(f.key)), f.policy(), "certificate_unsupported")


@pytest.mark.parametrize("writing", [forge.explicit_spki, forge.compressed_spki])
def test_a_key_on_a_curve_that_is_not_named_or_a_point_that_is_not_written_out(writing):
    """Who takes a curve as it is spelled out can be given one with another generator (CVE-2020-0601)."""
    f = Forger()
    f.leaf = forge.with_spki(f.leaf, f.key, writing(f.key), f.keys[-1])
    refused(f.document(), f.policy(), "certificate_unsupported")
    f = Forger()
    f.cabundle[3] = forge.with_spki(f.cabundle[3], f.keys[3], writing(f.keys[3]), f.keys[2])
    refused(f.document(), f.policy(), "certificate_unsupported")
    # Signed anew with the key as it was, all is well.
    f = Forger()
    plain = forge.x509.load_der_x509_certificate(f.leaf).public_key().public_bytes(
        forge.serialization.Encoding.DER, forge.serialization.PublicFormat.SubjectPublicKeyInfo)
    f.leaf = forge.with_spki(f.leaf, f.key, plain, f.keys[-1])
    accepted(f.document(), f.policy())


def test_a_certificate_signed_over_sha256(forger):
    leaf = forger.make_leaf(forger.key, digest=forge.hashes.SHA256())
    refused(forger.document(certificate=leaf), forger.policy(), "certificate_unsupported")


# ---- a document of what? ----


def test_a_document_of_a_nitrotpm(forger):
    tpm = forger.fields(pcrs=ABSENT)
    tpm["nitrotpm_pcrs"] = {i: bytes(48) for i in range(24)}
    refused(forge.cose(forge.indefinite(tpm), forger.key), forger.policy(), "nitrotpm_document")
    refused(forger.document(pcrs=ABSENT), forger.policy(), "payload_malformed")
    # One that has both is neither.
    refused(forger.document(nitrotpm_pcrs=tpm["nitrotpm_pcrs"]), forger.policy(), "payload_malformed")


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_debug_enclave(forger, which):
    pcrs = forger.pcrs(**{f"pcr{i}": bytes(48) for i in which})
    refused(forger.document(pcrs=pcrs), forger.policy(), "debug_mode")
    # That zeros are what the policy wants does not allow a debug enclave.
    pinned = {str(i): "00" * 48 for i in which}
    refused(forger.document(pcrs=pcrs), forger.policy(pcrs=pinned), "debug_mode")
    verdict = accepted(forger.document(pcrs=pcrs), forger.policy(allow_debug=True))
    assert verdict["debug"] is True and any("debug" in w for w in verdict["warnings"])
    assert accepted(forger.document(pcrs=pcrs), forger.policy(allow_debug=True, pcrs=pinned))["identity"] != "compared"


# ---- made for whom, and when? ----


def test_a_nonce_that_fits_only_after_dropping_invalid_utf8(forger):
    wanted = "a-nonce-of-some-length"
    for almost in (b"a-nonce\xff-of-some-length", b"\xc3a-nonce-of-some-length", b"a-nonce-of-some-length\xe2\x82",
                   b"a-nonce-of-some-length\x00", b"\xef\xbb\xbfa-nonce-of-some-length", b"a-nonce-of-some-length\n"):
        refused(forger.document(nonce=almost), forger.policy(nonce="text:" + wanted), "nonce_mismatch")
    accepted(forger.document(nonce=wanted.encode()), forger.policy(nonce="text:" + wanted))


def test_the_nonce_is_compared_as_bytes(forger):
    nonce = bytes(range(0xE0, 0x100))
    policy = forger.policy(nonce="hex:" + nonce.hex())
    accepted(forger.document(nonce=nonce), policy)
    accepted(forger.document(nonce=nonce), forger.policy(nonce="base64:" + base64.b64encode(nonce).decode()))
    for other in (nonce[:-1], nonce + b"\0", nonce.hex().encode(), base64.b64encode(nonce), b""):
        refused(forger.document(nonce=other), policy, "nonce_mismatch")


def test_a_required_nonce_that_is_absent(forger):
    policy = forger.policy(nonce="hex:" + "ab" * 20)
    refused(forger.document(nonce=None), policy, "nonce_missing")
    refused(forger.document(nonce=ABSENT), policy, "payload_malformed")
    # It does not count that it stands elsewhere.
    refused(forger.document(user_data=b"\xab" * 20, public_key=b"\xab" * 20), policy, "nonce_missing")


def test_a_short_required_nonce_is_warned_of(forger):
    def warned(n):
        verdict = accepted(forger.document(nonce=b"n" * n), forger.policy(nonce="hex:" + (b"n" * n).hex()))
        return any(f"{n} bytes" in w for w in verdict["warnings"])

    assert warned(15) and not warned(16)


def test_required_user_data(forger):
    policy = forger.policy(user_data="text:what was to be attested")
    accepted(forger.document(user_data=b"what was to be attested"), policy)
    for other in (b"what was to be attested\0", b"What was to be attested", b"", None):
        refused(forger.document(user_data=other), policy, "user_data_mismatch")


@pytest.mark.parametrize(
    "at, more, code",
    [
        (AT, {}, "verified"),
        (AT - 60, {}, "verified"),
        (AT - 61, {}, "timestamp_in_future"),
        (AT + 300, {}, "verified"),
        (AT + 301, {}, "document_too_old"),
        (AT + 1, {"max_age": 0}, "document_too_old"),
        (AT, {"max_age": 0}, "verified"),
        (AT + 3600, {"max_age": 3600}, "verified"),
        (AT + 3601, {"max_age": 3600}, "document_too_old"),
        (AT + 7200, {"max_age": "any"}, "verified"),
        (AT + 10801, {"max_age": "any"}, "certificate_expired"),
        (AT - 3601, {"max_age": "any"}, "certificate_not_yet_valid"),
    ],
)
def test_the_documents_time(at, more, code):
    f = Forger()
    leaf = f.make_leaf(f.key, since=AT - 3600)
    answer = say(f.document(certificate=leaf), f.policy(**{"at": at, **more}))
    assert answer.code == code, answer
    assert answer.verdict["age_seconds"] == at - AT and answer.verdict["historic"] is True


def test_a_date_outside_the_certificates_validity(forger):
    """Judged at a time at which they hold, a document must not date itself to one at which they do not."""
    policy = forger.policy(max_age="any")
    refused(forger.document(timestamp=(AT - 61) * 1000), policy, "timestamp_outside_certificates")
    refused(forger.document(timestamp=(AT + 3 * 3600 + 1) * 1000), policy, "timestamp_outside_certificates")
    refused(forger.document(timestamp=(AT - 61) * 1000), forger.policy(at="document"), "certificate_not_yet_valid")
    refused(forger.document(timestamp=(AT + 3 * 3600 + 1) * 1000), forger.policy(at="document"), "certificate_expired")
    refused(forger.document(timestamp=2**63 - 1), policy, "timestamp_outside_certificates")
    refused(forger.document(timestamp=2**63), policy, "payload_malformed")
    refused(forger.document(timestamp=AT), policy, "timestamp_outside_certificates")  # seconds for milliseconds


# ---- which enclave? ----


def test_an_empty_policy_compares_nothing_and_says_so(forger, tmp_path):
    verdict = accepted(forger.document(), forger.policy())
    assert verdict["identity"] == "not_compared" and verdict["pcrs_compared"] == []
    assert "which one was not compared" in verdict["message"]
    root = tmp_path / "root.pem"
    root.write_text(forge.pem(forger.root))
    run = verify("--root", root, "--at", AT, data=forger.document())
    assert run.status == 0, run
    assert "which one was not compared" in " ".join(run.out.split())
    asked = verify("--root", root, "--at", AT, "--pcr", f"0={forge.pcr(0).hex()}", data=forger.document())
    assert asked.status == 0 and "which one was not compared" not in " ".join(asked.out.split()), asked


@pytest.mark.parametrize(
    "pinned, identity",
    [((0,), "compared"), ((1, 2), "compared"), ((8,), "compared"), ((0, 2), "compared"), ((2,), "weak"), ((1,), "weak"),
     ((3,), "weak"), ((4,), "weak"), ((3, 4), "weak"), ((2, 4), "weak"), ((16,), "weak")],
)
def test_how_well_the_pinned_pcrs_tell_enclaves_apart(forger, pinned, identity, tmp_path):
    pcrs = {**forger.pcrs(), **{i: forge.pcr(i) for i in (3, 8, 16)}}
    policy = forger.policy(pcrs={str(i): forge.pcr(i).hex() for i in pinned})
    verdict = accepted(forger.document(pcrs=pcrs), policy)
    assert verdict["identity"] == identity and verdict["pcrs_compared"] == list(pinned)
    assert (identity == "weak") is any("does not tell" in w for w in verdict["warnings"]), verdict["warnings"]
    for i in pinned:
        wrong = refused(forger.document(pcrs={**pcrs, i: b"\x5a" * 48}), policy, "pcr_mismatch")
        assert wrong["field"] == f"PCR{i}"


def test_a_pcr8_of_zeros_tells_nothing(forger):
    """It is zero in every image that nobody signed."""
    assert accepted(forger.document(), forger.policy(pcrs={"8": "00" * 48}))["identity"] == "not_compared"


def test_pcr2_alone_is_called_weak(forger, tmp_path):
    root = tmp_path / "root.pem"
    root.write_text(forge.pem(forger.root))
    run = verify("--root", root, "--at", AT, "--pcr", f"2={forge.pcr(2).hex()}", data=forger.document())
    assert run.status == 0 and "weak" in run.out, run


def test_a_pinned_pcr_that_the_document_lacks(forger):
    refused(forger.document(), forger.policy(pcrs={"16": "ab" * 48}), "pcr_missing")


def test_nothing_that_is_signed_can_write_to_a_terminal(forger, tmp_path):
    """What an enclave signs is its own choice: screens to be cleared, verdicts to be read in place of ours."""
    evil = "\x1b[2J\x1b]0;x\x07\nVERIFIED: all is well\r\u202e\u0085\u009b"
    root = tmp_path / "root.pem"
    root.write_text(forge.pem(forger.root))
    for claims in (forger.claims(**{evil: evil}), evil.encode()):
        document = forger.document(user_data=claims, nonce=evil.encode(), public_key=evil.encode())
        run = verify("--root", root, "--at", AT, data=document)
        assert run.status == 0 and set(run.out) <= set(map(chr, range(32, 127))) | {"\n"}, run
        assert sum(line.startswith("VERIFIED") for line in run.out.split("\n")) == 1
    refused(forger.document(module_id=evil), forger.policy(), "payload_malformed")
