"""Private data at rest and on the way: what the files show, what no altered row becomes, and what a start makes of them."""

import base64
import socket
import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest
from helpers.caller import Caller
from helpers.proxy import Proxy
from helpers.start import refused

SECRET = b"the treasure is buried under the third palm tree"


@pytest.fixture
def make_private(make_server):
    """Makes a server of a test's own: make_private(key=value, ...)."""
    return lambda start=True, **more: make_server(start=start, settings={"tls_listen": "127.0.0.1:0", **more})


def database(server):
    return server.directory / "private.db"


def written(server):
    """The bytes of all the server's files but its key."""
    files = [p for p in server.directory.iterdir() if p.name != "kek" and p.is_file()]
    assert database(server) in files
    return b"\n".join(p.read_bytes() for p in files)


def change(server, *statements):
    with closing(sqlite3.connect(database(server))) as db, db:
        for s in statements:
            assert db.execute(s).rowcount > 0, s


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_restart_keeps_what_was_acknowledged(make_private, tmp_path, end):
    s = make_private()
    alice = Caller(s, tmp_path / "alice")
    small, large = alice.kept(SECRET, "text/plain"), alice.kept(SECRET * 10000)
    s.stop() if end == "stopped" else s.kill()
    s.start()
    assert alice.get(small).body == SECRET and alice.get(small).type == "text/plain"
    assert alice.get().body == alice.get(large).body == SECRET * 10000


@pytest.mark.parametrize("end", ["running", "killed", "stopped"])
def test_the_files_hold_no_text_no_type_and_no_key(make_private, tmp_path, end):
    s = make_private()
    alice = Caller(s, tmp_path / "alice")
    ident = alice.kept(SECRET, "application/x-telling")
    alice.kept(SECRET * 10000)
    assert alice.get(ident).body == SECRET
    {"running": lambda: None, "killed": s.kill, "stopped": s.stop}[end]()
    files = written(s)
    for hidden in (SECRET, b"treasure", b"x-telling", (s.directory / "kek").read_bytes()):
        assert hidden not in files


def test_deleted_rows_leave_nothing_sealed_behind(make_private, tmp_path):
    s = make_private()
    alice = Caller(s, tmp_path / "alice")
    ident = alice.kept(SECRET * 1000)
    s.stop()
    with closing(sqlite3.connect(database(s))) as db:
        (sealed,) = db.execute("SELECT sealed FROM item").fetchone()
    piece = sealed[1000:1064]
    s.start()
    assert piece in written(s)
    assert alice.delete(ident).status == 200
    assert piece not in written(s)
    s.stop()
    assert piece not in written(s)


def flipped(rows):
    return {row: sealed[:40] + bytes([sealed[40] ^ 1]) + sealed[41:] for row, sealed in rows.items()}


def emptied(rows):
    return {row: b"" for row in rows}


def swapped(rows):
    return dict(zip(rows, reversed(rows.values())))


@pytest.mark.parametrize("alter", [flipped, emptied, swapped, None], ids=["flipped", "emptied", "swapped", "redated"])
def test_an_altered_row_is_an_error_and_no_data(make_private, tmp_path, alter):
    s = make_private()
    alice = Caller(s, tmp_path / "alice")
    ids = [alice.kept(SECRET), alice.kept(SECRET)]
    s.stop()
    with closing(sqlite3.connect(database(s))) as db, db:
        if alter is None:
            db.execute("UPDATE item SET created_ms = created_ms + 1000")
        else:
            altered = alter(dict(db.execute("SELECT row, sealed FROM item")))
            db.executemany("UPDATE item SET sealed = ? WHERE row = ?", [(sealed, row) for row, sealed in altered.items()])
    s.start()
    for ident in [None, *ids]:
        reply = alice.get(ident)
        assert (reply.status, reply.code) == (500, "sealed_data_invalid")
        assert b"treasure" not in reply.body and str(s.directory) not in reply.body.decode()
    assert alice.delete(ids[0]).status == 200
    assert alice.kept(b"again")


