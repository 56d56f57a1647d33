"""docs/VERIFYING.md: its commands work as they stand there, and it tells of every code."""

import json
import re
import subprocess

import pytest
from helpers import BUILD, RUNNER
from helpers.page import commands, free_port, page, run
from helpers.server import TOP

PAGE = page("docs", "VERIFYING.md")
SKIPPED = ("scripts/deps ", "make")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """What its commands printed."""
    return run(commands(PAGE, {":8766": f":{free_port()}"}, SKIPPED), tmp_path_factory.mktemp("page"))


def test_its_commands_verify(followed):
    assert followed.count("VERIFIED: ") == 6 and "NOT VERIFIED" not in followed
    assert followed.count("and it is the one that was wanted") == 5  # with each of the two policies, and by attestd attest
    assert "The certificate of this connection is the attested one." in followed
    assert followed.splitlines().count('"healthy"') == 2
    for line in ("leaf.pem: OK", "Verified OK"):
        assert line in followed.splitlines()
    assert followed.count("chain and signature hold") == 2


def test_its_conversations_take_place(followed):
    said = ["Is anyone listening?", "Only you.", "And now?", "Still only you."]
    assert [line for line in followed.splitlines() if line in said] == said
    assert followed.count("Opened. The session is in chat") == 2


def test_its_session_by_hand_shows_the_hashes_that_are_to_be_compared(followed):
    shown = re.search(r"^{\n.*\"key-exchange\"[^}]*}", followed, re.M)
    sums = re.findall(r"^([0-9a-f]{64})  ", followed[shown.end():], re.M)
    shown = json.loads(shown[0])
    assert sums == [shown["user_key_hash"], shown["session_key_hash"]]


def test_its_table_has_every_code_in_the_order_of_the_checks():
    codes = re.findall(r'^\tX\(\w+, "(\w+)"', (TOP / "include" / "verify.h").read_text(), re.M)
    table = PAGE[PAGE.index("## Codes"):PAGE.index("## By hand")]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == codes and len(codes) > 30


def test_its_table_of_the_policy_names_each_flag():
    said = subprocess.run([*RUNNER, BUILD / "attestd", "verify", "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"^  (--[a-z-]+)", said, re.M)) - {"--policy", "--format", "--json", "--help"}
    assert set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.M)) == flags
