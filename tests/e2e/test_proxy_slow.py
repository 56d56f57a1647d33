"""`attestd proxy` with a lot to carry: many bytes, many connections. ATTESTD_PROXY_GIB=10 carries 10 GiB."""

import hashlib
import os
import resource
import socket
import threading

import pytest
from helpers import sanitized
from helpers.proxy import Far, Proxy, connect, poll, talk

pytestmark = pytest.mark.slow

ANY = "tcp:127.0.0.1:0"
GIB = float(os.environ.get("ATTESTD_PROXY_GIB", "0.25"))
IDLE = 1000
KEPT = 2 * 16  # descriptors of empty pipes that wait for the next connection
BLOCK = b"".join(hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(1 << 15))  # 1 MiB


@pytest.fixture
def chain(tmp_path):
    """TCP to a Unix socket to TCP: (the two proxies, the target)."""
    with Far() as far:
        last = Proxy(tmp_path / "last", (f"unix:{tmp_path}/middle", far.address)).start()
        first = Proxy(tmp_path / "first", (ANY, last.at)).start()
        yield [first, last], far
        try:
            first.stop()
            last.stop()
        finally:
            first.kill()
            last.kill()


def test_a_long_stream_arrives_whole_and_memory_stays_flat(chain):
    proxies, far = chain
    blocks = int(GIB * 1024)
    sums, got = [hashlib.sha256(), hashlib.sha256()], [0]
    with connect(proxies[0].at) as client, far.accept() as end:
        talk(client, end)
        before = [p.memory("VmHWM") for p in proxies]

        def send():
            for i in range(blocks):
                head = i.to_bytes(8, "big")
                sums[0].update(head)
                sums[0].update(BLOCK)
                client.sendall(head)
                client.sendall(BLOCK)
            client.shutdown(socket.SHUT_WR)

        def take():
            space = memoryview(bytearray(1 << 20))
            while n := end.recv_into(space):
                sums[1].update(space[:n])
                got[0] += n

        threads = [threading.Thread(target=send), threading.Thread(target=take)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert got[0] == blocks * (len(BLOCK) + 8)
        assert sums[0].digest() == sums[1].digest()
        end.sendall(b"the other direction is still there")
        assert client.recv(100, socket.MSG_WAITALL) != b""
        after = [p.memory("VmHWM") for p in proxies]
    assert sanitized() or all(b - a < 2048 for a, b in zip(before, after)), (before, after)


def test_a_thousand_idle_connections_are_small(tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 8 * IDLE:
        pytest.skip(f"only {hard} descriptors may be open here")
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ends = []
    try:
        with Far() as far:
            p = Proxy(tmp_path / "proxy", (ANY, far.address), args=("--max-per-source", 0)).start()
            try:
                empty = p.descriptors()
                for _ in range(IDLE):
                    ends += [connect(p.at), far.accept()]
                    talk(*ends[-2:])
                poll(lambda: p.descriptors() <= empty + 2 * IDLE + KEPT, what="each holds two descriptors")
                assert sanitized() or p.memory() < 32 * 1024
                talk(*ends[:2])
                while ends:
                    ends.pop().close()
                poll(lambda: p.descriptors() <= empty + KEPT, what="descriptors are left")
                p.stop()
            finally:
                p.kill()
    finally:
        for s in ends:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
