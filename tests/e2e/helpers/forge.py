"""An NSM and a certificate authority that lie as they are told, in `cryptography` and `cbor2`.

What a Forger makes is perfect but for the lie that was asked for: a verifier that has its root pinned has that one
reason to refuse it. (`attestd simulate` is what does not lie.)
"""

import base64
import datetime
import hashlib
import json

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

AT = 1_750_000_000  # when documents are made, unless told otherwise (Unix seconds)
DAY = 86400
ES256, ES384, ES512 = -7, -35, -36
ABSENT = object()  # a field that is left out
AWS = {NameOID.COUNTRY_NAME: "US", NameOID.ORGANIZATION_NAME: "Amazon", NameOID.ORGANIZATIONAL_UNIT_NAME: "AWS"}
CA, LEAF = {"key_cert_sign"}, {"digital_signature", "content_commitment"}
USAGES = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
          "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]


def name(common):
    attributes = {**AWS, NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes.items()])


ROOT_NAME = name("aws.nitro-enclaves")


def p384():
    return ec.generate_private_key(ec.SECP384R1())


def p256():
    return ec.generate_private_key(ec.SECP256R1())


def p521():
    return ec.generate_private_key(ec.SECP521R1())


def rsa2048():
    return rsa.generate_private_key(65537, 2048)


def moment(unix):
    return datetime.datetime.fromtimestamp(unix, datetime.timezone.utc).replace(tzinfo=None)


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def certificate(subject, key, issuer, issuer_key, *, since, until, path_length=None, usage=CA, digest=None):
    """DER. usage without key_cert_sign makes a leaf."""
    ca = "key_cert_sign" in usage
    b = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    b = b.serial_number(x509.random_serial_number()).not_valid_before(moment(since)).not_valid_after(moment(until))
    b = b.add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
    b = b.add_extension(x509.KeyUsage(**{u: u in usage for u in USAGES}), critical=ca)
    return der(b.sign(issuer_key, digest or hashes.SHA384()))


