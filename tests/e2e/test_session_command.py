"""`attestd session open`, and the command line of all of `attestd session`."""

import base64
import hashlib
import json
import os
import re
import time

import pytest
from cryptography.hazmat.primitives import serialization
from helpers.session import NONCE, PCR0, change, done, flipped, mode, refused, session
from helpers.simulated import Simulated, check_schema


# ---- open ----


@pytest.mark.smoke
def test_a_reply_is_opened_and_its_session_kept_private(remote, tmp_path):
    reply = remote.exchange(nonce=NONCE, scope="chat-1")
    run = remote.open("--key", remote.key, "--nonce", NONCE, "--scope", "chat-1", reply, preexec_fn=lambda: os.umask(0))
    out = done(run).decode()
    said = json.loads(reply.read_text())
    assert said["session_id"] in out and said["user_key_hash"] in out
    assert "VERIFIED" in run.err and "WARNING" not in run.err
    file = tmp_path / "chat.session"
    assert mode(file) == 0o600
    key = json.loads(file.read_text())["session_key"]
    assert hashlib.sha256(base64.b64decode(key)).hexdigest() == said["session_key_hash"]
    assert key not in out + run.err


def test_a_reply_may_come_through_a_pipe(remote):
    reply = remote.exchange(nonce=NONCE)
    for i, name in enumerate(((), ("-",))):
        done(remote.open("--key", remote.key, "--nonce", NONCE, *name, data=reply.read_bytes(), out=f"s{i}"))


def test_json_tells_of_session_and_verdict(remote, tmp_path):
    reply = remote.exchange(nonce=NONCE)
    run = remote.open("--key", remote.key, "--nonce", NONCE, "--json", reply)
    said = json.loads(done(run))
    assert run.err == "" and list(said) == ["opened", "code", "message", "session", "verdict"]
    assert said["opened"] is True and said["code"] == "opened"
    check_schema(said["verdict"])
    assert said["verdict"]["identity"] == "compared" and said["session"]["pinned"] is True
    assert said["session"] == json.loads(done(session("show", "--session", tmp_path / "chat.session", "--json")))
    assert "session_key" not in said["session"]
    run = remote.open("--key", remote.key, "--nonce", "hex:" + "00" * 32, "--json", reply, out="other")
    said = run.json()
    assert run.status == 1 and said["opened"] is False and said["session"] is None
    assert said["code"] == said["verdict"]["code"] == "nonce_mismatch" and said["message"] == said["verdict"]["message"]


@pytest.mark.parametrize("lie, code", [
    ("user_key_hash", "user_key_mismatch"), ("scope_hash", "scope_mismatch"), ("encrypted_session_key", "session_key_mismatch"),
    ("expires_in_minutes", "reply_mismatch"), ("json", "reply_malformed")])
def test_json_shows_no_good_verdict_beside_a_refusal(remote, tmp_path, lie, code):
    reply, key, more = remote.exchange(nonce=NONCE), remote.key, []
    if lie == "user_key_hash":
        key = other_key(tmp_path)
    elif lie == "scope_hash":
        more = ["--scope", "chat"]
    elif lie == "json":
        reply.write_text("{")
    elif lie == "encrypted_session_key":
        change(reply, encrypted_session_key=flipped(json.loads(reply.read_text())[lie]))
    else:
        change(reply, expires_in_minutes=0)
    run = remote.open("--key", key, "--nonce", NONCE, "--json", *more, reply)
    said = run.json()
    assert run.status == 1 and said["opened"] is False and said["code"] == code and said["session"] is None
    assert said["verdict"] is None or said["verdict"]["verified"] is False


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422, 429])
def test_json_tells_of_a_server_that_refuses(remote, tmp_path, refusing, status):
    run = remote.open("--url", refusing(status, "Not today."), "--json")
    said = run.json()
    assert run.status == 1 and list(said) == ["opened", "code", "message", "session", "verdict"]
    assert (said["opened"], said["code"], said["session"], said["verdict"]) == (False, "server_refused", None, None)
    for text in (f"{status}", "Not today."):
        assert text in said["message"] and text in run.err
    assert "no session was opened" in run.err and not (tmp_path / "chat.session").exists()


def test_json_is_silent_of_a_server_that_fails(remote, refusing):
    refused(remote.open("--url", refusing(503, "Not today."), "--json"), 3, "503", "Not today.")


def test_what_was_compared_is_not_advised_to_be(remote):
    run = remote.open("--key", remote.key, "--nonce", NONCE, remote.exchange(nonce=NONCE))
    done(run)
    assert "What was signed" in run.err and "What to do next" not in run.err and "Before you use" not in run.err


