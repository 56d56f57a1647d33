"""Files that a command is told to write: what may be lost by that is only what such a command wrote."""

import os
import socket

import pytest
from helpers.session import PCR0, attestd, done, mode, refused
from helpers.simulated import Simulated
from helpers.vsock import settings

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
REPLY = '{"attestation_document":{}}'
DOCUMENT = "hEShATgioFkRNr9pbW9kdWxlX2lk\n"
OWN = {"out": REPLY, "save-cert": CERTIFICATE, "client": DOCUMENT}
MODES = {"out": 0o600, "save-cert": 0o644, "client": 0o644}
LOST = {
    "text": "precious",
    "key": "-----BEGIN PRIVATE KEY-----\n",
    "certificate and key": CERTIFICATE + "-----BEGIN PRIVATE KEY-----\n",
    "certificates": CERTIFICATE * 2,
    "certificate and more": CERTIFICATE + "precious\n",
    "long certificate": CERTIFICATE + "\n" * 16384,
    "base64 key": "q0VShATgioFkRNr9pbW9kdWxlX2lkJ2kt0321637e=\n",
    "session": '{"attestd_session":1}',
    "reply cut short": REPLY[:23],
    "letter": "\n",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    directory = tmp_path_factory.mktemp("served")
    s = Simulated(directory, settings={"tls_listen": f"unix:{directory}/tls", **settings(directory)}).start()
    yield s
    s.stop()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def words(how, path, local, directory, root=None):
    policy = ("--pcr", f"0={PCR0}", *(() if root is None else ("--root", root)))
    return {
        "out": ("attest", "--url", local, *policy, "--out", path),
        "save-cert": ("attest", "--url", f"https+unix:{directory}/tls", *policy, "--save-cert", path),
        "client": ("client", "attest", "--to", f"unix:{directory}/vs", "--save", path),
    }[how]


def write(served, how, path, *more):
    return attestd(*words(how, path, served.local, served.directory, served.root), *more)


def ask_nobody(how, path, *more):
    """With nobody there who could be asked."""
    return attestd(*words(how, path, "unix:/nonexistent/local", "/nonexistent"), *more)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("how", OWN)
def test_what_such_a_command_wrote_is_replaced(served, folder, how):
    path = folder / "f"
    done(write(served, how, path))
    path.chmod(0o640)
    for old in (path.read_text(), OWN[how], ""):
        path.write_text(old)
        done(write(served, how, path))
        assert path.stat().st_size > len(OWN[how]) and mode(path) == MODES[how] and names(folder) == ["f"]


@pytest.mark.parametrize("old", [REPLY, DOCUMENT, "0oREoQE4IqBZ\n"])
@pytest.mark.parametrize("how", ["out", "client"])
def test_an_attestation_takes_the_place_of_one_in_another_form(served, folder, how, old):
    (folder / "f").write_text(old)
    done(write(served, how, folder / "f"))
    assert (folder / "f").read_text() != old


@pytest.mark.parametrize("how", OWN)
def test_what_else_is_there_is_left_alone_before_anybody_is_asked(folder, how):
    path = folder / "f"
    others = [text for kind, text in OWN.items() if (kind == "save-cert") != (how == "save-cert")]
    for old in (*LOST.values(), *others):
        path.write_text(old)
        err = refused(ask_nobody(how, path), 3, f"{path} cannot be written: what is there is ", "and would be lost; --force replaces it")
        assert "/nonexistent" not in err
        assert path.read_text() == old and names(folder) == ["f"]


@pytest.mark.parametrize("how", OWN)
def test_forced_it_is_replaced(served, folder, how):
    (folder / "kept").write_text("precious")
    (folder / "f").hardlink_to(folder / "kept")
    (folder / "f").chmod(0o400)
    done(write(served, how, folder / "f", "--force"))
    assert names(folder) == ["f", "kept"] and (folder / "kept").read_text() == "precious"
    assert "precious" not in (folder / "f").read_text() and mode(folder / "f") == MODES[how]


def test_what_comes_meanwhile_is_left_alone(served, folder, liar):
    def meanwhile(method, path, body):
        (folder / "f").write_text("precious")
        return body

    url = liar(served.local, reply=meanwhile)
    refused(attestd(*words("out", folder / "f", url, None, served.root)), 3, "would be lost")
    assert (folder / "f").read_text() == "precious" and names(folder) == ["f"]


@pytest.mark.parametrize("how", OWN)
def test_a_link_stays_a_link(served, folder, how):
    (folder / "f").write_text(OWN[how])
    (folder / "link").symlink_to("f")
    done(write(served, how, folder / "link"))
    assert (folder / "link").is_symlink() and (folder / "f").read_text() != OWN[how]
    (folder / "f").write_text("precious")
    refused(ask_nobody(how, folder / "link"), 3, "would be lost")
    (folder / "f").unlink()
    refused(ask_nobody(how, folder / "link"), 3, "No such file or directory")


@pytest.mark.parametrize("how", OWN)
def test_what_is_no_file_is_left_alone_and_a_pipe_is_written_to(served, folder, how, monkeypatch):
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("socket")
    for path in (folder, folder / "socket"):
        refused(ask_nobody(how, path, "--force"), 3, "it is neither a file nor a pipe")
    os.mkfifo(folder / "fifo")
    refused(write(served, how, folder / "fifo"), 3, "nobody reads from it")
    with open(os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)) as fifo:
        done(write(served, how, folder / "fifo"))
        assert fifo.read().startswith(OWN[how][:8])
    done(write(served, how, "/dev/null"))
    assert names(folder) == ["fifo", "socket"]


@pytest.mark.parametrize("line, text", [
    (("attest", "--url", "unix:x", "--any-enclave", "--force"), "--force is for --out and --save-cert"),
    (("client", "attest", "--to", "unix:x", "--force"), "--force is for --save"),
    (("client", "ping", "--to", "unix:x", "--force"), "--force is for attest and --verify"),
])
def test_there_must_be_something_to_force(line, text):
    refused(attestd(*line), 2, text)


@pytest.mark.parametrize("kind", ["certificate and key", "certificate and more", "certificates", "text", "reply cut short"])
def test_a_simulators_root_takes_the_place_of_nothing_else(folder, kind):
    (folder / "f").write_text(LOST[kind])
    for line in (("simulate", "--socket", folder / "s", "--root-out", folder / "f"),
                 ("serve", "--nsm", "simulator", "--set", f"nsm_root_out={folder}/f", "--listen", f"unix:{folder}/l",
                  "--db", folder / "db")):
        err = refused(attestd(*line), 3, "what is there is not just a certificate, and would be lost\n")
        assert "--force" not in err
    assert (folder / "f").read_text() == LOST[kind]
