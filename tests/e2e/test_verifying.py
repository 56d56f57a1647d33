"""docs/VERIFYING.md: its commands work as they stand there, and it tells of every code."""

import re
import subprocess

import pytest
from helpers import BUILD, RUNNER, clean_environment
from helpers.server import TOP
from helpers.simulated import Simulated

PAGE = (TOP / "docs" / "VERIFYING.md").read_text()
SKIPPED = ("build/attestd serve ", "sleep 1", "nitro-cli ", "build/attestd verify reply.json --nonce $NONCE --policy image.json  ")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    s = Simulated(tmp_path_factory.mktemp("simulated")).start()
    yield s
    s.stop()


def commands(server):
    lines = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.S)).splitlines()
    text = "\n".join(line for line in lines if not line.startswith(SKIPPED))
    attestd = " ".join(str(word) for word in (*RUNNER, BUILD / "attestd"))
    for stands, here in (("build/attestd", attestd), ("/tmp/root.pem", str(server.root)), (":8766", f":{server.port}")):
        assert stands in text
        text = text.replace(stands, here)
    return text


def test_its_commands_work(simulated, tmp_path):
    p = subprocess.run(["bash", "-euo", "pipefail", "-c", commands(simulated)], cwd=tmp_path, env=clean_environment(),
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert p.returncode == 0, p.stdout[-4000:] + p.stderr[-4000:]
    assert p.stdout.count("VERIFIED: ") == 3 and "NOT VERIFIED" not in p.stdout
    assert p.stdout.count("and it is the one that was wanted") == 2  # with each of the two policies
    for line in ("leaf.pem: OK", "Verified OK", "chain and signature hold"):
        assert line in p.stdout.splitlines()


def test_its_table_has_every_code_in_the_order_of_the_checks():
    codes = re.findall(r'^\tX\(\w+, "(\w+)"', (TOP / "include" / "verify.h").read_text(), re.M)
    table = PAGE[PAGE.index("## Codes"):PAGE.index("## By hand")]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == codes and len(codes) > 30


def test_its_table_of_the_policy_names_each_flag():
    said = subprocess.run([*RUNNER, BUILD / "attestd", "verify", "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"^  (--[a-z-]+)", said, re.M)) - {"--policy", "--format", "--json", "--help"}
    assert set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.M)) == flags
