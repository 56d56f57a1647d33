"""TLS as clients speak it: Python's ssl, openssl's command line, and files with keys and certificates."""

import datetime
import hashlib
import os
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from .server import PATIENCE, any_certificate
from .wire import Incomplete, Wire, take_reply

KEYS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
}


def context(low=None, high=None, *, ciphers=None, alpn=None, certificate=None):
    """A client's, which believes any certificate; low, high: ssl.TLSVersion; certificate: files of its own."""
    c = any_certificate()
    if ciphers:
        c.set_ciphers(ciphers)
    if low:
        c.minimum_version = low
    if high:
        c.maximum_version = high
    if alpn:
        c.set_alpn_protocols(alpn)
    if certificate:
        c.load_cert_chain(*certificate)
    return c


def dial(server, how=None, at=None, timeout=30, *, orderly=True):
    """A socket after its handshake. orderly: an end without close_notify is an error."""
    s = server.connect(at or server.tls, timeout)
    try:
        return (how or context()).wrap_socket(s, server_hostname="localhost", suppress_ragged_eofs=not orderly)
    except BaseException:
        s.close()
        raise


class TlsWire(Wire):
    """One TLS connection, for sending bytes and taking replies one by one."""

    def __init__(self, server, how=None, at=None, timeout=30):
        self.socket = dial(server, how, at, timeout)
        self.got = b""

    @property
    def hash(self):
        return cert_hash(self.socket)


def cert_hash(s):
    """SHA-256 of the server's certificate on this connection, in hex."""
    return hashlib.sha256(s.getpeercert(True)).hexdigest()


def spki_hash(der):
    key = x509.load_der_x509_certificate(der).public_key()
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class HalfClosing:
    """A TLS connection whose records are in our hands, so that it can say that it sends no more and go on reading."""

    def __init__(self, server, at=None):
        self.socket = server.connect(at or server.tls)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self._run(self.tls.do_handshake)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _flush(self):
        self.socket.sendall(self.outgoing.read())

    def _run(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                more = self.socket.recv(65536)
                if more:
                    self.incoming.write(more)
                else:
                    self.incoming.write_eof()
            finally:
                self._flush()

    def send(self, data):
        self.tls.write(data)
        self._flush()
        return self

    def say_end(self):
        """close_notify."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()
        return self

    def rest(self):
        """All that comes until the server's close_notify."""
        got = b""
        while True:
            try:
                more = self._run(lambda: self.tls.read(65536))
            except ssl.SSLZeroReturnError:
                return got
            if not more:
                return got
            got += more

    def reply(self):
        got = b""
        while True:
            try:
                return take_reply(got)[0]
            except Incomplete:
                got += self._run(lambda: self.tls.read(65536))


def s_client(server, *args, at=None, send=b"", timeout=30):
    """What `openssl s_client` says, errors included, after it has sent this."""
    at = (at or server.tls).removeprefix("https://")
    run = subprocess.run(["openssl", "s_client", "-connect", at, "-servername", "localhost", *args], input=send, timeout=timeout * PATIENCE,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return run.stdout.decode(errors="replace")


def make_certificate(key, *, days=1.0, since_days=0.0, name="localhost"):
    """Self-signed."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=since_days, minutes=1))
    made = made.not_valid_after(now + datetime.timedelta(days=days))
    return made.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


class Pair:
    """Files with a certificate and its key, in a directory: cert.pem and key.pem."""

    def __init__(self, directory, kind="p256", *, passphrase=None, **how):
        directory.mkdir(exist_ok=True)
        self.cert_file, self.key_file = directory / "cert.pem", directory / "key.pem"
        self.renew(kind, passphrase=passphrase, **how)

    def renew(self, kind="p256", *, passphrase=None, **how):
        key = KEYS[kind]()
        self.certificate = make_certificate(key, **how)
        secrecy = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secrecy)
        self.cert_file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.key_file.unlink(missing_ok=True)
        with os.fdopen(os.open(self.key_file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(pem)
        return self

    @property
    def hash(self):
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    @property
    def settings(self):
        return {"tls_cert_file": self.cert_file, "tls_key_file": self.key_file}
