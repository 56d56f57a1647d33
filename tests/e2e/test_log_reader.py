"""A reader of the log that has stopped reading must not stop the server."""

import os
import subprocess

from helpers.server import ENVIRONMENT, LISTENING

REQUESTS = 3000  # their lines are several times what a pipe and the log's own buffer hold


def start(server, stderr):
    server.directory.mkdir(parents=True)
    return subprocess.Popen(server.command(), stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=ENVIRONMENT)


def test_a_log_that_nobody_reads_stops_nothing(make_server):
    server = make_server(start=False)
    reader, writer = os.pipe()
    process = start(server, writer)
    os.close(writer)
    try:
        said = ""
        while not LISTENING.search(said):
            got = os.read(reader, 4096).decode()
            assert got, "the server ended before it listened"
            said += got
        server.listening = LISTENING.findall(said)
        # From here on nobody reads.
        connection = server.http()
        for _ in range(REQUESTS):
            assert server.get("/health", connection=connection).status == 200
        connection.close()
        process.terminate()
        assert process.wait(60) == 0
        rest = b""
        while got := os.read(reader, 65536):
            rest += got
        lines = (said.encode() + rest).split(b"\n")[1:-1]
        assert 0 < len([line for line in lines if b" request " in line]) < REQUESTS, "some lines are lost"
        assert all(b"outcome=" in line for line in lines if b" request " in line), "no line is torn"
    finally:
        process.kill()
        process.wait()
        os.close(reader)
