"""What the database and its key look like at rest, and what a start makes of them."""

import base64
import os
import sqlite3
import stat
from contextlib import closing

import pytest
from helpers import UserSession
from helpers.start import refused, said_by

PLAINTEXT = "the treasure is buried under the third palm tree"


def active(server):
    return server.get("/health").json()["active_sessions"]


def change(server, *statements):
    with closing(sqlite3.connect(server.db)) as db, db:
        for s in statements:
            assert db.execute(s).rowcount > 0, s


def contents(server):
    with closing(sqlite3.connect(server.db)) as db:
        return list(db.iterdump())


def write_key(path, key=None, mode=0o600):
    path.unlink(missing_ok=True)
    path.write_bytes(os.urandom(32) if key is None else key)
    path.chmod(mode)
    return path


@pytest.fixture
def boot_id(tmp_path):
    path = tmp_path / "boot_id"
    path.write_text("11111111-1111-4111-8111-111111111111\n")
    return path


def reboot(boot_id):
    boot_id.write_text("22222222-2222-4222-8222-222222222222\n")


# ---- what can be read in the files ----

def written(server):
    """The bytes of all the server's files but its key."""
    files = [p for p in server.directory.iterdir() if p.name != "kek"]
    assert server.db in files
    return b"\n".join(p.read_bytes() for p in files)


@pytest.mark.smoke
@pytest.mark.parametrize("end", ["running", "killed", "stopped", "ended"])
def test_the_files_hold_no_plaintext_and_no_key(make_server, user, end):
    s = make_server()
    opened = [UserSession(s, user, scope="a secret scope") for _ in range(5)]
    for o in opened:
        sealed = s.post("/encrypt", o.plain(PLAINTEXT)).json()
        assert o.open(sealed) == PLAINTEXT
        assert s.post("/decrypt", o.seal(PLAINTEXT)).status == 200
        assert s.post("/decrypt", o.seal(PLAINTEXT * 10_000)).status == 200
    if end == "ended":
        for o in opened:
            assert s.delete(f"/sessions/{o.id}").status == 200
    kek = (s.directory / "kek").read_bytes()
    if end == "killed":
        s.kill()
    elif end != "running":
        s.stop()
    data = written(s)
    if end in ("running", "killed"):
        assert (s.directory / "s.db-wal").stat().st_size > 0
    for secret in [kek, *(o.key for o in opened)]:
        for form in (secret, secret.hex().encode(), base64.b64encode(secret), base64.urlsafe_b64encode(secret)[:-1]):
            assert form not in data
    for text in (PLAINTEXT, "treasure", "a secret scope"):
        for form in (text.encode(), text.encode("utf-16-le"), base64.b64encode(text.encode())[:-4]):
            assert form not in data
    if end == "ended":
        for o in opened:
            assert o.id.encode() not in s.db.read_bytes(), "what is deleted is overwritten"


def test_logs_hold_no_secret_even_when_they_tell_all(make_server, user):
    s = make_server(settings={"log_level": "debug", "log_format": "json"})
    o = UserSession(s, user, scope="a secret scope")
    body = o.seal(PLAINTEXT)
    for send in (body, body, {**body, "ciphertext": "A" * 40}, {**body, "iv": "A"}, {**body, "scope": "another"}):
        s.post("/decrypt", send)
    s.post("/encrypt", o.plain(PLAINTEXT))
    s.delete(f"/sessions/{o.id}")
    s.stop()
    for secret in (PLAINTEXT, o.id, "a secret scope", body["ciphertext"], base64.b64encode(o.key).decode(), o.key.hex()):
        assert secret not in s.stderr


def test_all_files_belong_to_one_user_alone(make_server, user):
    umask = os.umask(0)
    try:
        s = make_server()
    finally:
        os.umask(umask)
    UserSession(s, user)
    for name in ("s.db", "s.db-wal", "kek"):
        assert stat.S_IMODE((s.directory / name).stat().st_mode) == 0o600, name


# ---- rows that were changed ----

