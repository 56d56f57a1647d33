"""docs/VSOCK.md and docs/CLIENT.md: their commands work as they stand there, and VSOCK.md tells the limits that there are."""

import json
import re
import shutil
import subprocess

import pytest
from helpers import BUILD, RUNNER, clean_environment
from helpers.page import commands, free_port, page, run
from helpers.server import PATIENCE
from helpers.session import PCR0
from helpers.simulated import Simulated
from helpers.vsock import good, settings

VSOCK, CLIENT = page("docs", "VSOCK.md"), page("docs", "CLIENT.md")


def needs(*programs):
    lacking = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(lacking != [], reason=f"{', '.join(lacking)}: not installed, and the commands use it")


@needs("socat", "jq", "openssl")
def test_the_commands_about_the_protocol_work(tmp_path):
    out = run(commands(VSOCK, {":8766": f":{free_port()}", "settimeout(30)": f"settimeout({30 * PATIENCE})"}), tmp_path)
    pong, *rest = out.splitlines()
    assert json.loads(pong)["message"] == "pong"
    assert json.loads("".join(rest[:rest.index("]") + 1])) == sorted(json.loads((tmp_path / "reply.json").read_text()).keys()
                                                                    - {"key_id", "key_expires_in_seconds"})
    assert "validation_failed" in rest and "cannot pass for one of the server's own claims" in out
    assert out.count("VERIFIED: ") == 1 and "NOT VERIFIED" not in out


def test_the_protocol_page_has_every_member_of_an_attestation(tmp_path):
    s = Simulated(tmp_path, settings=settings(tmp_path)).start()
    replies = [good(s, command="attest", generate_key=True), good(s, command="ping"), good(s, command="status")]
    s.stop()
    assert [m for reply in replies for m in reply if f"`{m}`" not in VSOCK and m != "success"] == []


def test_the_protocol_page_tells_the_defaults():
    shown = subprocess.run([*RUNNER, BUILD / "attestd", "config", "show"], env=clean_environment(), capture_output=True,
                           text=True, check=True).stdout
    value = dict(re.findall(r"^(\w+) = (.*)$", shown, re.M))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in
            VSOCK[VSOCK.index("## Limits"):VSOCK.index("## What user data")].splitlines() if line.startswith("| ")]
    told = 0
    for _, much, keys in rows:
        for number, key in zip(re.findall(r"\d+", much), re.findall(r"`(\w+)`", keys)):
            half = keys.startswith("half of")
            assert int(number) * (2 if half else 1) == int(re.match(r"\d+", value[key])[0]), key
            told += 1
    assert told == 9


@needs("curl", "jq", "openssl", "basenc")
def test_the_commands_about_a_generated_key_work(tmp_path, tmp_path_factory):
    directory = tmp_path_factory.mktemp("keyed")
    s = Simulated(directory, settings=settings(directory)).start()
    (tmp_path / "image.json").write_text(json.dumps({"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": PCR0}}))
    secret = "for the enclave alone: \u00fc\n" * 12  # 300 bytes
    (tmp_path / "secret.txt").write_text(secret)
    ask = f"attestd client --to {s.settings['vsock_listen']} --root {s.root} --timeout {60 * PATIENCE}"
    script = commands(CLIENT, {"attestd client": ask, ":8765": f":{s.port}"})
    last = "jq -r .key_id response.json\n"
    assert script.count(last) == 1
    out = run(script.replace(last, "KEY_ID=$(jq -r .key_id response.json)\n"), tmp_path)
    s.stop()
    assert out == secret
