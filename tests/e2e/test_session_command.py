"""`attestd session`: keys, opening, messages in both directions, and what the file between them withstands."""

import base64
import hashlib
import json
import os
import pty
import re
import resource
import stat
import subprocess
import sys
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from helpers import User, UserSession
from helpers.server import ENVIRONMENT, PATIENCE, TOP
from helpers.session import PCR0, Remote, command, done, refused, session
from helpers.simulated import Simulated, check_schema

sys.path.insert(0, str(TOP / "tests" / "demo"))

from relay import Relay  # noqa: E402

NONCE = "hex:" + "a5" * 32
TEXTS = {
    "empty": b"",
    "emoji": "👩‍🚀 ü 漢字".encode(),
    "nul": b"a\0b\0",
    "crlf": b"one\r\ntwo\r\n",
    "no newline": b"x",
    "escapes": b"\"\\/\x1b[31m\x7f",
    "10 MiB": b"0123456789abcde\n" * (10 * 65536),
}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root, so nobody else can be")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    s = Simulated(tmp_path_factory.mktemp("simulated"), settings={"public_listen": "127.0.0.1:0"}).start()
    yield s
    s.stop()


@pytest.fixture
def remote(simulated, tmp_path):
    return Remote(tmp_path, simulated)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# ---- keygen ----


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_the_private_key_is_its_owners_alone_whatever_the_umask(tmp_path, mask):
    out = done(session("keygen", "--out", tmp_path / "k.pem", preexec_fn=lambda: os.umask(mask))).decode()
    assert (mode(tmp_path / "k.pem"), mode(tmp_path / "k.pub.pem")) == (0o600, 0o644)
    private = serialization.load_pem_private_key((tmp_path / "k.pem").read_bytes(), None)
    public = serialization.load_pem_public_key((tmp_path / "k.pub.pem").read_bytes())
    assert private.key_size == 3072 and private.public_key().public_numbers() == public.public_numbers()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert hashlib.sha256(spki).hexdigest() in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["k.pem", "k.pub.pem"]


def test_keygen_says_what_it_made_as_json(tmp_path):
    said = json.loads(done(session("keygen", "--out", tmp_path / "name", "--bits", "2048", "--json")))
    assert said.pop("user_key_hash")
    assert said == {"private_key": f"{tmp_path}/name", "public_key": f"{tmp_path}/name.pub.pem", "bits": 2048,
                    "encrypted": False}


@pytest.mark.parametrize("there", ["k.pem", "k.pub.pem"])
def test_keygen_overwrites_nothing_unless_forced(tmp_path, there):
    (tmp_path / there).write_text("mine")
    refused(session("keygen", "--out", tmp_path / "k.pem", "--bits", 2048), 3, there, "left alone")
    assert [p.name for p in tmp_path.iterdir()] == [there] and (tmp_path / there).read_text() == "mine"
    done(session("keygen", "--out", tmp_path / "k.pem", "--bits", 2048, "--force"))
    assert (mode(tmp_path / "k.pem"), mode(tmp_path / "k.pub.pem")) == (0o600, 0o644)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("bits", ["2047", "2049", "8200", "x", ""])
def test_keygen_takes_sizes_that_servers_take(tmp_path, bits):
    refused(session("keygen", "--out", tmp_path / "k.pem", "--bits", bits), 2, "--bits")
    assert list(tmp_path.iterdir()) == []


def private_file(path, text):
    path.write_bytes(text)
    path.chmod(0o600)
    return path


def test_a_passphrase_encrypts_the_key_and_opens_it(simulated, remote, tmp_path):
    word = private_file(tmp_path / "word", "pässwörd with spaces\n".encode())
    done(session("keygen", "--out", remote.key, "--bits", 2048, "--passphrase-file", word, "--force"))
    pem = remote.key.read_bytes()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in pem
    assert serialization.load_pem_private_key(pem, "pässwörd with spaces".encode()).key_size == 2048
    reply = remote.exchange()
    wrong = private_file(tmp_path / "wrong", b"another\n")
    refused(remote.open("--key", remote.key, "--passphrase-file", wrong, reply), 3, "passphrase")
    assert not (tmp_path / "chat.session").exists()
    # without a terminal nobody can be asked
    refused(remote.open("--key", remote.key, reply, start_new_session=True), 3, "--passphrase-file")
    run = remote.open("--key", remote.key, "--passphrase-file", "-", reply, data="pässwörd with spaces".encode())
    done(run)
    assert "pässwörd" not in run.err and "pässwörd".encode() not in run.out


