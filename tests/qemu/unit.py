"""attestd's unit in the guest with a test's own settings, and the questions that tests ask of it."""

import json
import shlex
import subprocess
from dataclasses import dataclass

from machine import BUILD

UNIT = "attestd.service"
API = "http://127.0.0.1:8765"
DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"

# Whoever is not tested for these does not meet them.
AMPLE = {name: 100000 for name in ("nsm_rate", "nsm_burst", "vsock_rate", "vsock_burst")}


def attestd(*args, **how):
    """Runs the program on the host."""
    return subprocess.run([BUILD / "attestd", *map(str, args)], capture_output=True, text=True, timeout=120, **how)


@dataclass
class Reply:
    status: int
    seconds: float
    body: str

    def json(self):
        return json.loads(self.body)


class Unit:
    def __init__(self, guest):
        self.guest = guest

    def start(self, service="", **settings):
        """Starts it anew with these settings and no others. service: what else its drop-in says."""
        lines = "".join(f"Environment=ATTESTD_{name.upper()}={value}\n" for name, value in {**AMPLE, **settings}.items())
        self.guest.put(DROP_IN, f"[Service]\nStandardError=truncate:/run/attestd.log\n{lines}{service}\n")
        self.guest.must(f"systemctl daemon-reload && systemctl reset-failed && systemctl restart {UNIT}")

    def end(self):
        """Leaves the package as it was installed."""
        self.guest.must(f"systemctl stop {UNIT}; rm -rf {DROP_IN} /run/attestd/* /var/lib/attestd/*; systemctl daemon-reload")

    def ask(self, path, body=None):
        """The reply to a request that has to succeed."""
        data = "" if body is None else "-H 'Content-Type: application/json' -d @-"
        stdin = "" if body is None else json.dumps(body)
        return json.loads(self.guest.must(f"curl -sS --fail-with-body {data} {API}{path}", stdin=stdin))

    def log(self):
        """What it has said since it was started."""
        return self.guest.must("cat /run/attestd.log")

    def get(self, *targets):
        """The replies to these targets, asked for one after the other."""
        ask = "curl -sS -m 30 -w '\\n%{http_code} %{time_total}\\n'"
        replies = self.guest.must("".join(f"{ask} {shlex.quote(API + t)} || exit\n" for t in targets)).splitlines()
        bodies, ends = replies[::2], (line.split() for line in replies[1::2])
        return [Reply(int(status), float(seconds), body) for body, (status, seconds) in zip(bodies, ends)]

    def metrics(self):
        """The counters without labels, and the number of its descriptors."""
        told = self.guest.must(f"curl -sS {API}/metrics; ls /proc/$(systemctl show -P MainPID {UNIT})/fd | wc -l").splitlines()
        pairs = (line.split() for line in told[:-1] if line.startswith("attestd_") and "{" not in line)
        return {name.removeprefix("attestd_"): float(value) for name, value in pairs} | {"descriptors": int(told[-1])}