def pem(der_bytes):
    body = base64.encodebytes(der_bytes).decode().replace("\n", "")
    lines = [body[i:i + 64] for i in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def ecdsa(key, message, digest, size):
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def cose(payload, key, *, alg=ES384, digest=None, size=48, protected=None):
    """A COSE_Sign1 over the payload's bytes."""
    protected = cbor2.dumps({1: alg}) if protected is None else protected
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    return cbor2.dumps([protected, {}, payload, ecdsa(key, signed, digest or hashes.SHA384(), size)])


def indefinite(fields):
    """The payload's map as the NSM writes it since 2025."""
    return b"\xbf" + b"".join(cbor2.dumps(k) + cbor2.dumps(v) for k, v in fields.items()) + b"\xff"


def pcr(i):
    """A value that is not zero, another one for each index."""
    return bytes([0xA0 + i]) * 48


class Forger:
    """A root of its own, and what AWS's infrastructure makes under it: region, zone, instance, leaf.

    root_key and root: another forger's, to sign in its name."""

    def __init__(self, at=AT):
        self.at = at
        self.names = [ROOT_NAME, *map(name, ("region.us-east-1.aws.nitro-enclaves", "zone.us-east-1.aws.nitro-enclaves",
                                             "i-0.us-east-1.aws.nitro-enclaves"))]
        self.leaf_name = name("i-0-enc0.us-east-1.aws")
        self.keys = [p384() for _ in self.names]
        self.key = p384()
        self.cabundle = [
            certificate(self.names[i], self.keys[i], self.names[max(i - 1, 0)], self.keys[max(i - 1, 0)],
                        since=at - days * DAY, until=at + days * DAY, path_length=length)
            for i, (days, length) in enumerate([(9000, None), (10, 2), (3, 1), (1, 0)])
        ]
        self.leaf = self.make_leaf(self.key)

    @property
    def root(self):
        return self.cabundle[0]

    def make_leaf(self, key, **other):
        how = {"since": self.at - 60, "until": self.at + 3 * 3600, "usage": LEAF, **other}
        return certificate(self.leaf_name, key, self.names[-1], self.keys[-1], **how)

    def policy(self, **members):
        """A policy under which only the lie stands in the way."""
        return {"root": pem(self.root), "at": str(self.at), **members}

    def fields(self, **other):
        """The payload; fields that are ABSENT are left out."""
        zero = bytes(48)
        f = {
            "module_id": "i-0-enc0",
            "digest": "SHA384",
            "timestamp": self.at * 1000,
            "pcrs": {i: pcr(i) if i in (0, 1, 2, 4) else zero for i in range(16)},
            "certificate": self.leaf,
            "cabundle": self.cabundle,
            "public_key": None,
            "user_data": None,
            "nonce": None,
            **other,
        }
        return {k: v for k, v in f.items() if v is not ABSENT}

    def document(self, *, key=None, how=None, **fields):
        """A signed document. key: another than the leaf's. how: for cose()."""
        return cose(indefinite(self.fields(**fields)), key or self.key, **(how or {}))

    def pcrs(self, **other):
        """The PCRs of a document, with others: pcrs(pcr0=bytes)."""
        return {**self.fields()["pcrs"], **{int(k[3:]): v for k, v in other.items()}}

    # ---- what attestd says in documents, and beside them ----

    def claims(self, purpose="attestation", **own):
        """A claim as the server makes it."""
        return json.dumps({"purpose": purpose, "timestamp": moment(self.at).strftime("%Y-%m-%dT%H:%M:%SZ"),
                           "agent": "OpenClaw", "guardrail": "LLM Proxy with Guardrails", **own}).encode()

    def reply(self, user_data, nonce=None, beside=None, **document):
        """The reply that shows a document which signs this user_data (bytes), with the members of `beside`."""
        made = self.document(user_data=user_data, nonce=nonce, **document)
        f = cbor2.loads(cbor2.loads(made)[2])
        b64 = lambda b: None if b is None else base64.b64encode(b).decode()  # noqa: E731
        return {
            "attestation_document": {
                **{k: f[k] for k in ("module_id", "timestamp", "digest")},
                "pcrs": {str(i): v.hex() for i, v in f["pcrs"].items()},
                "certificate": b64(f["certificate"]),
                "cabundle": [b64(c) for c in f["cabundle"]],
                **{k: b64(f[k]) for k in ("public_key", "user_data", "nonce")},
                "document": b64(made),
            },
            "pcr2": f["pcrs"][2].hex(),
            "user_data": json.loads(user_data),
            "timestamp": moment(self.at).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "nonce_hex": nonce.hex() if nonce is not None else None,
            "nonce_encoding": "hex" if nonce is not None else None,
            "tee_verified": True,
            "verification_instructions": {},
            **(beside or {}),
        }

    def attested(self, custom=None, **more):
        """The reply of POST /attestation."""
        if custom is None:
            return self.reply(self.claims(), nonce=b"n" * 20, **more)
        text = json.dumps(custom, sort_keys=True)
        digest = {"custom_digest": hashlib.sha256(text.encode()).hexdigest(), "custom_digest_method": "sha256"}
        beside = {**digest, "custom_data": custom, "custom_data_canonical": text}
        return self.reply(self.claims(**digest), nonce=b"n" * 20, beside=beside, **more)

    def key_exchange(self, **more):
        """The reply of POST /key-exchange."""
        own = {"session_id": "s" * 43, "session_key_hash": "ab" * 32, "user_key_hash": "cd" * 32}
        beside = {**own, "encrypted_session_key": base64.b64encode(bytes(256)).decode(), "expires_in_minutes": 60}
        return self.reply(self.claims("key-exchange", **own, key_exchange_version="1.1"), beside=beside, **more)

    def info(self, **more):
        """The reply of GET /attestation."""
        own = {"info_digest": hashlib.sha256(b"{}").hexdigest(), "info_digest_method": "sha256"}
        reply = self.reply(self.claims("info", **own), nonce=b"n" * 20, **more)
        return {**reply, "quote": reply["attestation_document"]["document"], "eventLog": "[]"}

    def vsock(self, user_data="what the asker said", nonce="a-nonce-of-some-length", **document):
        """The reply of the vsock protocol's `attest`."""
        made = self.document(**{"user_data": user_data.encode(), "nonce": nonce.encode(), **document})
        key = document.get("public_key")
        beside = {"key_id": hashlib.sha256(key).hexdigest(), "key_expires_in_seconds": 300} if key else {}
        return {"success": True, "attestation_document": base64.b64encode(made).decode(), "timestamp": self.at * 1000,
                "user_data": user_data, "nonce": nonce, "has_public_key": bool(key), "document_size": len(made),
                "tee_verified": False, **beside, "_warning": "SIMULATED"}


# ---- certificates that `cryptography` does not make ----

ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
P384_PRIME = 2**384 - 2**128 - 2**96 + 2**32 - 1
P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
P384_B = 0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF


def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    length = bytes([n]) if n < 128 else bytes([0x81, n]) if n < 256 else b"\x82" + n.to_bytes(2, "big")
    return bytes([tag]) + length + body


def integer(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def point(key, form=serialization.PublicFormat.UncompressedPoint):
    return key.public_key().public_bytes(serialization.Encoding.X962, form)


def explicit_spki(key):
    """The public key with its curve spelled out, where who reads it has to see for himself that it is P-384."""
    generator = point(ec.derive_private_key(1, ec.SECP384R1()))
    curve = tlv(0x30, tlv(4, (P384_PRIME - 3).to_bytes(48, "big")), tlv(4, P384_B.to_bytes(48, "big")))
    field = tlv(0x30, bytes.fromhex("06072a8648ce3d0101"), integer(P384_PRIME))
    parameters = tlv(0x30, integer(1), field, curve, tlv(4, generator), integer(P384_ORDER), integer(1))
    return tlv(0x30, tlv(0x30, EC_PUBLIC_KEY, parameters), tlv(3, b"\0", point(key)))


def compressed_spki(key):
    compressed = point(key, serialization.PublicFormat.CompressedPoint)
    return tlv(0x30, tlv(0x30, EC_PUBLIC_KEY, bytes.fromhex("06052b81040022")), tlv(3, b"\0", compressed))


def with_spki(certificate_der, key, spki, issuer_key):
    """The certificate with its public key written otherwise, signed anew."""
    old = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    tbs = x509.load_der_x509_certificate(certificate_der).tbs_certificate_bytes
    assert tbs[:2] == b"\x30\x82" and tbs.count(old) == 1
    tbs = tlv(0x30, tbs[4:].replace(old, spki))
    signature = issuer_key.sign(tbs, ec.ECDSA(hashes.SHA384()))
    return tlv(0x30, tbs, ECDSA_SHA384, tlv(3, b"\0", signature))
