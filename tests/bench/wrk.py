"""wrk: one run of it, its scripts, and what it found."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from servers import Failed

HERE = Path(__file__).resolve().parent
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass
class Run:
    """Requests a second, CPU seconds of the server for each, latencies in seconds, how busy the server was (1: one processor)."""

    rate: float
    cpu: float
    p50: float
    p99: float
    busy: float
    stalled: bool


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNITS[unit]


class Wrk:
    """One that runs. With `result` it is waited for."""

    def __init__(self, url, connections, duration, script=None, args=()):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(duration))}s", "--latency"]
        if script is not None:
            command += ["-s", str(HERE / script)]
        command += [url, *(["--", *map(str, args)] if script is not None else [])]
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def result(self):
        """(what it printed, its CPU seconds)"""
        said = self.child.stdout.read()
        _, status, used = os.wait4(self.child.pid, 0)
        self.child.returncode = os.waitstatus_to_exitcode(status)
        self.child.stdout.close()
        if self.child.returncode != 0 or "Non-2xx" in said:
            raise Failed(f"wrk: {said.strip() or 'failed'}")
        return said, used.ru_utime + used.ru_stime


def measure(watch, what, server, url, connections, duration, script=None, args=(), beside=()):
    """One run. beside: further processes of ours that work meanwhile."""
    watch.begin([server, *beside])
    before = server.cpu()
    said, client = Wrk(url, connections, duration, script, args).result()
    cpu = server.cpu() - before
    watch.done([server, *beside], client, what)
    n, took = re.search(r"(\d+) requests in (\S+),", said).groups()
    latency = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", said, re.MULTILINE))
    if int(n) == 0:
        raise Failed(f"{what}: not one request was answered:\n{said}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    if errors and any(int(e) for e in errors.groups()[:3]):
        raise Failed(f"{what}: {errors[0]}")
    return Run(float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), cpu / int(n), seconds(latency["50"]), seconds(latency["99"]),
               cpu / seconds(took), stalled=errors is not None)


def whole(path, body):
    """A request as bytes."""
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    body = body.encode() if isinstance(body, str) else body
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body
