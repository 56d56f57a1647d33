"""`attestd session` and `attestd attest` as a person runs them."""

import json
import stat
import subprocess

from .server import BUILD, ENVIRONMENT, REPORTS, RUNNER

PCR0 = "a77e57d0" * 12  # of every simulator
NONCE = "hex:" + "a5" * 32


class Run:
    """The end of one command; `out` is bytes, `err` is text."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err.decode()
        assert REPORTS.search(self.err) is None, self.err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"<Run {self.status} {self.out[-2000:]!r} {self.err[-2000:]!r}>"


def command(*words):
    return [*RUNNER, str(BUILD / "attestd"), *map(str, words)]


def attestd(*words, data=b"", stdout=subprocess.PIPE, under=(), **how):
    p = subprocess.run([*under, *command(*words)], input=data, stdout=stdout, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False,
                       **how)
    return Run(p.returncode, p.stdout, p.stderr)


def session(*words, **how):
    return attestd("session", *words, **how)


def done(run):
    """It went well; its output."""
    assert run.status == 0, run
    return run.out


def refused(run, status, *texts):
    """It ended so, printed nothing but sentences, and these are in them."""
    assert (run.status, run.out) == (status, b""), run
    for text in texts:
        assert text in run.err, (text, run)
    return run.err


def mode(path):
    """Its permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def private_file(path, text):
    """A file of its owner's alone."""
    path.write_bytes(text)
    path.chmod(0o600)
    return path


def change(file, **members):
    """Changes members of the JSON in a file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **members}))
    return file


def flipped(text):
    """Another base64 text."""
    return ("B" if text[0] == "A" else "A") + text[1:]


def started(*words, data):
    """`attestd session` as a child process that was given `data` and waits for more."""
    p = subprocess.Popen(command("session", *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=ENVIRONMENT)
    p.stdin.write(data)
    p.stdin.flush()
    return p


class Remote:
    """A user with an RSA key made by keygen in `directory`, and sessions with a simulated server."""

    def __init__(self, directory, server):
        self.directory, self.server = directory, server
        self.key = directory / "key.pem"
        self.public = directory / "key.pub.pem"
        done(session("keygen", "--out", self.key, "--bits", 2048))
        self.policy = ("--root", server.root, "--pcr", f"0={PCR0}")

    def exchange(self, name="reply.json", **members):
        """A file with the reply of POST /key-exchange."""
        reply = self.server.post("/key-exchange", {"user_public_key": self.public.read_text(), **members})
        assert reply.status == 200, reply
        (self.directory / name).write_bytes(reply.body)
        return self.directory / name

    def open(self, *more, out="chat.session", policy=None, **how):
        """`session open`, to be judged by the caller."""
        return session("open", "--out", self.directory / out, *(self.policy if policy is None else policy), *more, **how)

    def opened(self, out="chat.session", **members):
        """A session file and the session's id at the server."""
        reply = self.exchange(nonce=NONCE, **members)
        scope = ("--scope", members["scope"]) if "scope" in members else ()
        done(self.open("--key", self.key, "--nonce", NONCE, *scope, reply, out=out))
        return self.directory / out, json.loads(reply.read_text())["session_id"]
