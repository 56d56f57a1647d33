"""Which listener serves what: reach belongs to the key, never to the address or to who opened the socket."""

import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from helpers import BUILD, RUNNER, Server, UserSession, clean_environment
from helpers.activation import launched
from helpers.server import PATIENCE
from helpers.wire import head

ROUTES = re.findall(r'^ROUTE\((\w+), "([^"]+)", ([^,]+),', (Path(__file__).resolve().parents[2] / "src/api/routes.def").read_text(),
                    re.MULTILINE)
VMADDR_CID_LOCAL = 1
PUBLIC = [(m, p) for m, p, reach in ROUTES if "HTTP_PUBLIC" in reach]
LOCAL_ONLY = [(m, p) for m, p, reach in ROUTES if "HTTP_LOCAL" in reach and "HTTP_PUBLIC" not in reach]


def ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not ipv6(), reason="there is no [::1] here, so IPv6 listeners are not tried")


def ask(server, method, path, at):
    """Asks with whatever is needed to get past the guards; how the route likes it is its own business."""
    return server.request(method, path.replace("{session_id}", "x"), {} if method == "POST" else None, at=at)


# ---- routes ----

@pytest.mark.parametrize("address", ["unix:{}/p", "127.0.0.1:0", "0.0.0.0:0", pytest.param("[::1]:0", marks=needs_ipv6)])
def test_public_routes_and_no_others_answer_on_public_listen(make_server, tmp_path, address):
    s = make_server(settings={"public_listen": address.format(tmp_path)})
    at = s.public.replace("0.0.0.0", "127.0.0.1")
    assert len(PUBLIC) >= 6 and len(LOCAL_ONLY) >= 5
    for method, path in PUBLIC:
        assert ask(s, method, path, at).status in (200, 422), path
        assert ask(s, method, path, s.local).status in (200, 422), path
    others = {p for _, p in PUBLIC}
    for method, path in LOCAL_ONLY:
        reply = ask(s, method, path, at)
        assert (reply.status, reply.code) == ((405, "method_not_allowed") if path in others else (404, "not_found")), path
        assert ask(s, method, path, s.local).status in (200, 401, 422), path


def test_public_routes_and_those_of_tls_answer_on_tls_listen_and_no_others(make_server, tmp_path):
    s = make_server(settings={"public_listen": "127.0.0.1:0", "tls_listen": "127.0.0.1:0"})
    on_tls = [(m, p) for m, p, reach in ROUTES if "HTTP_TLS" in reach]
    assert set(PUBLIC) < set(on_tls) and ("GET", "/evidences/") in on_tls
    assert not {p for _, p in on_tls} & {"/encrypt", "/decrypt", "/sessions", "/metrics", "/verify", "/keys/{key_id}/decrypt"}
    assert ("POST", "/attestation") not in on_tls
    others = {p for _, p in on_tls}
    for method, path, reach in ROUTES:
        reply = ask(s, method, path, s.tls)
        if "HTTP_TLS" in reach:
            # An id that nothing has is 404, too, but not for want of a route.
            assert reply.status in (200, 201, 422) or (reply.status == 404 and "{id}" in path), path
        else:
            assert (reply.status, reply.code) == ((405, "method_not_allowed") if path in others else (404, "not_found")), path
        if reach == "HTTP_TLS":
            assert ask(s, method, path, s.local).code == ask(s, method, path, s.public).code == "not_found", path


def test_allow_and_endpoints_name_what_this_listener_has(make_server, tmp_path):
    s = make_server(settings={"public_listen": f"unix:{tmp_path}/p"})
    assert ask(s, "DELETE", "/attestation", s.public).headers["Allow"] == "GET, HEAD"
    assert ask(s, "DELETE", "/attestation", s.local).headers["Allow"] == "GET, HEAD, POST"
    for at, want in ((s.public, PUBLIC), (s.local, PUBLIC + LOCAL_ONLY)):
        told = {(e["method"], e["path"]) for e in s.get("/", at=at).json()["endpoints"]}
        assert told <= set(want)
        assert set(want) - told <= {("GET", "/")}


def test_a_session_opened_in_public_serves_local_callers(make_server, tmp_path, user):
    s = make_server(settings={"public_listen": f"unix:{tmp_path}/p"})
    session = UserSession(s, user, at=s.public)
    assert s.post("/encrypt", session.plain("x"), at=s.public).status == 404
    assert session.open(s.post("/encrypt", session.plain("x")).json()) == "x"


# ---- addresses ----

