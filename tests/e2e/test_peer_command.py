"""`attestd peer`: two enclaves prove to each other what they run, and meet by mutual TLS; or the step that fails is named."""

import base64
import json
import signal

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from helpers.page import commands, page, run
from helpers.peers import Enclave
from helpers.proxy import poll
from helpers.relay import changed
from helpers.session import attestd, done, refused
from helpers.simulated import check_schema
from helpers.tls_relay import OwnCertificate, TLSLiar, certificate

PCRS = {i: f"a77e57d{i}" * 12 for i in range(3)}  # of every simulator
OTHER = "b" * 96


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A server, and the enclave of a client; each trusts the other's root."""
    a, b = (Enclave(tmp_path_factory.mktemp(name)) for name in "ab")
    a.trust(b).serve()
    b.trust(a)
    yield a, b
    a.stop()
    b.stop()


@pytest.fixture
def meet(pair):
    """The client's `attestd peer --json`, to be judged by the caller."""
    server, client = pair

    def go(*words, **how):
        return client.meet(server, "--json", *words, **how)

    return go


@pytest.fixture
def make_enclave(tmp_path, pair):
    """Makes enclaves that trust the server's root, and with server=True those that the client shall meet."""
    made = []

    def make(*args):
        made.append(Enclave(tmp_path / f"enclave{len(made)}", *args))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def between(pair, liar):
    """A relay in front of the server's peer_listen: between({path: (request, reply)}), each a function of a body."""

    def same(body):
        return body

    def make(**paths):
        def part(i):
            return lambda method, path, body: paths.get(path[1:], (same, same))[i](body)

        return liar(pair[0].url, request=part(0), reply=part(1))

    return make


def request(change):
    return change, lambda body: body


def reply(change):
    return lambda body: body, change


def members(**new):
    return lambda body: changed(**new)("", "", body)


def said(ended, status=0):
    assert ended.status == status, ended
    value = ended.json()
    assert list(value) == ["connected", "step", "code", "message", "server", "client", "pong"]
    assert value["connected"] is value["pong"] is (status == 0)
    assert (value["step"] is None) == (status == 0)
    if value["server"] is not None:
        check_schema(value["server"])
    return value


def fails(ended, step, code, *texts):
    """It was refused in this step, for this reason; nothing stands there that would look like a success."""
    value = said(ended, 1)
    assert (value["step"], value["code"]) == (step, code), value
    for text in texts:
        assert text in value["message"], value
    if value["server"] is not None:
        assert value["server"]["verified"] is (step != "verify")
    return value


# ---- success ----


@pytest.mark.smoke
def test_peers_meet(pair, meet):
    value = said(meet())
    assert value["code"] == "connected"
    server, client = value["server"], value["client"]
    assert server["verified"] is True and server["identity"] == "compared" and server["pcrs_compared"] == [0, 1, 2]
    claims = server["claims"]
    assert claims["purpose"] == "peer" and claims["role"] == "server"
    assert claims["peer_key_hash"] == client["key_hash"] and claims["config_digest"] == client["config_digest"]
    assert {int(i): client["pcrs"][str(i)] for i in range(3)} == PCRS
    assert server["module_id"] != client["module_id"], "each has an enclave of its own"
    assert claims["key_hash"] == pair[0].server.get("/cert", at=pair[0].url).json()["key_hash"]


def test_a_person_reads_both_verdicts_and_pong(pair):
    server, client = pair
    text = done(client.meet(server)).decode()
    assert text.startswith("What this side verified of the server:\n\nVERIFIED: ") and text.endswith("\n\npong\n")
    assert "What the server says that it verified of this side:" in text and text.isascii()


def test_the_commands_of_the_page_work(tmp_path):
    followed = run(commands(page("docs", "PEERS.md"), {}), tmp_path)
    assert followed.startswith("What this side verified of the server:\n\nVERIFIED: ") and followed.endswith("\n\npong\n")


def test_each_run_has_a_key_of_its_own(meet):
    assert said(meet())["client"]["key_hash"] != said(meet())["client"]["key_hash"]


def test_they_meet_in_either_direction(make_enclave):
    a, b = make_enclave(), make_enclave()
    a.trust(b).serve()
    b.trust(a).serve()
    assert said(a.meet(b, "--json"))["pong"] and said(b.meet(a, "--json"))["pong"]


