"""A server whose documents are really signed, under a root that nobody trusts unless told to."""

import base64
import json

import jsonschema
import yaml

from .document import Document
from .server import TOP, Server


class Simulated(Server):
    """attestd with nsm = simulator; `root` is the file with its root certificate."""

    def __init__(self, directory, *, settings=None, **more):
        self.root = directory / "root.pem"
        super().__init__(directory, nsm="simulator", settings={"nsm_root_out": self.root, **(settings or {})}, **more)

    def attest(self, **members):
        """The reply of POST /attestation."""
        reply = self.post("/attestation", members)
        assert reply.status == 200, reply
        return reply.json()


KINDS = ("plain", "nonce", "custom", "custom_empty", "info", "key_exchange", "bare")


def replies(server, user):
    """Kind -> a reply of that kind, its purpose. openssl's command line agrees on their documents."""
    nonce = "hex:" + "a5" * 32
    info = server.get(f"/attestation?nonce={nonce}")
    keys = server.post("/key-exchange", {"user_public_key": user.pem, "nonce": nonce})
    assert (info.status, keys.status) == (200, 200), (info, keys)
    attested = server.attest(nonce=nonce)
    made = {
        "plain": (server.attest(), "attestation"),
        "nonce": (attested, "attestation"),
        "custom": (server.attest(nonce=nonce, custom_data={"answer": 42, "ü": [1.5, None]}), "attestation"),
        "custom_empty": (server.attest(custom_data=""), "attestation"),
        "info": (info.json(), "info"),
        "key_exchange": (keys.json(), "key-exchange"),
        "bare": (attested["attestation_document"], "attestation"),
    }
    for reply, _ in made.values():
        shown = reply.get("attestation_document", reply)
        Document(base64.b64decode(shown["document"], validate=True)).check_by_openssl(server.root)
    return made


def facts(verdict):
    """What was signed and what follows from it, whatever it came in."""
    names = list(verdict)
    return {name: verdict[name] for name in names[names.index("module_id"):] if name not in ("age_seconds", "verified_at")}


OPENAPI = yaml.safe_load((TOP / "openapi.yaml").read_text())


def check_schema(verdict):
    """openapi.yaml's Verdict, and no member more."""
    schema = {**OPENAPI["components"]["schemas"]["Verdict"], "additionalProperties": False}
    jsonschema.Draft202012Validator(schema, resolver=jsonschema.RefResolver.from_schema(OPENAPI)).validate(verdict)
    assert list(verdict) == schema["required"]
    assert verdict["verified"] == (verdict["code"] == "verified")
    assert [c["name"] for c in verdict["checks"]] == schema["properties"]["checks"]["items"]["properties"]["name"]["enum"]
    if verdict["verified"]:
        assert {c["result"] for c in verdict["checks"]} <= {"pass", "not_asked"}
    signed = next(c["result"] for c in verdict["checks"] if c["name"] == "signature") == "pass"
    assert all((value is None) for value in facts(verdict).values()) == (not signed)


def as_json(reply):
    return json.dumps(reply).encode()
