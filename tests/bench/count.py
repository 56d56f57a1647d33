#!/usr/bin/env python3
"""Instructions a request, counted by callgrind: the same on every machine that runs the same binaries, however busy it is.

    tests/bench/count.py [--build build] [--requests N] [--record FILE] [--annotate NAME]

A line a request: instructions for one that comes alone, for each of 64 that come within one turn of the loop, and for each of 64
at the bare server. All are the difference between a run with N requests and one with twice as many, so that neither start nor
end is in them. The kernel's are not counted.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import sessions
from servers import Failed, Field
from table import markdown, record
from wire import BLOCK, connect, receive
from wrk import whole

TOP = Path(__file__).resolve().parents[2]
TOGETHER = 64
WARM_UP = 4 * TOGETHER
SESSIONS = 64
SIZE = 256
# callgrind counts each byte that one `rep stosb` writes, and libmicrohttpd clears 8 KiB a request.
TUNABLES = "GLIBC_TUNABLES=glibc.cpu.x86_rep_stosb_threshold=1073741824:glibc.cpu.x86_rep_movsb_threshold=1073741824"
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def requests(name, listed):
    """A function that makes the next request."""
    if name == "GET /health":
        return lambda: HEALTH
    if name == "POST /decrypt":
        return sessions.Messages(listed, SIZE).request
    ids = [line.split()[0] for line in listed.read_text().splitlines()]
    ready = [whole("/encrypt", {"session_id": i, "plaintext": sessions.text(SIZE)}) for i in ids]
    numbers = iter(range(1 << 30))
    return lambda: ready[next(numbers) % len(ready)]


def stop(pid):
    """Once it is still, all that is sent to it waits, and is there at one glance when it goes on."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        time.sleep(0.001)


def send(pid, clients, count, make):
    space = memoryview(bytearray(BLOCK))
    for _ in range(count // len(clients)):
        if len(clients) > 1:
            stop(pid)
        for s in clients:
            s.sendall(make())
        if len(clients) > 1:
            os.kill(pid, signal.SIGCONT)
        for s in clients:
            status, _, body = receive(s, space)
            if status != 200:
                raise Failed(f"status {status}: {body}")


def run(field, name, together, count, bare=False, annotate=False):
    """Instructions of a whole run of the server."""
    folder = field.folder()
    listed = sessions.fill(field, folder, SESSIONS)
    out = folder / "callgrind"
    under = ["env", TUNABLES, "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    server = field.bare(SIZE, under) if bare else field.attestd(folder, under=under, workers=1)
    pid = server.child.pid
    clients = [connect(server.at[0]) for _ in range(together)]
    make = requests(name, listed)
    send(pid, clients, WARM_UP + count, make)
    for s in clients:
        s.close()
    os.kill(pid, signal.SIGTERM)
    if server.child.wait() not in (0, -signal.SIGTERM if bare else 0):
        raise Failed(server.said.read_text(errors="replace"))
    if annotate:
        print(subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", str(out)], stdout=subprocess.PIPE, text=True, check=True).stdout)
    return int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)[1])


def counted(field, name, together, count, bare=False):
    once, twice = (run(field, name, together, n, bare) for n in (count, 2 * count))
    field.clear()
    return (twice - once) / count


def versions(field):
    """What the numbers depend on."""
    cc = subprocess.run(["gcc", "-dumpfullversion"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    names = ["libmicrohttpd12", "libssl3", "libsqlite3-0", "libc6", "valgrind"]
    found = [f"{n.rstrip('0123456789').removesuffix('-')} {v}" for n in names if (v := version(n))]
    return f"gcc {cc}, {', '.join(found)}"


def version(package):
    run_it = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return run_it.stdout if run_it.returncode == 0 else None


def main():
    names = ("GET /health", "POST /encrypt", "POST /decrypt")
    p = argparse.ArgumentParser()
    p.add_argument("--build", type=Path, default=TOP / "build")
    p.add_argument("--requests", type=int, default=32 * TOGETHER)
    p.add_argument("--record", type=Path, help="put the table into this document")
    p.add_argument("--annotate", choices=names, help="print where the instructions of these are spent, 64 in a turn, with those of what each function calls")
    a = p.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("count: there is no valgrind here (scripts/deps bench, or apt-get install valgrind)")
    count = max(a.requests // TOGETHER, 1) * TOGETHER
    rows = []
    with Field(a.build) as field:
        if a.annotate:
            run(field, a.annotate, TOGETHER, count, annotate=True)
            return
        print("# " + versions(field))
        for name in names:
            got = [counted(field, name, 1, count), counted(field, name, TOGETHER, count), counted(field, name, TOGETHER, count, bare=True)]
            shown = name if name.startswith("GET") else f"{name}, {SIZE} bytes"
            rows.append([shown, *(f"{n / 1000:.1f}" for n in got)])
            print(f"{shown:26} {got[0]:9.0f} alone  {got[1]:9.0f} of {TOGETHER} in a turn  {got[2]:9.0f} bare", flush=True)
        if a.record:
            record(a.record, "make count", f"Thousands of instructions; {versions(field)}.\n\n" + markdown(
                ["request", "alone", f"one of {TOGETHER} in a turn", "the same, bare"], rows))


if __name__ == "__main__":
    main()
