"""Nonces: how each is read, through POST and GET /attestation, and which are refused."""

import base64
import os
from urllib.parse import quote

import pytest
from helpers import Server

pytestmark = [pytest.mark.route("POST /attestation"), pytest.mark.route("GET /attestation")]


@pytest.fixture(scope="module", name="server")
def unhurried(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("server"), settings={"nsm_rate": 100000, "nsm_burst": 100000}).start()
    yield s
    s.stop()


def post(server, nonce, encoding=None):
    return server.post("/attestation", {"nonce": nonce, **({"nonce_encoding": encoding} if encoding else {})})


def get(server, nonce, encoding=None):
    query = "nonce=" + quote(nonce, safe="") + (f"&nonce_encoding={encoding}" if encoding else "")
    return server.get("/attestation?" + query)


WAYS = pytest.mark.parametrize("ask", [post, get], ids=["post", "get"])


def accepted(reply, data, encoding):
    assert reply.status == 200, reply
    value = reply.json()
    assert value["nonce_hex"] == data.hex()
    assert value["nonce_encoding"] == encoding
    assert base64.b64decode(value["attestation_document"]["nonce"], validate=True) == data


def refused(reply, text, field="nonce"):
    assert (reply.status, reply.code) == (422, "validation_failed"), reply
    (error,) = reply.json()["errors"]
    assert error["field"] == field
    assert reply.json()["detail"] == f"{field}: {error['message']}"
    assert text in error["message"]


@pytest.mark.smoke
@WAYS
@pytest.mark.parametrize(
    "nonce, encoding, data, used",
    [
        ("deadbeef1234abcd", None, bytes.fromhex("deadbeef1234abcd"), "hex"),
        ("DEADbeef", None, bytes.fromhex("deadbeef"), "hex"),
        ("00", None, b"\0", "hex"),
        ("dGVzdCBub25jZQ==", None, b"test nonce", "base64"),
        ("+/+/", None, b"\xfb\xff\xbf", "base64"),
        ("user-session-123abc", None, b"user-session-123abc", "text"),
        # what looks like two of them is the first
        ("1234", None, b"\x12\x34", "hex"),
        ("face", None, b"\xfa\xce", "hex"),
        ("text", None, base64.b64decode("text"), "base64"),
        # and what almost looks like one is text, as it stands
        ("deadbeef1", None, b"deadbeef1", "text"),
        ("0xdead", None, b"0xdead", "text"),
        ("dGVzdCBub25jZQ", None, b"dGVzdCBub25jZQ", "text"),
        ("dGVzdCBub25jZQ=", None, b"dGVzdCBub25jZQ=", "text"),
        ("dGVzdCBub25jZR==", None, b"dGVzdCBub25jZR==", "text"),
        ("-_-_", None, b"-_-_", "text"),
        ("a=b", None, b"a=b", "text"),
        (" ", None, b" ", "text"),
        ("a+b c&d=e%20f", None, b"a+b c&d=e%20f", "text"),
        ("Grüße, 世界 🔐", None, "Grüße, 世界 🔐".encode(), "text"),
        # forced
        ("deadbeef", "hex", bytes.fromhex("deadbeef"), "hex"),
        ("deadbeef", "auto", bytes.fromhex("deadbeef"), "hex"),
        ("deadbeef", "text", b"deadbeef", "text"),
        ("deadbeef", "base64", base64.b64decode("deadbeef"), "base64"),
        ("dGVzdA==", "text", b"dGVzdA==", "text"),
        # prefixes
        ("hex:deadbeef", None, bytes.fromhex("deadbeef"), "hex"),
        ("base64:deadbeef", None, base64.b64decode("deadbeef"), "base64"),
        ("text:deadbeef", None, b"deadbeef", "text"),
        ("text:hex:00", None, b"hex:00", "text"),
        ("hex:deadbeef", "hex", bytes.fromhex("deadbeef"), "hex"),
        ("text:a", "text", b"a", "text"),
        ("base64:AAAA", "auto", b"\0\0\0", "base64"),
        # no prefixes of ours
        ("HEX:00", None, b"HEX:00", "text"),
        ("utf8:a", None, b"utf8:a", "text"),
        ("hex", None, b"hex", "text"),
    ],
)
def test_a_nonce_is_read_as_documented(server, ask, nonce, encoding, data, used):
    accepted(ask(server, nonce, encoding), data, used)


