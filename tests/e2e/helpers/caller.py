"""Somebody who speaks to tls_listen: with the key of a client certificate, which is who they are, or with none."""

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from .server import any_certificate


def self_signed(key, name="anybody"):
    """A certificate for the key, signed by the key itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
    return made.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


class Caller:
    """Caller(server) has no certificate; Caller(server, tmp_path / "alice") has one of a new key, kept in these files."""

    def __init__(self, server, files=None, key=None):
        self.server = server
        self.context = any_certificate()
        if files is None:
            return
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        pem = serialization.Encoding.PEM
        self.cert_file, self.key_file = files.with_suffix(".crt"), files.with_suffix(".key")
        self.cert_file.write_bytes(self_signed(self.key).public_bytes(pem))
        self.key_file.write_bytes(self.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.context.load_cert_chain(self.cert_file, self.key_file)

    @property
    def identity(self):
        """SHA-256 of the key's SubjectPublicKeyInfo, in hex."""
        public = self.key.public_key()
        return hashlib.sha256(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()

    def http(self):
        """A kept-alive connection."""
        return self.server.http(self.server.tls, context=self.context)

    def request(self, method, path, body=None, *, connection=None, **how):
        c = connection or self.http()
        try:
            return self.server.request(method, path, body, connection=c, **how)
        finally:
            if connection is None:
                c.close()

    def store(self, body, kind="application/octet-stream", **how):
        return self.request("POST", "/private-data", body, headers={"Content-Type": kind}, **how)

    def kept(self, body, kind="application/octet-stream"):
        """Stores it; the id."""
        reply = self.store(body, kind)
        assert reply.status == 201, reply
        return reply.json()["id"]

    def get(self, ident=None):
        return self.request("GET", "/private-data" if ident is None else f"/private-data/{ident}")

    def delete(self, ident):
        return self.request("DELETE", f"/private-data/{ident}")
