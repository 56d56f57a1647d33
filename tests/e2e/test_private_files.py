"""Files that hold keys: what a command that fails, is interrupted or killed leaves of them, which is nothing."""

import fcntl
import json
import os
import resource
import signal
import stat
import subprocess
import time

import pytest
from helpers.modes import CONFINE, needs_modes
from helpers.server import ENVIRONMENT, RUNNER
from helpers.session import NONCE, PCR0, attestd, command, done, mode, refused, session

needs_speed = pytest.mark.skipif(bool(RUNNER), reason="under a runner a signal meets another process")


@pytest.fixture
def folder(tmp_path):
    """Where nothing is but what the command makes."""
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def names(directory):
    return sorted(p.name for p in directory.iterdir())


def key_of(file):
    return json.loads(file.read_text())["session_key"].encode()


def message(simulated, sid):
    return simulated.post("/encrypt", {"session_id": sid, "plaintext": "x"}).body


def full_pipe():
    """A pipe that takes no byte more: its ends."""
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    try:
        while True:
            os.write(ends[1], bytes(4096))
    except BlockingIOError:
        os.set_blocking(ends[1], True)
    return ends


# ---- the session's key on the disk ----


def test_decrypt_wipes_the_old_file_and_keeps_no_other(remote, simulated, folder):
    file, sid = remote.opened("folder/chat")
    os.link(file, folder / "old")
    old = file.read_bytes()
    with file.open("rb") as held:
        done(session("decrypt", "--session", file, data=message(simulated, sid)))
        assert held.read() == bytes(len(old)) == (folder / "old").read_bytes()
    assert names(folder) == ["chat", "old"] and mode(file) == 0o600 and json.loads(file.read_text())["received"] == 1


@pytest.mark.parametrize("action", ["decrypt", "close"])
def test_what_a_killed_command_left_is_wiped_and_removed(remote, simulated, folder, action):
    file, sid = remote.opened("folder/chat")
    left = folder / ".chat.new"
    left.write_bytes(file.read_bytes())
    left.chmod(0o600)
    with left.open("rb") as held:
        done(session(action, "--session", file, data=message(simulated, sid)))
        assert set(held.read()) == {0}
    assert names(folder) == ([] if action == "close" else ["chat"])


@needs_modes
@pytest.mark.parametrize("left_mode", [0o000, 0o200, 0o400, 0o444, 0o620, 0o664, 0o666, 0o777])
def test_what_was_replaced_is_wiped_whatever_its_mode(remote, simulated, folder, left_mode):
    file, sid = remote.opened("folder/chat")
    left = folder / ".chat.new"
    left.write_bytes(file.read_bytes())
    with left.open("rb") as held:
        left.chmod(left_mode)
        done(session("decrypt", "--session", file, data=message(simulated, sid), under=CONFINE))
        assert set(held.read()) == {0}
    assert names(folder) == ["chat"]


def test_close_wipes_what_is_left_of_an_opening_that_was_killed(folder):
    left = folder / ".chat.new"
    left.write_text('{"attestd_session":1')
    left.chmod(0o600)
    refused(session("close", "--session", folder / "chat"), 3)
    assert names(folder) == []


