"""`attestd verify`: inputs, flags, the policy file and its precedence, exit statuses, the two forms of a verdict."""

import base64
import copy
import json
import os
import pty
import re
import subprocess

import pytest
from helpers import BUILD, RUNNER, clean_environment
from helpers.forge import AT, Forger, pcr, pem
from helpers.simulated import Simulated, as_json, check_schema, facts, replies
from helpers.verifier import verify

NONCE = b"n" * 20
KINDS = ("plain", "nonce", "custom", "custom_empty", "info", "key_exchange", "bare")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    s = Simulated(tmp_path_factory.mktemp("simulated")).start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def kinds(simulated, user):
    return replies(simulated, user)


class Forged:
    """A document that does not age, its root, and the flags under which it is accepted."""

    def __init__(self, directory):
        self.forger = Forger()
        self.root = directory / "root.pem"
        self.root.write_text(pem(self.forger.root))
        self.flags = {"--root": self.root, "--at": AT}
        self.file = directory / "document.cose"
        self.file.write_bytes(self.forger.document(nonce=NONCE, user_data=b"hello"))

    def usual(self, *flags):
        """Those that are not among `flags`."""
        return [x for flag, value in self.flags.items() if flag not in flags for x in (flag, str(value))]

    def verify(self, *flags, **how):
        return verify(*self.usual(*flags), *flags, **{"file": self.file, **how})


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    return Forged(tmp_path_factory.mktemp("forged"))


def code(run):
    """The verdict's code, of a run with --json, whose exit status must fit."""
    assert run.err == ""
    check_schema(run.verdict)
    assert run.status == (0 if run.verdict["verified"] else 1)
    return run.verdict["code"]


def usage_error(run, *texts):
    assert (run.status, run.out) == (2, ""), run
    for text in texts:
        assert text in run.err
    return run.err


# ---- replies of the server ----


@pytest.mark.smoke
@pytest.mark.parametrize("kind", KINDS)
def test_a_simulators_replies_verify_under_its_root_and_no_other(simulated, kinds, kind, tmp_path):
    reply, purpose = kinds[kind]
    run = verify("--json", "--root", simulated.root, data=as_json(reply))
    assert code(run) == "verified"
    v = run.verdict
    assert (v["input"], v["purpose"], v["debug"], v["historic"]) == ("reply", purpose, False, False)
    assert v["root"]["aws"] is False
    run = verify("--json", data=as_json(reply))
    assert code(run) == "chain_untrusted"
    (tmp_path / "other.pem").write_text(pem(Forger().root))
    assert code(verify("--json", "--root", tmp_path / "other.pem", data=as_json(reply))) == "chain_untrusted"


@pytest.mark.parametrize("kind", KINDS)
def test_a_simulating_server_does_not_call_its_documents_verified(simulated, kinds, kind):
    reply, _ = kinds[kind]
    if kind != "bare":
        assert reply["tee_verified"] is False
    assert "simulated" in reply["_warning"].lower()
    assert simulated.get("/health").json()["tee_available"] is False
    assert simulated.get("/health").json()["nsm"] == "simulator"


def test_metadata_too_large_for_the_claims_is_checked_by_its_digest(tmp_path):
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps({"policy": "x" * 600}))
    server = Simulated(tmp_path / "server", settings={"metadata_file": metadata}).start()
    reply = server.attest()
    server.stop()
    assert code(verify("--json", "--root", server.root, data=as_json(reply))) == "verified"
    reply["metadata"]["policy"] += "y"
    assert code(verify("--json", "--root", server.root, data=as_json(reply))) == "metadata_mismatch"


def other_hex(text):
    return ("0" if text[0] != "0" else "1") + text[1:]


