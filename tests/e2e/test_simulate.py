"""The software NSM: its documents read by others, its socket and its faults. (For a server on it see
test_simulate_server.py.)"""

import os
import signal
import socket
import stat
import subprocess
import time

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from helpers import BUILD, RUNNER, clean_environment
from helpers.document import Document
from helpers.server import PATIENCE
from helpers.simulator import receive

RECOGNISABLE = {i: bytes.fromhex(f"a77e57d{i}") * 12 for i in (0, 1, 2, 4)}
THREE_HOURS = 3 * 60 * 60
INPUTS = [
    (None, None, None),
    (b"user data", b"a nonce", b"a key"),
    (b"", b"", b""),
    (b"u" * 512, b"n" * 512, b"k" * 1024),
]


def simulate(*args, **how):
    return subprocess.run([*RUNNER, BUILD / "attestd", "simulate", *map(str, args)], capture_output=True, text=True,
                          timeout=60, check=False, env=clean_environment(), **how)


def verify(document, *args):
    """attestd verify of a document's bytes: (exit status, what it prints)."""
    done = subprocess.run([*RUNNER, BUILD / "attestd", "verify", "-", *map(str, args)], input=document, check=False,
                          capture_output=True, timeout=60, env=clean_environment())
    return done.returncode, done.stdout.decode()


# ---- documents ----

@pytest.mark.parametrize("user_data, nonce, public_key", INPUTS)
def test_others_verify_its_documents(simulator, user_data, nonce, public_key):
    d = Document(simulator.document(user_data, nonce, public_key))
    d.check_shape()
    d.verify()
    assert d.payload["user_data"] == user_data and d.payload["nonce"] == nonce and d.payload["public_key"] == public_key
    assert abs(d.payload["timestamp"] / 1000 - time.time()) < 60 * PATIENCE
    root = x509.load_pem_x509_certificate(simulator.root.read_bytes())
    assert d.chain[0] == root.public_bytes(serialization.Encoding.DER), "the root that was written is the one signed under"


def test_one_bit_changed_is_refused_by_all(simulator, tmp_path):
    cose = simulator.document(b"user data")
    d = Document(cose.replace(b"user data", b"usar data"))
    with pytest.raises(Exception):
        d.verify()
    chain, signature = d.openssl(tmp_path / "openssl", simulator.root)
    assert chain[0] and not signature[0]
    assert verify(d.cose, "--root", simulator.root)[0] == 1
    assert verify(cose, "--root", simulator.root)[0] == 0


def test_it_is_trusted_by_nobody_who_was_not_told_to(simulator, make_simulator):
    cose = simulator.document()
    assert verify(cose)[0] == 1
    other = make_simulator()
    assert other.root.read_bytes() != simulator.root.read_bytes(), "each has a root of its own"
    assert verify(cose, "--root", other.root)[0] == 1


def test_its_pcrs_are_recognisable_and_those_that_are_locked_are_attested(make_simulator):
    s = make_simulator()
    pcrs = Document(s.document()).payload["pcrs"]
    assert pcrs == {i: RECOGNISABLE.get(i, bytes(48)) for i in range(16)}
    s.ask({"ExtendPCR": {"index": 20, "data": b"hello"}})
    assert 20 not in Document(s.document()).payload["pcrs"]
    assert s.ask({"LockPCR": {"index": 20}}) == "LockPCR"
    assert set(Document(s.document()).payload["pcrs"]) == {*range(16), 20}


def test_pcrs_and_debug_mode_are_told_by_flags(make_simulator):
    s = make_simulator("--debug-mode", "--pcr", f"3={'C3' * 48}", "--pcr", f"31={'1f' * 48}")
    pcrs = Document(s.document()).payload["pcrs"]
    assert [pcrs[i] for i in range(4)] == [bytes(48)] * 3 + [b"\xc3" * 48]
    assert s.ask({"DescribePCR": {"index": 31}}) == {"DescribePCR": {"lock": False, "data": b"\x1f" * 48}}
    assert verify(s.document(), "--root", s.root)[0] == 1
    assert verify(s.document(), "--root", s.root, "--allow-debug")[0] == 0


