"""The systemd units: well-formed, sandboxed, and in step with the program."""

import pathlib
import re
import shutil
import subprocess

import pytest
from helpers import BUILD, RUNNER, sanitized
from helpers.proxy import Proxy

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
MOST_EXPOSED = 2.0
SERVICES = ["attestd.service", "attestd-proxy.service"]

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed, so the units are not analysed"
)


def values(unit, key):
    text = (UNITS / unit).read_text()
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def analyze(*args):
    return subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_exposure_is_low(unit):
    run = analyze("security", "--offline=true", "--no-pager", str(UNITS / unit))
    match = re.search(rf"Overall exposure level for {re.escape(unit)}: ([0-9.]+)", run.stdout)
    assert match, run.stdout + run.stderr
    assert float(match[1]) <= MOST_EXPOSED, run.stdout


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_every_remaining_point_is_explained_in_the_unit(unit):
    run = analyze("security", "--offline=true", "--no-pager", str(UNITS / unit))
    remaining = set(re.findall(r"^✗ ([A-Za-z]+=)", run.stdout, re.MULTILINE))
    assert remaining, run.stdout + run.stderr
    explained = set(re.findall(r"^#   ([A-Za-z]+=) ", (UNITS / unit).read_text(), re.MULTILINE))
    assert remaining == explained


@needs_systemd
@pytest.mark.parametrize("stem", ["attestd", "attestd-proxy"])
def test_units_are_well_formed(tmp_path, stem):
    for name in (f"{stem}.service", f"{stem}.socket"):
        # The program is not installed here, and `verify` insists that it is.
        text = (UNITS / name).read_text().replace("/usr/bin/attestd", "/bin/true")
        (tmp_path / name).write_text(text)
    run = analyze("verify", "--man=no", str(tmp_path / f"{stem}.service"), str(tmp_path / f"{stem}.socket"))
    mine = [line for line in run.stderr.splitlines() if "attestd" in line]
    assert mine == [] and run.returncode == 0, run.stderr


# The loop, the log and the service manager's socket.
ALL_CALL = """read write bind listen accept4 socket connect sendto shutdown getsockopt setsockopt getsockname epoll_create1
    epoll_ctl epoll_wait epoll_pwait eventfd2 signalfd4 timerfd_create timerfd_settime mmap mprotect munmap madvise umask
    fcntl newfstatat statx unlink clone clone3 futex rseq getrandom prlimit64 rt_sigprocmask sched_yield prctl""".split()
CALLED = {
    "attestd.service": """recvfrom sendmsg ioctl mlock mlock2 munlock pread64 pwrite64 fsync fdatasync ftruncate
        rename""".split(),
    "attestd-proxy.service": "pipe2 splice recvfrom sendmsg readv writev poll openat getpeername".split(),
}


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_the_filter_lets_through_what_is_called(unit):
    def members(group, seen):
        for line in analyze("syscall-filter", "@" + group).stdout.splitlines():
            word = line.strip()
            if word.startswith("@") and word[1:] not in seen and word[1:] != group:
                seen.add(word[1:])
                members(word[1:], seen)
            elif line.startswith("    ") and not word.startswith(("#", "@")):
                seen.add(word)
        return seen

    allowed, refused = set(), set()
    for line in values(unit, "SystemCallFilter"):
        target = refused if line.startswith("~") else allowed
        for group in line.lstrip("~").split():
            target |= members(group.lstrip("@"), set())
    assert "setuid" in refused and "read" in allowed
    assert [c for c in ALL_CALL + CALLED[unit] if c not in allowed or c in refused] == []


def test_the_service_runs_the_device_and_the_installed_configuration():
    assert values("attestd.service", "ExecStart") == [
        "/usr/bin/attestd serve --config /etc/attestd/attestd.conf --nsm device"
    ]
    assert values("attestd.service", "Type") == ["notify"]
    assert values("attestd.service", "MemorySwapMax") == ["0"]
    assert values("attestd.service", "LimitCORE") == ["0"]
    assert values("attestd.service", "RuntimeDirectoryPreserve") == ["yes"]


def test_what_does_not_mend_itself_is_not_tried_again():
    assert values("attestd.service", "RestartPreventExitStatus") == ["1 2"]
    assert values("attestd-proxy.service", "RestartPreventExitStatus") == ["2 3"]
    assert values("attestd-proxy.service", "Wants") == values("attestd-proxy.service", "After") == ["network-online.target"]


