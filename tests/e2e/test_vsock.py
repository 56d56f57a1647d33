"""The vsock JSON protocol: what is asked, what is answered, what is attested, where it is served.

Written from the protocol's description; a Unix socket stands in for vsock."""

import base64
import hashlib
import json
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from helpers import BUILD, RUNNER, Server, clean_environment
from helpers.activation import launched
from helpers.document import Document
from helpers.nsm import text
from helpers.server import PATIENCE
from helpers.simulated import Simulated
from helpers.verifier import verify
from helpers.vsock import Flood, Talk, ask, bad, good, pongs, read_reply, request, settings, until
from helpers.wire import Wire, head, post

VMADDR_CID_LOCAL, VSOCK_PORT = 1, 19776
COMMANDS = ["ping", "status", "attest"]
DEFAULT = "hello-from-enclave"
TEXT_MAX = 512  # bytes of user data, and of a nonce
REQUEST_MAX = 8192  # bytes up to the newline
PING = b'{"command": "ping"}'
AWAY = {"ping": b'{"command": "ping"}', "status": b'{"command": "status"}',
        "attest": b'{"command": "attest", "user_data": "u", "nonce": "n", "generate_key": false}'}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vsock")
    s = Simulated(directory, settings=settings(directory)).start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def dummy(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vsock_dummy")
    s = Server(directory, settings=settings(directory)).start()
    yield s
    s.stop()


def attested(server, reply):
    """The payload of a reply's document, whose signatures hold under the server's root."""
    assert reply["success"] is True, reply
    document = Document(base64.b64decode(reply["attestation_document"], validate=True))
    document.verify()
    assert document.certificates[0] == x509.load_pem_x509_certificate(server.root.read_bytes())
    return document.payload


def signed(server, **members):
    """The payload for an attest request of these members."""
    return attested(server, ask(server, {"command": "attest", **members}))


def ascii_start(value):
    """A test's id out of its text."""
    return ascii(value)[1:-1][:20]


def names(reply, member):
    """Does the error say which member is at fault?"""
    return member.replace("_", " ") in reply["error"].replace("_", " ")


# ---- the commands ----

@pytest.mark.smoke
def test_ping(simulated):
    reply = good(simulated, command="ping")
    assert list(reply) == ["success", "message", "timestamp"]
    assert reply["message"] == "pong" and abs(reply["timestamp"] - time.time()) < 60


def test_status(simulated):
    reply = good(simulated, command="status")
    assert list(reply) == ["success", "status", "port", "uptime", "version", "nsm", "debug_mode"]
    health = simulated.get("/health").json()
    assert reply["status"] == "running" and reply["port"] is None, "a Unix socket has no port"
    assert 0 <= reply["uptime"] <= health["uptime_seconds"] + 1
    assert [reply[m] for m in ("version", "nsm", "debug_mode")] == [health[m] for m in ("version", "nsm", "debug_mode")]
    assert reply["nsm"] == "simulator" and reply["debug_mode"] is False


@pytest.mark.smoke
@pytest.mark.parametrize("key", [False, True])
def test_attest(simulated, tmp_path, key):
    began = time.time()
    reply = good(simulated, command="attest", user_data="session-12345", nonce="challenge-abc", generate_key=key)
    members = {"success", "attestation_document", "user_data", "nonce", "has_public_key", "document_size", "timestamp",
               "tee_verified", "_warning"}
    assert set(reply) == members | ({"key_id", "key_expires_in_seconds"} if key else set())
    assert (reply["user_data"], reply["nonce"], reply["has_public_key"]) == ("session-12345", "challenge-abc", key)
    assert reply["document_size"] == len(base64.b64decode(reply["attestation_document"]))
    assert began - 60 < reply["timestamp"] / 1000 < time.time() + 60 and type(reply["timestamp"]) is int
    assert reply["tee_verified"] is False and len(reply["_warning"]) > 20, "nobody trusts this root"
    payload = attested(simulated, reply)
    assert (payload["user_data"], payload["nonce"]) == (b"session-12345", b"challenge-abc")
    if key:
        public = serialization.load_der_public_key(payload["public_key"])
        assert isinstance(public, rsa.RSAPublicKey) and public.key_size == 3072
        assert reply["key_id"] == hashlib.sha256(payload["public_key"]).hexdigest()
        assert 0 < reply["key_expires_in_seconds"] <= 300
    else:
        assert payload["public_key"] is None
    (tmp_path / "reply.json").write_text(json.dumps(reply))
    run = verify("--root", simulated.root, "--nonce", "text:challenge-abc", "--json", file=tmp_path / "reply.json")
    assert run.status == 0 and run.verdict["verified"], run
    assert verify(file=tmp_path / "reply.json").status == 1, "no root but AWS's is trusted unasked"


def test_the_verifier_minds_what_a_reply_says_beside_its_document(simulated, tmp_path):
    reply = good(simulated, command="attest", user_data="u", nonce="n" * 16, generate_key=True)
    for member, lie in (("user_data", "v"), ("user_data", None), ("nonce", "m" * 16), ("nonce", None), ("has_public_key", False),
                        ("document_size", 1), ("key_id", "0" * 64)):
        (tmp_path / "reply.json").write_text(json.dumps({**reply, member: lie}))
        run = verify("--root", simulated.root, "--json", file=tmp_path / "reply.json")
        assert (run.status, run.verdict["code"]) == (1, "reply_mismatch"), (member, run)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("way", ["newline", "end of stream", "both", "bytes", "white space", "CRLF", "spaces at the end"])
def test_how_a_request_may_come(simulated, command, way):
    line = AWAY[command]
    with Talk(simulated) as t:
        if way == "newline":
            t.send(line + b"\n")
        elif way == "end of stream":
            t.send(line).half_close()
        elif way == "both":
            t.send(line + b"\n").half_close()
        elif way == "bytes":
            for at in range(len(line)):
                t.send(line[at:at + 1])
            t.send(b"\n")
        elif way == "white space":
            t.send(b" \t " + line + b"\t  \n")
        elif way == "CRLF":
            t.send(line + b"\r\n")
        else:
            t.send(line + b" \r ").half_close()
        assert t.reply()["success"] is True


def test_pieces_that_come_slowly(simulated):
    with Talk(simulated) as t:
        for piece in (b"", b'{"comm', b'and":', b'"ping"', b"}", b"\n"):
            t.send(piece)
            time.sleep(0.05)
        assert t.reply()["message"] == "pong"


def test_an_end_of_stream_that_comes_late(simulated):
    with Talk(simulated) as t:
        t.send(PING)
        time.sleep(0.2)
        assert t.half_close().reply()["message"] == "pong"


def test_the_order_of_members_and_how_they_are_spelt_do_not_matter(simulated):
    for line in ('{"nonce": "é😀", "generate_key": false, "user_data": "x/y", "command": "attest"}',
                 '{"generate_key":false,"user_data":"x/y","command":"attest","nonce":"é😀"}',
                 r'{"\u006eonce":"\u00e9\ud83d\ude00","\u0063ommand":"\u0061ttest","user_data":"\u0078\/\u0079"}',
                 r'{ "command" : "attest" , "user_data" : "x\u002Fy" , "nonce" : "\u00E9\uD83D\uDE00" }'):
        reply = good(simulated, line)
        assert (reply["user_data"], reply["nonce"]) == ("x/y", "é😀")
        payload = attested(simulated, reply)
        assert (payload["user_data"], payload["nonce"]) == (b"x/y", "é😀".encode())


def test_what_stands_for_members_that_are_left_out(simulated):
    for members, user_data, nonce in (({}, DEFAULT, None), ({"user_data": None}, None, None), ({"user_data": ""}, None, None),
                                      ({"nonce": None}, DEFAULT, None), ({"nonce": ""}, DEFAULT, None),
                                      ({"user_data": "", "nonce": ""}, None, None), ({"generate_key": False}, DEFAULT, None),
                                      ({"user_data": " ", "nonce": " "}, " ", " ")):
        reply = good(simulated, {"command": "attest", **members})
        assert (reply["user_data"], reply["nonce"], reply["has_public_key"]) == (user_data, nonce, False), members
        payload = attested(simulated, reply)
        assert payload["user_data"] == (user_data.encode() if user_data else None), members
        assert payload["nonce"] == (nonce.encode() if nonce else None), members


@pytest.mark.parametrize("nonce", ["abcd", "hex:abcd", "base64:YWJj", "text:abcd", "YWJjZA==", "=", "====", "0", "00" * 32, "null",
                                   '{"a":1}', "a\0b\n\t", "\ufeffx", "ünï", "\U0001f600", "\x7f"])
def test_a_nonce_is_always_text(simulated, nonce):
    reply = good(simulated, command="attest", nonce=nonce)
    assert reply["nonce"] == nonce
    assert attested(simulated, reply)["nonce"] == nonce.encode()


def test_each_generated_key_is_a_new_one_and_told_apart(simulated):
    replies = [good(simulated, command="attest", generate_key=True) for _ in range(2)]
    assert replies[0]["key_id"] != replies[1]["key_id"]
    keys = [attested(simulated, r)["public_key"] for r in replies]
    assert [hashlib.sha256(k).hexdigest() for k in keys] == [r["key_id"] for r in replies]


def test_the_dummy_has_no_document_to_give(dummy):
    for key in (False, True):
        reply = bad(dummy, command="attest", generate_key=key)
        assert "attestation_document" not in reply and "NSM" in reply["error"]
    assert pongs(dummy)
    reply = good(dummy, command="status")
    assert reply["nsm"] == "dummy" and reply["debug_mode"] is None


def test_an_enclave_in_debug_mode_says_so(make_server, make_simulator, tmp_path):
    s = make_server(nsm=make_simulator("--debug-mode").nsm, settings=settings(tmp_path))
    assert good(s, command="attest")["tee_verified"] is False
    assert good(s, command="status")["debug_mode"] is True


# ---- one request, one reply ----

def test_two_requests_on_a_line_are_none(simulated):
    for line in (PING + PING, PING + b" " + PING, PING + b"," + PING, b"[" + PING + b"," + PING + b"]", PING + b"}", PING + b"x",
                 PING + b"\0"):
        assert "success" in bad(simulated, line)


def test_two_lines_get_one_reply(simulated):
    status = request(command="status")
    for more in (status + b"\n", status, b"rubbish\n", b"\xff\0", b"\n" * 100, b"x" * 100_000):
        with Talk(simulated) as t:
            assert t.send(PING + b"\n" + more).reply()["message"] == "pong"
        with Talk(simulated) as t:
            assert t.send(PING + b"\n" + more).half_close().reply()["message"] == "pong"


def test_a_connection_is_closed_after_its_reply(simulated):
    with Talk(simulated) as t:
        t.send(PING + b"\n")
        assert read_reply(t.rest())["message"] == "pong"  # rest() is the whole stream
        assert t.send(PING + b"\n").rest() == b""


def test_whoever_sends_nothing_gets_nothing(simulated):
    with Talk(simulated) as t:
        assert t.half_close().rest() == b""
    with Talk(simulated):
        pass
    assert pongs(simulated)


@pytest.mark.parametrize("blank", [b"\n", b" ", b"\r\n", b" \n", b"\n\n\n"])
def test_white_space_alone_is_no_request(simulated, blank):
    with Talk(simulated) as t:
        got = t.send(blank).half_close().rest()
        assert got == b"" or not read_reply(got)["success"]


# ---- what is refused ----

@pytest.mark.parametrize("command", ["", "Ping", "ping ", "PING", "decrypt", "help", "ping\0", "é", "x" * 5000])
def test_an_unknown_command_is_told_which_there_are(simulated, command):
    reply = bad(simulated, command=command)
    assert sorted(reply["available_commands"]) == sorted(COMMANDS)


@pytest.mark.parametrize("line", [
    b"{}", b'{"user_data": "x"}', b'{"command": null}', b'{"command": 1}', b'{"command": []}', b'{"command": {}}', b'{"command": true}',
    b'{"command": ["ping"]}', b'{"Command": "ping"}', b'{"command ": "ping"}'])
def test_a_command_that_is_none(simulated, line):
    assert "command" in bad(simulated, line)["error"].lower()


@pytest.mark.parametrize("member, values", [
    ("user_data", ["1", "1.5", "true", "false", "[]", "{}", '["x"]', '{"purpose": "attestation"}']),
    ("nonce", ["1", "0", "true", "[]", "{}", '["n"]', "1234567890123456789"]),
    ("generate_key", ['"true"', '""', "1", "0", "[]", "{}", "1.0"]),
])
def test_members_of_another_type(simulated, member, values):
    for value in values:
        reply = bad(simulated, '{"command": "attest", "%s": %s}' % (member, value))
        assert "available_commands" not in reply and names(reply, member), value


@pytest.mark.parametrize("member", ["Nonce", "nonce_encoding", "public_key", "key", "", "user data", "custom_data", "user_data\0", "ü"])
def test_members_that_nobody_knows(simulated, member):
    for value in ("x", None, 1):
        bad(simulated, {"command": "attest", member: value})


@pytest.mark.parametrize("line", [
    b"null", b"true", b"1", b'"ping"', b"[]", b'["ping"]', b"ping", b"{", b"}", b"{]", b'{"command"}', b'{"command":}',
    b'{"command": "ping",}', b'{"command": "ping"', b'{"command": "pin', b"{'command': 'ping'}", b'{command: "ping"}', b"\0", b"\0" * 100,
    b'{"command": "ping"}\0', b'\xef\xbb\xbf{"command": "ping"}', b'/**/{"command": "ping"}', b'{"command": NaN}', b"GET / HTTP/1.1\r",
    b'{"command": "ping"}\x0b', b'\xa0{"command": "ping"}', b'{"command":\xa0"ping"}', b'{"command": "pi\x0bng"}'])
def test_what_is_no_object(simulated, line):
    reply = bad(simulated, line)
    assert "available_commands" not in reply
    with Talk(simulated) as t:
        assert t.send(line).half_close().reply()["success"] is False


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-7"])
def test_other_encodings(simulated, encoding):
    line = '{"command": "ping", "user_data": "é+"}'.encode(encoding)
    with Talk(simulated) as t:
        assert t.send(line).half_close().reply()["success"] is False


@pytest.mark.parametrize("line", [
    '{"command": "ping", "command": "ping"}', '{"command": "ping", "command": "status"}', r'{"command": "ping", "\u0063ommand": "ping"}',
    '{"command": "attest", "user_data": "a", "user_data": "b"}', '{"command": "attest", "nonce": null, "nonce": "n"}',
    '{"command": "attest", "generate_key": false, "generate_key": false}'])
def test_members_that_come_twice(simulated, line):
    assert "available_commands" not in bad(simulated, line)


@pytest.mark.parametrize("member", ["user_data", "nonce", "command"])
@pytest.mark.parametrize("value", [
    b"\xff", b"\xc3", b"\xc3(", b"\xc0\xbb", b"\xc1\xbb", b"\xe0\x81\xbb", b"\xf0\x80\x81\xbb", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"a\x80b", rb"\ud800", rb"\udc00", rb"\udc00\ud800", rb"\ud800\ud800", rb"\ud83dx",
    rb"\x41", rb"\u12", rb"\u{41}", b"\x00", b"\x1f", b"\t"])
def test_text_that_is_none(simulated, member, value):
    command = b"" if member == "command" else b'"command": "attest", '
    assert "available_commands" not in bad(simulated, b'{%s"%s": "%s"}' % (command, member.encode(), value))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"command":', b'{"user_data":['])
def test_deep_nesting(simulated, opening):
    for depth in (2, 60, 70, 511, 513, REQUEST_MAX // len(opening)):
        bad(simulated, opening * depth)


def test_many_values(simulated):
    for n in (60, 70, 2000):
        bad(simulated, b'{"command": "ping", "user_data": [%s]}' % b",".join([b"1"] * n))
        bad(simulated, b"{%s}" % b",".join(b'"%d":1' % i for i in range(n // 3)))


# Any of these would let the parent have the NSM sign something that looks like one of our claims.
@pytest.mark.parametrize("user_data", [
    '{"purpose": "attestation"}', '{"purpose":"key-exchange","session_id":"x"}', ' {"purpose": "info"}', "{", "x{", "}{", "{}",
    '\ufeff{"purpose": "attestation"}', "\ufeff", "x\ufeffy", "x\ufeff", "\0", "x\0", "\0x\0y", "\n", "\r", "\t", "a\tb",
    "\x1f", "\x01", "\x1b[0m", "x\x08", "\0[", "[\n]", '[{"purpose": "attestation"}]',
    *['{"purpose": "x"}'.encode(e).decode("latin-1") for e in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")],
    "笀\0", "x" * 511 + "{", "{" + "x" * 511], ids=ascii_start)
def test_user_data_that_could_pass_for_a_claim(simulated, user_data):
    line = request(command="attest", user_data=user_data)
    every = ('{"command": "attest", "user_data": "%s"}' % "".join(
        f"\\u{int.from_bytes(u, 'big'):04X}" for u in re.findall(b"(?s)..", user_data.encode("utf-16-be")))).encode()
    for spelt in (line, json.dumps({"command": "attest", "user_data": user_data}, ensure_ascii=False).encode(), every):
        if len(spelt) <= REQUEST_MAX:
            assert names(bad(simulated, spelt), "user_data")


@pytest.mark.parametrize("user_data", [
    "}", "[1, 2]", '"x"', '"purpose": "attestation"', "purpose", "\x7f", "~", "|", " ", "null", "\x80", "\x9f", "\xa0", "笀", "\u7b7b",
    "\u017b", "\ufffe", "\ufffd", "\uffff", "\U0001f47b", "\U0010ffff", "[", "hello\u2028", "／", "｛", "+AHs-", "eyJwdXJwb3NlIjoieCJ9",
    "%7B", "&#123;", "\\u007b"])
def test_user_data_that_could_not(simulated, user_data):
    reply = good(simulated, command="attest", user_data=user_data)
    assert reply["user_data"] == user_data
    assert attested(simulated, reply)["user_data"] == user_data.encode()


# ---- limits ----

@pytest.mark.parametrize("member", ["user_data", "nonce"])
@pytest.mark.parametrize("fill, over", [("x", "x"), ("é", "x"), ("€€x", "x"), ("😀", "x"), ("é", "é")])
def test_a_text_of_512_bytes_and_of_one_more(simulated, member, fill, over):
    most = (fill * TEXT_MAX).encode()[:TEXT_MAX].decode(errors="ignore")
    most += "x" * (TEXT_MAX - len(most.encode()))
    assert len(most.encode()) == TEXT_MAX
    assert signed(simulated, **{member: most})[member] == most.encode()
    past = most + "x" if over == "x" else most[:-1] + "€"
    assert len(past.encode()) == TEXT_MAX + 1
    reply = bad(simulated, {"command": "attest", member: past})
    assert names(reply, member) and "512" in reply["error"]


def test_the_longest_texts_fit_with_every_byte_escaped(simulated):
    def escaped(value):
        return "".join(f"\\u{ord(c):04x}" for c in value)

    user_data, nonce = "~" * TEXT_MAX, "\0" * TEXT_MAX
    line = '{"command": "%s", "user_data": "%s", "nonce": "%s", "generate_key": false}' % (
        escaped("attest"), escaped(user_data), escaped(nonce))
    payload = attested(simulated, good(simulated, line))
    assert (payload["user_data"], payload["nonce"]) == (user_data.encode(), nonce.encode())


@pytest.mark.parametrize("end", ["newline", "end of stream", "CRLF", "bytes"])
def test_a_request_of_8192_bytes_and_of_one_more(simulated, end):
    for size, fits in ((REQUEST_MAX, True), (REQUEST_MAX + 1, False)):
        line = PING + b" " * (size - len(PING))
        if end == "CRLF":
            line = line[:-1] + b"\r"
        with Talk(simulated) as t:
            if end == "bytes":
                t.send(line[:-3])
                for at in range(3):
                    t.send(line[size - 3 + at:size - 2 + at])
            else:
                t.send(line)
            if end == "end of stream":
                t.half_close()
            else:
                t.send(b"\n")
            reply = t.reply()
        assert reply["success"] is fits, (size, reply)
        assert fits or str(REQUEST_MAX) in reply["error"]


@pytest.mark.parametrize("size", [10_000, 100_000, 1_000_000])
def test_the_sender_of_a_request_that_is_too_long_sees_why(simulated, size):
    for end in (b"\n", b""):
        with Talk(simulated) as t:
            t.send(b"x" * size + end)
            if end == b"":
                t.half_close()
            reply = t.reply()
        assert reply["success"] is False and str(REQUEST_MAX) in reply["error"]


# ---- where it is served ----

def serve(directory, *args):
    """Runs `attestd serve`, which must end by itself."""
    directory.mkdir()
    return subprocess.run([*RUNNER, BUILD / "attestd", "serve", "--nsm", "dummy", "--listen", "127.0.0.1:0", *args], cwd=directory,
                          timeout=60 * PATIENCE, env=clean_environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("address", ["127.0.0.1:9000", "tcp:127.0.0.1:9000", "[::1]:9000", "0.0.0.0:9000", "10.0.0.1:9000",
                                     "tcp:[::1]:9000"])
def test_tcp_is_refused(tmp_path, address):
    run = serve(tmp_path / "home", f"--set=vsock_listen={address}")
    assert run.returncode == 1, run.stderr
    assert run.stderr.startswith("attestd: ") and "vsock_listen" in run.stderr and address in run.stderr
    assert "vsock:" in run.stderr and "unix:" in run.stderr, "what would do instead"
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("address", ["vsock:", "vsock:x", "vsock:-1", "vsock:4294967296", "vsock:3:9000", "unix:", "unix:@x", "9000",
                                     "unix:" + "a" * 120])
def test_an_address_that_is_none_is_explained(tmp_path, address):
    run = serve(tmp_path / "home", f"--set=vsock_listen={address}")
    assert run.returncode == 1, run.stderr
    assert run.stderr.startswith(f"attestd: vsock_listen = {address}: ") and len(run.stderr) > 60
    assert list((tmp_path / "home").iterdir()) == []


def test_a_unix_socket_is_for_owner_and_group_and_removed_at_the_end(make_server, tmp_path):
    s = make_server(settings=settings(tmp_path))
    assert f"unix:{tmp_path}/vs" in s.listening
    assert re.search(rf"^(.* )?listening on unix:{tmp_path}/vs$", s.stderr, re.MULTILINE)
    assert stat.S_IMODE((tmp_path / "vs").stat().st_mode) == 0o660
    s.stop()
    assert not (tmp_path / "vs").exists()


def test_a_stale_socket_is_replaced_and_one_that_answers_is_not(make_server, tmp_path):
    s = make_server(settings=settings(tmp_path))
    s.kill()
    assert (tmp_path / "vs").is_socket()
    s.start()
    run = serve(tmp_path / "home", f"--set=vsock_listen=unix:{tmp_path}/vs")
    assert run.returncode == 3 and f"{tmp_path}/vs" in run.stderr
    assert pongs(s)


def test_nowhere_unless_it_is_said(server):
    assert len(server.listening) == 1 and "vsock" not in server.listening[0]


def vsock_is_there():
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s:
            s.bind((socket.VMADDR_CID_ANY, VSOCK_PORT))
            return True
    except OSError:
        return False


@pytest.mark.skipif(not vsock_is_there(), reason="there is no vsock here, so no listener is tried on it")
def test_on_vsock_itself(make_server):
    s = make_server(settings={"vsock_listen": f"vsock:{VSOCK_PORT}"})
    assert f"vsock:{VSOCK_PORT}" in s.listening
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as c:
        c.settimeout(10 * PATIENCE)
        try:
            c.connect((VMADDR_CID_LOCAL, VSOCK_PORT))
        except OSError:
            pytest.skip("vsock has no loopback here (modprobe vsock_loopback), so the listener was not asked anything")
        c.sendall(request(command="status") + b"\n")
        assert read_reply(c.makefile("rb").read())["port"] == VSOCK_PORT


class Activated(Server):
    """attestd with a socket for vsock_listen that somebody else opened at this address."""

    def __init__(self, directory, address, **more):
        super().__init__(directory, **more)
        self.address = address

    def command(self):
        return launched([f"vsock_listen={self.address}"], super().command())


def test_an_inherited_socket_stands_for_its_key(tmp_path):
    s = Activated(tmp_path / "home", tmp_path / "vs", settings=settings(tmp_path, vsock_listen="vsock:1"))
    try:
        s.start()
        assert f"unix:{tmp_path}/vs" in s.listening
        s.settings = settings(tmp_path)
        assert pongs(s)
    finally:
        s.stop()
    assert (tmp_path / "vs").is_socket(), "the service manager's to keep"


def test_an_inherited_socket_that_is_tcp_is_refused(tmp_path):
    s = Activated(tmp_path / "home", "127.0.0.1:0")
    s.spawn()
    assert s.wait() in (1, 3)
    assert "vsock_listen" in s.stderr and not s.db.exists()


def test_no_http_is_served_here(simulated):
    for message in (head(), head("GET", "/attestation?nonce=ab"), head("GET", "/metrics"), post("/attestation", {}),
                    post("/key-exchange", {})):
        with Talk(simulated) as t:
            got = t.send(message).half_close().rest()
        assert b"HTTP/" not in got and read_reply(got)["success"] is False


def test_no_command_is_served_over_http(simulated):
    for path in ("/", "/ping", "/status", "/attest", "/vsock"):
        assert simulated.post(path, {"command": "ping"}).status in (404, 405)
    with Wire(simulated) as w:
        assert w.send(PING + b"\n\r\n\r\n").half_close().reply().status == 400


# ---- beside HTTP ----

def both_at_once(server, rounds):
    """Asks over vsock and over HTTP at once; the replies that were not as they should be."""
    wrong = []

    def http():
        with Wire(server) as w:
            for i in range(rounds):
                reply = w.send(post("/attestation", text(f"http {i}"))).reply()
                payload = Document(base64.b64decode(reply.json()["attestation_document"]["document"])).payload
                if (reply.status, payload["nonce"]) != (200, f"http {i}".encode()):
                    wrong.append(reply)

    def vsock(t):
        for i in range(rounds):
            reply = ask(server, command="attest", nonce=f"{t} {i}", user_data=f"{i} {t}")
            payload = Document(base64.b64decode(reply["attestation_document"])).payload
            if (payload["nonce"], payload["user_data"]) != (f"{t} {i}".encode(), f"{i} {t}".encode()):
                wrong.append(reply)

    def guarded(what, *args):
        try:
            what(*args)
        except Exception as e:  # a thread's own would go unseen
            wrong.append(e)

    threads = [threading.Thread(target=guarded, args=a) for a in ((http,), (http,), (vsock, 1), (vsock, 2), (vsock, 3))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return wrong


def test_both_faces_at_once_keep_what_is_whose_apart(simulated):
    assert both_at_once(simulated, 40) == []


def test_the_same_while_http_is_flooded(simulated):
    with Flood(8, lambda: simulated.get("/health")):
        assert all(pongs(simulated) for _ in range(30))
        assert signed(simulated, nonce="n", user_data="u")["nonce"] == b"n"
        assert sorted(bad(simulated, command="x")["available_commands"]) == sorted(COMMANDS)


def test_http_while_vsock_is_flooded(simulated):
    with Flood(8, lambda: ask(simulated, command="ping")):
        assert [simulated.get("/health").status for _ in range(30)] == [200] * 30
        assert simulated.attest(nonce="hex:" + "ab" * 16)["nonce_hex"] == "ab" * 16


# ---- the end ----

def test_sigterm_lets_a_request_in_flight_finish(make_server, nsm, tmp_path):
    s = make_server(**nsm.server(settings=settings(tmp_path, nsm_timeout=60, drain_timeout=60)))
    with Talk(s) as first, Talk(s) as idle, Talk(s) as begun:
        first.send(request(command="attest", nonce="hold") + b"\n")
        begun.send(PING)
        nsm.until_called("hold")
        s.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in s.stderr)
        assert idle.rest() == b"", "who asked nothing is not waited for"
        nsm.go_on()
        assert first.reply()["success"] is True
        got = begun.half_close().rest()  # it may have been let go, or be answered
        assert got == b"" or read_reply(got)
        assert s.wait() == 0
    s.check()
    assert not (tmp_path / "vs").exists()


def test_sigterm_waits_no_longer_than_it_may(make_server, nsm, tmp_path):
    s = make_server(**nsm.server(settings=settings(tmp_path, nsm_timeout=60, drain_timeout=1)))
    with Talk(s) as t:
        t.send(request(command="attest", nonce="hold") + b"\n")
        nsm.until_called("hold")
        s.send_signal(signal.SIGTERM)
        got = t.rest()
        assert got == b"" or read_reply(got)["success"] is False
    assert s.wait() == 0
    s.check()


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once(make_server, tmp_path, signo):
    s = make_server(settings=settings(tmp_path, drain_timeout=60, vsock_timeout=60))
    idle = [Talk(s) for _ in range(20)]
    assert pongs(s)
    s.send_signal(signo)
    began = time.monotonic()
    assert s.wait() == 0 and time.monotonic() - began < 20 * PATIENCE
    assert [t.rest() for t in idle] == [b""] * 20