# ---- faults ----

def test_fault_error_refuses_every_request_by_name(make_simulator):
    s = make_simulator("--fault", "error=InternalError")
    for request in ("DescribeNSM", "GetRandom", {"DescribePCR": {"index": 0}}):
        assert s.ask(request) == {"Error": "InternalError"}


def test_fault_garbage_is_no_cbor(make_simulator):
    s = make_simulator("--fault", "garbage")
    run = subprocess.run([*RUNNER, BUILD / "attestd", "nsm", "--nsm", s.nsm, "describe"], capture_output=True, text=True,
                         timeout=60, check=False, env=clean_environment())
    assert run.returncode == 3 and "the NSM's reply to DescribeNSM is not understood" in run.stderr


def test_fault_short_cuts_an_attestation_in_half(make_simulator):
    s = make_simulator("--fault", "short")
    assert "DescribeNSM" in s.ask("DescribeNSM")
    with pytest.raises(Exception):
        s.document()


def test_fault_expired_signs_with_an_expired_leaf(make_simulator, tmp_path):
    s = make_simulator("--fault", "expired")
    d = Document(s.document(sound=False))
    d.verify()
    chain, signature = d.openssl(tmp_path / "openssl", s.root)
    assert not chain[0] and "certificate has expired" in chain[1] and signature[0]
    status, said = verify(d.cose, "--root", s.root, "--json")
    assert status == 1 and '"code":"certificate_expired"' in said.replace('": "', '":"')


def test_fault_bad_signature(make_simulator, tmp_path):
    s = make_simulator("--fault", "bad-signature")
    d = Document(s.document(sound=False))
    chain, signature = d.openssl(tmp_path / "openssl", s.root)
    assert chain[0] and not signature[0]
    status, said = verify(d.cose, "--root", s.root, "--json")
    assert status == 1 and '"code":"signature_invalid"' in said.replace('": "', '":"')


def test_fault_other_nonce(make_simulator):
    s = make_simulator("--fault", "other-nonce")
    d = Document(s.document(nonce=b"the nonce", sound=False))
    d.verify()
    assert d.payload["nonce"] not in (None, b"the nonce")


def test_fault_slow_answers_everybody_in_the_end(make_simulator):
    s = make_simulator("--fault", "slow=200")
    connections = [s.connect() for _ in range(5)]
    began = time.monotonic()
    for c in connections:
        request = cbor2.dumps("DescribeNSM")
        c.sendall(len(request).to_bytes(4, "big") + request)
    for c in connections:
        assert "DescribeNSM" in cbor2.loads(receive(c))
        c.close()
    assert time.monotonic() - began >= 0.19


@pytest.mark.parametrize("offset", [-86400 * 400, 86400 * 400])
def test_clock_offset_moves_timestamps_and_certificates(make_simulator, offset):
    s = make_simulator(f"--clock-offset={offset}")
    d = Document(s.document())
    d.verify()
    at = int(time.time()) + offset
    assert abs(d.payload["timestamp"] / 1000 - at) < 60 * PATIENCE
    leaf = d.certificates[-1]
    assert (leaf.not_valid_after - leaf.not_valid_before).total_seconds() <= THREE_HOURS + 600
    assert verify(d.cose, "--root", s.root)[0] == 1
    assert verify(d.cose, "--root", s.root, "--at", "document")[0] == 0


# ---- the socket ----

def test_requests_follow_each_other_on_many_connections(simulator):
    connections = [simulator.connect() for _ in range(20)]
    for _ in range(3):
        for c in connections:
            assert simulator.ask("DescribeNSM", c)["DescribeNSM"]["max_pcrs"] == 32
    for c in connections:
        c.close()