@WAYS
@pytest.mark.parametrize(
    "nonce, encoding, text",
    [
        ("", None, "empty"),
        ("hex:", None, "empty"),
        ("base64:", None, "empty"),
        ("text:", None, "empty"),
        ("", "text", "empty"),
        ("====", None, "consists of = alone"),
        ("=", None, "consists of = alone"),
        ("base64:====", None, "consists of = alone"),
        ("====", "text", "consists of = alone"),
        ("hex:abc", None, "not hex"),
        ("hex:zz", None, "not hex"),
        ("abc", "hex", "not hex"),
        ("0xab", "hex", "not hex"),
        ("de ad", "hex", "not hex"),
        ("base64:dGVzdA", None, "not base64"),
        ("dGVzdA=", "base64", "not base64"),
        ("dGVzdB==", "base64", "not base64"),
        ("dGVz dA==", "base64", "not base64"),
        ("-_-_", "base64", "not base64"),
        ("hex:00", "base64", "begins with hex: but its encoding was given as base64"),
        ("text:00", "hex", "begins with text: but its encoding was given as hex"),
        ("base64:AAAA", "text", "begins with base64: but its encoding was given as text"),
    ],
)
def test_a_nonce_that_says_nothing_or_two_things_is_422(server, ask, nonce, encoding, text):
    refused(ask(server, nonce, encoding), text)


@WAYS
@pytest.mark.parametrize("n", [1, 511, 512])
def test_up_to_512_bytes_pass_in_each_encoding(server, ask, n):
    data = os.urandom(n)
    accepted(ask(server, data.hex()), data, "hex")
    accepted(ask(server, "hex:" + data.hex()), data, "hex")
    accepted(ask(server, base64.b64encode(data).decode(), "base64"), data, "base64")
    accepted(ask(server, "base64:" + base64.b64encode(data).decode()), data, "base64")
    accepted(ask(server, "~" * n), b"~" * n, "text")
    accepted(ask(server, "text:" + "a" * n), b"a" * n, "text")


@WAYS
def test_513_bytes_do_not_in_any_encoding(server, ask):
    data = b"\xff" * 513
    refused(ask(server, data.hex()), "513 bytes long; at most 512")
    refused(ask(server, data.hex(), "hex"), "513 bytes long; at most 512")
    refused(ask(server, base64.b64encode(data).decode()), "513 bytes long; at most 512")
    refused(ask(server, "base64:" + base64.b64encode(data).decode()), "513 bytes long; at most 512")
    refused(ask(server, "~" * 513), "513 bytes long; at most 512")
    refused(ask(server, "text:" + "a" * 513), "513 bytes long; at most 512")
    # 257 characters, but 514 bytes
    refused(ask(server, "é" * 257), "514 bytes long; at most 512")
    accepted(ask(server, "é" * 256), "é".encode() * 256, "text")


@WAYS
def test_a_nonce_far_too_long_is_422_whatever_it_is(server, ask):
    for n in (1041, 3000):
        refused(ask(server, "a" * n), "too long")


def test_a_nonce_of_a_megabyte_is_422(server):
    refused(post(server, "a" * (1 << 20)), "too long")


@WAYS
@pytest.mark.parametrize("encoding", ["utf8", "HEX", "base64url", "hex ", "0"])
def test_an_encoding_that_does_not_exist_is_422(server, ask, encoding):
    refused(ask(server, "00", quote(encoding) if ask is get else encoding), "auto, hex, base64 or text", "nonce_encoding")


