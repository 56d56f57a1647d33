#!/usr/bin/env python3
"""An hour of everything at once: does attestd's memory, its files, its descriptors or its latency grow?

    tests/bench/soak.py [--build build] [--minutes 60] [--rate 300] [--out build/soak]

Callers who check what they get: key exchanges, messages both ways, attestations, sessions that end, more that expire, TLS with
private data, and some who hang up in the middle. Writes soak.csv and soak.svg. FLAT: the last third is like the first one.
Exit status 1 where it is not, or where a reply was wrong.
"""

import argparse
import base64
import csv
import http.client
import itertools
import json
import os
import random
import ssl
import statistics
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from chart import svg
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from servers import Failed, Field
from wire import connect

TOP = Path(__file__).resolve().parents[2]
LIFETIME = 60  # seconds, of sessions: the shortest that there is
CALLERS = 8
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
COLUMNS = ("seconds", "memory", "descriptors", "files", "sessions", "rate", "p50_ms", "p99_ms", "wrong")
# What may differ between the thirds: a factor, and an amount of its unit on top.
SLACK = {"memory": (1.05, 2 << 20), "descriptors": (1, 4), "files": (1.1, 1 << 20), "p50_ms": (1.5, 1), "p99_ms": (2, 5)}


class Caller(threading.Thread):
    """One connection, sessions of its own, and what the requests took."""

    def __init__(self, at, number, pause, enough, key):
        super().__init__(daemon=True)
        self.local, self.tls = at
        self.pause, self.enough, self.key = pause, enough, key
        self.random = random.Random(number)
        self.sessions, self.took, self.wrong, self.ivs = [], [], [], itertools.count(1)
        self.prefix = os.urandom(4)
        self.connection = http.client.HTTPConnection(urlsplit(self.local).netloc, timeout=60)
        self.pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def call(self, method, path, body=None, connection=None, fine=(200,)):
        c = connection or self.connection
        data = None if body is None else json.dumps(body).encode()
        began = time.monotonic()
        c.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        reply = c.getresponse()
        got = reply.read()
        self.took.append(time.monotonic() - began)
        if reply.status not in fine:
            raise Failed(f"{method} {path}: {reply.status} {got[:200]!r}")
        return json.loads(got)

    # ---- what they do ----

    def exchange(self):
        got = self.call("POST", "/key-exchange", {"user_public_key": self.pem})
        key = self.key.decrypt(base64.b64decode(got["encrypted_session_key"]), OAEP)
        self.sessions.append((time.monotonic(), got["session_id"], AESGCM(key)))

    def session(self):
        """One that will not expire in the next moment. Those that will are left to do so."""
        while self.sessions and time.monotonic() - self.sessions[0][0] > LIFETIME - 10:
            self.sessions.pop(0)
        if not self.sessions:
            self.exchange()
        return self.random.choice(self.sessions)

    def text(self):
        return "The quick brown fox. " * self.random.choice((1, 10, 10, 50, 2000))

    def encrypt(self):
        _, name, gcm = self.session()
        text = self.text()
        got = self.call("POST", "/encrypt", {"session_id": name, "plaintext": text})
        iv = base64.b64decode(got["iv"])
        if gcm.decrypt(iv, base64.b64decode(got["ciphertext"]), None).decode() != text or int.from_bytes(iv[:4], "big") != got["message_number"]:
            raise Failed("POST /encrypt: another text or number")

    def decrypt(self):
        _, name, gcm = self.session()
        text, iv = self.text(), self.prefix + next(self.ivs).to_bytes(8, "big")
        message = {"session_id": name, "iv": base64.b64encode(iv).decode(),
                   "ciphertext": base64.b64encode(gcm.encrypt(iv, text.encode(), None)).decode()}
        if self.call("POST", "/decrypt", message)["plaintext"] != text:
            raise Failed("POST /decrypt: another text")
        if self.random.random() < 0.01:
            self.call("POST", "/decrypt", message, fine=(409,))

    def attest(self):
        data = {"response": self.text(), "large": "x" * (2 << 20 if self.random.random() < 0.01 else 10)}
        if self.call("POST", "/attestation", {"nonce": "00ff", "custom_data": data})["custom_data"] != data:
            raise Failed("POST /attestation: other data")

    def end(self):
        one = self.session()
        self.sessions.remove(one)
        self.call("DELETE", f"/sessions/{one[1]}")

    def secure(self):
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        c = http.client.HTTPSConnection(urlsplit(self.tls).netloc, timeout=60, context=anyone)
        try:
            made = self.call("POST", "/private-data", {"text": self.text()}, c, fine=(201,))
            self.call("DELETE", f"/private-data/{made['id']}", connection=c)
        finally:
            c.close()

    def hang_up(self):
        with connect(self.local) as s:
            s.sendall(b"POST /encrypt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")

    # ---- the thread ----

    def run(self):
        doings = ((self.encrypt, 45), (self.decrypt, 35), (self.attest, 8), (self.exchange, 6), (self.end, 3), (self.secure, 2), (self.hang_up, 1))
        what, often = zip(*doings)
        due = time.monotonic()
        while not self.enough.is_set():
            try:
                self.random.choices(what, often)[0]()
            except Exception as e:  # whatever it was, the run goes on and is told of
                self.wrong.append(f"{type(e).__name__}: {e}")
                self.connection.close()
            due += self.pause
            # Who has fallen behind does not catch up: that would be another load.
            due = max(due, time.monotonic() - 1)
            self.enough.wait(max(0, due - time.monotonic()))


