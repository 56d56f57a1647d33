"""Whoever carries the bytes between the user and the enclave: it may read, keep, drop and change all of them.

An attack is a function from the request of a key exchange to the reply that the user gets. Attacks on messages are
functions from a message to what is delivered in its place.
"""

import base64
import http.client
import http.server
import json
import threading
import time
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


class Relay:
    """An HTTP server on a free port of the loopback (`url`) that hands all it gets to `server`, a URL, and lets `attack`
    answer key exchanges. `seen` has the exchanges that it forwarded: (request, reply)."""

    def __init__(self, server):
        self.server = server
        self.attack = None
        self.seen = []
        relay = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, kind, data = relay.take(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def take(self, method, path, body):
        if self.attack is not None and path == "/key-exchange":
            return 200, "application/json", json.dumps(self.attack(json.loads(body))).encode()
        return self.forward(method, path, body)

    def forward(self, method, path, body, server=None):
        c = http.client.HTTPConnection(urlsplit(server or self.server).netloc, timeout=60)
        c.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
        reply = c.getresponse()
        data = reply.read()
        c.close()
        if path == "/key-exchange" and reply.status == 200:
            self.seen.append((json.loads(body), json.loads(data)))
        return reply.status, reply.headers["Content-Type"], data

    def exchange(self, request, server=None):
        """A key exchange that is forwarded; its reply."""
        status, _, data = self.forward("POST", "/key-exchange", json.dumps(request).encode(), server)
        assert status == 200, data
        return json.loads(data)


# ---- attacks on the opening of a session ----


class SwapKeys:
    """Offers its own RSA key in place of the user's, unwraps the session key, wraps it again for the user, and hands on
    everything else as it is. Who does not notice has a session that the relay reads."""

    def __init__(self, relay):
        self.relay = relay
        self.key = rsa.generate_private_key(65537, 2048)
        self.session_key = None

    def __call__(self, request):
        user = serialization.load_pem_public_key(request["user_public_key"].encode())
        own = self.key.public_key().public_bytes(serialization.Encoding.PEM,
                                                 serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        reply = self.relay.exchange({**request, "user_public_key": own})
        self.session_key = self.key.decrypt(base64.b64decode(reply["encrypted_session_key"]), OAEP)
        return {**reply, "encrypted_session_key": base64.b64encode(user.encrypt(self.session_key, OAEP)).decode()}

    def read(self, message):
        """The plaintext of a message of that session."""
        data, iv = (base64.b64decode(message[name]) for name in ("ciphertext", "iv"))
        return AESGCM(self.session_key).decrypt(iv, data, None).decode()


def other_enclave(relay, server):
    """Asks another enclave, which is as genuine."""
    return lambda request: relay.exchange(request, server)


def rescoped(relay, scope):
    """Asks for another scope, or with None for no scope, and hands on the reply as it is."""

    def attack(request):
        request = {name: value for name, value in request.items() if name != "scope"}
        return relay.exchange(request if scope is None else {**request, "scope": scope})

    return attack


def old_exchange(reply):
    """Answers with a reply of before."""
    return lambda request: reply


def late(relay, seconds):
    """Forwards, and holds the reply back."""

    def attack(request):
        reply = relay.exchange(request)
        time.sleep(seconds)
        return reply

    return attack


# ---- attacks on messages ----


def renumbered(message, by):
    """Says another number, and leaves the rest."""
    return {**message, "message_number": message["message_number"] + by}


def renumbered_throughout(message, by):
    """Says another number, in the IV, too."""
    number = message["message_number"] + by
    iv = number.to_bytes(4, "big") + base64.b64decode(message["iv"])[4:]
    return {**message, "message_number": number, "iv": base64.b64encode(iv).decode()}


def truncated(message, by):
    """Leaves off the end."""
    data = base64.b64decode(message["ciphertext"])
    return {**message, "ciphertext": base64.b64encode(data[:-by]).decode()}
