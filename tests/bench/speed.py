#!/usr/bin/env python3
"""attestd beside a bare libmicrohttpd in the same loop mode, and the rows of its speed contract. docs/PERFORMANCE.md tells how.

    tests/bench/speed.py [--build build] [--quick] [--only GROUP,...] [--seconds S] [--rounds N] [--many N]
                         [--heavy MIB] [--record FILE]

A line a case. Exit status 0 also where a target was missed: the lines say so.
"""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import heavy
import nsm_time
import sessions
import starts
from servers import Failed, Field, Watch
from table import COLUMNS, Row, at_least, columns, markdown, record
from wire import ask
from wrk import measure, whole

TOP = Path(__file__).resolve().parents[2]
HEAVY = 256 << 10  # larger bodies are worked on by a worker
CLIENT_BOUND = 0.9  # a server less busy than this waited for its clients, and requests a second say little


@dataclass
class Both:
    """Medians over the rounds. Each ratio is ours to the other's within one round."""

    rps: float
    cpu: float
    p50: float
    p99: float
    ours_cpu: float
    other_busy: float
    stalled: bool

    def judged(self, threads):
        """Ours as a part of the other's: by requests a second, or by CPU a request where the clients were the limit. Not where
        ours works in several threads, of which all but the loop's are there to cost CPU and not time."""
        return (1 / self.cpu, "cpu") if self.other_busy < CLIENT_BOUND and not threads else (self.rps, "rps")


def race(field, other, ours):
    """other, ours: functions of the runs so far of the other that measure once."""
    theirs, mine = [], []
    for _ in range(field.rounds):
        theirs.append(other(theirs))
        mine.append(ours(theirs))

    def ratio(what):
        return statistics.median(getattr(m, what) / max(getattr(t, what), 1e-9) for m, t in zip(mine, theirs))

    return Both(ratio("rate"), ratio("cpu"), ratio("p50"), ratio("p99"), statistics.median(m.cpu for m in mine),
                statistics.median(t.busy for t in theirs), any(m.stalled for m in mine))


def row(name, both, server, target=None, first=None, threads=False):
    how = {"result": "stalled"} if both.stalled else {}
    if target is not None:
        value, by = both.judged(threads)
        how = {**at_least(value, target), **how}
        how["result"] += f" {by}" if not both.stalled else ""
        how["ok"] = how["ok"] and not both.stalled
    elif not how:
        how["result"] = f"{both.ours_cpu * 1e6:.1f} us CPU"
    return Row(name, **how, rps=both.rps, cpu=both.cpu, p50=both.p50, p99=both.p99, rss=server.memory(),
               growth=None if first is None else both.ours_cpu / first)


# ---- messages ----

class Encrypts:
    """POST /encrypt at attestd and at bare servers, for sessions chosen at random."""

    def __init__(self, field, watch, count):
        self.field, self.watch, self.count = field, watch, count
        folder = field.folder()
        self.listed = sessions.fill(field, folder, count)
        self.ours = field.attestd(folder)

    def race(self, name, connections, size, reply=None):
        """reply: how long the bare server's is, as long as ours where it is not said."""
        if reply is None:
            first = self.listed.open().readline().split()[0]
            reply = len(ask(self.ours.at[0], whole("/encrypt", {"session_id": first, "plaintext": sessions.text(size)}))[1])
        bare = self.field.bare(reply)

        def run(server):
            return lambda _: measure(self.watch, name, server, server.at[0], connections, self.field.seconds, "bodies.lua",
                                     (self.listed, self.count, size))

        try:
            return race(self.field, run(bare), run(self.ours))
        finally:
            bare.end()


