"""The life of sessions: the list, the end, the caps, the clock, and many callers at once."""

import json
import random
import re
import resource
import shutil
import subprocess
import threading
from datetime import datetime, timedelta, timezone

import pytest
from helpers import Server, UserSession

UNKNOWN_ID = "A" * 43
TIME = "%Y-%m-%dT%H:%M:%SZ"


def active(server):
    return server.get("/health").json()["active_sessions"]


def listed(server):
    return server.get("/sessions").json()["sessions"]


# ---- the list ----

@pytest.mark.route("GET /sessions")
def test_the_list_says_little_and_gives_no_id_away(make_server, user):
    s = make_server()
    assert s.get("/sessions").json() == {"active_sessions": 0, "sessions": []}
    before = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    opened = [UserSession(s, user) for _ in range(3)]
    for _ in range(5):
        s.post("/encrypt", opened[1].plain("x"))
    s.post("/decrypt", opened[1].seal("x"))
    reply = s.get("/sessions")
    assert (reply.status, reply.type) == (200, "application/json")
    assert reply.json()["active_sessions"] == 3
    rows = reply.json()["sessions"]
    assert [r["session_id"] for r in rows] == [o.id[:16] + "..." for o in opened], "oldest first, ids cut"
    assert not any(o.id in reply.body.decode() for o in opened)
    assert [r["message_count"] for r in rows] == [0, 6, 0]
    for r in rows:
        assert set(r) == {"session_id", "created_at", "expires_at", "message_count", "user_fingerprint"}
        assert r["user_fingerprint"] == user.key_hash
        created, expires = (datetime.strptime(r[k], TIME) for k in ("created_at", "expires_at"))
        assert created >= before
        assert abs(expires - created - timedelta(hours=1)) <= timedelta(seconds=2)


@pytest.mark.slow
@pytest.mark.route("GET /sessions")
def test_the_list_is_cut_at_a_thousand(make_server, user):
    s = make_server(settings={"nsm_burst": "100000"})
    connection = s.http()
    body = json.dumps({"user_public_key": user.pem})
    for _ in range(1001):
        assert s.post("/key-exchange", body, connection=connection).status == 200
    reply = s.get("/sessions").json()
    assert (reply["active_sessions"], len(reply["sessions"])) == (1001, 1000)
    connection.close()
    s.restart()
    again = s.get("/sessions").json()
    for r in reply["sessions"] + again["sessions"]:
        del r["expires_at"]  # of another clock, so it may be a second off
    assert again == reply


# ---- the end ----

@pytest.mark.route("DELETE /sessions/{session_id}")
def test_an_ended_session_is_like_one_that_never_was(make_server, user):
    s = make_server()
    opened, other = UserSession(s, user), UserSession(s, user)
    sealed = opened.seal("x")
    unknown = s.post("/encrypt", {"session_id": UNKNOWN_ID, "plaintext": "x"})
    reply = s.delete(f"/sessions/{opened.id}")
    assert (reply.status, reply.json()) == (200, {"session_id": opened.id[:16] + "...", "ended": True})
    for _ in range(2):
        for r in (s.post("/encrypt", opened.plain("x")), s.post("/decrypt", sealed), s.delete(f"/sessions/{opened.id}"),
                  s.delete(f"/sessions/{UNKNOWN_ID}")):
            assert (r.status, r.code, r.body) == (401, "session_unknown", unknown.body)
        assert active(s) == 1
        assert s.post("/encrypt", other.plain("x")).status == 200
        s.restart()


@pytest.mark.route("DELETE /sessions/{session_id}")
@pytest.mark.parametrize("wrong", ["", "A", "A" * 42, "A" * 44, "A" * 300, "A" * 42 + "%00", "../sessions", "%2e%2e"])
def test_only_a_whole_id_ends_a_session(server, user, wrong):
    opened = UserSession(server, user)
    assert server.delete(f"/sessions/{wrong}").status in (400, 401, 404)
    assert server.delete(f"/sessions/{opened.id[:16]}").status in (401, 404)
    assert server.delete(f"/sessions/{opened.id[:16]}...").status in (401, 404)
    assert server.delete(f"/sessions/{opened.id}x").status in (401, 404)
    assert server.post("/encrypt", opened.plain("x")).status == 200


@pytest.mark.route("DELETE /sessions/{session_id}", "GET /sessions")
def test_the_public_listener_neither_lists_nor_ends_sessions(make_server, user):
    s = make_server(settings={"public_listen": "127.0.0.1:0"})
    opened = UserSession(s, user, at=s.public)
    assert s.get("/sessions", at=s.public).status == 404
    assert s.delete(f"/sessions/{opened.id}", at=s.public).status == 404
    assert s.delete(f"/sessions/{opened.id}").status == 200


