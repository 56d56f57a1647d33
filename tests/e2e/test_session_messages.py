"""`attestd session encrypt` and `decrypt`: messages in both directions, and what the file between them withstands."""

import base64
import json
import os
import re
import resource
import socket
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from helpers import BUILD, RUNNER, User, UserSession
from helpers.relay import changed
from helpers.server import PATIENCE
from helpers.session import NONCE, done, flipped, mode, private_file, refused, session, started

TEXTS = {
    "empty": b"",
    "emoji": "👩‍🚀 ü 漢字".encode(),
    "nul": b"a\0b\0",
    "crlf": b"one\r\ntwo\r\n",
    "no newline": b"x",
    "escapes": b"\"\\/\x1b[31m\x7f",
    "10 MiB": b"0123456789abcde\n" * (10 * 65536),
}


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


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_localhost_is_not_looked_up(tmp_path, host):
    """Where /etc/hosts does not tell, the answer would be the parent's resolver's."""
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.2 localhost\n")
    inside = ["unshare", "-m", "sh", "-c", f"mount --bind {hosts} /etc/hosts && exec \"$@\"", "sh"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespace of its own can be had here (root is needed)")
    found = subprocess.run([*inside, "getent", "hosts", "localhost"], capture_output=True, text=True)
    assert found.stdout.startswith("192.0.2.2")
    try:
        listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as e:
        pytest.skip(f"nothing can listen on {host} here: {e}")
    with listener:
        listener.settimeout(20 * PATIENCE)
        url = f"http://localhost:{listener.getsockname()[1]}"
        command = [*RUNNER, BUILD / "attestd", "session", "encrypt", "--url", url, "--id", "x"]
        with subprocess.Popen([*inside, *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            run.stdin.write(b"secret")
            run.stdin.close()
            with listener.accept()[0]:
                pass
            assert run.wait(20 * PATIENCE) == 3


@pytest.fixture
def beside(liar, simulated):
    """A relay to the server beside the agent that changes members of its replies."""
    return lambda **members: liar(simulated.local, reply=changed(**members))


def test_what_is_handed_to_the_user_is_written_anew(remote, beside):
    file, sid = remote.opened()
    reply = done(session("encrypt", "--url", beside(), "--id", sid, data=b"hello"))  # its relay writes spaces
    assert re.fullmatch(rb'{"ciphertext":"[^"]+","iv":"[^"]+","session_id":"[^"]+","message_number":1}\n', reply)
    assert done(session("decrypt", "--session", file, data=reply)) == b"hello"
    refused(session("encrypt", "--url", beside(plaintext="hello"), "--id", sid, data=b"hello"), 3, "no reply of POST /encrypt")


@pytest.mark.parametrize("members", [
    {"ciphertext": "hello"}, {"ciphertext": base64.b64encode(bytes(20)).decode()}, {"ciphertext": "?" * 28}, {"iv": "AAAA"},
    {"iv": "\x1b" * 16}, {"message_number": 0}, {"message_number": 1 << 31}, {"session_id": "x"}, {"more": [0] * 16}],
    ids=lambda m: f"{list(m)[0]}")
def test_a_reply_of_other_sizes_is_not_handed_on(remote, beside, members):
    _, sid = remote.opened()
    refused(session("encrypt", "--url", beside(**members), "--id", sid, data=b"hello"), 3, "no reply of POST /encrypt")


@pytest.mark.parametrize("members", [{"session_id": "x"}, {"plaintext": 1}, {"more": [0] * 16}], ids=lambda m: list(m)[0])
def test_a_decrypted_reply_of_another_form_is_not_shown(remote, beside, members):
    file, sid = remote.opened()
    message = done(session("encrypt", "--session", file, data=b"x"))
    refused(session("decrypt", "--url", beside(**members), "--id", sid, data=message), 3, "no reply of POST /decrypt")


def test_a_scope_is_shown_plain(remote):
    file, _ = remote.opened(scope="chat \u202e\u200b\x7f")
    assert b"scope          chat \\u{202e}\\u{200b}\\u{7f}\n" in done(session("show", "--session", file))


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
