"""Attestation documents as others read them: cbor2 and cryptography, and openssl's command line."""

import subprocess
import tempfile
from pathlib import Path

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

MEMBERS = {"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"}


class Document:
    """A COSE_Sign1, decoded and not judged."""

    def __init__(self, cose):
        self.cose = cose
        self.protected, self.unprotected, self.signed, self.signature = cbor2.loads(cose)
        self.payload = cbor2.loads(self.signed)
        self.chain = [*self.payload["cabundle"], self.payload["certificate"]]
        self.certificates = [x509.load_der_x509_certificate(der) for der in self.chain]
        self.to_be_signed = cbor2.dumps(["Signature1", self.protected, b"", self.signed])

    @property
    def dss(self):
        """The signature in DER."""
        return encode_dss_signature(*(int.from_bytes(self.signature[i:i + 48], "big") for i in (0, 48)))

    def check_shape(self):
        """What AWS's NSM emits today."""
        assert self.cose[0] == 0x84 and self.signed[0] == 0xbf, "untagged; the payload's map is indefinite"
        assert cbor2.loads(self.protected) == {1: -35} and self.unprotected == {} and len(self.signature) == 96
        assert set(self.payload) == MEMBERS and self.payload["digest"] == "SHA384"
        assert {len(v) for v in self.payload["pcrs"].values()} == {48} and len(self.payload["cabundle"]) == 4

    def verify(self):
        """Chain and signature by cryptography; raises or asserts."""
        for issuer, cert in zip(self.certificates[:1] + self.certificates, self.certificates):
            assert cert.issuer == issuer.subject
            issuer.public_key().verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(hashes.SHA384()))
        self.certificates[-1].public_key().verify(self.dss, self.to_be_signed, ec.ECDSA(hashes.SHA384()))

    def openssl(self, directory, root, *flags):
        """What openssl's command line says: (of the chain under the root file `root`, of the signature)."""
        directory.mkdir(exist_ok=True)
        return self.openssl_chain(directory, root, *flags), self.openssl_signature(directory)

    def openssl_chain(self, directory, root, *flags):
        leaf, rest = directory / "leaf.pem", directory / "rest.pem"
        pem = [c.public_bytes(serialization.Encoding.PEM) for c in self.certificates]
        leaf.write_bytes(pem[-1])
        rest.write_bytes(b"".join(pem[1:-1]))
        return run("openssl", "verify", "-no-CApath", "-no-CAstore", "-check_ss_sig", "-CAfile", root, "-untrusted", rest,
                   *flags, leaf)

    def openssl_signature(self, directory):
        key, signature = directory / "key.pem", directory / "signature"
        key.write_bytes(self.certificates[-1].public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        signature.write_bytes(self.dss)
        return run("openssl", "dgst", "-sha384", "-verify", key, "-signature", signature, data=self.to_be_signed)

    def check_by_openssl(self, root):
        """openssl's command line must agree on the chain, at the document's own time, and on the signature."""
        seen = (Path(root).read_bytes(), *self.chain)
        with tempfile.TemporaryDirectory() as directory:
            if seen not in _chains:
                at = str(self.payload["timestamp"] // 1000)
                good, said = self.openssl_chain(Path(directory), root, "-attime", at)
                assert good, said
                _chains.add(seen)
            good, said = self.openssl_signature(Path(directory))
            assert good, said


_chains = set()  # root file and chain, of those that openssl has accepted: a simulator's documents share one


def run(*command, data=b""):
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode == 0, done.stdout.decode()
