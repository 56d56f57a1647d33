"""The vsock JSON protocol among hostile, slow and many clients, and on an NSM that hangs: each costs a bounded share, and
nobody else's."""

import random
import re
import resource
import signal
import statistics
import threading
import time
from pathlib import Path

import pytest
from helpers import sanitized
from helpers.nsm import query, text
from helpers.server import PATIENCE
from helpers.vsock import Flood, Talk, ask, bad, descriptors, good, pongs, read_reply, request, settings, until
from helpers.wire import Wire, head, metric, post

MIB = 1 << 20
PING = b'{"command": "ping"}\n'
KEY = request(command="attest", generate_key=True) + b"\n"
HOLD = {"nsm_timeout": 60, "vsock_timeout": 60}


@pytest.fixture(scope="module", autouse=True)
def room():
    """Descriptors for many clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def make(make_server, tmp_path):
    """Makes servers with vsock_listen: make(nsm=..., settings...)."""
    return lambda nsm="dummy", **more: make_server(nsm=nsm, settings=settings(tmp_path, **more))


@pytest.fixture
def on_stand_in(make_server, nsm, tmp_path):
    """The same on the stand-in for the NSM, where a nonce says what goes wrong."""
    return lambda **more: make_server(**nsm.server(settings=settings(tmp_path, **{**HOLD, **more})))


def memory(server):
    """Bytes of memory that it has now."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def open_now(server):
    return metric(server, "vsock_connections")