def test_they_meet_over_unix_sockets(make_enclave):
    a, b = make_enclave(), make_enclave()
    where = {"peer_listen": f"unix:{a.cwd}/peer.sock", "peer_tls_listen": f"unix:{a.cwd}/mutual.sock"}
    a.trust(b).serve(**where)
    ended = b.trust(a).meet(a, "--json", settings=where, tls="https+" + a.tls)
    assert said(ended)["pong"]


def test_the_configuration_may_come_from_a_file(pair):
    server, client = pair
    lines = {"listen": "127.0.0.1:0", "peer_listen": "127.0.0.1:0", "peer_tls_listen": "127.0.0.1:0", "peer_root": "peer.pem"}
    (client.cwd / "peer.conf").write_text("".join(f"{k} = {v}\n" for k, v in lines.items()))
    ended = attestd("peer", "--config", "peer.conf", "--nsm", "socket:socket", "--url", server.url, "--tls", server.tls, "--json",
                  cwd=client.cwd)
    assert said(ended)["pong"]


def test_a_root_and_pcrs_can_be_given(pair, meet, tmp_path):
    server, _ = pair
    root = ("--root", server.simulator.root)
    assert said(meet(*root, "--pcr", f"1={PCRS[1]}", "--pcr", f"2={PCRS[2]}"))["server"]["pcrs_compared"] == [1, 2]
    measured = {"HashAlgorithm": "Sha384 { ... }", **{f"PCR{i}": v for i, v in PCRS.items()}}
    (tmp_path / "image.json").write_text(json.dumps({"Measurements": measured}))
    assert said(meet(*root, "--policy", tmp_path / "image.json"))["pong"]


def test_a_policy_file_that_pins_nothing_is_refused_as_the_server_refuses_it(meet, tmp_path):
    (tmp_path / "policy.json").write_text('{"max_age": 60}')
    for how in ({"settings": {"peer_policy": tmp_path / "policy.json"}}, {}):
        ended = meet(*(() if how else ("--policy", tmp_path / "policy.json")), **how)
        assert ended.status == 2 and "a policy for peers must tell one enclave from another" in ended.err, ended
    assert said(meet("--policy", tmp_path / "policy.json", "--pcr", f"0={PCRS[0]}"))["pong"]


def once(change):
    """A change to the first body alone."""
    seen = []

    def changes(body):
        seen.append(body)
        return change(body) if len(seen) == 1 else body

    return changes


def always_new(directory):
    """Another certificate each time."""

    def change(body):
        return members(certificate=OwnCertificate(directory).pem)(body)

    return change


def test_a_server_that_renews_its_key_in_between_is_met_all_the_same(meet, between, tmp_path):
    url = between(cert=reply(once(members(certificate=OwnCertificate(tmp_path).pem))))
    assert said(meet(url=url))["pong"]


@pytest.mark.parametrize("after", ["report", "challenge", "client"])
def test_a_server_that_renews_its_key_after_a_step_is_met_all_the_same(pair, meet, between, after):
    """The next step but one is then about another key: the report's, the one that the server has, or the one of TLS."""
    server = pair[0].server

    def renews(body):
        mark = len(server.stderr)
        server.send_signal(signal.SIGHUP)
        poll(lambda: "tls_renewed listener=peer_tls_listen" in server.stderr[mark:], what="nothing was renewed")
        return body

    asked = []
    url = between(cert=reply(lambda body: asked.append(body) or body), **{after: reply(once(renews))})
    assert said(meet(url=url))["pong"]
    assert len(asked) >= 2


def test_a_failure_that_is_not_about_the_servers_key_is_not_looked_into(meet, between):
    asked = []
    url = between(cert=reply(lambda body: asked.append(body) or body), report=request(members(challenge="ab" * 32)))
    fails(meet(url=url), "verify", "nonce_mismatch")
    assert len(asked) == 1


def test_a_server_that_renews_its_key_all_the_time_is_given_up(meet, between, tmp_path):
    fails(meet(url=between(cert=reply(always_new(tmp_path)))), "verify", "key_hash_mismatch")


# ---- the server is refused (step 3), before it hears anything that proves this side ----


