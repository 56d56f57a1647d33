"""`attestd verify --policy`: the file, its precedence and its limits; and the root's."""

import json

import pytest
from helpers.forge import AT, pcr
from helpers.forged import NONCE, WRONG, code, pin, usage_error
from helpers.verifier import verify


def write(path, policy):
    path.write_text(policy if isinstance(policy, str) else json.dumps(policy))
    return path


def test_a_policy_file_says_what_flags_say(forged, tmp_path):
    policy = write(tmp_path / "p.json", {
        "pcrs": {"0": pcr(0).hex(), "1": [WRONG.hex(), pcr(1).hex()]},
        "nonce": NONCE.hex(),
        "user_data": "text:hello",
        "max_age": 60,
        "at": AT + 60,
        "root": forged.root.read_text(),
    })
    run = verify("--json", "--policy", policy, file=forged.file)
    assert code(run) == "verified"
    assert (run.verdict["identity"], run.verdict["pcrs_compared"], run.verdict["age_seconds"]) == ("compared", [0, 1], 60)
    for member, value, expected in (("nonce", "00" * 20, "nonce_mismatch"), ("max_age", 59, "document_too_old"),
                                    ("at", "now", "certificate_expired"), ("user_data", "x", "user_data_mismatch")):
        other = write(tmp_path / "q.json", {**json.loads(policy.read_text()), member: value})
        assert code(verify("--json", "--policy", other, file=forged.file)) == expected


def test_what_nitro_cli_prints_is_a_policy(forged, tmp_path):
    printed = {"Measurements": {"HashAlgorithm": "Sha384 { ... }", **{f"PCR{i}": pcr(i).hex() for i in range(3)}}}
    run = forged.verify("--json", "--policy", write(tmp_path / "p.json", printed))
    assert code(run) == "verified" and run.verdict["pcrs_compared"] == [0, 1, 2]
    printed["Measurements"]["PCR1"] = WRONG.hex()
    assert code(forged.verify("--json", "--policy", write(tmp_path / "p.json", printed))) == "pcr_mismatch"


def test_flags_go_over_the_policy_file(forged, tmp_path):
    policy = write(tmp_path / "p.json", {"pcrs": {"0": [WRONG.hex()], "1": pcr(1).hex()}, "nonce": "00" * 20,
                                         "user_data": "other", "max_age": 1, "at": AT + 100, "purpose": "info"})
    flags = ["--json", "--root", forged.root, "--policy", policy]
    run = verify(*flags, file=forged.file)
    assert code(run) == "document_too_old"
    failed = [c["name"] for c in run.verdict["checks"] if c["result"] == "fail"]
    assert failed == ["timestamp", "pcrs", "nonce", "user_data", "purpose"]
    over = ["--max-age", "100", *pin(0), "--nonce", NONCE.hex(), "--user-data", "text:hello"]
    run = verify(*flags, *over, file=forged.file)
    assert code(run) == "claims_malformed"
    assert run.verdict["pcrs_compared"] == [0, 1]  # what the file says of PCR1 still holds
    run = verify(*flags, *over, *pin(1, WRONG), file=forged.file)
    assert code(run) == "pcr_mismatch" and run.verdict["field"] == "PCR1"
    # in whatever order they come
    run = verify("--json", *pin(0), "--policy", policy, "--root", forged.root, "--max-age", "any", file=forged.file)
    assert code(run) == "nonce_mismatch"
    assert [c["result"] for c in run.verdict["checks"] if c["name"] == "pcrs"] == ["pass"]


@pytest.mark.parametrize("flag, first, second", [
    ("--nonce", "00", NONCE.hex()), ("--max-age", "10", "any"), ("--at", "now", "document"), ("--format", "raw", "auto"),
    ("--purpose", "tls", "attestation"), ("--user-data", "text:a", "text:b")])
def test_a_flag_that_is_given_twice_is_refused_since_the_first_may_be_the_stricter(forged, flag, first, second):
    usage_error(forged.verify(flag, first, flag, second), flag, "twice")


def test_a_second_policy_does_not_undo_the_first(forged, tmp_path):
    strict, lax = write(tmp_path / "strict.json", {"pcrs": {"0": WRONG.hex()}}), write(tmp_path / "lax.json", {})
    usage_error(forged.verify("--policy", strict, "--policy", lax), "--policy", "twice")


def test_pins_of_file_and_flags_together_have_a_limit(forged, tmp_path):
    some = [bytes([0xC0, i] * 24).hex() for i in range(62)]
    policy = write(tmp_path / "p.json", {"pcrs": {"0": [pcr(0).hex(), *some]}})
    assert code(forged.verify("--json", "--policy", policy, *pin(1))) == "verified"
    err = usage_error(forged.verify("--json", "--policy", policy, *pin(1), *pin(1, WRONG)), "64")
    assert "--pcr and the policy file together pin more than 64 values" in err
    assert code(forged.verify("--json", "--policy", policy, *pin(0), *pin(1), *pin(1, WRONG))) == "verified"


@pytest.mark.parametrize(
    "policy, text",
    [
        ("", "p.json: "),
        ("[]", "p.json: "),
        ('{"pcrs": {"0": "00"}}', "p.json: pcrs.0: The value of PCR0 is not 96 hex digits"),
        ('{"pcrs": {"0": "%s", "0": "%s"}}' % ("00" * 48, "11" * 48), "duplicate key"),
        ('{"pcr": {}}', "p.json: "),
        ('{"max_age": -1}', "p.json: max_age: "),
        ('{"nonce": 5}', "p.json: nonce: Must be a string"),
        ('{"root": "x"}', "p.json: root: "),
        ('{"max_age": 5, "at": "document"}', "p.json: max_age: Judged as of its own time"),
    ],
)
def test_a_malformed_policy_exits_2_and_says_where(forged, tmp_path, policy, text):
    usage_error(forged.verify("--policy", write(tmp_path / "p.json", policy)), text)


def test_a_nonce_of_control_characters_is_compared_and_not_printed(forged, tmp_path):
    policy = write(tmp_path / "p.json", '{"nonce": "\\u001b[31m=="}')
    assert code(forged.verify("--json", "--policy", policy)) == "nonce_mismatch"
    run = forged.verify("--policy", policy)
    assert run.status == 1 and "\x1b" not in run.out + run.err


def test_policy_and_root_have_limits(forged, tmp_path):
    text = json.dumps({"nonce": NONCE.hex()})
    file = write(tmp_path / "p.json", text + " " * (65536 - len(text)))
    assert code(forged.verify("--json", "--policy", file)) == "verified"
    usage_error(forged.verify("--policy", write(file, file.read_text() + " ")), "65536")
    root = forged.root.read_text()
    file = write(tmp_path / "r.pem", root + "\n" * (16384 - len(root)))
    assert code(forged.verify("--json", "--root", file)) == "verified"
    usage_error(forged.verify("--root", write(file, file.read_text() + "\n")), "16384")


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n", "two"])
def test_a_root_that_is_no_certificate_exits_2(forged, tmp_path, text):
    root = forged.root.read_text()
    file = write(tmp_path / "r.pem", root + root if text == "two" else text)
    usage_error(forged.verify("--root", file), f"--root {file}: ")
