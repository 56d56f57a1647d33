"""`attestd client`: the parent instance's way to its enclave, which believes nothing that is not signed."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from helpers.enclave import DEFAULT, Enclave, client, described, nitro_cli, reply
from helpers.server import PATIENCE, RUNNER, TOP
from helpers.session import PCR0, attestd, command, done, refused
from helpers.simulated import Simulated, check_schema
from helpers.vsock import settings

PONG = {"success": True, "message": "pong", "timestamp": 1700000000}
PINS = ("--pcr", f"0={PCR0}")
MEMBERS = ["user_data", "nonce", "has_public_key", "document_size", "key_id", "timestamp"]


@pytest.fixture
def enclave():
    """Makes enclaves that answer as they are told."""
    made = []

    def make(answer):
        made.append(Enclave(answer))
        return made[-1]

    yield make
    for e in made:
        e.close()


@pytest.fixture
def honest(simulator, enclave):
    """Makes enclaves that answer as a server does, but for what a test wants to be otherwise."""
    def make(**changes):
        return enclave(lambda request: reply(simulator, request, **changes))

    return make


@pytest.fixture
def verify(simulator):
    """`client --verify` of an enclave."""
    def run(e, *words, pins=PINS):
        return client("--verify", "--to", e.to, "--root", simulator.root, *pins, *words)

    return run


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    directory = tmp_path_factory.mktemp("simulated")
    s = Simulated(directory / "s", settings=settings(directory)).start()
    s.vsock = s.settings["vsock_listen"]
    yield s
    s.stop()


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def key():
    return spki(rsa.generate_private_key(65537, 2048))


def said(run, status=0):
    """The object that --verify --json prints."""
    assert run.status == status, run
    value = run.json()
    assert list(value)[:2] == ["success", "attestation_document"]
    assert value["verified"] is (status == 0)
    assert (value["verification_error"] is None) is value["verified"]
    if value["verification"] is not None:
        check_schema(value["verification"])
        assert value["verification"]["verified"] is value["verified"]
    if not value["verified"]:
        assert {value[m] for m in MEMBERS} == {None}
    return value


# ---- ping and status ----

@pytest.mark.smoke
@pytest.mark.parametrize("how", ["ping", "--ping"])
def test_ping_says_pong(enclave, how):
    e = enclave(PONG)
    assert done(client(how, "--to", e.to)).decode() == f"Pong! {e.to} answers\n"
    assert e.requests == [b'{"command":"ping"}\n']
    assert json.loads(done(client(how, "--to", e.to, "--json"))) == PONG


@pytest.mark.parametrize("how", ["status", "--status"])
def test_status_shows_what_the_server_says_and_no_byte_of_it_reaches_the_terminal_as_it_is(enclave, how):
    status = {"success": True, "status": "running\x1b[2J", "port": None, "uptime": 12.5, "na\u202eme": "\U0001f600\x00",
              "list": ["\x7f", {"a": 1}]}
    e = enclave(status)
    out = done(client(how, "--to", e.to)).decode("ascii")
    assert out.splitlines() == [
        "status        running\\u{1b}[2J", "port          null", "uptime        12.5", "na\\u{202e}me  \\u{1f600}\\u{0}",
        'list          ["\\u007f", {"a": 1}]']
    text = done(client(how, "--to", e.to, "--json"))
    assert json.loads(text) == status and re.fullmatch(rb"[ -~]+\n", text)
    assert set(e.requests) == {b'{"command":"status"}\n'}


@pytest.mark.parametrize("answer", [
    [bytes([b]) for b in json.dumps(PONG).encode() + b"\n"],
    json.dumps(PONG).encode(),
    b" " + json.dumps(PONG).encode() + b" \r\nand more",
], ids=["in pieces", "without newline", "with white space"])
def test_a_reply_may_come_in_any_way(enclave, answer):
    assert client("--ping", "--to", enclave(answer).to).status == 0


# ---- what is no reply ----

@pytest.mark.parametrize(("answer", "why"), {
    "text": (b"pong\n", "is no reply of the vsock protocol: "),
    "binary": (bytes(range(256)), "is no reply of the vsock protocol: "),
    "empty line": (b"\n", "is no reply of the vsock protocol: "),
    "array": ([b"[1]\n"], "it is no object"),
    "no pong": ({"success": True}, "its member message is not pong"),
    "another pong": ({"success": True, "message": "Pong"}, "its member message is not pong"),
    "a list of pong": ({"success": True, "message": ["pong"]}, "its member message is not pong"),
    "no success": ({"message": "pong"}, "its member success is neither true nor false"),
    "success as text": ({**PONG, "success": "true"}, "its member success is neither true nor false"),
    "success as a number": ({**PONG, "success": 1}, "its member success is neither true nor false"),
    "twice": (b'{"success": false, "success": true}\n', "is no reply of the vsock protocol: "),
    "deep": (b'{"success": true, "a": ' + b"[" * 600 + b"]" * 600 + b"}\n", "is no reply of the vsock protocol: "),
    "wide": (b'{"success": true, "a": [' + b"0," * 2000 + b"0]}\n", "is no reply of the vsock protocol: "),
    "escape": (b'{"\xe2\x80\xae": \x1b[2J}\n', "is no reply of the vsock protocol: "),
    "long": (b"x" * (1 << 20), "has more than 65536 bytes"),
    "long but well-formed": ({**PONG, "a": "x" * 65536}, "has more than 65536 bytes"),
    "cut off": (b'{"success": true, ', "closed the connection in the middle of its reply"),
    "nothing": (b"", "closed the connection without a reply"),
}.values(), ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_what_is_no_reply_is_a_failure_of_the_environment(enclave, answer, why, json_too):
    err = refused(client("--ping", "--to", enclave(answer).to, *json_too), 3, why)
    assert re.fullmatch(r"[ -~]+\n", err)


@pytest.mark.parametrize("answer", [{"success": True}, PONG, {"success": True, "status": None}, {"success": True, "status": 1}])
@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_a_status_that_says_nothing_is_none(enclave, answer, json_too):
    refused(client("--status", "--to", enclave(answer).to, *json_too), 3, "its member status is no text")


def test_silence_is_borne_for_as_long_as_was_said(enclave):
    start = time.monotonic()
    refused(client("--ping", "--to", enclave(None).to, "--timeout", 1), 3, "did not answer within 1 s")
    assert time.monotonic() - start >= 1


def test_nobody_there(tmp_path):
    refused(client("--ping", "--to", f"unix:{tmp_path}/none"), 3, f"unix:{tmp_path}/none")
    assert client("--ping", "--cid", 77, "--timeout", 2).status == 3


def test_the_longest_reply_is_read(enclave):
    value = {**PONG, "a": ""}
    value["a"] = "x" * (65536 - len(json.dumps(value)))
    assert json.loads(done(client("--ping", "--json", "--to", enclave(value).to))) == value


# ---- refusals ----

@pytest.mark.parametrize(("reply_", "text"), [
    ({"success": False, "error": "NSM\x1b[2J broken \u202e", "code": "nsm_unavailable"},
     "the enclave refuses: NSM\\u{1b}[2J broken \\u{202e}"),
    ({"success": False, "error": "x" * 5000}, "the enclave refuses: " + "x" * 200 + "\n"),
    ({"success": False}, "the enclave refuses, and does not say why"),
    ({"success": False, "error": 5}, "the enclave refuses, and does not say why"),
])
def test_a_refusal_is_told_and_is_no_success(enclave, simulator, tmp_path, reply_, text):
    e = enclave(reply_)
    for words in (["ping"], ["status"], ["attest", "--save", tmp_path / "f"],
                  ["--verify", "--any-enclave", "--save", tmp_path / "f"]):
        assert text in client(*words, "--to", e.to).err
        run = client(*words, "--to", e.to, "--json")
        assert run.status == 1, run
        if words[0] != "--verify":
            assert (run.json(), run.err) == (reply_, "")
        else:
            value = said(run, 1)
            assert value["success"] is False and value["verification"] is None and value["attestation_document"] is None
            assert text.strip() == value["verification_error"]
    refused(client("ping", "--to", e.to), 1, text)
    assert not (tmp_path / "f").exists()


# ---- attest ----

def test_attest_asks_for_what_was_said_and_shows_the_document(honest, simulator):
    e = honest()
    lines = done(client("attest", "--to", e.to)).decode().splitlines()
    assert "Nothing of it was verified" in lines[0]
    document = base64.b64decode(lines[-1], validate=True)
    assert f" {len(document)} bytes" in lines[0]
    done(client("--attest", "--to", e.to, "--user-data", "ü\"", "--nonce", "abcd", "--generate-key"))
    done(client("--attest", "--to", e.to, "--user-data", ""))
    assert [json.loads(r) for r in e.requests] == [
        {"command": "attest", "generate_key": False},
        {"command": "attest", "user_data": "ü\"", "nonce": "abcd", "generate_key": True},
        {"command": "attest", "user_data": "", "generate_key": False}]
    value = json.loads(done(client("attest", "--to", e.to, "--json")))
    assert value["success"] is True and value["user_data"] == DEFAULT


def test_the_longest_texts_are_sent(honest, verify):
    e = honest()
    said(verify(e, "--json", "--user-data", "\x01" * 512, "--nonce", "é" * 256))
    assert len(e.requests[0]) < 8192
    for option in ("--user-data", "--nonce"):
        refused(client("attest", "--to", e.to, option, "x" * 513), 2, f"{option} must be ", "512 bytes of UTF-8")
        refused(client("attest", "--to", e.to, option, "\udcff"), 2, f"{option} must be ")
    refused(client("attest", "--to", e.to, "--nonce", ""), 2, "--nonce must be 1 to 512 bytes")


@pytest.mark.parametrize("document", [..., None, "", "!!!!", "AAA", {"document": "AAAA"}, "A" * 24000])
def test_a_reply_without_a_document_is_none(honest, verify, document):
    e = honest(attestation_document=document)
    for run in (client("attest", "--to", e.to), verify(e)):
        refused(run, 3, "is no reply of the vsock protocol: it", "attestation_document")


@pytest.mark.parametrize("how", ["attest", "--verify"])
def test_the_document_is_saved(honest, simulator, tmp_path, how):
    e, file = honest(), tmp_path / "attestation.b64"
    file.touch()
    policy = ("--root", simulator.root, *PINS) if how == "--verify" else ()
    out = done(client(how, "--to", e.to, "--save", file, *policy)).decode()
    assert out.endswith(f"The document is in {file}.\n")
    text = file.read_text()
    assert text.endswith("\n") and text.count("\n") == 1 and file.stat().st_mode & 0o777 == 0o644
    assert base64.b64decode(text[:-1], validate=True) and text not in out
    done(attestd("verify", "--root", simulator.root, *PINS, file))
    assert os.listdir(tmp_path) == ["attestation.b64"]
    run = client(how, "--to", e.to, "--save", "-", *policy)
    assert run.status == 0 and base64.b64decode(run.out[:-1], validate=True)
    assert ("VERIFIED: " if how == "--verify" else "Nothing of it was verified") in run.err


def test_what_cannot_be_saved_is_a_failure(honest, tmp_path):
    e = honest()
    refused(client("attest", "--to", e.to, "--save", tmp_path), 3, "neither a file nor a pipe")
    assert e.requests == []
    refused(client("attest", "--to", e.to, "--save", tmp_path / "no" / "f"), 3, f"{tmp_path}/no/f")
    refused(client("attest", "--to", e.to, "--save", "-", "--json"), 2, "cannot both have the standard output")
    with open("/dev/full", "wb") as full:
        assert client("attest", "--to", e.to, stdout=full).status == 3


# ---- verify ----

@pytest.mark.smoke
@pytest.mark.parametrize("how", [["--verify"], ["--attest", "--verify"], ["attest", "--verify"]])
def test_it_verifies_an_honest_reply(honest, simulator, how):
    e = honest()
    words = (*how, "--to", e.to, "--root", simulator.root, *PINS)
    text = done(client(*words)).decode()
    assert text.startswith("VERIFIED: ") and "and it is the one that was wanted" in " ".join(text.split())
    run = client(*words, "--json")
    value = said(run)
    assert run.err == ""
    request = json.loads(e.requests[-1])
    assert request == {"command": "attest", "nonce": value["nonce"], "generate_key": False}
    assert re.fullmatch("[0-9a-f]{64}", value["nonce"]) and value["nonce"] != json.loads(e.requests[0])["nonce"]
    assert bytes.fromhex(value["verification"]["nonce"]) == value["nonce"].encode()
    assert bytes.fromhex(value["verification"]["user_data"]) == DEFAULT.encode() == value["user_data"].encode()
    assert value["verification"]["identity"] == "compared"
    document = base64.b64decode(value["attestation_document"])
    assert value["success"] is True and value["document_size"] == len(document) and value["tee_verified"] is False
    assert value["has_public_key"] is False and value["key_id"] is None
    assert abs(value["timestamp"] - time.time() * 1000) < 600_000


@pytest.mark.parametrize("nonce", ["abcd" * 8, "text:x", "hex:00", "AAAA", "ü😀"])
@pytest.mark.parametrize("user_data", ["00ff", "hex:aa", "AAAA", "ü😀", ""])
def test_texts_are_texts(honest, verify, nonce, user_data):
    e = honest()
    run = verify(e, "--json", "--nonce", nonce, "--user-data", user_data)
    value = said(run)
    assert (value["nonce"], value["user_data"]) == (nonce, user_data or None)
    assert bytes.fromhex(value["verification"]["nonce"]) == nonce.encode()
    assert "WARNING: --nonce must be random" in run.err


def test_a_key_that_was_asked_for_is_attested(honest, verify, key):
    e = honest(signs={"public_key": key})
    value = said(verify(e, "--json", "--generate-key"))
    assert json.loads(e.requests[0])["generate_key"] is True
    assert value["has_public_key"] is True and value["key_id"] == hashlib.sha256(key).hexdigest()
    assert bytes.fromhex(value["verification"]["public_key"]) == key
    text = done(verify(e, "--generate-key")).decode()
    assert f'Its key_id is "{hashlib.sha256(key).hexdigest()}".' in text


LIES = {
    "another nonce": ({"nonce": "0" * 64}, "nonce_mismatch"),
    "no nonce": ({"nonce": None}, "nonce_missing"),
    "other user data": ({"user_data": "goodbye"}, "user_data_mismatch"),
    "no user data": ({"user_data": None}, "user_data_mismatch"),
}
MIRRORS = {
    "nonce": "another", "user_data": "other", "has_public_key": True, "document_size": 5, "timestamp": 5,
    "module_id": "i-1", "verified": True, "verification": {"module_id": "trust me"}, "key_id": "00" * 32,
}


@pytest.mark.parametrize("name", LIES)
def test_what_is_signed_for_another_request_is_refused(honest, verify, name):
    signs, code = LIES[name]
    value = said(verify(honest(signs=signs), "--json"), 1)
    assert value["success"] is True and value["verification"]["code"] == code
    text = verify(honest(signs=signs))
    assert text.status == 1 and text.out.startswith(b"NOT VERIFIED")


@pytest.mark.parametrize("name", MIRRORS)
def test_what_the_reply_says_beside_the_document_must_be_what_is_signed(honest, verify, name):
    value = said(verify(honest(**{name: MIRRORS[name]}), "--json"), 1)
    assert value["verification"]["code"] == "reply_mismatch"


@pytest.mark.parametrize("name", ["nonce", "user_data", "has_public_key", "document_size"])
def test_what_the_reply_leaves_out_is_known_from_the_document(honest, verify, name):
    value = said(verify(honest(**{name: ...}), "--json"))
    assert value[name] is not None


def test_user_data_that_was_not_wanted_is_refused(honest, verify):
    e = honest(signs={"user_data": "more"})
    value = said(verify(e, "--json", "--user-data", ""), 1)
    assert value["verification"] is None and "attests user data, and none was asked for" in value["verification_error"]
    assert verify(e, "--user-data", "").out.startswith(b"NOT VERIFIED: The document attests user data")


@pytest.mark.parametrize(("made", "why"), [
    (lambda: None, "holds no public key, and --generate-key asked for one"),
    (lambda: spki(rsa.generate_private_key(65537, 1024)), "cannot be used"),
    (lambda: spki(ec.generate_private_key(ec.SECP256R1())), "cannot be used"),
    (lambda: b"\x00" * 300, "cannot be used"),
    (lambda: spki(rsa.generate_private_key(65537, 2048)) + b"\x00", "cannot be used"),
    (lambda: spki(rsa.generate_private_key(65537, 2048))[:-1], "cannot be used"),
], ids=["none", "RSA-1024", "EC", "zeros", "with a tail", "cut"])
def test_a_key_that_is_none_is_refused(honest, verify, made, why, tmp_path):
    e = honest(signs={"public_key": made()})
    value = said(verify(e, "--json", "--generate-key", "--save", tmp_path / "f"), 1)
    assert why in value["verification_error"] and value["verification"] is None
    run = verify(e, "--generate-key", "--save", tmp_path / "f")
    assert run.status == 1 and run.out.startswith(b"NOT VERIFIED: ") and why in run.out.decode()
    run = verify(e, "--generate-key", "--save", "-")
    assert (run.status, run.out) == (1, b"") and "NOT VERIFIED: " in run.err
    assert not (tmp_path / "f").exists()


def test_a_key_that_nobody_asked_for_is_refused(honest, verify, key):
    value = said(verify(honest(signs={"public_key": key}), "--json"), 1)
    assert "holds a public key, and none was asked for" in value["verification_error"]


def test_what_does_not_verify_is_not_saved(honest, verify, tmp_path):
    run = verify(honest(), "--save", tmp_path / "f", pins=("--pcr", "0=" + "b" * 96))
    assert run.status == 1 and not (tmp_path / "f").exists()
    run = client("--verify", "--to", honest().to, *PINS, "--save", tmp_path / "f", "--json")
    assert said(run, 1)["verification"]["code"] == "chain_untrusted" and not (tmp_path / "f").exists()


# ---- the policy ----

def test_the_policy_says_which_enclave_is_meant(honest, verify):
    e = honest()
    refused(verify(e, pins=()), 2, "the policy does not say which enclave is meant")
    refused(verify(e, pins=("--pcr", f"2={PCR0}")), 2, "what the policy pins is weak")
    assert e.requests == []
    run = verify(e, "--any-enclave", pins=())
    assert run.status == 0 and "WARNING: --any-enclave" in run.err


def test_a_policy_file_may_hold_anything_but_what_is_asked_for(honest, simulator, tmp_path):
    e = honest()

    def run(member, *words):
        (tmp_path / "policy.json").write_text('{"pcrs": {"0": "%s"}%s}' % (PCR0, member and ", " + member))
        return client("--verify", "--to", e.to, "--root", simulator.root, "--policy", tmp_path / "policy.json", *words)

    assert run("").status == 0
    assert run('"user_data": "text:hello-from-enclave"').status == 0
    assert run('"user_data": "text:mine"', "--user-data", "mine").status == 0
    e.requests.clear()
    refused(run('"user_data": "text:hello"'), 2, "the policy file wants other user data")
    refused(run('"nonce": "text:the same again"'), 2, "the policy file holds a nonce")
    refused(run('"at": "document"'), 2, "as of now")
    refused(run('"purpose": "attestation"'), 2, "over vsock has none")
    refused(run("", "--pcr", "0=xyz"), 2, "--pcr")
    assert e.requests == []


def test_an_old_document_is_refused(simulator, enclave, verify):
    old = simulator.document(DEFAULT.encode(), b"n" * 20, None)
    time.sleep(2.1)
    e = enclave({"success": True, "attestation_document": base64.b64encode(old).decode()})
    value = said(verify(e, "--json", "--max-age", 1, "--nonce", "n" * 20), 1)
    assert value["verification"]["code"] == "document_too_old"


# ---- usage ----

@pytest.mark.parametrize(("words", "why"), [
    ([], "give one of ping, status, attest"),
    (["verify"], "give one of ping, status, attest"),
    (["pong"], "give one of ping, status, attest"),
    (["ping", "--ping"], "give one of ping, status, attest"),
    (["ping", "status"], "give one of ping, status, attest"),
    (["--ping", "--verify"], "give one of ping, status, attest"),
    (["--attest", "attest", "--verify"], "give one of ping, status, attest"),
    (["ping", "--nonce", "x"], "--nonce is for attest and --verify"),
    (["--status", "--generate-key"], "--generate-key is for attest and --verify"),
    (["attest", *PINS], "--pcr is for --verify"),
    (["--attest", "--any-enclave"], "--any-enclave is for --verify"),
    (["--ping", "--root", "x"], "--root is for --verify"),
    (["--verify", "--at", "now"], "--at is no option"),
    (["--verify", "--purpose", "attestation"], "--purpose is no option"),
    (["--ping", "--to", "unix:/x", "--cid", "3"], "--to says all that --cid does"),
    (["--ping", "--to", "unix:/x", "--port", "3"], "--to says all that --port does"),
    (["--ping", "--to", "nowhere"], "--to: "),
    (["--ping", "--to", "unix:@x"], "--to: "),
    (["--ping", "--cid", "x"], "--cid must be a number"),
    (["--ping", "--cid", "4294967295"], "--cid must be a number"),
    (["--ping", "--cid", "-1"], "--cid must be a number"),
    (["--ping", "--cid", "016"], "--cid must be a number"),
    (["--ping", "--cid", "3", "--port", "09000"], "--port must be a number"),
    (["--ping", "--cid", "3", "--port", "0"], "--port must be a number"),
    (["--ping", "--cid", "3", "--port", "4294967295"], "--port must be a number"),
    (["--ping", "--cid", "3", "--timeout", "0"], "--timeout must be a number from 1 to 3600"),
    (["--ping", "--cid", "3", "--timeout", "3601"], "--timeout must be a number from 1 to 3600"),
])
def test_wrong_usage_says_so(words, why):
    refused(client(*words), 2, f"attestd client: {why}", "see attestd client --help")


# ---- nitro-cli ----

def find(tmp_path, script, *words):
    return client("--ping", "--timeout", 2, *words, env=nitro_cli(tmp_path, script))


def test_the_one_enclave_that_runs_is_asked(tmp_path):
    script = described((16, "app\x1b[2J", "RUNNING"), (17, "old", "TERMINATING"))
    for port in ((), ("--port", 9001)):
        run = find(tmp_path, script, *port)
        assert run.status == 3 and run.err.splitlines()[:2] == [
            "attestd client: nitro-cli knows of one running enclave",
            "  --cid 16  app\\u{1b}[2J  (i-0123456789abcdef0-enc0000000000000010)"]
        assert f"vsock:16:{port[1] if port else 9000}" in run.err.splitlines()[2]


def test_it_is_not_asked_when_the_enclave_was_named(tmp_path, enclave):
    assert find(tmp_path, f"touch {tmp_path}/ran", "--to", enclave(PONG).to).status == 0
    find(tmp_path, f"touch {tmp_path}/ran", "--cid", 77)
    find(tmp_path, f"touch {tmp_path}/ran", "--nonce", "x")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("enclaves", [(), ((16, "app", "TERMINATING"),)])
def test_no_enclave_runs(tmp_path, enclaves):
    refused(find(tmp_path, described(*enclaves)), 3, "nitro-cli knows of no running enclave", "`nitro-cli run-enclave`")


def test_several_enclaves_run(tmp_path):
    script = described((16, "a", "RUNNING"), (18, "b", "RUNNING"), (19, "c", "TERMINATING"))
    err = refused(find(tmp_path, script), 2, "2 enclaves run: say which with --cid")
    listed = re.findall(r"^  --cid (\d+)  (\w)  \(i-0123456789abcdef0-enc\w{16}\)$", err, re.MULTILINE)
    assert listed == [("16", "a"), ("18", "b")]


@pytest.mark.parametrize(("script", "why"), {
    "garbage": ("echo '[ E36 ] Enclave boot failure'", "is not understood: it is not JSON"),
    "nothing": (":", "is not understood: it is not JSON"),
    "an object": ("echo '{}'", "is not understood: it is no array"),
    "1 MB": ("head -c 1000000 /dev/zero", "is not understood: it is too long"),
    "without end": ("exec cat /dev/zero", "is not understood: it is too long"),
    "failure": ("echo 'you may not' >&2; echo '[]'; exit 39",
                "failed (exit status 39). If it lacks a permission, run this with sudo"),
    "killed": ("kill -KILL $$", "failed (signal 9)"),
}.values(), ids=lambda x: "" if " " in x else x)
def test_what_nitro_cli_may_do_wrong(tmp_path, script, why):
    run = find(tmp_path, script)
    refused(run, 3, why, "--cid")
    assert ("you may not" in run.err) is ("39" in script)


def test_nitro_cli_may_print_256_kib(tmp_path):
    most = 256 * 1024
    for over, why in ((0, "nitro-cli knows of no running enclave"), (1, "is not understood: it is too long")):
        refused(find(tmp_path, f"printf '%{most + over - 2}s[]' ''"), 3, why)


def test_there_is_no_nitro_cli(tmp_path):
    refused(find(tmp_path, None), 3, "there is no nitro-cli in PATH", "aws-nitro-enclaves-cli", "--cid")


def test_a_nitro_cli_that_may_not_be_run(tmp_path):
    nitro_cli(tmp_path, ":")
    (tmp_path / "bin" / "nitro-cli").chmod(0o644)
    refused(client("--ping", env=nitro_cli(tmp_path, None)), 3, "nitro-cli cannot be run (Permission denied)", "sudo")


@pytest.mark.slow
@pytest.mark.parametrize("output", ["", "echo '[]'; exec >&-;"], ids=["silent", "said all"])
def test_a_nitro_cli_that_hangs_is_ended(tmp_path, output):
    run = find(tmp_path, f"echo $$ >{tmp_path}/pid; {output} exec sleep 1000")
    refused(run, 3, "did not end within 10 s")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.skipif(RUNNER != [], reason="what runs the program opens files of its own")
def test_nitro_cli_gets_no_descriptor_of_ours(tmp_path):
    find(tmp_path, f"ls /proc/self/fd >{tmp_path}/fds; readlink /proc/self/fd/0 >{tmp_path}/stdin; echo '[]'")
    assert set((tmp_path / "fds").read_text().split()) <= {"0", "1", "2", "3"}
    assert (tmp_path / "stdin").read_text() == "/dev/null\n"


# ---- a real server ----

@pytest.mark.smoke
def test_a_server_is_asked(simulated):
    assert done(client("ping", "--to", simulated.vsock)).decode() == f"Pong! {simulated.vsock} answers\n"
    status = json.loads(done(client("--status", "--json", "--to", simulated.vsock)))
    assert status["status"] == "running" and status["uptime"] >= 0 and status["nsm"] == "simulator"
    assert "running" in done(client("status", "--to", simulated.vsock)).decode()


@pytest.fixture
def verify_server(simulated):
    def run(*words, policy=("--root", simulated.root, *PINS)):
        # To make a key takes long where a sanitizer or valgrind looks on.
        return client("--verify", "--to", simulated.vsock, "--timeout", 60 * PATIENCE, "--json", *policy, *words)

    return run


@pytest.mark.smoke
def test_a_server_is_verified(verify_server):
    value = said(verify_server())
    assert value["user_data"] == DEFAULT and value["has_public_key"] is False
    assert said(verify_server("--user-data", ""))["user_data"] is None
    assert said(verify_server(policy=PINS), 1)["verification"]["code"] == "chain_untrusted"
    assert said(verify_server("--pcr", "1=" + "b" * 96), 1)["verification"]["code"] == "pcr_mismatch"


def test_a_server_makes_a_key(verify_server, tmp_path):
    value = said(verify_server("--user-data", "session-12345", "--nonce", "challenge-abc", "--generate-key",
                               "--save", tmp_path / "f"))
    assert (value["user_data"], value["nonce"], value["has_public_key"]) == ("session-12345", "challenge-abc", True)
    public = bytes.fromhex(value["verification"]["public_key"])
    assert value["key_id"] == hashlib.sha256(public).hexdigest() and value["key_expires_in_seconds"] > 0
    assert (tmp_path / "f").read_text() == value["attestation_document"] + "\n"


def test_what_a_server_refuses_is_told(simulated):
    refused(client("attest", "--to", simulated.vsock, "--user-data", '{"purpose":"info"}'), 1, "the enclave refuses: ")


def test_a_server_without_an_nsm_is_told(make_server, tmp_path):
    s = make_server(settings=settings(tmp_path))
    assert client("--ping", "--to", s.settings["vsock_listen"]).status == 0
    refused(client("--verify", "--any-enclave", "--to", s.settings["vsock_listen"]), 1, "the enclave refuses: ")


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed, and the script of the document uses it")
def test_the_script_of_the_document_works(simulated, tmp_path):
    """docs/CLIENT.md's, with a socket and the simulator's root."""
    script = re.search(r"```bash\n(#!/bin/bash\n.*?)```", (TOP / "docs" / "CLIENT.md").read_text(), re.DOTALL)[1]
    attestd_ = " ".join(command())
    assert script.count("attestd client --verify --policy image.json") == 1
    (tmp_path / "image.json").write_text(json.dumps({"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": PCR0}}))

    def run(*more, to=simulated.vsock):
        words = " ".join(map(str, ("--to", to, "--timeout", 60 * PATIENCE, *more)))
        text = script.replace("attestd client", f"{attestd_} client {words}")
        return subprocess.run(["bash", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)

    good = run("--root", simulated.root)
    assert good.returncode == 0 and re.search(r"^Module ID: \S+$", good.stdout, re.MULTILINE), good
    assert (tmp_path / "attestation.b64").exists()
    bad = run()
    assert bad.returncode == 1 and re.search(r"^Attestation failed: \w+", bad.stdout, re.MULTILINE), bad
    assert not (tmp_path / "attestation.b64").exists(), "an older one passes for this one"
    (tmp_path / "attestation.b64").write_text("old")
    gone = run(to=f"unix:{tmp_path}/none")
    assert (gone.returncode, gone.stdout) == (3, "Attestation failed (3), see above\n"), gone
    assert f"{tmp_path}/none" in gone.stderr and not (tmp_path / "attestation.b64").exists()


def test_the_script_of_the_seed_works(simulated, tmp_path):
    """The old client's, word by word but for the client's name, where it asks, whom it trusts and where it writes."""
    script = f"""
{" ".join(command())} client --to {simulated.vsock} --timeout {60 * PATIENCE} --root {simulated.root} \
    --any-enclave --verify --generate-key \
    --save {tmp_path}/attestation.b64 --json > {tmp_path}/response.json

if jq -r '.verified' {tmp_path}/response.json | grep -q true; then
    echo "verified"
    MODULE_ID=$(jq -r '.verification.module_id' {tmp_path}/response.json)
    echo "Module ID: $MODULE_ID"
else
    exit 1
fi
"""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed, and the script uses it")
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and re.search(r"^Module ID: i-\S+$", run.stdout, re.MULTILINE), run
