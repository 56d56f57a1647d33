"""The user's side of an encrypted session, written from the protocol alone with `cryptography`."""

import base64
import hashlib
import json
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class User:
    """Somebody with an RSA key."""

    def __init__(self, bits=2048, exponent=65537):
        self.key = rsa.generate_private_key(exponent, bits)

    def _public(self, encoding, form):
        return self.key.public_key().public_bytes(encoding, form)

    @property
    def pem(self):
        """BEGIN PUBLIC KEY"""
        return self._public(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def pkcs1(self):
        """BEGIN RSA PUBLIC KEY"""
        return self._public(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1).decode()

    @property
    def spki(self):
        return self._public(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_hash(self):
        return hashlib.sha256(self.spki).hexdigest()

    def unwrap(self, wrapped):
        """The session key in an `encrypted_session_key`."""
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        return self.key.decrypt(base64.b64decode(wrapped, validate=True), oaep)


class UserSession:
    """A session that was opened by POST /key-exchange, checked as a user must check it."""

    def __init__(self, server, user, *, at=None, **members):
        reply = server.post("/key-exchange", {"user_public_key": user.pem, **members}, at=at)
        assert reply.status == 200, reply
        self.reply = reply.json()
        self.id = self.reply["session_id"]
        self.scope = members.get("scope")
        self.key = user.unwrap(self.reply["encrypted_session_key"])
        assert hashlib.sha256(self.key).hexdigest() == self.reply["session_key_hash"]
        assert self.reply["user_key_hash"] == user.key_hash
        claims = json.loads(base64.b64decode(self.reply["attestation_document"]["user_data"]))
        for said in (self.reply, claims):
            assert said.get("scope_hash") == (hashlib.sha256(self.scope.encode()).hexdigest() if self.scope else None)
        self.gcm = AESGCM(self.key)

    def seal(self, text, iv=None):
        """The body of a POST /decrypt."""
        data = text if isinstance(text, bytes) else text.encode()
        iv = os.urandom(12) if iv is None else iv
        return {
            "session_id": self.id,
            "ciphertext": base64.b64encode(self.gcm.encrypt(iv, data, None)).decode(),
            "iv": base64.b64encode(iv).decode(),
            **({"scope": self.scope} if self.scope else {}),
        }

    def open(self, reply):
        """The text of a POST /encrypt's reply, whose IV must carry its number."""
        iv = base64.b64decode(reply["iv"], validate=True)
        assert int.from_bytes(iv[:4], "big") == reply["message_number"]
        return self.gcm.decrypt(iv, base64.b64decode(reply["ciphertext"], validate=True), None).decode()

    def plain(self, text):
        """The body of a POST /encrypt."""
        return {"session_id": self.id, "plaintext": text, **({"scope": self.scope} if self.scope else {})}