LIES = [
    ("plain", "pcr2", other_hex, "reply_mismatch", "pcr2"),
    ("plain", "user_data.agent", lambda v: v + "!", "reply_mismatch", "user_data"),
    ("plain", "timestamp", lambda v: "2020-01-01T00:00:00Z", "reply_mismatch", "timestamp"),
    ("nonce", "nonce_hex", other_hex, "reply_mismatch", "nonce_hex"),
    ("nonce", "attestation_document.nonce", lambda v: "AAAA", "reply_mismatch", "attestation_document.nonce"),
    ("plain", "attestation_document.pcrs.0", other_hex, "reply_mismatch", "attestation_document.pcrs"),
    ("plain", "attestation_document.module_id", lambda v: v + "x", "reply_mismatch", "attestation_document.module_id"),
    ("plain", "attestation_document.timestamp", lambda v: v + 1, "reply_mismatch", "attestation_document.timestamp"),
    ("plain", "attestation_document.user_data", lambda v: "e30=", "reply_mismatch", "attestation_document.user_data"),
    ("plain", "attestation_document.public_key", lambda v: "AAAA", "reply_mismatch", "attestation_document.public_key"),
    ("custom", "custom_digest", other_hex, "reply_mismatch", "custom_digest"),
    ("custom", "custom_data.answer", lambda v: 43, "custom_data_mismatch", "custom_data"),
    ("custom", "custom_data_canonical", lambda v: v + " ", "custom_data_mismatch", "custom_data_canonical"),
    ("custom_empty", "custom_data", lambda v: "x", "custom_data_mismatch", "custom_data"),
    ("info", "quote", lambda v: v[:-8] + "AAAAAAA=", "reply_mismatch", "quote"),
    ("key_exchange", "session_id", lambda v: "A" * 43, "reply_mismatch", "session_id"),
    ("key_exchange", "session_key_hash", other_hex, "reply_mismatch", "session_key_hash"),
    ("key_exchange", "user_key_hash", other_hex, "reply_mismatch", "user_key_hash"),
]


@pytest.mark.parametrize("kind, path, lie, expected, field", LIES, ids=[f"{x[0]}-{x[1]}" for x in LIES])
def test_a_lie_beside_the_signed_document_is_refused_by_its_name(simulated, kinds, kind, path, lie, expected, field):
    reply = copy.deepcopy(kinds[kind][0])
    *way, last = path.split(".")
    at = reply
    for step in way:
        at = at[step]
    at[last] = lie(at[last])
    run = verify("--json", "--root", simulated.root, data=as_json(reply))
    assert code(run) == expected
    assert run.verdict["field"] == field
    assert run.verdict["message"]
    # what is signed is shown, not what was said
    honest = verify("--json", "--root", simulated.root, data=as_json(kinds[kind][0])).verdict
    assert facts(run.verdict) == facts(honest)
    text = verify("--root", simulated.root, data=as_json(reply))
    assert text.status == 1
    assert text.out.startswith("NOT VERIFIED: ") and f"({expected}, {field}: " in text.out


def test_the_kind_of_a_reply_asks_for_its_purpose(simulated, kinds):
    """An attestation's document cannot pass for a key exchange's."""
    session = {k: v for k, v in kinds["key_exchange"][0].items() if k != "attestation_document"}
    mixed = {**session, "attestation_document": kinds["nonce"][0]["attestation_document"]}
    assert code(verify("--json", "--root", simulated.root, data=as_json(mixed))) == "purpose_mismatch"
    for purpose, expected in (("key-exchange", "verified"), ("attestation", "purpose_mismatch")):
        run = verify("--json", "--root", simulated.root, "--purpose", purpose, data=as_json(kinds["key_exchange"][0]))
        assert code(run) == expected


def test_the_dummys_reply_proves_nothing(server):
    for reply in (server.post("/attestation", {}).json(), server.get("/attestation").json()):
        run = verify("--json", data=as_json(reply))
        assert code(run) == "no_document"
        assert verify(data=as_json(reply)).status == 1


# ---- inputs ----


def test_every_form_of_input_states_the_same_facts(forged, tmp_path):
    raw = forged.file.read_bytes()
    forms = {
        "raw": ("cose", raw),
        "base64": ("base64", base64.encodebytes(raw)),
        "hex": ("hex", raw.hex().upper().encode() + b"\n"),
        "reply": ("reply", as_json({"document": base64.b64encode(raw).decode()})),
    }
    told = []
    for form, (name, data) in forms.items():
        for flags in ([], ["--format", form]):
            run = forged.verify("--json", *flags, file="-", data=data)
            assert code(run) == "verified"
            assert run.verdict["input"] == name
            told.append(facts(run.verdict))
    assert all(f == told[0] for f in told)
    assert told[0]["user_data"] == b"hello".hex() and told[0]["nonce"] == NONCE.hex()
    assert told[0]["module_id"] == "i-0-enc0"
    assert told[0]["pcrs"] == {str(i): (pcr(i) if i in (0, 1, 2, 4) else bytes(48)).hex() for i in range(16)}


