"""POST /attestation with as much custom_data as max_body takes: its time, its memory, and who waits for it meanwhile."""

import itertools
import statistics
import threading
import time

import sessions
from servers import Failed
from table import Row, at_most
from wire import BLOCK, connect, receive
from wrk import measure, whole

HEAD, TAIL = '{"nonce":"00ff","custom_data":', "}"


def filled(room, parts):
    """As many of the parts, joined by commas, as fit."""
    room, out = room - 2, []
    for part in parts:
        room -= len(part) + 1
        if room < 0:
            break
        out.append(part)
    return HEAD + "[" + ",".join(out) + "]" + TAIL


def bodies(size):
    """name -> a function that makes a body of that size; the records are a million in 64 MiB."""
    room = size - len(HEAD) - len(TAIL)
    return {
        "string": lambda: HEAD + '"' + sessions.text(room - 2) + '"' + TAIL,
        "records": lambda: filled(room, (f'{{"id":{1000000 + i},"name":"user {i:07}","ok":true,"score":0.{i:07}}}' for i in itertools.count())),
        "numbers": lambda: filled(room, (f"{(i * 2654435761 % 1000000007) / 8}" for i in itertools.count())),
    }


def post(url, request, space):
    """Seconds until the whole reply is here."""
    with connect(url) as s:
        began = time.monotonic()
        s.sendall(request)
        status, _, size = receive(s, space, keep=False)
        took = time.monotonic() - began
    if status != 200 or size < len(request):
        raise Failed(f"POST /attestation: status {status}, {size} bytes")
    return took


class Again(threading.Thread):
    """Posts it over and over until it is told to stop."""

    def __init__(self, url, request):
        super().__init__()
        self.url, self.request = url, request
        self.enough, self.fault, self.times = threading.Event(), None, []

    def run(self):
        space = memoryview(bytearray(BLOCK))
        try:
            while not self.enough.is_set():
                self.times.append(post(self.url, self.request, space))
        except (OSError, Failed) as e:
            self.fault = e

    def stop(self):
        self.enough.set()
        self.join()
        if self.fault or not self.times:
            raise Failed(f"a large body: {self.fault or 'not one was answered'}")


def custom(field, watch):
    space = memoryview(bytearray(BLOCK))
    for kind, make in bodies(field.heavy << 20).items():
        name = f"custom_{field.heavy}MiB_{kind}"
        request = whole("/attestation", make())
        times = []
        for _ in range(field.long):
            # A new process each time: what it holds at most is then this body's doing.
            server = field.attestd()
            idle = server.memory()
            times.append(post(server.at[0], request, space))
            peak = server.memory("VmHWM") - idle
            server.end()
        yield Row(f"{name}_time", **at_most(statistics.median(times), 1, " s"))
        yield Row(f"{name}_memory", **at_most(peak / len(request), 4, " x body"), rss=idle + peak)
        folder = field.folder()
        listed = sessions.fill(field, folder, 1000)
        server = field.attestd(folder)
        # Clients that send at once what they can, and such that wait 10 ms between their requests.
        for label, delay in (("p99", 0), ("p99_paced", 10)):
            def run(what):
                return measure(watch, f"custom_{kind}", server, server.at[0], 32, max(field.seconds, 2), "bodies.lua",
                               (listed, 1000, 256, delay))

            alone, beside = [], []
            for _ in range(field.long):
                alone.append(run("alone"))
                other = Again(server.at[0], request)
                other.start()
                try:
                    beside.append(run("beside"))
                finally:
                    other.stop()
            ratio = {what: statistics.median(getattr(b, what) / getattr(a, what) for a, b in zip(alone, beside)) for what in ("rate", "p50", "p99")}
            yield Row(f"{name}_{label}", **at_most(ratio["p99"], 2, " x alone"), rps=ratio["rate"], p50=ratio["p50"],
                      p99=ratio["p99"], rss=server.memory())
        field.clear()