def health(field, watch):
    ours = field.attestd()
    bare = field.bare(len(ask(ours.at[0], b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")[1]))

    def run(server):
        return lambda _: measure(watch, "health", server, f"{server.at[0]}/health", 64, field.seconds)

    yield row("health_c64", race(field, run(bare), run(ours)), ours, 0.90)


def encrypt(field, watch):
    e = Encrypts(field, watch, 1000)
    for name, connections, size, reply, target in (("encrypt_256_c64", 64, 256, None, 0.75), ("encrypt_256_c512", 512, 256, None, 0.75),
                                                   ("encrypt_1MiB_c8", 8, 1 << 20, 256, 0.33),
                                                   ("encrypt_1MiB_c8_same_reply", 8, 1 << 20, None, None)):
        if field.quick and target is None:
            continue
        yield row(name, e.race(name, connections, size, reply), e.ours, target, threads=size > HEAVY)


def decrypt(field, watch):
    folder = field.folder()
    listed = sessions.fill(field, folder, 100)
    messages = sessions.Messages(listed, 256)
    ours = field.attestd(folder)
    bare = field.bare(len(ask(ours.at[0], messages.request())[1]))
    again, fresh = field.directory / "again", field.directory / "fresh"
    size = messages.write(again, 2000)

    def theirs(_):
        return measure(watch, "decrypt", bare, bare.at[0], 64, field.seconds, "messages.lua", (again, size, "loop"))

    def mine(runs):
        # No more than the bare server could take.
        messages.write(fresh, int(1000 + runs[-1].rate * 1.2 * (field.seconds + 0.5)))
        return measure(watch, "decrypt", ours, ours.at[0], 64, field.seconds, "messages.lua", (fresh, size))

    yield row("decrypt_256_c64", race(field, theirs, mine), ours, 0.60)


def key_exchange(field, watch):
    ours = field.attestd()
    path = field.directory / "keys"
    size = sessions.key_exchanges(path)
    runs = [measure(watch, "key_exchange", ours, ours.at[0], 32, field.seconds, "messages.lua", (path, size, "loop"))
            for _ in range(field.rounds)]
    yield Row("key_exchange_rsa2048", **at_least(1 / statistics.median(r.cpu for r in runs), 12000, "/s/core", ".0f"), rss=ours.memory())


def verify(field, watch):
    watch.begin([])
    before = os.times()
    said = subprocess.run([field.build / "bench/bench_verify"], stdout=subprocess.PIPE, text=True, check=True).stdout
    after = os.times()
    watch.done([], after.children_user + after.children_system - before.children_user - before.children_system, "verify")
    rates = {name: float(rate) for name, rate in re.findall(r"^(\w+)\s+([\d.]+) a second", said, re.MULTILINE)}
    for name, target in (("verify_warm", 1500), ("verify_cold", 300)):
        yield Row(name, **at_least(rates[name], target, "/s/core", ".0f"), rps=rates[name] / rates["raw_p384_verify"])


def tls(field, watch):
    ours = field.attestd(tls_listen="127.0.0.1:0", private_data_db="private.db")
    plain, secured = ours.at

    def run(url, connections):
        return lambda _: measure(watch, "tls", ours, f"{url}/health", connections, field.seconds)

    for connections, target in ((64, 0.35), (2, 0.6)):
        both = race(field, run(plain, connections), run(secured, connections))
        how = at_least(both.rps, target)
        yield Row(f"tls_c{connections}_of_plain", **how, rps=both.rps, cpu=both.cpu, p50=both.p50, p99=both.p99, rss=ours.memory())


# ---- how cost grows ----

def growth(field, watch):
    """What grows; ours is in CPU a request, so that the clients do not matter."""
    def series(name, points):
        first = None
        for label, both, server in points:
            first = first or both.ours_cpu
            yield row(f"{name}_{label}", both, server, first=first)

    def over_sessions():
        for count in sorted({1, 100, 10000, field.many}):
            e = Encrypts(field, watch, count)
            yield count, e.race(f"sessions_{count}", 64, 256), e.ours
            field.clear()

    yield from series("sessions", over_sessions())
    e = Encrypts(field, watch, 1000)
    yield from series("connections", ((c, e.race(f"connections_{c}", c, 256), e.ours) for c in (2, 8, 32, 64, 128, 256, 512)))
    yield from series("body", ((s, e.race(f"body_{s}", 8, s), e.ours) for s in (16, 256, 4096, 65536, 262144, 1 << 20)))


GROUPS = {"health": health, "encrypt": encrypt, "decrypt": decrypt, "key_exchange": key_exchange, "verify": verify, "tls": tls,
          "custom": heavy.custom, "start": starts.start, "nsm": nsm_time.nsm, "growth": growth, "expiry": starts.expiry, "seen": starts.seen}
QUICK = [g for g in GROUPS if g not in ("growth", "expiry", "seen")]


def conditions(field):
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return (f"{os.cpu_count()} processors ({cpu[1] if cpu else platform.machine()}), {field.rounds} rounds of {field.seconds} s, "
            f"attestd {subprocess.run([field.build / 'attestd', '--version'], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", type=Path, default=TOP / "build")
    p.add_argument("--quick", action="store_true", help="the rows of the contract only, in two minutes")
    p.add_argument("--only", help="groups, with commas: " + ", ".join(GROUPS))
    p.add_argument("--seconds", type=int, help="of each run")
    p.add_argument("--rounds", type=int)
    p.add_argument("--many", type=int, default=1000000, help="what stands for a million sessions")
    p.add_argument("--heavy", type=int, default=64, help="MiB of a large body")
    p.add_argument("--record", type=Path, help="put the table into this document")
    a = p.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("speed: there is no wrk here (scripts/deps bench, or apt-get install wrk)")
    groups = a.only.split(",") if a.only else QUICK if a.quick else list(GROUPS)
    if unknown := set(groups) - set(GROUPS):
        sys.exit(f"speed: there is no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    rows, watch = [], Watch()
    with Field(a.build, a.seconds or (1 if a.quick else 3), a.rounds or (3 if a.quick else 5), a.quick) as field:
        field.many, field.heavy = a.many, a.heavy
        about = conditions(field)
        print(f"# {about}\n{columns(COLUMNS)}", flush=True)
        for group in groups:
            try:
                for one in GROUPS[group](field, watch):
                    rows.append(one)
                    print(one.line(), flush=True)
            except Failed as e:
                sys.exit(f"speed: {group}: {e}")
            field.clear()
    missed = [r.name for r in rows if r.ok is False]
    print(f"# missed: {', '.join(missed) or 'none'}")
    if warning := watch.warning():
        print(f"# {warning}")
    if a.record:
        note = f"{about[0].upper()}{about[1:]}." + (f" {warning[0].upper()}{warning[1:]}." if warning else "")
        record(a.record, "make bench", f"{note}\n\n" + markdown(COLUMNS, [r.cells() for r in rows]))


if __name__ == "__main__":
    main()