def test_a_swapped_certificate_is_refused(meet, between, tmp_path):
    own = reply(members(certificate=OwnCertificate(tmp_path).pem))
    for paths in ({"cert": own}, {"cert": own, "report": own}):
        fails(meet(url=between(**paths)), "verify", "key_hash_mismatch", "somebody put their key in its place")
    fails(meet(url=between(report=own)), "verify", "certificate_mismatch", "different certificates")


def test_a_swapped_public_key_is_refused(meet, between, tmp_path):
    swap = request(members(public_key=OwnCertificate(tmp_path).public_pem))
    fails(meet(url=between(report=swap)), "verify", "peer_key_hash_mismatch", "for another peer than us")


def test_a_replayed_report_is_refused(meet, between):
    first = []

    def keep(body):
        first.append(body)
        return first[0]

    url = between(report=reply(keep))
    said(meet(url=url))
    fails(meet(url=url), "verify", "nonce_mismatch", "nonce")


def test_a_challenge_that_was_swapped_on_its_way_is_noticed(meet, between):
    url = between(report=request(members(challenge="ab" * 32)))
    fails(meet(url=url), "verify", "nonce_mismatch")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """An enclave that meets itself: nothing but the claims tells the two sides apart."""
    e = Enclave(tmp_path_factory.mktemp("one"))
    e.trust(e).serve()
    yield e
    e.stop()


def test_a_report_made_in_the_other_role_is_refused(one, liar):
    """The relay has another client answer the very challenge, as if it were the server."""
    made = {}

    def ask_another_client(method, path, body):
        if path != "/report":
            return body
        asked = json.loads(body)["challenge"]
        url = liar(one.url, request=lambda m, p, b: (made.update(json.loads(b)) if p == "/client" else None) or b,
                   reply=lambda m, p, b: members(challenge=asked)(b) if p == "/challenge" else b)
        fails(one.meet(one, "--json", url=url), "client", "server_refused", "challenge_unknown")
        return body

    def answer(method, path, body):
        if path != "/report":
            return body
        value = json.loads(body)
        value["attestation_document"]["document"] = made["attestation_document"]
        return json.dumps(value).encode()

    ended = one.meet(one, "--json", url=liar(one.url, request=ask_another_client, reply=answer))
    fails(ended, "verify", "role_mismatch", "in the role of client")


def test_another_configuration_is_refused(meet):
    value = fails(meet(settings={"agent": "Somebody else"}), "verify", "config_digest_mismatch", "config show --security")
    assert value["server"] is None
    fails(meet("--set", "max_messages=77"), "verify", "config_digest_mismatch")
    assert said(meet("--set", "max_sessions=77"))["pong"], "what peers do not rely on may differ"


def test_other_pcrs_are_refused(pair, meet, make_enclave):
    server, _ = pair
    fails(meet("--pcr", f"0={OTHER}"), "verify", "pcr_mismatch", "PCR0")
    other = make_enclave("--pcr", f"2={OTHER}").trust(server)
    fails(other.meet(server, "--json"), "verify", "pcr_mismatch", "PCR2")


def test_another_root_is_refused(pair, meet, tmp_path):
    _, client = pair
    fails(meet("--root", client.simulator.root), "verify", "chain_untrusted")


def test_an_expired_certificate_is_refused(pair, make_enclave):
    _, client = pair
    expired = make_enclave("--fault", "expired").trust(client).serve()
    fails(client.meet(expired, "--json", "--root", expired.simulator.root), "verify", "certificate_expired")


def test_a_server_in_debug_mode_is_refused(make_enclave):
    a, b = make_enclave("--debug-mode"), make_enclave()
    a.trust(b)
    b.trust(a)
    for one in (a, b):
        (one.cwd / "policy.json").write_text(json.dumps({"pcrs": {"0": [PCRS[0], OTHER]}}))
    policy = {"peer_policy": "policy.json"}
    a.serve(**policy)
    fails(b.meet(a, "--json", settings=policy), "verify", "debug_mode")


# ---- this side is refused (step 5) ----


def test_a_report_of_this_side_is_good_for_one_time(meet, between):
    first = []

    def keep(body):
        first.append(body)
        return first[0]

    url = between(client=request(keep))
    said(meet(url=url))
    fails(meet(url=url), "client", "server_refused", "409", "challenge_unknown")


def test_a_replayed_challenge_is_refused(meet, between):
    first = []

    def keep(body):
        first.append(body)
        return first[0]

    url = between(challenge=reply(keep))
    said(meet(url=url))
    fails(meet(url=url), "client", "server_refused", "challenge_unknown")


