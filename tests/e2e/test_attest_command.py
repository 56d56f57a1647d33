"""`attestd attest`: fetched afresh, verified, and compared with what was asked."""

import hashlib
import json
import re

import pytest
from helpers import Server
from helpers.relay import changed
from helpers.session import PCR0, attestd, done, refused
from helpers.simulated import Simulated, check_schema
from helpers.verifier import verify

DATA = {"question": "ü?", "numbers": [1.5, 10, None, True], "text": "a\"\\\x1f/"}


@pytest.fixture
def attest(simulated):
    def run(*words, url=None, policy=("--pcr", f"0={PCR0}"), **how):
        return attestd("attest", "--url", url or simulated.local, "--root", simulated.root, *policy, *words, **how)

    return run


def said(run, status=0):
    assert run.status == status, run
    value = run.json()
    assert list(value) == ["verified", "code", "message", "custom_data_compared", "info", "verdict"]
    assert value["verified"] is (status == 0)
    if value["verdict"] is not None:
        check_schema(value["verdict"])
        assert value["verdict"]["verified"] is value["verified"] and value["verdict"]["code"] == value["code"]
    else:
        assert status == 1 and value["code"] in ("custom_digest_mismatch", "info_mismatch", "server_refused")
    return value


# ---- what it proves ----


@pytest.mark.smoke
def test_beside_the_server_it_verifies_a_fresh_attestation(attest):
    nonces = set()
    for _ in range(2):
        run = attest("--json")
        value = said(run)
        assert run.err == "" and value["info"] is None and value["custom_data_compared"] is False
        assert value["verdict"]["identity"] == "compared" and value["verdict"]["purpose"] == "attestation"
        nonces.add(value["verdict"]["nonce"])
    assert len(nonces) == 2 and all(len(n) == 64 for n in nonces)
    text = done(attest()).decode()
    assert text.startswith("VERIFIED: ") and "and it is the one that was wanted" in " ".join(text.split())


def test_a_nonce_of_ones_own_is_sent(attest):
    assert said(attest("--json", "--nonce", "text:my own nonce"))["verdict"]["nonce"] == b"my own nonce".hex()


def test_the_nonce_is_fresh_and_the_time_is_now(attest, tmp_path):
    for member, text in (('"nonce": "text:the same again"', "the policy file holds a nonce"), ('"at": "document"', "as of now")):
        (tmp_path / "policy").write_text("{" + member + "}")
        refused(attest("--policy", tmp_path / "policy"), 2, text)
    refused(attest("--at", "document"), 2, "as of now")
    assert "WARNING: --nonce must be random" in attest("--nonce", "text:my own nonce, once").err


def test_from_outside_it_takes_the_public_route_and_compares_info(attest, simulated):
    value = said(attest("--json", url=simulated.public))
    info = simulated.get("/info").body
    assert value["verdict"]["purpose"] == "info" and value["info"] == json.loads(info)
    assert value["verdict"]["claims"]["info_digest"] == hashlib.sha256(info).hexdigest()
    assert "What GET /info answers is what the enclave attests: " + info.decode() in done(attest(url=simulated.public)).decode()
    assert said(attest("--json", "--purpose", "info"))["info"] == json.loads(info)


def test_a_unix_socket_will_do(simulated, tmp_path):
    server = Simulated(tmp_path / "s", listen=f"unix:{tmp_path}/api.sock").start()
    run = attestd("attest", "--url", f"unix:{tmp_path}/api.sock", "--root", server.root, "--pcr", f"0={PCR0}", "--json")
    server.stop()
    said(run)


@pytest.mark.parametrize("how", ["value", "file", "stdin"])
def test_custom_data_is_attested_and_compared(attest, tmp_path, how):
    text = json.dumps(DATA, indent=2, ensure_ascii=False)
    (tmp_path / "data.json").write_text(text)
    where = {"value": text, "file": tmp_path / "data.json", "stdin": "-"}[how]
    value = said(attest("--json", "--custom-data", where, data=text.encode()))
    assert value["custom_data_compared"] is True
    digest = hashlib.sha256(json.dumps(DATA, sort_keys=True).encode()).hexdigest()
    assert value["verdict"]["claims"]["custom_digest"] == digest
    assert "The custom data that you gave is what the enclave attests." in done(attest("--custom-data", text)).decode()


@pytest.mark.parametrize("text", ["{}", "[]", "0", '""', "false", "true", "1.0", '"x"'])
def test_any_json_is_custom_data(attest, text):
    assert said(attest("--json", "--custom-data", text))["custom_data_compared"] is True


