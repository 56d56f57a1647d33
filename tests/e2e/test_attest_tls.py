"""`attestd attest --url https://...`: the certificate of the very connection is the attested one, or it is refused."""

import hashlib
import signal
import ssl
import time

import pytest
from helpers.relay import changed
from helpers.server import PATIENCE
from helpers.session import NONCE, PCR0, attestd, done, refused, session
from helpers.simulated import Simulated, check_schema
from helpers.tls_relay import OwnCertificate, TLSLiar, cert_hash
from helpers.verifier import verify


@pytest.fixture(scope="module")
def enclave(tmp_path_factory):
    """A server with a TLS listener beside its public one."""
    s = Simulated(tmp_path_factory.mktemp("tls"), settings={"public_listen": "127.0.0.1:0", "tls_listen": "127.0.0.1:0"})
    s.start()
    yield s
    s.stop()


@pytest.fixture
def simulate(tmp_path):
    """Makes more of them: simulate(tls_listen=...) is a running one."""
    made = []

    def make(**settings):
        made.append(Simulated(tmp_path / f"server{len(made)}", settings={"tls_listen": "127.0.0.1:0", **settings}))
        return made[-1].start()

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def attest(enclave):
    def run(*words, url=None, root=enclave.root, policy=("--pcr", f"0={PCR0}"), **how):
        return attestd("attest", "--url", url or enclave.tls, "--root", root, *policy, *words, **how)

    return run


@pytest.fixture
def tls_liar():
    """Makes relays that end TLS: tls_liar(at, request=, reply=) is one."""
    made = []

    def make(*args, **how):
        made.append(TLSLiar(*args, **how))
        return made[-1]

    yield make
    for one in made:
        one.close()


def said(run, status=0):
    assert run.status == status, run
    value = run.json()
    assert list(value) == ["verified", "code", "message", "custom_data_compared", "info", "tls_cert_hash", "key_origin", "verdict"]
    assert value["verified"] is (status == 0) and value["custom_data_compared"] is False and value["info"] is None
    assert (value["tls_cert_hash"] is None) == (value["key_origin"] is None) == (status != 0)
    if value["verdict"] is not None:
        check_schema(value["verdict"])
        assert value["verdict"]["verified"] is value["verified"] and value["verdict"]["code"] == value["code"]
    return value


def mismatch(run):
    """The document is sound, and is not of this connection."""
    value = said(run, 1)
    assert value["code"] == "tls_certificate_mismatch" and value["verdict"] is None
    assert "somebody in between ends TLS with a certificate of their own" in value["message"]


# ---- what it proves ----


@pytest.mark.smoke
def test_the_certificate_of_the_connection_is_the_attested_one(attest, enclave):
    value = said(attest("--json"))
    assert value["key_origin"] == "memory" and value["tls_cert_hash"] == cert_hash(enclave.tls)
    verdict = value["verdict"]
    assert verdict["purpose"] == "tls" and verdict["claims"]["tls_cert_hash"] == value["tls_cert_hash"]
    assert verdict["identity"] == "compared" and len(verdict["nonce"]) == 64
    assert said(attest("--json"))["verdict"]["nonce"] != verdict["nonce"]
    text = done(attest()).decode()
    assert text.startswith("VERIFIED: ") and value["tls_cert_hash"] in text
    assert "Its key was made in the enclave's memory." in text


def test_a_unix_socket_will_do(simulate, tmp_path):
    server = simulate(tls_listen=f"unix:{tmp_path}/tls.sock")
    run = attestd("attest", "--url", f"https+unix:{tmp_path}/tls.sock", "--root", server.root, "--pcr", f"0={PCR0}", "--json")
    assert said(run)["key_origin"] == "memory"


def test_the_certificate_is_saved_for_others_to_trust(attest, enclave, tmp_path):
    path = tmp_path / "enclave.pem"
    assert f"It is in {path}." in done(attest("--save-cert", path)).decode()
    assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).hexdigest() == cert_hash(enclave.tls)
    context = ssl.create_default_context(cafile=path)
    reply = enclave.get("/health", connection=enclave.http(enclave.tls, context=context))
    assert reply.status == 200
    done(attest("--save-cert", path))


