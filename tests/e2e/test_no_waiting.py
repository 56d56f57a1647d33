"""What is no file where one is named: told at once, and never waited for. What a shell's <(command) gives is read."""

import json
import os
import signal
import socket
import threading

import pytest
from helpers.forged import NONCE, pin
from helpers.proxy import poll
from helpers.server import PATIENCE
from helpers.session import NONCE as OPENED, attestd, done, private_file, refused, session
from helpers.tls import Pair

NO_FILE = ("fifo", "folder", "socket")
SAYS = "is not a regular file"


@pytest.fixture(params=NO_FILE)
def no_file(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    if request.param == "fifo":
        os.mkfifo("it", 0o600)
    elif request.param == "folder":
        os.mkdir("it", 0o700)
    else:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind("it")
        os.chmod("it", 0o600)
    return tmp_path / "it"


def at_once(*words, **how):
    """Whoever waits for what never comes does not end in this time."""
    return attestd(*words, timeout=60 * PATIENCE, **how)


class Piped:
    """A pipe that holds this text, as a shell's <(command) gives one: /dev/fd/N."""

    def __init__(self, text):
        self.fd, writer = os.pipe()
        os.write(writer, text)
        os.close(writer)
        os.set_inheritable(self.fd, True)

    def __str__(self):
        return f"/dev/fd/{self.fd}"


def with_pipes(*words, **how):
    pipes = [w for w in words if isinstance(w, Piped)]
    run = at_once(*words, pass_fds=[p.fd for p in pipes], **how)
    for p in pipes:
        os.close(p.fd)
    return run


# ---- the user's files ----


@pytest.mark.parametrize("action", ["show", "encrypt", "decrypt", "close"])
def test_a_session_file_is_not_waited_for(no_file, action):
    refused(at_once("session", action, "--session", no_file, *(("--force",) if action == "close" else ())), 3,
            f"the session file {no_file}", SAYS)


def test_a_key_and_a_passphrase_are_not_waited_for(remote, no_file):
    opened = ("session", "open", "--out", "s", *remote.policy, "--nonce", OPENED, remote.exchange(nonce=OPENED))
    refused(at_once(*opened, "--key", no_file), 3, f"the key file {no_file} {SAYS}")
    refused(at_once(*opened, "--key", remote.key, "--passphrase-file", no_file), 3, f"the passphrase file {no_file} {SAYS}")
    refused(at_once("session", "keygen", "--out", "k", "--passphrase-file", no_file), 3, SAYS)
    assert not os.path.exists("s") and not os.path.exists("k")


@pytest.mark.parametrize("flag, what", [("--policy", "the policy file"), ("--root", "the root certificate")])
def test_a_policy_and_a_root_are_not_waited_for(no_file, flag, what):
    for words in (("verify", "/dev/null"), ("attest", "--url", "unix:x", "--any-enclave"),
                  ("client", "--verify", "--to", "unix:x", "--any-enclave"),
                  ("session", "open", "--url", "unix:x", "--out", "s", "--any-enclave")):
        refused(at_once(*words, flag, no_file), 3, f"{what} {no_file} {SAYS}")


# ---- the server's ----


def test_a_configuration_is_not_waited_for(no_file):
    for words in (("serve",), ("config", "check"), ("config", "show")):
        refused(at_once(*words, "--config", no_file), 3, f"the configuration {no_file} {SAYS}")


@pytest.mark.parametrize("key", ["peer_policy", "peer_root", "tls_cert_file", "tls_key_file", "kek_file"])
def test_a_servers_file_is_not_waited_for(no_file, tmp_path, key):
    pair = Pair(tmp_path / "pair")
    more = {"tls_listen": "unix:tls", **pair.settings} if key.startswith("tls") else \
        {"peer_listen": "unix:peer", "peer_tls_listen": "unix:peer_tls"} if key.startswith("peer") else {}
    settings = {"db": "db", "listen": "unix:l", **more, key: no_file}
    run = at_once("serve", "--nsm", "simulator", *(w for k, v in settings.items() for w in ("--set", f"{k}={v}")))
    assert run.status == 3 and f"{no_file} {SAYS}" in run.err, run


@pytest.mark.parametrize("which", ["cert_file", "key_file"])
def test_sighup_does_not_wait(make_server, tmp_path, which):
    pair = Pair(tmp_path / "pair")
    s = make_server(settings={"tls_listen": "127.0.0.1:0", **pair.settings})
    file = getattr(pair, which)
    file.unlink()
    os.mkfifo(file, 0o600)
    mark = len(s.stderr)
    s.send_signal(signal.SIGHUP)
    poll(lambda: "tls_not_renewed" in s.stderr[mark:])
    assert SAYS in s.stderr[mark:] and s.get("/health").status == 200


# ---- what is a pipe in earnest ----


def test_policy_root_and_document_may_come_through_pipes(forged):
    done(with_pipes("verify", Piped(forged.file.read_bytes()), "--policy", Piped(json.dumps({"at": forged.flags["--at"]}).encode()),
                    "--root", Piped(forged.root.read_bytes()), *pin(0)))
    done(with_pipes("verify", "-", "--at", forged.flags["--at"], "--root", Piped(forged.root.read_bytes()),
                    data=forged.file.read_bytes()))
    done(at_once("verify", forged.file, "--at", forged.flags["--at"], "--root", "/dev/stdin", data=forged.root.read_bytes()))


def test_a_pipe_is_read_to_its_end(forged):
    """However late that comes."""
    reader, writer = os.pipe()
    late = threading.Timer(0.3, lambda: (os.write(writer, forged.root.read_bytes()), os.close(writer)))
    late.start()
    done(at_once("verify", forged.file, "--at", forged.flags["--at"], "--root", f"/dev/fd/{reader}", pass_fds=[reader]))
    late.join()
    os.close(reader)


def test_a_document_may_come_through_a_fifo(forged, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(forged.file.read_bytes()))
    writer.start()
    done(at_once("verify", tmp_path / "fifo", *forged.usual(), "--nonce", "text:" + NONCE.decode()))
    writer.join()


def test_a_key_a_passphrase_and_a_session_may_come_through_pipes(remote, simulated, tmp_path):
    word = private_file(tmp_path / "word", b"a word\n")
    done(session("keygen", "--out", remote.key, "--bits", 2048, "--passphrase-file", word, "--force"))
    done(with_pipes("session", "open", "--out", tmp_path / "s", *remote.policy, "--nonce", OPENED,
                    "--key", Piped(remote.key.read_bytes()), "--passphrase-file", Piped(b"a word\n"), remote.exchange(nonce=OPENED)))
    file = (tmp_path / "s").read_bytes()
    shown = done(session("show", "--session", tmp_path / "s"))
    assert done(with_pipes("session", "show", "--session", Piped(file))) == shown
    assert json.loads(done(with_pipes("session", "encrypt", "--session", Piped(file), Piped(b"x"))))["ciphertext"]
    assert done(with_pipes("session", "keygen", "--out", tmp_path / "k", "--bits", 2048, "--passphrase-file", Piped(b"x")))


def test_a_configuration_may_come_through_a_pipe():
    assert b"info_name = piped\n" in done(with_pipes("config", "show", "--config", Piped(b"info_name = piped\n")))
    done(at_once("config", "check", "--config", "/dev/null"))
