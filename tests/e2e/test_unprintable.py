"""`attestd session decrypt` where its text cannot be printed: a message is opened once, so it must not be lost for nothing."""

import json
import os
import subprocess

import pytest
from helpers.server import ENVIRONMENT
from helpers.session import command, done, refused, session


def ways(remote, simulated, way):
    """A session, how `decrypt` is told of it, and a message."""
    file, sid = remote.opened()
    if way == "session":
        return file, ("--session", file), simulated.post("/encrypt", {"session_id": sid, "plaintext": "x"}).body
    return file, ("--url", simulated.local, "--id", sid), done(session("encrypt", "--session", file, data=b"x"))


def unreadable(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "wb")


def read_only(tmp_path):
    (tmp_path / "read-only").touch()
    return (tmp_path / "read-only").open("rb")


@pytest.mark.parametrize("way", ["session", "url"])
@pytest.mark.parametrize("output", [read_only, unreadable])
def test_a_message_that_cannot_be_shown_is_not_used_up(remote, simulated, tmp_path, output, way):
    file, where, text = ways(remote, simulated, way)
    with output(tmp_path) as out:
        run = session("decrypt", *where, data=text, stdout=out)
    assert run.status == 3 and "cannot write to the standard output: " in run.err and "used up" not in run.err
    assert json.loads(file.read_text())["received"] == 0
    assert done(session("decrypt", *where, data=text)) == b"x"


@pytest.mark.parametrize("way", ["session", "url"])
def test_a_message_whose_text_is_lost_is_said_to_be_used_up(remote, simulated, way):
    _, where, text = ways(remote, simulated, way)
    with open("/dev/full", "wb") as full:
        run = session("decrypt", *where, data=text, stdout=full)
    assert run.status == 3 and "No space left on device. The message was opened and is used up" in run.err
    refused(session("decrypt", *where, data=text), 1)


def test_a_reader_that_goes_away_meanwhile_is_told_of(remote, simulated, tmp_path):
    file, sid = remote.opened()
    (tmp_path / "m").write_bytes(simulated.post("/encrypt", {"session_id": sid, "plaintext": "x" * 200_000}).body)
    p = subprocess.Popen(command("session", "decrypt", "--session", file, tmp_path / "m"), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert p.stdout.read(1) == b"x"
    p.stdout.close()
    assert b"Broken pipe. The message was opened and is used up" in p.stderr.read() and p.wait() == 3
