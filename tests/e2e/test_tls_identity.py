"""The key and certificate of tls_listen: made in memory or read from files, and renewed under way."""

import datetime
import os
import re
import signal
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography import x509
from helpers.nsm import StandIn
from helpers.proxy import poll
from helpers.server import BUILD, PATIENCE, RUNNER, any_certificate, clean_environment
from helpers.start import refused, said_by
from helpers.tls import Pair, TlsWire, cert_hash, dial, s_client
from helpers.wire import head

TLS = {"tls_listen": "127.0.0.1:0"}
RENEWED = re.compile(r"tls_renewed listener=tls_listen certificate=([0-9a-f]{64}) ")


def shown(server):
    with dial(server) as s:
        return cert_hash(s)


def renew(server):
    """SIGHUP, and what the log then says: the new certificate's hash."""
    mark = len(server.stderr)
    server.send_signal(signal.SIGHUP)
    return poll(lambda: RENEWED.search(server.stderr[mark:]), what="nothing was renewed")[1]


# ---- made in memory ----

def test_a_certificate_made_in_memory(make_server):
    s = make_server(settings={**TLS, "tls_names": "enclave.example,10.0.0.7,::1", "tls_lifetime": "2h"})
    with dial(s) as c:
        cert = x509.load_der_x509_certificate(c.getpeercert(True))
    assert cert.subject.rfc4514_string() == "CN=attestd" and cert.public_key().curve.name == "secp256r1"
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(n.value) for n in names] == ["enclave.example", "10.0.0.7", "::1"]
    now = datetime.datetime.now(datetime.timezone.utc)
    assert now < cert.not_valid_after.replace(tzinfo=datetime.timezone.utc) <= now + datetime.timedelta(hours=2)
    assert cert.not_valid_before.replace(tzinfo=datetime.timezone.utc) <= now
    first = shown(s)
    assert f"tls_identity listener=tls_listen certificate={first} " in s.stderr and "key_origin=memory" in s.stderr
    s.restart()
    assert shown(s) != first


def test_names_that_are_none_are_refused(make_server):
    said = refused(make_server(start=False, settings={**TLS, "tls_names": "a:b"}), 1)
    assert "tls_names" in said and "neither a DNS name nor an IP address" in said


def test_sighup_renews_and_open_connections_go_on(make_server):
    s = make_server(settings=TLS)
    with TlsWire(s) as old:
        assert old.send(head()).reply().status == 200
        first = old.hash
        second = renew(s)
        assert second != first and shown(s) == second
        assert old.send(head()).reply().status == 200
        assert old.hash == first
        third = renew(s)
        assert len({first, second, third}) == 3 and shown(s) == third
        assert old.send(head("GET", "/evidences/")).reply().json()["tls_cert_hash"] == first


def test_a_handshake_that_a_renewal_overtakes_is_completed(make_server):
    s = make_server(settings=TLS)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = any_certificate().wrap_bio(incoming, outgoing)
    with s.connect(s.tls) as c:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        c.sendall(outgoing.read(100))
        first = shown(s)
        renew(s)
        c.sendall(outgoing.read())
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                c.sendall(outgoing.read())
                incoming.write(c.recv(65536))
        assert cert_hash(tls) == first


def test_sighup_without_tls_does_nothing(make_server):
    s = make_server()
    mark = len(s.stderr)
    s.send_signal(signal.SIGHUP)
    poll(lambda: "nothing to renew" in s.stderr[mark:])
    assert s.get("/health").status == 200


@pytest.mark.slow
def test_a_certificate_is_renewed_before_it_expires(make_server):
    """After two thirds of the shortest lifetime."""
    s = make_server(settings={**TLS, "tls_lifetime": 10})
    first = shown(s)
    found = poll(lambda: RENEWED.search(s.stderr), 30, "nothing was renewed before it expired")
    assert found[1] != first and shown(s) == found[1]