@pytest.mark.parametrize("head", [b"\0\0\0\0", b"\0\0\x10\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_length_that_no_request_has_ends_the_connection(simulator, head):
    with simulator.connect() as s:
        s.sendall(head)
        try:
            assert s.recv(1) == b""
        except ConnectionResetError:
            pass
    assert "DescribeNSM" in simulator.ask("DescribeNSM")


def test_what_is_no_request_is_refused_by_name(simulator):
    for request in (b"\xff", b"\x00", cbor2.dumps("Nonsense"), b"\xa1" * 4096):
        assert set(cbor2.loads(simulator.ask_raw(request))) == {"Error"}


def test_its_socket_is_not_for_everybody_and_its_root_is(simulator):
    assert stat.S_IMODE(simulator.path.stat().st_mode) == 0o660
    assert stat.S_IMODE(simulator.root.stat().st_mode) == 0o644
    assert [p.name for p in simulator.directory.iterdir() if "root" in p.name] == ["root.pem"], "no temporary file is left"
    assert simulator.root.read_text().startswith("-----BEGIN CERTIFICATE-----\n")


@pytest.mark.smoke
@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_removes_its_socket(make_simulator, signo):
    s = make_simulator()
    with s.connect():
        s.stop(signo)
    assert "THIS IS A SOFTWARE NSM: WHAT IT SIGNS PROVES NOTHING." in s.stderr


def test_one_that_was_killed_does_not_keep_the_next_from_its_socket(make_simulator):
    s = make_simulator()
    s.kill()
    assert s.path.exists()
    s.start()
    assert "DescribeNSM" in s.ask("DescribeNSM")


def test_a_second_one_on_the_same_socket_is_refused_and_harms_nothing(simulator):
    root = simulator.root.read_bytes()
    run = simulate("--socket", simulator.path, "--root-out", simulator.root)
    assert run.returncode == 3 and "another process answers there" in run.stderr
    assert simulator.root.read_bytes() == root
    assert "DescribeNSM" in simulator.ask("DescribeNSM")


def test_what_is_no_certificate_is_not_replaced_by_the_root(simulator, tmp_path):
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\n")
    run = simulate("--socket", tmp_path / "s", "--root-out", key)
    assert run.returncode == 3 and "what is there is not just a certificate, and would be lost\n" in run.stderr
    assert key.read_text() == "-----BEGIN PRIVATE KEY-----\n"


def test_the_service_manager_is_told(make_simulator, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        s = make_simulator(start=False)
        manager.bind(str(s.short / "notify"))
        manager.settimeout(30 * PATIENCE)
        s.env["NOTIFY_SOCKET"] = str(s.short / "notify")
        s.start()
        assert manager.recv(100) == b"READY=1"
        s.stop()
        assert manager.recv(100) == b"STOPPING=1"


# ---- wrong usage ----

@pytest.mark.parametrize(
    "args, says",
    [
        ([], "--socket PATH is needed"),
        (["--socket", ""], "--socket PATH is needed"),
        (["--socket"], "--socket lacks its value"),
        (["--socket", "x" * 108], "--socket: the path of a Unix socket may be at most 107 bytes long, and this is 108"),
        (["--socket", "s", "extra"], "unexpected argument `extra`"),
        (["--socket", "s", "--root-out", ""], "--root-out needs the name of a file"),
        (["--socket", "s", "--bogus"], "--bogus is no option"),
        (["--socket", "s", "--fault", "bogus"], "there is no fault `bogus`"),
        (["--socket", "s", "--fault", "slow"], "there is no fault `slow`"),
        (["--socket", "s", "--fault", "short=1"], "there is no fault `short=1`"),
        (["--socket", "s", "--fault", "slow=0"], "--fault slow= needs milliseconds from 1 to 600000"),
        (["--socket", "s", "--fault", "slow=600001"], "--fault slow= needs milliseconds from 1 to 600000"),
        (["--socket", "s", "--fault", "error=Bogus"], "the NSM has no error `Bogus`"),
        (["--socket", "s", "--fault", "short", "--fault", "expired"], "--fault is given twice"),
        (["--socket", "s", "--root-out", "s"], "--root-out and --socket name the same file"),
        (["--socket", "s", "--pcr", "0"], "--pcr: A PCR is given as N=HEX, where N is its number from 0 to 31"),
        (["--socket", "s", "--pcr", "32=" + "00" * 48], "--pcr: A PCR is given as N=HEX, where N is its number from 0 to 31"),
        (["--socket", "s", "--pcr", "31=" + "00" * 47], "--pcr: The value of PCR31 is not 96 hex digits"),
        (["--socket", "s", "--pcr", "1=" + "0g" * 48], "--pcr: The value of PCR1 is not 96 hex digits"),
        (["--socket", "s", "--pcr", "1=" + "00" * 48, "--pcr", "1=" + "00" * 48], "--pcr 1= is given twice"),
        (["--socket", "s", "--debug-mode", "--pcr", "2=" + "00" * 48], "--debug-mode makes PCR2 zero, and --pcr 2= sets it"),
        (["--socket", "s", "--clock-offset", "1.5"], "--clock-offset needs seconds from -630720000 to 630720000"),
        (["--socket", "s", "--clock-offset", "-630720001"], "--clock-offset needs seconds from -630720000 to 630720000"),
    ],
)
def test_wrong_usage_exits_2_and_makes_nothing(tmp_path, args, says):
    run = simulate(*args, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert says in run.stderr and "; see attestd simulate --help\n" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_the_environment_lacks_exits_3(tmp_path):
    run = simulate("--socket", "gone/s", cwd=tmp_path)
    assert run.returncode == 3 and "cannot listen on unix:gone/s" in run.stderr
    run = simulate("--socket", "s", "--root-out", "gone/root.pem", cwd=tmp_path)
    assert run.returncode == 3 and "the root certificate gone/root.pem cannot be written: " in run.stderr
    assert list(tmp_path.iterdir()) == [], "its socket is removed"


# ---- where the root goes ----

def root_at(tmp_path, path, **how):
    """A simulator that was told to write its root there and then to end, and what it said until it listened."""
    process = subprocess.Popen([*RUNNER, BUILD / "attestd", "simulate", "--socket", tmp_path / "s", "--root-out", path],
                               stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=clean_environment(), **how)
    said = ""
    while "listening on" not in said and (line := process.stderr.readline()):
        said += line
    process.terminate()
    return process, said


def test_a_link_to_a_file_stays_a_link(tmp_path):
    (tmp_path / "file").write_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
    (tmp_path / "link").symlink_to("file")
    root_at(tmp_path, "link")[0].wait()
    assert (tmp_path / "link").is_symlink() and "MAA=" not in (tmp_path / "file").read_text()


def test_a_pipe_and_a_device_are_written_to(tmp_path):
    process, _ = root_at(tmp_path, "/dev/stdout", stdout=subprocess.PIPE)
    assert process.stdout.read().startswith("-----BEGIN CERTIFICATE-----\n") and process.wait() == 0
    os.mkfifo(tmp_path / "fifo")
    with open(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)) as fifo:
        root_at(tmp_path, "fifo")[0].wait()
        assert fifo.read().startswith("-----BEGIN CERTIFICATE-----\n")
    assert root_at(tmp_path, "/dev/null")[0].wait() == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and stat.S_ISFIFO(os.stat(tmp_path / "fifo").st_mode)


def test_what_is_no_file_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "directory").mkdir()
    (tmp_path / "dangling").symlink_to("gone")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as s:
        monkeypatch.chdir(tmp_path)
        s.bind("socket")
    for path, reason in (("directory", "it is neither a file nor a pipe"), ("dangling", "No such file or directory"),
                         ("fifo", "nobody reads from it"), ("socket", "it is neither a file nor a pipe")):
        process, said = root_at(tmp_path, path)
        assert process.wait() == 3
        assert f"the root certificate {path} cannot be written: {reason}\n" in said
    assert {p.name for p in tmp_path.iterdir()} == {"directory", "dangling", "fifo", "socket"}


def test_help_says_what_it_is_good_for_and_what_cannot_be_undone():
    said = simulate("--help").stdout
    assert "its documents prove nothing" in said and "extends or locks stays so" in said
    assert max(map(len, said.splitlines())) <= 120
