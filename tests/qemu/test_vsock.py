"""attestd on Linux's own vsock: the protocol, HTTP and TLS from the host, the proxy on both sides, and how streams end."""

import base64
import json
import re
import subprocess
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from machine import BUILD, wait_for
from unit import Unit, attestd

PROTOCOL, PUBLIC, TLS = 9000, 8080, 5005
LISTENERS = {"vsock_listen": f"vsock:{PROTOCOL}", "public_listen": f"vsock:{PUBLIC}", "tls_listen": f"vsock:{TLS}"}
USUAL = {"nsm_timeout": 60, **LISTENERS}
FAR = "vsock:1"  # the guest itself, by way of vsock
ANY_CID = 0xFFFFFFFF


@pytest.fixture(scope="module")
def unit(installed):
    u = Unit(installed)
    u.start(**USUAL)
    yield u
    u.end()


@pytest.fixture(scope="module")
def policy(installed, unit):
    """Which enclave is meant, and whose root is trusted."""
    pcr0 = json.loads(installed.must("attestd nsm --json pcr 0"))["value"]
    return ["--root", installed.root_pem, "--pcr", f"0={pcr0}"]


@pytest.fixture
def nsm(installed):
    yield installed.nsm
    installed.nsm.normal()


def client(guest, *args):
    return attestd("client", *args, "--to", f"unix:{guest.vsock_unix(PROTOCOL)}")


def curl(*args, **how):
    """What it says, and the status of each reply on a line of its own."""
    return subprocess.run(
        ["curl", "-sS", "-m", "30", "-w", "\n%{http_code}\n", *map(str, args)], capture_output=True, text=True, check=True, **how
    ).stdout


@contextmanager
def on_host(listen, to):
    """attestd proxy on the host: the address that it takes connections at."""
    command = [BUILD / "attestd", "proxy", "--listen", listen, "--to", to]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as proxy:
        try:
            yield next(m[1] for line in proxy.stderr if (m := re.match(r"listening on tcp:(\S+) ->", line)))
        finally:
            proxy.terminate()


@contextmanager
def in_guest(guest, *options):
    """attestd proxy in the guest. What it has said when it ended is put into the list."""
    said = []
    unit = "systemd-run -q --unit carry -p Type=notify -p StandardError=truncate:/run/carry"
    guest.must(f"{unit} attestd proxy {' '.join(options)}")
    try:
        yield said
    finally:
        said += guest.must("systemctl stop carry; cat /run/carry").splitlines()


# ---- from the host ----


def test_ping_and_status(installed, unit):
    assert "pong" in client(installed, "ping").stdout.lower()
    status = json.loads(client(installed, "status", "--json").stdout)
    assert (status["status"], status["port"], status["nsm"]) == ("running", PROTOCOL, "device")


def test_verify_with_a_generated_key_that_the_guest_decrypts_with(installed, unit, policy, tmp_path):
    saved = tmp_path / "document"
    ask = ["--verify", "--generate-key", "--user-data", "from the host", "--save", saved, "--json", "--timeout", "100"]
    r = client(installed, *ask, *policy)
    for _ in range(3):
        if "in time" in r.stdout + r.stderr:  # 30 s may be too few for primes that an emulated processor looks for
            r = client(installed, *ask, *policy)
    assert r.returncode == 0, r.stdout + r.stderr
    told = json.loads(r.stdout)
    assert told["verified"] and told["user_data"] == "from the host"
    assert attestd("verify", saved, "--user-data", "text:from the host", *policy).returncode == 0

    key = tmp_path / "key.der"
    key.write_bytes(bytes.fromhex(told["verification"]["public_key"]))
    oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"]
    seal = ["openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", key, *oaep]
    sealed = subprocess.run(seal, input=b"a secret", capture_output=True, check=True).stdout
    opened = unit.ask(f"/keys/{told['key_id']}/decrypt", {"ciphertext": base64.b64encode(sealed).decode()})
    assert base64.b64decode(opened["plaintext"]) == b"a secret"