def test_a_row_given_to_somebody_else_is_an_error(make_private, tmp_path):
    s = make_private()
    alice, bob = Caller(s, tmp_path / "alice"), Caller(s, tmp_path / "bob")
    ident = alice.kept(SECRET)
    s.stop()
    change(s, f"UPDATE item SET identity = x'{bob.identity}'", f"UPDATE tally SET identity = x'{bob.identity}' WHERE identity <> x''")
    s.start()
    assert bob.get(ident).code == bob.get().code == "sealed_data_invalid"
    assert alice.get(ident).code == "not_found"


def test_a_file_whose_totals_are_wrong_is_not_served(make_private, tmp_path):
    s = make_private()
    Caller(s, tmp_path / "alice").kept(SECRET)
    s.stop()
    change(s, "DELETE FROM tally")
    said = refused(s, 3)
    assert str(database(s)) in said and "damaged" in said and "move it away" in said


def test_a_generated_key_that_is_gone_takes_its_rows_along_with_one_line(make_private, tmp_path):
    s = make_private()
    alice = Caller(s, tmp_path / "alice")
    alice.kept(SECRET)
    alice.kept(SECRET)
    s.restart()
    assert alice.get().body == SECRET and "private_data_discarded" not in s.stderr
    s.stop()
    (s.directory / "kek").unlink()
    s.start()
    (line,) = [x for x in s.stderr.splitlines() if "private_data_discarded" in x]
    assert "count=2" in line and "gone from the runtime directory" in line
    assert alice.get().code == "not_found"
    assert alice.kept(b"new") and alice.get().body == b"new"


@pytest.mark.parametrize("source", ["kek_file", "environment"])
def test_a_configured_key_that_is_another_stops_the_start(make_private, tmp_path, source):
    key = tmp_path / "key"
    key.touch(0o600)

    def configure(s, value):
        key.write_bytes(value)
        if source == "environment":
            s.env["ENCLAVE_KEY_BASE64"] = base64.b64encode(value).decode()
        s.db.unlink(missing_ok=True)  # else the sessions' own check would come first

    s = make_private(start=False, **({"kek_file": key} if source == "kek_file" else {}))
    s.directory.mkdir()
    configure(s, b"k" * 32)
    s.start()
    alice = Caller(s, tmp_path / "alice")
    alice.kept(SECRET)
    s.stop()
    configure(s, b"x" * 32)
    assert "not the one that sealed the private-data database" in refused(s, 3)
    configure(s, b"k" * 32)
    s.start()
    assert alice.get().body == SECRET


# ---- on the way ----

class Tap:
    """Hands bytes on between whoever connects and an address, and keeps them all."""

    def __init__(self, to):
        self.to, self.seen = to, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp:127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.socket.accept()
            except OSError:
                return
            far = socket.create_connection(self.to)
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                self.seen.append(data)
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_nothing_of_it_shows_at_a_proxy_or_in_the_database(make_private, tmp_path):
    s = make_private()
    tap = Tap(("127.0.0.1", int(s.tls.rsplit(":", 1)[1])))
    proxy = Proxy(tmp_path / "proxy", ("tcp:127.0.0.1:0", tap.address)).start()
    try:
        url = "https://" + proxy.at.removeprefix("tcp:") + "/private-data"
        curl = ["curl", "-sk", "--max-time", "60", url]
        subprocess.run([*curl, "-XPOST", "--data-binary", "@-", "-H", "content-type: application/x-telling"], input=SECRET,
                       capture_output=True, check=True)
        assert subprocess.run(curl, capture_output=True, check=True).stdout == SECRET
    finally:
        proxy.stop()
        tap.socket.close()
    captured = b"".join(tap.seen)
    assert len(captured) > 1000
    for hidden in (SECRET, b"treasure", b"x-telling", b"private-data"):
        assert hidden not in captured
    assert b"treasure" not in written(s) and b"x-telling" not in written(s)
