"""POST /attestation with as much custom_data as max_body takes: its time, its memory, and who waits for it meanwhile."""

import itertools
import os
import random
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
        "numbers": lambda: filled(room, (repr(r.random()) for r in [random.Random(1)] for _ in itertools.count())),
    }


def in_memory(data):
    """A file from which the kernel sends without copying, so that the sender takes little from those who are measured."""
    file = os.fdopen(os.memfd_create("request"), "r+b")
    file.write(data)
    file.flush()
    return file


def post(url, request, space):
    """Seconds until the whole reply is here."""
    with connect(url) as s:
        began = time.monotonic()
        sent = s.sendfile(request)
        status, _, size = receive(s, space, keep=False)
        took = time.monotonic() - began
    if status != 200 or size < sent:
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
        whole_request = whole("/attestation", make())
        size = len(whole_request)
        with in_memory(whole_request) as request:
            del whole_request
            times = []
            for _ in range(field.long):
                # A new process each time: what it holds at most is then this body's doing.
                server = field.attestd()
                idle = server.memory()
                times.append(post(server.at[0], request, space))
                peak = server.memory("VmHWM") - idle
                server.end()
            yield Row(f"{name}_time", **at_most(statistics.median(times), 1, " s"))
            yield Row(f"{name}_memory", **at_most(peak / size, 4, " x body"), rss=idle + peak)
            yield from meanwhile(field, watch, name, request)
        field.clear()


def meanwhile(field, watch, name, request):
    """32 clients who encrypt: alone, beside such bodies, and beside such bodies that go to another attestd, which shows what
    the machine has to do with it."""
    folder = field.folder()
    listed = sessions.fill(field, folder, 1000)
    server, elsewhere = field.attestd(folder), field.attestd()
    # Clients that send at once what they can, and such that wait 10 ms between their requests.
    for label, delay in (("p99_paced", 10),) if field.quick else (("p99", 0), ("p99_paced", 10)):
        def run(to=None):
            other = Again(to.at[0], request) if to else None
            if other:
                other.start()
            try:
                return measure(watch, name, server, server.at[0], 32, max(field.seconds, 2), "bodies.lua", (listed, 1000, 256, delay),
                               [elsewhere])
            finally:
                if other:
                    other.stop()

        rounds = [(run(), run(server), run(elsewhere)) for _ in range(field.long)]

        def ratio(what, to):
            return statistics.median(getattr(beside, what) / getattr((alone, there)[to], what) for alone, beside, there in rounds)

        for to, suffix, unit in ((0, "", " x alone"), (1, "_elsewhere", " x elsewhere")):
            yield Row(f"{name}_{label}{suffix}", **at_most(ratio("p99", to), 2, unit), rps=ratio("rate", to), p50=ratio("p50", to),
                      p99=ratio("p99", to), rss=server.memory())