def test_a_public_key_that_was_swapped_for_the_relays_is_refused(meet, between, tmp_path):
    url = between(client=request(members(public_key=OwnCertificate(tmp_path).public_pem)))
    fails(meet(url=url), "client", "server_refused", "peer_refused", "key_hash")


def test_a_report_of_the_servers_own_is_not_taken_for_this_sides(one, liar):
    def reflect(method, path, body):
        if path != "/client":
            return body
        challenge = one.server.get("/challenge", at=one.url).json()["challenge"]
        asked = {"challenge": challenge, "public_key": json.loads(body)["public_key"]}
        made = one.server.post("/report", asked, at=one.url).json()
        return members(attestation_document=made["attestation_document"]["document"])(body)

    ended = one.meet(one, "--json", url=liar(one.url, request=reflect))
    fails(ended, "client", "server_refused", "peer_refused", "a report of our own")


def test_a_client_with_other_pcrs_is_refused_by_the_server(pair, make_enclave):
    server, _ = pair
    other = make_enclave("--pcr", f"0={OTHER}").trust(server)
    ended = other.meet(server, "--json", "--pcr", f"0={PCRS[0]}")
    value = fails(ended, "client", "server_refused", "peer_refused")
    assert value["server"]["verified"] is True and value["client"] is None


def test_a_client_in_debug_mode_is_refused(pair, make_enclave):
    server, _ = pair
    debug = make_enclave("--debug-mode").trust(server)
    refused(debug.meet(server, "--json"), 2, "debug mode")
    fails(debug.meet(server, "--json", "--pcr", f"0={PCRS[0]}"), "client", "server_refused", "peer_refused")


def test_a_client_under_another_root_is_refused_by_the_server(pair, make_enclave):
    server, _ = pair
    stranger = make_enclave().trust(server)
    fails(stranger.meet(server, "--json"), "client", "server_refused", "chain_untrusted")


def test_a_client_whose_certificates_have_expired_is_refused_by_the_server(make_enclave):
    a, b = make_enclave(), make_enclave("--fault", "expired")
    a.trust(b).serve()
    fails(b.trust(a).meet(a, "--json"), "client", "server_refused", "certificate_expired")


# ---- the connection (steps 6 and 7) ----


def issued(key):
    """A certificate for a public key, by an authority of somebody's own that has the name of the server's."""
    return certificate(key, ec.generate_private_key(ec.SECP256R1()), "attestd peers")


def test_a_certificate_of_another_authority_is_of_no_use(meet, between):
    keys = []

    def keep(body):
        keys.append(serialization.load_pem_public_key(json.loads(body)["public_key"].encode()))
        return body

    url = between(client=(keep, lambda body: members(certificate=issued(keys[-1]))(body)))
    fails(meet(url=url), "connect", "client_certificate_refused", "unknown ca")


def test_a_certificate_for_another_key_is_refused(meet, between):
    url = between(client=reply(members(certificate=issued(ec.generate_private_key(ec.SECP256R1()).public_key()))))
    fails(meet(url=url), "client", "reply_malformed", "made for another key")


def test_a_relay_that_ends_tls_is_caught(pair, meet):
    server, _ = pair
    heard = []
    relay = TLSLiar(server.tls, request=lambda *a: heard.append(a) or a[2])
    try:
        fails(meet(tls=relay.url), "connect", "tls_certificate_mismatch", "ends TLS with a key of their own")
    finally:
        relay.close()
    assert not heard


def test_a_certificate_from_an_earlier_run_is_of_no_use(make_enclave, liar):
    """The authority is gone with its process."""
    a, b = make_enclave(), make_enclave()
    a.trust(b).serve()
    b.trust(a)
    old = []
    url = liar(a.url, reply=lambda m, path, body: (old.append(body) if path == "/client" else None) or body)
    assert said(b.meet(a, "--json", url=url))["pong"]
    a.server.restart()
    # Nor is the key: `attestd peer` makes one for each run.
    stale = liar(a.url, reply=lambda m, path, body: old[0] if path == "/client" else body)
    fails(b.meet(a, "--json", url=stale), "client", "reply_malformed", "made for another key")


# ---- servers that are none ----


