"""The other side of attested peers: a client that takes every step itself, and does each of them wrongly when asked to."""

import base64
import hashlib
import json
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .caller import self_signed
from .document import Document
from .server import Server, any_certificate

PEM = serialization.Encoding.PEM


def peer_server(directory, nsm, root, **settings):
    """A server for peers whose documents are under the root certificate in the file `root`; nsm: the back end's name."""
    return Server(directory, nsm=nsm, settings={"peer_root": root, "peer_listen": "127.0.0.1:0", "peer_tls_listen": "127.0.0.1:0",
                                                **settings})


def spki(public):
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Peer:
    """An enclave beside the server's: `nsm` is its simulator. Its key is a new one unless given."""

    def __init__(self, server, nsm, directory, key=None):
        self.server = server
        self.nsm = nsm
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.pem = self.key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        self.key_hash = sha256(spki(self.key.public_key()))
        self.files = directory / f"peer-{self.key_hash[:16]}"

    # ---- where enclaves exchange reports ----

    def request(self, method, path, body=None, **how):
        return self.server.request(method, path, body, at=self.server.listener("peer_listen"), **how)

    def get(self, path):
        reply = self.request("GET", path)
        assert reply.status == 200, reply
        return reply.json()

    def cert(self):
        """The certificate of the mutual-TLS listener, and the hash of its key."""
        reply = self.get("/cert")
        cert = x509.load_pem_x509_certificate(reply["certificate"].encode())
        assert reply == {"certificate": cert.public_bytes(PEM).decode(), "key_hash": sha256(spki(cert.public_key()))}
        return cert, reply["key_hash"]

    def challenge(self):
        return bytes.fromhex(self.get("/challenge")["challenge"])

    def check_server(self, root, config_digest):
        """Steps 1 to 3, under the root of the server's simulator: the server's certificate, once it is proven."""
        challenge = os.urandom(32)
        cert, key_hash = self.cert()
        reply = self.request("POST", "/report", {"challenge": challenge.hex(), "public_key": self.pem})
        assert reply.status == 200, reply
        reply = reply.json()
        document = Document(base64.b64decode(reply["attestation_document"]["document"]))
        document.check_by_openssl(root)
        claims = json.loads(document.payload["user_data"])
        assert list(claims)[0] == "purpose" and document.payload["nonce"] == challenge
        assert {k: claims[k] for k in ("purpose", "role", "key_hash", "peer_key_hash", "config_digest")} == {
            "purpose": "peer", "role": "server", "key_hash": key_hash, "peer_key_hash": self.key_hash,
            "config_digest": config_digest}
        assert reply["certificate"].encode() == cert.public_bytes(PEM)
        return cert

    def document(self, challenge, **claims):
        """A report of this enclave; claims: what it says instead of the truth (None: leaves it out)."""
        said = {"purpose": "peer", "timestamp": "2026-01-30T12:00:00Z", "agent": "OpenClaw",
                "guardrail": "LLM Proxy with Guardrails", "role": "client", "key_hash": self.key_hash,
                "peer_key_hash": self.cert()[1], "config_digest": self.get("/client")["config_digest"], **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return self.nsm.document(json.dumps(said, separators=(",", ":")).encode(), challenge, sound=False)

    def client_request(self, document, public_key=None):
        return {"attestation_document": base64.b64encode(document).decode(), "public_key": public_key or self.pem}

    def send(self, document, public_key=None):
        """POST /client, whatever comes of it."""
        return self.request("POST", "/client", self.client_request(document, public_key))

    def attest(self, **claims):
        """Steps 4 and 5, whatever comes of it."""
        return self.send(self.document(self.challenge(), **claims))

    def attested(self):
        """The same; the certificate that it got."""
        reply = self.attest()
        assert reply.status == 200, reply
        self.issued = x509.load_pem_x509_certificate(reply.json()["certificate"].encode())
        return self.issued

    # ---- and where they meet ----

    def context(self, cert=None, key=None):
        """For TLS with a certificate (the one that was issued if none is given) and the key to it."""
        context = any_certificate()
        cert_file, key_file = self.files.with_suffix(".crt"), self.files.with_suffix(".key")
        cert_file.write_bytes((cert or self.issued).public_bytes(PEM))
        key_file.write_bytes((key or self.key).private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context.load_cert_chain(cert_file, key_file)
        return context

    def self_signed(self):
        """A certificate of its own making."""
        return self_signed(self.key)

    def connect(self, context=None):
        """A kept-alive connection to the mutual-TLS listener."""
        return self.server.http(at=self.server.listener("peer_tls_listen"), context=context or self.context())

    def meet(self, path, method="GET", context=None, **how):
        c = self.connect(context)
        try:
            return self.server.request(method, path, connection=c, **how)
        finally:
            c.close()

    def refused(self, context):
        """Does the handshake end it? With TLS 1.3 a client learns that by what it reads next."""
        try:
            reply = self.meet("/ping", context=context)
        except (ssl.SSLError, ConnectionError):
            return True
        assert reply.status == 200, reply
        return False


class Met:
    """An attested peer that talks to the mutual-TLS listener alone."""

    def __init__(self, peer):
        peer.attested()
        self.peer = peer

    def request(self, method, path, body=None, **how):
        return self.peer.meet(path, method, body=body, **how)