@pytest.mark.parametrize("form, other, expected", [
    ("raw", "base64", "cose_malformed"),
    ("raw", "hex", "cose_malformed"),
    ("raw", "reply", "cose_malformed"),
    ("base64", "raw", "input_unrecognized"),
    # every hex text of even length could be base64
    ("base64", "reply", "input_unrecognized"),
    ("hex", "raw", "input_unrecognized"),
    ("hex", "base64", "input_unrecognized"),
    ("hex", "reply", "input_unrecognized"),
    ("reply", "raw", "reply_malformed"),
    ("reply", "base64", "reply_malformed"),
    ("reply", "hex", "reply_malformed"),
])
def test_another_form_than_the_one_that_was_named_is_refused(forged, form, other, expected):
    raw = forged.file.read_bytes()
    data = {"raw": raw, "base64": base64.b64encode(raw), "hex": raw.hex().encode(),
            "reply": as_json({"document": base64.b64encode(raw).decode()})}
    assert code(forged.verify("--json", "--format", form, file="-", data=data[other])) == expected


def test_stdin_is_read_when_no_file_is_named(forged):
    command = [*RUNNER, str(BUILD / "attestd"), "verify", *forged.usual()]
    for more in ([], ["-"]):
        run = subprocess.run([*command, *more], input=forged.file.read_bytes(), capture_output=True, check=False,
                             env=clean_environment())
        assert run.returncode == 0 and run.stderr == b""


def test_an_input_of_nothing_is_a_verdict_too():
    run = verify("--json", data=b"")
    assert code(run) == "input_unrecognized"
    run = verify("--json", data=b"hello, world")
    assert code(run) == "input_unrecognized"


@pytest.mark.slow
def test_the_input_has_a_limit(tmp_path):
    file = tmp_path / "zeros"
    with open(file, "wb") as f:
        f.truncate(256 << 20)
    assert code(verify("--json", file=file)) == "input_too_large"
    with open(file, "ab") as f:
        f.write(b"\0")
    run = verify("--json", file=file)
    assert (run.status, run.out) == (3, "")
    assert f"{file} is longer than 268435456 bytes" in run.err


# ---- flags ----


def pin(i, value=None):
    return ["--pcr", f"{i}={(value or pcr(i)).hex()}"]


WRONG = bytes([0xEE]) * 48
SPELLINGS = {"nonce": (NONCE, "--nonce"), "user_data": (b"hello", "--user-data")}


@pytest.mark.parametrize(
    "flags, expected, identity",
    [
        ([], "verified", "not_compared"),
        (pin(0), "verified", "compared"),
        (pin(1) + pin(2), "verified", "compared"),
        (pin(1), "verified", "weak"),
        (pin(2), "verified", "weak"),
        (pin(4), "verified", "weak"),
        (pin(0, WRONG), "pcr_mismatch", None),
        (pin(0) + pin(1, WRONG), "pcr_mismatch", None),
        (pin(0, WRONG) + pin(0), "verified", "compared"),  # any of them
        (pin(16), "pcr_missing", None),
        (["--nonce", NONCE.hex()], "verified", None),
        (["--nonce", "text:" + NONCE.decode()], "verified", None),
        (["--nonce", "base64:" + base64.b64encode(NONCE).decode()], "verified", None),
        (["--nonce", "6e" * 19], "nonce_mismatch", None),
        (["--user-data", "text:hello"], "verified", None),
        (["--user-data", "68656c6c6f"], "verified", None),
        (["--user-data", "hello!"], "user_data_mismatch", None),
        (["--purpose", "attestation"], "claims_malformed", None),
        (["--at", str(AT + 300)], "verified", None),
        (["--at", str(AT + 301)], "document_too_old", None),
        (["--at", str(AT + 301), "--max-age", "301"], "verified", None),
        (["--at", str(AT + 3600), "--max-age", "any"], "verified", None),
        (["--at", str(AT - 60)], "verified", None),
        (["--at", str(AT - 61)], "certificate_not_yet_valid", None),
        (["--at", str(AT + 4 * 3600), "--max-age", "any"], "certificate_expired", None),
        (["--at", "document"], "verified", None),
        (["--at", "now"], "certificate_expired", None),
    ],
)
def test_flags_say_what_is_wanted(forged, flags, expected, identity):
    run = forged.verify("--json", *flags)
    assert code(run) == expected
    if identity is not None:
        assert run.verdict["identity"] == identity
        assert run.verdict["pcrs_compared"] == sorted({int(f.split("=")[0]) for f in flags if "=" in f})