@pytest.mark.parametrize("way", ["url", "reply"])
def test_only_now_counts(remote, simulated, tmp_path, way):
    words = ("--url", simulated.local) if way == "url" else ("--key", remote.key, "--nonce", NONCE, remote.exchange(nonce=NONCE))
    (tmp_path / "policy").write_text('{"at": "document"}')
    for at in (("--at", "document"), ("--at", "1700000000"), ("--policy", tmp_path / "policy")):
        refused(remote.open(*words, *at), 2, "as of now")
    done(remote.open(*words, "--at", "now"))


def test_with_a_url_the_nonce_is_fresh(remote, simulated, tmp_path):
    (tmp_path / "policy").write_text('{"nonce": "text:always the same one"}')
    words = ("--url", simulated.local, "--policy", tmp_path / "policy")
    refused(remote.open(*words), 2, "the policy file holds a nonce")
    run = remote.open(*words, "--nonce", NONCE)
    done(run)
    assert "WARNING: --nonce must be random" in run.err


def pin(*pairs):
    return [word for n, value in pairs for word in ("--pcr", f"{n}={value}")]


@pytest.mark.parametrize("pins, text", [([], "which enclave is meant"), (pin((2, "a77e57d2" * 12)), "weak"),
                                        (pin((3, "aa" * 48)), "weak"), (pin((8, "00" * 48)), "zeros")])
def test_without_a_pinned_enclave_it_says_how_to_get_the_pcrs(remote, simulated, tmp_path, pins, text):
    reply = remote.exchange(nonce=NONCE)
    words = ("--key", remote.key, "--nonce", NONCE, reply)
    policy = ("--root", simulated.root, *pins)
    err = refused(remote.open(*words, policy=policy), 2, text)
    for said in ("nitro-cli build-enclave", "nitro-cli describe-eif", "attestd verify REPLY.json", "--any-enclave"):
        assert said in err
    assert not (tmp_path / "chat.session").exists()
    run = remote.open(*words, "--any-enclave", policy=policy)
    assert "WARNING: --any-enclave" in run.err
    if "3=" + "aa" * 48 in pins:
        refused(run, 1, "PCR3")  # not the simulator's
        return
    done(run)
    assert b"ANY" in done(session("show", "--session", tmp_path / "chat.session"))


def test_pcr1_and_pcr2_pin_one_too(remote, simulated):
    policy = ("--root", simulated.root, *pin((1, "a77e57d1" * 12), (2, "a77e57d2" * 12)))
    run = remote.open("--key", remote.key, "--nonce", NONCE, remote.exchange(nonce=NONCE), policy=policy)
    done(run)
    assert "WARNING" not in run.err


def test_without_a_nonce_it_warns_of_old_exchanges(remote):
    run = remote.open("--key", remote.key, remote.exchange())
    done(run)
    assert "WARNING: without --nonce" in run.err


def other_key(tmp_path):
    done(session("keygen", "--out", tmp_path / "other.pem", "--bits", 2048))
    return tmp_path / "other.pem"


@pytest.mark.parametrize("lie, text", [
    ("pcr", "PCR0"), ("root", "root"), ("nonce", "nonce"), ("key", "relay attack"), ("wrapped", "does not open with your key"),
    ("session_id", "session_id"), ("user_key_hash", "user_key_hash"), ("attestation", "key-exchange is wanted"),
    ("json", "not well-formed JSON"), ("problem", "error reply"), ("without key", "encrypted_session_key"),
])
def test_a_refused_reply_leaves_no_session(remote, simulated, tmp_path, lie, text):
    reply, key, policy = remote.exchange(nonce=NONCE), remote.key, list(remote.policy)
    said = json.loads(reply.read_text())
    nonce = NONCE
    if lie == "pcr":
        policy = ["--root", simulated.root, "--pcr", f"0={'b' * 96}"]
    elif lie == "root":
        policy = ["--pcr", f"0={PCR0}"]
    elif lie == "nonce":
        nonce = "hex:" + "a6" * 32
    elif lie == "key":
        key = other_key(tmp_path)
    elif lie == "wrapped":
        change(reply, encrypted_session_key=flipped(said["encrypted_session_key"]))
    elif lie in ("session_id", "user_key_hash"):
        change(reply, **{lie: ("b" if said[lie][0] == "a" else "a") + said[lie][1:]})
    elif lie == "attestation":
        reply.write_text(json.dumps(simulated.attest(nonce=NONCE)))
    elif lie == "json":
        reply.write_bytes(reply.read_bytes()[:-1])
    elif lie == "problem":
        reply.write_bytes(simulated.post("/key-exchange", {"user_public_key": "x"}).body)
    elif lie == "without key":
        del said["encrypted_session_key"]
        reply.write_text(json.dumps(said))
    before = set(tmp_path.iterdir())
    run = remote.open("--key", key, "--nonce", nonce, reply, policy=policy)
    refused(run, 1, "no session was opened", text)
    assert set(tmp_path.iterdir()) == before


