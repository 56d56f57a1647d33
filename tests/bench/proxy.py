#!/usr/bin/env python3
"""attestd proxy beside socat: GiB through TCP -> Unix socket -> TCP, in one run on one machine.

    tests/bench/proxy.py [build/attestd [GIB]]

A line each: seconds, GiB/s, attestd's speed as a multiple of socat's, CPU seconds of the two processes of the chain, and
their memory (VmHWM, the most there ever was, of both together) before and after. "checked": the far end hashes what arrives,
and its sum is that of what was sent; "discard": it throws away what arrives, so that the chain is what is measured.
"""

import hashlib
import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BLOCK = os.urandom(1 << 20)
SOCATS = {"socat": [], "socat -b 65536": ["-b", "65536"]}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def reachable(address):
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    deadline = time.monotonic() + 10
    while True:
        try:
            s.connect(address)
            return s
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class Chain:
    """Two processes: TCP to a Unix socket, and that to TCP."""

    def __init__(self, name, program, directory, far):
        near, middle = free_port(), f"{directory}/middle"
        if name == "attestd":
            commands = [[program, "proxy", "--log-level", "warn", "--listen", at, "--to", to] for at, to in (
                (f"unix:{middle}", f"tcp:127.0.0.1:{far}"), (f"tcp:127.0.0.1:{near}", f"unix:{middle}"))]
        else:
            commands = [["socat", *SOCATS[name], at, to] for at, to in (
                (f"UNIX-LISTEN:{middle},unlink-early", f"TCP:127.0.0.1:{far}"),
                (f"TCP-LISTEN:{near},bind=127.0.0.1,reuseaddr", f"UNIX-CONNECT:{middle}"))]
        self.processes = []
        for command in commands:
            self.processes.append(subprocess.Popen(command, stderr=subprocess.PIPE if name == "attestd" else None))
            if name == "attestd":
                assert b"listening on" in self.processes[-1].stderr.readline()
            elif len(self.processes) == 1:
                while not os.path.exists(middle):
                    time.sleep(0.01)
        self.at = ("127.0.0.1", near)

    def memory(self):
        """KiB, the most that there ever was."""
        text = [Path(f"/proc/{p.pid}/status").read_text() for p in self.processes]
        return sum(int(re.search(r"^VmHWM:\s+(\d+)", t, re.MULTILINE)[1]) for t in text)

    def cpu(self):
        """Seconds so far."""
        stat = [Path(f"/proc/{p.pid}/stat").read_text().rsplit(")", 1)[1].split() for p in self.processes]
        return sum(int(s[11]) + int(s[12]) for s in stat) / os.sysconf("SC_CLK_TCK")

    def end(self):
        for p in self.processes:
            p.terminate()
            p.wait()


def take(listener, checked, result):
    s, _ = listener.accept()
    digest, size, space = hashlib.sha256(), 0, memoryview(bytearray(1 << 20))
    while n := s.recv_into(space) if checked else s.recv_into(space, 0, socket.MSG_TRUNC):
        size += n
        if checked:
            digest.update(space[:n])
    result.send((size, digest.digest()))


def digest_of(blocks):
    digest = hashlib.sha256()
    for _ in range(blocks):
        digest.update(BLOCK)
    return digest.digest()


def measure(name, program, blocks, expected):
    """(seconds, (CPU seconds, memory before, memory after)); expected: the digest to compare with, or None."""
    directory = tempfile.mkdtemp(prefix="proxy-")
    listener = socket.create_server(("127.0.0.1", 0))
    receive, result = multiprocessing.Pipe(False)
    sink = multiprocessing.Process(target=take, args=(listener, expected is not None, result))
    sink.start()
    chain = Chain(name, program, directory, listener.getsockname()[1])
    try:
        s = reachable(chain.at)
        before, cpu = chain.memory(), chain.cpu()
        start = time.monotonic()
        for _ in range(blocks):
            s.sendall(BLOCK)
        usage = chain.cpu() - cpu, before, chain.memory()  # socat will have ended when all has arrived
        s.shutdown(socket.SHUT_WR)
        size, seen = receive.recv()
        seconds = time.monotonic() - start
        assert size == blocks * len(BLOCK), f"{name}: {size} bytes arrived"
        assert expected in (None, seen), f"{name}: what arrived is not what was sent"
        return seconds, usage
    finally:
        chain.end()
        sink.join()
        listener.close()
        shutil.rmtree(directory)


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(TOP / "build/attestd")
    gib = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    names = ["attestd"]
    if shutil.which("socat"):
        names += SOCATS
    else:
        print("proxy: socat is not installed, so nothing is compared")
    blocks = int(gib * 1024)
    for expected in (digest_of(blocks), None):
        ours = None
        for name in names:
            seconds, usage = measure(name, program, blocks, expected)
            ours = ours or seconds
            far = "checked" if expected else "discard"
            line = f"proxy: {name:14} {far} {gib:g} GiB in {seconds:.2f} s: {gib / seconds:.2f} GiB/s"
            if name != "attestd":
                line += f", attestd {seconds / ours:.2f} times as fast"
            print(f"{line}, CPU {usage[0]:.2f} s, memory {usage[1]} -> {usage[2]} KiB", flush=True)


if __name__ == "__main__":
    main()