def serve(directory, *args, env=None):
    """Runs `attestd serve` in a directory of its own, which must end by itself."""
    directory.mkdir(exist_ok=True)
    return subprocess.run([*RUNNER, BUILD / "attestd", "serve", "--nsm", "dummy", *args], cwd=directory, timeout=60 * PATIENCE,
                          env={**clean_environment(), **(env or {})}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("address", ["0.0.0.0:8765", "[::]:1", "vsock:9000", "10.0.0.1:80", "[fd00::1]:80", "[::ffff:10.0.0.1]:80",
                                     "128.0.0.1:80"])
@pytest.mark.parametrize("how", ["flag", "environment", "file"])
def test_a_local_listener_elsewhere_is_refused_before_anything_is_made(tmp_path, address, how):
    home = tmp_path / "home"
    if how == "flag":
        run = serve(home, "--listen", address)
    elif how == "environment":
        run = serve(home, env={"ATTESTD_LISTEN": address})
    else:
        (tmp_path / "conf").write_text(f"listen = {address}\n")
        run = serve(home, "--config", "../conf")
    assert run.returncode == 1, run.stderr
    assert address in run.stderr and "listen" in run.stderr
    assert "loopback" in run.stderr or "127.0.0.1:8765" in run.stderr  # what would do instead
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("key", ["listen", "public_listen", "vsock_listen", "tls_listen", "peer_listen", "peer_tls_listen"])
@pytest.mark.parametrize("address", ["localhost:80", "0:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", ":80", "[::1]", "unix:", "tcp:80",
                                     "unix:@abstract", "unix:" + "a" * 120, "vsock:", "vsock:x", "http://127.0.0.1:80"])
def test_an_address_that_is_none_is_explained(tmp_path, key, address):
    run = serve(tmp_path / "home", f"--set={key}={address}")
    assert run.returncode == 1, run.stderr
    assert run.stderr.startswith(f"attestd: {key} = {address}: ") and len(run.stderr) > 60
    assert list((tmp_path / "home").iterdir()) == []


def test_nothing_to_listen_on(tmp_path):
    run = serve(tmp_path / "home", "--listen", "")
    assert run.returncode == 1
    assert "nothing to listen on" in run.stderr


def test_a_port_that_is_taken(server, tmp_path):
    run = serve(tmp_path / "home", "--listen", f"127.0.0.1:{server.port}")
    assert run.returncode == 3
    assert str(server.port) in run.stderr and "in use" in run.stderr


@pytest.mark.parametrize("address, said", [("127.0.0.1:0", r"http://127\.0\.0\.1:[1-9]\d*"), ("127.0.0.2:0", r"http://127\.0\.0\.2:\d+"),
                                           pytest.param("[::1]:0", r"http://\[::1\]:[1-9]\d*", marks=needs_ipv6)])
def test_where_it_listens_is_said(make_server, address, said):
    s = make_server(listen=address)
    assert re.fullmatch(said, s.local)
    assert len(re.findall("^listening on ", s.stderr, re.MULTILINE)) == 1
    assert s.get("/health", headers={"Host": "localhost"}).status == 200


def vsock_loopback():
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as a, socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as c:
            a.bind((socket.VMADDR_CID_ANY, 19764))
            a.listen()
            c.settimeout(1)
            c.connect((VMADDR_CID_LOCAL, 19764))
            return True
    except OSError:
        return False


def test_public_listen_on_vsock(make_server):
    if not vsock_loopback():
        pytest.skip("vsock has no loopback here (modprobe vsock_loopback), so vsock listeners are not tried")
    s = make_server(settings={"public_listen": "vsock:19765"})
    assert s.public == "vsock:19765"
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as c:
        c.settimeout(10)
        c.connect((VMADDR_CID_LOCAL, 19765))
        c.sendall(head(host="whatever"))
        assert c.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("key, other", [("peer_listen", "peer_tls_listen"), ("peer_tls_listen", "peer_listen")])
def test_the_listeners_of_peers_come_together(tmp_path, key, other):
    run = serve(tmp_path / "home", f"--set={key}=127.0.0.1:0")
    assert run.returncode == 1 and f"{key} is set and {other} is not" in run.stderr
    run = subprocess.run([*RUNNER, BUILD / "attestd", "config", "check", f"--set={key}=127.0.0.1:0"], capture_output=True, text=True,
                         env=clean_environment(), timeout=60 * PATIENCE, check=False)
    assert run.returncode == 1 and f"{key} is set and {other} is not" in run.stderr


def test_two_keys_cannot_have_one_address(tmp_path):
    run = serve(tmp_path / "home", "--listen=127.0.0.1:1", "--set=tls_listen=127.0.0.1:1")
    assert run.returncode == 1 and "listen and tls_listen are both" in run.stderr


# ---- Unix sockets ----

def test_a_unix_socket_is_for_owner_and_group(make_server, tmp_path):
    old = os.umask(0)  # whatever the caller's umask
    try:
        s = make_server(listen=f"unix:{tmp_path}/u", settings={"public_listen": f"unix:{tmp_path}/p"})
    finally:
        os.umask(old)
    assert s.listening == [f"unix:{tmp_path}/u", f"unix:{tmp_path}/p"]
    for path in (tmp_path / "u", tmp_path / "p"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert s.get("/health").status == 200
    s.stop()
    assert not (tmp_path / "u").exists() and not (tmp_path / "p").exists()


def test_a_stale_unix_socket_is_replaced(make_server, tmp_path):
    s = make_server(listen=f"unix:{tmp_path}/u")
    s.kill()
    assert (tmp_path / "u").is_socket()
    s.start()
    assert s.get("/health").status == 200


def test_a_unix_socket_that_answers_is_left_alone(make_server, tmp_path):
    s = make_server(listen=f"unix:{tmp_path}/u")
    run = serve(tmp_path / "home", "--listen", f"unix:{tmp_path}/u")
    assert run.returncode == 3
    assert f"{tmp_path}/u" in run.stderr and "another process" in run.stderr
    assert s.get("/health").status == 200


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "u").write_text("precious")
    run = serve(tmp_path / "home", "--listen", f"unix:{tmp_path}/u")
    assert run.returncode == 3
    assert "not a socket" in run.stderr
    assert (tmp_path / "u").read_text() == "precious"


def test_only_our_own_socket_is_removed_at_the_end(make_server, tmp_path):
    s = make_server(listen=f"unix:{tmp_path}/u")
    (tmp_path / "u").unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "u"))
        other.listen()
        s.stop()
        assert (tmp_path / "u").is_socket()


