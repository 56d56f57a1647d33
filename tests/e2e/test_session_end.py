"""`attestd session`: sessions that end, files that are damaged or closed, and what others see of secrets."""

import json
import os
import subprocess
import time

import pytest
from helpers.server import ENVIRONMENT, PATIENCE
from helpers.session import change, command, done, private_file, refused, session, started

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root, so nobody else can be")


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
