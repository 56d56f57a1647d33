"""`attestd proxy`: what it carries, what it leaves alone, its limits, and how it ends."""

import hashlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading

import pytest
from helpers import BUILD, RUNNER, clean_environment, sanitized
from helpers.proxy import (
    END, RESET, Far, Proxy, connect, nowhere, poll, read, reset, rest, talk,
)
from helpers.server import PATIENCE, TOP

ANY = "tcp:127.0.0.1:0"
KINDS = ["tcp", "unix"]


@pytest.fixture
def proxies(tmp_path):
    """Makes proxies: proxies((listen, to), ..., args=...) is a running one."""
    made = []

    def make(*pairs, start=True, **how):
        made.append(Proxy(tmp_path / f"proxy{len(made)}", *pairs, **how))
        return made[-1].start() if start else made[-1]

    yield make
    try:
        for p in made:
            p.stop()
    finally:
        for p in made:
            p.kill()


@pytest.fixture
def address(tmp_path):
    """An address of a kind that a listener can have: address("unix"), address("tcp")."""
    names = iter("abcdefgh")
    return lambda kind: ANY if kind == "tcp" else f"unix:{tmp_path}/{next(names)}"


@pytest.fixture
def carried(proxies, address):
    """carried(kinds, ...): (client, far end, the proxies, the Far) of a connection through as many proxies as there are
    kinds less one; kinds: "tcp" or "unix" of each leg."""
    made = []

    def make(*kinds, buffers=None, **how):
        far = Far(address(kinds[-1]), buffers)
        made.append(far)
        chain = [proxies((address(kinds[-2]), far.address), **how)]
        for kind in reversed(kinds[:-2]):
            chain.insert(0, proxies((address(kind), chain[0].at), **how))
        client = connect(chain[0].at, buffers=buffers)
        made.append(client)
        end = far.accept()
        made.append(end)
        return client, end, chain, far

    yield make
    for one in made:
        one.close()


def said(p, status):
    """What a proxy says that does not start."""
    p.spawn()
    assert p.wait() == status, p.stderr
    assert "listening on" not in p.stderr
    return p.stderr


# ---- streams ----

@pytest.mark.parametrize("kinds", [("tcp", "unix"), ("unix", "tcp"), ("tcp", "tcp"), ("unix", "unix"), ("tcp", "unix", "tcp")],
                         ids="-".join)
def test_bytes_go_both_ways_and_streams_end_in_order(carried, kinds):
    client, far, chain, _ = carried(*kinds)
    talk(client, far)
    talk(far, client)
    client.close()
    assert rest(far) == (b"", END)
    far.close()
    poll(lambda: chain[0].counters()["open"] == 0)


