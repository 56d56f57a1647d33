"""GET /info: one fixed byte string a process, which GET /attestation attests."""

import base64
import hashlib
import json
import re

import pytest

pytestmark = [pytest.mark.route("GET /info"), pytest.mark.route("GET /attestation")]


def attested(server, at=None):
    value = server.get("/attestation", at=at).json()
    claims = json.loads(base64.b64decode(value["attestation_document"]["user_data"], validate=True))
    assert claims == value["user_data"]
    assert (claims["purpose"], claims["info_digest_method"]) == ("info", "sha256")
    return claims["info_digest"]


@pytest.mark.smoke
def test_its_bytes_are_fixed_and_attested(server):
    reply = server.get("/info")
    assert (reply.status, reply.type) == (200, "application/json")
    assert hashlib.sha256(reply.body).hexdigest() == attested(server)
    for _ in range(3):
        assert server.get("/info").body == reply.body
    assert server.get("/info?x=1").body == reply.body


def test_it_says_what_the_program_is(server):
    value = server.get("/info").json()
    assert list(value) == ["version", "name", "build_info"]
    assert value["name"] == "attestd"
    assert value["version"] == server.get("/health").json()["version"]
    assert re.match(r"^\d+\.\d+\.\d+$", value["version"])
    assert value["build_info"] is None


def test_what_it_says_is_configured(make_server):
    settings = {"info_name": "my \"service\" 😀", "info_version": "2026.11-rc1", "info_build": '{"commit":"abc","at":"/\\"}'}
    server = make_server(settings=settings)
    reply = server.get("/info")
    assert reply.json() == {"version": settings["info_version"], "name": settings["info_name"],
                            "build_info": settings["info_build"]}
    assert hashlib.sha256(reply.body).hexdigest() == attested(server)
    before = reply.body
    server.restart()
    assert server.get("/info").body == before


def test_the_longest_settings_are_taken_and_longer_ones_are_not(make_server):
    longest = {"info_name": "n" * 128, "info_version": "v" * 128, "info_build": "b" * 512}
    server = make_server(settings=longest)
    assert hashlib.sha256(server.get("/info").body).hexdigest() == attested(server)
    for key, value in longest.items():
        longer = make_server(settings={key: value + "x"}, start=False).spawn()
        assert longer.wait() == 1
        assert key in longer.stderr


def test_it_is_the_same_on_the_public_listener(make_server):
    server = make_server(settings={"public_listen": "127.0.0.1:0"})
    assert server.get("/info", at=server.public).body == server.get("/info").body
    assert attested(server, at=server.public) == attested(server)


def test_another_description_has_another_digest(make_server):
    one, other = make_server(settings={"info_build": "1"}), make_server(settings={"info_build": "2"})
    assert attested(one) != attested(other)


def test_head_has_the_length_and_no_body(server):
    head, get = server.request("HEAD", "/info"), server.get("/info")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.body))