def test_a_large_message_under_way_does_not_outlive_its_session(make_server, user):
    """Whichever comes first: the message is answered whole, or the session is unknown. Nothing between, no crash."""
    s = make_server()
    for size in (300_000, 4_000_000):
        for _ in range(4):
            opened = UserSession(s, user)
            body = json.dumps(opened.seal("x" * size))
            got = []
            t = threading.Thread(target=lambda: got.append(s.post("/decrypt", body)))
            t.start()
            assert s.delete(f"/sessions/{opened.id}").status == 200
            t.join()
            assert (got[0].status, got[0].code) in ((200, None), (401, "session_unknown")), got
            assert s.post("/decrypt", body).status == 401
    assert active(s) == 0


class Later(Server):
    """A server whose boot clock runs ahead, as after that many seconds without it."""

    ahead = 0

    def command(self):
        return ["unshare", "--time", "--boottime", str(self.ahead), "--", *super().command()] if self.ahead else \
            super().command()


def time_can_be_shifted():
    return shutil.which("unshare") is not None and \
        subprocess.run(["unshare", "--time", "--boottime", "9", "true"], capture_output=True, check=False).returncode == 0


def left(server):
    """What is left of the first session's time."""
    return datetime.strptime(listed(server)[0]["expires_at"], TIME) - datetime.now(timezone.utc).replace(tzinfo=None)


shifted = pytest.mark.skipif(not time_can_be_shifted(), reason="this machine has no time namespaces for us")


@pytest.fixture
def later(tmp_path):
    s = Later(tmp_path, settings={"session_lifetime": "1h"})
    yield s
    s.kill()


@shifted
def test_sessions_expire_by_the_boot_clock(later, user):
    s = later.start()
    opened = UserSession(s, user)
    sealed = opened.seal("x")
    unknown = s.post("/encrypt", {"session_id": UNKNOWN_ID, "plaintext": "x"})
    assert s.post("/decrypt", sealed).status == 200
    s.ahead = 3000
    s.restart()
    assert s.post("/encrypt", opened.plain("x")).json()["message_number"] == 2
    assert timedelta(minutes=5) < left(s) <= timedelta(minutes=10, seconds=2)
    s.ahead = 3601
    s.restart()
    assert active(s) == 0
    for r in (s.post("/encrypt", opened.plain("x")), s.post("/decrypt", sealed), s.delete(f"/sessions/{opened.id}")):
        assert (r.status, r.body) == (401, unknown.body)
    s.ahead = 0
    s.restart()
    assert active(s) == 0, "what expired was deleted"
    s.stop()


@shifted
def test_what_is_left_of_a_sessions_time_is_kept_over_a_boot(later, tmp_path, user):
    """The clock of another boot says nothing: neither a longer nor a shorter uptime changes how long a session lives."""
    boot_id, key = tmp_path / "boot_id", tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    boot_id.write_text("boot 0\n")
    later.settings |= {"kek_file": str(key), "boot_id_file": str(boot_id)}
    s = later.start()
    opened = UserSession(s, user)
    s.ahead = 3000
    s.restart()
    for n, s.ahead in enumerate((500_000, 0, 900), 1):
        boot_id.write_text(f"boot {n}\n")
        s.restart()
        assert s.post("/encrypt", opened.plain("x")).json()["message_number"] == n
        assert timedelta(minutes=5) < left(s) <= timedelta(minutes=11)
    s.ahead = 900 + 700
    s.restart()
    assert active(s) == 0
    s.stop()


# ---- caps ----

@pytest.mark.route("POST /encrypt", "POST /decrypt")
def test_a_session_is_spent_after_max_messages(make_server, user):
    s = make_server(settings={"max_messages": "5"})
    opened = UserSession(s, user)
    seals = [opened.seal(str(n)) for n in range(6)]
    for n in range(5):
        r = s.post("/encrypt", opened.plain("x")) if n % 2 else s.post("/decrypt", seals[n])
        assert (r.status, r.json()["message_number"]) == (200, n + 1)
    for _ in range(2):
        for r in (s.post("/encrypt", opened.plain("x")), s.post("/decrypt", seals[5]),
                  s.post("/decrypt", opened.seal("x" * 300_000))):
            assert (r.status, r.code) == (401, "session_exhausted"), r
            assert "5" in r.json()["detail"]
        assert s.post("/decrypt", seals[0]).code == "replay"
        s.restart()
    assert UserSession(s, user) and s.post("/encrypt", UserSession(s, user).plain("x")).status == 200


@pytest.mark.route("POST /encrypt", "POST /decrypt")
def test_all_seen_ivs_together_are_capped(make_server, user):
    s = make_server(settings={"max_seen_ivs": "6"})
    one, two = UserSession(s, user), UserSession(s, user)
    for n in range(3):
        assert s.post("/encrypt", one.plain("x")).status == 200
        assert s.post("/decrypt", two.seal("x")).status == 200
    for _ in range(2):
        for r in (s.post("/encrypt", one.plain("x")), s.post("/decrypt", two.seal("x"))):
            assert (r.status, r.code) == (503, "too_many_seen_ivs"), r
        s.restart()
    assert s.delete(f"/sessions/{one.id}").status == 200
    assert s.post("/encrypt", two.plain("x")).json()["message_number"] == 4