def test_installed_units_name_where_things_were_installed(tmp_path):
    run = subprocess.run(
        ["make", "-s", "-C", ROOT, "install-files", f"B={tmp_path}/build", f"DESTDIR={tmp_path}/root", "PREFIX=/opt/a",
         "SYSCONFDIR=/opt/a/etc"], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    root = tmp_path / "root/opt/a"
    service = (root / "lib/systemd/system/attestd.service").read_text()
    assert "\nExecStart=/opt/a/bin/attestd serve --config /opt/a/etc/attestd/attestd.conf --nsm device\n" in service
    assert (root / "etc/attestd/attestd.conf").read_text() == (ROOT / "configs/attestd.conf").read_text()
    changed = [x for x, y in zip(service.splitlines(), (UNITS / "attestd.service").read_text().splitlines()) if x != y]
    assert [line.partition("=")[0] for line in changed] == ["ExecStart", "ExecPaths"]
    assert changed[1] == "ExecPaths=/opt/a/bin/attestd"
    proxy = (root / "lib/systemd/system/attestd-proxy.service").read_text().splitlines()
    changed = [x for x, y in zip(proxy, (UNITS / "attestd-proxy.service").read_text().splitlines()) if x != y]
    assert changed == ["EnvironmentFile=-/opt/a/etc/attestd/proxy.env", "ExecStart=/opt/a/bin/attestd proxy $PROXY_OPTIONS",
                       "ExecPaths=/opt/a/bin/attestd"]
    assert (root / "etc/attestd/proxy.env").read_text() == (ROOT / "configs/proxy.env").read_text()
    assert (root / "lib/systemd/system/attestd-proxy.socket").read_text() == (UNITS / "attestd-proxy.socket").read_text()


# ---- nothing else can be executed or written ----

def words(unit, key):
    return [word for value in values(unit, key) for word in value.split()]


def executable(unit, path):
    """Is this file, after all links, in what the unit leaves executable?"""
    allowed = [pathlib.Path(p.lstrip("-")) for p in words(unit, "ExecPaths")]
    real = pathlib.Path(path).resolve()
    return any(real == a or a in real.parents for a in allowed)


@pytest.mark.parametrize("unit", SERVICES)
def test_nothing_is_executable_but_the_binary_and_libraries(unit):
    assert words(unit, "NoExecPaths")[0] == "/"
    assert executable(unit, "/usr/bin/attestd")
    for shell in ("sh", "bash", "dash", "busybox", "python3", "perl", "kill", "env"):
        found = shutil.which(shell, path="/usr/bin:/bin:/usr/sbin:/sbin")
        assert found is None or not executable(unit, found), found
    # Debian's initramfs-tools bring shells of their own below /usr/lib.
    assert not executable(unit, "/usr/lib/klibc/bin/sh") and not executable(unit, "/usr/lib/initramfs-tools/bin/busybox")


@pytest.mark.skipif(sanitized(), reason="a sanitizer's libraries are no part of what is installed")
@pytest.mark.parametrize("unit", SERVICES)
def test_what_the_binary_loads_is_executable(unit):
    told = subprocess.run(["ldd", BUILD / "attestd"], capture_output=True, text=True, check=True).stdout
    loaded = re.findall(r"(/\S+) \(0x", told)
    assert any("ld-linux" in path for path in loaded) and any("libcrypto" in path for path in loaded)
    assert [path for path in loaded if not executable(unit, path)] == []


@pytest.mark.parametrize("unit", SERVICES)
def test_what_systemd_252_leaves_out_of_the_whole_tree_is_named(unit):
    own = ["%S/attestd", "%t/attestd"] if unit == "attestd.service" else []
    assert words(unit, "NoExecPaths") == ["/", "/dev", "/run", "/tmp", "/var/tmp", *own]
    assert words(unit, "ReadOnlyPaths") == ["/dev", "/run", "/tmp", "/var/tmp"]
    assert "memfd_create" in words(unit, "SystemCallFilter")


def test_a_reload_runs_kill_outside_the_sandbox():
    assert values("attestd.service", "ExecReload") == ["+kill -HUP $MAINPID"]


def test_the_tasks_suffice_for_every_thread():
    text = (ROOT / "src/config/keys.def").read_text()
    most = int(re.search(r"CONFIG_INT\(workers, \d+, \d+, (\d+),", text)[1])
    (tasks,) = map(int, values("attestd.service", "TasksMax"))
    assert most + 1 + 3 < tasks < most + 16
    assert int(values("attestd-proxy.service", "TasksMax")[0]) > 64 + 1 + 3


def test_the_service_can_reach_what_its_defaults_need():
    # Both look good in an analysis and break the server: no /dev/nsm, no boot id.
    assert values("attestd.service", "PrivateDevices") == []
    assert values("attestd.service", "ProcSubset") == []
    assert values("attestd.service", "DeviceAllow") == ["/dev/nsm rw"]
    families = values("attestd.service", "RestrictAddressFamilies")
    assert [f.split() for f in families] == [["AF_UNIX", "AF_INET", "AF_INET6", "AF_VSOCK"]]
    memlock = values("attestd.service", "LimitMEMLOCK")
    assert memlock == ["1M"]


def test_the_socket_is_the_default_of_the_key_it_is_named_for():
    example = (ROOT / "configs" / "attestd.conf").read_text()
    (name,) = values("attestd.socket", "FileDescriptorName")
    assert re.search(rf"^#{name} = (.*)$", example, re.MULTILINE)[1] == values("attestd.socket", "ListenStream")[0]


def test_the_user_exists_in_sysusers():
    (user,) = values("attestd.service", "User")
    assert re.search(rf"^u {user} - ", (UNITS / "attestd.sysusers").read_text(), re.MULTILINE)


# ---- the proxy ----

def test_the_proxy_may_open_port_443_and_nothing_more():
    assert values("attestd-proxy.service", "CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
    assert values("attestd-proxy.service", "AmbientCapabilities") == ["CAP_NET_BIND_SERVICE"]
    assert values("attestd-proxy.service", "DynamicUser") == ["yes"]
    assert values("attestd-proxy.service", "PrivateDevices") == ["yes"]
    # In a user namespace of its own the capability would be worth nothing.
    assert values("attestd-proxy.service", "PrivateUsers") == []
    families = values("attestd-proxy.service", "RestrictAddressFamilies")
    assert [f.split() for f in families] == [["AF_UNIX", "AF_INET", "AF_INET6", "AF_VSOCK"]]


def test_the_proxy_has_the_descriptors_and_the_time_that_its_defaults_need():
    run = subprocess.run([*RUNNER, BUILD / "attestd", "proxy", "--help"], capture_output=True, text=True, timeout=60, check=True)
    default = {option: int(n) for option, n in re.findall(
        r"(--[a-z-]+) [A-Z]+ (?:(?!--).)*?, default (\d+)", " ".join(run.stdout.split()))}
    assert int(values("attestd-proxy.service", "LimitNOFILE")[0]) >= 6 * default["--max-connections"] + 64 + 64
    assert int(values("attestd-proxy.service", "TimeoutStopSec")[0]) > default["--drain-timeout"]


def test_the_proxys_file_and_socket_show_the_defaults():
    example = (ROOT / "configs" / "proxy.env").read_text()
    shown = dict(re.findall(r"^#([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert shown == {"BIND_ADDR": "0.0.0.0:443", "ENCLAVE_CID": "16", "ENCLAVE_PORT": "5005", "PROXY_OPTIONS": ""}
    assert not re.search(r"^[^#\n]", example, re.MULTILINE), "nothing is set"
    assert values("attestd-proxy.socket", "ListenStream") == [shown["BIND_ADDR"]]
    assert values("attestd-proxy.service", "EnvironmentFile") == ["-/etc/attestd/proxy.env"]
    assert values("attestd-proxy.service", "Environment") == ["PROXY_OPTIONS="], "an unset one would be a warning"
    help_text = subprocess.run([*RUNNER, BUILD / "attestd", "proxy", "--help"], capture_output=True, text=True, timeout=60,
                               check=True).stdout
    told = " ".join(help_text.split())
    assert "BIND_ADDR (0.0.0.0:443 " in told and "ENCLAVE_PORT (5005)" in told and "ENCLAVE_CID (16)" in told


def test_the_proxys_examples_are_options_that_it_takes(tmp_path):
    (line,) = re.findall(r"^#   (--listen .*)$", (ROOT / "configs" / "proxy.env").read_text(), re.MULTILINE)
    words = line.replace("0.0.0.0:443", "127.0.0.1:0").replace("127.0.0.1:9000", "127.0.0.1:0").split()
    p = Proxy(tmp_path / "proxy", args=words, announced=2).start()
    try:
        assert p.targets == ["vsock:16:5005", "vsock:16:9000"]
        p.stop()
    finally:
        p.kill()