def test_another_enclave_is_refused(installed, unit, policy, tmp_path):
    wrong = [*policy[:-1], f"0={'ab' * 48}"]
    r = client(installed, "--verify", "--save", tmp_path / "document", "--json", *wrong)
    assert (r.returncode, json.loads(r.stdout)["verified"]) == (1, False)
    assert not (tmp_path / "document").exists()


def test_http_over_vsock_has_the_public_routes_alone(installed, unit):
    at = ["--unix-socket", installed.vsock_unix(PUBLIC)]
    health, status = curl(*at, "http://enclave/health").splitlines()
    assert (status, json.loads(health)["nsm"]) == ("200", "device")
    reply, status = curl(*at, "http://enclave/attestation?nonce=00ff").splitlines()
    assert (status, json.loads(reply)["nonce_hex"]) == ("200", "00ff")
    body = ["-H", "Content-Type: application/json", "-d", "{}"]
    for route in ("encrypt", "decrypt", "attestation", f"keys/{'0' * 64}/decrypt"):
        assert curl(*at, *body, f"http://enclave/{route}").splitlines()[-1] in ("404", "405")
    assert curl(*at, *body, "http://enclave/encrypt").splitlines()[-1] == "404"


def test_tls_through_the_proxy_on_the_host(installed, unit, policy, tmp_path):
    cert, own = tmp_path / "cert.pem", tmp_path / "own.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=me".split()
    subprocess.run([*make, "-keyout", own, "-out", tmp_path / "own.crt"], check=True, capture_output=True)
    with on_host("tcp:127.0.0.1:0", f"unix:{installed.vsock_unix(TLS)}") as address:
        url = f"https://{address}"
        r = attestd("attest", "--url", url, "--save-cert", cert, *policy)
        assert r.returncode == 0, r.stdout + r.stderr
        wrong = [*policy[:-1], f"0={'ab' * 48}"]
        assert attestd("attest", "--url", url, *wrong).returncode == 1

        data = json.dumps({"note": "äöü" * 1000})
        me = ["--cert", tmp_path / "own.crt", "--key", own, "--cacert", cert]
        body = ["-H", "Content-Type: application/json", "-d", "@-"]
        posted, status = curl(*me, *body, f"{url}/private-data", input=data).splitlines()
        assert status == "201", posted
        assert data_in(curl(*me, f"{url}/private-data/{json.loads(posted)['id']}")) == json.loads(data)
        assert curl("--cacert", cert, f"{url}/private-data").splitlines()[-1] == "401"
    # Who just carries the bytes need not be told which certificate it is.
    with in_guest(installed, f"--listen tcp:127.0.0.1:7100 --to {FAR}:{TLS}"):
        assert json.loads(installed.must("curl -sSk https://127.0.0.1:7100/health"))["nsm"] == "device"


def data_in(reply):
    body, status = reply.splitlines()
    assert status == "200", body
    return json.loads(body)


# ---- how streams end ----

WAYS = {"tcp to vsock": (f"tcp:127.0.0.1:7101 --to {FAR}:7201", "tcp:7101", f"vsock:{ANY_CID}:7201"),
        "vsock to tcp": ("vsock:7102 --to tcp:127.0.0.1:7202", f"{FAR}:7102", "tcp:7202")}  # fmt: skip
ENDS = [
    # what the client does; what the server does; what the client sees, and the server
    ("say a end rest", "hear rest say b", "b end", "a end"),
    ("rest say a", "say b end rest", "b end", "a end"),
    # What was reset on one side of vsock ends in order on the other, behind all that came before.
    ("say a rest", "hear say b reset", "b end", "a"),
    ("say a hear reset", "hear say b rest", "b", "a end"),
    ("say a", "rest", "", "a end"),
]


