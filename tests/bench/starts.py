"""Starts: how long one takes, what an idle server holds, and a million sessions, which also expire, as all that was seen does."""

import json
import statistics
import time

import sessions
from table import Row, at_most
from wire import ask
from wrk import measure

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
MIB = 1 << 20
STARTS = 9
LIFETIME = 60  # seconds of a session, the least that can be configured
WRITTEN = 30000  # sessions that are written and loaded in a second, at least


def start(field, watch):
    times = []
    folder = field.folder()
    for _ in range(STARTS):
        server = field.attestd(folder)
        ask(server.at[0], HEALTH)
        times.append(time.monotonic() - server.began)
        idle = server.memory()
        server.end()
    yield Row("start_to_first_reply", **at_most(statistics.median(times) * 1e3, 30, " ms", ".0f"))
    yield Row("idle_memory", **at_most(idle / MIB, 16, " MiB", ".1f"), rss=idle)
    sessions.fill(field, folder, field.many)
    server = field.attestd(folder)
    ask(server.at[0], HEALTH)
    yield Row(f"start_with_{field.many}", f"{time.monotonic() - server.began:.2f} s")
    full = server.memory()
    yield Row(f"memory_of_{field.many}", **at_most(full / 1e6, 250, " MB", ".0f"), rss=full)


def size(folder):
    return sum(path.stat().st_size for path in folder.glob("s.db*"))


def expiry(field, watch):
    """Messages of a hundred sessions while all the others expire."""
    folder = field.folder()
    lifetime = 10 + 2 * field.rounds * field.seconds + field.many // WRITTEN
    dead = time.monotonic() + lifetime
    sessions.fill(field, folder, field.many, lifetime, "short")
    listed = sessions.fill(field, folder, 100)
    server = field.attestd(folder)

    def run():
        return measure(watch, "expiry", server, server.at[0], 32, max(field.seconds, 2), "bodies.lua", (listed, 100, 256))

    before = [run() for _ in range(field.rounds)]
    late = time.monotonic() > dead
    file = size(folder)
    time.sleep(max(0.0, dead + 1.5 - time.monotonic()))  # the housekeeping comes once a second
    after = [run() for _ in range(field.rounds)]
    p99 = statistics.median(r.p99 for r in after) / statistics.median(r.p99 for r in before)
    cpu = statistics.median(r.cpu for r in after) / statistics.median(r.cpu for r in before)
    if late:
        yield Row("expiry_p99", f"none in {lifetime} s")
        return
    yield Row("expiry_p99", **at_most(p99, 2, " x before"), cpu=cpu, p99=p99, rss=server.memory())
    yield Row("expiry_file", **at_most(size(folder) / file, 1.1, " x before"))


def seen(field, watch):
    """Two connections, so that nearly each message is a turn and a row of its own: do as many rows go as come?"""
    folder = field.folder()
    server = field.attestd(folder, session_lifetime=LIFETIME)
    exchange, listed = folder / "exchange", folder / "listed"
    sessions.key_exchanges(exchange, 1)

    def run():
        """Half a lifetime of a new session's messages."""
        made = json.loads(ask(server.at[0], exchange.read_bytes())[1])
        listed.write_text(f"{made['session_id']} {'0' * 64}\n")  # whoever encrypts needs no key
        return measure(watch, "seen", server, server.at[0], 2, LIFETIME / 2, "bodies.lua", (listed, 1, 256))

    for _ in range(3):
        run()
    file = size(folder)
    for _ in range(2):
        run()
    yield Row("seen_file", **at_most(size(folder) / file, 1.1, " x before"), rss=server.memory())
