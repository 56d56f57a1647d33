"""An NSM that takes 5 ms a call: who waits for it, how many may, and whether Retry-After is true."""

import statistics
import time

import sessions
from servers import Failed
from table import Row, at_least, at_most
from wire import BLOCK, ask, connect, receive
from wrk import Wrk, measure, whole

CALL_MS = 5
QUEUE = 64
BURST = 200
RATE = 10  # NSM calls a second, for the part about Retry-After


def attestation(nonce="00ff"):
    return whole("/attestation", {"nonce": nonce, "include_metadata": False})


def unrelated(field, watch, server, listed, simulator):
    path = field.directory / "attestations"
    path.write_bytes(attestation())

    def run():
        return measure(watch, "nsm", server, server.at[0], 32, max(field.seconds, 2), "bodies.lua", (listed, 100, 256, 10),
                       beside=[simulator])

    alone, beside = [], []
    for _ in range(field.long):
        alone.append(run())
        other = Wrk(server.at[0], 8, max(field.seconds, 2) + 1, "messages.lua", (path, path.stat().st_size, "loop"))
        time.sleep(0.3)
        try:
            beside.append(run())
        finally:
            said, _ = other.result()
    ratio = {what: statistics.median(getattr(b, what) / getattr(a, what) for a, b in zip(alone, beside)) for what in ("rate", "p50", "p99")}
    yield Row("nsm_5ms_others_p99", **at_most(ratio["p99"], 1.5, " x alone"), rps=ratio["rate"], p50=ratio["p50"], p99=ratio["p99"])
    rate = float(next(line.split()[1] for line in said.splitlines() if line.startswith("Requests/sec:")))
    yield Row("nsm_5ms_attestations", f"{rate:.0f}/s")


def replies(server, count):
    """What so many get who all ask at once: (status, header, seconds) of each."""
    space = memoryview(bytearray(BLOCK))
    clients = [connect(server.at[0]) for _ in range(count)]
    began = time.monotonic()
    for s in clients:
        s.sendall(attestation())
    out = []
    for s in clients:
        status, header, _ = receive(s, space)
        out.append((status, header, time.monotonic() - began))
        s.close()
    return out


def queue(server):
    """Those that are taken wait for no more calls than the queue holds; the others are told so at once, and when to come back."""
    got = replies(server, BURST)
    taken = [took for status, _, took in got if status == 200]
    refused = [header for status, header, _ in got if status in (429, 503)]
    if len(taken) + len(refused) != BURST or not all(h.get("retry-after", "").isdigit() for h in refused):
        raise Failed("a burst of attestations: a reply is neither 200 nor a refusal with Retry-After")
    yield Row("nsm_5ms_queue", f"{len(taken)} of {BURST}", f"<= {2 * QUEUE}", len(taken) <= 2 * QUEUE)
    yield Row("nsm_5ms_longest_wait", **at_most(max(taken), 1, " s"))


def come_back(server, tries, refuse):
    """Of so many callers that were refused, those that came back when they were told to and were taken."""
    fine, waits = 0, []
    for _ in range(tries):
        waits.append(int(refuse(server)))
        time.sleep(waits[-1])
        fine += ask(server.at[0], attestation(), fine=None)[0] == 200
    return fine, max(waits)


def refused_by_queue(server):
    return next(header["retry-after"] for status, header, _ in replies(server, BURST) if status != 200)


def refused_by_rate(server):
    while True:
        status, header, _ = ask(server.at[0], attestation(), fine=None)
        if status != 200:
            return header["retry-after"]


def retry_after(name, server, tries, refuse):
    fine, longest = come_back(server, tries, refuse)
    yield Row(f"nsm_retry_after_{name}", **at_least(fine / tries, 1, "", ".2f"))
    yield Row(f"nsm_retry_after_{name}_said", **at_most(longest, 1, " s", "d"))


def nsm(field, watch):
    folder = field.folder()
    listed = sessions.fill(field, folder, 100)
    simulator = field.simulator("--fault", f"slow={CALL_MS}")
    how = {"nsm": f"socket:{simulator.at[0].removeprefix('unix:')}", "nsm_queue": QUEUE}
    server = field.attestd(folder, **how)
    yield from unrelated(field, watch, server, listed, simulator)
    yield from queue(server)
    yield from retry_after("queue", server, field.long, refused_by_queue)
    server.end()
    slow = field.attestd(**how, nsm_rate=RATE, nsm_burst=RATE)
    yield from retry_after("rate", slow, field.long, refused_by_rate)
