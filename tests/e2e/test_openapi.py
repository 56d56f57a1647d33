"""openapi.yaml tells the truth: every example replays, every reply is as its schema says and has no member more."""

import base64
import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from helpers import Server, User, UserSession

TEXT = (Path(__file__).resolve().parents[2] / "openapi.yaml").read_bytes()
DOC = yaml.safe_load(TEXT)
METHODS = ("get", "post", "delete")
# Members that are the same whenever the example is replayed against a fresh development server. Not so a problem's
# `detail`: its wording is for people and may be bettered at any time.
STABLE = {"type", "title", "code", "pcr2", "nonce_hex", "nonce_encoding", "tee_verified", "_warning", "custom_digest", "custom_digest_method",
          "custom_data", "custom_data_canonical", "quote", "eventLog", "user_key_hash", "expires_in_minutes", "plaintext",
          "message_number", "ended", "service", "documentation", "status", "tee_available", "nsm", "debug_mode", "name",
          "build_info", "version", "verified", "input", "pcrs", "identity", "pcrs_compared", "root", "purpose", "historic", "debug",
          "module_id", "age_seconds", "claims"}
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


def cases():
    for method, path in OPERATIONS:
        op = DOC["paths"][path][method]
        sent = op["requestBody"]["content"]["application/json"]["examples"] if "requestBody" in op else {}
        for name in {**replies(op["responses"]), **sent, **op.get("x-replay", {})}:
            yield pytest.param(method, path, name, id=f"{method} {path} {name}")


def shared_cases():
    for label, response in DOC["components"]["responses"].items():
        for name in response.get("x-replay", {}):
            yield pytest.param(label, name, id=f"{label} {name}")


def send(server, user, method, path, body, extra):
    """One replay. `session` opens one and puts its id (and a message sealed in it) in place of the example's."""
    if "session" in extra:
        session = UserSession(server, user, **extra["session"])
        path = path.replace("{session_id}", session.id)
        if isinstance(body, dict):
            body = {**body, "session_id": session.id}
        if "seal" in extra:
            sealed = session.seal(extra["seal"])
            assert set(sealed) == set(body)
            body = sealed
    path = path.replace("{session_id}", "A" * 43)
    if "query" in extra:
        path += "?" + extra["query"]
    for _ in range(2 if extra.get("twice") else 1):
        reply = server.request(method, path, extra.get("body", body), headers=extra.get("headers"))
    return reply


def check_reply(reply, status, response, example):
    assert reply.status == status, reply
    kind, about = media(response)
    assert reply.type == kind
    value = reply.json() if kind.endswith("json") else reply.body.decode()
    validate(value, about["schema"])
    for name, header in deref(response).get("headers", {}).items():
        validate(reply.headers[name], header["schema"])
    if isinstance(example, dict):
        assert set(value) == set(example), "the reply has other members than the example"
        stable = STABLE & example.keys()
        assert {k: value[k] for k in stable} == {k: example[k] for k in stable}
        assert [e["field"] for e in value.get("errors", [])] == [e["field"] for e in example.get("errors", [])]
    if isinstance(value, dict) and "attestation_document" in value:
        for shown in (value, example):
            attested = json.loads(base64.b64decode(shown["attestation_document"]["user_data"]))
            assert list(attested.items()) == list(shown["user_data"].items())
        assert value["user_data"].keys() == example["user_data"].keys()


@pytest.mark.parametrize("method, path, name", cases())
def test_the_example_replays(server, user, method, path, name):
    op = DOC["paths"][path][method]
    extra = op.get("x-replay", {}).get(name, {})
    body = None
    if "requestBody" in op:
        sent = op["requestBody"]["content"]["application/json"]
        if name in sent["examples"]:
            body = sent["examples"][name]["value"]
    known = replies(op["responses"])
    if name not in known:
        assert media(op["responses"]["200"])[0] != "application/json", f"no reply is called {name}"
    status, example = known.get(name, (200, None))
    if body is not None and status == 200:
        validate(body, sent["schema"])
    reply = send(server, user, method.upper(), path, body, extra)
    check_reply(reply, status, op["responses"][str(status)], example)


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
    target = path.replace("{session_id}", "A" * 43)
    for name, at in (("local", reaching.local), ("public", reaching.public)):
        reply = reaching.request(method.upper(), target, {} if method == "post" else None, at=at)
        known = reply.code not in ("not_found", "method_not_allowed")
        assert known == (name in reach), (name, reply)


@pytest.mark.smoke
@pytest.mark.route("GET /")
@pytest.mark.parametrize("reach", ["local", "public"])
def test_the_root_lists_the_endpoints_of_its_listener(reaching, reach):
    listed = reaching.get("/", at=getattr(reaching, reach)).json()["endpoints"]
    described = {(m.upper(), p) for m, p in OPERATIONS if reach in DOC["paths"][p][m]["x-reach"]}
    assert len(listed) == len(described)
    assert {(e["method"], e["path"]) for e in listed} == described


@pytest.fixture(scope="module")
def reaching(tmp_path_factory):
    directory = tmp_path_factory.mktemp("reaching")
    s = Server(directory, settings={"public_listen": f"unix:{directory}/public.sock"}).start()
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
