"""Genuine documents of AWS's NSM verify, at their own time and no other; invalid ones are refused for what they are."""

import base64
import datetime
import time

import pytest
from helpers import strict
from helpers.vectors import VECTORS, needs_vectors, vector, vectors
from helpers.verifier import judge, slow, verify

pytestmark = needs_vectors

# Of each, a look through the real command: the oldest, one with 1024 bytes everywhere, the newest and largest.
A_FEW = ["2021-04-26", "2023-07-10", "2025-08-27", "2026-06-30"]

INVALID = {
    "bedrock-corrupted-2-bytes": "chain_untrusted",  # one of the damaged certificates is the root, which is looked at first
    "bedrock-fake-truncated": "cose_malformed",
    "blocky-selfsigned-null-unprotected": "cose_malformed",
    "cose-ok-es384-not-a-nitro-document": "cose_malformed",  # a kid in the unprotected header is seen before the payload
    "cose-tag19": "cose_malformed",
    "eternis-invalid": "signature_invalid",
    "pontifex-mock-es256": "algorithm_unsupported",
    "veracruz-bad-sig": "signature_invalid",
}


def genuine():
    return [*vectors("genuine"), *vectors("limits")]


def unix(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def facts(verdict):
    """What a document's .json states, out of a verdict."""
    data = {name: value and {"len": len(value) // 2, "hex": value} if value else value
            for name, value in ((name, verdict[name]) for name in ("public_key", "user_data", "nonce"))}
    return {
        **{name: {"len": 0, "hex": ""} if value == "" else value for name, value in data.items()},
        "module_id": verdict["module_id"],
        "timestamp_ms": verdict["timestamp"],
        "time": verdict["time"],
        "digest": verdict["digest"],
        "npcrs": len(verdict["pcrs"]),
        "pcr_nonzero": {i: v for i, v in verdict["pcrs"].items() if set(v) != {"0"}},
        "debug_mode_pcr012_zero": verdict["debug"],
        "root_sha256": verdict["root"]["sha256"],
    }


def stated(document):
    f = document.facts
    names = ["public_key", "user_data", "nonce", "module_id", "timestamp_ms", "digest", "npcrs", "pcr_nonzero",
             "debug_mode_pcr012_zero", "root_sha256"]
    return {**{name: f[name] for name in names}, "time": f["time"][:19] + "Z"}


def test_all_are_there():
    assert (len(vectors("genuine")), len(vectors("limits")), len(vectors("invalid"))) == (42, 3, 8)


def test_each_genuine_document_verifies_at_its_own_time_and_shows_its_facts():
    jobs = [(v.document, {"at": "document", "allow_debug": True}) for v in genuine()]
    answers = judge(jobs)
    for v, answer in zip(genuine(), answers):
        assert answer.verified and answer.code == "verified", (v, answer)
        assert facts(answer.verdict) == stated(v), v
        assert answer.verdict["historic"] is True and answer.verdict["identity"] == "not_compared"
        assert answer.verdict["root"]["aws"] is True and answer.verdict["age_seconds"] == 0
        assert len(answer.verdict["pcrs"]) == v.facts["npcrs"]
    assert slow(jobs, answers) == []


def test_a_debug_enclave_must_be_allowed():
    for v, answer in zip(genuine(), judge([(v.document, {"at": "document"}) for v in genuine()])):
        assert answer.code == ("debug_mode" if v.facts["debug_mode_pcr012_zero"] else "verified"), (v, answer)
        assert facts(answer.verdict) == stated(v), v


def test_all_have_expired_by_now():
    old = [v for v in genuine() if unix(v.facts["chain_validity_window"][1]) < datetime.datetime.now().timestamp()]
    assert len(old) >= 40
    for v, answer in zip(old, judge([(v.document, {"allow_debug": True}) for v in old])):
        assert answer.code == "certificate_expired", (v, answer)
        assert "valid until" in answer.verdict["message"]
        assert answer.verdict["historic"] is False


def test_the_certificates_validity_ends_with_its_last_second_and_begins_with_its_first():
    jobs, codes = [], []
    for v in genuine():
        since, until = map(unix, v.facts["chain_validity_window"])
        made = v.facts["timestamp_ms"] // 1000
        assert since <= made <= until
        future = "timestamp_in_future" if made - since > 60 else "verified"
        for at, code in ((since - 1, "certificate_not_yet_valid"), (since, future), (made, "verified"),
                         (until, "verified"), (until + 1, "certificate_expired")):
            jobs.append((v.document, {"at": at, "allow_debug": True, "max_age": "any"}))
            codes.append(code)
    answers = judge(jobs)
    assert [a.code for a in answers] == codes
    # The window is told in every verdict that has facts.
    for v, answer in zip(genuine(), answers[::5]):
        told = [answer.verdict["certificate_not_before"], answer.verdict["certificate_not_after"]]
        assert told == v.facts["chain_validity_window"]


def test_invalid_documents_are_refused_for_what_they_are():
    assert {v.name.rsplit("_", 1)[0] for v in vectors("invalid")} == set(INVALID)
    for policy in ({"at": "document"}, {"at": "document", "allow_debug": True}, {}):
        for v, answer in zip(vectors("invalid"), judge([(v.document, policy) for v in vectors("invalid")])):
            assert not answer.verified and answer.code == INVALID[v.name.rsplit("_", 1)[0]], (v, answer)
            assert answer.verdict["pcrs"] is None and answer.verdict["module_id"] is None


@pytest.mark.parametrize("start", A_FEW)
def test_the_command_says_the_same(start, tmp_path):
    v = vector(start)
    debug = v.facts["debug_mode_pcr012_zero"]
    run = verify("--at", "document", "--json", *(["--allow-debug"] if debug else []), file=v.path)
    assert run.status == 0 and run.err == "", run
    assert run.verdict["verified"] is True and facts(run.verdict) == stated(v)
    (answer,) = judge([(v.document, {"at": "document", "allow_debug": debug})])
    assert run.verdict == answer.verdict
    # As base64, hex and from standard input, too.
    for form, data in (("base64", base64.b64encode(v.document)), ("hex", v.document.hex().encode()),
                       ("cose", v.document), ("base64", base64.encodebytes(v.document))):
        again = verify("--at", "document", "--json", "--allow-debug", data=data)
        assert again.status == 0 and again.verdict["input"] == form and facts(again.verdict) == stated(v)
    now = verify("--json", "--allow-debug", file=v.path)
    expired = unix(v.facts["chain_validity_window"][1]) < time.time()
    assert (now.status, now.verdict["code"]) == (1, "certificate_expired" if expired else "document_too_old"), now
    if debug:
        refused = verify("--at", "document", "--json", file=v.path)
        assert refused.status == 1 and refused.verdict["code"] == "debug_mode"


def test_the_command_refuses_invalid_documents():
    for v in vectors("invalid"):
        run = verify("--at", "document", "--json", "--format", "raw", file=v.path)
        assert run.status == 1 and run.verdict["code"] == INVALID[v.name.rsplit("_", 1)[0]], run


def test_pinned_pcrs_tell_the_enclave():
    v = vector("2025-08-27")
    pcrs = v.facts["pcr_nonzero"]
    flags = ["--at", "document", "--json"]
    run = verify(*flags, "--pcr", f"0={pcrs['0']}", file=v.path)
    assert run.status == 0 and run.verdict["identity"] == "compared" and run.verdict["pcrs_compared"] == [0]
    run = verify(*flags, "--pcr", f"2={pcrs['2']}", file=v.path)
    assert run.status == 0 and run.verdict["identity"] == "weak"
    run = verify(*flags, "--pcr", f"0={'ab' * 48}", file=v.path)
    assert run.status == 1 and run.verdict["code"] == "pcr_mismatch" and run.verdict["field"] == "PCR0"
    run = verify(*flags, "--pcr", f"0={'ab' * 48}", "--pcr", f"0={pcrs['0']}", file=v.path)
    assert run.status == 0 and run.verdict["identity"] == "compared"


def test_a_second_verifier_agrees():
    root = (VECTORS / "root" / "aws_nitro_g1.der").read_bytes()
    for v in genuine():
        assert strict.verify(v.document, root, None)["module_id"] == v.facts["module_id"]
    for v in vectors("invalid"):
        with pytest.raises(strict.Refused):
            strict.verify(v.document, root, None)
