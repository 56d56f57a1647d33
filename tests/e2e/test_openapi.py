"""openapi.yaml tells the truth: every example replays, every reply is as its schema says and has no member more."""

import base64
import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from helpers import Server, User, UserSession
from helpers.caller import Caller
from helpers.document import Document
from helpers.peer_by_hand import Met, Peer, peer_server
from helpers.simulated import Simulated
from helpers.vsock import good
from helpers.vsock import settings as vsock_settings

TEXT = (Path(__file__).resolve().parents[2] / "openapi.yaml").read_bytes()
DOC = yaml.safe_load(TEXT)
METHODS = ("get", "post", "delete")
# Members that are the same whenever the example is replayed against a fresh development server. Not so a problem's
# `detail`: its wording is for people and may be bettered at any time.
STABLE = {"type", "title", "code", "pcr2", "nonce_hex", "nonce_encoding", "tee_verified", "_warning", "custom_digest", "custom_digest_method",
          "custom_data", "custom_data_canonical", "quote", "eventLog", "user_key_hash", "expires_in_minutes", "plaintext",
          "message_number", "ended", "service", "documentation", "status", "tee_available", "nsm", "debug_mode", "name",
          "build_info", "version", "verified", "input", "pcrs", "identity", "pcrs_compared", "root", "purpose", "historic", "debug",
          "module_id", "age_seconds", "claims", "size", "content_type", "deleted"}
OPERATIONS = [(m, p) for p, item in DOC["paths"].items() for m in METHODS if m in item]


def closed(node):
    """The document with every object that lists members closed, so that a reply's undocumented member is a fault."""
    if isinstance(node, list):
        return [closed(x) for x in node]
    if not isinstance(node, dict):
        return node
    out = {k: closed(v) for k, v in node.items()}
    if out.get("type") == "object" and "properties" in out:
        out.setdefault("additionalProperties", False)
    return out


CLOSED = {**DOC, "components": {**DOC["components"], "schemas": closed(copy.deepcopy(DOC["components"]["schemas"]))}}


def deref(node):
    while "$ref" in node:
        at = DOC
        for part in node["$ref"][2:].split("/"):
            at = at[part]
        node = at
    return node


def validate(value, schema):
    jsonschema.Draft202012Validator(schema, resolver=jsonschema.RefResolver.from_schema(CLOSED)).validate(value)


def media(response):
    """Its one content type and what is said about it."""
    ((kind, about),) = deref(response)["content"].items()
    return kind, about


def replies(responses):
    """Name -> (status, example value)."""
    found = {}
    for status, response in responses.items():
        for name, example in media(response)[1].get("examples", {}).items() if "$ref" not in response else ():
            assert name not in found, f"the example {name} stands under two statuses"
            found[name] = (int(status), example["value"])
    return found


def sent_to(op):
    """What is said about its request body."""
    return media(op["requestBody"])[1] if "requestBody" in op else {"examples": {}}


def cases():
    for method, path in OPERATIONS:
        op = DOC["paths"][path][method]
        sent = sent_to(op)["examples"]
        for name in {**replies(op["responses"]), **sent, **op.get("x-replay", {})}:
            yield pytest.param(method, path, name, id=f"{method} {path} {name}")


def shared_cases():
    for label, response in DOC["components"]["responses"].items():
        for name in response.get("x-replay", {}):
            yield pytest.param(label, name, id=f"{label} {name}")


def placed(path):
    """The path with ids in it that nothing has."""
    return path.replace("{session_id}", "A" * 43).replace("{key_id}", "a" * 64).replace("{id}", "A" * 22)


def with_key(server, path, body, encrypt=None):
    """Has a key generated, and puts its id and a message that is encrypted to it in place of the example's."""
    reply = good(server, command="attest", generate_key=True)
    document = Document(base64.b64decode(reply["attestation_document"]))
    public = serialization.load_der_public_key(document.payload["public_key"])
    if encrypt is not None:
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        body = {**body, "ciphertext": base64.b64encode(public.encrypt(encrypt.encode(), oaep)).decode()}
    return path.replace("{key_id}", reply["key_id"]), body