@pytest.mark.parametrize("kinds", [("tcp", "unix", "tcp"), ("unix", "tcp", "unix")], ids="-".join)
def test_long_streams_arrive_whole_in_both_directions_at_once(carried, kinds):
    client, far, _, _ = carried(*kinds)
    data = [hashlib.sha256(bytes([i])).digest() * (1 << 19) for i in (1, 2)]  # 16 MiB each
    got = {}

    def send(s, what):
        s.sendall(what)
        s.shutdown(socket.SHUT_WR)

    def take(s, name):
        digest, size = hashlib.sha256(), 0
        while more := s.recv(1 << 16):
            digest.update(more)
            size += len(more)
        got[name] = (size, digest.hexdigest())

    threads = [threading.Thread(target=send, args=(client, data[0])), threading.Thread(target=take, args=(far, 0)),
               threading.Thread(target=send, args=(far, data[1])), threading.Thread(target=take, args=(client, 1))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == {i: (len(data[i]), hashlib.sha256(data[i]).hexdigest()) for i in (0, 1)}


@pytest.mark.parametrize("kinds", [("tcp", "unix"), ("unix", "tcp"), ("tcp", "unix", "tcp")], ids="-".join)
@pytest.mark.parametrize("turned", [False, True], ids=["client", "far"])
def test_who_is_done_sending_still_receives(carried, kinds, turned):
    client, far, chain, _ = carried(*kinds)
    asks, answers = (far, client) if turned else (client, far)
    asks.sendall(b"the question")
    asks.shutdown(socket.SHUT_WR)
    assert rest(answers) == (b"the question", END)
    for _ in range(3):
        answers.sendall(b"an answer")
        assert read(asks, 9) == b"an answer"
    answers.sendall(b"the last" * 100000)
    answers.close()
    assert rest(asks) == (b"the last" * 100000, END)
    poll(lambda: all(p.counters()["open"] == 0 for p in chain))


@pytest.mark.smoke
def test_a_client_that_sends_and_ends_at_once_is_heard(proxies, address):
    """All is said and done before the target has taken the connection."""
    with Far(address("unix")) as far:
        p = proxies((ANY, far.address))
        for _ in range(20):
            with connect(p.at) as client:
                client.sendall(b"all of it")
                client.shutdown(socket.SHUT_WR)
                with far.accept() as end:
                    assert rest(end) == (b"all of it", END)
                    end.sendall(b"heard")
                assert rest(client) == (b"heard", END)


@pytest.mark.parametrize("turned", [False, True], ids=["client", "far"])
@pytest.mark.parametrize("pending", [0, 100000])
def test_a_reset_is_handed_on_as_one(carried, turned, pending):
    client, far, chain, _ = carried("tcp", "tcp")
    breaks, hears = (far, client) if turned else (client, far)
    talk(client, far)
    hears.sendall(b"x" * pending)
    reset(breaks)
    assert rest(hears)[1] == RESET
    poll(lambda: chain[0].counters()["open"] == 0)
    assert chain[0].counters()["broken"] == 1


def test_a_reset_after_half_of_a_stream_never_looks_like_its_end(carried):
    client, far, _, _ = carried("tcp", "tcp")
    client.sendall(b"x" * 100000)
    read(far, 100000)
    far.shutdown(socket.SHUT_WR)
    assert rest(client) == (b"", END)
    reset(client)
    assert rest(far)[1] == RESET


# ---- who does not read ----

def push(s, most):
    """Sends until nothing more is taken for a while; how much that was."""
    sent = 0
    s.settimeout(0.5 * PATIENCE)
    try:
        while sent < most:
            sent += s.send(b"y" * min(65536, most - sent))
    except TimeoutError:
        pass
    return sent


@pytest.mark.parametrize("kinds", [("tcp", "tcp"), ("unix", "tcp"), ("tcp", "unix")], ids="-".join)
@pytest.mark.parametrize("turned", [False, True], ids=["far", "client"])
def test_a_peer_that_never_reads_costs_one_bounded_buffer(carried, kinds, turned):
    client, far, chain, _ = carried(*kinds, buffers=65536)
    writer = far if turned else client
    talk(client, far)
    before = chain[0].memory()
    most = 64 << 20
    sent = push(writer, most)
    assert sent < most, "the writer waits"
    assert sanitized() or chain[0].memory() - before < 2048
    descriptors = chain[0].descriptors()
    reader = client if turned else far
    writer.shutdown(socket.SHUT_WR)
    assert rest(reader) == (b"y" * sent, END), "nothing is lost when it reads at last"
    assert chain[0].descriptors() <= descriptors


def test_peers_that_never_read_keep_nobody_else_waiting(carried):
    client, far, chain, target = carried("tcp", "tcp", buffers=65536)
    stuck = []
    for _ in range(2):
        stuck += [connect(chain[0].at), target.accept()]
        push(stuck[-2], 8 << 20)
    talk(client, far)
    for s in stuck:
        s.close()


# ---- what it holds ----

ECHO = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True)
while True:
    c, _ = s.accept()
    while more := c.recv(4096): c.sendall(more)