CHANGES = {
    "sealed keys swapped": ["UPDATE session SET sealed = (SELECT sealed FROM session o WHERE o.row = 3 - session.row)"],
    "ids swapped": ["UPDATE session SET id = (SELECT id FROM session o WHERE o.row = 3 - session.row)"],
    "rows renumbered": ["UPDATE session SET row = row + 10"],
    "another id": ["UPDATE session SET id = upper(id) WHERE row = 1"],
    "a longer life": ["UPDATE session SET expires_boot_ms = expires_boot_ms + 1 WHERE row = 2"],
    "an older birth": ["UPDATE session SET created_boot_ms = created_boot_ms - 1 WHERE row = 2"],
    "another birthday": ["UPDATE session SET created_wall_ms = created_wall_ms + 1000 WHERE row = 2"],
    "another listener": ["UPDATE session SET is_public = 1 WHERE row = 1"],
    "another user": ["UPDATE session SET user_key_hash = zeroblob(32) WHERE row = 1"],
    "no scope": ["UPDATE session SET scope = x'' WHERE row = 1"],
    "another scope": ["UPDATE session SET scope = zeroblob(32) WHERE row = 2"],
    "another wrapped key": ["UPDATE session SET wrapped = zeroblob(256) WHERE row = 1"],
    "another sealed key": ["UPDATE session SET sealed = zeroblob(length(sealed)) WHERE row = 1"],
    "a shorter sealed key": ["UPDATE session SET sealed = substr(sealed, 1, 40) WHERE row = 1"],
}


@pytest.mark.parametrize("configured", [False, True], ids=["generated", "configured"])
@pytest.mark.parametrize("name", CHANGES)
def test_changed_and_swapped_rows_stop_the_start(make_server, user, tmp_path, name, configured):
    settings = {"kek_file": str(write_key(tmp_path / "key"))} if configured else {}
    s = make_server(settings=settings)
    opened = [UserSession(s, user, scope="one"), UserSession(s, user)]
    s.stop()
    genuine = s.db.read_bytes()
    change(s, *CHANGES[name])
    assert s.db.read_bytes() != genuine
    changed = contents(s)
    said = refused(s)
    assert "altered" in said and "move it away" in said, said
    assert contents(s) == changed, "nothing is thrown away on the way out"
    s.db.write_bytes(genuine)
    s.start()
    for o in opened:
        assert s.post("/encrypt", o.plain("x")).status == 200


def test_a_row_of_another_database_is_no_row_of_ours(make_server, user, tmp_path):
    key = str(write_key(tmp_path / "key"))
    one, two = (make_server(settings={"kek_file": key}) for _ in range(2))
    UserSession(one, user)
    UserSession(two, user)
    one.stop()
    two.stop()
    change(one, "DELETE FROM session")
    with closing(sqlite3.connect(one.db)) as db, db:
        db.execute("ATTACH ? AS two", (str(two.db),))
        db.execute("INSERT INTO session SELECT row + 1, id, created_wall_ms, created_boot_ms, expires_boot_ms, is_public, "
                   "user_key_hash, scope, wrapped, sealed FROM two.session")
    assert "altered" in refused(one)


# ---- the key that is made when there is none ----