# ---- socket activation ----

class Activated(Server):
    """attestd with sockets that somebody else opened: sockets is a list of `name=address`."""

    def __init__(self, directory, sockets, **more):
        super().__init__(directory, **more)
        self.sockets = sockets

    def command(self):
        return launched(self.sockets, super().command())


@pytest.fixture
def activated(tmp_path):
    made = []

    def make(*sockets, **more):
        made.append(Activated(tmp_path / f"activated{len(made)}", sockets, **more))
        return made[-1]

    yield make
    for s in made:
        s.stop()


def test_an_inherited_socket_stands_for_its_key(activated, tmp_path):
    s = activated(f"listen={tmp_path}/u", f"public_listen={tmp_path}/p", listen="127.0.0.1:1", settings={"public_listen": "127.0.0.1:1"})
    s.start()
    assert s.listening == [f"unix:{tmp_path}/u", f"unix:{tmp_path}/p"]
    assert s.get("/metrics").status == 200
    assert s.get("/metrics", at=s.public).status == 404
    assert s.get("/health", at=s.public).status == 200
    s.stop()
    assert (tmp_path / "u").is_socket()  # the service manager's to keep


def test_an_inherited_loopback_socket(activated):
    s = activated("listen=127.0.0.1:0").start()
    assert s.local.startswith("http://127.0.0.1:")
    assert s.get("/health", headers={"Host": "evil.example"}).status == 403
    assert s.get("/health").status == 200


def test_an_inherited_socket_for_tls(activated, tmp_path):
    s = activated("listen=127.0.0.1:0", f"tls_listen={tmp_path}/t", "vsock_listen=" + f"{tmp_path}/v",
                  settings={"tls_listen": "127.0.0.1:1", "vsock_listen": "vsock:1"}).start()
    assert s.tls == f"unix:{tmp_path}/t"
    assert s.get("/evidences/", at=s.tls).status == 200


def test_sockets_meant_for_another_process_are_not_ours(activated, tmp_path):
    s = activated(f"listen={tmp_path}/u", env={"PID_OFF": "1"}).start()
    assert s.local.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("sockets, said", [
    (["peer_listen=127.0.0.1:0"], "peer_listen is set and peer_tls_listen is not"),
    (["peer_tls_listen=127.0.0.1:0"], "peer_tls_listen is set and peer_listen is not"),
    (["listen=0.0.0.0:0"], "is refused"), (["vsock_listen=127.0.0.1:0"], "is refused"), (["public_listen=127.0.0.1:0", "listen=0.0.0.0:0"], "is refused"),
    (["web=127.0.0.1:0"], "FileDescriptorName"), (["listen=127.0.0.1:0", "listen=127.0.0.1:0"], "more than one socket"),
    ([f"n{i}=127.0.0.1:0" for i in range(17)], "at most 16"),
])
def test_inherited_sockets_that_do_not_fit_are_refused(activated, sockets, said):
    s = activated(*sockets)
    s.spawn()
    assert s.wait() in (1, 3)
    assert said in s.stderr
    assert not s.db.exists()


def test_an_inherited_socket_that_is_open_to_everybody_is_refused(activated, tmp_path):
    s = activated(f"listen={tmp_path}/u", env={"SOCKET_MODE": "666"})
    s.spawn()
    assert s.wait() == 1
    assert "SocketMode=0660" in s.stderr
    public = activated(f"public_listen={tmp_path}/p", env={"SOCKET_MODE": "666"}, settings={"public_listen": "127.0.0.1:0"})
    assert public.start().get("/health", at=public.public).status == 200  # what is public may be


def test_a_public_tcp_listener_guards_against_dns_rebinding_too(make_server):
    s = make_server(settings={"public_listen": "127.0.0.1:0"})
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert s.get("/health", at=s.public, headers=rebound).status == 403
    assert s.get("/health", at=s.public).status == 200


def test_sigterm_reaches_an_activated_server(activated, tmp_path):
    s = activated(f"listen={tmp_path}/u").start()
    s.send_signal(signal.SIGTERM)
    assert s.wait() == 0