class Watch:
    """Asks for /health on the local listener until the end of the block. All of it must be answered, and memory be flat."""

    def __init__(self, server):
        for _ in range(50):
            assert pongs(server)
        self.server, self.times, self.faults, self.over = server, [], [], threading.Event()
        self.idle = self.most = memory(server)
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.is_set():
                began = time.monotonic()
                assert self.server.get("/health").status == 200
                self.times.append(time.monotonic() - began)
                self.most = max(self.most, memory(self.server))
        except Exception as e:  # a thread's own would go unseen
            self.faults.append(e)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        assert self.faults == [] and len(self.times) > 0
        p99 = sorted(self.times)[len(self.times) * 99 // 100]
        grown = max(self.most, memory(self.server)) - self.idle
        print(f"{len(self.times)} times /health, p50 {statistics.median(self.times) * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms; "
              f"{grown >> 10} KiB more")
        assert sanitized() or grown < 16 * MIB


# ---- much, nothing, and rubbish ----

def test_a_line_of_100_mb(make):
    s = make()
    piece, sent = b"x" * 65536, 0
    with Watch(s), Talk(s) as t:
        try:
            while sent < 100_000_000:
                sent += t.socket.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        got = t.rest()
    assert sent < 8 * MIB, "it is not read to its end"
    assert got == b"" or not read_reply(got)["success"]
    assert pongs(s)
    until(lambda: open_now(s) == 0)


def test_a_request_of_100_mb_in_many_lines(make):
    """What follows the first newline is nobody's business, and nobody's burden."""
    s = make()
    with Watch(s), Talk(s) as t:
        sent = 0
        try:
            while sent < 100_000_000:
                sent += t.socket.send(PING * 3000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 8 * MIB
        assert t.reply()["message"] == "pong"


def test_whoever_sends_nothing_is_let_go_in_time(make):
    s = make(vsock_timeout=1)
    with Talk(s) as t:
        began = time.monotonic()
        assert pongs(s), "others are answered meanwhile"
        got = t.rest()
        assert time.monotonic() - began >= 0.9
        assert got == b"", "whoever sends nothing gets nothing"
    assert metric(s, "vsock_timeouts_total") == 1
    until(lambda: open_now(s) == 0)


@pytest.mark.parametrize("data", [b'{"command": "ping"}', b"   ", b"x" * 9000])
def test_bytes_that_trickle_in_buy_no_time(make, data):
    s = make(vsock_timeout=1)
    with Talk(s) as t:
        t.socket.setblocking(False)
        began, at, got = time.monotonic(), 0, None
        while got is None:
            assert time.monotonic() - began < 10 * PATIENCE, "the server still waits"
            t.send(data[at % len(data):][:1] if len(data) < 9000 else data if at == 0 else b"x")
            at += 1 if at < len(data) - 1 or data[:1] == b"x" else 0
            time.sleep(0.05)
            try:
                got = t.socket.recv(65536)
            except BlockingIOError:
                pass
            except ConnectionError:
                got = b""
        assert got == b"" or not read_reply(got)["success"]
        # A request that is too long is refused at once; but nobody is listened to for ever.
        t.socket.settimeout(20 * PATIENCE)
        t.rest()
    until(lambda: open_now(s) == 0)
    assert pongs(s)


def test_a_connection_that_stays_after_its_reply_is_let_go(make):
    s = make(vsock_connections=4, vsock_timeout=60)
    stay = [Talk(s) for _ in range(4)]
    for t in stay:
        assert t.send(PING).reply()["message"] == "pong"  # and is not closed on this side
    until(lambda: ask(s, command="ping")["success"])
    until(lambda: open_now(s) == 0)


def test_replies_that_nobody_reads(make):
    s = make(nsm="simulator", vsock_connections=8, vsock_timeout=1)
    mute = [Talk(s).send(request(command="attest") + b"\n") for _ in range(8)]
    until(lambda: open_now(s) == 0)
    assert pongs(s)
    assert all(t.reply()["success"] for t in mute), "it was sent all the same"


@pytest.mark.slow
def test_2000_connections_of_rubbish(make):
    s = make(nsm="simulator", vsock_timeout=1)
    rng, good_one = random.Random(5), request(command="attest", user_data="u", nonce="n")
    with Watch(s):
        for i in range(2000):
            data = bytearray(good_one) if i % 2 else bytearray(rng.randbytes(rng.choice((0, 1, 10, 300, 9000, 20000))))
            for _ in range(rng.randrange(1, 4) if i % 2 else 0):
                data[rng.randrange(len(data))] = rng.randrange(256)
            with Talk(s) as t:
                t.send(bytes(data) + rng.choice((b"", b"\n")))
                if rng.random() < 0.8:
                    got = t.half_close().rest()
                    assert got == b"" or read_reply(got)
    assert good(s, command="attest")["user_data"] == "hello-from-enclave"
    until(lambda: open_now(s) == 0)


# ---- many ----

class Crowd:
    """Clients by the batch, each of which must come to an end."""

    WAYS = (PING, PING[:-1], b"\xff" * 50, request(command="status") + b"\n", b"")

    def __init__(self, server):
        self.server, self.pongs, self.refused, self.silent, self.faults = server, 0, 0, 0, []

    def batch(self, n):
        talks = [Talk(self.server) for _ in range(n)]
        for i, t in enumerate(talks):
            t.send(self.WAYS[i % len(self.WAYS)]).half_close()
        for t in talks:
            with t:
                got = t.rest()
            if got == b"":
                self.silent += 1
            elif read_reply(got)["success"]:
                self.pongs += 1
            else:
                self.refused += 1

    def run(self, batches, n):
        try:
            for _ in range(batches):
                self.batch(n)
        except Exception as e:
            self.faults.append(e)


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{}, {"vsock_connections": 1024}, {"vsock_rate": 200, "vsock_burst": 400}])
def test_10000_connections_as_fast_as_they_can(make, limits):
    s = make(**limits)
    crowd, before = Crowd(s), descriptors(s)
    each = 2500 if not sanitized() else 500
    began = time.monotonic()
    with Watch(s):
        threads = [threading.Thread(target=crowd.run, args=(each // 250, 250)) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        print(f"{4 * each} connections in {time.monotonic() - began:.1f} s: {crowd.pongs} were answered, {crowd.refused} refused, "
              f"{crowd.silent} closed")
    assert crowd.faults == [] and crowd.pongs > 0
    assert crowd.pongs + crowd.refused + crowd.silent == 4 * each
    until(lambda: open_now(s) == 0)
    until(lambda: ask(s, command="ping")["success"])
    until(lambda: descriptors(s) <= before)


def test_connections_at_the_limit_and_one_past_it(make):
    s = make(vsock_connections=4, vsock_timeout=60)
    held = [Talk(s).send(b" ") for _ in range(4)]
    until(lambda: open_now(s) == 4)
    for line in (b"", PING, KEY):
        with Talk(s) as t:
            reply = t.send(line).reply()  # nothing has to be asked
            assert (reply["success"], reply["code"]) == (False, "too_many_connections")
    assert metric(s, "vsock_connections_refused_total") == 3
    assert s.get("/health").status == 200
    for t in held:
        assert t.send(PING).reply()["message"] == "pong"
        t.socket.close()
        until(lambda: ask(s, command="ping")["success"])
    until(lambda: open_now(s) == 0)


def test_as_many_connections_as_may_be_configured_have_descriptors(make):
    s = make(vsock_connections=2000, vsock_timeout=60)
    held = [Talk(s) for _ in range(1999)]
    until(lambda: open_now(s) == 1999)
    assert pongs(s) and s.get("/health").status == 200
    for t in held:
        t.socket.close()
    until(lambda: open_now(s) == 0)


def test_no_descriptor_to_be_had(make):
    """It is waited for: nobody is lost, nothing spins for ever, and HTTP goes on where it has its connections."""
    s = make(vsock_timeout=60)
    with Wire(s) as kept:
        assert kept.send(head()).reply().status == 200
        usual = resource.prlimit(s.pid, resource.RLIMIT_NOFILE)
        most = max(int(p.name) for p in Path(f"/proc/{s.pid}/fd").iterdir())
        resource.prlimit(s.pid, resource.RLIMIT_NOFILE, (most + 1, usual[1]))
        try:
            many = [Talk(s).send(PING) for _ in range(50)]
            assert [kept.send(head()).reply().status for _ in range(20)] == [200] * 20
        finally:
            resource.prlimit(s.pid, resource.RLIMIT_NOFILE, usual)
        assert [t.reply()["message"] for t in many] == ["pong"] * 50
    assert pongs(s)


def test_the_rate_at_the_limit_and_one_past_it(make):
    s = make(vsock_rate=1, vsock_burst=5)
    began = time.monotonic()
    lines = [{"command": "ping"}, {"command": "status"}, {"command": "attest"}, {"command": "x"}, "rubbish"]
    replies = [ask(s, line) for line in lines]
    assert all(r.get("code") != "rate_limited" for r in replies), replies
    replies = [ask(s, line) for line in lines]
    refilled = int(time.monotonic() - began) + 1
    late = [r for r in replies if r.get("code") == "rate_limited"]
    assert len(late) >= len(lines) - refilled, "a request of any kind counts"
    assert s.get("/health").status == 200, "HTTP has a budget of its own"
    until(lambda: ask(s, command="ping")["success"])


# ---- whoever leaves ----

@pytest.mark.slow
@pytest.mark.parametrize("line", [KEY, request(command="attest", nonce="x") + b"\n", PING], ids=["key", "attest", "ping"])
@pytest.mark.parametrize("left", ["before it is read", "at once", "soon", "half-closed first"])
def test_200_clients_that_leave_before_their_reply(make, line, left):
    s = make(nsm="simulator", vsock_connections=16, max_keys=8)
    assert good(s, command="attest", generate_key=True)["has_public_key"]
    rng, before = random.Random(3), descriptors(s)
    with Watch(s):
        for i in range(200 if not sanitized() else 40):
            if left == "before it is read" and i % 10 == 0:
                s.send_signal(signal.SIGSTOP)
            with Talk(s) as t:
                t.send(line)
                if left == "half-closed first":
                    t.half_close()
                if left not in ("before it is read", "at once"):
                    time.sleep(rng.random() * 0.02)
            if left == "before it is read" and i % 10 == 9:
                s.send_signal(signal.SIGCONT)
                until(lambda: open_now(s) == 0)
        until(lambda: open_now(s) == 0)
    until(lambda: all(metric(s, queue) == 0 for queue in ("nsm_queue", "worker_queue", "bulk_queue", "key_queue")))
    until(lambda: descriptors(s) <= before)
    # Who leaves just when the key is done may have seen its id.
    assert metric(s, "generated_keys") == 1 or left != "before it is read" and metric(s, "generated_keys") <= 8
    assert good(s, command="attest")["success"]
    assert s.post("/attestation", {}).status == 200
    if left == "before it is read":
        # Nor do they fill the table; what it cost to make them is not given back at once.
        until(lambda: ask(s, command="attest", generate_key=True)["success"])
        assert metric(s, "generated_keys") == 2


def test_calls_that_nobody_waits_for_any_more_never_reach_the_nsm(on_stand_in, nsm):
    s = on_stand_in(nsm_queue=64)
    first = Talk(s).send(request(command="attest", nonce="hold") + b"\n")
    nsm.until_called("hold")
    gone = [Talk(s).send(request(command="attest", nonce=f"gone {i}") + b"\n") for i in range(20)]
    until(lambda: metric(s, "nsm_queue") == 21)
    for t in gone:
        t.socket.close()
    until(lambda: open_now(s) == 1)
    nsm.go_on()
    assert first.reply()["success"]
    assert good(s, command="attest", nonce="waited for")["nonce"] == "waited for"
    assert nsm.calls() == ["hold", "waited for"]
    assert metric(s, "nsm_queue") == 0


# ---- the NSM ----

def test_a_hung_nsm_is_an_error_in_time_and_holds_up_nobody_else(on_stand_in, nsm):
    s = on_stand_in(nsm_timeout=1)
    began = time.monotonic()
    with Talk(s) as t:
        t.send(request(command="attest", nonce="hold") + b"\n")
        nsm.until_called("hold")
        assert all(pongs(s) for _ in range(5)) and s.get("/health").status == 200
        reply = t.reply()
        assert (reply["success"], reply["code"]) == (False, "nsm_unavailable")
    assert time.monotonic() - began >= 0.9
    assert bad(s, command="attest", nonce="too late")["code"] in ("nsm_unavailable", "busy")
    nsm.go_on()
    until(lambda: metric(s, "nsm_queue") == 0)
    for _ in range(5):
        assert good(s, command="attest", nonce="again")["nonce"] == "again"


@pytest.mark.slow
def test_a_slow_simulator_and_its_recovery(make, make_simulator):
    simulator = make_simulator()
    s = make(nsm=simulator.nsm, nsm_timeout=1, vsock_timeout=60)
    assert good(s, command="attest")
    simulator.stop()
    simulator.args = ["--fault", f"slow={3000 * PATIENCE}"]
    simulator.start()
    for key in (False, True):
        assert bad(s, command="attest", generate_key=key)["code"] == "nsm_unavailable"
    simulator.kill()
    assert bad(s, command="attest")["code"] == "nsm_unavailable"
    simulator.args = []
    simulator.start()
    until(lambda: ask(s, command="attest", generate_key=True)["success"])
    assert metric(s, "generated_keys") == 1, "keys whose document failed are not kept"


def test_a_failed_document_keeps_no_key(on_stand_in, nsm):
    s = on_stand_in(max_keys=2)
    for _ in range(5):
        assert bad(s, command="attest", generate_key=True, nonce="error=InternalError")
    assert metric(s, "generated_keys") == 0


def test_what_outsiders_may_queue_at_the_limit_and_one_past_it(on_stand_in, nsm, tmp_path):
    s = on_stand_in(nsm_queue=8, public_listen=f"unix:{tmp_path}/p")
    first = Wire(s).send(post("/attestation", text("hold")))
    nsm.until_called("hold")
    outside = [Talk(s).send(request(command="attest", nonce=f"vsock {i}") + b"\n") for i in range(2)]
    public = [Wire(s, at=s.public).send(head("GET", query(f"public {i}"))) for i in range(2)]
    until(lambda: metric(s, "nsm_queue") == 5)
    assert bad(s, command="attest", nonce="vsock 2")["code"] == "busy"
    assert s.get(query("public 2"), at=s.public).code == "busy"
    assert bad(s, command="attest", generate_key=True)["code"] == "busy"
    local = [Wire(s).send(post("/attestation", text(f"local {i}"))) for i in range(4)]
    until(lambda: metric(s, "nsm_queue") == 9)
    assert s.post("/attestation", text("local 4")).code == "busy"
    nsm.go_on()
    assert [t.reply()["success"] for t in outside] == [True] * 2
    assert [w.reply().status for w in [first, *public, *local]] == [200] * 7
    assert nsm.calls()[:5] == ["hold", *(f"local {i}" for i in range(4))], "local callers go first"
    for i in range(5):
        assert good(s, command="attest", nonce=f"later {i}")


def test_each_reach_has_its_own_rate(make, tmp_path):
    s = make(nsm="simulator", nsm_rate=1, nsm_burst=3, public_listen=f"unix:{tmp_path}/p")
    began = time.monotonic()
    replies = [ask(s, command="attest") for _ in range(30)]
    refilled = int(time.monotonic() - began) + 1
    fine = [r for r in replies if r["success"]]
    assert 3 <= len(fine) <= 3 + refilled
    assert {r["code"] for r in replies if not r["success"]} == {"rate_limited"}
    assert pongs(s)
    assert s.get("/attestation?nonce=ab", at=s.public).status == 200
    assert [s.post("/attestation", {}).status for _ in range(3)] == [200] * 3
    assert s.post("/attestation", {}).status in (200, 429)


@pytest.mark.slow
def test_a_flood_on_a_slow_nsm_starves_no_local_caller(on_stand_in, nsm):
    s = on_stand_in(nsm_timeout=5, vsock_connections=256)
    counter = iter(range(10**9))

    def outsider():
        if not ask(s, command="attest", nonce=f"delay=200 vsock {next(counter)}")["success"]:
            time.sleep(0.02)

    with Flood(40, outsider):
        until(lambda: metric(s, "nsm_queue") >= 30)
        for i in range(6):
            asked = len(nsm.calls())
            assert s.post("/attestation", text(f"local {i}")).status == 200
            # Only what was under way when it came may go before it, and not the thirty that wait.
            assert f"local {i}" in nsm.calls()[asked:asked + 10]


@pytest.mark.slow
def test_a_flood_of_keys_starves_no_local_caller(make, user):
    """Each key is tenths of a second of a worker."""
    s = make(nsm="simulator", vsock_connections=256, max_keys=65536)
    document = s.post("/attestation", {}).json()["attestation_document"]["document"]
    with Flood(20, lambda: ask(s, command="attest", generate_key=True)):
        for _ in range(5):
            assert s.post("/verify", {"document": document, "policy": {}}).status == 200
            assert s.post("/key-exchange", {"user_public_key": user.pem}).status == 200
            assert s.post("/attestation", {}).status == 200 and pongs(s)


def test_keys_are_made_at_a_rate_however_many_are_asked_for(make):
    s = make(nsm="simulator", max_keys=65536)
    began, made, codes = time.monotonic(), 0, set()
    while "rate_limited" not in codes and made < 60:
        reply = ask(s, command="attest", generate_key=True)
        made += reply["success"]
        codes.add(reply.get("code"))
        assert made <= 8 + 1 + int(time.monotonic() - began)
    assert made >= 8
    if not sanitized():  # where one may take more than the second in which the next may begin
        assert codes == {None, "rate_limited"}
    assert good(s, command="attest")["has_public_key"] is False
    assert " warn vsock " not in s.stderr.lower()
    until(lambda: ask(s, command="attest", generate_key=True)["success"])


def test_keys_at_the_limit_and_one_past_it(make):
    s = make(nsm="simulator", max_keys=2)
    for _ in range(2):
        assert good(s, command="attest", generate_key=True)["has_public_key"]
    assert bad(s, command="attest", generate_key=True)["code"] == "too_many_keys"
    assert good(s, command="attest")["has_public_key"] is False
    assert metric(s, "generated_keys") == 2


# ---- the end ----

@pytest.mark.slow
def test_stops_amid_a_crowd_and_starts_again(make):
    s = make(nsm="simulator", drain_timeout=2)
    for _ in range(5):
        over = threading.Event()

        def client():
            rng = random.Random()
            while not over.is_set():
                try:
                    with Talk(s) as t:
                        t.send(rng.choice((PING, KEY, request(command="attest") + b"\n", b"{", b"")))
                        if rng.random() < 0.7:
                            got = t.half_close().rest()
                            assert got == b"" or read_reply(got)
                except OSError:
                    over.wait(0.01)

        threads = [threading.Thread(target=client) for _ in range(12)]
        for t in threads:
            t.start()
        time.sleep(0.5)
        s.restart()
        over.set()
        for t in threads:
            t.join()
        assert pongs(s)