def percentile(values, part):
    return round(sorted(values)[min(int(len(values) * part), len(values) - 1)] * 1e3, 3) if values else None


def sample(seconds, server, folder, callers, past):
    took, wrong = [], 0
    for c in callers:
        n = len(c.took)
        took += c.took[:n]
        del c.took[:n]
        wrong += len(c.wrong)
    sessions = sum(time.monotonic() - began < LIFETIME for c in callers for began, *_ in list(c.sessions))
    files = sum(p.stat().st_size for p in folder.glob("*.db*"))
    return {"seconds": round(seconds, 1), "memory": server.memory(), "descriptors": server.descriptors(), "files": files, "sessions": sessions,
            "rate": round(len(took) / past, 1), "p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99), "wrong": wrong}


def soak(field, minutes, rate, write):
    """The samples, and what was wrong."""
    folder = field.folder()
    server = field.attestd(folder, "simulator", session_lifetime=LIFETIME, tls_listen="127.0.0.1:0", private_data_db="private.db")
    enough, key = threading.Event(), rsa.generate_private_key(65537, 2048)
    callers = [Caller(server.at, i, CALLERS / rate, enough, key) for i in range(CALLERS)]
    began = last = time.monotonic()
    every = min(5, minutes * 60 / 20)
    samples = []
    for c in callers:
        c.start()
    try:
        while last - began < minutes * 60:
            time.sleep(every)
            now = time.monotonic()
            if server.child.poll() is not None:
                raise Failed(f"the server ended:\n{server.said.read_text(errors='replace')}")
            samples.append(sample(now - began, server, folder, callers, now - last))
            write(samples[-1])
            last = now
    finally:
        enough.set()
        for c in callers:
            c.join(70)
    return samples, [w for c in callers for w in c.wrong]


def thirds(samples):
    """The first and the last, once there are as many sessions as there will be."""
    steady = [s for s in samples if s["seconds"] > 2.5 * LIFETIME]
    if len(steady) < 12:
        steady = samples[len(samples) // 4:]
    n = max(len(steady) // 3, 1)
    return steady[:n], steady[-n:]


def judge(samples):
    """(name, before, after, flat?) of what must not grow."""
    first, last = thirds(samples)
    for name, (factor, more) in SLACK.items():
        before, after = ([s[name] for s in part if s[name] is not None] for part in (first, last))
        if before and after:
            a, b = statistics.median(before), statistics.median(after)
            yield name, a, b, b <= a * factor + more


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", type=Path, default=TOP / "build")
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--rate", type=float, default=300, help="requests a second")
    p.add_argument("--out", type=Path, help="a folder for soak.csv and soak.svg (default: BUILD/soak)")
    a = p.parse_args()
    out = a.out or a.build / "soak"
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "soak.csv", "w", newline="") as f, Field(a.build) as field:
        table = csv.DictWriter(f, COLUMNS)
        table.writeheader()

        def write(row):
            table.writerow(row)
            f.flush()

        try:
            samples, wrong = soak(field, a.minutes, a.rate, write)
        except Failed as e:
            sys.exit(f"soak: {e}")
    shown = (("memory (RSS), MiB", "memory", 1 << 20), ("descriptors", "descriptors", 1), ("database files, MiB", "files", 1 << 20),
             ("sessions that callers hold", "sessions", 1), ("requests a second", "rate", 1), ("p50, ms", "p50_ms", 1), ("p99, ms", "p99_ms", 1))
    (out / "soak.svg").write_text(svg(f"attestd: {a.minutes:g} minutes of mixed load", [s["seconds"] / 60 for s in samples],
                                      [(title, [None if s[k] is None else s[k] / unit for s in samples]) for title, k, unit in shown]))
    flat = True
    for name, before, after, fine in judge(samples):
        unit = 1 << 20 if name in ("memory", "files") else 1
        flat = flat and fine
        print(f"{name:12} {before / unit:10.2f} -> {after / unit:10.2f}  {'flat' if fine else 'GROWS'}")
    for fault in wrong[:5]:
        print(f"wrong: {fault}")
    requests = sum(s["rate"] for s in samples) / len(samples)
    print(f"{'FLAT' if flat else 'NOT FLAT'}: {a.minutes:g} minutes, {requests:.0f} requests a second, {len(wrong)} wrong; {out}/soak.csv, soak.svg")
    sys.exit(0 if flat and not wrong else 1)


if __name__ == "__main__":
    main()