"""


def test_a_target_that_dies_and_returns_leaves_nothing_behind(proxies, tmp_path):
    path = tmp_path / "far"
    p = proxies((ANY, f"unix:{path}"), args=("--connect-timeout", 60))
    empty = p.descriptors()
    client = None
    for i in range(20):
        client = client or connect(p.at)  # waits for the target
        far = subprocess.Popen([sys.executable, "-c", ECHO, str(path)], stdout=subprocess.PIPE)
        try:
            far.stdout.readline()
            client.sendall(b"are you there?")
            assert read(client, 14) == b"are you there?"
        finally:
            far.kill()
            far.wait()
            far.stdout.close()
            path.unlink(missing_ok=True)
        assert rest(client)[0] == b""
        client.close()
        client = connect(p.at) if i % 2 == 0 else None
    poll(lambda: p.counters()["open"] == 0)
    # A pipe for each direction may be kept for the next connection.
    poll(lambda: p.descriptors() <= empty + 4, what="descriptors are left")
    assert p.counters()["connected"] == 20


def test_idle_connections_hold_two_descriptors_each(carried):
    client, far, chain, target = carried("tcp", "tcp")
    p = chain[0]
    talk(client, far)
    one = p.descriptors()
    ends = []
    for _ in range(50):
        ends += [connect(p.at), target.accept()]
        talk(*ends[-2:])
    # Few pipes serve all of them, one after the other.
    poll(lambda: p.descriptors() <= one + 100 + 4, what="idle connections hold more")
    for s in ends:
        s.close()
    poll(lambda: p.descriptors() <= one + 4, what="descriptors are left")


# ---- limits ----

def refused(p, source=None):
    """How one more connection ends, without a byte: RESET or END."""
    try:
        with connect(p.at, source=source) as s:
            got, how = rest(s)
    except ConnectionResetError:  # it was quicker than we
        return RESET
    assert got == b""
    return how


def test_one_connection_over_max_connections_is_closed(proxies):
    with Far() as far:
        p = proxies((ANY, far.address), args=("--max-connections", 3))
        ends = [(connect(p.at), far.accept()) for _ in range(3)]
        for pair in ends:
            talk(*pair)
        for _ in range(10):
            assert refused(p) == RESET
        assert p.counters()["refused_full"] == 10
        for pair in ends:
            talk(*pair)
        for s in ends.pop():
            s.close()
        poll(lambda: p.counters()["open"] == 2)
        ends.append((connect(p.at), far.accept()))
        talk(*ends[-1])
        for pair in ends:
            for s in pair:
                s.close()


def test_one_connection_over_max_per_source_is_closed_and_others_are_not(proxies):
    with Far() as far:
        p = proxies((ANY, far.address), args=("--max-per-source", 2))
        ends = [(connect(p.at), far.accept()) for _ in range(2)]
        assert refused(p) == refused(p) == RESET
        ends += [(connect(p.at, source="127.0.0.2"), far.accept()) for _ in range(2)]
        assert refused(p, source="127.0.0.2") == RESET
        for pair in ends:
            talk(*pair)
        count = p.counters()
        assert (count["refused_source"], count["refused_full"], count["open"]) == (3, 0, 4)
        for pair in ends:
            for s in pair:
                s.close()


def test_users_of_unix_sockets_are_sources_too(proxies, address):
    with Far() as far:
        p = proxies((address("unix"), far.address), args=("--max-per-source", 1))
        with connect(p.at) as one, far.accept() as end:
            assert refused(p) == END, "there are no resets of Unix sockets"
            talk(one, end)


def test_no_limit_per_source(proxies):
    with Far() as far:
        p = proxies((ANY, far.address), args=("--max-per-source", 0, "--max-connections", 300))
        ends = [s for _ in range(300) for s in (connect(p.at), far.accept())]
        assert refused(p) == RESET
        count = p.counters()
        assert (count["refused_source"], count["refused_full"], count["open"]) == (0, 1, 300)
        for s in ends:
            s.close()


def test_a_burst_of_refusals_is_a_line_in_the_log(proxies):
    with Far() as far:
        p = proxies((ANY, far.address), args=("--max-connections", 1))
        with connect(p.at) as one, far.accept() as end:
            mark = len(p.stderr)
            for _ in range(30):
                assert refused(p) == RESET
            talk(one, end)
            assert p.counters()["refused_full"] == 30
            lines = re.findall(r"^.* warn refused max_connections=\d+ max_per_source=0 open=1$", p.stderr[mark:], re.MULTILINE)
            assert 1 <= len(lines) <= 10, p.stderr  # a line at once, and then one in ten seconds


# ---- targets that are down, and streams that stand still ----

def test_a_client_waits_for_a_target_that_is_down(proxies, address):
    for target in (nowhere(), address("unix")):
        p = proxies((ANY, target), args=("--connect-timeout", 60))
        with connect(p.at) as client:
            client.sendall(b"sent before")
            poll(lambda: p.counters()["retries"] > 1)
            with Far(target) as far, far.accept() as end:
                assert read(end, 11) == b"sent before"
                talk(client, end)
        assert p.counters()["failed"] == 0


def test_a_target_that_stays_down_breaks_the_connection(proxies):
    p = proxies((ANY, nowhere()), args=("--connect-timeout", 1))
    with connect(p.at) as client:
        assert rest(client) == (b"", RESET)
    count = p.counters()
    assert (count["failed"], count["connected"], count["open"]) == (1, 0, 0)
    assert count["retries"] > 0


def test_a_client_that_leaves_before_the_target_is_there_is_forgotten(proxies):
    p = proxies((ANY, nowhere()), args=("--connect-timeout", 600))
    empty = p.descriptors()
    clients = [connect(p.at) for _ in range(20)]
    poll(lambda: p.counters()["open"] == 20)
    for client in clients:
        reset(client)
    poll(lambda: p.counters()["open"] == 0, what="they are still waited for")
    assert p.descriptors() == empty


def test_what_carries_nothing_for_too_long_is_broken(carried):
    client, far, chain, _ = carried("tcp", "tcp", args=("--idle-timeout", 1))
    talk(client, far)
    assert rest(client) == (b"", RESET)
    assert rest(far) == (b"", RESET)
    poll(lambda: chain[0].counters()["open"] == 0)
    assert chain[0].counters()["timed_out"] == 1


def test_a_peer_that_never_reads_is_idle_in_the_end(carried):
    client, far, chain, _ = carried("tcp", "tcp", args=("--idle-timeout", 1), buffers=65536)
    far.setblocking(False)

    def is_broken():
        try:
            client.send(b"x" * 65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except OSError:
            return True
        return False

    poll(is_broken, what="it may go on forever")
    assert chain[0].counters()["timed_out"] == 1


def test_a_name_is_looked_up_as_a_target(proxies):
    with Far() as far:
        port = far.address.rsplit(":", 1)[1]
        p = proxies((ANY, f"tcp:localhost:{port}"))
        assert p.targets == [f"tcp:localhost:{port}"]
        with connect(p.at) as client, far.accept() as end:
            talk(client, end)


# ---- signals ----

def test_sigusr1_logs_the_counters(carried):
    client, far, chain, _ = carried("tcp", "unix", args=("--log-format", "json"))
    talk(client, far)
    p = chain[0]
    mark = len(p.stderr)
    p.send_signal(signal.SIGUSR1)
    line = poll(lambda: [x for x in p.stderr[mark:].splitlines() if '"counters"' in x and x.endswith("}")])[0]
    logged = json.loads(line)
    expected = {"open": 1, "accepted": 1, "refused_full": 0, "refused_source": 0, "connected": 1, "failed": 0, "retries": 0,
                "timed_out": 0, "broken": 0, "bytes_in": 5, "bytes_out": 8}
    assert {name: logged.get(name) for name in expected} == expected


@pytest.mark.smoke
@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_open_go_on_and_takes_nothing_new(carried, address, signo):
    client, far, chain, _ = carried("unix", "tcp")
    p = chain[0]
    talk(client, far)
    p.send_signal(signo)
    poll(lambda: not os.path.exists(p.at[5:]), what="its socket file stays")
    with pytest.raises(OSError):
        connect(p.at)
    talk(client, far)
    client.sendall(b"the end")
    client.close()
    assert rest(far) == (b"the end", END)
    assert p.process.poll() is None, "the other direction goes on"
    far.close()
    assert p.wait() == 0


def test_what_outlasts_the_drain_is_broken(carried):
    client, far, chain, _ = carried("tcp", "tcp", args=("--drain-timeout", 1))
    talk(client, far)
    chain[0].send_signal(signal.SIGTERM)
    assert chain[0].wait() == 0
    assert rest(client) == (b"", RESET)
    assert rest(far) == (b"", RESET)


def test_a_second_signal_waits_for_nobody(carried):
    client, far, chain, _ = carried("tcp", "tcp", args=("--drain-timeout", 3600))
    p = chain[0]
    talk(client, far)
    p.send_signal(signal.SIGTERM)
    poll(lambda: "stopping" in p.stderr)
    p.send_signal(signal.SIGTERM)
    assert p.wait() == 0
    assert rest(client) == (b"", RESET)


def test_waiting_for_a_target_ends_with_the_drain(proxies):
    p = proxies((ANY, nowhere()), args=("--connect-timeout", 600, "--drain-timeout", 1))
    with connect(p.at) as client:
        poll(lambda: p.counters()["open"] == 1)
        p.send_signal(signal.SIGTERM)
        assert p.wait() == 0
        assert rest(client) == (b"", RESET)


def test_the_service_manager_is_told(proxies, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(30 * PATIENCE)
        p = proxies((ANY, nowhere()), env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "20000"})
        assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        p.stop()
        assert poll(lambda: manager.recv(100) == b"STOPPING=1")


# ---- the environment, and sockets that were passed ----

def test_the_environment_names_a_pair(proxies):
    p = proxies(env={"BIND_ADDR": "127.0.0.1:0", "ENCLAVE_CID": "17", "ENCLAVE_PORT": "6005"}, args=("--connect-timeout", 1))
    assert p.at.startswith("tcp:127.0.0.1:") and p.targets == ["vsock:17:6005"]
    if not os.path.exists("/dev/vsock"):
        with connect(p.at) as client:
            assert rest(client) == (b"", RESET)


def test_the_defaults_are_the_environments(proxies):
    p = proxies(env={"BIND_ADDR": "[::1]:0", "ENCLAVE_CID": "", "ENCLAVE_PORT": ""})
    assert p.at.startswith("tcp:[::1]:") and p.targets == ["vsock:16:5005"]


def test_the_environment_is_not_looked_at_where_options_tell(proxies):
    with Far() as far:
        p = proxies((ANY, far.address), env={"BIND_ADDR": "nonsense", "ENCLAVE_CID": "-1", "ENCLAVE_PORT": "x"})
        with connect(p.at) as client, far.accept() as end:
            talk(client, end)


@pytest.mark.parametrize("name, value", [
    ("BIND_ADDR", "443"), ("BIND_ADDR", "localhost:443"), ("BIND_ADDR", "0.0.0.0:65536"), ("BIND_ADDR", "unix:"),
    ("ENCLAVE_CID", "4294967295"), ("ENCLAVE_CID", "-1"), ("ENCLAVE_CID", "16 "), ("ENCLAVE_CID", "0x10"),
    ("ENCLAVE_CID", "016"), ("ENCLAVE_CID", "00"), ("ENCLAVE_PORT", "05005"),
    ("ENCLAVE_PORT", "0"), ("ENCLAVE_PORT", "4294967295"), ("ENCLAVE_PORT", "5005,5006"), ("ENCLAVE_PORT", "vsock:16:5005"),
])
def test_a_variable_that_cannot_be_is_named(proxies, name, value):
    p = proxies(start=False, env={"BIND_ADDR": "127.0.0.1:0", name: value})
    assert re.fullmatch(rf"attestd proxy: {name}(:| must be) .*; see attestd proxy --help\n", said(p, 2))


def test_a_passed_socket_takes_the_place_of_bind_addr(proxies):
    p = proxies(sockets=["whatever=127.0.0.1:0"], env={"BIND_ADDR": "nonsense", "ENCLAVE_CID": "3"})
    assert p.at.startswith("tcp:127.0.0.1:") and p.targets == ["vsock:3:5005"]


def test_passed_sockets_are_taken_by_name(proxies, tmp_path):
    with Far() as one, Far() as two:
        p = proxies(("fd:b", one.address), (ANY, two.address), ("fd:a", two.address), ("fd:b", two.address),
                    sockets=[f"a={tmp_path}/a", f"b={tmp_path}/b", f"b={tmp_path}/b2"])
        assert p.listening == [f"unix:{tmp_path}/b", p.listening[1], f"unix:{tmp_path}/a", f"unix:{tmp_path}/b2"]
        assert p.targets == [one.address, two.address, two.address, two.address]
        for at, far in zip(p.listening, (one, two, two, two)):
            with connect(at) as client, far.accept() as end:
                talk(client, end)
        p.stop()
        assert (tmp_path / "a").is_socket(), "the service manager's to keep"


def test_passed_sockets_and_listeners_must_fit(proxies, tmp_path):
    def fault(*pairs, sockets):
        p = proxies(*pairs, start=False, sockets=sockets)
        (tmp_path / "a").unlink(missing_ok=True)
        return said(p, 3)

    a, b = f"a={tmp_path}/a", "b=127.0.0.1:0"
    assert "--listen fd:b: the service manager passed no socket of this name" in fault(("fd:b", "unix:/x"), sockets=[a])
    assert "passed a socket named a, and there is no --listen fd:a for it" in fault((ANY, "unix:/x"), sockets=[a])
    assert "passed a socket named b" in fault(("fd:a", "unix:/x"), sockets=[a, b])
    assert "that is not taken already" in fault(("fd:a", "unix:/x"), ("fd:a", "unix:/x"), sockets=[a])
    assert "passed 2 sockets: without --listen it must be one" in fault(sockets=[a, b])
    p = proxies(("fd:a", "unix:/x"), start=False)
    assert "passed no socket of this name" in said(p, 3)


# ---- pairs ----

def test_many_pairs_in_one_process(proxies, tmp_path):
    fars = [Far(f"unix:{tmp_path}/far{i}") for i in range(64)]
    listens = [ANY if i % 2 else f"unix:{tmp_path}/near{i}" for i in range(64)]
    p = proxies(*zip(listens, (far.address for far in fars)))
    assert p.targets == [far.address for far in fars]
    for at, far in zip(p.listening, fars):
        with connect(at) as client, far.accept() as end:
            talk(client, end)
        far.close()


def test_an_address_in_use_is_named_and_nothing_else_is_left_open(proxies, tmp_path):
    with Far() as busy:
        p = proxies((f"unix:{tmp_path}/u", "unix:/x"), (busy.address, "unix:/x"), start=False)
        assert busy.address[4:] in said(p, 3)
        assert not (tmp_path / "u").exists()


PAIR = ("--listen", "unix:/nonexistent/l", "--to", "unix:/nonexistent/t")


@pytest.mark.parametrize("args, fault", [
    (("--listen", ANY), "the n-th --listen belongs to the n-th --to, and there are 1 and 0"),
    (("--to", "unix:/x"), "the n-th --listen belongs to the n-th --to, and there are 0 and 1"),
    ((*PAIR, "--to", "unix:/x"), "the n-th --listen belongs to the n-th --to, and there are 1 and 2"),
    (PAIR * 65, "at most 64 pairs of --listen and --to are taken, and there are 65"),
    (("--listen", "127.0.0.1", "--to", "unix:/x"), "--listen: "),
    (("--listen", "unix:@abstract", "--to", "unix:/x"), "--listen: "),
    (("--listen", "vsock:16:5005", "--to", "unix:/x"), "--listen: "),
    (("--listen", ANY, "--to", "vsock:5005"), "--to: "),
    (("--listen", ANY, "--to", "tcp:127.0.0.1:0"), "--to: "),
    (("--listen", ANY, "--to", "vsock:4294967295:1"), "--to: "),
    ((*PAIR, "extra"), "unexpected argument `extra`"),
    ((*PAIR, "--log-level", "loud"), "--log-level cannot be `loud`"),
    ((*PAIR, "--log-format", "xml"), "--log-format cannot be `xml`"),
], ids=lambda x: x if isinstance(x, str) else None)
def test_wrong_usage(proxies, args, fault):
    text = said(proxies(start=False, args=args), 2)
    assert text.startswith(f"attestd proxy: {fault}") and text.endswith("; see attestd proxy --help\n")
    assert text.count("\n") == 1


@pytest.mark.parametrize("option, lo, hi", [
    ("--connect-timeout", 1, 3600), ("--idle-timeout", 1, 604800), ("--max-connections", 1, 100000),
    ("--max-per-source", 0, 100000), ("--drain-timeout", 0, 3600),
])
def test_numbers_have_limits_and_the_help_tells_them(proxies, option, lo, hi):
    def run(value):
        """With a directory that does not exist, so that it ends in any case; few descriptors may do."""
        p = proxies(start=False, args=(*PAIR, option, value))
        p.spawn()
        return p.wait(), p.stderr

    for bad in (lo - 1, hi + 1, "", "1.5", "1s", " 1"):
        assert run(bad) == (2, f"attestd proxy: {option} must be a number from {lo} to {hi}, not `{bad}`; "
                               "see attestd proxy --help\n")
    for good in (lo, hi):
        status, text = run(good)
        assert status == 3 and "must be a number" not in text
    page = subprocess.run([*RUNNER, BUILD / "attestd", "proxy", "--help"], capture_output=True, text=True, check=True).stdout
    row = re.search(rf"^  {option} .*\n(?: {{6,}}.*\n)*", page, re.MULTILINE)[0]
    assert f"({lo} to {hi}, default " in " ".join(row.split())


def test_descriptors_for_all_connections_are_there_or_it_says_so(proxies):
    p = proxies((ANY, "unix:/x"), start=False, args=("--max-connections", 500))
    p.command = lambda plain=p.command: ["prlimit", "--nofile=512:512", *plain()]
    may_raise = subprocess.run(["prlimit", "--nofile=512:512", "prlimit", "--nofile=1024:1024", "true"],
                               capture_output=True, check=False).returncode == 0
    if may_raise:
        p.start()
        assert resource.prlimit(p.pid, resource.RLIMIT_NOFILE)[0] >= 3000
    else:
        assert "--max-connections = 500 needs" in said(p, 3)


# ---- with a server behind it ----

@pytest.mark.smoke
def test_curl_reaches_a_server_on_a_unix_socket_through_it(proxies, make_server, tmp_path):
    server = make_server(settings={"public_listen": f"unix:{tmp_path}/public"})
    p = proxies((ANY, server.public))
    url = "http://" + p.at[4:]
    run = subprocess.run(["curl", "-sS", "--fail", "--max-time", str(30 * PATIENCE), f"{url}/health", f"{url}/info"],
                         capture_output=True, text=True, check=False, env=clean_environment())
    assert run.returncode == 0, run.stderr
    assert '"status"' in run.stdout and '"build_info"' in run.stdout
    run = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/metrics"], capture_output=True,
                         text=True, check=False, env=clean_environment())
    assert run.stdout == "404", "it is the public listener that is reached"


# ---- what people read ----

def test_the_page_tells_of_every_counter_option_and_default(proxies):
    text = (TOP / "docs" / "PROXY.md").read_text()
    help_text = subprocess.run([*RUNNER, BUILD / "attestd", "proxy", "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^  (--[a-z-]+)", help_text, re.MULTILINE))
    assert set(re.findall(r"`(--[a-z-]+)", text)) <= options
    limits = dict(re.findall(r"^\| `(--[a-z-]+)` \| (\d+)(?: s)? \|", text, re.MULTILINE))
    told = " ".join(help_text.split())
    assert limits == {x: re.search(rf"  {x} .*?default (\d+)", "  " + told.replace(" --", "  --"))[1] for x in limits}
    assert limits.keys() == {x for x in options if x.startswith(("--max-", "--connect-", "--idle-", "--drain-"))}
    counters = proxies((ANY, nowhere())).counters()
    section = text[text.index("## Counters"):text.index("## Speed")]
    rows = re.findall(r"^\| (`.*?) \| [a-z]", section, re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == [*counters]
