"""The systemd units: well-formed, sandboxed, and in step with the program."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
MOST_EXPOSED = 2.0

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed, so the units are not analysed"
)


def values(unit, key):
    text = (UNITS / unit).read_text()
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def analyze(*args):
    return subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
def test_exposure_is_low():
    run = analyze("security", "--offline=true", "--no-pager", str(UNITS / "attestd.service"))
    match = re.search(r"Overall exposure level for attestd\.service: ([0-9.]+)", run.stdout)
    assert match, run.stdout + run.stderr
    assert float(match[1]) <= MOST_EXPOSED, run.stdout


@needs_systemd
def test_every_remaining_point_is_explained_in_the_unit():
    run = analyze("security", "--offline=true", "--no-pager", str(UNITS / "attestd.service"))
    remaining = set(re.findall(r"^✗ ([A-Za-z]+=)", run.stdout, re.MULTILINE))
    assert remaining, run.stdout + run.stderr
    explained = set(re.findall(r"^#   ([A-Za-z]+=) ", (UNITS / "attestd.service").read_text(), re.MULTILINE))
    assert remaining == explained


@needs_systemd
def test_units_are_well_formed(tmp_path):
    for name in ("attestd.service", "attestd.socket"):
        # The program is not installed here, and `verify` insists that it is.
        text = (UNITS / name).read_text().replace("/usr/bin/attestd", "/bin/true")
        (tmp_path / name).write_text(text)
    run = analyze("verify", "--man=no", str(tmp_path / "attestd.service"), str(tmp_path / "attestd.socket"))
    mine = [line for line in run.stderr.splitlines() if "attestd" in line]
    assert mine == [] and run.returncode == 0, run.stderr


@needs_systemd
def test_the_filter_lets_through_what_the_server_calls():
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
    for line in values("attestd.service", "SystemCallFilter"):
        target = refused if line.startswith("~") else allowed
        for group in line.lstrip("~").split():
            target |= members(group.lstrip("@"), set())
    assert "setuid" in refused and "read" in allowed
    called = """accept4 bind listen socket connect sendto recvfrom sendmsg shutdown getsockopt setsockopt getsockname
        epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 signalfd4 timerfd_create timerfd_settime ioctl
        mlock mlock2 munlock madvise mmap mprotect munmap prctl umask fcntl pread64 pwrite64 fsync fdatasync ftruncate
        rename unlink statx newfstatat clone clone3 futex rseq getrandom prlimit64 rt_sigprocmask sched_yield""".split()
    assert [c for c in called if c not in allowed or c in refused] == []


def test_the_service_runs_the_device_and_the_installed_configuration():
    assert values("attestd.service", "ExecStart") == [
        "/usr/bin/attestd serve --config /etc/attestd/attestd.conf --nsm device"
    ]
    assert values("attestd.service", "Type") == ["notify"]
    assert values("attestd.service", "MemorySwapMax") == ["0"]
    assert values("attestd.service", "LimitCORE") == ["0"]
    assert values("attestd.service", "RuntimeDirectoryPreserve") == ["yes"]


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
    assert len(changed) == 1


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