@pytest.mark.parametrize("text", [b"", b"\n", b"a\nb\n", b"a\0", b"x" * 1025])
def test_a_passphrase_is_one_line(tmp_path, text):
    word = private_file(tmp_path / "word", text)
    refused(session("keygen", "--out", tmp_path / "k.pem", "--bits", 2048, "--passphrase-file", word), 3, "passphrase")
    assert [p.name for p in tmp_path.iterdir()] == ["word"]


def test_a_passphrase_file_that_others_read_is_refused(tmp_path):
    word = private_file(tmp_path / "word", b"x")
    word.chmod(0o604)
    refused(session("keygen", "--out", tmp_path / "k.pem", "--passphrase-file", word), 3, f"chmod 600 {word}")


def typed(words, answers):
    """Runs a command on a terminal of its own and types the answers when asked: status, all that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execvpe(command()[0], command(*words), ENVIRONMENT)
        finally:
            os._exit(127)
    shown = b""
    answers = list(answers)
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            break
        if not more:
            break
        shown += more
        if shown.endswith(b": ") and answers:
            os.write(terminal, answers.pop(0))
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return status, shown


def test_a_passphrase_is_asked_for_twice_and_not_shown(tmp_path):
    key = tmp_path / "k.pem"
    words = ("session", "keygen", "--out", key, "--bits", 2048, "--passphrase")
    status, shown = typed(words, [b"correct horse\n", b"correct house\n"])
    assert os.waitstatus_to_exitcode(status) == 3 and b"differ" in shown and not key.exists()
    status, shown = typed(words, [b"correct horse\n", b"correct horse\n"])
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert b"correct" not in shown and shown.count(b"k.pem: ") == 2
    assert serialization.load_pem_private_key(key.read_bytes(), b"correct horse").key_size == 2048


def test_an_interrupt_while_typing_leaves_nothing(tmp_path):
    status, shown = typed(("session", "keygen", "--out", tmp_path / "k.pem", "--bits", 2048, "--passphrase"), [b"half\x03"])
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == 2, shown
    assert list(tmp_path.iterdir()) == []


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
    ("expires_in_minutes", "reply_mismatch"), ("json", "reply_malformed"), ("values", "reply_malformed")])
def test_json_shows_no_good_verdict_beside_a_refusal(remote, tmp_path, lie, code):
    reply, key, more = remote.exchange(nonce=NONCE), remote.key, []
    if lie == "user_key_hash":
        key = other_key(tmp_path)
    elif lie == "scope_hash":
        more = ["--scope", "chat"]
    elif lie == "json":
        reply.write_text("{")
    elif lie == "values":
        change(reply, more=[0] * 4096)
    elif lie == "encrypted_session_key":
        change(reply, encrypted_session_key=flipped(json.loads(reply.read_text())[lie]))
    else:
        change(reply, expires_in_minutes=0)
    run = remote.open("--key", key, "--nonce", NONCE, "--json", *more, reply)
    said = run.json()
    assert run.status == 1 and said["opened"] is False and said["code"] == code and said["session"] is None
    assert said["verdict"] is None or said["verdict"]["verified"] is False


def test_json_says_that_the_server_refused(remote, simulated):
    run = remote.open("--url", simulated.local, "--nonce", "hex:" + "aa" * 513, "--json")
    assert run.status == 1 and run.json()["code"] == "server_refused" and run.json()["verdict"] is None


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


def change(reply, **members):
    reply.write_text(json.dumps({**json.loads(reply.read_text()), **members}))
    return reply


def flipped(text):
    return ("B" if text[0] == "A" else "A") + text[1:]


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


# ---- messages ----


@pytest.mark.parametrize("name", TEXTS)
def test_messages_go_both_ways_byte_for_byte(remote, simulated, tmp_path, name):
    text = TEXTS[name]
    file, sid = remote.opened(scope="chat")
    (tmp_path / "text").write_bytes(text)
    message = done(session("encrypt", "--session", file, tmp_path / "text"))
    assert text == done(session("decrypt", "--url", simulated.local, "--id", sid, "--scope", "chat", data=message))
    reply = done(session("encrypt", "--url", simulated.local, "--id", sid, "--scope", "chat", data=text))
    assert text == done(session("decrypt", "--session", file, data=reply))
    # as others do it
    plain = simulated.post("/decrypt", done(session("encrypt", "--session", file, "-", data=text))).json()
    assert plain["plaintext"].encode() == text
    reply = simulated.post("/encrypt", {"session_id": sid, "plaintext": text.decode(), "scope": "chat"}).body
    (tmp_path / "reply").write_bytes(reply)
    said = json.loads(done(session("decrypt", "--session", file, "--json", tmp_path / "reply")))
    assert said == {"plaintext": text.decode(), "session_id": sid, "message_number": json.loads(reply)["message_number"]}


def test_a_python_user_and_ours_understand_each_other(remote, simulated, user):
    # theirs with the server, and with what our command says at the server
    theirs = UserSession(simulated, user)
    plain = done(session("decrypt", "--url", simulated.local, "--id", theirs.id, "--json",
                         data=json.dumps(theirs.seal("from Python")).encode()))
    assert json.loads(plain)["plaintext"] == "from Python"
    assert theirs.open(json.loads(done(session("encrypt", "--url", simulated.local, "--id", theirs.id, data=b"to Python")))) \
        == "to Python"
    # ours: what one encrypts the other decrypts
    file, sid = remote.opened()
    key = AESGCM(base64.b64decode(json.loads(file.read_text())["session_key"]))
    message = json.loads(done(session("encrypt", "--session", file, data=b"hello")))
    iv = base64.b64decode(message["iv"])
    assert list(message) == ["session_id", "ciphertext", "iv"] and message["session_id"] == sid and iv[0] & 0x80
    assert key.decrypt(iv, base64.b64decode(message["ciphertext"]), None) == b"hello"
    iv = (7).to_bytes(4, "big") + os.urandom(8)
    ours = {"ciphertext": base64.b64encode(key.encrypt(iv, b"hi", None)).decode(), "iv": base64.b64encode(iv).decode()}
    assert done(session("decrypt", "--session", file, data=json.dumps(ours).encode())) == b"hi"


def test_a_python_user_opens_with_a_key_of_keygen_and_the_other_way_round(remote, simulated, tmp_path, user):
    python = User.__new__(User)
    python.key = serialization.load_pem_private_key(remote.key.read_bytes(), None)
    assert isinstance(python.key, rsa.RSAPrivateKey)
    assert UserSession(simulated, python).reply["user_key_hash"] == python.key_hash
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        pem = user.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        key = private_file(tmp_path / f"{form.name}.pem", pem)
        reply = simulated.post("/key-exchange", {"user_public_key": user.pem, "nonce": NONCE}).body
        done(remote.open("--key", key, "--nonce", NONCE, data=reply, out=form.name))


def test_what_is_not_utf8_is_not_sent(remote, simulated):
    file, sid = remote.opened()
    for text in (b"\xff", b"\xed\xa0\x80", b"ok\xc3"):
        refused(session("encrypt", "--session", file, data=text), 1, "not UTF-8")
        refused(session("encrypt", "--url", simulated.local, "--id", sid, data=text), 1, "not UTF-8")


def test_replays_reflections_and_renumbered_messages_are_refused(remote, simulated, tmp_path):
    file, sid = remote.opened()
    mine = done(session("encrypt", "--session", file, data=b"mine"))
    one, two = (simulated.post("/encrypt", {"session_id": sid, "plaintext": t}).json() for t in ("one", "two"))

    def decrypt(message):
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        return session("decrypt", "--session", file, data=data)

    before = file.read_bytes()
    refused(decrypt(mine), 1, "your own", "came back")
    refused(decrypt({**one, "message_number": 9}), 1, "renumbered")
    refused(decrypt({**one, "session_id": flipped(sid)}), 1, "another session")
    refused(decrypt({**one, "ciphertext": flipped(one["ciphertext"])}), 1, "altered")
    refused(decrypt({**one, "iv": two["iv"], "message_number": 2}), 1, "altered")
    refused(decrypt({**one, "extra": 1}), 1, "extra")
    refused(decrypt(b"{"), 1, "no message")
    assert file.read_bytes() == before, "none of them used anything up"
    assert done(decrypt(two)) == b"two"
    refused(decrypt(two), 1, "replay")
    refused(decrypt(one), 1, "too late")
    assert mode(file) == 0o600 and sorted(p.name for p in tmp_path.iterdir()) == [
        "chat.session", "key.pem", "key.pub.pem", "reply.json"]


def test_the_scope_comes_from_the_agent_and_not_from_the_message(remote, simulated):
    file, sid = remote.opened(scope="chat-1")
    url = ("--url", simulated.local, "--id", sid)
    message = done(session("encrypt", "--session", file, data=b"secret"))
    assert json.loads(message)["scope"] == "chat-1"
    for scope in ((), ("--scope", "chat-2")):
        refused(session("decrypt", *url, *scope, data=message), 1, "401", "Give the --scope", "attestd session open")
    assert done(session("decrypt", *url, "--scope", "chat-1", data=message)) == b"secret"


def test_a_message_of_another_session_is_not_taken_to_the_server(remote, simulated):
    (file, sid), (_, other) = remote.opened(), remote.opened(out="other.session")
    message = done(session("encrypt", "--session", file, data=b"x"))
    refused(session("decrypt", "--url", simulated.local, "--id", other, data=message), 1, "another session")
    assert done(session("decrypt", "--url", simulated.local, "--id", sid, data=message)) == b"x"


ELSEWHERE = ["http://relay.example", "http://10.0.0.1:8765", "http://128.0.0.1", "http://[::2]:1", "http://[::ffff:127.0.0.1]:1",
             "http://localhost.example:1", "http://127.0.0.1.example", "vsock:3:9000"]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_plaintext_is_handed_to_no_server_elsewhere(url):
    for action in ("encrypt", "decrypt"):
        refused(session(action, "--url", url, "--id", "x", data=b"secret"), 2, "would hand your plaintext to", "--session")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.9.9.9:1", "http://[::1]:1", "http://LocalHost:1", "unix:gone"])
def test_plaintext_goes_to_a_server_on_this_machine(tmp_path, url):
    refused(session("encrypt", "--url", url, "--id", "x", data=b"secret", cwd=tmp_path), 3)


@pytest.fixture
def liar(simulated):
    """A relay to the server beside the agent that changes members of its replies."""
    made = []

    class Liar(Relay):
        def take(self, method, path, body):
            status, kind, data = self.forward(method, path, body)
            return status, kind, json.dumps({**json.loads(data), **self.members}).encode()

    def make(**members):
        made.append(Liar(simulated.local))
        made[-1].members = members
        return made[-1].url

    yield make
    for one in made:
        one.close()


def test_what_is_handed_to_the_user_is_written_anew(remote, liar):
    file, sid = remote.opened()
    reply = done(session("encrypt", "--url", liar(), "--id", sid, data=b"hello"))  # its relay writes spaces
    assert re.fullmatch(rb'{"ciphertext":"[^"]+","iv":"[^"]+","session_id":"[^"]+","message_number":1}\n', reply)
    assert done(session("decrypt", "--session", file, data=reply)) == b"hello"
    refused(session("encrypt", "--url", liar(plaintext="hello"), "--id", sid, data=b"hello"), 3, "no reply of POST /encrypt")


@pytest.mark.parametrize("members", [
    {"ciphertext": "hello"}, {"ciphertext": base64.b64encode(bytes(20)).decode()}, {"ciphertext": "?" * 28}, {"iv": "AAAA"},
    {"iv": "\x1b" * 16}, {"message_number": 0}, {"message_number": 1 << 31}, {"session_id": "x"}, {"more": [0] * 16}],
    ids=lambda m: f"{list(m)[0]}")
def test_a_reply_of_other_sizes_is_not_handed_on(remote, liar, members):
    _, sid = remote.opened()
    refused(session("encrypt", "--url", liar(**members), "--id", sid, data=b"hello"), 3, "no reply of POST /encrypt")


@pytest.mark.parametrize("members", [{"session_id": "x"}, {"plaintext": 1}, {"more": [0] * 16}], ids=lambda m: list(m)[0])
def test_a_decrypted_reply_of_another_form_is_not_shown(remote, liar, members):
    file, sid = remote.opened()
    message = done(session("encrypt", "--session", file, data=b"x"))
    refused(session("decrypt", "--url", liar(**members), "--id", sid, data=message), 3, "no reply of POST /decrypt")


def test_messages_hold_few_values(remote):
    file, _ = remote.opened()
    for n, text in ((256, "more"), (257, "values")):
        message = json.dumps({"more": [0] * (n - 2)}).encode()
        assert text in refused(session("decrypt", "--session", file, data=message), 1, "no message").split("in JSON", 1)[1]


def test_a_scope_is_shown_plain(remote):
    file, _ = remote.opened(scope="chat \u202e\u200b\x7f")
    assert b"scope          chat \\u{202e}\\u{200b}\\u{7f}\n" in done(session("show", "--session", file))


def started(*words, data):
    p = subprocess.Popen(command("session", *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=ENVIRONMENT)
    p.stdin.write(data)
    p.stdin.flush()
    return p


def test_of_many_that_open_a_message_at_once_one_does(remote, simulated):
    file, sid = remote.opened()
    message = simulated.post("/encrypt", {"session_id": sid, "plaintext": "once"}).body
    running = [started("decrypt", "--session", file, data=message) for _ in range(16)]
    ends = [(p.communicate(timeout=60 * PATIENCE), p.returncode) for p in running]
    assert sorted(status for _, status in ends) == [0] + [1] * 15
    assert [out for (out, _), status in ends if status == 0] == [b"once"]
    assert all(out == b"" and b"replay" in err for (out, err), status in ends if status == 1)


def test_of_many_messages_at_once_none_is_opened_twice_nor_forgotten(remote, simulated):
    file, sid = remote.opened()
    messages = [simulated.post("/encrypt", {"session_id": sid, "plaintext": str(i + 1)}).body for i in range(8)]
    running = [started("decrypt", "--session", file, data=m) for m in messages * 2]
    texts = [p.communicate(timeout=60 * PATIENCE)[0] for p in running]
    opened = sorted(int(t) for t in texts if t)
    assert len(set(opened)) == len(opened) and opened[-1] == 8
    assert json.loads(done(session("show", "--session", file, "--json")))["received"] == 8


def test_a_message_counts_as_opened_before_it_is_printed(remote, simulated):
    file, sid = remote.opened()
    message = simulated.post("/encrypt", {"session_id": sid, "plaintext": "lost"}).body
    with open("/dev/full", "wb") as full:
        run = session("decrypt", "--session", file, data=message, stdout=full)
    assert run.status == 3 and "cannot write" in run.err
    refused(session("decrypt", "--session", file, data=message), 1, "replay")


def test_a_message_that_cannot_be_counted_is_not_printed(remote, simulated, tmp_path):
    file, sid = remote.opened()
    message = simulated.post("/encrypt", {"session_id": sid, "plaintext": "kept"}).body
    before = set(tmp_path.iterdir()), file.read_bytes()

    def no_writing():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

    refused(session("decrypt", "--session", file, data=message, preexec_fn=no_writing), 3, "chat.session")
    assert (set(tmp_path.iterdir()), file.read_bytes()) == before
    assert done(session("decrypt", "--session", file, data=message)) == b"kept"


def test_a_symbolic_link_leads_to_the_one_session(remote, simulated, tmp_path):
    file, sid = remote.opened()
    link = tmp_path / "link"
    link.symlink_to(file)
    message = simulated.post("/encrypt", {"session_id": sid, "plaintext": "x"}).body
    assert done(session("decrypt", "--session", link, data=message)) == b"x"
    assert link.is_symlink()
    refused(session("decrypt", "--session", file, data=message), 1, "replay")


# ---- the session's end ----


def test_an_expired_session_says_how_to_renew(remote, simulated):
    file, sid = remote.opened()
    message = simulated.post("/encrypt", {"session_id": sid, "plaintext": "said in time"}).body
    change(file, opened=0, expires=1)
    renew = "expired at 1970-01-01T00:00:01Z", "Renew it: attestd session open"
    refused(session("encrypt", "--session", file, data=b"x"), 1, *renew)
    run = session("decrypt", "--session", file, data=message)
    assert done(run) == b"said in time" and all(text in run.err for text in renew)
    run = session("show", "--session", file)
    assert b"EXPIRED" in done(run) and all(text in run.err for text in renew)


def test_a_session_that_ended_at_the_server_says_how_to_renew(remote, simulated):
    file, sid = remote.opened()
    message = done(session("encrypt", "--session", file, data=b"x"))
    assert simulated.delete(f"/sessions/{sid}").status == 200
    for words, data in (("decrypt", message), ("encrypt", b"x")):
        refused(session(words, "--url", simulated.local, "--id", sid, data=data), 1, "401", "Give the --scope", "attestd session open")


@pytest.mark.parametrize("bad", [0o640, 0o604, 0o622])
def test_a_session_file_that_others_can_touch_is_refused_with_the_fix(remote, bad):
    file, _ = remote.opened()
    file.chmod(bad)
    for words in (["encrypt"], ["decrypt"], ["show"]):
        refused(session(*words, "--session", file, data=b"{}"), 3, f"chmod 600 {file}")
    assert file.exists()


def test_a_damaged_session_file_is_refused_without_a_word_of_its_key(remote):
    file, _ = remote.opened()
    key = json.loads(file.read_text())["session_key"]
    for text in (file.read_text()[:-3], file.read_text().replace(f'"{key}"', key), file.read_text().replace("}", ',"x":1}'), ""):
        private_file(file, text.encode())
        for action in ("encrypt", "decrypt", "show"):
            err = refused(session(action, "--session", file, data=b"{}"), 1, "no session file")
            assert key[:8] not in err
    done(session("close", "--session", file, "--force"))


def test_close_wipes_what_the_file_held(remote, tmp_path):
    file, _ = remote.opened()
    os.link(file, tmp_path / "still")
    size = file.stat().st_size
    assert b"wiped" in done(session("close", "--session", file))
    assert not file.exists() and (tmp_path / "still").read_bytes() == bytes(size)
    refused(session("close", "--session", file), 3, "chat.session")


def test_close_ends_the_session_at_its_server_too(remote, simulated):
    file, sid = remote.opened()
    assert json.loads(done(session("close", "--session", file, "--url", simulated.local, "--json"))) == {
        "closed": True, "ended_at_server": True}
    assert simulated.delete(f"/sessions/{sid}").status == 401
    file, sid = remote.opened()
    run = session("close", "--session", file, "--url", simulated.public)
    assert run.status == 1 and not file.exists() and "404" in run.err and "ask beside the server" in run.err
    file, sid = remote.opened()
    assert simulated.delete(f"/sessions/{sid}").status == 200
    done(session("close", "--session", file, "--url", simulated.local))


# ---- secrets ----


def test_nothing_that_holds_a_secret_dumps_its_core(remote, simulated, tmp_path):
    file, sid = remote.opened()
    word = private_file(tmp_path / "word", b"a passphrase")
    commands = [("encrypt", "--session", file), ("decrypt", "--session", file),
                ("encrypt", "--url", simulated.local, "--id", sid), ("keygen", "--out", tmp_path / "k", "--passphrase-file", "-"),
                ("open", "--out", tmp_path / "o", "--key", remote.key, "--passphrase-file", word, *remote.policy)]
    running = [started(*words, data=b"a plaintext") for words in commands]
    try:
        for p in running:
            until = time.monotonic() + 10 * PATIENCE
            while b"Max core file size        0                    0 " not in open(f"/proc/{p.pid}/limits", "rb").read():
                assert time.monotonic() < until, "core dumps are allowed"
                time.sleep(0.01)
    finally:
        for p in running:
            p.kill()
            p.communicate()


@needs_root
def test_nobody_else_of_the_same_user_looks_into_it(tmp_path):
    """Root owns the /proc entries of a process that is not dumpable, whoever runs it."""
    if "build-asan" in command()[0]:
        pytest.skip("the leak checker needs it")

    def become_nobody():
        os.setgid(65534)
        os.setuid(65534)

    p = subprocess.Popen(command("session", "keygen", "--out", "/nonexistent/k", "--passphrase-file", "-"), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, preexec_fn=become_nobody)
    p.communicate(b"x", timeout=60 * PATIENCE)
    assert p.returncode == 3
    p = subprocess.Popen(command("session", "encrypt", "--url", "http://127.0.0.1:1", "--id", "x"), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, preexec_fn=become_nobody)
    try:
        until = time.monotonic() + 10 * PATIENCE
        while os.stat(f"/proc/{p.pid}/environ").st_uid != 0:
            assert time.monotonic() < until, "it can be looked into"
            time.sleep(0.01)
    finally:
        p.kill()
        p.communicate()


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
