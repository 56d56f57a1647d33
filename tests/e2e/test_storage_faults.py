"""Storage that fails: a message that says what to do, never a 200, and nothing half done once it works again."""

import os
import resource
import sqlite3
import subprocess
import threading
import time
from contextlib import closing

import pytest
from helpers import UserSession
from helpers.modes import CONFINE, needs_modes
from helpers.start import refused

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def active(server):
    return server.get("/health").json()["active_sessions"]


def unavailable(reply):
    return (reply.status, reply.code) == (503, "storage_unavailable")


# ---- disks that get full and have space again ----

def mount(path, *options):
    return subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(path)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0 or not mount(path, "-o", "size=2m"):
        pytest.skip("no right to mount a small file system")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path):
    with open(path / "filler", "ab", buffering=0) as f:
        for size in (65536, 4096, 1):
            try:
                while f.write(bytes(size)) == size:
                    pass
            except OSError:
                pass


class FullDisk:
    """The database's file system has no space."""

    def __init__(self, make_server, disk, settings):
        self.disk = disk
        self.server = make_server(args=["--db", str(disk / "s.db")], settings=settings)

    def begin(self):
        fill(self.disk)

    def end(self):
        (self.disk / "filler").unlink()


class FileLimit:
    """Files of the process may not grow."""

    def __init__(self, make_server, settings):
        self.server = make_server(settings={**settings, "log_level": "error"})  # the log is a file, too

    def begin(self):
        # The log is begun anew at 1 MiB, so that a higher limit might be met late or never.
        size = min((self.server.directory / "s.db-wal").stat().st_size, 65536)
        resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def end(self):
        resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE, UNLIMITED)


@pytest.fixture(params=[("disk", "process"), ("disk", "power"), ("limit", "process")], ids="-".join)
def trouble(request, make_server):
    kind, durability = request.param
    settings = {"durability": durability, "nsm_rate": "100000"}
    yield FullDisk(make_server, request.getfixturevalue("disk"), settings) if kind == "disk" else \
        FileLimit(make_server, settings)


@pytest.mark.route("POST /key-exchange", "POST /encrypt", "POST /decrypt", "DELETE /sessions/{session_id}")
def test_what_cannot_be_stored_is_not_done_at_all(trouble, user):
    s = trouble.server
    one, two = UserSession(s, user), UserSession(s, user)
    old = one.seal("old")
    assert s.post("/decrypt", old).status == 200
    small, large = one.seal("small"), one.seal("x" * 400_000)
    trouble.begin()
    for _ in range(3):
        for r in (s.post("/encrypt", one.plain("x")), s.post("/encrypt", one.plain("x" * 400_000)),
                  s.post("/decrypt", small), s.post("/decrypt", large),
                  s.post("/key-exchange", {"user_public_key": user.pem}), s.delete(f"/sessions/{two.id}")):
            assert unavailable(r), r
            assert "database" in r.json()["detail"]
        assert active(s) == 2
        assert [x["message_count"] for x in s.get("/sessions").json()["sessions"]] == [1, 0]
        assert s.post("/decrypt", old).code == "replay"
        assert s.get("/attestation").status == 200
    trouble.end()
    assert s.post("/encrypt", one.plain("x")).json()["message_number"] == 2
    for n, body in ((3, small), (4, large)):
        r = s.post("/decrypt", body)
        assert (r.status, r.json().get("message_number")) == (200, n), "it was used up by the failure"
    assert s.post("/encrypt", two.plain("x")).json()["message_number"] == 1, "it was ended by the failure"
    assert active(s) == 2
    UserSession(s, user)
    assert s.delete(f"/sessions/{two.id}").status == 200
    s.kill()
    s.start()
    assert active(s) == 2
    for body in (old, small, large):
        assert s.post("/decrypt", body).code == "replay"
    assert s.post("/encrypt", one.plain("x")).json()["message_number"] == 5
    assert s.post("/encrypt", two.plain("x")).status == 401


@pytest.mark.route("POST /encrypt", "POST /decrypt")
def test_a_full_disk_is_named_in_the_log(make_server, disk, user):
    trouble = FullDisk(make_server, disk, {})
    s = trouble.server
    o = UserSession(s, user)
    trouble.begin()
    assert unavailable(s.post("/encrypt", o.plain("x")))
    trouble.end()
    s.stop()
    assert "its file system is full; free some space" in s.stderr
    assert str(disk / "s.db") in s.stderr


