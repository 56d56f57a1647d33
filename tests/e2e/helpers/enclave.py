"""What `attestd client` talks to: an enclave that answers whatever a test wants, and a nitro-cli that says so."""

import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .server import ENVIRONMENT, PATIENCE
from .session import Run, command

DEFAULT = "hello-from-enclave"


def client(*words, env=None, stdout=subprocess.PIPE):
    """`attestd client WORDS`."""
    program, *rest = command("client", *words)
    # Looked up by our PATH, not by that of `env`.
    p = subprocess.run([shutil.which(program), *rest], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                       env={**ENVIRONMENT, **(env or {})}, check=False, timeout=60 * PATIENCE)
    return Run(p.returncode, p.stdout, p.stderr)


class Enclave:
    """A server of the vsock protocol on a Unix socket; `to` names it. `answer` gets each request as a value and returns
    the reply: a value, which is sent as JSON and a newline; bytes, sent as they are; a list of bytes, sent one by one; None,
    for silence until the client goes away. `requests` holds the lines that came, as bytes."""

    def __init__(self, answer=None):
        self.answer = answer
        self.requests = []
        self.folder = Path(tempfile.mkdtemp(prefix="enclave-"))  # a socket's path has at most 107 bytes
        self.to = f"unix:{self.folder}/s"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.folder / "s"))
        self.listener.listen()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            with connection:
                connection.settimeout(60 * PATIENCE)
                try:
                    self.talk(connection)
                except (BrokenPipeError, ConnectionResetError):
                    pass

    def talk(self, connection):
        line = b""
        while not line.endswith(b"\n"):
            more = connection.recv(65536)
            if not more:
                break
            line += more
        self.requests.append(line)
        answer = self.answer(json.loads(line)) if callable(self.answer) else self.answer
        if answer is None:
            connection.recv(1)
        elif isinstance(answer, list):
            for piece in answer:
                connection.sendall(piece)
        else:
            connection.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        shutil.rmtree(self.folder)


def reply(simulator, request, *, signs=None, **changes):
    """What an honest server answers to `attest`. signs: the user_data, nonce (text or None) and public_key (DER) that are
    signed, where they are not those that were asked for. changes: members of the reply that are not what is signed; one
    that is ... is left out."""
    wanted = {"user_data": request.get("user_data", DEFAULT), "nonce": request.get("nonce"), "public_key": None}
    wanted.update(signs or {})
    text = {name: wanted[name] or None for name in ("user_data", "nonce")}
    document = simulator.document(*(x and x.encode() for x in text.values()), wanted["public_key"])
    said = {
        "success": True,
        "attestation_document": base64.b64encode(document).decode(),
        **text,
        "has_public_key": wanted["public_key"] is not None,
        "document_size": len(document),
        "timestamp": int(time.time() * 1000),
        "tee_verified": False,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not ...}


def nitro_cli(directory, script):
    """The environment in which `nitro-cli` is this shell script. None: there is none."""
    folder = Path(directory) / "bin"
    folder.mkdir(exist_ok=True)
    if script is None:
        return {"PATH": str(folder)}
    program = folder / "nitro-cli"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def described(*enclaves):
    """A script that prints what `nitro-cli describe-enclaves` does of these: (CID, name, state)."""
    listed = [{"EnclaveName": name, "EnclaveID": f"i-0123456789abcdef0-enc{cid:016x}", "ProcessID": 4000 + cid,
               "EnclaveCID": cid, "NumberOfCPUs": 2, "CPUIDs": [1, 3], "MemoryMiB": 512, "State": state, "Flags": "NONE"}
              for cid, name, state in enclaves]
    return f"""test "$*" = describe-enclaves || exit 9\ncat <<'END'\n{json.dumps(listed, indent=2)}\nEND"""