def send(server, user, method, path, body, extra):
    """One replay. `session` opens one and puts its id (and a message sealed in it) in place of the example's; `stored` keeps
    so many things in private data beforehand, and puts the first one's id there; `report` makes a client's, with these
    claims in place of the true ones."""
    if "stored" in extra:
        path = path.replace("{id}", [server.kept(b"hello", "text/plain") for _ in range(extra["stored"])][0])
    if "report" in extra:
        body = server.client_request(server.document(server.challenge(), **extra["report"]))
    if "key" in extra:
        path, body = with_key(server, path, body, **extra["key"])
    if "session" in extra:
        session = UserSession(server, user, **extra["session"])
        path = path.replace("{session_id}", session.id)
        if isinstance(body, dict):
            body = {**body, "session_id": session.id}
        if "seal" in extra:
            sealed = session.seal(extra["seal"])
            assert set(sealed) == set(body)
            body = sealed
    path = placed(path)
    if "query" in extra:
        path += "?" + extra["query"]
    for _ in range(2 if extra.get("twice") else 1):
        reply = server.request(method, path, extra.get("body", body), headers=extra.get("headers"))
    return reply


def check_reply(reply, status, response, example, varies=()):
    assert reply.status == status, reply
    kind, about = media(response)
    assert kind in (reply.type, "*/*")
    value = reply.json() if kind.endswith("json") else reply.body.decode()
    validate(value, about["schema"])
    assert kind != "*/*" or value == example
    for name, header in deref(response).get("headers", {}).items():
        validate(reply.headers[name], header["schema"])
    if isinstance(example, dict):
        assert set(value) == set(example), "the reply has other members than the example"
        stable = (STABLE & example.keys()) - set(varies)
        assert {k: value[k] for k in stable} == {k: example[k] for k in stable}
        assert [e["field"] for e in value.get("errors", [])] == [e["field"] for e in example.get("errors", [])]
    if isinstance(value, dict) and "attestation_document" in value:
        for shown in (value, example):
            attested = json.loads(base64.b64decode(shown["attestation_document"]["user_data"]))
            assert list(attested.items()) == list(shown["user_data"].items())
        assert value["user_data"].keys() == example["user_data"].keys()


@pytest.mark.parametrize("method, path, name", cases())
def test_the_example_replays(request, server, user, tmp_path, method, path, name):
    op = DOC["paths"][path][method]
    extra = op.get("x-replay", {}).get(name, {})
    if "key" in extra:
        server = request.getfixturevalue("generating")
    if op["x-reach"] == ["tls"]:
        server = Caller(request.getfixturevalue("secured"), tmp_path / "caller" if extra.get("certificate", True) else None)
    if op["x-reach"] == ["peer"]:
        server = Peer(*request.getfixturevalue("peering"), tmp_path)
    if op["x-reach"] == ["peer_tls"]:
        server = Met(Peer(*request.getfixturevalue("peering"), tmp_path))
    sent = sent_to(op)
    body = sent["examples"][name]["value"] if name in sent["examples"] else None
    known = replies(op["responses"])
    if name not in known:
        assert media(op["responses"]["200"])[0] != "application/json", f"no reply is called {name}"
    status, example = known.get(name, (200, None))
    if body is not None and status == 200:
        validate(body, sent["schema"])
    reply = send(server, user, method.upper(), path, body, extra)
    check_reply(reply, status, op["responses"][str(status)], example, extra.get("varies", ()))


@pytest.mark.parametrize("label, name", shared_cases())
def test_the_shared_example_replays(server, user, make_server, label, name):
    response = DOC["components"]["responses"][label]
    extra = dict(response["x-replay"][name])
    at = make_server(settings=extra["settings"]) if "settings" in extra else server
    if "zeros" in extra:
        extra["body"] = b" " * extra["zeros"]
    reply = send(at, user, extra.get("method", "GET"), extra.get("path", "/health"), None, extra)
    example = media(response)[1]["examples"][name]["value"]
    check_reply(reply, example["status"], response, example)


def every_response():
    for method, path in OPERATIONS:
        for status, response in DOC["paths"][path][method]["responses"].items():
            yield status, response
    for response in DOC["components"]["responses"].values():
        yield None, response


