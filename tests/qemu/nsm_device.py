"""The virtio NSM of a machine, in front of an `attestd simulate`. It misbehaves when a test says so."""

import socket
import struct
import threading
import time

import vhost_user

VIRTIO_ID = 33


def error(name):
    """The NSM's reply that names an error."""
    return b"\xa1\x65Error" + bytes([0x60 + len(name)]) + name.encode()


def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise ConnectionError("the simulator hung up")
        data += more
    return data


class Simulator:
    """The framed socket of `attestd simulate`, dialled when it is needed."""

    def __init__(self, path):
        self.path = str(path)
        self.s = None

    def ask(self, request):
        # The socket cannot carry these.
        if not 0 < len(request) <= 4096:
            return error("InvalidOperation")
        for last in (False, True):
            try:
                if self.s is None:
                    self.s = socket.socket(socket.AF_UNIX)
                    self.s.connect(self.path)
                self.s.sendall(struct.pack(">I", len(request)) + request)
                return exactly(self.s, struct.unpack(">I", exactly(self.s, 4))[0])
            except OSError:
                self.close()
                if last:
                    return error("InternalError")

    def close(self):
        if self.s is not None:
            self.s.close()
            self.s = None


class Nsm(vhost_user.Device):
    """The Linux driver puts a request and the room for its reply on the queue as two chains, one request at a time. It
    wants both back at the same interrupt.

    The kernel's generator asks for random bytes of its own accord, through this device; so whatever misbehaves does so for
    requests that hold the bytes `to` only (b"" is all of them)."""

    def __init__(self, path, simulator):
        self.simulator = Simulator(simulator)
        self.log = []  # every request, as bytes
        self.request = None
        self.round = 0  # grows when the queue is taken away: what was asked before is not answered any more
        self.changed = threading.Condition()
        # The following belong to `changed`.
        self.work = []
        self.held = []
        self.crafted = []
        self.rule = None
        self.ended = False
        super().__init__(path, queues=1)
        self.worker = threading.Thread(target=self.answer_all, daemon=True)
        self.worker.start()

    # ---- what a test says ----

    def late(self, seconds, to=b""):
        """Answers come this much later, until normal()."""
        self.set_rule("late", seconds, to)

    def silent(self, to=b""):
        """No answers, until normal()."""
        self.set_rule("silent", None, to)

    def refuse(self, name, to=b""):
        """Every answer is the error of this name, until normal()."""
        self.set_rule("say", error(name), to)

    def say(self, reply, to=b""):
        """The next answer is these bytes, however many. Calls add up."""
        with self.changed:
            self.crafted.append((bytes(reply), to))

    def normal(self, answer=True):
        """Ends all of these. What was not answered so far is now, or never."""
        with self.changed:
            self.rule = None
            self.crafted.clear()
            if answer:
                self.work[:0] = self.held
            self.held.clear()
            self.changed.notify_all()

    def set_rule(self, *rule):
        with self.changed:
            self.rule = rule
            self.changed.notify_all()

    # ---- the device ----

    def kicked(self, queue):
        while (chain := queue.take()) is not None:
            if self.request is None and not chain.room:
                self.request = chain
                continue
            first, self.request = self.request, None
            chains = [c for c in (first, chain) if c is not None]
            with self.changed:
                self.log.append(b"".join(c.data for c in chains))
                self.work.append((self.round, chains, self.log[-1]))
                self.changed.notify_all()

    def stopped(self):
        self.request = None
        with self.changed:
            self.round += 1
            self.work.clear()
            self.held.clear()
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.ended = True
            self.changed.notify_all()
        self.worker.join(10)
        self.simulator.close()
        super().close()

    def answer_all(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.work or self.ended)
                if self.ended:
                    return
                job = self.work.pop(0)
                how, what = self.rule_for(job[2])
                if how == "silent":
                    self.held.append(job)
                    continue
            reply = what if how == "say" else self.simulator.ask(job[2])
            if how == "late":
                self.wait(what)
            self.soon(lambda job=job, reply=reply: self.give(job, reply))

    def rule_for(self, request):
        for i, (reply, to) in enumerate(self.crafted):
            if to in request:
                del self.crafted[i]
                return "say", reply
        if self.rule and self.rule[2] in request:
            return self.rule[:2]
        return None, None

    def wait(self, seconds):
        with self.changed:
            rule, until = self.rule, time.monotonic() + seconds
            self.changed.wait_for(
                lambda: self.ended or self.rule is not rule or time.monotonic() >= until, timeout=seconds
            )

    def give(self, job, reply):
        round_, chains, _ = job
        if round_ == self.round:
            self.queues[0].give(*((c, reply) for c in chains))