def test_a_document_without_a_nonce_does_not_hold_the_wanted_one(forged):
    bare = forged.forger.document()
    assert code(forged.verify("--json", "--nonce", NONCE.hex(), file="-", data=bare)) == "nonce_missing"
    assert code(forged.verify("--json", "--user-data", "text:", file="-", data=bare)) == "user_data_mismatch"


def test_a_debug_enclave_passes_only_if_that_is_allowed(make_simulator):
    simulator = make_simulator("--debug-mode")
    made = simulator.document(nonce=NONCE)
    run = verify("--json", "--root", simulator.root, data=made)
    assert code(run) == "debug_mode"
    assert run.verdict["debug"] is True
    run = verify("--json", "--root", simulator.root, "--allow-debug", data=made)
    assert code(run) == "verified" and run.verdict["debug"] is True
    text = verify("--root", simulator.root, "--allow-debug", data=made).out
    assert "DEBUG mode" in text and "--pcr" not in text


@pytest.mark.parametrize(
    "args, text",
    [
        (["--bogus"], "--bogus is no option"),
        (["-x"], "-x is no option"),
        (["--pcr"], "--pcr lacks its value"),
        (["a", "b"], "`b` is one argument too many"),
        (["--format", "pdf"], "--format must be auto, raw, base64, hex or reply, not `pdf`"),
        (["--pcr", "0"], "--pcr 0: "),
        (["--pcr", "32=" + "00" * 48], "--pcr 32="),
        (["--pcr", "0=" + "00" * 47], "--pcr 0="),
        (["--pcr", "0=" + "zz" * 48], "--pcr 0="),
        (["--nonce", ""], "--nonce: "),
        (["--nonce", "=="], "--nonce: "),
        (["--nonce", "hex:0"], "--nonce: "),
        (["--user-data", "hex:zz"], "--user-data: "),
        (["--max-age", "-1"], "--max-age: "),
        (["--max-age", "5 minutes"], "--max-age: "),
        (["--at", "yesterday"], "--at: "),
        (["--purpose", "Attestation"], "--purpose: "),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(args, text, forged):
    command = [*RUNNER, str(BUILD / "attestd"), "verify", *args]
    run = subprocess.run(command, input=forged.file.read_bytes(), capture_output=True, check=False, env=clean_environment())
    assert (run.returncode, run.stdout) == (2, b""), run
    assert text in run.stderr.decode()


def test_a_file_that_cannot_be_read_exits_3(forged, tmp_path):
    gone = tmp_path / "gone"
    for flags, file in (([], gone), ([], tmp_path), (["--policy", gone], forged.file), (["--root", gone], forged.file),
                        (["--policy", tmp_path], forged.file)):
        run = verify(*flags, file=file)
        assert (run.status, run.out) == (3, ""), run
        assert re.search("cannot be (read|opened)", run.err) and str(tmp_path) in run.err


# ---- the policy file ----


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


# ---- what a person reads ----


def test_the_text_explains_what_was_proven_and_what_was_not(forged):
    text = forged.verify().out
    flat = " ".join(text.split())
    assert text.startswith("VERIFIED: ")
    for said in ("What was proven", "root that you gave", "not AWS's", "production mode", "historic", "What was compared",
                 "What was NOT compared", "which one was not compared", "What was signed", "What to do next",
                 'nonce "nnnnnnnnnnnnnnnnnnnn"', 'user data "hello"', "module id \"i-0-enc0\""):
        assert said in flat, said
    for i in range(3):
        assert f"      --pcr {i}={pcr(i).hex()}\n" in text
    assert max(map(len, text.split("\n"))) <= 110  # a PCR is in one piece
    assert max(len(line) for line in text.split("\n") if not re.search("[0-9a-f]{96}", line)) <= 80
    # the flags can be pasted
    flags = [word for word in flat.split() if re.fullmatch(r"\d=[0-9a-f]{96}", word)]
    run = forged.verify("--json", *[x for f in flags for x in ("--pcr", f)])
    assert run.verdict["identity"] == "compared"


def test_pinned_and_asked_for_nothing_is_left_to_do(forged):
    text = " ".join(forged.verify(*pin(0), "--nonce", NONCE.hex(), "--user-data", "text:hello").out.split())
    assert "As wanted: PCR0." in text and "The nonce is the required one" in text and "The user data is the required one" in text
    assert "which one was not compared" not in text and "--pcr" not in text


def test_pcr2_alone_is_called_weak(forged):
    text = " ".join(forged.verify(*pin(2)).out.split())
    assert "What was compared (PCR2) is weak: it does not tell which code runs" in text
    assert "Which code the enclave runs: the PCRs that were compared do not tell" in text


def test_without_a_signature_no_fact_is_shown(forged):
    made = bytearray(forged.file.read_bytes())
    made[-1] ^= 1
    run = forged.verify(file="-", data=bytes(made))
    assert run.status == 1
    for fact in ("hello", "i-0-enc0", pcr(0).hex(), "2025", NONCE.decode(), NONCE.hex()):
        assert fact not in run.out
    assert "(signature_invalid: " in run.out


NASTY = "\x1b[2J\x1b]0;title\x07\r\nVERIFIED\x9b31m\u202e\x7f\x00"


def plain(text):
    return re.fullmatch(r"[\x20-\x7e\n]*", text) is not None


@pytest.mark.parametrize("name", ["module_id", "user_data", "nonce", "claims", "claim_name", "reply"])
def test_no_escape_sequence_reaches_the_terminal(forged, name):
    f = forged.forger
    if name in ("claims", "claim_name"):
        own = {"owner": NASTY} if name == "claims" else {NASTY: "x"}
        made = f.document(user_data=f.claims(**own))
    elif name == "reply":
        made = as_json({**f.attested(), NASTY: NASTY, "pcr2": NASTY, "_warning": NASTY})
    else:
        made = f.document(**{name: NASTY if name == "module_id" else NASTY.encode()})
    run = forged.verify(file="-", data=made)
    assert plain(run.out), run
    assert plain(run.err)
    printed = forged.verify("--json", file="-", data=made).out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", printed)


def on_a_terminal(command, environment, *, stdin=None):
    """What a command writes to a terminal; its stderr goes elsewhere."""
    ours, theirs = pty.openpty()
    try:
        p = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE,
                             env={**clean_environment(), "TERM": "xterm", **environment})
        os.close(theirs)
        got = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:
                break
            if not more:
                break
            got += more
        err = p.stderr.read()
        p.stderr.close()
        p.wait(60)
        return got.decode(), err.decode()
    finally:
        os.close(ours)


def test_colour_is_for_terminals_and_can_be_switched_off(forged):
    command = [*RUNNER, str(BUILD / "attestd"), "verify", *forged.usual(), str(forged.file)]
    environment = {k: v for k, v in clean_environment().items() if k != "NO_COLOR"}
    assert "\x1b" not in subprocess.run(command, capture_output=True, check=False, env=environment).stdout.decode()
    shown, _ = on_a_terminal(command, {"NO_COLOR": ""})
    assert shown.startswith("\x1b[1;33mVERIFIED\x1b[0m: ") and shown.count("\x1b") == 2
    for off in ({"NO_COLOR": "1"}, {"NO_COLOR": "", "TERM": "dumb"}):
        assert "\x1b" not in on_a_terminal(command, off)[0]
    assert "\x1b" not in on_a_terminal([*command, "--json"], {"NO_COLOR": ""})[0]


def test_reading_from_a_terminal_is_said():
    ours, theirs = pty.openpty()
    p = subprocess.Popen([*RUNNER, str(BUILD / "attestd"), "verify"], stdin=theirs, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=clean_environment())
    os.close(theirs)
    os.write(ours, b"\x04")  # Ctrl-D
    out, err = p.communicate(timeout=60)
    os.close(ours)
    assert b"reading from the terminal; end with Ctrl-D" in err
    assert p.returncode == 1 and out.startswith(b"NOT VERIFIED")


def test_output_that_cannot_be_written_exits_3(forged):
    for flags in ([], ["--json"], ["--help"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            command = [str(BUILD / "attestd"), "verify", *forged.usual(*flags), *flags, str(forged.file)]
            run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, env=clean_environment())
        assert run.returncode == 3 and b"cannot write" in run.stderr


def test_the_help_tells_of_every_flag():
    text = verify("--help").out
    for flag in ("--pcr", "--policy", "--nonce", "--user-data", "--max-age", "--allow-debug", "--root", "--at", "--purpose",
                 "--format", "--json"):
        assert re.search(rf"^  {flag}\b", text, re.MULTILINE), flag
    assert "Exit status: 0 verified, 1 not verified, 2 usage" in text