def test_what_has_another_name_is_removed_and_not_wiped(folder, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("precious")
    kept.chmod(0o600)
    (folder / ".chat.new").hardlink_to(kept)
    refused(session("close", "--session", folder / "chat"), 3)
    assert names(folder) == [] and kept.read_text() == "precious"


def test_a_file_of_somebody_elses_in_the_way_is_left_alone(remote, simulated, folder):
    file, sid = remote.opened("folder/chat")
    (folder / ".chat.new").symlink_to(remote.key)
    refused(session("decrypt", "--session", file, data=message(simulated, sid)), 3, ".chat.new is in the way, which is no file of yours")
    assert remote.key.read_text().startswith("-----BEGIN") and names(folder) == [".chat.new", "chat"]


@needs_speed
def test_killed_at_any_time_nothing_of_the_key_is_left_after_close(remote, simulated, folder):
    file, sid = remote.opened("folder/chat")
    key = key_of(file)
    (folder.parent / "m").write_bytes(message(simulated, sid))
    for i in range(60):
        p = subprocess.Popen(command("session", "decrypt", "--session", file, folder.parent / "m"),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        time.sleep(0.0004 * (i % 30))
        p.kill()
        p.wait()
        if i % 10 == 9:
            (folder.parent / "m").write_bytes(message(simulated, sid))
        assert key_of(file) == key and set(names(folder)) <= {"chat", ".chat.new"}
    done(session("close", "--session", file))
    assert names(folder) == []


def test_who_reads_while_another_writes_sees_the_session_whole(remote, simulated):
    file, sid = remote.opened()
    writers = []
    for i in range(6):
        p = subprocess.Popen(command("session", "decrypt", "--session", file), stdin=subprocess.PIPE, env=ENVIRONMENT,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        p.stdin.write(message(simulated, sid))
        p.stdin.close()
        writers.append(p)
        done(session("show", "--session", file))
    for p in writers:
        p.wait()
    done(session("show", "--session", file))


# ---- open ----


def opening(remote, out):
    reply = remote.exchange(nonce=NONCE)
    return ("open", "--out", out, *remote.policy, "--key", remote.key, "--nonce", NONCE, reply)


def test_an_opening_that_cannot_be_told_leaves_no_session(remote, folder):
    words = opening(remote, folder / "chat")
    with open("/dev/full", "wb") as full:
        run = session(*words, stdout=full)
    assert run.status == 3 and "no session was opened" in run.err and names(folder) == []
    reader, writer = os.pipe()
    os.close(reader)
    run = session(*words, stdout=writer)
    os.close(writer)
    assert run.status == 3 and "no session was opened" in run.err and names(folder) == []
    run = session(*words, preexec_fn=lambda: os.close(1))
    assert run.status == 3 and names(folder) == []


def test_an_opening_that_cannot_be_written_leaves_no_session(remote, folder):
    def no_writing():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))

    refused(session(*opening(remote, folder / "chat"), preexec_fn=no_writing), 3, "chat cannot be written")
    assert names(folder) == []


@needs_speed
@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_opening_leaves_no_session(remote, folder, which):
    reader, writer = full_pipe()
    p = subprocess.Popen(command("session", *opening(remote, folder / "chat")), stdout=writer, stderr=subprocess.DEVNULL,
                         env=ENVIRONMENT)
    os.close(writer)
    end = time.monotonic() + 20
    while names(folder) != [".chat.new"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    p.send_signal(which)
    with open(reader, "rb") as rest:
        rest.read()
    assert p.wait() == -which and names(folder) == []


@needs_speed
def test_a_killed_opening_leaves_no_session_and_the_next_one_wipes_the_rest(remote, folder):
    reader, writer = full_pipe()
    words = opening(remote, folder / "chat")
    p = subprocess.Popen(command("session", *words), stdout=writer, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    end = time.monotonic() + 20
    while names(folder) != [".chat.new"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    refused_now = session(*words)
    assert refused_now.status == 3 and "just being written" in refused_now.err
    p.kill()
    p.wait()
    os.close(reader)
    os.close(writer)
    assert names(folder) == [".chat.new"]
    done(session(*words))
    assert names(folder) == ["chat"]


def test_a_file_that_comes_meanwhile_is_not_replaced(remote, folder):
    reader, writer = full_pipe()
    p = subprocess.Popen(command("session", *opening(remote, folder / "chat")), stdout=writer, stderr=subprocess.PIPE,
                         env=ENVIRONMENT)
    os.close(writer)
    end = time.monotonic() + 60
    while names(folder) != [".chat.new"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    (folder / "chat").write_text("mine")
    with open(reader, "rb") as rest:
        rest.read()
    assert b"left alone" in p.communicate()[1] and p.returncode == 3
    assert names(folder) == ["chat"] and (folder / "chat").read_text() == "mine"


# ---- keygen --force ----


def test_a_pair_is_replaced_whole_or_not_at_all(folder):
    words = ("keygen", "--out", folder / "k.pem", "--bits", 2048, "--force")
    done(session(*words))
    old = {p.name: p.read_bytes() for p in folder.iterdir()}

    def short():
        # room for all of the public key, not of the private one
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    refused(session(*words, preexec_fn=short), 3, "k.pem")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == old
    (folder / ".k.pub.pem.new").mkdir()
    refused(session(*words), 3, "in the way")
    (folder / ".k.pub.pem.new").rmdir()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == old
    done(session(*words))
    assert names(folder) == sorted(old) and all((folder / name).read_bytes() != old[name] for name in old)


def keygen(folder, *more):
    return ("keygen", "--out", folder / "k.pem", "--bits", 2048, *more)


@needs_modes
@pytest.mark.parametrize("old_mode", [0o000, 0o400, 0o440, 0o600, 0o664])
def test_an_old_pair_of_any_mode_is_replaced_and_wiped(folder, old_mode):
    done(session(*keygen(folder)))
    with (folder / "k.pem").open("rb") as private, (folder / "k.pub.pem").open("rb") as public:
        for name in ("k.pem", "k.pub.pem"):
            (folder / name).chmod(old_mode)
        done(session(*keygen(folder, "--force"), under=CONFINE))
        assert set(private.read()) == set(public.read()) == {0}
    assert names(folder) == ["k.pem", "k.pub.pem"] and mode(folder / "k.pem") == 0o600


@needs_modes
@pytest.mark.parametrize("old_mode", [0o400, 0o664])
def test_what_a_killed_replacement_swapped_out_blocks_no_other(folder, old_mode):
    """As it is found between the exchange of names and the end of the old files."""
    done(session(*keygen(folder)))
    old = {name: (folder / name).read_bytes() for name in ("k.pem", "k.pub.pem")}
    for name, text in old.items():
        (folder / f".{name}.new").write_bytes(text)
        for path in (folder / name, folder / f".{name}.new"):
            path.chmod(old_mode)
    with (folder / ".k.pem.new").open("rb") as held:
        done(session(*keygen(folder, "--force"), under=CONFINE))
        assert set(held.read()) == {0}
    assert names(folder) == ["k.pem", "k.pub.pem"] and all((folder / name).read_bytes() != old[name] for name in old)


@needs_speed
@needs_modes
@pytest.mark.slow
def test_killed_at_any_time_a_replacement_blocks_no_other(folder):
    done(session(*keygen(folder)))
    for i in range(20):
        for name in ("k.pem", "k.pub.pem"):
            (folder / name).chmod(0o400)
        p = subprocess.Popen([*CONFINE, *command("session", *keygen(folder, "--force"))], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        while p.poll() is None and not (folder / ".k.pem.new").exists():
            pass
        time.sleep(0.0002 * i)
        p.kill()
        p.wait()
        assert (folder / "k.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    done(session(*keygen(folder, "--force"), under=CONFINE))
    assert names(folder) == ["k.pem", "k.pub.pem"]


@pytest.mark.parametrize("name", ["k.pem", "k.pub.pem"])
@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_regular_file_is_not_replaced(folder, name, kind):
    {"fifo": os.mkfifo, "folder": os.mkdir, "link": lambda p: os.symlink("target", p)}[kind](folder / name)
    refused(session("keygen", "--out", folder / "k.pem", "--bits", 2048, "--force"), 3, name, "no regular file")
    assert names(folder) == [name]


# ---- close ----


def test_close_takes_nothing_but_sessions_unless_forced(folder):
    for text in (b"", b"-----BEGIN PRIVATE KEY-----\n", b"x" * (65536 + 1), b'{"attestd_session"'.ljust(65537)):
        (folder / "f").write_bytes(text)
        refused(session("close", "--session", folder / "f"), 1, "--force")
        assert (folder / "f").read_bytes() == text
        done(session("close", "--session", folder / "f", "--force"))
        assert names(folder) == []
    (folder / "f").write_bytes(b'{"attestd_session"'.ljust(65536))
    done(session("close", "--session", folder / "f"))
    os.mkfifo(folder / "f")
    refused(session("close", "--session", folder / "f", "--force"), 3, "not a regular file")


def test_close_takes_a_file_that_others_can_read_and_says_so(remote, folder):
    file, _ = remote.opened("folder/chat")
    file.chmod(0o644)
    run = session("close", "--session", file)
    done(run)
    assert "0644" in run.err and names(folder) == []


# ---- attest --out ----


@pytest.fixture
def attest(simulated):
    words = ("--url", simulated.local, "--root", simulated.root, "--pcr", f"0={PCR0}")
    return lambda out, **how: attestd("attest", *words, "--out", out, **how)


def test_the_kept_reply_is_its_owners_alone(attest, folder):
    done(attest(folder / "new", preexec_fn=lambda: os.umask(0)))
    (folder / "old").write_text('{"attestation_document":')
    (folder / "old").chmod(0o666)
    (folder / "link").symlink_to("old")
    done(attest(folder / "link"))
    assert (folder / "link").is_symlink() and mode(folder / "new") == mode(folder / "old") == 0o600
    assert json.loads((folder / "old").read_text())
    assert names(folder) == ["link", "new", "old"]


def test_the_reply_may_go_into_a_pipe_or_a_device(attest, folder):
    os.mkfifo(folder / "pipe")
    refused(attest(folder / "pipe"), 3, "nobody reads")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, 1031, 1 << 20)  # F_SETPIPE_SZ
    done(attest(folder / "pipe"))
    assert json.loads(os.read(reader, 1 << 20))
    os.close(reader)
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    done(attest("/dev/null"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    refused(attest(folder), 3, "neither a file nor a pipe")
    assert names(folder) == ["pipe"]


# ---- the standard files ----


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_no_file_of_ours_becomes_a_standard_one(remote, simulated, folder, closed):
    file, sid = remote.opened("folder/chat")
    (folder.parent / "m").write_bytes(message(simulated, sid))

    def close():
        for fd in closed:
            os.close(fd)

    p = subprocess.run(command("session", "decrypt", "--session", file, folder.parent / "m"), env=ENVIRONMENT,
                       preexec_fn=close, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert p.returncode == (3 if 1 in closed else 0)
    assert json.loads(file.read_text())["received"] == (0 if 1 in closed else 1) and names(folder) == ["chat"]