@pytest.fixture(scope="module")
def ends(installed):
    """What each end printed, of every pair in every way, all of them through one proxy; and what that said in the end."""
    listen = [f"--listen {way[0]}" for way in WAYS.values()]
    script = "mkdir -p /run/talk; cd /run/talk\n"
    for _, near, far in WAYS.values():
        for client_does, server_does, _, _ in ENDS:
            script += (
                f"timeout 30 /srv/files/talk listen:{far} {server_does} >server &\n"
                f"until grep -qs listening server; do sleep .01; done\n"
                f"timeout 30 /srv/files/talk {near} {client_does} | tr '\\n' ' '; echo\n"
                f"wait; tail -n +2 server | tr '\\n' ' '; echo; rm server\n"
            )
    with in_guest(installed, *listen) as said:
        lines = [line.strip() for line in installed.must(script).splitlines()]
    seen = list(zip(lines[::2], lines[1::2]))
    return {name: seen[i * len(ENDS) : (i + 1) * len(ENDS)] for i, name in enumerate(WAYS)}, said


@pytest.mark.parametrize("way", WAYS)
def test_how_streams_end_on_the_far_side_of_vsock(ends, way):
    """docs/PROXY.md: half-closed streams live on both ways; resets do not pass vsock, and arrive as an orderly end."""
    assert ends[0][way] == [(at_client, at_server) for _, _, at_client, at_server in ENDS]


def test_no_stream_is_left_behind(ends):
    last = ends[1][-1]
    assert " open=0 " in last and f" connected={len(WAYS) * len(ENDS)} " in last and " failed=0 " in last, last


# ---- clients that leave ----

ASK = '{"command":"attest"}'


def test_a_client_that_leaves_is_noticed_and_costs_nothing_more(installed, unit, nsm):
    """All that epoll says of it is that it sends no more, which is true as well of one that waits for its reply."""
    before = unit.metrics()
    nsm.silent(to=b"Attestation")
    nsm.log.clear()
    installed.must(
        f"mkdir -p /run/leave; cd /run/leave; rm -f *\n"
        f"for i in 1 2 3 4; do /srv/files/talk {FAR}:{PROTOCOL} say '{ASK}' await go & done\n"
        f"for i in 5 6; do /srv/files/talk {FAR}:{PROTOCOL} say '{ASK}' end await go & done\n"
        f"/srv/files/talk {FAR}:{PROTOCOL} say '{ASK}' end hear >half-closed &\n"
        f"/srv/files/talk {FAR}:{PROTOCOL} say '{ASK}' hear >patient &\n"
    )
    from_host = [installed.dial(PROTOCOL) for _ in range(4)]
    for s in from_host:
        s.sendall(ASK.encode() + b"\n")
    wait_for("requests", 20, lambda: unit.metrics()["vsock_requests_total"] == before["vsock_requests_total"] + 12)
    installed.must("touch /run/leave/go")
    for s in from_host:
        s.close()
    # The NSM has not said anything yet.
    wait_for("end of those that left", 20, lambda: unit.metrics()["vsock_connections"] == 2)
    called = len([r for r in nsm.log if b"Attestation" in r])
    nsm.normal()
    wait_for("end of the others", 20, lambda: unit.metrics()["vsock_connections"] == 0)
    after = unit.metrics()
    assert (after["nsm_queue"], after["descriptors"]) == (0, before["descriptors"])
    # One call was under way already; of those that wait for nothing any more none is made.
    assert called == 1 and len([r for r in nsm.log if b"Attestation" in r]) <= 3
    for patient in ("half-closed", "patient"):
        installed.until(f"grep -q . /run/leave/{patient}")
        assert json.loads(installed.get(f"/run/leave/{patient}"))["success"], patient


# ---- nobody there ----


@pytest.mark.parametrize("to", ["vsock:1:9999", "vsock:2:9999", "vsock:99:9000"], ids=["own CID", "host", "no such CID"])
def test_a_refused_connection_is_told_at_once(installed, to):
    r = installed.run(f"attestd client ping --to {to} --timeout 60", timeout=50)
    assert r.rc == 3 and f"nothing answers at {to}: Connection reset by peer" in r.err


