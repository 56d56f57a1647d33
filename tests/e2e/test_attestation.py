"""The attestation reply: what it is made of, and what the development mode says of itself."""

import base64
import json
import re
import time
from calendar import timegm

import pytest
from helpers import Server

pytestmark = [pytest.mark.route("POST /attestation"), pytest.mark.route("GET /attestation")]
STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
PCRS = ("0", "1", "2", "3", "4", "8")


def post(server, **members):
    return server.post("/attestation", members)


def get(server):
    return server.get("/attestation?nonce=00ff")


def attested_text(reply):
    return base64.b64decode(reply.json()["attestation_document"]["user_data"], validate=True)


def seconds(stamp):
    assert STAMP.match(stamp)
    return timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))


ALL = pytest.mark.parametrize(
    "ask", [post, lambda s: post(s, nonce="00ff", custom_data={"a": "é"}), get], ids=["post", "custom", "get"]
)


@ALL
def test_the_document_holds_the_very_text_of_user_data(server, ask):
    reply = ask(server)
    assert reply.status == 200
    assert reply.type == "application/json"
    text = attested_text(reply)
    assert b'"user_data":' + text + b"," in reply.body
    assert json.loads(text) == reply.json()["user_data"]
    assert len(text) <= 512


@ALL
def test_the_claims_begin_with_their_purpose(server, ask):
    reply = ask(server)
    claims = json.loads(attested_text(reply))
    assert list(claims)[:4] == ["purpose", "timestamp", "agent", "guardrail"]
    assert attested_text(reply).startswith(b'{"purpose":"')
    assert claims["purpose"] == ("info" if ask is get else "attestation")
    assert (claims["agent"], claims["guardrail"]) == ("OpenClaw", "LLM Proxy with Guardrails")


@ALL
def test_the_times_are_now_and_utc(server, ask):
    before = int(time.time())
    value = ask(server).json()
    after = time.time()
    assert value["timestamp"] == value["user_data"]["timestamp"]
    assert before <= seconds(value["timestamp"]) <= after
    assert before * 1000 <= value["attestation_document"]["timestamp"] <= after * 1000 + 1000


@pytest.mark.smoke
@ALL
def test_the_dummy_never_passes_for_an_enclave(server, ask):
    value = ask(server).json()
    document = value["attestation_document"]
    assert value["tee_verified"] is False
    assert value["_warning"] == document["_warning"]
    assert "not cryptographically valid" in value["_warning"]
    assert "document" not in document
    assert document["pcrs"] == {i: i * 96 for i in PCRS}
    assert value["pcr2"] == "2" * 96
    assert document["certificate"] is None and document["cabundle"] == []
    assert document["public_key"] is None
    assert (document["module_id"], document["digest"]) == ("dummy", "SHA384")
    health = server.get("/health").json()
    assert (health["tee_available"], health["nsm"], health["debug_mode"]) == (False, "dummy", None)


def test_each_member_is_there_when_it_should_be(server):
    always = {"attestation_document", "pcr2", "user_data", "timestamp", "nonce_hex", "nonce_encoding", "tee_verified",
              "_warning", "verification_instructions"}
    custom = {"custom_digest", "custom_digest_method", "custom_data", "custom_data_canonical"}
    assert post(server).json().keys() == always
    assert post(server, custom_data=0).json().keys() == always | custom
    assert get(server).json().keys() == always | {"quote", "eventLog"}


def test_no_member_comes_twice(server):
    def once(pairs):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return dict(pairs)

    for reply in (post(server, custom_data={"a": [{}]}), get(server)):
        json.loads(reply.body, object_pairs_hook=once)


def test_a_get_is_the_same_reply_with_quote_and_event_log(server):
    value = get(server).json()
    assert value["quote"] is None  # there is no document to give
    assert value["eventLog"] == "[]"
    assert value["nonce_hex"] == "00ff"
    assert base64.b64decode(value["attestation_document"]["nonce"]) == b"\x00\xff"