def test_a_generated_key_is_kept_across_a_restart(make_server, user, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    s = make_server(settings={"runtime_dir": str(run)})
    o = UserSession(s, user)
    body = o.seal("x")
    assert s.post("/decrypt", body).status == 200
    key = (run / "kek").read_bytes()
    assert len(key) == 32 and stat.S_IMODE((run / "kek").stat().st_mode) == 0o600
    assert not (s.directory / "kek").exists()
    for again in (s.restart, lambda: (s.kill(), s.start())):
        said = said_by(s, again)
        assert "sessions_discarded" not in said
        assert (run / "kek").read_bytes() == key
        assert active(s) == 1
        assert s.post("/decrypt", body).code == "replay"
    assert s.post("/encrypt", o.plain("x")).json()["message_number"] == 2
    assert [p.name for p in run.iterdir()] == ["kek"]


def test_systemds_runtime_directory_is_used(make_server, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    make_server(env={"RUNTIME_DIRECTORY": str(run)})
    assert (run / "kek").exists()


def test_a_runtime_directory_that_is_missing_is_named(make_server, tmp_path):
    s = make_server(start=False, settings={"runtime_dir": str(tmp_path / "nowhere")})
    said = refused(s)
    assert str(tmp_path / "nowhere") in said and "runtime_dir" in said


def dropped(said):
    lines = [line for line in said.splitlines() if "sessions_discarded" in line]
    assert len(lines) == 1, said
    return lines[0]


def test_a_new_boot_drops_what_a_generated_key_sealed(make_server, user, boot_id):
    s = make_server(settings={"boot_id_file": str(boot_id)})
    opened = [UserSession(s, user) for _ in range(3)]
    assert s.post("/encrypt", opened[0].plain("x")).status == 200
    s.restart()
    assert active(s) == 3
    reboot(boot_id)
    line = dropped(said_by(s, s.restart))
    assert "count=3" in line and "boot" in line
    assert s.get("/sessions").json() == {"active_sessions": 0, "sessions": []}
    for o in opened:
        assert s.post("/encrypt", o.plain("x")).code == "session_unknown"
    o = UserSession(s, user)
    assert "sessions_discarded" not in said_by(s, s.restart)
    assert s.post("/encrypt", o.plain("x")).json()["message_number"] == 1
    s.stop()
    with closing(sqlite3.connect(s.db)) as db:
        assert db.execute("SELECT count(*) FROM session").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM seen").fetchone() == (1,)


def test_rows_whose_generated_key_is_gone_are_dropped(make_server, user):
    s = make_server()
    UserSession(s, user)
    s.stop()
    (s.directory / "kek").unlink()
    assert "gone" in dropped(said_by(s, s.start))
    assert active(s) == 0
    UserSession(s, user)
    s.restart()
    assert active(s) == 1


# ---- the key that is given ----

def test_sessions_of_a_configured_key_live_through_a_boot(make_server, user, boot_id, tmp_path):
    s = make_server(settings={"boot_id_file": str(boot_id), "kek_file": str(write_key(tmp_path / "key"))})
    o = UserSession(s, user, scope="chat-42")
    body = o.seal("x")
    assert s.post("/decrypt", body).status == 200
    sealed = s.post("/encrypt", o.plain("x")).json()
    assert not (s.directory / "kek").exists()
    s.restart()
    assert active(s) == 1
    reboot(boot_id)
    for _ in range(2):
        s.restart()
        assert active(s) == 1
        assert s.post("/decrypt", body).code == "replay"
        assert s.post("/decrypt", {k: sealed[k] for k in ("session_id", "ciphertext", "iv")} | {"scope": "chat-42"}).code \
            == "replay"
        assert s.post("/encrypt", {**o.plain("x"), "scope": None}).status == 401
    assert o.open(s.post("/encrypt", o.plain("after the boot")).json()) == "after the boot"
    assert s.get("/sessions").json()["sessions"][0]["message_count"] == 3


def test_a_wrong_configured_key_stops_the_start_and_touches_nothing(make_server, user, tmp_path):
    key = tmp_path / "key"
    right = write_key(key).read_bytes()
    s = make_server(settings={"kek_file": str(key)})
    o = UserSession(s, user)
    s.stop()
    before = contents(s)
    write_key(key)
    said = refused(s)
    assert "kek_file" in said and "restore that key" in said and "move the database away" in said, said
    assert contents(s) == before
    s.settings.clear()  # none at all
    said = refused(s)
    assert "restore kek_file" in said, said
    assert contents(s) == before
    write_key(key, right)
    s.settings["kek_file"] = str(key)
    s.start()
    assert s.post("/encrypt", o.plain("x")).status == 200


def test_from_a_generated_to_a_configured_key(make_server, user, tmp_path):
    s = make_server()
    UserSession(s, user)
    s.stop()
    s.settings["kek_file"] = str(write_key(tmp_path / "key"))
    assert "count=1" in dropped(said_by(s, s.start))
    UserSession(s, user)
    s.restart()
    assert active(s) == 1


BAD_KEYS = {  # name -> (what it does to the path, what is said)
    "31 bytes": (lambda p: write_key(p, bytes(range(31))), "fewer"),
    "33 bytes": (lambda p: write_key(p, bytes(range(33))), "more"),
    "nothing": (lambda p: write_key(p, b""), "fewer"),
    "hex": (lambda p: write_key(p, os.urandom(32).hex().encode()), "more"),
    "zeros": (lambda p: write_key(p, bytes(32)), "zeros"),
    "readable by the group": (lambda p: write_key(p, mode=0o640), "chmod 600"),
    "readable by all": (lambda p: write_key(p, mode=0o604), "chmod 600"),
    "writable by the group": (lambda p: write_key(p, mode=0o620), "chmod 600"),
    "missing": (lambda p: None, "does not exist"),
    "directory": (lambda p: p.mkdir(), "not a regular file"),
    "fifo": (lambda p: os.mkfifo(p, 0o600), "not a regular file"),
    "symbolic link": (lambda p: p.symlink_to(write_key(p.with_name("target"))), "symbolic link"),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_key_file_must_be_sound(make_server, tmp_path, name):
    make, reason = BAD_KEYS[name]
    key = tmp_path / "key"
    make(key)
    said = refused(make_server(start=False, settings={"kek_file": str(key)}))
    assert str(key) in said and reason in said, said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_file_of_another_user_is_refused(make_server, tmp_path):
    key = write_key(tmp_path / "key")
    os.chown(key, 12345, 12345)
    assert "chown" in refused(make_server(start=False, settings={"kek_file": str(key)}))


def test_a_generated_key_that_became_readable_is_refused(make_server):
    s = make_server()
    s.stop()
    (s.directory / "kek").chmod(0o644)
    assert "chmod 600" in refused(s)


# ---- systemd's credential ----

@pytest.fixture
def credentials(tmp_path):
    path = tmp_path / "credentials"
    path.mkdir()
    return path


@pytest.mark.parametrize("mode", [0o400, 0o440])
def test_the_credential_is_the_key(make_server, user, credentials, boot_id, mode):
    s = make_server(start=False, settings={"boot_id_file": str(boot_id)}, env={"CREDENTIALS_DIRECTORY": str(credentials)})
    write_key(credentials / "kek", mode=mode)
    s.start()
    assert not (s.directory / "kek").exists()
    o = UserSession(s, user)
    reboot(boot_id)
    s.restart()
    assert s.post("/encrypt", o.plain("x")).status == 200
    s.stop()
    write_key(credentials / "kek")
    assert "credential" in refused(s)


def test_a_credential_that_anybody_reads_or_is_no_key_is_refused(make_server, credentials):
    s = make_server(start=False, env={"CREDENTIALS_DIRECTORY": str(credentials)})
    write_key(credentials / "kek", mode=0o444)
    assert str(credentials / "kek") in refused(s)
    write_key(credentials / "kek", b"short")
    assert "fewer" in refused(s)


def test_credentials_without_a_kek_mean_no_key_is_given(make_server, user, credentials):
    (credentials / "tls").write_bytes(b"another service's")
    s = make_server(env={"CREDENTIALS_DIRECTORY": str(credentials)})
    assert (s.directory / "kek").exists()
    UserSession(s, user)
    s.restart()
    assert active(s) == 1


def test_kek_file_comes_before_the_credential(make_server, user, credentials, tmp_path):
    write_key(credentials / "kek")
    s = make_server(settings={"kek_file": str(write_key(tmp_path / "key"))}, env={"CREDENTIALS_DIRECTORY": str(credentials)})
    o = UserSession(s, user)
    s.stop()
    s.env.clear()
    s.start()
    assert s.post("/encrypt", o.plain("x")).status == 200


# ---- the boot id ----

@pytest.mark.parametrize("text", ["", "\n", "x" * 4096, None], ids=["empty", "blank", "long", "missing"])
def test_a_boot_id_is_needed(make_server, boot_id, text):
    if text is None:
        boot_id.unlink()
    else:
        boot_id.write_text(text)
    assert "boot id" in refused(make_server(start=False, settings={"boot_id_file": str(boot_id)}))