def test_connecting_takes_as_long_as_it_may_and_no_2_seconds(installed):
    """Linux gives vsock up after 2 s unless it is told another time (SO_VM_SOCKETS_CONNECT_TIMEOUT)."""
    installed.vsock.swallow(7009)
    with in_guest(installed, "--listen unix:/run/swallowed --to vsock:2:7009 --connect-timeout 3") as said:
        told = installed.must(
            "cd /run; now() { date +%s%N; }; took() { echo $(($(now) - $1)); }\n"
            "(t=$(now); curl -sS -m 60 --unix-socket swallowed http://x 2>&1; took $t >curl) &\n"
            "t=$(now); attestd client ping --to vsock:2:7009 --timeout 3 2>&1; echo $?; took $t; wait; cat curl"
        ).splitlines()
    times = [int(line) / 1e9 for line in told if line.isdigit() and len(line) > 3]
    assert "attestd: nothing answers at vsock:2:7009: Connection timed out" in told and "3" in told
    assert len(times) == 2 and min(times) >= 2.9, times
    assert any('target=vsock:2:7009 text="Connection timed out"' in line for line in said)
    assert " failed=1 " in said[-1] and " retries=0 " in said[-1]


# ---- crowds and rubbish ----


def exchange(guest, request, port=PROTOCOL):
    """The reply, whole. What the guest did not want to read any more may end it with a reset."""
    got = b""
    with guest.dial(port, timeout=60) as s, suppress(ConnectionResetError):
        s.settimeout(60)
        with suppress(BrokenPipeError):
            s.sendall(request)
        while more := s.recv(65536):
            got += more
    return got


def test_200_connections_at_once(installed, unit):
    before, replies = unit.metrics(), []
    ping = b'{"command":"ping"}\n'
    crowd = [threading.Thread(target=lambda: replies.append(json.loads(exchange(installed, ping)))) for _ in range(200)]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    codes = [r.get("code") for r in replies]
    assert len(codes) == 200 and codes.count(None) >= 64 and set(codes) <= {None, "too_many_connections"}
    wait_for("end of them", 20, lambda: unit.metrics()["vsock_connections"] == 0)
    after = unit.metrics()
    assert after["descriptors"] == before["descriptors"]
    taken = after["vsock_connections_total"] - before["vsock_connections_total"]
    refused = after["vsock_connections_refused_total"] - before["vsock_connections_refused_total"]
    assert (taken, refused) == (codes.count(None), 200 - codes.count(None))


def test_rubbish_is_answered_as_such(installed, unit):
    for request, code in {
        b"\0\xff\xfe\n": "validation_failed",
        b"GET / HTTP/1.1\r\n\r\n": "validation_failed",
        b'{"command":"no such"}\n': "unknown_command",
        b"x" * 8192 + b"\n": "validation_failed",
        b"x" * 8193: "body_too_large",
    }.items():
        assert json.loads(exchange(installed, request))["code"] == code
    assert exchange(installed, bytes(range(256)) * 40, PUBLIC).startswith(b"HTTP/1.1 400 ")
    exchange(installed, bytes(range(256)) * 40, TLS)
    assert client(installed, "ping").returncode == 0


@pytest.fixture
def impatient(unit):
    """The unit with short times."""
    unit.start(vsock_timeout=2, header_timeout=2, tls_handshake_timeout=2, **LISTENERS)
    yield unit
    unit.start(**USUAL)


def test_who_says_nothing_is_let_go_in_time(installed, impatient):
    began = time.monotonic()
    silent = {port: installed.dial(port, timeout=30) for port in (PROTOCOL, PUBLIC, TLS)}
    halting = installed.dial(PROTOCOL, timeout=30)
    halting.sendall(b'{"command":')
    for port, s in silent.items():
        assert s.makefile("rb").read() == b"", port
        s.close()
    assert time.monotonic() - began >= 1.9
    assert json.loads(halting.makefile("rb").read())["code"] == "malformed_request"
    halting.close()
    told = impatient.metrics()
    assert (told["vsock_timeouts_total"], told["vsock_connections"]) == (2, 0)