def test_long_custom_data_is_compared(attest, tmp_path):
    (tmp_path / "long").write_text(json.dumps(["x\u00fc" * 500] * 4000))
    assert said(attest("--json", "--custom-data", tmp_path / "long"))["custom_data_compared"] is True


@pytest.mark.parametrize("text", ['"' + "\x7f" * 200000 + '"', "[" + ",".join(["1e15"] * 100000) + "]"], ids=["escapes", "numbers"])
def test_custom_data_that_grows_most_when_it_is_repeated_is_compared(attest, tmp_path, text):
    (tmp_path / "grows").write_text(text)
    assert said(attest("--json", "--custom-data", tmp_path / "grows"))["custom_data_compared"] is True


def test_the_reply_is_kept_and_verifies(attest, simulated, tmp_path):
    value = said(attest("--json", "--out", tmp_path / "reply.json", "--custom-data", "[1]"))
    run = verify("--json", "--root", simulated.root, "--pcr", f"0={PCR0}", "--nonce", "hex:" + value["verdict"]["nonce"],
                 file=tmp_path / "reply.json")
    assert run.verdict["verified"] is True
    assert json.loads((tmp_path / "reply.json").read_text())["custom_data"] == [1]
    run = attest("--out", tmp_path / "refused.json", policy=("--pcr", f"0={'b' * 96}"))
    assert run.status == 1 and (tmp_path / "refused.json").exists()


# ---- what it refuses ----


@pytest.mark.parametrize("policy, code", [
    (("--pcr", f"0={'b' * 96}"), "pcr_mismatch"),
    (("--pcr", f"0={PCR0}", "--user-data", "x"), "user_data_mismatch"),
])
def test_what_the_policy_refuses_is_not_verified(attest, policy, code):
    assert said(attest("--json", policy=policy), 1)["verdict"]["code"] == code
    run = attest(policy=policy)
    assert run.status == 1 and run.out.startswith(b"NOT VERIFIED: ")


def test_without_the_simulators_root_it_is_not_verified(simulated):
    run = attestd("attest", "--url", simulated.local, "--pcr", f"0={PCR0}", "--json")
    assert said(run, 1)["verdict"]["code"] == "chain_untrusted"


@pytest.mark.parametrize("pins, text", [((), "which enclave is meant"), (("--pcr", f"2={'a77e57d2' * 12}"), "weak")])
def test_without_a_pinned_enclave_it_says_how_to_get_the_pcrs(attest, pins, text):
    refused(attest(policy=pins), 2, text, "nitro-cli build-enclave", "nitro-cli describe-eif", "--any-enclave")
    run = attest("--any-enclave", policy=pins)
    assert run.status == 0 and "WARNING: --any-enclave" in run.err


def test_an_old_reply_is_not_verified(attest, simulated, liar):
    old = []

    def keep(method, path, body):
        old.append(body)
        return old[0]

    url = liar(simulated.local, reply=keep)
    assert attest(url=url).status == 0
    assert said(attest("--json", url=url), 1)["verdict"]["code"] == "nonce_mismatch"


def not_verified(run, text):
    """The document is sound, and yet does not say what was asked."""
    assert run.status == 1 and run.out.startswith(b"NOT VERIFIED: ") and text in run.out.decode(), run
    assert run.out.count(b"VERIFIED: ") == 1


def test_custom_data_that_was_exchanged_on_its_way_is_refused(attest, simulated, liar):
    url = liar(simulated.local, request=changed(custom_data={"other": 1}))
    not_verified(attest("--custom-data", '{"mine": 1}', url=url), "it attests other data")
    value = said(attest("--custom-data", '{"mine": 1}', "--json", url=url), 1)
    assert value["code"] == "custom_digest_mismatch" and value["verdict"] is None
    assert value["custom_data_compared"] is False and "custom_digest" in value["message"]
    not_verified(attest(url=url), "none was asked for")
    url = liar(simulated.local, request=changed(custom_data=None))
    not_verified(attest("--custom-data", '{"mine": 1}', url=url), "it attests none")


def test_custom_data_that_was_exchanged_in_the_reply_is_refused(attest, simulated, liar):
    url = liar(simulated.local, reply=changed(custom_data={"other": 1}))
    assert said(attest("--json", "--custom-data", '{"mine": 1}', url=url), 1)["verdict"]["code"] == "custom_data_mismatch"