@pytest.mark.slow
@pytest.mark.route("POST /encrypt", "POST /decrypt")
def test_space_that_comes_and_goes_under_load_costs_no_message(trouble, user):
    s = trouble.server
    o = UserSession(s, user)
    numbers, spent, faults = [], [], []
    failures = [0] * 6
    done = threading.Event()

    def work(me):
        connection = s.http(timeout=60)
        try:
            while not done.is_set():
                body = o.seal("x" * 500)
                while True:  # a 503 may be repeated and then succeeds: never is it 409
                    r = s.post("/decrypt", body, connection=connection)
                    if r.status == 200:
                        break
                    assert unavailable(r), r
                    failures[me] += 1
                numbers.append(r.json()["message_number"])
                spent.append(body)
                r = s.post("/encrypt", o.plain("x"), connection=connection)
                if r.status == 200:
                    sealed = r.json()
                    assert o.open(sealed) == "x"
                    numbers.append(sealed["message_number"])
                else:
                    assert unavailable(r), r
                    failures[me] += 1
        except Exception as e:
            faults.append(e)
        connection.close()

    def wait_for(count, more):
        end = count() + more
        while count() < end and not faults:
            time.sleep(0.002)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(failures))]
    for t in threads:
        t.start()
    for _ in range(15):
        wait_for(lambda: len(numbers), 40)
        trouble.begin()
        wait_for(lambda: sum(failures), 40)
        trouble.end()
    done.set()
    for t in threads:
        t.join()
    assert not faults, faults
    assert sorted(numbers) == list(range(1, len(numbers) + 1)), "a message that failed has used up a number"
    s.kill()
    s.start()
    for body in spent:
        assert s.post("/decrypt", body).code == "replay"
    assert s.post("/encrypt", o.plain("x")).json()["message_number"] == len(numbers) + 1


# ---- at the start ----

def test_a_full_disk_at_the_start(make_server, disk):
    fill(disk)
    s = make_server(start=False, args=["--db", str(disk / "s.db")])
    said = refused(s)
    assert str(disk / "s.db") in said and "full; free some space" in said, said
    (disk / "filler").unlink()
    s.start()


def test_a_full_disk_at_the_start_keeps_the_sessions(make_server, disk, user):
    s = make_server(args=["--db", str(disk / "s.db")])
    o = UserSession(s, user)
    s.stop()
    fill(disk)
    assert "full; free some space" in refused(s)
    (disk / "filler").unlink()
    s.start()
    assert s.post("/encrypt", o.plain("x")).json()["message_number"] == 1


def test_a_key_that_cannot_be_written(make_server, disk):
    fill(disk)
    s = make_server(start=False, settings={"runtime_dir": str(disk)})
    said = refused(s)
    assert str(disk / "kek") in said and "No space left" in said, said
    (disk / "filler").unlink()
    s.start()
    assert (disk / "kek").stat().st_size == 32


def test_a_read_only_file_system(make_server, disk, user):
    s = make_server(args=["--db", str(disk / "s.db")])
    o = UserSession(s, user)
    s.stop()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    said = refused(s)
    assert str(disk / "s.db") in said and "read-only" in said and "set another path" in said, said
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    s.start()
    assert s.post("/encrypt", o.plain("x")).status == 200


@needs_modes
@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_database_that_may_not_be_written(make_server, user, tmp_path, what):
    directory = tmp_path / "data"
    directory.mkdir()
    db = directory / "s.db"
    s = make_server(start=False, args=["--db", str(db)], settings={"runtime_dir": str(tmp_path)})
    command = s.command
    s.command = lambda: [*CONFINE, *command()]
    if what == "file":
        s.start()
        o = UserSession(s, user)
        s.stop()
        db.chmod(0o400)
    else:
        directory.chmod(0o500)
    said = refused(s)
    assert str(db) in said and "give this user the right to" in said, said
    directory.chmod(0o700)
    if what == "file":
        db.chmod(0o600)
        s.start()
        assert s.post("/encrypt", o.plain("x")).status == 200