@pytest.mark.parametrize("path, step, body", [
    ("cert", "cert", b"{}"), ("cert", "cert", b"hello"), ("cert", "cert", b'{"certificate": "hello"}'),
    ("cert", "cert", b'{"certificate": 7}'), ("cert", "cert", b"[]"), ("cert", "cert", b""),
    ("cert", "cert", b'{"certificate": "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n"}'),
    ("report", "report", b""), ("report", "verify", b"{}"), ("report", "verify", b'{"attestation_document": "x"}'),
    ("report", "verify", b'{"attestation_document": {"document": "!"}}'),
    ("challenge", "challenge", b'{"challenge": "ab"}'), ("challenge", "challenge", b'{"challenge": null}'),
    ("challenge", "challenge", b'{"challenge": "' + b"xy" * 32 + b'"}'),
    ("client", "client", b'{"certificate": ""}'),
])
def test_a_reply_that_is_none_is_told(meet, between, path, step, body):
    fails(meet(url=between(**{path: reply(lambda _: body)})), step, "reply_malformed")


def test_a_document_that_is_none_is_told(meet, between):
    text = base64.b64encode(b"no document").decode()
    url = between(report=reply(lambda _: json.dumps({"attestation_document": {"document": text}}).encode()))
    fails(meet(url=url), "verify", "cose_malformed")


@pytest.mark.parametrize("status", [403, 404, 409, 429])
def test_a_server_that_refuses_is_told(meet, refusing, status):
    fails(meet(url=refusing(status, "Not today.")), "cert", "server_refused", "Not today.", str(status))


def test_a_server_that_fails_exits_3(pair, meet, refusing):
    refused(meet(url=refusing(503, "Not today.")), 3, "attestd peer: step 1 (cert): ", "Not today.")
    refused(meet(url="http://127.0.0.1:1"), 3, "step 1 (cert): ", "no server answers")
    refused(meet(tls="https://127.0.0.1:1"), 3, "step 6 (connect): ", "no server answers")
    refused(meet(tls=pair[0].url.replace("http:", "https:")), 3, "step 6 (connect): ", "speaks no TLS")


def test_without_json_the_step_is_named_on_stderr(pair, tmp_path):
    server, client = pair
    refused(client.meet(server, "--pcr", f"0={OTHER}"), 1, "attestd peer: step 3 (verify): The report does not hold (pcr_mismatch)")


# ---- the command line ----


@pytest.mark.parametrize("words, text", [
    ((), "--url URL must say where the server's peer_listen is"),
    (("--url", "http://h"), "--tls URL must say where the server's peer_tls_listen is"),
    (("--url", "http://h", "--tls", "http://h"), "--tls must be a URL with TLS"),
    (("--url", "https://h", "--tls", "https://h"), "--url must be a URL without TLS"),
    (("--url", "http://h", "--tls", "nowhere"), '--tls: "nowhere" is no URL'),
    (("--url", "http://h", "--tls", "https://h", "--timeout", "0"), "--timeout must be a number from 1 to 3600"),
    (("--url", "http://h", "--tls", "https://h", "extra"), "extra"),
    (("--url", "http://h", "--tls", "https://h", "--set", "nsm=dummy"), "signs nothing"),
    (("--url", "http://h", "--tls", "https://h", "--nsm", "simulator", "--pcr", f"2={OTHER}"), "PCR0, or PCR1 and PCR2"),
    (("--url", "http://h", "--tls", "https://h", "--nsm", "simulator", "--purpose", "info"), "--purpose is no option"),
    (("--url", "http://h", "--tls", "https://h", "--nsm", "simulator", "--at", "document"), "--at is no option"),
    (("--url", "http://h", "--tls", "https://h", "--nsm", "simulator"), "need peer_root"),
    (("--url", "gopher://h", "--tls", "https://h"), "--url: "), (("--url", "http://h", "--tls", "gopher://h"), "--tls: "),
    (("--url", "http://h", "--tls", "https://h", "--set", "nonsense=1"), "nonsense"),
])
def test_wrong_usage_is_told(words, text):
    refused(attestd("peer", *words), 2, text)


def test_an_nsm_that_is_not_there_exits_3(pair, tmp_path):
    refused(attestd("peer", "--url", pair[0].url, "--tls", pair[0].tls, "--nsm", f"socket:{tmp_path}/gone"), 3, "gone")
