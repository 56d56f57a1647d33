"""Whoever ends TLS between a client and the enclave, with a key and a certificate of their own."""

import datetime
import hashlib
import http.client
import ssl
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .relay import Liar
from .server import any_certificate


def certificate(key, signer, name, **lifetime):
    """A PEM certificate for a public key, by the holder of another, if need be."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(hours=1)).sign(signer, hashes.SHA256()))
    return made.public_bytes(serialization.Encoding.PEM).decode()


class OwnCertificate:
    """A P-256 key and a self-signed certificate in files; `pem` and `public_pem` are certificate and public key as text."""

    def __init__(self, directory, name="relay.example"):
        key = ec.generate_private_key(ec.SECP256R1())
        self.pem = certificate(key.public_key(), key, name)
        self.public_pem = key.public_key().public_bytes(serialization.Encoding.PEM,
                                                        serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        self.cert_file, self.key_file = Path(directory) / "cert.pem", Path(directory) / "key.pem"
        self.cert_file.write_text(self.pem)
        self.key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption()))
        self.key_file.chmod(0o600)


def cert_hash(url):
    """The SHA-256 of the certificate that a TLS listener shows."""
    where = urlsplit(url)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((where.hostname, where.port)))).hexdigest()


class TLSLiar(Liar):
    """Ends TLS with a certificate of its own, unless it is given one, and hands on what `request` and `reply` make of a
    body, over TLS or not, as the server's URL says."""

    def __init__(self, server, own=None, **how):
        self.directory = tempfile.TemporaryDirectory()
        self.own = own or OwnCertificate(self.directory.name)
        super().__init__(server, **how)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.own.cert_file, self.own.key_file)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def forward(self, method, path, body, server=None):
        where = urlsplit(server or self.server)
        c = (http.client.HTTPSConnection(where.netloc, timeout=60, context=any_certificate()) if where.scheme == "https"
             else http.client.HTTPConnection(where.netloc, timeout=60))
        c.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
        reply = c.getresponse()
        data = reply.read()
        c.close()
        return reply.status, reply.headers["Content-Type"], data

    def close(self):
        super().close()
        self.directory.cleanup()
