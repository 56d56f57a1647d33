"""kill -9 at any moment under load: whatever was acknowledged is there when the server is back."""

import base64
import http.client
import random
import threading
import time

import pytest
from helpers import UserSession

pytestmark = pytest.mark.slow

CLIENTS = 8
SHARED = 2
SETTINGS = {"nsm_rate": "100000", "nsm_burst": "100000"}


class Account:
    """What the users know about one session."""

    def __init__(self, session):
        self.session = session
        self.numbers = set()  # of acknowledged messages
        self.lock = threading.Lock()

    def add(self, number):
        with self.lock:
            assert number not in self.numbers, f"the number {number} was given twice"
            self.numbers.add(number)

    @property
    def top(self):
        return max(self.numbers, default=0)


class Ledger:
    """What was acknowledged to all clients together, and what they were left without an answer for."""

    def __init__(self):
        self.alive = {}  # session id -> Account
        self.ended = []  # sessions whose end was acknowledged
        self.spent = []  # bodies of POST /decrypt that must be replays
        self.unsure_spent = []
        self.unsure_ended = []
        self.unsure_opened = set()
        self.count = 0


class Client(threading.Thread):
    """One user and one connection: all kinds of requests until the server is gone."""

    def __init__(self, server, user, ledger, shared):
        super().__init__()
        self.server, self.user, self.ledger, self.shared = server, user, ledger, shared
        self.own = []
        self.fault = None
        self.connection = server.http(timeout=60)

    def run(self):
        try:
            while True:
                self.step()
                self.ledger.count += 1
        except (OSError, http.client.HTTPException):
            pass
        except Exception as e:
            self.fault = e
        self.connection.close()

    def step(self):
        kind = random.random()
        account = random.choice(self.shared + self.own)
        if kind < 0.04:
            self.open()
        elif kind < 0.07 and len(self.own) > 1:
            self.end(self.own.pop(0))
        elif kind < 0.5:
            self.encrypt(account)
        else:
            self.decrypt(account, 300_000 if kind < 0.52 else 100)

    def open(self):
        attempt = object()
        self.ledger.unsure_opened.add(attempt)
        session = UserSession(self.server, self.user)
        account = Account(session)
        self.ledger.alive[session.id] = account
        self.ledger.unsure_opened.remove(attempt)
        self.own.append(account)

    def end(self, account):
        session = account.session
        self.ledger.alive.pop(session.id)
        self.ledger.unsure_ended.append(account)
        r = self.server.delete(f"/sessions/{session.id}", connection=self.connection)
        assert r.status == 200, r
        self.ledger.unsure_ended.remove(account)
        self.ledger.ended.append(session)

    def encrypt(self, account):
        r = self.server.post("/encrypt", account.session.plain("to the user"), connection=self.connection)
        assert r.status == 200, r
        sealed = r.json()
        assert account.session.open(sealed) == "to the user"
        account.add(sealed.pop("message_number"))
        self.ledger.spent.append((account, sealed))

    def decrypt(self, account, size):
        body = account.session.seal("x" * size)
        unsure = (account, body)
        self.ledger.unsure_spent.append(unsure)
        r = self.server.post("/decrypt", body, connection=self.connection)
        assert r.status == 200, r
        account.add(r.json()["message_number"])
        self.ledger.unsure_spent.remove(unsure)
        self.ledger.spent.append((account, body))


def load_and_kill(server, user, ledger, shared):
    clients = [Client(server, user, ledger, shared) for _ in range(CLIENTS)]
    enough = ledger.count + random.randint(1, 500)
    for c in clients:
        c.start()
    while ledger.count < enough and any(c.is_alive() for c in clients):
        time.sleep(0.001)
    time.sleep(random.random() * 0.004)
    server.kill()
    for c in clients:
        c.join()
    for c in clients:
        if c.fault is not None:
            raise c.fault