def test_every_example_is_as_its_schema_says():
    for status, response in every_response():
        about = media(response)[1]
        values = [e["value"] for e in about.get("examples", {}).values()]
        values += [about["example"]] if "example" in about else []
        assert values or media(response)[0].startswith(("text/", "application/yaml"))
        for value in values:
            validate(value, about["schema"])
            if status is not None and int(status) >= 400:
                assert value["status"] == int(status) or "$ref" in response


def test_every_shared_response_is_used_or_stands_for_all_routes():
    used = {r["$ref"].rsplit("/", 1)[1] for _, r in every_response() if "$ref" in r}
    assert set(DOC["components"]["responses"]) - used == {"NotFound", "NotAllowed"}


@pytest.mark.parametrize("method, path", [pytest.param(m, p, id=f"{m} {p}") for m, p in OPERATIONS])
def test_a_route_exists_just_where_its_reach_says(reaching, method, path):
    reach = DOC["paths"][path][method]["x-reach"]
    target = placed(path)
    for name, at in (("local", reaching.local), ("public", reaching.public), ("tls", reaching.tls)):
        reply = reaching.request(method.upper(), target, {} if method == "post" else None, at=at)
        no_route = reply.code == "not_found" and "GET / lists what there is" in reply.json()["detail"]
        assert (not no_route and reply.code != "method_not_allowed") == (name in reach), (name, reply)


@pytest.mark.smoke
@pytest.mark.route("GET /")
@pytest.mark.parametrize("reach", ["local", "public", "tls"])
def test_the_root_lists_the_endpoints_of_its_listener(reaching, reach):
    listed = reaching.get("/", at=getattr(reaching, reach)).json()["endpoints"]
    described = {(m.upper(), p) for m, p in OPERATIONS if reach in DOC["paths"][p][m]["x-reach"]}
    assert len(listed) == len(described)
    assert {(e["method"], e["path"]) for e in listed} == described


@pytest.fixture(scope="module")
def generating(tmp_path_factory):
    """A server that generates keys: the dummy has no document for their public halves."""
    directory = tmp_path_factory.mktemp("generating")
    s = Simulated(directory, settings=vsock_settings(directory)).start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A server with a TLS listener, where private data is for certificates and little of it fits."""
    s = Server(tmp_path_factory.mktemp("secured"), settings={"tls_listen": "127.0.0.1:0", "private_data_anonymous": "false",
                                                             "private_data_items": 2}).start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def peering(simulator, tmp_path_factory):
    """A server for attested peers, and the software NSM that it shares with them."""
    s = peer_server(tmp_path_factory.mktemp("peering"), simulator.nsm, simulator.root).start()
    yield s, simulator
    s.stop()


@pytest.fixture(scope="module")
def reaching(tmp_path_factory):
    directory = tmp_path_factory.mktemp("reaching")
    s = Server(directory, settings={"public_listen": f"unix:{directory}/public.sock", "tls_listen": f"unix:{directory}/tls.sock",
                                    "private_data_anonymous": "false"}).start()
    yield s
    s.stop()


@pytest.mark.smoke
@pytest.mark.route("GET /openapi.yaml")
def test_the_document_is_served_byte_for_byte(server):
    reply = server.get("/openapi.yaml")
    assert reply.status == 200
    assert reply.body == TEXT


@pytest.mark.parametrize("method, path", [pytest.param(m, p, id=f"{m} {p}") for m, p in OPERATIONS if m == "get"])
def test_head_answers_as_get_without_a_body(server, method, path):
    get, head = server.get(path), server.request("HEAD", path)
    assert head.status == get.status and head.body == b""
    assert head.type == get.type


def test_users_can_be_made_of_the_examples():
    """The example's key is one that `cryptography` reads too."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    sent = DOC["paths"]["/key-exchange"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert load_pem_public_key(sent["plain"]["value"]["user_public_key"].encode()).key_size == 2048
    load_pem_public_key(sent["elliptic"]["value"]["user_public_key"].encode())
    assert User(2048).pem.startswith("-----BEGIN PUBLIC KEY-----")
