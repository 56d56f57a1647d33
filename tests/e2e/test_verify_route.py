"""POST /verify: the same verifier as `attestd verify`, for programs."""

import base64
import json

import pytest
from helpers.forge import AT, Forger, pcr, pem
from helpers.server import sanitized
from helpers.simulated import KINDS, Simulated, as_json, check_schema, facts
from helpers.verifier import verify


@pytest.fixture(scope="module")
def forger():
    return Forger()


def ask(server, **members):
    reply = server.post("/verify", members)
    assert reply.status == 200, reply
    assert reply.headers["Cache-Control"] == "no-store"
    check_schema(reply.json())
    return reply.json()


def b64(made):
    return base64.b64encode(made).decode()


@pytest.mark.smoke
@pytest.mark.route("POST /verify")
@pytest.mark.parametrize("kind", KINDS)
def test_a_simulators_replies_verify_under_its_root_and_no_other(server, simulated, kinds, kind):
    """Asked of another server, which has nothing to do with them."""
    reply, purpose = kinds[kind]
    verdict = ask(server, reply=reply, policy={"root": simulated.root.read_text()})
    assert (verdict["verified"], verdict["purpose"], verdict["input"]) == (True, purpose, "reply")
    assert ask(server, reply=reply)["code"] == "chain_untrusted"


def test_the_server_does_not_trust_its_own_simulator(simulated, kinds):
    assert ask(simulated, reply=kinds["plain"][0])["code"] == "chain_untrusted"


def test_the_command_prints_the_same_object(server, forger, tmp_path):
    (tmp_path / "root.pem").write_text(pem(forger.root))
    changed = {**forger.attested(), "pcr2": "00" * 48}
    policy = {"at": AT, "pcrs": {"0": pcr(0).hex(), "1": pcr(2).hex()}, "nonce": "00" * 20}
    for reply in (forger.attested(), forger.attested(custom=[1]), forger.key_exchange(), changed, {"hello": 1}, {}):
        for wanted in ({"at": AT}, policy):
            (tmp_path / "policy.json").write_text(json.dumps(wanted))
            for root in ([], ["--root", tmp_path / "root.pem"]):
                run = verify("--json", "--format", "reply", "--policy", tmp_path / "policy.json", *root, data=as_json(reply))
                more = {"root": pem(forger.root)} if root else {}
                assert ask(server, reply=reply, policy={**wanted, **more}) == run.verdict


def test_a_document_is_taken_in_base64_and_hex(server, forger):
    made = forger.document(user_data=b"hello")
    told = [ask(server, document=text, policy=forger.policy())
            for text in (b64(made), made.hex(), base64.encodebytes(made).decode(), made.hex().upper() + "\n")]
    assert [v["input"] for v in told] == ["base64", "hex", "base64", "hex"]
    assert all(v["verified"] and facts(v) == facts(told[0]) for v in told)
    for text in ("", "hello, world", b64(made)[:-1], made.hex()[:-1], "-----BEGIN CERTIFICATE-----"):
        assert ask(server, document=text)["code"] == "input_unrecognized"
    assert ask(server, document=b64(made[:-1]))["code"] == "cose_malformed"
    assert ask(server, document=b64(made + bytes(16385 - len(made))))["code"] == "input_too_large"


def test_the_policy_says_what_is_wanted(server, forger):
    made = b64(forger.document(nonce=b"n" * 20, user_data=forger.claims()))
    for policy, expected in (
        ({"pcrs": {"0": pcr(0).hex()}}, "verified"),
        ({"pcrs": {"0": [pcr(1).hex(), pcr(0).hex()]}}, "verified"),
        ({"pcrs": {"0": pcr(1).hex()}}, "pcr_mismatch"),
        ({"nonce": "text:" + "n" * 20}, "verified"),
        ({"nonce": "text:" + "m" * 20}, "nonce_mismatch"),
        ({"user_data": "x"}, "user_data_mismatch"),
        ({"purpose": "attestation"}, "verified"),
        ({"purpose": "tls"}, "purpose_mismatch"),
        ({"at": AT + 301}, "document_too_old"),
        ({"at": AT + 301, "max_age": "any"}, "verified"),
        ({"at": "now"}, "certificate_expired"),
        ({"at": "document"}, "verified"),
    ):
        verdict = ask(server, document=made, policy=forger.policy(**policy))
        assert verdict["code"] == expected, policy
        assert verdict["historic"] == (policy.get("at") != "now")


