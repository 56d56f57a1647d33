"""A stand-in for /dev/nsm (nsm_shim.c), which does what it is told by the environment and by the nonces it is given."""

import base64
import os
import time
from urllib.parse import quote

import cbor2

from .server import BUILD, PATIENCE


class StandIn:
    """`directory` holds what the servers on it share: the list of calls, and the word to go on.

    Faults are words, see nsm_shim.c: per kind of call for servers made with server(GetRandom="size=5"), and per call as
    the text of an attestation's nonce."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()

    def server(self, *, settings=None, nsm="device", **faults):
        """What Server needs to run on this."""
        library = BUILD / "e2e" / "nsm_shim.so"
        assert library.exists(), f"{library} does not exist: make e2e"
        asan = [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]  # a preloaded library comes before ASan's
        return {
            "nsm": nsm,
            "settings": {"runtime_dir": self.directory, **(settings or {})},
            "env": {"LD_PRELOAD": str(library), "ASAN_OPTIONS": ":".join(filter(None, asan)),
                    "NSM_SHIM": str(self.directory), **{f"NSM_SHIM_{call}": words for call, words in faults.items()}},
        }

    def calls(self, name="Attestation"):
        """The nonces of all calls of this name so far, in their order."""
        try:
            lines = (self.directory / "calls").read_text().split("\n")[:-1]
        except FileNotFoundError:
            return []
        return [bytes.fromhex(nonce).decode() for kind, nonce in (line.split(" ") for line in lines) if kind == name]

    def until_called(self, nonce):
        deadline = time.monotonic() + 20 * PATIENCE
        while nonce not in self.calls():
            assert time.monotonic() < deadline, f"the NSM was never asked for {nonce!r}"
            time.sleep(0.005)

    def go_on(self):
        """Answers the calls that hold, and all later ones."""
        (self.directory / "go").touch()


def text(nonce, **members):
    """The body of a POST /attestation with this text for a nonce."""
    return {"nonce": nonce, "nonce_encoding": "text", **members}


def query(nonce):
    """The target of a GET /attestation with this text for a nonce."""
    return f"/attestation?nonce={quote(nonce)}&nonce_encoding=text"


def payload(document):
    """The payload of a COSE_Sign1 in base64."""
    protected, unprotected, inside, signature = cbor2.loads(base64.b64decode(document, validate=True))
    assert cbor2.loads(protected) == {1: -35} and unprotected == {} and len(signature) == 96
    return cbor2.loads(inside)