def test_the_instructions_fit_what_was_asked(server, user):
    def steps(reply):
        instructions = reply.json()["verification_instructions"]
        assert instructions.keys() == {"summary", "steps"}
        return "\n".join(instructions["steps"])

    plain, custom = steps(post(server)), steps(post(server, custom_data=1))
    exchanged = steps(server.post("/key-exchange", {"user_public_key": user.pem}))
    for text in (plain, custom, exchanged, steps(get(server))):
        assert "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b" in text
        assert "carries _warning, stop" in text
    assert "custom_data_canonical" in custom and "custom_data_canonical" not in plain
    assert '"purpose":"key-exchange"' in exchanged and "user_key_hash" in exchanged
    assert '"purpose":"info"' in steps(get(server)) and "/info" in steps(get(server))


def test_replies_are_not_to_be_kept(server):
    for reply in (post(server), post(server, custom_data=1), get(server)):
        assert reply.headers["Cache-Control"] == "no-store"


def test_the_agent_and_the_guardrail_are_configured(make_server):
    agent, guardrail = 'Ägent "7" \\ x', "Gü@rd/rail 😀"
    server = make_server(settings={"agent": agent, "guardrail": guardrail})
    for reply in (post(server), get(server)):
        claims = json.loads(attested_text(reply))
        assert (claims["agent"], claims["guardrail"]) == (agent, guardrail)
        assert reply.json()["user_data"] == claims


def longest():
    """The room that agent and guardrail have together: what the longest claims leave, those of a peer with a digest of
    metadata or those of a key exchange with a scope."""
    claims = {"purpose": "peer", "timestamp": "2026-01-30T12:00:00Z", "agent": "", "guardrail": "", "role": "server",
              "key_hash": "0" * 64, "peer_key_hash": "0" * 64, "config_digest": "0" * 64, "metadata_digest": "0" * 64}
    exchange = {"purpose": "key-exchange", "timestamp": "2026-01-30T12:00:00Z", "agent": "", "guardrail": "",
                "session_id": "0" * 43, "session_key_hash": "0" * 64, "user_key_hash": "0" * 64,
                "key_exchange_version": "1.1", "scope_hash": "0" * 64}
    return 512 - max(len(json.dumps(c, separators=(",", ":"))) for c in (claims, exchange))


def test_an_agent_too_long_for_the_claims_stops_the_start(make_server, user):
    room = longest()
    assert 30 < room < 128
    agent = "a" * min(64, room - 1)
    guardrail = "g" * (room - len(agent))
    server = make_server(settings={"agent": agent, "guardrail": guardrail})
    assert json.loads(attested_text(post(server, custom_data=1)))["agent"] == agent
    assert server.post("/key-exchange", {"user_public_key": user.pem}).status == 200

    server = make_server(settings={"agent": agent, "guardrail": guardrail + "g"}, start=False).spawn()
    assert server.wait() == 1
    assert f"agent and guardrail together take {room + 1} bytes as ASCII JSON, and at most {room} fit" in server.stderr
    # what counts is the attested form: a quote is two bytes there
    server = make_server(settings={"agent": agent, "guardrail": '"' * (len(guardrail) // 2 + 1)}, start=False).spawn()
    assert server.wait() == 1
    assert f"at most {room} fit" in server.stderr


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    directory = tmp_path_factory.mktemp("public")
    s = Server(directory, settings={"public_listen": f"unix:{directory}/public.sock"}).start()
    yield s
    s.stop()


def test_only_the_get_is_public(public):
    assert public.get("/attestation?nonce=00ff", at=public.public).json()["user_data"]["purpose"] == "info"
    assert public.post("/attestation", {}, at=public.public).status == 405
    assert public.post("/attestation", {}).status == 200


def test_over_the_rate_is_429_that_says_when_to_come_back(make_server):
    server = make_server(settings={"nsm_rate": 1, "nsm_burst": 3, "public_listen": "127.0.0.1:0"})
    replies = [get(server) for _ in range(20)]
    good = [r for r in replies if r.status == 200]
    over = [r for r in replies if r.status == 429]
    assert len(good) + len(over) == 20
    assert len(good) >= 3 and over
    for reply in over:
        assert reply.code == "rate_limited"
        assert int(reply.headers["Retry-After"]) >= 1
    # a budget for each reach
    assert server.get("/attestation", at=server.public).status == 200
    # a request that is wrong costs nothing
    for _ in range(10):
        assert server.get("/attestation?nonce====", at=server.public).status == 422
    assert server.get("/attestation", at=server.public).status == 200
    assert server.get("/attestation", at=server.public).status == 200