@pytest.mark.slow
def test_a_thousand_requests_across_renewals(make_server):
    """No request fails, and /evidences/ always speaks of the certificate of the connection that asks."""
    s = make_server(settings={**TLS, "nsm_rate": 100000, "nsm_burst": 100000})
    total, clients = 1000 // PATIENCE, 5
    faults, seen, done = [], set(), [0]

    def client(i):
        try:
            wire, used = TlsWire(s), 0
            for n in range(total // clients):
                if used == 10 + 15 * i:  # some keep theirs for long
                    wire.socket.close()
                    wire, used = TlsWire(s), 0
                used += 1
                asks = n % 3 == 0
                reply = wire.send(head("GET", "/evidences/" if asks else "/health")).reply()
                if reply.status != 200:
                    faults.append(reply)
                elif asks and (reply.json()["tls_cert_hash"], reply.json()["user_data"]["tls_cert_hash"]) != (wire.hash, wire.hash):
                    faults.append((wire.hash, reply))
                seen.add(wire.hash)
                done[0] += 1
            wire.socket.close()
        except Exception as e:  # noqa: BLE001 - whatever it is, the test fails by it
            faults.append(repr(e))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    for t in threads:
        t.start()
    made = 0
    while any(t.is_alive() for t in threads):
        renew(s)
        made += 1
    for t in threads:
        t.join()
    assert not faults, faults[:3]
    assert done[0] == total // clients * clients and made >= 2 and len(seen) >= 2


# ---- from files ----

@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384", "ed25519"])
def test_a_certificate_from_files(make_server, tmp_path, kind):
    pair = Pair(tmp_path / "pair", kind)
    s = make_server(settings={**TLS, **pair.settings})
    assert shown(s) == pair.hash
    assert "key_origin=file" in s.stderr
    assert s.get("/evidences/", at=s.tls).json()["user_data"]["key_origin"] == "file"


def test_a_chain_is_sent_whole(make_server, tmp_path):
    pair, other = Pair(tmp_path / "pair"), Pair(tmp_path / "other")
    with open(pair.cert_file, "ab") as f:
        f.write(other.cert_file.read_bytes())
    s = make_server(settings={**TLS, **pair.settings})
    assert s_client(s, "-showcerts").count("-----BEGIN CERTIFICATE-----") == 2
    assert shown(s) == pair.hash


def test_a_chain_at_the_limit_and_one_past_it(make_server, tmp_path):
    pair, other = Pair(tmp_path / "pair"), Pair(tmp_path / "other")
    with open(pair.cert_file, "ab") as f:
        f.write(7 * other.cert_file.read_bytes())
    s = make_server(settings={**TLS, **pair.settings})
    assert s_client(s, "-showcerts").count("-----BEGIN CERTIFICATE-----") == 8
    with open(pair.cert_file, "ab") as f:
        f.write(other.cert_file.read_bytes())
    assert "more than 8 certificates" in refused(make_server(start=False, settings={**TLS, **pair.settings}), 1)


@pytest.mark.parametrize("which", ["cert_file", "key_file"])
def test_files_at_the_limit_and_one_past_it(make_server, tmp_path, which):
    pair = Pair(tmp_path / "pair")
    file = getattr(pair, which)
    text = file.read_bytes()
    file.write_bytes(text + b"\n" * (65536 - len(text)))
    assert shown(make_server(settings={**TLS, **pair.settings})) == pair.hash
    file.write_bytes(text + b"\n" * (65537 - len(text)))
    assert "of at most 65536 bytes" in refused(make_server(start=False, settings={**TLS, **pair.settings}), 1)


def spoil(pair, how, tmp_path):
    """Makes the files unusable; what the server must say, and its exit status."""
    other = Pair(tmp_path / "other")
    if how == "wrong key":
        pair.key_file.write_bytes(other.key_file.read_bytes())
        return "the private key is not that of the certificate", 1
    if how == "expired":
        pair.renew(since_days=2, days=-1)
        return "the certificate has expired", 1
    if how == "encrypted":
        pair.renew(passphrase=b"secret")
        return "without a passphrase", 1
    if how == "rsa1024" or how == "p521":
        pair.renew(how)
        return "the private key must be P-256, P-384, Ed25519, or RSA of 2048 to 8192 bits", 1
    if how == "no certificate":
        pair.cert_file.write_text("hello\n")
        return "no PEM certificate", 1
    if how == "too large":
        pair.cert_file.write_text("x" * 70_000 + pair.cert_file.read_text())
        return "no PEM certificate of at most 65536 bytes", 1
    if how == "too large a key":
        pair.key_file.write_text("x" * 70_000 + pair.key_file.read_text())
        return "no PEM private key of at most 65536 bytes", 1
    if how == "open to others":
        pair.key_file.chmod(0o640)
        return f"the TLS key file {pair.key_file} can be reached by other users (mode 0640); restrict it with chmod 600", 3
    if how == "link":
        pair.key_file.unlink()
        pair.key_file.symlink_to(other.key_file)
        return f"the TLS key file {pair.key_file} is a symbolic link", 3
    if how == "folder":
        pair.key_file.unlink()
        pair.key_file.mkdir()
        return f"the TLS key file {pair.key_file} is not a regular file", 3
    if how in ("FIFO as key", "FIFO as certificate"):
        what, file = ("key file", pair.key_file) if "key" in how else ("certificate", pair.cert_file)
        file.unlink()
        os.mkfifo(file, 0o600)
        return f"the TLS {what} {file} is not a regular file", 3
    if how == "no key file":
        pair.key_file.unlink()
        return f"the TLS key file {pair.key_file} cannot be opened", 3
    assert how == "no certificate file"
    pair.cert_file.unlink()
    return f"the TLS certificate {pair.cert_file} cannot be opened", 3


SPOILT = ["wrong key", "expired", "encrypted", "rsa1024", "p521", "no certificate", "too large", "too large a key",
          "open to others", "link", "folder", "FIFO as key", "FIFO as certificate",
          "no key file", "no certificate file"]


@pytest.mark.parametrize("how", SPOILT)
def test_files_that_cannot_be_used_refuse_the_start(make_server, tmp_path, how):
    pair = Pair(tmp_path / "pair")
    said, status = spoil(pair, how, tmp_path)
    assert said in refused(make_server(start=False, settings={**TLS, **pair.settings}), status)


def test_sighup_reads_the_files_again_and_keeps_what_it_has_if_they_are_no_good(make_server, tmp_path):
    pair = Pair(tmp_path / "pair")
    s = make_server(settings={**TLS, **pair.settings})
    first = pair.hash
    with TlsWire(s) as old:
        for how in SPOILT:
            kept = pair.hash
            said, _ = spoil(pair, how, tmp_path)
            mark = len(s.stderr)
            s.send_signal(signal.SIGHUP)
            poll(lambda: "tls_not_renewed" in s.stderr[mark:])
            assert said in s.stderr[mark:].replace("\\", ""), (how, s.stderr[mark:])
            assert shown(s) == kept, how
            if pair.key_file.is_dir():
                pair.key_file.rmdir()
            for file in (pair.key_file, pair.cert_file):
                if file.is_fifo():
                    file.unlink()
            pair.renew()
            assert renew(s) == pair.hash == shown(s)
        assert old.send(head()).reply().status == 200 and old.hash == first


@pytest.mark.parametrize("since, left, warns", [(9.0, 0.9, True), (9.0, 1.2, False)])
def test_a_certificate_near_its_end_is_warned_of(make_server, tmp_path, since, left, warns):
    pair = Pair(tmp_path / "pair", since_days=since, days=left)
    s = make_server(start=False, settings={**TLS, **pair.settings})
    assert ("less than a tenth of the life" in said_by(s, s.start)) == warns


# ---- as other servers are told ----

def test_use_tls_names_the_files(make_server, tmp_path):
    pair = Pair(tmp_path / "pair")
    s = make_server(settings=TLS, env={"USE_TLS": "true", "TLS_CERT_PATH": str(pair.cert_file), "TLS_KEY_PATH": str(pair.key_file)})
    assert shown(s) == pair.hash
    ignored = make_server(settings=TLS, env={"TLS_CERT_PATH": "/nowhere", "TLS_KEY_PATH": "/nowhere"})
    assert "key_origin=memory" in ignored.stderr
    other = Pair(tmp_path / "other")
    set_too = make_server(settings={**TLS, **other.settings}, env=s.env)
    assert shown(set_too) == other.hash


def test_use_tls_that_contradicts_is_refused(make_server):
    said = refused(make_server(start=False, settings=TLS, env={"USE_TLS": "false"}), 1)
    assert "USE_TLS: false contradicts tls_listen" in said and "public_listen" in said
    assert "USE_TLS: must be true or false" in refused(make_server(start=False, settings=TLS, env={"USE_TLS": "1"}), 1)
    assert make_server(env={"USE_TLS": "false"}).get("/health").status == 200
    said = refused(make_server(start=False, settings=TLS, env={"USE_TLS": "true", "TLS_CERT_PATH": "/nowhere/c"}), 3)
    assert "/nowhere/c" in said


def test_files_without_a_listener_are_told_of(make_server, tmp_path):
    s = make_server(settings=Pair(tmp_path / "pair").settings)
    assert "by tls_cert_file or by USE_TLS=true, and tls_listen is not set: nothing is served over TLS" in s.stderr
    assert "USE_TLS=true, and tls_listen is not set" in make_server(env={"USE_TLS": "true"}).stderr


# ---- ENCLAVE_KEY_BASE64 ----

GOOD = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def test_the_key_from_the_environment_seals_private_data_and_leaves_it(make_server):
    s = make_server(settings=TLS, env={"ENCLAVE_KEY_BASE64": GOOD})
    assert "sealed_under=ENCLAVE_KEY_BASE64" in s.stderr
    assert s.post("/private-data", b"x", headers={"Content-Type": "a/b"}, at=s.tls).status == 201
    try:
        environ = Path(f"/proc/{s.pid}/environ").read_bytes()
    except PermissionError:
        environ = b""  # undumpable: so much the better
    assert GOOD.encode()[:-1] not in environ
    s.stop()
    s.env = {}
    assert "ENCLAVE_KEY_BASE64" in refused(s)  # what was sealed under a configured key needs it again
    s.env = {"ENCLAVE_KEY_BASE64": GOOD[:-2] + "o="}
    assert "is not the one that sealed" in refused(s)
    s.env = {"ENCLAVE_KEY_BASE64": GOOD}
    assert s.start().get("/private-data", at=s.tls).body == b"x"


class Twice(dict):
    """An environment that names a variable twice."""

    def items(self):
        return [(k, v) for k, v in super().items() for _ in range(2 if k == "ENCLAVE_KEY_BASE64" else 1)]


def test_a_key_that_is_in_the_environment_twice_is_wiped_twice(tmp_path):
    """/proc shows the environment's bytes to root alone, for the process is undumpable."""
    command = [*RUNNER, BUILD / "attestd", "serve", "--listen=127.0.0.1:0", "--nsm=dummy", f"--db={tmp_path}/s.db",
               "--set=tls_listen=127.0.0.1:0", f"--set=private_data_db={tmp_path}/p.db"]
    env = Twice(clean_environment(), ENCLAVE_KEY_BASE64=GOOD)
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as p:
        try:
            for line in p.stderr:
                if "listening" in line:
                    break
            try:
                environ = Path(f"/proc/{p.pid}/environ").read_bytes()
            except PermissionError:
                pytest.skip("only root reads the environment of an undumpable process")
            assert environ.count(b"ENCLAVE_KEY_BASE64=") == 2 and GOOD.encode()[:-1] not in environ
        finally:
            p.terminate()
            p.stderr.read()


@pytest.mark.parametrize("value", ["", GOOD[:-1], GOOD + "\n", "A" * 43 + "=", "secret", GOOD[4:]])
def test_a_key_that_is_none_is_refused_and_not_quoted(make_server, value):
    said = refused(make_server(start=False, settings=TLS, env={"ENCLAVE_KEY_BASE64": value}), 1)
    assert "ENCLAVE_KEY_BASE64 must be 32 bytes in padded base64" in said and "openssl rand -base64 32" in said
    assert value == "" or value.strip() not in said


def test_an_enclave_takes_no_key_from_its_environment(make_server, tmp_path):
    how = StandIn(tmp_path / "nsm").server(settings=TLS)
    how["env"]["ENCLAVE_KEY_BASE64"] = GOOD
    said = refused(make_server(start=False, **how), 1)
    assert "ENCLAVE_KEY_BASE64 is refused with a real NSM" in said and GOOD not in said


def test_an_enclave_has_no_anonymous_private_data(make_server, tmp_path):
    nsm = StandIn(tmp_path / "nsm")
    s = make_server(**nsm.server(settings=TLS))
    reply = s.get("/private-data", at=s.tls)
    assert (reply.status, reply.code) == (401, "identity_missing")
    said = refused(make_server(start=False, **nsm.server(settings={**TLS, "private_data_anonymous": "true"})), 1)
    assert "private_data_anonymous = true is refused" in said