def one_table(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE recipe(name TEXT)")
        db.execute("INSERT INTO recipe VALUES ('soup')")


def other_application(path):
    one_table(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA application_id = 252006673")


FOREIGN = {  # name -> (what makes it, what is said)
    "garbage": (lambda p: p.write_bytes(os.urandom(65536)), "no SQLite database"),
    "text": (lambda p: p.write_text("listen = 127.0.0.1:8765\n" * 99), "no SQLite database"),
    "half a header": (lambda p: p.write_bytes(b"SQLite format 3\0" + bytes(84)), ""),
    "somebody else's tables": (one_table, "another program's database"),
    "somebody else's application id": (other_application, "another program's database"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_ours_is_refused_and_left_alone(make_server, name):
    make, reason = FOREIGN[name]
    s = make_server(start=False)
    s.directory.mkdir()
    make(s.db)
    before = s.db.read_bytes()
    said = refused(s)
    assert str(s.db) in said and reason in said and "set another path" in said, said
    assert s.db.read_bytes() == before


def overwrite(path, start, end=None):
    data = bytearray(path.read_bytes())
    end = len(data) if end is None else end
    data[start:end] = b"\xa5" * (end - start)
    path.write_bytes(data)


def set_version(path, version):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA user_version = {version}")


def drop(path, table):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"DROP TABLE {table}")


def put(path, statement):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        assert db.execute(statement).rowcount > 0


DAMAGE = {  # name -> (what it does to the file, what is said)
    "all pages but the first": (lambda p: overwrite(p, 4096), "damaged; move it away"),
    "the schema": (lambda p: overwrite(p, 100, 4096), "damaged; move it away"),
    "cut in half": (lambda p: os.truncate(p, p.stat().st_size // 8192 * 4096), "damaged; move it away"),
    "a later schema": (lambda p: set_version(p, 99), "run the version that wrote it, or move it away"),
    "no table of sessions": (lambda p: drop(p, "session"), "damaged; move it away"),
    "no table of messages": (lambda p: drop(p, "seen"), "damaged; move it away"),
    "a short id": (lambda p: put(p, "UPDATE session SET id = 'x'"), "damaged; move it away"),
    "no IV": (lambda p: put(p, "UPDATE seen SET messages = x''"), "damaged; move it away"),
    "a short IV": (lambda p: put(p, "UPDATE seen SET messages = zeroblob(47)"), "damaged; move it away"),
    "a giant list of IVs": (lambda p: put(p, "UPDATE seen SET messages = zeroblob(2400000)"), "damaged; move it away"),
    "an IV of no session": (lambda p: put(p, "UPDATE seen SET messages = zeroblob(24)"), "altered or swapped"),
    "a giant position": (lambda p: put(p, "UPDATE seen SET id = 9223372036854775807"), "damaged; move it away"),
    "a giant key": (lambda p: put(p, "UPDATE session SET sealed = zeroblob(1000000)"), "move it away"),
    "a giant wrapped key": (lambda p: put(p, "UPDATE session SET wrapped = zeroblob(1000000)"), "move it away"),
    "a giant row": (lambda p: put(p, "UPDATE session SET row = 9223372036854775807"), "move it away"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_database_stops_the_start(make_server, user, name):
    make, reason = DAMAGE[name]
    s = make_server()
    o = UserSession(s, user)
    assert s.post("/encrypt", o.plain("x")).status == 200
    s.stop()
    make(s.db)
    said = refused(s)
    assert reason in said and "database" in said and "move" in said, said
    s.db.unlink()
    s.start()
    assert active(s) == 0


def test_an_empty_file_is_a_new_database(make_server, user):
    s = make_server(start=False)
    s.directory.mkdir()
    s.db.touch()
    s.start()
    UserSession(s, user)


@pytest.mark.route("POST /encrypt")
def test_two_servers_do_not_share_a_database(make_server, user):
    first = make_server()
    o = UserSession(first, user)
    second = make_server(start=False, args=["--db", str(first.db)], settings={"runtime_dir": str(first.directory)})
    for n in range(1, 4):
        said = refused(second)
        assert str(first.db) in said and "another process has it open" in said, said
        assert first.post("/encrypt", o.plain("x")).json()["message_number"] == n
    first.stop()
    second.start()
    assert second.post("/encrypt", o.plain("x")).json()["message_number"] == 4


def test_a_reader_that_is_in_the_way_is_named(make_server):
    s = make_server()
    s.stop()
    with closing(sqlite3.connect(s.db, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM session").fetchone()
        assert "another process has it open" in refused(s)
    s.start()


@pytest.mark.parametrize("make, reason", [
    (lambda p: None, "its directory does not exist; create it"),
    (lambda p: p.parent.write_text("a file"), "its directory is not a directory"),
    (lambda p: p.mkdir(parents=True), "not a regular file"),
], ids=["no directory", "a file as directory", "a directory"])
def test_a_path_that_cannot_be(make_server, tmp_path, make, reason):
    db = tmp_path / "data" / "s.db"
    make(db)
    said = refused(make_server(start=False, args=["--db", str(db)], settings={"runtime_dir": str(tmp_path)}))
    assert str(db) in said and reason in said, said