def test_an_empty_encoding_is_422(server):
    refused(server.post("/attestation", {"nonce": "00", "nonce_encoding": ""}), "auto, hex", "nonce_encoding")
    refused(server.get("/attestation?nonce=00&nonce_encoding="), "auto, hex", "nonce_encoding")


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.post("/attestation", {}),
        lambda s: s.post("/attestation", {"nonce": None}),
        lambda s: s.post("/attestation", {"nonce": None, "nonce_encoding": None}),
        lambda s: s.post("/attestation", {"nonce_encoding": "hex"}),
        lambda s: s.get("/attestation"),
        lambda s: s.get("/attestation?"),
        lambda s: s.get("/attestation?nonce_encoding=hex"),
    ],
)
def test_null_and_absence_are_no_nonce(server, ask):
    reply = ask(server)
    assert reply.status == 200, reply
    value = reply.json()
    assert value["nonce_hex"] is value["nonce_encoding"] is value["attestation_document"]["nonce"] is None


@pytest.mark.parametrize("nonce", [0, 1234, 1.5, True, False, [], ["00"], {}, {"a": "b"}])
def test_a_nonce_of_another_type_is_422(server, nonce):
    refused(server.post("/attestation", {"nonce": nonce}), "Must be a string or null.")
    refused(server.post("/attestation", {"nonce": "00", "nonce_encoding": nonce}), "Must be a string or null.",
            "nonce_encoding")


def test_text_may_hold_any_character(server):
    text = "\0\x01\x1f\x7f\"\\\u2028\ufeff"
    accepted(post(server, text), text.encode(), "text")
    accepted(get(server, text), text.encode(), "text")


@pytest.mark.parametrize(
    "query, field, text",
    [
        ("nonce=00&nonce=00", "nonce", "more than once"),
        ("nonce=00&%6eonce=11", "nonce", "more than once"),
        ("nonce=%0", "query", "percent-encoding"),
        ("nonce=%zz", "query", "percent-encoding"),
        ("nonce=00&nounce=1", "query", "does not know"),
        ("Nonce=00", "query", "does not know"),
        ("nonce=%ff", "nonce", "UTF-8"),
        ("nonce=%c0%80", "nonce", "UTF-8"),
        ("include_metadata=yes", "include_metadata", "true or false"),
        ("custom_data=1", "query", "does not know"),
    ],
)
def test_a_query_that_is_ambiguous_is_422(server, query, field, text):
    refused(server.get("/attestation?" + query), text, field)


def test_the_query_is_decoded_once_and_a_plus_is_a_plus(server):
    accepted(server.get("/attestation?nonce=%2525"), b"%25", "text")
    accepted(server.get("/attestation?nonce=a+b"), b"a+b", "text")
    accepted(server.get("/attestation?nonce=a%20b"), b"a b", "text")
    accepted(server.get("/attestation?nonce=dGVzdCBub25jZQ=="), b"test nonce", "base64")


@pytest.mark.route("POST /key-exchange")
def test_a_key_exchange_reads_nonces_alike(server, user):
    def exchange(**members):
        return server.post("/key-exchange", {"user_public_key": user.pem, **members})

    accepted(exchange(nonce="deadbeef1234abcd"), bytes.fromhex("deadbeef1234abcd"), "hex")
    accepted(exchange(nonce="dGVzdCBub25jZQ=="), b"test nonce", "base64")
    accepted(exchange(nonce="dead", nonce_encoding="text"), b"dead", "text")
    accepted(exchange(nonce="text:" + "a" * 512), b"a" * 512, "text")
    refused(exchange(nonce="===="), "consists of = alone")
    refused(exchange(nonce="~" * 513), "at most 512")
    refused(exchange(nonce="hex:00", nonce_encoding="text"), "begins with hex:")
