"""Every variant that mutate.py makes of genuine documents gets the verdict that it deserves (helpers/decisions.py)."""

import pytest
from helpers import strict
from helpers.decisions import ACCEPTED, POLICY, REJECT, expected
from helpers.forge import pem
from helpers.vectors import VECTORS, mutate, needs_vectors, vector
from helpers.verifier import judge, slow

pytestmark = [needs_vectors, pytest.mark.slow]

# Of each year and shape: debug and production, definite and indefinite, 16 and 32 PCRs, all optional fields and none.
CHOSEN = [
    "2021-04-26_us-west-1_dbg",
    "2022-11-16_us-east-1_dbg_p16_pkX_ud120_n256",
    "2023-07-10_us-east-1_prod_p16_pk426_ud0_n0",
    "2024-09-03_us-east-1_dbg_p16_pk5_ud68_n20",
    "2025-08-27_us-east-1_prod_p16_pk32_ud14_n10_ind",
    "2026-01-31_us-east-1_prod_p16_pkX_ud287_n24_ind",
    "2026-06-30_us-east-1_prod_p32_pk130_ud32_nX_ind",
]


class Variants:
    """All variants of one document, and what the verifier says of each when debug enclaves are allowed."""

    def __init__(self, document, folder):
        self.cases = mutate(document, folder)
        good = {self.key(case) for case in self.cases if case["expect"] == "accept"}
        for case in self.cases:
            # A payload that ends with an empty string is "truncated" behind that string's head: not at all.
            if case["expect"] == "reject" and self.key(case) in good:
                assert case["name"].startswith("test-paytrunc-") and document.facts["nonce"]["len"] == 0
                case["expect"] = "accept"
        self.inputs = [(folder / f"{case['name']}.bin").read_bytes() for case in self.cases]
        self.root = {"testroot.der": (folder / "testroot.der").read_bytes()}
        self.root["aws"] = (VECTORS / "root" / "aws_nitro_g1.der").read_bytes()
        self.jobs = [(data, self.policy(case, allow_debug=True)) for case, data in zip(self.cases, self.inputs)]
        # All twice: what the cache of chains remembers must change no verdict.
        answers = judge(self.jobs * 2)
        self.answers, self.again = answers[: len(self.jobs)], answers[len(self.jobs) :]

    @staticmethod
    def key(case):
        return case["sha256"], case["root"], case["time"]

    def policy(self, case, **more):
        # The binary's own root is the one that counts for AWS's documents.
        root = {} if case["root"] == "aws" else {"root": pem(self.root[case["root"]])}
        return {"at": str(case["time"]), **root, **more}


@pytest.fixture(scope="module", params=CHOSEN)
def variants(request, tmp_path_factory):
    return Variants(vector(request.param), tmp_path_factory.mktemp("variants"))


def test_each_variant_gets_its_code(variants):
    wrong = []
    for case, answer in zip(variants.cases, variants.answers):
        codes, _ = expected(case)
        if answer.code not in codes or answer.verified is not (answer.code == "verified"):
            wrong.append(f"{case['name']} ({case['reason']}): {answer}, not {'|'.join(sorted(codes))}")
    assert not wrong, "\n".join(wrong)


def test_every_decision_is_about_a_variant_and_every_variant_is_decided(variants):
    assert {case["name"] for case in variants.cases if case["expect"] == "policy"} == set(POLICY)
    used = {expected(case)[1] for case in variants.cases if case["expect"] == "reject"}
    flips = {pattern for pattern, _ in REJECT if pattern.startswith("aws-flip-")}  # not every document has every field
    assert {pattern for pattern, _ in REJECT} - used <= flips


# What is no document as bytes, but one that is written as text.
TEXT = {"aws-outer-as-base64", "aws-outer-as-hex"}


def test_guessing_the_format_accepts_nothing_more_but_text(variants):
    guessed = judge([(*job, "auto") for job in variants.jobs])
    for case, answer, guess in zip(variants.cases, variants.answers, guessed):
        assert guess.verified is (answer.verified or case["name"] in TEXT), (case["name"], guess)
        if len(variants.inputs[0]) <= case["len"] <= 16384 and guess.verdict["input"] == "cose":
            assert guess.code == answer.code, (case["name"], guess)


def test_a_refusal_states_no_facts_unless_signature_and_chain_hold(variants):
    for case, answer in zip(variants.cases, variants.answers):
        holds = answer.verified or answer.code in ("certificate_expired", "certificate_not_yet_valid")
        assert bool(answer.verdict.get("pcrs")) is holds, (case["name"], answer.verdict)


def test_the_cache_of_chains_changes_no_verdict(variants):
    for case, first, second in zip(variants.cases, variants.answers, variants.again):
        assert first.verdict == second.verdict, case["name"]


def test_nothing_takes_long(variants):
    assert slow(variants.jobs, variants.answers) == []


def test_a_debug_enclave_is_refused_unless_allowed(variants):
    good = [(case, data) for case, data, answer in zip(variants.cases, variants.inputs, variants.answers) if answer.verified]
    answers = judge([(data, variants.policy(case)) for case, data in good])
    for (case, _), allowed, answer in zip(good, [a for a in variants.answers if a.verified], answers):
        zero = any(set(allowed.verdict["pcrs"][str(i)]) == {"0"} for i in (0, 1, 2))
        assert allowed.verdict["debug"] is zero
        assert answer.code == ("debug_mode" if zero else "verified"), (case["name"], answer)


# Where the second verifier decides otherwise.
DIFFERENCES = {
    "test-pcrs-indef": "it knows one writing of each map but the outermost; we read both, as for that one",
    "test-cabundle-indef": "it knows one writing of each array; we read both",
    "test-chain-dup-root": "to it a root that the root issued is one more CA; AWS makes no such chain",
}


def test_a_second_verifier_agrees(variants):
    differ = {}
    for case, data, answer in zip(variants.cases, variants.inputs, variants.answers):
        try:
            strict.verify(data, variants.root[case["root"]], None if case["time"] == "document" else case["time"])
            theirs = "accepted"
        except strict.Refused as e:
            theirs = str(e)
        if (theirs == "accepted") is not answer.verified:
            differ[case["name"]] = f"{answer}, theirs: {theirs}"
    assert set(differ) == set(DIFFERENCES), differ


def test_policy_tables_say_why():
    assert all(why for _, why in POLICY.values())
    assert all(codes and not (codes & ACCEPTED) for _, codes in REJECT)
