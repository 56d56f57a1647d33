"""Agent metadata: stated beside our own claims, never in their place, and never silently dropped."""

import base64
import hashlib
import json
import os
import time

import pytest
from helpers import Server

pytestmark = [pytest.mark.route("POST /attestation"), pytest.mark.route("GET /attestation")]
RESERVED = [
    "purpose", "timestamp", "agent", "guardrail", "custom_digest", "custom_digest_method", "info_digest",
    "info_digest_method", "tls_cert_hash", "tls_spki_hash", "role", "key_hash", "peer_key_hash", "config_digest",
    "key_origin", "session_id", "session_key_hash", "user_key_hash", "key_exchange_version", "scope_hash", "metadata_digest",
]
LIMIT = 512


class Stated:
    """A server and its metadata file."""

    def __init__(self, directory):
        self.file = directory / "metadata.json"
        directory.mkdir(exist_ok=True)
        self.server = Server(directory, settings={"metadata_file": self.file, "nsm_rate": 100000, "nsm_burst": 100000})

    def put(self, data):
        """In place of the file, in one step."""
        new = self.file.with_suffix(".new")
        new.write_bytes(data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode())
        new.rename(self.file)

    def post(self, **members):
        return self.server.post("/attestation", members)

    def get(self, query=""):
        return self.server.get("/attestation" + query)


@pytest.fixture(scope="module", name="stated")
def one_for_all(tmp_path_factory):
    s = Stated(tmp_path_factory.mktemp("server"))
    s.server.start()
    yield s
    s.server.stop()


def claims(reply):
    """The attested object and its bytes."""
    assert reply.status == 200, reply
    value = reply.json()
    text = base64.b64decode(value["attestation_document"]["user_data"], validate=True)
    assert len(text) <= LIMIT
    assert json.loads(text) == value["user_data"]
    return json.loads(text), text


