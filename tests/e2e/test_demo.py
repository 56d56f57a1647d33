"""`make demo`: each attack is caught, each honest step works, and the transcript says so."""

import os
import re
import subprocess
import sys

import pytest
from helpers import BUILD
from helpers.server import PATIENCE, TOP

DEMO = TOP / "tests" / "demo" / "demo.py"


def demo(build):
    return subprocess.run([sys.executable, DEMO], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120 * PATIENCE, env={**os.environ, "ATTESTD_BUILD": str(build)})


@pytest.fixture(scope="module")
def said():
    p = demo(BUILD)
    assert p.returncode == 0, p.stdout
    return p.stdout


def step(said, name):
    """What commands and the server said in a step (not what the demo says of it), and the step's end."""
    body = re.search(rf"^\d+\. {name}\n(.*?)\n  => (.*?)$", said, re.M | re.S)
    assert body, (name, said)
    return " ".join(" ".join(re.findall(r"^ +\| (.*)$", body[1], re.M)).split()), body[2]


@pytest.mark.parametrize("name, words, result", [
    ("An honest relay", "Someone is, and hears noise.", "works"),
    ("A swapped key", "This is a relay attack", "CAUGHT"),
    ("A rewritten scope", "made the session for another conversation than yours (scope_hash)", "CAUGHT"),
    ("Another enclave", "pcr_mismatch", "CAUGHT"),
    ("Another enclave without a pin", "--pcr", "CAUGHT"),
    ("Any enclave", "VERIFIED", "passes, loudly"),
    ("An old exchange", "nonce_mismatch", "CAUGHT"),
    ("A late reply", "document_too_old", "CAUGHT"),
    ("A replay to the user", "it is a replay", "CAUGHT"),
    ("A replay to the agent", "409", "CAUGHT"),
    ("A reflection to the user", "a message of your own that came back", "CAUGHT"),
    ("A reflection to the agent", "409", "CAUGHT"),
    ("A new number", "it was renumbered on its way", "CAUGHT"),
    ("A new number throughout", "was altered on its way", "CAUGHT"),
    ("A cut", "was altered on its way", "CAUGHT"),
    ("The message itself", "Transfer nothing.", "works"),
    ("An old answer", "comes too late", "CAUGHT"),
    ("A withheld message", "Anything else?", "cannot be detected"),
    ("Reordered messages", "Sell nothing.", "cannot be detected"),
    ("The end", "", "works"),
])
def test_a_step_shows_what_happened(said, name, words, result):
    body, ended = step(said, name)
    assert words in body and ended == result


def test_every_step_is_in_the_summary(said):
    steps = re.findall(r"^\d+\. (.*)\n", said, re.M)
    summary = said[said.index("\nIn short:"):]
    assert len(steps) == 20 and all(f"  {name[0].lower()}{name[1:]}  " in summary for name in steps)
    assert "FAILED" not in said


def test_no_key_is_in_the_transcript(said):
    assert not re.search(r"[0-9a-f]{64}|[A-Za-z0-9+/]{43}=", said)


def test_it_fails_when_an_attack_is_not_caught(tmp_path):
    (tmp_path / "attestd").symlink_to(BUILD / "e2e" / "attestd-gullible")
    p = demo(tmp_path)
    assert p.returncode == 1
    assert step(p.stdout, "A swapped key")[1] == "FAILED"
