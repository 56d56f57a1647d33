"""attestd's verifier: many inputs in one process (unit/verify_tool), or one by `attestd verify`."""

import json
import resource
import struct
import subprocess

from .server import BUILD, ENVIRONMENT, REPORTS, RUNNER, sanitized

TOOL = BUILD / "unit" / "verify_tool"
MEMORY = 64 << 20  # bytes that a process may take for any of its inputs
CPU_US = 50_000  # microseconds that any input may take


class Answer:
    """What the verifier says of one input."""

    def __init__(self, line):
        value = json.loads(line)
        assert "error" not in value, value
        self.us = value["us"]
        self.verdict = value["verdict"]
        self.verified = self.verdict["verified"]
        self.code = self.verdict["code"]

    def __repr__(self):
        return f"<{self.code}: {self.verdict.get('message')}>"


def _limit():
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def judge(jobs):
    """[(input, policy)] or [(input, policy, format)] -> [Answer]. policy: the members of a policy file.

    All private memory of the process is limited to MEMORY: an input for which more is asked ends in a fault of ours,
    which fails the test. A sanitizer's own memory leaves no room for that."""
    framed = []
    for job in jobs:
        data, policy, form = (*job, "raw")[:3]
        for part in (json.dumps(policy).encode(), form.encode(), data):
            framed += [struct.pack(">I", len(part)), part]
    p = subprocess.run([*RUNNER, str(TOOL)], input=b"".join(framed), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env=ENVIRONMENT, preexec_fn=None if sanitized() else _limit)
    said = p.stderr.decode(errors="replace")
    lines = p.stdout.decode().split("\n")[:-1]
    assert p.returncode == 0 and REPORTS.search(said) is None, (p.returncode, len(lines), said[-8000:])
    assert len(lines) == len(jobs)
    return [Answer(line) for line in lines]


def say(document, policy, form="raw"):
    """The answer about one input."""
    (answer,) = judge([(document, policy, form)])
    assert answer.verified is (answer.code == "verified")
    return answer


def refused(document, policy, code, form="raw"):
    answer = say(document, policy, form)
    assert answer.code == code, answer
    return answer.verdict


def accepted(document, policy, form="raw"):
    answer = say(document, policy, form)
    assert answer.verified, answer
    return answer.verdict


def slow(jobs, answers):
    """The jobs that take longer than they may, the best of three counting. A sanitizer or valgrind says nothing of it."""
    late = [] if sanitized() else [job for job, answer in zip(jobs, answers) if answer.us > CPU_US]
    for _ in range(2):
        late = [job for job, answer in zip(late, judge(late)) if answer.us > CPU_US] if late else []
    return late


class Run:
    """The end of one `attestd verify`."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out.decode(), err.decode()

    @property
    def verdict(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"<Run {self.status} {self.out[-2000:]!r} {self.err[-2000:]!r}>"


def verify(*flags, file="-", data=None):
    """`attestd verify FLAGS FILE`, with `data` on stdin."""
    command = [*RUNNER, str(BUILD / "attestd"), "verify", *map(str, flags), str(file)]
    p = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    run = Run(p.returncode, p.stdout, p.stderr)
    assert REPORTS.search(run.err) is None, run.err
    return run