def settle(server, ledger, connection):
    """Finds out what became of what was left unanswered: either is right, but only one of them and for good."""
    for account in ledger.unsure_ended:
        r = server.post("/encrypt", account.session.plain("x"), connection=connection)
        assert r.status in (200, 401), r
        if r.status == 200:
            account.add(r.json()["message_number"])
            ledger.alive[account.session.id] = account
        else:
            ledger.ended.append(account.session)
    ledger.unsure_ended.clear()
    for account, body in ledger.unsure_spent:
        if account.session.id in ledger.alive:
            r = server.post("/decrypt", body, connection=connection)
            assert r.status in (200, 409), r
            if r.status == 200:
                account.add(r.json()["message_number"])
            ledger.spent.append((account, body))
    ledger.unsure_spent.clear()


def verify(server, ledger, since):
    """Everything acknowledged is there: sessions, numbers, IVs (those from spent[since] on), ends."""
    connection = server.http(timeout=60)
    rows = server.get("/sessions", connection=connection).json()
    counts = {row["session_id"][:16]: row["message_count"] for row in rows["sessions"]}
    for account in ledger.alive.values():
        assert counts[account.session.id[:16]] >= account.top
    settle(server, ledger, connection)
    active = server.get("/sessions", connection=connection).json()["active_sessions"]
    assert len(ledger.alive) <= active <= len(ledger.alive) + len(ledger.unsure_opened)
    for account, body in ledger.spent[since:]:
        if account.session.id in ledger.alive:
            r = server.post("/decrypt", body, connection=connection)
            assert (r.status, r.code) == (409, "replay"), "an acknowledged message was forgotten"
    for account in ledger.alive.values():
        r = server.post("/encrypt", account.session.plain("x"), connection=connection)
        assert r.status == 200, "an acknowledged session was forgotten"
        number = r.json()["message_number"]
        assert number > account.top, "an acknowledged number was forgotten"
        account.add(number)
    for session in ledger.ended:
        r = server.post("/encrypt", session.plain("x"), connection=connection)
        assert (r.status, r.code) == (401, "session_unknown"), "an ended session came back"
    connection.close()


@pytest.mark.route("POST /key-exchange", "POST /encrypt", "POST /decrypt", "DELETE /sessions/{session_id}")
@pytest.mark.parametrize("durability, rounds", [("process", 50), ("power", 5)])
def test_nothing_acknowledged_is_lost_by_kill_9(make_server, user, durability, rounds):
    s = make_server(settings={**SETTINGS, "durability": durability})
    ledger = Ledger()
    shared = [Account(UserSession(s, user)) for _ in range(SHARED)]
    for account in shared:
        ledger.alive[account.session.id] = account
    ended = UserSession(s, user)
    assert s.delete(f"/sessions/{ended.id}").status == 200
    ledger.ended.append(ended)  # one at the least: how many more the load ends is up to chance
    for _ in range(rounds):
        since = len(ledger.spent)
        load_and_kill(s, user, ledger, shared)
        s.start()
        verify(s, ledger, since)
    assert ledger.count >= rounds, "that was no load"
    random.shuffle(ledger.spent)
    verify(s, ledger, max(0, len(ledger.spent) - 1000))
    s.restart()
    verify(s, ledger, max(0, len(ledger.spent) - 1000))


@pytest.mark.route("POST /decrypt")
def test_kill_9_while_it_starts_harms_nothing(make_server, user):
    """A start after a crash recovers the log and may move rows: whoever ends it there finds the same state again."""
    s = make_server(settings=SETTINGS)
    opened = [UserSession(s, user) for _ in range(5)]
    bodies = [o.seal(str(n)) for o in opened for n in range(40)]
    for body in bodies:
        assert s.post("/decrypt", body).status == 200
    s.kill()
    for n in range(20):
        s.spawn()
        time.sleep(n * 0.001)
        s.kill()
    s.start()
    assert [r["message_count"] for r in s.get("/sessions").json()["sessions"]] == [40] * 5
    for body in bodies:
        assert s.post("/decrypt", body).code == "replay"
    for o in opened:
        reply = s.post("/encrypt", o.plain("x")).json()
        assert reply["message_number"] == 41
        assert base64.b64decode(reply["iv"])[:4] == (41).to_bytes(4, "big")