def digested(reply, metadata):
    """Only the digest is attested, and the metadata comes beside it."""
    attested, _ = claims(reply)
    assert list(attested)[-1] == "metadata_digest"
    assert not metadata.keys() & attested.keys()
    value = reply.json()
    assert value["metadata"] == metadata
    canonical = json.dumps(metadata, sort_keys=True)
    assert attested["metadata_digest"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert hashlib.sha256(json.dumps(value["metadata"], sort_keys=True).encode()).hexdigest() == attested["metadata_digest"]


def refused(reply, text):
    assert (reply.status, reply.code) == (503, "metadata_invalid"), reply
    assert reply.json()["detail"].startswith("The agent metadata file cannot be used: ")
    assert text in reply.json()["detail"]
    assert "include_metadata=false" in reply.json()["detail"]


def test_what_fits_follows_our_own_claims(stated):
    metadata = {"version": "1.2", "b": [1, 2.50, {"z": None, "a": True}], "a": "é\x7f", "model": {"purpose": "chat"}}
    stated.put(metadata)
    reply = stated.post(custom_data={"key": "value"})
    attested, text = claims(reply)
    ours = ["purpose", "timestamp", "agent", "guardrail", "custom_digest", "custom_digest_method"]
    assert list(attested) == ours + list(metadata)
    assert {k: attested[k] for k in metadata} == metadata
    assert text.endswith(b',"version":"1.2","b":[1, 2.5, {"a": true, "z": null}],"a":"\\u00e9\\u007f","model":{"purpose": "chat"}}')
    assert "metadata" not in reply.json()
    attested, _ = claims(stated.get())
    assert list(attested) == [*ours[:4], "info_digest", "info_digest_method", *metadata]


def test_it_is_left_out_when_asked(stated):
    stated.put({"version": "1.2"})
    for reply in (stated.post(include_metadata=False), stated.get("?include_metadata=false")):
        assert "version" not in claims(reply)[0]
        assert "metadata" not in reply.json()
    for reply in (stated.post(include_metadata=True), stated.post(include_metadata=None), stated.post(), stated.get(),
                  stated.get("?include_metadata=true")):
        assert claims(reply)[0]["version"] == "1.2"


@pytest.mark.parametrize("ask", ["post", "get", "custom"])
def test_512_bytes_are_attested_whole_and_513_as_a_digest(stated, ask):
    def reply():
        return stated.get() if ask == "get" else stated.post(**({"custom_data": [1]} if ask == "custom" else {}))

    stated.put({})
    room = LIMIT - len(claims(reply())[1]) - len(',"k":""')
    fits = {"k": "x" * room}
    stated.put(fits)
    attested, text = claims(reply())
    assert len(text) == LIMIT and attested["k"] == fits["k"]
    assert "metadata" not in reply().json() and "metadata_digest" not in attested
    over = {"k": "x" * (room + 1)}
    stated.put(over)
    digested(reply(), over)
    # what counts is the attested form: two bytes of UTF-8 are six here
    over = {"k": "é" * (room // 6 + 1)}
    stated.put(over)
    digested(reply(), over)
    fits = {"k": "é" * (room // 6)}
    stated.put(fits)
    assert claims(reply())[0]["k"] == fits["k"]


def test_whatever_its_size_it_is_attested_whole_or_as_a_digest(stated):
    for n in (*range(0, 640, 13), 4000, 30000):
        metadata = {"k": "x" * n}
        stated.put(metadata)
        for reply in (stated.post(custom_data=n), stated.get()):
            if "metadata_digest" in claims(reply)[0]:
                digested(reply, metadata)
            else:
                assert n < 512 and claims(reply)[0]["k"] == "x" * n


def test_large_metadata_is_attested_as_a_digest(stated):
    metadata = {f"key{i}": {"z": i, "a": "é😀\x7f" * 20} for i in range(200)}
    stated.put(metadata)
    digested(stated.post(), metadata)
    digested(stated.get(), metadata)
    digested(stated.post(custom_data=metadata), metadata)
    assert "metadata_digest" not in claims(stated.post(include_metadata=False))[0]


@pytest.mark.parametrize("filling", ["x", "\x7f", "é", "\\n"])
def test_64_kib_are_taken_and_a_byte_more_is_not(stated, filling):
    one = filling.encode()
    room = 65536 - len(b'{"k":""}')
    text = b'{"k":"' + one * (room // len(one)) + b'"}'
    text += b" " * (65536 - len(text))
    stated.put(text)
    digested(stated.post(), json.loads(text))
    digested(stated.get(), json.loads(text))
    stated.put(text + b" ")
    refused(stated.post(), "larger than 64 KiB")
    refused(stated.get(), "larger than 64 KiB")


def test_an_empty_object_states_nothing(stated):
    for text in (b"{}", b" {\n} \n"):
        stated.put(text)
        for reply in (stated.post(), stated.get()):
            assert list(claims(reply)[0])[:4] == ["purpose", "timestamp", "agent", "guardrail"]
            assert "metadata_digest" not in claims(reply)[0] and "metadata" not in reply.json()


@pytest.mark.parametrize("name", RESERVED)
def test_a_name_of_ours_is_refused_whole(stated, name):
    for metadata in ({"version": "1", name: "forged"}, {name: None}):
        stated.put(metadata)
        for reply in (stated.post(), stated.get()):
            refused(reply, f'it uses the reserved name "{name}"')
            assert b"forged" not in reply.body
    stated.put(b'{"\\u%04x%s": 1}' % (ord(name[0]), name[1:].encode()))
    refused(stated.post(), f'it uses the reserved name "{name}"')


def test_names_that_only_look_like_ours_are_taken(stated):
    metadata = {"Purpose": 1, "purpose ": 2, "nonce": 3, "": 4, "\u0440urpose": 5}
    stated.put(metadata)
    attested, _ = claims(stated.post())
    assert attested.items() >= metadata.items()
    assert attested["purpose"] == "attestation"


@pytest.mark.parametrize(
    "text, message",
    [
        (b"", "the text is empty"),
        (b"{", "line 1, column 2"),
        (b'{"a":1,\n "a":2}', 'line 2, column 2: duplicate key "a"'),
        (b'{"a":NaN}', "line 1, column 6"),
        (b'{"a":1e999}', "too large for a double"),
        (b'{"a":"\xff"}', "malformed UTF-8"),
        (b'{"a":"\\ud800"}', "half of a surrogate pair"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":' + b"[" * 512 + b"]" * 512 + b"}", "nested deeper than 512 levels"),
        (b"[]", "it is not a JSON object"),
        (b"null", "it is not a JSON object"),
        (b'"text"', "it is not a JSON object"),
        (b"{} {}", "line 1, column 4"),
    ],
)
def test_broken_metadata_is_told_to_those_who_ask_for_it_and_to_no_one_else(stated, user, text, message):
    stated.put(text)
    for reply in (stated.post(), stated.post(custom_data=1), stated.get()):
        refused(reply, message)
    for reply in (stated.post(include_metadata=False), stated.get("?include_metadata=false")):
        assert reply.status == 200
    assert stated.server.post("/key-exchange", {"user_public_key": user.pem}).status == 200
    stated.put({"version": "mended"})
    assert claims(stated.post())[0]["version"] == "mended"


@pytest.mark.route("POST /key-exchange")
def test_a_key_exchange_never_carries_metadata(stated, user):
    for metadata in ({"version": "1"}, {"k": "x" * 5000}, {"session_key_hash": "0" * 64}, {"scope_hash": "0" * 64}):
        stated.put(metadata)
        reply = stated.server.post("/key-exchange", {"user_public_key": user.pem})
        attested, _ = claims(reply)
        assert list(attested) == ["purpose", "timestamp", "agent", "guardrail", "session_id", "session_key_hash",
                                  "user_key_hash", "key_exchange_version"]
        assert attested["session_key_hash"] == reply.json()["session_key_hash"] != "0" * 64
        assert "metadata" not in reply.json()


@pytest.mark.parametrize("kind", ["missing", "fifo", "directory", "device", "dangling", "below-a-file"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path, make_server, user, kind):
    path = tmp_path / "m"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "gone")
    elif kind == "below-a-file":
        path.write_text("{}")
        path = path / "m"
    server = make_server(settings={"metadata_file": path})
    text = "it is missing" if kind in ("missing", "dangling", "below-a-file") else "it is not a regular file"
    assert "metadata_unusable" in server.stderr and text in server.stderr  # it starts, and says so
    refused(server.post("/attestation", {}), text)
    refused(server.get("/attestation"), text)
    assert server.post("/attestation", {"include_metadata": False}).status == 200
    assert server.get("/attestation?include_metadata=false").status == 200
    assert server.post("/key-exchange", {"user_public_key": user.pem}).status == 200


def test_a_link_to_a_file_is_followed(tmp_path, make_server):
    (tmp_path / "a").write_text('{"version": "a"}')
    (tmp_path / "b").write_text('{"version": "b"}')
    link = tmp_path / "m"
    link.symlink_to("a")
    server = make_server(settings={"metadata_file": link})
    assert claims(server.post("/attestation", {}))[0]["version"] == "a"
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").rename(link)
    assert claims(server.post("/attestation", {}))[0]["version"] == "b"


def test_every_change_of_the_file_is_seen_by_the_next_request(stated):
    """Replaced in one step, and written in place; with the same size and the same time, too."""
    for i in range(40):
        text = b'{"version": "%04d"}' % i
        if i % 2:
            stated.put(text)
        else:
            stated.file.write_bytes(text)
        assert claims(stated.post())[0]["version"] == f"{i:04d}"
    stated.put({"version": "old"})
    past = time.time() - 3600
    os.utime(stated.file, (past, past))
    assert claims(stated.post())[0]["version"] == "old"
    stated.file.write_bytes(b'{"version": "new"}')
    os.utime(stated.file, (past, past))
    assert claims(stated.post())[0]["version"] == "new"


def test_it_may_go_and_come_back(stated):
    stated.put({"version": "here"})
    assert claims(stated.get())[0]["version"] == "here"
    stated.file.unlink()
    refused(stated.get(), "it is missing")
    refused(stated.post(), "it is missing")
    stated.put({"version": "back"})
    assert claims(stated.get())[0]["version"] == "back"


@pytest.mark.slow
def test_a_file_that_has_settled_is_still_read_when_it_changes(stated):
    stated.put({"version": "first"})
    time.sleep(2.5)
    for _ in range(3):
        assert claims(stated.post())[0]["version"] == "first"
    stated.file.write_bytes(b'{"version": "other"}')
    assert claims(stated.post())[0]["version"] == "other"
    stated.put({"version": "third"})
    assert claims(stated.post())[0]["version"] == "third"


def test_without_a_file_nothing_is_missed(make_server):
    server = make_server()
    assert list(claims(server.post("/attestation", {"include_metadata": True}))[0]) == ["purpose", "timestamp", "agent",
                                                                                       "guardrail"]
    assert "metadata" not in server.stderr
