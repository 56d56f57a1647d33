"""Fixtures and marks of the end-to-end tests.

ATTESTD_BUILD names the build folder (default: build), ATTESTD_RUNNER a command to run the server under.
"""

import signal

import pytest
from helpers import BUILD, Server, User
from helpers.forged import Forged
from helpers.nsm import StandIn
from helpers.relay import Liar, Refusing
from helpers.session import Remote
from helpers.simulated import Simulated, replies
from helpers.simulator import Simulator

MARKS = [
    "route(name, ...): tests this route, as 'GET /health'; each route of routes.def needs one (make lint)",
    "smoke: the few tests that also run where each takes long (valgrind)",
    "slow: takes seconds",
]


def pytest_configure(config):
    # Whoever runs the tests in the background may ignore these, and what is started here would do so too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for mark in MARKS:
        config.addinivalue_line("markers", mark)


@pytest.fixture(scope="session", autouse=True)
def built(request):
    runs_it = {"server", "make_server", "simulator", "make_simulator", "simulated"}
    needed = [item for item in request.session.items if runs_it & set(item.fixturenames)]
    if needed and not (BUILD / "attestd").exists():
        pytest.exit(f"{BUILD}/attestd does not exist: make", 3)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A running server that the tests of a module share."""
    s = Server(tmp_path_factory.mktemp("server")).start()
    yield s
    s.stop()


@pytest.fixture
def make_server(tmp_path):
    """Makes servers: make_server(settings={...}, ...) is a running one, make_server(start=False, ...) is not started.
    Each has a directory of its own. The test fails if one of them was unsound when it was stopped."""
    made = []

    def make(*, start=True, **how):
        s = Server(how.pop("directory", tmp_path / f"server{len(made)}"), **how)
        made.append(s)
        return s.start() if start else s

    yield make
    faults = []
    for s in made:
        try:
            s.stop()
            s.check()
        except AssertionError as e:
            s.kill()
            faults.append(str(e))
    assert not faults, "\n".join(faults)


@pytest.fixture
def nsm(tmp_path):
    """A stand-in for the NSM device: make_server(**nsm.server()) runs on it."""
    return StandIn(tmp_path / "nsm")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """A running software NSM that the tests of a module share."""
    s = Simulator(tmp_path_factory.mktemp("simulator")).start()
    yield s
    s.stop()
    s.remove()


def _relays(kind):
    made = []

    def make(*args, **how):
        made.append(kind(*args, **how))
        return made[-1].url

    yield make
    for one in made:
        one.close()


@pytest.fixture
def liar():
    """Makes relays in front of a server's URL that change what they hand on: liar(at, request=, reply=) is the URL of one."""
    yield from _relays(Liar)


@pytest.fixture
def refusing():
    """Makes servers that refuse everything: refusing(status, detail) is the URL of one."""
    yield from _relays(Refusing)


@pytest.fixture
def make_simulator(tmp_path):
    """Makes software NSMs: make_simulator("--debug-mode", ...) is a running one, with start=False it is not started."""
    made = []

    def make(*args, start=True, **how):
        s = Simulator(tmp_path / f"simulator{len(made)}", *args, **how)
        made.append(s)
        return s.start() if start else s

    yield make
    try:
        for s in made:
            s.stop()
    finally:
        for s in made:
            s.kill()
            s.remove()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A server with a software NSM that the tests of a module share, on a local and a public listener."""
    s = Simulated(tmp_path_factory.mktemp("simulated"), settings={"public_listen": "127.0.0.1:0"}).start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def kinds(simulated, user):
    """Its replies: kind -> a reply of that kind, its purpose."""
    return replies(simulated, user)


@pytest.fixture
def remote(simulated, tmp_path):
    """A user of that server, with an RSA key made by `attestd session keygen`."""
    return Remote(tmp_path, simulated)


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    """A document that nobody serves, under a root of its own."""
    return Forged(tmp_path_factory.mktemp("forged"))


@pytest.fixture(scope="session")
def user():
    """A user with an RSA-2048 key."""
    return User()
