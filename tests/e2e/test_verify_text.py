"""`attestd verify`: what a person reads, and on what."""

import os
import pty
import re
import subprocess

import pytest
from helpers import BUILD, RUNNER, clean_environment
from helpers.forge import pcr
from helpers.forged import NONCE, pin
from helpers.simulated import as_json
from helpers.verifier import verify


def test_the_text_explains_what_was_proven_and_what_was_not(forged):
    text = forged.verify().out
    flat = " ".join(text.split())
    assert text.startswith("VERIFIED: ")
    for said in ("What was proven", "root that you gave", "not AWS's", "production mode", "historic", "What was compared",
                 "What was NOT compared", "which one was not compared", "What was signed", "What to do next",
                 'nonce "nnnnnnnnnnnnnnnnnnnn"', 'user data "hello"', "module id \"i-0-enc0\""):
        assert said in flat, said
    for i in range(3):
        assert f"      --pcr {i}={pcr(i).hex()}\n" in text
    assert max(map(len, text.split("\n"))) <= 110  # a PCR is in one piece
    assert max(len(line) for line in text.split("\n") if not re.search("[0-9a-f]{96}", line)) <= 80
    # the flags can be pasted
    flags = [word for word in flat.split() if re.fullmatch(r"\d=[0-9a-f]{96}", word)]
    run = forged.verify("--json", *[x for f in flags for x in ("--pcr", f)])
    assert run.verdict["identity"] == "compared"


def test_pinned_and_asked_for_nothing_is_left_to_do(forged):
    text = " ".join(forged.verify(*pin(0), "--nonce", NONCE.hex(), "--user-data", "text:hello").out.split())
    assert "As wanted: PCR0." in text and "The nonce is the required one" in text and "The user data is the required one" in text
    assert "which one was not compared" not in text and "--pcr" not in text


def test_pcr2_alone_is_called_weak(forged):
    text = " ".join(forged.verify(*pin(2)).out.split())
    assert "What was compared (PCR2) is weak: it does not tell which code runs" in text
    assert "Which code the enclave runs: the PCRs that were compared do not tell" in text


def test_without_a_signature_no_fact_is_shown(forged):
    made = bytearray(forged.file.read_bytes())
    made[-1] ^= 1
    run = forged.verify(file="-", data=bytes(made))
    assert run.status == 1
    for fact in ("hello", "i-0-enc0", pcr(0).hex(), "2025", NONCE.decode(), NONCE.hex()):
        assert fact not in run.out
    assert "(signature_invalid: " in run.out


NASTY = "\x1b[2J\x1b]0;title\x07\r\nVERIFIED\x9b31m\u202e\x7f\x00"


def plain(text):
    return re.fullmatch(r"[\x20-\x7e\n]*", text) is not None


@pytest.mark.parametrize("name", ["module_id", "user_data", "nonce", "claims", "claim_name", "reply"])
def test_no_escape_sequence_reaches_the_terminal(forged, name):
    f = forged.forger
    if name in ("claims", "claim_name"):
        own = {"owner": NASTY} if name == "claims" else {NASTY: "x"}
        made = f.document(user_data=f.claims(**own))
    elif name == "reply":
        made = as_json({**f.attested(), NASTY: NASTY, "pcr2": NASTY, "_warning": NASTY})
    else:
        made = f.document(**{name: NASTY if name == "module_id" else NASTY.encode()})
    run = forged.verify(file="-", data=made)
    assert plain(run.out), run
    assert plain(run.err)
    printed = forged.verify("--json", file="-", data=made).out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", printed)


def on_a_terminal(command, environment, *, stdin=None):
    """What a command writes to a terminal; its stderr goes elsewhere."""
    ours, theirs = pty.openpty()
    try:
        p = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE,
                             env={**clean_environment(), "TERM": "xterm", **environment})
        os.close(theirs)
        got = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:
                break
            if not more:
                break
            got += more
        err = p.stderr.read()
        p.stderr.close()
        p.wait(60)
        return got.decode(), err.decode()
    finally:
        os.close(ours)


def test_colour_is_for_terminals_and_can_be_switched_off(forged):
    command = [*RUNNER, str(BUILD / "attestd"), "verify", *forged.usual(), str(forged.file)]
    environment = {k: v for k, v in clean_environment().items() if k != "NO_COLOR"}
    assert "\x1b" not in subprocess.run(command, capture_output=True, check=False, env=environment).stdout.decode()
    shown, _ = on_a_terminal(command, {"NO_COLOR": ""})
    assert shown.startswith("\x1b[1;33mVERIFIED\x1b[0m: ") and shown.count("\x1b") == 2
    for off in ({"NO_COLOR": "1"}, {"NO_COLOR": "", "TERM": "dumb"}):
        assert "\x1b" not in on_a_terminal(command, off)[0]
    assert "\x1b" not in on_a_terminal([*command, "--json"], {"NO_COLOR": ""})[0]


def test_reading_from_a_terminal_is_said():
    ours, theirs = pty.openpty()
    p = subprocess.Popen([*RUNNER, str(BUILD / "attestd"), "verify"], stdin=theirs, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=clean_environment())
    os.close(theirs)
    os.write(ours, b"\x04")  # Ctrl-D
    out, err = p.communicate(timeout=60)
    os.close(ours)
    assert b"reading from the terminal; end with Ctrl-D" in err
    assert p.returncode == 1 and out.startswith(b"NOT VERIFIED")


def test_output_that_cannot_be_written_exits_3(forged):
    for flags in ([], ["--json"], ["--help"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            command = [str(BUILD / "attestd"), "verify", *forged.usual(*flags), *flags, str(forged.file)]
            run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, env=clean_environment())
        assert run.returncode == 3 and b"cannot write" in run.stderr


def test_the_help_tells_of_every_flag():
    text = verify("--help").out
    for flag in ("--pcr", "--policy", "--nonce", "--user-data", "--max-age", "--allow-debug", "--root", "--at", "--purpose",
                 "--format", "--json"):
        assert re.search(rf"^  {flag}\b", text, re.MULTILINE), flag
    assert "Exit status: 0 verified, 1 not verified, 2 usage" in text