def test_an_exchange_that_waited_too_long_is_refused(remote):
    reply = remote.exchange(nonce=NONCE)
    time.sleep(2.1)
    refused(remote.open("--key", remote.key, "--nonce", NONCE, "--max-age", "1", reply), 1, "document_too_old")


@pytest.mark.parametrize("bad", [0o640, 0o604, 0o660, 0o666])
def test_a_key_that_others_can_read_is_refused_with_the_fix(remote, tmp_path, bad):
    reply = remote.exchange(nonce=NONCE)
    remote.key.chmod(bad)
    refused(remote.open("--key", remote.key, "--nonce", NONCE, reply), 3, f"chmod 600 {remote.key}", f"{bad:04o}")
    remote.key.chmod(0o400)
    done(remote.open("--key", remote.key, "--nonce", NONCE, reply))


def test_what_is_no_private_key_is_named_whoever_may_read_it(remote, tmp_path):
    reply = remote.exchange(nonce=NONCE)
    public = remote.key.with_name("key.pub.pem")
    assert mode(public) == 0o644
    (tmp_path / "certificate").write_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
    (tmp_path / "letter").write_text("Dear reader")
    for path, text in ((public, "This is a public key"), (tmp_path / "certificate", "This is a certificate"),
                       (tmp_path / "letter", "is not PEM")):
        path.chmod(0o644)
        err = refused(remote.open("--key", path, "--nonce", NONCE, reply), 3, text)
        assert "chmod" not in err
    remote.key.chmod(0o644)
    refused(remote.open("--key", remote.key, "--nonce", NONCE, reply), 3, "others could read it", "attestd session keygen",
            "if nobody else uses this machine")


def test_what_is_no_message_is_named(remote, simulated):
    file, sid = remote.opened()
    reply = json.dumps(simulated.post("/key-exchange", {"user_public_key": remote.key.with_name("key.pub.pem").read_text()}).json())
    refused(session("decrypt", "--session", file, data=reply.encode()), 1,
            "a reply to POST /key-exchange: give it to attestd session open")
    message = simulated.post("/encrypt", {"session_id": sid, "plaintext": "x"}).json()
    err = refused(session("decrypt", "--session", file, data=json.dumps({**message, "extra": 1}).encode()), 1, "extra")
    assert "request" not in err
    refused(session("decrypt", "--url", simulated.local, "--id", sid, data=json.dumps(message).encode()), 1,
            "a message from the server: the user decrypts it, with --session")


def test_a_session_file_that_is_there_is_left_alone(remote, tmp_path):
    reply = remote.exchange(nonce=NONCE)
    (tmp_path / "chat.session").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("chat.session", "link"):
        refused(remote.open("--key", remote.key, "--nonce", NONCE, reply, out=name), 3, "left alone")
    assert (tmp_path / "chat.session").read_text() == "mine" and not (tmp_path / "nowhere").exists()


