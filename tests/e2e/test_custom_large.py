"""custom_data has no size limit but max_body: what the large ones cost, and that others are served meanwhile."""

import hashlib
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from helpers import sanitized

pytestmark = [pytest.mark.route("POST /attestation"), pytest.mark.slow]
MIB = 1 << 20


def memory(server, what):
    return int(re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE)[1]) * 1024


class Sent:
    """One large request whose reply goes to a file, and the small requests that were answered while it was in work."""

    def __init__(self, server, body, to):
        self.others = 0
        stop = threading.Event()
        idle = memory(server, "VmRSS")

        def small():
            c, n = server.http(timeout=120), 0
            while not stop.is_set():
                reply = server.get("/health", connection=c) if n % 4 else server.post("/attestation", {}, connection=c)
                assert reply.status == 200, reply
                n += 1
                self.others += 1
                stop.wait(0.02)

        other = threading.Thread(target=small)
        c = server.http(timeout=300)
        c.request("POST", "/attestation", body, {"Content-Type": "application/json"})
        other.start()  # all of the body has been handed over
        reply = c.getresponse()
        self.status = reply.status
        with open(to, "wb") as f:
            shutil.copyfileobj(reply, f, MIB)
        c.close()
        stop.set()
        other.join()
        self.times = (memory(server, "VmHWM") - idle) / len(body)
        print(f"{len(body) / MIB:.1f} MiB: peak {self.times:.2f} times the body, {self.others} others answered")


def shell(command, directory):
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def body_of(data, **how):
    return json.dumps({"nonce": "00ff", "custom_data": data}, **how).encode()


# Each is about 60 MiB of request.
LONG_STRINGS = {
    "ascii": lambda: body_of({"response": "x" * (60 * MIB)}),
    "sixty-strings": lambda: body_of({f"k{i}": chr(97 + i % 26) * MIB for i in range(60)}),
    "two-byte-characters": lambda: body_of("é" * (30 * MIB), ensure_ascii=False),
    "escapes": lambda: body_of(['"' * (15 * MIB), "é" * (3 * MIB), "😀" * MIB]),
}


@pytest.mark.parametrize("kind", LONG_STRINGS)
def test_sixty_mebibytes_of_long_strings(make_server, tmp_path, kind):
    server = make_server(settings={"nsm_rate": 1000})
    server.post("/attestation", {})
    body = LONG_STRINGS[kind]()
    sent = Sent(server, body, tmp_path / "reply.json")
    assert sent.status == 200

    reply = json.loads((tmp_path / "reply.json").read_bytes())
    data = json.loads(body)["custom_data"]
    canonical = json.dumps(data, sort_keys=True)
    assert reply["custom_data_canonical"] == canonical
    assert reply["custom_data"] == data
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert reply["custom_digest"] == reply["user_data"]["custom_digest"] == digest
    assert reply["nonce_hex"] == "00ff"

    assert sent.others >= 3
    if not sanitized():  # their shadow memory and quarantine are not the server's
        assert sent.times < 4


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("sha256sum")), reason="no jq or no sha256sum")
def test_a_shell_can_check_sixty_mebibytes(make_server, tmp_path):
    server = make_server()
    body = body_of({"text": "ünï " * (2 * MIB), "long": "x" * (40 * MIB)}, ensure_ascii=False)
    assert Sent(server, body, tmp_path / "reply.json").status == 200
    digest = shell("jq -j .custom_data_canonical reply.json | sha256sum", tmp_path).split()[0]
    assert shell("jq -r .custom_digest reply.json", tmp_path) == digest
    attested = shell("jq -r .attestation_document.user_data reply.json | base64 -d | jq -r .custom_digest", tmp_path)
    assert attested == digest


def test_a_million_records_are_attested_and_their_memory_is_given_back(make_server, tmp_path):
    server = make_server(settings={"nsm_rate": 1000})
    server.post("/attestation", {})
    idle = memory(server, "VmRSS")
    records = ",".join(f'{{"id":{i},"name":"record {i:07d}","value":{i % 1000}.5}}' for i in range(1000000))
    body = ('{"custom_data":[' + records + "]}").encode()
    sent = Sent(server, body, tmp_path / "reply.json")
    assert sent.status == 200
    canonical = "[" + records.replace(",", ", ").replace(":", ": ") + "]"
    reply = json.loads((tmp_path / "reply.json").read_bytes())
    assert reply["custom_digest"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert reply["custom_data_canonical"] == canonical
    assert sent.others >= 3
    if not sanitized():
        assert sent.times < 4
        for _ in range(100):
            if memory(server, "VmRSS") < idle + len(body):
                break
            threading.Event().wait(0.1)
        assert memory(server, "VmRSS") < idle + len(body)


@pytest.mark.parametrize("value", ["0", "[]", '{"b":0,"a":1}', "0.1234567890123456", "1e5"])
def test_a_value_takes_little_more_memory_than_its_text(make_server, tmp_path, value):
    server = make_server(settings={"nsm_rate": 1000})
    server.post("/attestation", {})
    body = ('{"custom_data":[' + ",".join([value] * (40 * MIB // (len(value) + 1))) + "]}").encode()
    sent = Sent(server, body, tmp_path / "reply.json")
    assert sent.status == 200
    if not sanitized():
        assert sent.times < 4.5  # 3 and the body itself, and what others take


def test_a_fault_at_the_end_of_sixty_mebibytes_is_still_told(make_server):
    server = make_server()
    body = b'{"custom_data":"' + b"x" * (60 * MIB) + b'","custom_data":1}'
    reply = server.post("/attestation", body, timeout=120)
    assert reply.status == 422
    assert reply.json()["detail"] == f'body: line 1, column {60 * MIB + 19}: duplicate key "custom_data"'
    assert server.post("/attestation", '{"custom_data":[' + "1," * (10 * MIB) + '1],"more":1}', timeout=120).status == 422
    assert server.get("/health").status == 200


def test_a_client_that_goes_away_leaves_nothing_behind(make_server):
    """In the middle of its body (which may only be seen when its time is up), while it is worked on, and in the middle of
    its reply."""
    server = make_server(settings={"body_timeout": 3})
    body = body_of(["x" * 1000] * 8192)
    head = f"POST /attestation HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    for n, read in ((MIB, 0), (len(body), 0), (len(body), 1), (len(body), 100000)):
        for _ in range(3):
            with server.connect() as s:
                s.sendall(head.encode() + body[:n])
                while read > 0:
                    read -= len(s.recv(read))
    metrics = ""
    for _ in range(200):
        metrics = server.get("/metrics").body.decode()
        if re.search(r"^attestd_http_inflight_bytes 0$", metrics, re.MULTILINE):
            break
        threading.Event().wait(0.05)
    else:
        raise AssertionError(metrics)
    assert server.post("/attestation", {"custom_data": {"key": "value"}}).status == 200


def test_a_stop_in_the_middle_of_a_large_reply_is_clean(make_server):
    """Whoever does not read holds the end up no longer than drain_timeout."""
    server = make_server(settings={"drain_timeout": 1})
    body = body_of("x" * (30 * MIB))
    with server.connect() as s:
        s.sendall(f"POST /attestation HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert s.recv(12) == b"HTTP/1.1 200"
        server.stop()


def test_the_largest_body_is_taken_and_one_byte_more_is_413(make_server):
    server = make_server(settings={"max_body": "1m"})
    overhead = len(b'{"custom_data":""}')
    body = b'{"custom_data":"' + b"x" * (MIB - overhead) + b'"}'
    assert len(body) == MIB
    assert server.post("/attestation", body).status == 200
    assert server.post("/attestation", body + b" ").status == 413
