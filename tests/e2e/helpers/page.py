"""The commands of a page for people: its fenced `sh` blocks, run one after the other as they stand there."""

import re
import socket
import subprocess

from .server import BUILD, RUNNER, TOP, clean_environment


def commands(page, here, skipped=()):
    """The page's commands as one script. here: what stands there -> what it is here; each must stand there. Lines that
    begin with one of `skipped` are left out."""
    lines = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.S | re.M)).splitlines()
    text = "\n".join(line for line in lines if not line.startswith(tuple(skipped)))
    for stands, is_here in here.items():
        assert stands in text, stands
        text = text.replace(stands, str(is_here))
    return text


def run(script, directory):
    """Runs the script in the directory, with `attestd` among the commands; what it printed. Each line must succeed. What it
    leaves running is ended."""
    bin_ = directory / "bin"
    bin_.mkdir()
    attestd = " ".join(str(word) for word in (*RUNNER, BUILD / "attestd"))
    (bin_ / "attestd").write_text(f'#!/bin/sh\nexec {attestd} "$@"\n')
    (bin_ / "attestd").chmod(0o755)
    env = clean_environment()
    end = "trap 'kill $(jobs -p) 2>/dev/null && wait || true' EXIT\n"
    p = subprocess.run(["bash", "-euo", "pipefail", "-c", end + script], cwd=directory, stdin=subprocess.DEVNULL,
                       env={**env, "PATH": f"{bin_}:{env['PATH']}", "TMPDIR": str(directory)}, capture_output=True, text=True)
    assert p.returncode == 0, p.stdout[-4000:] + p.stderr[-4000:]
    return p.stdout


def free_port():
    """A port of the loopback that nobody listened on just now."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def page(*path):
    return TOP.joinpath(*path).read_text()
