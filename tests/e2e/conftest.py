"""Fixtures and marks of the end-to-end tests.

ATTESTD_BUILD names the build folder (default: build), ATTESTD_RUNNER a command to run the server under.
"""

import signal

import pytest
from helpers import BUILD, Server, User
from helpers.nsm import StandIn
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
    runs_it = {"server", "make_server", "simulator", "make_simulator"}
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


@pytest.fixture(scope="session")
def user():
    """A user with an RSA-2048 key."""
    return User()