def test_info_that_was_changed_on_its_way_is_refused(attest, simulated, liar):
    def other(method, path, body):
        return body.replace(b'"attestd"', b'"ATTESTD"') if path == "/info" else body

    url = liar(simulated.public, reply=other)
    not_verified(attest(url=url), "info_digest")
    value = said(attest("--json", url=url), 1)
    assert value["info"] is None and value["code"] == "info_mismatch" and value["verdict"] is None


def test_a_server_that_signs_nothing_is_not_verified(attest, tmp_path):
    server = Server(tmp_path / "dummy").start()
    run = attest("--json", url=server.local)
    server.stop()
    assert said(run, 1)["verdict"]["code"] == "no_document"


def test_a_purpose_that_the_listener_does_not_have_is_told(attest, simulated):
    refused(attest("--purpose", "attestation", url=simulated.public), 1, "405")
    refused(attest("--custom-data", "{}", url=simulated.public), 1, "custom data", "beside the server")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422, 429])
def test_json_tells_of_a_server_that_refuses(attest, refusing, status):
    run = attest("--json", url=refusing(status, "Not today."))
    value = said(run, 1)
    assert value["code"] == "server_refused" and value["verdict"] is None and run.err == ""
    assert f"{status}" in value["message"] and "Not today." in value["message"]


def test_json_tells_of_a_listener_that_does_not_serve_it(attest, simulated):
    for words, text in ((("--purpose", "attestation"), "405"), (("--custom-data", "{}"), "beside the server")):
        value = said(attest("--json", *words, url=simulated.public), 1)
        assert value["code"] == "server_refused" and text in value["message"]


def test_json_is_silent_of_a_server_that_fails(attest, refusing):
    refused(attest("--json", url=refusing(503, "Not today.")), 3, "503", "Not today.")


def test_problems_of_the_server_reach_the_person(attest, simulated, tmp_path):
    refused(attest("--nonce", "hex:" + "aa" * 513), 1, "422", "512")
    server = Server(tmp_path / "gone").start()
    url = server.local
    server.stop()
    refused(attest(url=url), 3, "127.0.0.1")


@pytest.mark.parametrize("custom, most", [(None, 1 << 20), ('"' + "x" * 1000 + '"', (1 << 20) + 16 * 1002)])
def test_a_reply_may_be_so_much_longer_than_what_was_sent_and_no_longer(attest, simulated, liar, custom, most):
    """All of it is read before the first signature is looked at."""
    def padded(size):
        return lambda method, path, body: body + b" " * (size - len(body))

    words = ("--json", *(("--custom-data", custom) if custom else ()))
    said(attest(*words, url=liar(simulated.local, reply=padded(most))))
    refused(attest(*words, url=liar(simulated.local, reply=padded(most + 1))), 3, f"more than {most} bytes")


def test_a_reply_that_is_none_is_not_verified(attest, simulated, liar):
    for text in (b"", b"{}", b"{", b"hello"):
        run = attest("--json", url=liar(simulated.local, reply=lambda *_, text=text: text))
        assert said(run, 1)["verdict"]["code"] in ("reply_malformed", "input_unrecognized")


# ---- the command line ----


@pytest.mark.parametrize("words, text", [
    ((), "--url"),
    (("--url", "nowhere", "--pcr", f"0={PCR0}"), "--url"),
    (("--url", "http://127.0.0.1:1", "extra"), "extra"),
    (("--url", "http://127.0.0.1:1", "--purpose", "key-exchange"), "attestation or info"),
    (("--url", "http://127.0.0.1:1", "--purpose", "info", "--custom-data", "{}"), "no custom data"),
    (("--url", "http://127.0.0.1:1", "--custom-data", "null", "--any-enclave"), "null"),
    (("--url", "http://127.0.0.1:1", "--custom-data", '{"a": 1, "a": 2}', "--any-enclave"), "duplicate"),
    (("--url", "http://127.0.0.1:1", "--custom-data", "[1", "--any-enclave"), "JSON"),
])
def test_wrong_usage_is_told(words, text):
    refused(attestd("attest", *words), 2, text)


def test_a_file_of_custom_data_that_is_not_there_exits_3(attest, tmp_path):
    refused(attest("--custom-data", tmp_path / "gone"), 3, "gone")
    (tmp_path / "bad").write_text("{")
    refused(attest("--custom-data", tmp_path / "bad"), 2, "JSON")


def test_the_help_tells_of_every_flag():
    text = done(attestd("attest", "--help")).decode()
    for flag in ("url", "custom-data", "out", "any-enclave", "json", "nonce", "pcr", "policy", "root", "purpose"):
        assert re.search(rf"^  --{flag}\b", text, re.MULTILINE), flag
    assert max(map(len, text.splitlines())) <= 125