def test_a_policy_for_another_purpose_is_a_contradiction(remote, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text('{"purpose": "attestation"}')
    words = ("--key", remote.key, "--nonce", NONCE, remote.exchange(nonce=NONCE))
    refused(remote.open("--policy", policy, *words), 2, "purpose key-exchange")
    refused(remote.open("--purpose", "info", *words), 2, "purpose key-exchange")
    done(remote.open("--purpose", "key-exchange", *words))


@pytest.mark.parametrize("at", ["local", "public"])
def test_with_a_url_the_exchange_is_made_with_a_key_of_its_own(remote, simulated, tmp_path, at):
    before = set(tmp_path.iterdir())
    url = getattr(simulated, at)
    said = json.loads(done(remote.open("--url", url, "--scope", "chat ü", "--json")))
    assert said["session"]["scope"] == "chat ü"
    assert len(bytes.fromhex(said["verdict"]["nonce"])) == 32
    assert set(tmp_path.iterdir()) - before == {tmp_path / "chat.session"}, "the key pair was never in a file"
    again = json.loads(done(remote.open("--url", url, "--json", out="second")))
    for member in ("user_key_hash", "session_id"):
        assert again["session"][member] != said["session"][member]
    assert again["verdict"]["nonce"] != said["verdict"]["nonce"]


def test_with_a_url_a_key_and_a_nonce_of_ones_own_may_be_used(remote, simulated):
    said = json.loads(done(remote.open("--url", simulated.local, "--key", remote.key, "--nonce", NONCE, "--json")))
    key = serialization.load_pem_public_key(remote.public.read_bytes())
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert said["session"]["user_key_hash"] == hashlib.sha256(spki).hexdigest()
    assert said["verdict"]["nonce"] == "a5" * 32


def test_a_problem_of_the_server_reaches_the_person(remote, tmp_path):
    server = Simulated(tmp_path / "full", settings={"max_sessions": 1}).start()
    policy = ("--root", server.root, "--pcr", f"0={PCR0}")
    done(remote.open("--url", server.local, policy=policy))
    refused(remote.open("--url", server.local, policy=policy, out="second"), 3, "503")
    server.stop()
    refused(remote.open("--url", server.local, policy=policy, out="third"), 3, "127.0.0.1")
    assert not (tmp_path / "second").exists() and not (tmp_path / "third").exists()


# ---- the command line ----


@pytest.mark.parametrize("words, text", [
    ((), "usage: attestd session"),
    (("sevre",), "there is no command `sevre`; see attestd session --help"),
    (("keygen",), "--out KEY.pem"),
    (("keygen", "--out", "k", "extra"), "extra"),
    (("keygen", "--out", "k", "--passphrase", "--passphrase-file", "x"), "take one of them"),
    (("open", "--key", "k"), "--out SESSION"),
    (("open", "--out", "s"), "--key KEY.pem"),
    (("open", "--out", "s", "--url", "http://127.0.0.1:1", "reply"), "reply"),
    (("open", "--out", "s", "--url", "http://127.0.0.1:1", "--passphrase-file", "x"), "--passphrase-file is for --key"),
    (("open", "--out", "s", "--key", "k", "--passphrase-file", "-"), "standard input"),
    (("open", "--out", "s", "--key", "k", "a", "b"), "one argument too many"),
    (("open", "--out", "s", "--key", "k", "--scope", "x" * 65), "1 to 64 bytes"),
    (("open", "--out", "s", "--key", "k", "--scope", ""), "1 to 64 bytes"),
    (("open", "--out", "s", "--key", "k", "--pcr", "0=zz"), "--pcr"),
    (("open", "--out", "s", "--url", "nowhere", "--pcr", f"0={PCR0}"), "--url"),
    (("encrypt",), "either --session"),
    (("encrypt", "--session", "s", "--url", "u"), "either --session"),
    (("encrypt", "--url", "http://127.0.0.1:1"), "--id"),
    (("encrypt", "--session", "s", "--id", "x"), "belong to --url"),
    (("encrypt", "--session", "s", "a", "b"), "one argument too many"),
    (("decrypt",), "either --session"),
    (("decrypt", "--url", "http://127.0.0.1:1"), "--id"),
    (("decrypt", "--session", "s", "--scope", "x"), "belong to --url"),
    (("decrypt", "--session", "s", "--id", "x"), "belong to --url"),
    (("show",), "--session"),
    (("close",), "--session"),
    (("close", "--session", "s", "--url", "nowhere"), "--url"),
    (("show", "--session"), "--session lacks its value"),
    (("show", "--bogus"), "--bogus is no option"),
])
def test_wrong_usage_is_told(tmp_path, words, text):
    refused(session(*words, cwd=tmp_path), 2, text)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_there_exit_3(tmp_path):
    for words in (("encrypt", "--session", "s"), ("decrypt", "--session", "s"), ("show", "--session", "s"),
                  ("open", "--out", "o", "--key", "k", "--pcr", f"0={PCR0}"), ("keygen", "--out", "gone/k", "--bits", 2048)):
        refused(session(*words, cwd=tmp_path), 3)


@pytest.mark.parametrize("action, flags", [
    ("keygen", "out bits passphrase passphrase-file force json"),
    ("open", "key passphrase-file out url scope any-enclave pcr policy nonce max-age root json"),
    ("encrypt", "session url id scope json"),
    ("decrypt", "session url id scope json"),
    ("show", "session json"),
    ("close", "session url force json"),
])
def test_each_action_has_help_on_stdout(action, flags):
    run = session(action, "--help")
    text = done(run).decode()
    assert run.err == "" and text.startswith(f"usage: attestd session {action}")
    for flag in flags.split():
        assert re.search(rf"^  --{flag}\b", text, re.MULTILINE), flag
    assert "Exit status: 0" in text and max(map(len, text.splitlines())) <= 125
    assert re.search(rf"^  {action} ", done(session("--help")).decode(), re.MULTILINE)
