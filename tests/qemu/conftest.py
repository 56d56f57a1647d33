"""Fixtures of the tests in a guest; README.md tells how it works."""

import os
import signal
import subprocess
import textwrap
import threading

import pytest
from guest import Guest
from machine import BUILD, CACHE, QEMU, QEMU_TREE, Machine

# The NSM among the guest's virtio devices.
NSM = "/sys/bus/virtio/drivers/nsm/virtio*"

# Facts that were told and not shown yet.
FACTS = []


class Teller:
    """Shows facts. With xdist they come from the processes that run the tests, and another has the terminal."""

    def __init__(self, config):
        self.config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            for fact in getattr(report, "facts", ()):
                reporter.ensure_newline()
                reporter.write_line(f"    {fact}")


def pytest_configure(config):
    if not QEMU_TREE.exists():
        pytest.exit("what the guest is made of is not there: make check-guest", 3)
    config.pluginmanager.register(Teller(config))
    # make and CI end the tests with these; then what was started has to end, too. A worker may not run in the main thread.
    if threading.current_thread() is threading.main_thread():
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, signal.default_int_handler)


def packages(folder):
    """'name version sum' of what was fetched into it."""
    for line in (CACHE / folder / "SHA256SUMS").read_text().splitlines():
        sum_, name = line.split("  ")
        name, version, _ = name.replace("%3a", ":").rsplit("_", 2)
        yield f"{name} {version} {sum_[:8]}"


def pytest_report_header():
    lines = [subprocess.run([*QEMU, "--version"], capture_output=True, text=True).stdout.splitlines()[0]]
    for folder in ("kernel", "qemu", "base"):
        lines += textwrap.wrap(f"{folder}: " + ", ".join(packages(folder)), 150, subsequent_indent="    ")
    return lines


@pytest.fixture(scope="session")
def tell():
    """tell(line) shows a fact, whether or not the test fails."""
    return FACTS.append


@pytest.fixture(scope="session")
def files():
    """What is in the guest's /srv/files from the start: the package, and the probes."""
    found = {p.name: p for p in sorted((BUILD / "qemu/probes").glob("*")) if os.access(p, os.X_OK) and p.suffix == ""}
    debs = sorted((BUILD / "deb").glob("attestd_*.deb"))
    assert debs, "there is no package of attestd: make deb"
    return found | {p.name: p for p in debs}


@pytest.fixture(scope="session")
def machines():
    """Machines that end with the tests: machines(...) makes one as Machine(...) does, machines(..., cls=Guest) a Guest."""
    made = []

    def make(*args, cls=Machine, **how):
        made.append(cls(*args, **how))
        return made[-1]

    yield make
    for m in reversed(made):
        m.end()


@pytest.fixture(scope="session")
def guest(machines, files, tell):
    """The guest that all tests share. The package is among its files; `installed` installs it."""
    g = machines(files, cls=Guest, name=f"guest{os.environ.get('PYTEST_XDIST_WORKER', '')}")
    for what, script in {
        "kernel": "uname -rv",
        "/dev/nsm's driver": f"basename $(readlink -f {NSM}/driver); cat {NSM}/modalias",
        "systemd": "systemctl --version | head -n 1",
    }.items():
        tell(f"{what}: {' '.join(g.must(script).split())}")
    return g


@pytest.fixture(scope="session")
def installed(guest):
    """The guest with attestd's package installed, not started."""
    guest.must("dpkg -i /srv/files/attestd_*.deb")
    return guest


@pytest.fixture(scope="session")
def user(installed, tmp_path_factory):
    """A folder of the guest with what a user has: key.pem, made on the host, which is faster, and root.pem."""
    key = tmp_path_factory.mktemp("user") / "key.pem"
    subprocess.run([BUILD / "attestd", "session", "keygen", "--out", key], check=True, capture_output=True)
    installed.put("/root/user/key.pem", key.read_bytes(), mode="600")
    installed.put("/root/user/root.pem", installed.root_pem.read_bytes())
    return "/root/user"


def machines_of(item):
    """The machines that a test uses, by their names."""
    return {m.name: m for m in getattr(item, "funcargs", {}).values() if isinstance(m, Machine)}


@pytest.fixture(autouse=True)
def sound(request):
    """What a test finds out is worth nothing on a machine that is broken."""
    yield
    faults = {name: found for name, m in machines_of(request.node).items() if (found := m.new_faults())}
    assert not faults


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    report.facts = FACTS[:]
    FACTS.clear()
    if report.failed:
        report.sections += [(f"the console of {name}", m.tail()) for name, m in machines_of(item).items()]