@pytest.mark.route("POST /key-exchange")
def test_live_sessions_are_capped(make_server, user):
    s = make_server(settings={"max_sessions": "3", "public_sessions": "0"})
    opened = [UserSession(s, user) for _ in range(3)]
    for _ in range(2):
        r = s.post("/key-exchange", {"user_public_key": user.pem})
        assert (r.status, r.code) == (503, "too_many_sessions"), r
        assert "3" in r.json()["detail"]
        s.restart()
    assert active(s) == 3
    assert s.delete(f"/sessions/{opened[0].id}").status == 200
    UserSession(s, user)
    assert s.post("/key-exchange", {"user_public_key": user.pem}).status == 503


@pytest.mark.route("POST /key-exchange")
def test_the_public_listener_has_a_share_of_the_sessions(make_server, user):
    s = make_server(settings={"max_sessions": "4", "public_sessions": "2", "public_listen": "127.0.0.1:0"})
    opened = [UserSession(s, user, at=s.public) for _ in range(2)]
    for _ in range(2):
        r = s.post("/key-exchange", {"user_public_key": user.pem}, at=s.public)
        assert (r.status, r.code) == (503, "too_many_sessions"), r
        assert "public" in r.json()["detail"]
        s.restart()  # it knows by whom they were opened
    UserSession(s, user)
    assert s.delete(f"/sessions/{opened[0].id}").status == 200
    UserSession(s, user, at=s.public)
    UserSession(s, user)
    assert s.post("/key-exchange", {"user_public_key": user.pem}).code == "too_many_sessions"


def exchange_at_once(server, user, n):
    replies = []
    body = json.dumps({"user_public_key": user.pem})
    threads = [threading.Thread(target=lambda: replies.append(server.post("/key-exchange", body))) for _ in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return replies


@pytest.mark.route("POST /key-exchange")
def test_concurrent_exchanges_keep_to_the_cap(make_server, user):
    s = make_server(settings={"max_sessions": "10", "public_sessions": "5"})
    replies = exchange_at_once(s, user, 30)
    assert sorted((r.status, r.code or "") for r in replies) == [(200, "")] * 10 + [(503, "too_many_sessions")] * 20
    assert active(s) == 10


# ---- many at once ----

def request_bytes(path, body):
    text = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        path.encode(), len(text), text)


def read_reply(stream):
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline().strip()):
        if m := re.match(rb"(?i)content-length: (\d+)", line):
            length = int(m[1])
    return status, json.loads(stream.read(length))


@pytest.fixture
def many_descriptors():
    """As many as this process may have; how many requests can be under way at once, then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(2000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.route("POST /encrypt", "POST /decrypt")
def test_two_thousand_concurrent_messages_get_a_number_each(make_server, user, many_descriptors):
    s = make_server()
    opened = UserSession(s, user)
    sizes = [10] * 96 + [20_000] * 3 + [300_000]  # the last kind is worked on by other threads
    sent = []
    for i in range(2000):
        text = f"{i} " + "x" * sizes[i // 2 % 100]
        sent.append(("/encrypt", opened.plain(text), text) if i % 2 else ("/decrypt", opened.seal(text), text))
    random.Random(1).shuffle(sent)

    numbers, replies = [], []
    for at in range(0, len(sent), many_descriptors):
        now = sent[at:at + many_descriptors]
        sockets = [s.connect(timeout=60) for _ in now]
        for socket, (path, body, _) in zip(sockets, now):
            data = request_bytes(path, body)
            # All but the last byte, so that they are all complete at about the same time.
            socket.sendall(data[:-1])
        for socket in sockets:
            socket.sendall(b"}")
        for socket in sockets:
            with socket, socket.makefile("rb") as stream:
                replies.append(read_reply(stream))
    for (path, _, text), (status, reply) in zip(sent, replies):
        assert status == 200, reply
        assert (opened.open(reply) if path == "/encrypt" else reply["plaintext"]) == text
        numbers.append(reply["message_number"])
    assert sorted(numbers) == list(range(1, 2001))
    ivs = {reply["iv"] for _, reply in replies if "iv" in reply}
    assert len(ivs) == 1000
    assert listed(s)[0]["message_count"] == 2000
    s.restart()
    assert listed(s)[0]["message_count"] == 2000
    for path, body, _ in sent[:100]:
        if path == "/decrypt":
            assert s.post("/decrypt", body).code == "replay"
    assert s.post("/encrypt", opened.plain("x")).json()["message_number"] == 2001
