"""The processes that are measured, what they use, and whether anything else on the machine worked meanwhile."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
LISTENING = re.compile(r"\blistening on (\S+)$", re.MULTILINE)
PATIENCE = 120  # seconds for a start: with a million sessions, on a busy machine
# Limits that such a load would run into.
OPEN = {"nsm_rate": 100000, "nsm_burst": 100000, "nsm_queue": 4096, "max_sessions": 10000000, "public_sessions": 0,
        "max_seen_ivs": 1000000000, "max_messages": 2147483647, "log_level": "error"}


class Failed(Exception):
    """Nothing can be said, and why."""


def environment():
    """Ours without what attestd would read as its configuration."""
    names = ("ATTESTD_", "USE_TLS", "TLS_CERT_PATH", "TLS_KEY_PATH", "ENCLAVE_KEY_BASE64", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY")
    return {k: v for k, v in os.environ.items() if not k.startswith(names)}


class Process:
    """One that listens; `at` has its addresses in the order in which it printed them."""

    def __init__(self, command, directory, listeners=1):
        self.began = time.monotonic()
        self.said = Path(directory) / f"stderr.{os.path.basename(command[0])}"
        with open(self.said, "wb") as err:
            self.child = subprocess.Popen([str(c) for c in command], cwd=directory, stdin=subprocess.DEVNULL,
                                          stdout=subprocess.DEVNULL, stderr=err, env=environment())
        self.at = []
        while len(self.at) < listeners:
            if self.child.poll() is not None or time.monotonic() > self.began + PATIENCE:
                self.end()
                raise Failed(f"{command[0]} does not listen:\n{self.said.read_text(errors='replace')}")
            self.at = LISTENING.findall(self.said.read_text(errors="replace"))
            time.sleep(0.0005)

    def cpu(self):
        """Seconds so far, of all its threads."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, what="VmRSS"):
        """Bytes; VmHWM: the most there ever was."""
        return int(re.search(rf"^{what}:\s+(\d+)", Path(f"/proc/{self.child.pid}/status").read_text(), re.MULTILINE)[1]) * 1024

    def descriptors(self):
        """How many are open; None where one may not look."""
        try:
            return len(os.listdir(f"/proc/{self.child.pid}/fd"))
        except PermissionError:
            return None

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


class Field:
    """Where measuring takes place: the programs, a directory, and all that was started there. A context manager. Rounds: of
    most cases; `long`: of those that take long in themselves."""

    def __init__(self, build, seconds=0, rounds=0, quick=False):
        self.build = Path(build).resolve()
        self.seconds = seconds
        self.rounds = rounds
        self.long = 1 if quick else rounds
        self.quick = quick
        self.directory = Path(tempfile.mkdtemp(prefix="bench-"))
        self.running = []
        self.made = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()
        shutil.rmtree(self.directory)

    def clear(self):
        """Ends all that runs and forgets its files."""
        for process in self.running:
            process.end()
        self.running.clear()
        for path in self.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def folder(self):
        self.made += 1
        path = self.directory / str(self.made)
        path.mkdir()
        return path

    def start(self, command, directory=None, listeners=1):
        self.running.append(Process(command, directory or self.folder(), listeners))
        return self.running[-1]

    def bare(self, size, under=()):
        return self.start([*under, self.build / "bench/bare", size])

    def attestd(self, directory=None, nsm="dummy", under=(), **settings):
        """under: a command to run it with."""
        listeners = 1 + ("tls_listen" in settings)
        sets = [f"--set={k}={v}" for k, v in {**OPEN, **settings}.items()]
        return self.start([*under, self.build / "attestd", "serve", "--nsm", nsm, "--listen", "127.0.0.1:0", "--db", "s.db", *sets],
                          directory, listeners)

    def simulator(self, *args):
        return self.start([self.build / "attestd", "simulate", "--socket", self.directory / "nsm", *args])


class Watch:
    """How many processors others kept busy, on the whole and at most. Interrupts are not counted, being mostly ours."""

    LIMIT = 0.15

    def __init__(self):
        self.loud = []

    @staticmethod
    def _busy():
        fields = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return (fields[0] + fields[1] + fields[2] + fields[7]) / TICK

    def begin(self, processes):
        own = os.times()
        self.then = (time.monotonic(), self._busy(), sum(p.cpu() for p in processes), own.user + own.system)

    def done(self, processes, clients, what):
        """clients: the CPU seconds of those that sent the load. What: for the warning."""
        own = os.times()
        now = (time.monotonic(), self._busy(), sum(p.cpu() for p in processes), own.user + own.system)
        past, busy, theirs, ours = (a - b for a, b in zip(now, self.then))
        others = (busy - theirs - ours - clients) / past
        if past > 0.5 and others > self.LIMIT:
            self.loud.append((others, what))

    def warning(self):
        if not self.loud:
            return None
        worst, what = max(self.loud)
        return (f"warning: other work on this machine took more than {self.LIMIT} processors in {len(self.loud)} measurements, "
                f"{worst:.1f} in {what}; measure again when it is quiet")