def test_a_policy_of_one_request_does_not_reach_the_next(server, forger):
    """What is kept between requests are verified chains, and a chain that holds under one root is none under another."""
    made = b64(forger.document())
    for _ in range(3):
        assert ask(server, document=made, policy=forger.policy())["verified"]
        assert ask(server, document=made, policy={"at": AT})["code"] == "chain_untrusted"
        assert ask(server, document=made, policy=Forger().policy())["code"] == "chain_untrusted"
        assert ask(server, document=made, policy={"root": pem(forger.root)})["code"] == "certificate_expired"


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "document"),
        ({"policy": {}}, "document"),
        ({"document": "hEQ=", "reply": {}}, "document"),
        ({"document": None, "reply": None}, "document"),
        ({"document": 5}, "document"),
        ({"document": '{"attestation_document": {}}'}, "document"),
        ({"document": ' \n{"attestation_document": {}}'}, "document"),
        ({"reply": "hEQ="}, "reply"),
        ({"reply": []}, "reply"),
        ({"documents": "hEQ="}, "documents"),
        ({"document": "hEQ=", "policy": []}, "policy"),
        ({"document": "hEQ=", "policy": None}, "policy"),  # one that was lost must not turn into none
        ({"document": "hEQ=", "policy": {"pcr": {}}}, "policy.pcr"),
        ({"document": "hEQ=", "policy": {"pcrs": {"0": "00"}}}, "policy.pcrs.0"),
        ({"document": "hEQ=", "policy": {"pcrs": {"32": "00" * 48}}}, "policy.pcrs"),
        ({"document": "hEQ=", "policy": {"nonce": "=="}}, "policy.nonce"),
        ({"document": "hEQ=", "policy": {"max_age": -1}}, "policy.max_age"),
        ({"document": "hEQ=", "policy": {"at": "then"}}, "policy.at"),
        ({"document": "hEQ=", "policy": {"purpose": "x"}}, "policy.purpose"),
        ({"document": "hEQ=", "policy": {"root": "x"}}, "policy.root"),
        ({"document": "hEQ=", "policy": {"allow_debug": 1}}, "policy.allow_debug"),
    ],
)
def test_a_request_that_is_malformed_is_422_and_says_where(server, body, field):
    reply = server.post("/verify", body)
    assert (reply.status, reply.code) == (422, "validation_failed"), reply
    assert [e["field"] for e in reply.json()["errors"]] == [field]
    assert reply.json()["detail"]


def test_a_key_twice_is_422(server):
    for body in ('{"document": "hEQ=", "document": "hEQ="}', '{"reply": {"pcr2": "a", "pcr2": "b"}}',
                 '{"document": "hEQ=", "policy": {"nonce": "a", "nonce": "b"}}'):
        reply = server.post("/verify", body)
        assert reply.status == 422 and "duplicate key" in reply.json()["detail"]


def test_the_route_is_local(make_server, tmp_path):
    server = make_server(settings={"public_listen": f"unix:{tmp_path}/public.sock"})
    assert server.post("/verify", {}, at=server.public).status == 404
    assert server.post("/verify", {}, at=server.local).status == 422


def resident(server):
    """MiB."""
    with open(f"/proc/{server.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) // 1024


@pytest.mark.slow
@pytest.mark.parametrize("custom", ["string", "records"])
def test_a_reply_of_many_megabytes_is_verified_and_its_memory_given_back(tmp_path, custom):
    value = "x" * (20 << 20) if custom == "string" else [{"n": i} for i in range(500_000)]
    server = Simulated(tmp_path / "server").start()
    try:
        reply = server.attest(custom_data=value)
        root = server.root.read_text()
        for _ in range(2):
            assert ask(server, reply=reply, policy={"root": root})["verified"]
        reply["custom_data_canonical"] += " "
        assert ask(server, reply=reply, policy={"root": root})["code"] == "custom_data_mismatch"
        if not sanitized():
            assert resident(server) < 100
    finally:
        server.stop()


def test_replies_come_while_others_are_verified(server, forger):
    """The work is a worker's: /health is answered in between."""
    made = as_json({"document": b64(forger.document()), "policy": forger.policy()})
    connections = [server.http() for _ in range(8)]
    for c in connections:
        c.request("POST", "/verify", made, {"Content-Type": "application/json"})
    assert server.get("/health").status == 200
    for c in connections:
        assert json.loads(c.getresponse().read())["verified"]
        c.close()


def test_a_server_whose_caller_leaves_goes_on(make_server, forger):
    server = make_server()
    body = as_json({"reply": {"x": "y" * 1_000_000}, "policy": forger.policy()})
    head = b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    for _ in range(20):
        with server.connect() as s:
            s.sendall(head % len(body) + body)
    assert server.get("/health").status == 200
    server.stop()
