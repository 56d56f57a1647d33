"""A server on the software NSM, in process and behind a socket."""

import base64
import re
import stat

import pytest
from helpers.document import Document
from helpers.nsm import text
from helpers.start import refused, said_by


@pytest.mark.route("POST /attestation", "GET /health")
def test_a_server_on_its_socket_attests_and_claims_nothing(make_server, simulator):
    server = make_server(start=False, nsm=simulator.nsm)
    assert "ATTESTATIONS ARE SIMULATED AND PROVE NOTHING" in said_by(server, server.start)
    health = server.get("/health").json()
    assert (health["nsm"], health["tee_available"], health["debug_mode"]) == ("socket", False, False)
    reply = server.post("/attestation", text("a nonce")).json()
    assert reply["tee_verified"] is False and "SIMULATED" in reply["attestation_document"]["_warning"]
    d = Document(base64.b64decode(reply["attestation_document"]["document"], validate=True))
    d.verify()
    assert d.payload["nonce"] == b"a nonce" and d.payload["pcrs"][2].hex() == reply["pcr2"]
    d.check_by_openssl(simulator.root)


def test_a_server_in_simulator_mode_writes_its_root(make_server, tmp_path):
    root = tmp_path / "root.pem"
    root.write_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
    server = make_server(nsm="simulator", settings={"nsm_root_out": root})
    assert stat.S_IMODE(root.stat().st_mode) == 0o644
    health = server.get("/health").json()
    assert (health["nsm"], health["tee_available"], health["debug_mode"]) == ("simulator", False, False)
    document = server.post("/attestation", {}).json()["attestation_document"]["document"]
    Document(base64.b64decode(document)).check_by_openssl(root)
    first = root.read_bytes()
    server.restart()
    assert root.read_bytes() != first, "a simulator's root lives as long as it"


def test_a_start_that_fails_leaves_the_root_of_the_one_that_runs(make_server, tmp_path):
    root = tmp_path / "root.pem"
    server = make_server(nsm="simulator", listen=f"unix:{tmp_path}/l", settings={"nsm_root_out": root})
    first = root.read_bytes()
    second = make_server(start=False, nsm="simulator", listen=f"unix:{tmp_path}/l", settings={"nsm_root_out": root})
    assert "another process answers there" in refused(second)
    assert root.read_bytes() == first
    assert server.get("/health").status == 200


@pytest.mark.parametrize("nsm", ["dummy", "simulator", "socket"])
def test_what_proves_nothing_is_said_whatever_is_logged(make_server, simulator, nsm):
    server = make_server(start=False, nsm=simulator.nsm if nsm == "socket" else nsm, settings={"log_level": "error"})
    what = "DUMMIES" if nsm == "dummy" else "SIMULATED"
    said = said_by(server, server.start)
    assert said.startswith(f"attestd: ATTESTATIONS ARE {what}: THEY PROVE NOTHING. For development and tests only.\n")


def test_a_start_that_waits_for_the_nsm_says_so(make_server, make_simulator):
    s = make_simulator("--fault", "slow=1500")
    server = make_server(start=False, nsm=s.nsm)
    assert f"attestd: waiting for the NSM (nsm = {s.nsm})\n" in said_by(server, server.start)


def test_a_call_that_is_not_answered_ends_with_nsm_timeout(make_server, make_simulator):
    server = make_server(start=False, nsm=make_simulator("--fault", "slow=60000").nsm, settings={"nsm_timeout": 1})
    assert "did not answer within 1 s" in refused(server)


def test_a_server_that_cannot_write_the_root_does_not_start(make_server):
    server = make_server(start=False, nsm="simulator", settings={"nsm_root_out": "/nonexistent/root.pem"})
    assert "the root certificate /nonexistent/root.pem cannot be written" in refused(server)


@pytest.mark.route("GET /health")
def test_a_debug_enclave_is_told_of(make_server, make_simulator):
    server = make_server(start=False, nsm=make_simulator("--debug-mode").nsm)
    assert "this enclave runs in debug mode" in said_by(server, server.start)
    assert server.get("/health").json()["debug_mode"] is True


def test_a_simulator_that_comes_back_is_used_again(make_server, make_simulator):
    s = make_simulator()
    server = make_server(nsm=s.nsm)
    assert server.post("/attestation", text("1")).status == 200
    s.stop()
    for _ in range(2):
        assert server.post("/attestation", text("2")).code == "nsm_unavailable"
    assert f"no NSM answers on unix:{s.path} (No such file or directory): start `attestd simulate" in server.stderr
    assert server.get("/health").status == 200
    s.start()
    assert server.post("/attestation", text("3")).status == 200
    s.kill()
    s.start()
    assert server.post("/attestation", text("4")).status == 200, "the connection was broken, and is made anew"


@pytest.mark.parametrize(
    "fault, says",
    [
        ("error=InternalError", "the NSM refused Attestation with InternalError"),
        ("garbage", "the NSM's reply to Attestation is not understood"),
        ("short", "gives no attestation document, so the server does not start: the NSM's reply to Attestation is not"),
        ("other-nonce", "the NSM's document does not hold the nonce that was to be attested"),
    ],
)
def test_a_server_on_an_unsound_nsm_does_not_start(make_server, make_simulator, fault, says):
    server = make_server(start=False, nsm=make_simulator("--fault", fault).nsm)
    assert says in refused(server)
    assert [p.name for p in server.directory.iterdir()] == ["stderr"], "neither a key nor a database is left behind"


def test_where_nobody_answers_a_server_does_not_start(make_server, tmp_path):
    server = make_server(start=False, nsm=f"socket:{tmp_path.name}/s")
    says = r"no NSM answers on unix:\S+ \(No such file or directory\): start `attestd simulate --socket"
    assert re.search(says, refused(server))
