"""docs/skill/SKILL.md: an agent and a user who do what it says get what it promises. The commands of README.md, docs/TLS.md and
docs/PRIVATE_DATA.md work, too. (For docs/VERIFYING.md see test_verifying.py, for docs/PEERS.md test_peer_command.py.)"""

import json
import re

import pytest
import yaml
from helpers.page import commands, free_port, page, run
from helpers.server import TOP
from helpers.session import attestd, done
from helpers.simulated import Simulated

SKILL = page("docs", "skill", "SKILL.md")
PCR0 = "a77e57d0" * 12


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The page's commands were run; what they printed, and their directory. Agent and user share it: what is in one's
    hands after the other's command went through the chat."""
    directory = tmp_path_factory.mktemp("skill")
    server = Simulated(tmp_path_factory.mktemp("simulated")).start()
    policy = {"pcrs": {"0": PCR0}, "root": server.root.read_text()}
    (directory / "policy.json").write_text(json.dumps(policy))
    out = run(commands(SKILL, {"http://localhost:8765": f"http://localhost:{server.port}"}), directory)
    server.stop()
    return out, directory


def test_its_proofs_verify(followed):
    out, _ = followed
    assert out.count("VERIFIED: ") == 2 and "NOT VERIFIED" not in out
    assert out.count("and it is the one that was wanted") == 2  # the proof and the signed answer
    assert "Two: Phobos and Deimos." in out and "Opened. The session is in chat.session." in out


def test_its_conversation_takes_place(followed):
    out, directory = followed
    assert (directory / "asked.txt").read_text() == "And the third page?\n"
    assert "Read the second page twice.\n" in out and "Has nothing to hide.\n" in out
    assert "nothing" not in (directory / "answer.json").read_text()
    for name in ("key.pem", "key2.pem", "session.key", "question.txt", "asked.txt", "answer.txt", "message.json", "answer.json"):
        assert (directory / name).stat().st_mode & 0o077 == 0, name
    assert not (directory / "chat.session").exists(), "it was closed"


def test_its_fallback_shows_the_hashes_that_are_to_be_compared(followed):
    out, _ = followed
    shown = json.loads(re.search(r"\{\s*\"user_key_hash\".*?\}", out, re.S)[0])
    sums = re.findall(r"^([0-9a-f]{64})  ", out, re.M)
    assert sums == [shown["user_key_hash"], shown["session_key_hash"], shown["scope_hash"]]


def test_it_is_a_skill():
    front = yaml.safe_load(SKILL.split("---\n")[1])
    assert set(front) == {"name", "description"} and front["name"] == "enclave-attestation"
    assert 0 < len(front["description"]) <= 1024 and "\n" not in front["description"]


def test_its_links_lead_somewhere():
    for target, anchor in re.findall(r"\]\(([^)#]*)(#[^)]*)?\)", SKILL):
        text = (TOP / "docs" / "skill" / target).read_text() if target else SKILL
        titles = [re.sub(r"[^\w -]", "", t).strip().lower().replace(" ", "-") for t in re.findall(r"^#+ (.*)$", text, re.M)]
        assert not anchor or anchor[1:] in titles, (target, anchor, titles)


def test_the_commands_of_the_readme_work(server, tmp_path):
    readme = page("README.md")
    part = readme[readme.index("## Try it"):readme.index("## In an enclave")]
    ports = {":8765": f":{server.port}", ":8766": f":{free_port()}", ":8443": f":{free_port()}"}
    out = run(commands(part, ports, ("make run",)), tmp_path)
    hashes = re.findall(r"^([0-9a-f]{64})(?:  \S+)?\n([0-9a-f]{64})$", out, re.M)
    assert len(hashes) == 3 and all(one == other for one, other in hashes), "of the custom data, the session's key, the user's"
    assert out.count("VERIFIED: ") == 2 and "NOT VERIFIED" not in out
    assert [line for line in out.splitlines() if line in ("Is anyone listening?", "Only you.")] == [
        "Is anyone listening?", "Only you."]
    assert out.endswith('{"hello":"world"}'), "of the private data"


def test_the_configurations_of_the_pages_are_taken(tmp_path):
    blocks = re.findall(r"^```conf\n(.*?)^```", page("docs", "TLS.md"), re.S | re.M)
    assert len(blocks) == 1
    for block in blocks:
        (tmp_path / "attestd.conf").write_text(block)
        done(attestd("config", "check", "--config", tmp_path / "attestd.conf"))


def test_the_commands_of_the_page_on_tls_work(tmp_path):
    out = run(commands(page("docs", "TLS.md"), {}), tmp_path)
    assert out.startswith("VERIFIED: ") and out.endswith("healthy\n")


def test_the_commands_of_the_page_on_private_data_work(tmp_path):
    out = run(commands(page("docs", "PRIVATE_DATA.md"), {}), tmp_path)
    assert out.startswith('{"hello":"world"}' * 2 + '{"') and out.endswith("anonymous\n")
    assert "sealed_under=\"a generated key\"" in (tmp_path / "server.log").read_text()
