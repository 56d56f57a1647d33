"""`attestd session keygen`: whose the files are, passphrases, what is replaced."""

import hashlib
import json
import os
import pty

import pytest
from cryptography.hazmat.primitives import serialization
from helpers.server import ENVIRONMENT
from helpers.session import command, done, mode, private_file, refused, session


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
