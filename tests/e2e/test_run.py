"""What `make run` prints works when it is pasted."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from helpers import BUILD, Server, clean_environment
from helpers.page import free_port

RUN = Path(__file__).resolve().parents[2] / "scripts/run"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """scripts/run on a free port; yields its folder and the commands that it printed."""
    directory = tmp_path_factory.mktemp("run")
    shutil.copy(BUILD / "attestd", directory / "attestd")
    port = free_port()
    out = directory / "stdout"
    with open(out, "wb") as f:
        process = subprocess.Popen([RUN, directory / "attestd", str(port)], stdout=f, stderr=subprocess.STDOUT,
                                   env=clean_environment())
    deadline = time.monotonic() + 20
    while "listening on" not in out.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    lines = out.read_text().replace("/tmp/", f"{directory}/").split("\n")
    yield directory / "run", [x for x in lines if x.startswith(("curl ", "openssl ", "jq "))]
    process.terminate()
    assert process.wait(20) == 0


def test_the_commands_that_run_prints_work_when_pasted(running):
    out = []
    for command in running[1]:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (command, done.stderr)
        out.append(done.stdout)
    health, posted, got, info, _, _, key_hash, said_hash, sealed = out
    assert json.loads(health)["status"] == "healthy"
    assert json.loads(posted)["custom_data"] == {"response": "42"}
    assert json.loads(got)["user_data"]["purpose"] == "info"
    assert json.loads(info)["name"] == "attestd"
    assert key_hash.split()[0] == said_hash.strip() != ""
    assert json.loads(sealed)["message_number"] == 1


def test_the_folder_of_the_development_key_is_private(running):
    assert running[0].stat().st_mode & 0o777 == 0o700


def test_a_sanitizer_report_fails_a_test(tmp_path):
    """The tests' own alarm: what a sanitizer writes to stderr does not go by unseen."""
    for report in ("==1==ERROR: AddressSanitizer: heap-use-after-free", "WARNING: ThreadSanitizer: data race (pid=1)",
                   "x.c:1:2: runtime error: shift exponent 64", "==12==ERROR: LeakSanitizer: detected memory leaks",
                   "==12== Invalid read of size 1"):
        (tmp_path / "stderr").write_text(f"a line\n{report}\n")
        with pytest.raises(AssertionError):
            Server(tmp_path).check()
    (tmp_path / "stderr").write_text("2026-11-21T01:23:53Z info ready version=0.1.0\nlistening on http://127.0.0.1:1\n")
    Server(tmp_path).check()
