"""The relay attack that defeats a key exchange without user_key_hash: a client that does not check it is read along with,
and `attestd session open` refuses. (`make demo` shows this and the other attacks.)"""

import hashlib
import json
import os
import subprocess

import pytest
from helpers import BUILD, RUNNER, clean_environment
from helpers.relay import Relay, SwapKeys, rescoped
from helpers.server import TOP

ATTESTD = BUILD / "attestd"
# The same program, but for src/session/user_key_check.c, which was compiled to check nothing.
GULLIBLE = BUILD / "e2e" / "attestd-gullible"
SWITCH = "ATTESTD_TEST_SKIP_USER_KEY_CHECK"
PCR0 = "a77e57d0" * 12


@pytest.fixture
def relay(simulated):
    """A relay that swaps keys."""
    r = Relay(simulated.public)
    r.attack = SwapKeys(r)
    yield r
    r.close()


def run(program, *words, given="", env=None):
    return subprocess.run([*RUNNER, str(program), "session", *map(str, words)], input=given, capture_output=True, text=True,
                          env={**clean_environment(), **(env or {})})


def open_session(program, relay, simulated, file, *more, **how):
    return run(program, "open", "--url", relay.url, "--root", simulated.root, "--pcr", f"0={PCR0}", "--out", file, *more, **how)


def test_a_client_that_does_not_check_the_key_hash_is_read_along_with(simulated, relay, tmp_path):
    file = tmp_path / "chat.session"
    p = open_session(GULLIBLE, relay, simulated, file)
    assert p.returncode == 0 and file.exists(), p.stderr

    # All else is in order: the enclave reads what the user writes, and the other way round. So does the relay.
    sealed = json.loads(run(GULLIBLE, "encrypt", "--session", file, given="my secret").stdout)
    assert relay.attack.read(sealed) == "my secret"
    reply = simulated.post("/decrypt", sealed)
    assert reply.status == 200 and reply.json()["plaintext"] == "my secret", reply

    answer = simulated.post("/encrypt", {"session_id": sealed["session_id"], "plaintext": "its answer"}).json()
    assert relay.attack.read(answer) == "its answer"
    assert run(GULLIBLE, "decrypt", "--session", file, given=json.dumps(answer)).stdout == "its answer"


@pytest.mark.parametrize("environment", [{}, {SWITCH: "1"}])
def test_session_open_names_the_attack_and_opens_nothing(simulated, relay, tmp_path, environment):
    p = open_session(ATTESTD, relay, simulated, tmp_path / "chat.session", env=environment)
    assert p.returncode == 1, p.stderr
    assert relay.attack.session_key is not None, "the attack was made"
    assert "relay attack" in p.stderr and "user_key_hash" in p.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("asked, rewritten, sentence", [
    ("users", "relays", "for another conversation than yours (scope_hash)"),
    ("users", "Users", "for another conversation than yours (scope_hash)"),
    ("users", None, "for no conversation (there is no scope_hash), and you asked for one"),
    (None, "relays", "for one conversation (scope_hash), and you asked for none"),
])
def test_a_relay_cannot_tie_the_session_to_another_conversation(simulated, relay, tmp_path, asked, rewritten, sentence):
    relay.attack = rescoped(relay, rewritten)
    scope = () if asked is None else ("--scope", asked)
    p = open_session(ATTESTD, relay, simulated, tmp_path / "chat.session", *scope)
    assert (p.returncode, p.stdout) == (1, ""), p.stderr
    assert relay.seen[-1][0].get("scope") == rewritten, "the attack was made"
    assert sentence in p.stderr and "Nothing was opened." in p.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("lie", ["0" * 64, None])
def test_a_relay_cannot_pass_its_scope_off_as_the_users_in_the_unsigned_members(simulated, relay, tmp_path, lie):
    users = hashlib.sha256(b"users").hexdigest()
    for value in (lie, users):
        relay.attack = lambda request, value=value: {**rescoped(relay, "relays")(request), "scope_hash": value}
        p = open_session(ATTESTD, relay, simulated, tmp_path / "chat.session", "--scope", "users")
        assert p.returncode == 1 and "scope_hash" in p.stderr, p.stderr
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("scope", ["users", "chat \u00fc", "s" * 64])
def test_an_honest_relay_hands_the_scope_on(simulated, relay, tmp_path, scope):
    relay.attack = None
    p = open_session(ATTESTD, relay, simulated, tmp_path / "chat.session", "--scope", scope)
    assert p.returncode == 0 and relay.seen[-1][0]["scope"] == scope, p.stderr


def test_nothing_in_the_release_build_turns_the_check_off():
    sentence = b"This is a relay attack"
    assert sentence in ATTESTD.read_bytes() and sentence not in GULLIBLE.read_bytes()
    # The switch is of the compiler, and one rule of the Makefile alone sets it: that of the program above.
    named = [line for line in (TOP / "Makefile").read_text().splitlines() if SWITCH in line]
    assert len(named) == 1 and named[0].startswith("\t")
    sources = [p for p in (TOP / "src").rglob("*.[ch]") if SWITCH in p.read_text()]
    assert [p.name for p in sources] == ["user_key_check.c"]
