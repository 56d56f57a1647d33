"""A second verifier of Nitro documents, written from the specifications alone on cbor2 and `cryptography`.

It is strict in its own way: whatever writing a document's parts anew does not give back byte for byte is refused. So it
needs no rule against duplicate keys, trailing bytes, long heads or split strings, each of which it refuses.
"""

import datetime

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .forge import indefinite

TAG18 = b"\xd2"
ES384_HEADER = bytes.fromhex("a1013822")
ES384_OID = "1.2.840.10045.4.3.3"
SIZE_MAX = 16 * 1024
EPOCH = datetime.datetime(1970, 1, 1)
FIELDS = {"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"}


class Refused(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Refused(what)


def is_bytes(value, least, most):
    return type(value) is bytes and least <= len(value) <= most


def read_cose(document):
    require(len(document) <= SIZE_MAX, "too large")
    body = document[1:] if document[:1] == TAG18 else document
    try:
        parts = cbor2.loads(body)
        again = cbor2.dumps(parts)
    except Exception as e:  # whatever the decoder has against it
        raise Refused("not CBOR") from e
    require(again == body, "not the CBOR that its value is written as")
    require(type(parts) is list and len(parts) == 4, "not four parts")
    protected, unprotected, payload, signature = parts
    require(protected == ES384_HEADER, "another protected header")
    require(unprotected == {}, "an unprotected header")
    require(is_bytes(payload, 1, SIZE_MAX) and is_bytes(signature, 96, 96), "payload or signature")
    return protected, payload, signature


def read_payload(payload):
    try:
        f = cbor2.loads(payload)
        again = [cbor2.dumps(f)] + ([indefinite(f)] if type(f) is dict else [])
    except Exception as e:
        raise Refused("the payload is not CBOR") from e
    require(payload in again, "the payload is not the CBOR that its value is written as")
    require(type(f) is dict and set(f) == FIELDS, "other fields")
    require(type(f["module_id"]) is str and 1 <= len(f["module_id"]) < 128 and f["module_id"].isprintable(), "module_id")
    require(f["digest"] == "SHA384", "digest")
    require(type(f["timestamp"]) is int and 0 < f["timestamp"] < 2**63, "timestamp")
    pcrs = f["pcrs"]
    require(type(pcrs) is dict and 16 <= len(pcrs) <= 32, "pcrs")
    require(all(type(i) is int and 0 <= i < 32 and is_bytes(v, 48, 48) for i, v in pcrs.items()), "a PCR")
    require(set(range(16)) <= set(pcrs), "PCR0 to PCR15")
    require(is_bytes(f["certificate"], 1, 1024), "certificate")
    require(type(f["cabundle"]) is list and all(is_bytes(c, 1, 1024) for c in f["cabundle"]), "cabundle")
    for optional in ("public_key", "user_data", "nonce"):
        require(f[optional] is None or is_bytes(f[optional], 0, 1024), optional)
    return f


def extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        raise Refused(f"no {kind.__name__}") from None


def read_certificate(der):
    try:
        c = x509.load_der_x509_certificate(der)
        known = {x509.BasicConstraints, x509.KeyUsage}
        require(all(type(e.value) in known or not e.critical for e in c.extensions), "a critical extension")
        require(c.version is x509.Version.v3, "version")
        require(c.signature_algorithm_oid.dotted_string == ES384_OID, "signature algorithm")
        require(c.tbs_certificate_bytes.count(bytes.fromhex("300a06082a8648ce3d040303")) == 1, "inner algorithm")
        require(isinstance(c.public_key(), ec.EllipticCurvePublicKey), "key")
        require(c.public_key().curve.name == "secp384r1", "curve")
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as e:
        raise Refused("certificate") from e
    return c


def check_chain(bundle, leaf_der, root, at):
    require(len(bundle) > 0 and bundle[0] == root, "root")
    chain = [read_certificate(der) for der in [*bundle, leaf_der]]
    for i, c in enumerate(chain):
        issuer, is_leaf = chain[max(i - 1, 0)], i == len(chain) - 1
        require(c.issuer == issuer.subject, "issuer")
        try:
            issuer.public_key().verify(c.signature, c.tbs_certificate_bytes, ec.ECDSA(hashes.SHA384()))
        except InvalidSignature:
            raise Refused("a certificate's signature") from None
        basic, usage = extension(c, x509.BasicConstraints).value, extension(c, x509.KeyUsage).value
        require(basic.ca is not is_leaf, "CA")
        require(usage.digital_signature if is_leaf else usage.key_cert_sign, "key usage")
        below = len(chain) - 2 - i  # CAs between this one and the leaf
        require(is_leaf or basic.path_length is None or below <= basic.path_length, "path length")
        since, until = ((t - EPOCH).total_seconds() for t in (c.not_valid_before, c.not_valid_after))
        require(since <= at <= until, "validity")
    return chain[-1].public_key()



def verify(document, root, at):
    """The payload's fields. at: Unix seconds, or None for the document's own time. Refused says why not."""
    protected, payload, signature = read_cose(document)
    f = read_payload(payload)
    try:
        key = check_chain(f["cabundle"], f["certificate"], root, f["timestamp"] // 1000 if at is None else at)
    except Refused:
        raise
    except Exception as e:  # `cryptography` reads names only when asked, and raises what comes then
        raise Refused("certificate") from e
    r, s = (int.from_bytes(half, "big") for half in (signature[:48], signature[48:]))
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        raise Refused("signature") from None
    return f
