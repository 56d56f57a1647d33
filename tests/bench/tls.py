#!/usr/bin/env python3
"""attestd over TLS beside attestd in plain HTTP and libmicrohttpd's own TLS: requests a second, keep-alive, in one run.

    tests/bench/tls.py [build/attestd build/bench/mhd_tls [SECONDS]]

A line for each number of connections: requests a second of the three (medians; they take turns), and what attestd's TLS is of
the other two. attestd answers GET /health, libmicrohttpd a fixed 256 bytes.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROUNDS, CONNECTIONS = 3, (2, 64)


def start(started, command, listeners, directory):
    """Where it listens."""
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    started.append(process)
    found = []
    while len(found) < listeners:
        line = process.stderr.readline()
        assert line, f"{command[0]} ended"
        found += re.findall(r"^listening on (\S+)$", line)
    return found


def rate(url, connections, seconds):
    run = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url], capture_output=True, text=True, check=True)
    assert "Non-2xx" not in run.stdout and "Socket errors" not in run.stdout, run.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)[1])


def main(attestd="build/attestd", mhd="build/bench/mhd_tls", seconds="2"):
    if shutil.which("wrk") is None:
        print("tls: not measured, because there is no wrk here (apt-get install wrk)")
        return
    attestd, mhd = (os.path.abspath(p) for p in (attestd, mhd))
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{d}/key.pem",
                        "-out", f"{d}/cert.pem", "-subj", "/CN=localhost"], check=True, capture_output=True)
        started = []
        try:
            plain, tls = start(started, [attestd, "serve", "--nsm", "dummy", "--listen", "127.0.0.1:0", "--db", "bench.db", "--set",
                                         "tls_listen=127.0.0.1:0", "--set", "private_data_db=private.db", "--set", "log_level=error"], 2, d)
            gnutls, = start(started, [mhd, f"{d}/cert.pem", f"{d}/key.pem"], 1, d)
            for c in CONNECTIONS:
                got = {url: [] for url in (plain, tls, gnutls)}
                for _ in range(ROUNDS):
                    for url in got:
                        got[url].append(rate(f"{url}/health", c, seconds))
                p, t, g = (statistics.median(got[url]) for url in (plain, tls, gnutls))
                print(f"TLS keep-alive, c={c:<3} plain {p:8.0f}/s   TLS {t:8.0f}/s   libmicrohttpd's GnuTLS {g:8.0f}/s   "
                      f"TLS/plain {t / p:.2f}   TLS/GnuTLS {t / g:.2f}", flush=True)
        finally:
            for process in started:
                process.kill()
                process.wait()


main(*sys.argv[1:])
