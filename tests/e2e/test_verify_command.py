"""`attestd verify`: replies, inputs, flags and exit statuses."""

import base64
import copy
import json
import re
import subprocess

import pytest
from helpers import BUILD, RUNNER, clean_environment
from helpers.forge import AT, Forger, pcr, pem
from helpers.forged import NONCE, WRONG, code, pin
from helpers.lies import LIES
from helpers.simulated import KINDS, Simulated, as_json, facts
from helpers.verifier import verify


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


@pytest.mark.slow
def test_a_reply_may_hold_millions_of_values(simulated):
    reply = simulated.post("/attestation", {"custom_data": [0] * 2500000}, timeout=120)
    assert reply.status == 200
    assert code(verify("--json", "--root", simulated.root, data=reply.body)) == "verified"


@pytest.mark.parametrize("what", LIES)
def test_a_lie_beside_the_signed_document_is_refused_by_its_name(simulated, kinds, what):
    (*_, kind), expected, field, lie = LIES[what]
    reply = copy.deepcopy(kinds[kind][0])
    lie(reply)
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
        assert re.search("cannot be (read|opened)|is not a regular file", run.err) and str(tmp_path) in run.err
