"""The user's side of sessions: databases full of them, messages sealed for /decrypt, keys for /key-exchange."""

import base64
import itertools
import json
import os
import subprocess

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from servers import Failed
from wrk import whole

TEXT = "The quick brown fox jumps over the lazy dog. "


def text(size):
    return (TEXT * (size // len(TEXT) + 1))[:size]


def fill(field, folder, count, lifetime=86400, name="sessions"):
    """Opens so many in folder/s.db; the file that lists them."""
    path = folder / name
    with open(path, "wb") as out:
        run = subprocess.run([str(field.build / "bench/fill"), str(folder), str(count), str(lifetime)], stdout=out, stderr=subprocess.PIPE)
    if run.returncode != 0:
        raise Failed(run.stderr.decode())
    return path


class Messages:
    """Seals messages to the server, for each session in turn, each under an IV that was never used."""

    def __init__(self, listed, size):
        self.sessions = []
        for line in listed.read_text().splitlines():
            name, key = line.split()
            self.sessions.append((name, AESGCM(bytes.fromhex(key))))
        self.numbers = itertools.count(1)
        self.start = os.urandom(4)
        self.plain = text(size).encode()

    def request(self):
        name, gcm = self.sessions[(n := next(self.numbers)) % len(self.sessions)]
        iv = self.start + n.to_bytes(8, "big")
        sealed = base64.b64encode(gcm.encrypt(iv, self.plain, None)).decode()
        return whole("/decrypt", f'{{"session_id":"{name}","ciphertext":"{sealed}","iv":"{base64.b64encode(iv).decode()}"}}')

    def write(self, path, count):
        """Bytes of each."""
        with open(path, "wb", 1 << 20) as out:
            for _ in range(count):
                one = self.request()
                out.write(one)
        return len(one)


def key_exchanges(path, keys=16):
    """Requests with so many users' RSA-2048 keys; bytes of each."""
    with open(path, "wb") as out:
        for _ in range(keys):
            public = rsa.generate_private_key(65537, 2048).public_key()
            pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
            one = whole("/key-exchange", json.dumps({"user_public_key": pem}))
            out.write(one)
    return len(one)