def test_the_reply_is_kept_and_verifies(attest, enclave, tmp_path):
    value = said(attest("--json", "--out", tmp_path / "reply.json"))
    again = ("--root", enclave.root, "--pcr", f"0={PCR0}", "--nonce", "hex:" + value["verdict"]["nonce"])
    run = verify("--json", "--purpose", "tls", *again, file=tmp_path / "reply.json")
    assert run.verdict["verified"] is True
    assert verify("--json", "--purpose", "info", *again, file=tmp_path / "reply.json").verdict["code"] == "purpose_mismatch"


def test_each_certificate_of_a_renewed_server_is_attested(simulate):
    server = simulate()
    words = ("attest", "--url", server.tls, "--root", server.root, "--pcr", f"0={PCR0}", "--json")
    before = said(attestd(*words))
    server.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10 * PATIENCE
    while cert_hash(server.tls) == before["tls_cert_hash"]:
        assert time.monotonic() < deadline, server.stderr
        time.sleep(0.01)
    after = said(attestd(*words))
    assert after["tls_cert_hash"] == cert_hash(server.tls) != before["tls_cert_hash"]


def test_a_session_is_opened_over_tls(enclave, tmp_path, tls_liar):
    """What is attested end to end needs no attested connection."""
    for n, url in enumerate((enclave.tls, tls_liar(enclave.tls).url)):
        done(session("open", "--url", url, "--root", enclave.root, "--pcr", f"0={PCR0}", "--out", tmp_path / f"chat{n}.session"))


# ---- what it refuses ----


def test_a_relay_that_ends_tls_is_caught(attest, enclave, tls_liar, tmp_path):
    relay = tls_liar(enclave.tls)
    mismatch(attest("--json", "--save-cert", tmp_path / "cert.pem", url=relay.url))
    assert not (tmp_path / "cert.pem").exists()
    run = attest(url=relay.url)
    assert run.status == 1 and run.out.startswith(b"NOT VERIFIED: ") and b"tls_spki_hash" in run.out


def test_a_relay_that_shows_its_own_certificate_in_the_reply_is_caught(attest, enclave, tls_liar):
    relay = tls_liar(enclave.tls, reply=lambda *a: changed(certificate=relay.own.pem)(*a))
    value = said(attest("--json", url=relay.url), 1)
    assert value["code"] == "reply_mismatch" and value["verdict"]["field"] == "certificate"


@pytest.mark.parametrize("member", ["tls_cert_hash", "tls_spki_hash"])
def test_a_relay_that_lies_about_the_hashes_is_caught(attest, enclave, tls_liar, member):
    url = tls_liar(enclave.tls, reply=changed(**{member: "ab" * 32})).url
    value = said(attest("--json", url=url), 1)
    assert value["code"] == "reply_mismatch" and value["verdict"]["field"] == member


def test_another_enclave_is_refused(attest, simulate):
    """Its documents are as genuine as it is."""
    other = simulate()
    assert said(attest("--json", url=other.tls), 1)["code"] == "chain_untrusted"
    assert said(attest("--json", url=other.tls, root=other.root, policy=("--pcr", f"0={'b' * 96}")), 1)["code"] == "pcr_mismatch"


def test_a_relay_that_has_only_the_public_listener_behind_it_is_told(attest, enclave, tls_liar):
    value = said(attest("--json", url=tls_liar(enclave.public).url), 1)
    assert value["code"] == "server_refused" and "404" in value["message"]
    assert "Whoever ends TLS there attests no certificate" in value["message"]


def test_a_document_of_another_purpose_is_refused(attest, enclave, tls_liar):
    def other(method, path, body):
        return enclave.get(path.replace("/evidences/", "/attestation")).body

    assert said(attest("--json", url=tls_liar(enclave.tls, reply=other).url), 1)["code"] == "purpose_mismatch"


