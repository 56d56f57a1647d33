"""POST /encrypt and POST /decrypt: what goes through, what is refused, and that a message is used up exactly once."""

import base64
import json
import os
import threading

import pytest
from cryptography.exceptions import InvalidTag
from helpers import UserSession

pytestmark = pytest.mark.route("POST /encrypt", "POST /decrypt")

MiB = 1 << 20
UNKNOWN_ID = "A" * 43


def encrypt(server, session, text):
    reply = server.post("/encrypt", session.plain(text))
    assert reply.status == 200, reply
    return reply.json()


def back(sealed):
    """The body of a POST /decrypt that returns what POST /encrypt gave."""
    return {k: v for k, v in sealed.items() if k != "message_number"}


def flipped(body, member, bit):
    raw = bytearray(base64.b64decode(body[member]))
    raw[bit // 8] ^= 1 << bit % 8
    return {**body, member: base64.b64encode(raw).decode()}


@pytest.fixture
def session(server, user):
    return UserSession(server, user)


# ---- what goes through ----

@pytest.mark.smoke
def test_one_counter_numbers_the_messages_of_both_directions(server, session):
    for n in range(1, 41):
        if n % 3:
            sealed = encrypt(server, session, f"message {n}")
            assert sealed["message_number"] == n
            assert session.open(sealed) == f"message {n}"  # checks that the IV begins with the number
        else:
            r = server.post("/decrypt", session.seal(f"reply {n}"))
            assert r.status == 200, r
            assert r.json() == {"plaintext": f"reply {n}", "session_id": session.id, "message_number": n}


def test_a_reply_to_encrypt_has_exactly_these_members(server, session):
    sealed = encrypt(server, session, "x")
    assert set(sealed) == {"ciphertext", "iv", "session_id", "message_number"}
    assert sealed["session_id"] == session.id
    assert len(base64.b64decode(sealed["iv"], validate=True)) == 12
    assert len(base64.b64decode(sealed["ciphertext"], validate=True)) == 1 + 16


def test_another_sessions_key_opens_nothing(server, user, session):
    other = UserSession(server, user)
    with pytest.raises(InvalidTag):
        other.open(encrypt(server, session, "x"))
    assert server.post("/decrypt", {**other.seal("x"), "session_id": session.id}).code == "decryption_failed"


@pytest.mark.parametrize("text", [
    "", "\x00", "a\x00b", "\x00" * 100, "".join(map(chr, range(0x20))), "\x7f\x80\x9f", '"\\/\b\f\n\r\t', "\ufeffBOM",
    "\ufffe\uffff", "\u2028\u2029", "\U0001f600\U0010ffff", "e\u0301\u00e9", "</script>", "\ud7ff\ue000",
])
def test_any_text_goes_both_ways(server, session, text):
    assert session.open(encrypt(server, session, text)) == text
    r = server.post("/decrypt", session.seal(text))
    assert r.status == 200, r
    assert r.json()["plaintext"] == text


ALL = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


@pytest.mark.parametrize("size", [0x4000, len(ALL)], ids=["in-pieces", "at-once"])
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "plain"])
def test_all_of_unicode_goes_both_ways(server, session, size, escaped):
    connection = server.http(timeout=60)
    for at in range(0, len(ALL), size):
        text = ALL[at:at + size]
        body = json.dumps(session.plain(text), ensure_ascii=escaped)
        r = server.post("/encrypt", body, connection=connection)
        assert r.status == 200, r
        assert session.open(r.json()) == text
        r = server.post("/decrypt", session.seal(text), connection=connection)
        assert r.status == 200, r
        assert r.json()["plaintext"] == text
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("size", [MiB, 20 * MiB], ids=["1MiB", "20MiB"])
def test_large_messages_go_both_ways_and_once(server, session, size):
    text = os.urandom(size // 2).hex()
    sealed = server.post("/encrypt", session.plain(text), timeout=120)
    assert sealed.status == 200, sealed
    assert session.open(sealed.json()) == text
    body = session.seal(text)
    r = server.post("/decrypt", body, timeout=120)
    assert r.status == 200, r
    assert (r.json()["plaintext"] == text, r.json()["message_number"]) == (True, 2)
    for again in (body, back(sealed.json())):
        assert server.post("/decrypt", again, timeout=120).code == "replay"
    assert encrypt(server, session, "x")["message_number"] == 3


def test_a_large_message_may_grow_sixfold_in_the_reply(server, session):
    text = "\x01" * MiB
    assert server.post("/decrypt", session.seal(text)).json()["plaintext"] == text


# ---- once ----

def test_a_ciphertext_decrypts_once(server, session):
    body = session.seal("hello")
    assert server.post("/decrypt", body).status == 200
    for _ in range(3):
        r = server.post("/decrypt", body)
        assert (r.status, r.code) == (409, "replay"), r
    assert encrypt(server, session, "x")["message_number"] == 2, "a replay took a number"


def test_an_iv_is_good_for_one_message_only(server, session):
    iv = os.urandom(12)
    assert server.post("/decrypt", session.seal("one", iv=iv)).status == 200
    assert server.post("/decrypt", session.seal("two", iv=iv)).code == "replay"


@pytest.mark.parametrize("iv", [bytes(12), b"\xff" * 12, (7).to_bytes(12, "big")])
def test_peculiar_ivs_are_seen_too(server, session, iv):
    assert server.post("/decrypt", session.seal("one", iv=iv)).status == 200
    assert server.post("/decrypt", session.seal("two", iv=iv)).code == "replay"


def test_our_own_output_is_not_taken_back(server, session):
    sealed = encrypt(server, session, "hello")
    r = server.post("/decrypt", back(sealed))
    assert (r.status, r.code) == (409, "replay"), r


def test_replays_are_known_after_a_restart_and_after_a_kill(make_server, user):
    s = make_server()
    session = UserSession(s, user)
    body = session.seal("hello")
    assert s.post("/decrypt", body).status == 200
    sealed = encrypt(s, session, "hello")
    for again in (s.restart, lambda: (s.kill(), s.start())):
        again()
        assert s.post("/decrypt", body).code == "replay"
        assert s.post("/decrypt", back(sealed)).code == "replay"
    assert encrypt(s, session, "x")["message_number"] == 3


def send_at_once(server, bodies):
    """The replies to requests that were all sent before any reply was read."""
    replies = [None] * len(bodies)
    start = threading.Barrier(len(bodies))

    def send(i, body):
        connection = server.http(timeout=120)
        connection.connect()
        start.wait()
        replies[i] = server.post("/decrypt", body, connection=connection)
        connection.close()

    threads = [threading.Thread(target=send, args=(i, json.dumps(b))) for i, b in enumerate(bodies)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return replies


@pytest.mark.parametrize("size", [10, MiB], ids=["on-the-loop", "on-workers"])
@pytest.mark.parametrize("copies", [2, 8])
def test_of_concurrent_copies_exactly_one_decrypts(server, session, size, copies):
    for n in range(1, 6):
        replies = send_at_once(server, [session.seal("x" * size)] * copies)
        assert sorted(r.status for r in replies) == [200] + [409] * (copies - 1)
        (good,) = (r.json() for r in replies if r.status == 200)
        assert good["message_number"] == n


def test_of_concurrent_messages_under_one_iv_exactly_one_decrypts(server, session):
    iv = os.urandom(12)
    replies = send_at_once(server, [session.seal(c * MiB, iv=iv) for c in "abcd"])
    assert sorted(r.status for r in replies) == [200, 409, 409, 409]


# ---- what is refused uses up nothing ----

def test_a_flipped_bit_is_refused_and_uses_up_nothing(server, session):
    body = session.seal("hello")
    bits = [("ciphertext", b) for b in range(0, 8 * (5 + 16), 5)] + [("iv", b) for b in range(0, 96, 7)]
    for member, bit in bits:
        r = server.post("/decrypt", flipped(body, member, bit))
        assert (r.status, r.code) == (400, "decryption_failed"), (member, bit, r)
    r = server.post("/decrypt", body)
    assert r.status == 200, "the genuine message was used up"
    assert r.json()["message_number"] == 1


def test_a_flipped_bit_of_a_large_message_uses_up_nothing(server, session):
    body = session.seal("x" * MiB)
    for member, bit in (("ciphertext", 0), ("ciphertext", 8 * (MiB + 16) - 1), ("iv", 3)):
        assert server.post("/decrypt", flipped(body, member, bit)).code == "decryption_failed"
    assert server.post("/decrypt", body).json()["message_number"] == 1


def test_a_cut_or_lengthened_ciphertext_is_refused(server, session):
    body = session.seal("hello")
    raw = base64.b64decode(body["ciphertext"])
    for changed in (raw[:-1], raw[1:], raw + b"\0", raw[:16], raw * 2):
        r = server.post("/decrypt", {**body, "ciphertext": base64.b64encode(changed).decode()})
        assert (r.status, r.code) == (400, "decryption_failed"), r
    assert server.post("/decrypt", body).status == 200


@pytest.mark.parametrize("changes, field", [
    ({"iv": ""}, "iv"),
    ({"iv": base64.b64encode(bytes(11)).decode()}, "iv"),
    ({"iv": base64.b64encode(bytes(13)).decode()}, "iv"),
    ({"iv": base64.b64encode(bytes(16)).decode()}, "iv"),
    ({"iv": "A" * 15 + "!"}, "iv"),
    ({"iv": "A" * 17}, "iv"),
    ({"iv": "_" * 16}, "iv"),  # base64url
    ({"iv": bytes(12).hex()}, "iv"),
    ({"iv": None}, "iv"),
    ({"iv": 1}, "iv"),
    ({"ciphertext": ""}, "ciphertext"),
    ({"ciphertext": base64.b64encode(bytes(15)).decode()}, "ciphertext"),
    ({"ciphertext": "not base64!"}, "ciphertext"),
    ({"ciphertext": "A" * 25}, "ciphertext"),
    ({"ciphertext": base64.b64encode(bytes(17)).decode().rstrip("=")}, "ciphertext"),
    ({"ciphertext": base64.b64encode(bytes(17)).decode()[:-2] + "B="}, "ciphertext"),  # set bits behind the last byte
    ({"ciphertext": "\n".join(["A" * 16] * 2)}, "ciphertext"),
    ({"ciphertext": ["A" * 24]}, "ciphertext"),
    ({"session_id": None}, "session_id"),
    ({"session_id": 5}, "session_id"),
    ({"scope": ""}, "scope"),
    ({"scope": "s" * 65}, "scope"),
    ({"plaintext": "x"}, "plaintext"),
    ({"message_number": 1}, "message_number"),
])
def test_decrypt_names_the_member_that_is_wrong(server, session, changes, field):
    body = session.seal("hello")
    r = server.post("/decrypt", {**body, **changes})
    assert (r.status, r.code) == (422, "validation_failed"), r
    assert [e["field"] for e in r.json()["errors"]] == [field]
    assert all(e["message"] for e in r.json()["errors"])
    assert server.post("/decrypt", body).json()["message_number"] == 1


@pytest.mark.parametrize("changes, field", [
    ({"plaintext": None}, "plaintext"),
    ({"plaintext": 5}, "plaintext"),
    ({"plaintext": {"text": "x"}}, "plaintext"),
    ({"session_id": None}, "session_id"),
    ({"scope": 5}, "scope"),
    ({"iv": "x"}, "iv"),
    ({"text": "x"}, "text"),
])
def test_encrypt_names_the_member_that_is_wrong(server, session, changes, field):
    r = server.post("/encrypt", {**session.plain("hello"), **changes})
    assert (r.status, r.code) == (422, "validation_failed"), r
    assert [e["field"] for e in r.json()["errors"]] == [field]
    assert encrypt(server, session, "x")["message_number"] == 1


@pytest.mark.parametrize("path, member", [("/encrypt", "session_id"), ("/encrypt", "plaintext"),
                                          ("/decrypt", "session_id"), ("/decrypt", "ciphertext"), ("/decrypt", "iv")])
def test_each_member_is_required(server, session, path, member):
    body = session.plain("x") if path == "/encrypt" else session.seal("x")
    del body[member]
    r = server.post(path, body)
    assert r.status == 422
    assert [e["field"] for e in r.json()["errors"]] == [member]


def test_lone_surrogates_are_no_text(server, session):
    r = server.post("/encrypt", '{"session_id": "%s", "plaintext": "\\ud800"}' % session.id)
    assert r.status == 422, r
    assert encrypt(server, session, "x")["message_number"] == 1


@pytest.mark.parametrize("data", [b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80" * 300000],
                         ids=["ff", "cut", "surrogate", "overlong", "beyond", "large"])
def test_an_authentic_message_that_is_no_text_is_refused_and_not_used_up(server, session, data):
    body = session.seal(data)
    for _ in range(2):
        r = server.post("/decrypt", body)
        assert r.status == 422, "not 409: it was not used up"
        assert [e["field"] for e in r.json()["errors"]] == ["ciphertext"]
    assert server.post("/decrypt", session.seal("text", iv=base64.b64decode(body["iv"]))).json()["message_number"] == 1


# ---- scope ----

def test_a_session_with_a_scope_answers_only_those_who_repeat_it(server, user):
    s = UserSession(server, user, scope="chat-42")
    unknown = server.post("/encrypt", {"session_id": UNKNOWN_ID, "plaintext": "x"})
    assert (unknown.status, unknown.code) == (401, "session_unknown")
    for scope in ({}, {"scope": None}, {"scope": "chat-43"}, {"scope": "chat-4"}, {"scope": "chat-42 "}, {"scope": "CHAT-42"}):
        for path, body in (("/encrypt", s.plain("x")), ("/decrypt", s.seal("x"))):
            body = {k: v for k, v in body.items() if k != "scope"}
            r = server.post(path, {**body, **scope})
            assert (r.status, r.body) == (401, unknown.body), (path, scope)
    assert s.open(encrypt(server, s, "x")) == "x"
    assert server.post("/decrypt", s.seal("y")).json()["message_number"] == 2


def test_a_session_without_a_scope_refuses_one(server, session):
    for path, body in (("/encrypt", session.plain("x")), ("/decrypt", session.seal("x"))):
        assert server.post(path, {**body, "scope": "chat-42"}).code == "session_unknown"
    assert encrypt(server, session, "x")["message_number"] == 1


def test_the_scope_is_remembered_over_a_restart(make_server, user):
    s = make_server()
    scoped, bare = UserSession(s, user, scope="chat-42"), UserSession(s, user)
    s.restart()
    assert s.post("/encrypt", {**scoped.plain("x"), "scope": None}).status == 401
    assert s.post("/encrypt", scoped.plain("x")).status == 200
    assert s.post("/encrypt", {**bare.plain("x"), "scope": "chat-42"}).status == 401
    assert s.post("/encrypt", bare.plain("x")).status == 200
