"""The tools that measure work, and print what they promise. What they measure is nobody's business here."""

import csv
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import pytest
from helpers import BUILD, sanitized
from helpers.server import TOP

BENCH = TOP / "tests/bench"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sanitized(), reason="only binaries of the release are measured")]
wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="there is no wrk here (scripts/deps bench)")
valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no valgrind here (scripts/deps bench)")

DOCUMENT = """# About
<!-- make bench -->
old
<!-- end of make bench -->
between
<!-- make count -->
<!-- end of make count -->
end
"""
JUDGED = {"health_c64", "encrypt_256_c64", "encrypt_256_c512", "encrypt_1MiB_c8", "decrypt_256_c64", "key_exchange_rsa2048", "verify_warm",
          "verify_cold", "tls_c64_of_plain", "tls_c2_of_plain", "start_to_first_reply", "idle_memory", "memory_of_1000",
          *(f"custom_2MiB_{kind}_{what}" for kind in ("string", "records", "numbers") for what in ("time", "memory", "p99_paced", "p99_paced_elsewhere")),
          "nsm_5ms_others_p99", "nsm_5ms_queue", "nsm_5ms_longest_wait", *(f"nsm_retry_after_{why}{said}" for why in ("queue", "rate") for said in ("", "_said"))}


def run(tool, *args, fine=(0,)):
    done = subprocess.run([sys.executable, str(BENCH / tool), "--build", str(BUILD), *map(str, args)], capture_output=True, text=True)
    assert done.returncode in fine, done.stdout + done.stderr
    return done.stdout


def rows(output):
    """name -> the words of its line."""
    return {line.split()[0]: line.split()[1:] for line in output.splitlines() if not line.startswith("#")}


@wrk
def test_the_quick_benchmark_prints_a_line_for_each_row_of_the_contract(tmp_path):
    document = tmp_path / "P.md"
    document.write_text(DOCUMENT)
    got = rows(run("speed.py", "--quick", "--seconds", 1, "--rounds", 1, "--many", 1000, "--heavy", 2, "--record", document))
    assert JUDGED <= set(got), JUDGED - set(got)
    for name in JUDGED:
        assert {"ok", "MISSED"} & set(got[name]), (name, got[name])
    text = document.read_text()
    assert text.startswith("# About\n<!-- make bench -->\n") and "\nold\n" not in text and "\nbetween\n" in text
    assert all(f"| {name} |" in text for name in got if name != "name")


@wrk
def test_an_unknown_group_is_refused():
    run("speed.py", "--only", "nonsense", fine=(1,))


@valgrind
def test_instructions_are_counted(tmp_path):
    document = tmp_path / "P.md"
    document.write_text(DOCUMENT)
    got = run("count.py", "--requests", 64, "--record", document)
    for request in ("GET /health", "POST /encrypt, 256 bytes", "POST /decrypt, 256 bytes"):
        assert re.search(rf"^{request} +\d+ alone +\d+ of 64 in a turn +\d+ bare$", got, re.MULTILINE), got
        assert f"| {request} |" in document.read_text()


def test_a_soak_leaves_a_table_and_a_drawing_and_says_whether_it_was_flat(tmp_path):
    # Whether so short a run is flat says nothing, but no reply may be wrong.
    said = run("soak.py", "--minutes", 0.1, "--out", tmp_path, fine=(0, 1))
    assert re.search(r"^(FLAT|NOT FLAT): 0\.1 minutes, \d+ requests a second, 0 wrong", said, re.MULTILINE), said
    table = list(csv.DictReader(open(tmp_path / "soak.csv")))
    assert len(table) >= 10 and all(int(line["memory"]) > 0 for line in table)
    drawn = xml.etree.ElementTree.parse(tmp_path / "soak.svg").getroot()
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 7