def test_an_old_reply_is_refused(attest, enclave, tls_liar):
    old = []

    def keep(method, path, body):
        old.append(body)
        return old[0]

    url = tls_liar(enclave.tls, reply=keep).url
    mismatch(attest("--json", url=url))
    assert said(attest("--json", url=url), 1)["code"] == "nonce_mismatch"


def test_a_key_from_a_file_is_refused_unless_it_is_asked_for(simulate, tmp_path):
    given = OwnCertificate(tmp_path, "localhost")
    server = simulate(tls_cert_file=given.cert_file, tls_key_file=given.key_file)
    words = ("attest", "--url", server.tls, "--root", server.root, "--pcr", f"0={PCR0}")
    value = said(attestd(*words, "--json", "--save-cert", tmp_path / "saved.pem"), 1)
    assert value["code"] == "key_from_file" and value["verdict"] is None and "--allow-file-key" in value["message"]
    assert not (tmp_path / "saved.pem").exists()
    value = said(attestd(*words, "--json", "--allow-file-key", "--save-cert", tmp_path / "saved.pem"))
    assert value["key_origin"] == "file" and (tmp_path / "saved.pem").read_text() == given.pem
    assert "ITS KEY CAME FROM A FILE" in done(attestd(*words, "--allow-file-key")).decode()


def test_a_relay_with_the_key_from_the_file_is_what_that_refuses(simulate, tls_liar, tmp_path):
    """Whoever has the key can end TLS with it, unseen by all who accept that."""
    given = OwnCertificate(tmp_path, "localhost")
    server = simulate(tls_cert_file=given.cert_file, tls_key_file=given.key_file)
    relay = tls_liar(server.tls, own=given)
    words = ("attest", "--url", relay.url, "--root", server.root, "--pcr", f"0={PCR0}", "--json")
    assert said(attestd(*words), 1)["code"] == "key_from_file"
    assert said(attestd(*words, "--allow-file-key"))["verified"] is True


def test_http_and_https_are_told_apart(attest, enclave):
    refused(attest(url=enclave.public.replace("http:", "https:")), 3, "speaks no TLS that can be used")
    refused(attest(url=enclave.tls.replace("https:", "http:")), 3, enclave.tls.replace("https:", "http:"))


# ---- the command line ----


@pytest.mark.parametrize("url, words, text", [
    ("https://127.0.0.1:1", ("--custom-data", "{}"), "only a server's local listener attests custom data"),
    ("https://127.0.0.1:1", ("--purpose", "info"), "over TLS this asks for tls"),
    ("https://127.0.0.1:1", ("--purpose", "attestation"), "over TLS this asks for tls"),
    ("http://127.0.0.1:1", ("--purpose", "tls"), "https:// asks for tls"),
    ("http://127.0.0.1:1", ("--save-cert", "x.pem"), "--save-cert goes with a URL with TLS"),
    ("http://127.0.0.1:1", ("--allow-file-key",), "--allow-file-key goes with a URL with TLS"),
    ("https+tcp:127.0.0.1:1", (), "https+vsock:"),
])
def test_wrong_usage_is_told(url, words, text):
    refused(attestd("attest", "--url", url, "--pcr", f"0={PCR0}", *words), 2, text)


def test_plaintext_goes_to_no_tls_listener():
    refused(session("encrypt", "--url", "https://127.0.0.1:1", "--id", "A" * 43, data=b"x"), 2, "speaks no TLS")


def test_a_purpose_and_a_nonce_of_ones_own_are_sent(attest):
    value = said(attest("--json", "--purpose", "tls", "--nonce", NONCE))
    assert value["verdict"]["nonce"] == "a5" * 32


def test_a_file_that_cannot_be_replaced_is_told_before_asking(attest, tmp_path):
    refused(attest("--save-cert", tmp_path / "gone" / "cert.pem"), 3, "cert.pem")
