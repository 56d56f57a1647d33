"""A client that was written for the skill's description of this server, and for nothing else, works unchanged.

It sends the members that are described there and no others, reads just the members that are described there, and minds
neither their order nor what else is in a reply.
"""

import base64
import hashlib
import http.client
import json
import os
import re

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
HEX = re.compile(r"^[0-9a-f]+$")


class Client:
    """What an agent does with its HTTP tool. It knows the server as http://localhost:PORT."""

    def __init__(self, port):
        self.port = port

    def call(self, method, path, body=None):
        c = http.client.HTTPConnection("localhost", self.port, timeout=60)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        c.request(method, path, json.dumps(body) if body is not None else None, headers)
        reply = c.getresponse()
        assert reply.status == 200, reply.read()
        value = json.loads(reply.read())
        c.close()
        return value


@pytest.fixture
def client(server):
    return Client(server.port)


def has(value, **types):
    for name, kind in types.items():
        assert name in value, name
        assert isinstance(value[name], kind), (name, value[name])


def is_attestation(reply):
    has(reply, attestation_document=dict, pcr2=str, tee_verified=bool, verification_instructions=dict)
    document = reply["attestation_document"]
    has(document, module_id=str, timestamp=int, pcrs=dict, user_data=str)
    assert "certificate" in document
    has(document["pcrs"], **{"0": str, "1": str, "2": str})
    assert document["pcrs"]["2"] == reply["pcr2"]
    assert document["timestamp"] > 1706198400000


@pytest.mark.smoke
@pytest.mark.route("POST /attestation")
@pytest.mark.parametrize("nonce", ["user-session-123abc", "deadbeef1234abcd", "dGVzdCBub25jZQ==", os.urandom(32).hex()], ids=["text", "hex", "base64", "random"])
def test_pattern_1_a_simple_attestation(client, nonce):
    reply = client.call("POST", "/attestation", {"nonce": nonce})
    is_attestation(reply)
    has(reply["user_data"], timestamp=str, agent=str, guardrail=str)
    assert STAMP.match(reply["user_data"]["timestamp"])
    assert reply["user_data"]["agent"] == "OpenClaw"
    assert reply["user_data"]["guardrail"] == "LLM Proxy with Guardrails"


@pytest.mark.route("POST /attestation")
def test_pattern_1_with_custom_data(client):
    data = {"llm_response": "The answer is 42. – 答え", "n": [1, 2.5, None, True]}
    reply = client.call("POST", "/attestation", {"nonce": "00" * 16, "include_metadata": True, "custom_data": data})
    is_attestation(reply)
    assert reply["custom_data"] == data
    assert reply["custom_digest_method"] == "sha256"
    assert reply["custom_digest"] == hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    has(reply["user_data"], custom_digest=str, custom_digest_method=str)
    assert reply["user_data"]["custom_digest"] == reply["custom_digest"]
    assert reply["user_data"]["custom_digest_method"] == "sha256"


@pytest.mark.route("POST /attestation")
@pytest.mark.parametrize("body", [{}, {"include_metadata": False}, {"custom_data": {"key": "value"}}])
def test_every_parameter_is_optional(client, body):
    is_attestation(client.call("POST", "/attestation", body))


@pytest.mark.route("POST /attestation")
def test_a_development_server_says_so(client):
    reply = client.call("POST", "/attestation", {})
    assert reply["tee_verified"] is False
    assert "_warning" in reply["attestation_document"] and "_warning" in reply
    for index, value in reply["attestation_document"]["pcrs"].items():
        assert set(value) == {index}


class RemoteUser:
    def __init__(self):
        self.private = rsa.generate_private_key(65537, 2048)
        self.pem = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def open_session(self, reply):
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        key = self.private.decrypt(base64.b64decode(reply["encrypted_session_key"]), oaep)
        assert hashlib.sha256(key).hexdigest() == reply["session_key_hash"]
        return AESGCM(key)


@pytest.mark.smoke
@pytest.mark.route("POST /key-exchange")
@pytest.mark.route("POST /encrypt")
@pytest.mark.route("POST /decrypt")
@pytest.mark.parametrize("members", [{}, {"nonce": os.urandom(16).hex()}], ids=["none", "nonce"])
def test_patterns_2_and_3_an_encrypted_conversation(client, members):
    remote = RemoteUser()
    reply = client.call("POST", "/key-exchange", {"user_public_key": remote.pem, **members})
    is_attestation(reply)
    has(reply, session_id=str, encrypted_session_key=str, session_key_hash=str, expires_in_minutes=int)
    assert HEX.match(reply["session_key_hash"]) and len(reply["session_key_hash"]) == 64
    assert reply["expires_in_minutes"] == 60
    session, gcm = reply["session_id"], remote.open_session(reply)

    for n, text in enumerate(["hello", "Grüße, 世界 🔐", "", "x" * 100000]):
        iv = os.urandom(12)
        sealed = {"session_id": session, "ciphertext": base64.b64encode(gcm.encrypt(iv, text.encode(), None)).decode(),
                  "iv": base64.b64encode(iv).decode()}
        got = client.call("POST", "/decrypt", sealed)
        has(got, plaintext=str, session_id=str, message_number=int)
        assert (got["plaintext"], got["session_id"], got["message_number"]) == (text, session, 2 * n + 1)

        sent = client.call("POST", "/encrypt", {"session_id": session, "plaintext": f"you said: {text}"})
        has(sent, ciphertext=str, iv=str, session_id=str, message_number=int)
        assert (sent["session_id"], sent["message_number"]) == (session, 2 * n + 2)
        opened = gcm.decrypt(base64.b64decode(sent["iv"]), base64.b64decode(sent["ciphertext"]), None)
        assert opened.decode() == f"you said: {text}"


@pytest.mark.route("GET /health")
@pytest.mark.route("GET /sessions")
def test_the_state_of_the_server(client):
    before = client.call("GET", "/health")
    has(before, status=str, timestamp=str, tee_available=bool, active_sessions=int)
    assert before["status"] == "healthy" and STAMP.match(before["timestamp"])
    session = client.call("POST", "/key-exchange", {"user_public_key": RemoteUser().pem})["session_id"]
    client.call("POST", "/encrypt", {"session_id": session, "plaintext": "hello"})

    listed = client.call("GET", "/sessions")
    has(listed, active_sessions=int, sessions=list)
    assert listed["active_sessions"] == len(listed["sessions"]) == before["active_sessions"] + 1
    for one in listed["sessions"]:
        has(one, session_id=str, created_at=str, expires_at=str, message_count=int, user_fingerprint=str)
        assert STAMP.match(one["created_at"]) and STAMP.match(one["expires_at"])
        assert HEX.match(one["user_fingerprint"])
    (mine,) = [one for one in listed["sessions"] if session.startswith(one["session_id"].rstrip("."))]
    assert mine["message_count"] == 1
    assert client.call("GET", "/health")["active_sessions"] == listed["active_sessions"]
