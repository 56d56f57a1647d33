"""/sbin/start: how it reads /etc/attestd/start, and what it makes of a bare root file system and the programs in it.

What it does as root runs in namespaces of its own (unshare): mounts, processes, network; nothing outside changes."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import time
import tty

import pytest
import rootfs
from conftest import IMAGE

PASSWD = "root:x:0:0::/:/x\nattestd:x:100:100::/var/lib/attestd:/x\nagent:x:101:101::/:/x\nstaff:x:102:0::/:/x\nlost:x:103:103::here:/x\n"
GROUP = "attestd:x:100:agent\nagent:x:101:\nextra:x:200:agent,attestd\n"
DEADLINE = 60

# ---- reading ----


@pytest.fixture
def check(start, tmp_path):
    def run(text, group=GROUP, passwd=PASSWD):
        for name, data in (("start", text), ("passwd", passwd), ("group", group)):
            (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        command = [start, "--check", *(tmp_path / name for name in ("start", "passwd", "group"))]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_programs_are_read_with_their_users(check):
    done = check("# a comment\n\n   # another\nattestd /usr/bin/attestd serve  --nsm  device \n  agent /a #not-a-comment \"x y\"")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "attestd\t100\t100\t/var/lib/attestd\t/usr/bin/attestd\tserve\t--nsm\tdevice\nagent\t101\t101\t/\t/a\t#not-a-comment\t\"x\ty\"\n"
    )


def words(n):
    return "agent " + " ".join(["/a"] + ["b"] * (n - 1)) + "\n"


def groups(n):
    return "".join(f"g{i}:x:{300 + i}:agent\n" for i in range(n))


LIMITS = {
    "programs": ("agent /a\n" * 16, "agent /a\n" * 17, ":17: more than 16 programs"),
    "words": (words(64), words(65), ":1: more than 64 words"),
    "bytes of a line": ("agent /" + "a" * 4089 + "\n", "agent /" + "a" * 4090 + "\n", ":1: the line is longer than 4096 bytes"),
    "bytes of a comment": ("#" * 4096 + "\nagent /a\n", "agent /a\n" + "#" * 4097 + "\n", ":2: the line is longer"),
    "bytes": ("agent /a\n" + "#\n" * 32763, "agent /a\n" + "#\n" * 32763 + "\n", "is longer than 65535 bytes"),
}


@pytest.mark.parametrize("what", LIMITS)
def test_as_much_as_the_limit_is_read_and_one_more_is_refused(what, check):
    fits, over, told = LIMITS[what]
    assert check(fits).returncode == 0
    done = check(over)
    assert done.returncode == 3 and done.stdout == "" and told in done.stderr and done.stderr.count("\n") == 1


def test_a_user_may_be_in_so_many_groups(check):
    assert check("agent /a\n", groups(32)).returncode == 0
    assert "more than 32 groups" in check("agent /a\n", groups(33)).stderr


def home(path):
    return f"attestd:x:100:100::/:/x\nagent:x:101:101::{path}:/x\n"


def test_a_home_may_be_so_long(check):
    assert check("agent /a\n", passwd=home("/" + "h" * 127)).returncode == 0
    assert "at most 128 bytes" in check("agent /a\n", passwd=home("/" + "h" * 128)).stderr


def test_a_home_may_have_spaces_but_no_tab(check):
    assert check("agent /a\n", passwd=home("/my home")).stdout == "agent\t101\t101\t/my home\t/a\n"
    assert "the home of agent has a control character (byte 0x09)" in check("agent /a\n", passwd=home("/my\thome")).stderr


def test_the_user_that_folders_are_given_to_must_be_there(check):
    assert "there is no user attestd in" in check("agent /a\n", passwd="agent:x:101:101::/:/x\n").stderr


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "names no program"),
        ("# none\n", "names no program"),
        ("agent\n", ":1: after the user comes the absolute path"),
        ("\nagent a/b\n", ":2: after the user comes the absolute path"),
        ("agent /a\tb\n", ":1: a control character (byte 0x09)"),
        ("agent /a\r\n", ":1: a control character (byte 0x0d)"),
        ("agent /a\x7f\n", ":1: a control character (byte 0x7f)"),
        (b"agent /a\0b\n", "a NUL byte"),
        ("nobody /a\n", "there is no user nobody in"),
        ("root /a\n", ":1: root is root or of its group"),
        ("staff /a\n", ":1: staff is root or of its group"),
        ("lost /a\n", "the home of lost is no absolute path"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, told, check):
    done = check(text)
    assert done.returncode == 3 and told in done.stderr and done.stderr.startswith("start: ") and done.stderr.count("\n") == 1


def test_bytes_beyond_ascii_are_parts_of_words(check):
    assert check("agent /a é\n".encode()).stdout == "agent\t101\t101\t/\t/a\té\n"


def test_wrong_use_is_told(start):
    for arguments in (["--check"], ["x"], ["--check", "a", "b", "c", "d"]):
        done = subprocess.run([start, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "usage" in done.stderr


def test_a_missing_file_is_told(start):
    done = subprocess.run([start, "--check", "/nonexistent", "/x", "/x"], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "cannot open /nonexistent: No such file" in done.stderr


# ---- running ----

UNSHARE = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]


def able():
    if os.geteuid() != 0:
        return "needs root: start changes users and mounts"
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0:
        return "this machine does not let root make namespaces (unshare)"
    return None


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


class Enclave:
    """A root file system with start and actor in it, run in namespaces of its own."""

    def __init__(self, root, start, actor):
        self.root = root
        for path in ("proc", "sys", "dev", "run", "tmp", "var/lib/attestd", "etc/attestd", "sbin", "bin"):
            (root / path).mkdir(parents=True)
        shutil.copy(start, root / "sbin/start")
        shutil.copy(actor, root / "bin/actor")
        (root / "etc/passwd").write_text(PASSWD)
        (root / "etc/group").write_text(GROUP)
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)
        self.process = None
        self.output = root.parent / "output"

    def boot(self, *lines, first=True, prepare="true", run=None, console=None):
        """first: start is the first process of its namespace. prepare: a command to run before, with $R for the root.
        run: what to run instead. console: a terminal (its descriptor) that is /dev/console and takes all output."""
        (self.root / "etc/attestd/start").write_text("\n".join(lines) + "\n")
        # A /dev of its own in the place of the machine's devices.
        before = 'mount -t tmpfs dev "$R/dev" && mknod -m 666 "$R/dev/null" c 1 3'
        if console is not None:
            before += ' && touch "$R/dev/console" && mount --bind "$CONSOLE" "$R/dev/console"'
        if run is None:
            run = 'exec chroot "$R" /sbin/start' if first else 'chroot "$R" /sbin/start & echo started $!; wait $!; echo status $?'
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                [*UNSHARE, "sh", "-c", f"{before} && {prepare} && {run}"],
                env={"PATH": os.environ["PATH"], "R": str(self.root), "CONSOLE": "" if console is None else os.ttyname(console), "SECRET": "of the caller"},
                stdout=out if console is None else console,
                stderr=subprocess.STDOUT,
            )
        return self

    def said(self):
        return self.output.read_text()

    def wait_for(self, text, count=1):
        until = time.monotonic() + DEADLINE
        while self.said().count(text) < count:
            assert time.monotonic() < until and self.process.poll() is None, f"{text!r} never came:\n{self.said()}"
            time.sleep(0.02)
        return self.said()

    def ended(self):
        self.process.wait(DEADLINE)
        return self.said()

    def pid(self):
        """Of start, or of the shell that started it, in the namespace out here."""
        return children(self.process.pid)[0]

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)


@pytest.fixture
def bare(tmp_path, start, actor):
    why = able()
    if why:
        pytest.skip(why)
    e = Enclave(tmp_path / "root", start, actor)
    yield e
    e.stop()


def hard_limit(name):
    return resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]


# The kernel ends a namespace whose first process reboots in this way: it is how a test sees an enclave end.
REBOOTED = -signal.SIGHUP


def test_a_program_finds_itself_with_nothing_it_does_not_need(bare):
    bare.boot("agent /bin/actor tell").wait_for("ready")
    told = bare.said()
    lines = told.splitlines()
    assert "ids 101 101 101 101" in lines and "groups 100 200" in lines
    assert "session 1" in lines and "no_new_privs 1" in lines and "stdin 0" in lines and "umask 077" in lines and "blocked 0" in lines
    assert [x for x in lines if x.startswith("env ")] == ["env PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    # Root with all capabilities, as in an enclave, raises limits; root in a container only lowers them.
    most = [min(n, hard) if hard >= 0 else n for n, hard in ((131072, hard_limit("NOFILE")), (1048576, hard_limit("MEMLOCK")))]
    limits = re.findall(r"^limit \d (\d+) (\d+)$", told, re.M)
    assert limits[:2] == [("0", "0"), ("512", "512")] and limits[2:] in ([(str(n), str(n)) for n in most], [("131072", "131072"), ("1048576", "1048576")])
    assert re.findall(r"^Cap(\w+):\s+(\w+)$", told, re.M) == [(c, "0" * 16) for c in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
    # No other descriptor was open than the first three, or this one had another number.
    assert "lo 1" in lines
    assert "cwd /" in lines
    # Of the first process it sees nothing.
    assert "folder /proc/1 " not in told and "open /dev/nsm: No such file or directory" in lines


@pytest.mark.parametrize("user, opens", [("attestd", "yes"), ("agent", "Permission denied")])
def test_the_nsm_is_attestds_alone(user, opens, bare):
    nsm = ': >"$R/dev/nsm" && chmod 666 "$R/dev/nsm"'
    assert f"open /dev/nsm: {opens}\n" in bare.boot(f"{user} /bin/actor tell", prepare=nsm).wait_for("ready")


def test_an_nsm_that_cannot_be_made_attestds_ends_the_enclave(bare):
    told = bare.boot("attestd /bin/actor tell", prepare=': >"$R/dev/nsm" && mount -o remount,ro "$R/dev"').ended()
    assert told == "start: cannot give /dev/nsm to attestd: Read-only file system\n" and bare.process.returncode == REBOOTED


@pytest.mark.parametrize("user, score", [("attestd", -900), ("agent", 500)])
def test_when_memory_runs_out_attestd_is_the_last_to_go(user, score, bare):
    with open("/proc/self/oom_score_adj") as f:
        ours = int(f.read())
    told = bare.boot(f"{user} /bin/actor tell").wait_for("ready")
    # Root in a container may only raise it.
    assert int(re.search(r"^oom_score_adj (-?\d+)$", told, re.M)[1]) in (score, max(score, ours))


def test_mounts_and_folders_are_as_attestd_needs_them(bare):
    bare.boot("attestd /bin/actor tell").wait_for("ready")
    told = bare.said()
    assert "cwd /var/lib/attestd\n" in told and "groups 200\n" in told
    mounts = {m[0]: (m[1], set(m[2].split(","))) for m in re.findall(r"^mount \S+ (\S+) (\S+) (\S+)", told, re.M)}
    for where, kind in (("/proc", "proc"), ("/sys", "sysfs"), ("/run", "tmpfs"), ("/tmp", "tmpfs"), ("/var/lib/attestd", "tmpfs")):
        assert mounts[where][0] == kind and {"nosuid", "nodev", "noexec"} <= mounts[where][1]
    assert "folder /run/attestd 750 100 100\n" in told and "folder /var/lib/attestd 700 100 100\n" in told
    assert "folder /tmp 1777 0 0\n" in told
    memory = int(re.search(r"^memory MemTotal: +(\d+) kB$", told, re.M)[1])
    for where, share in (("/run", 0.10), ("/tmp", 0.25)):
        size = int(re.search(rf"^mount \S+ {where} \S+ \S*\bsize=(\d+)k", told, re.M)[1])
        assert abs(size - memory * share) <= memory * 0.01


def test_what_is_mounted_already_stays(bare):
    bare.boot("attestd /bin/actor tell", prepare='mount -t tmpfs -o size=64k before "$R/run" && mount -t proc proc "$R/proc"').wait_for("ready")
    where = [m[1] for m in re.findall(r"^mount (\S+) (\S+)", bare.said(), re.M)]
    assert [where.count(p) for p in ("/run", "/proc", "/dev", "/tmp")] == [1, 1, 1, 1]
    assert "mount before /run tmpfs rw,relatime,size=64k" in bare.said()
    assert "folder /run/attestd 750 100 100\n" in bare.said()


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_program_that_is_done_or_would_fail_again_ends_the_enclave(status, bare):
    bare.boot(f"agent /bin/actor exit {status}", "attestd /bin/actor drain")
    told = bare.ended()
    assert bare.process.returncode == REBOOTED
    assert f"start: /bin/actor ended with exit status {status}\n" in told and told.count("began exit") == 1


def test_when_one_program_is_done_the_others_drain(bare):
    bare.boot("agent /bin/actor drain", "attestd /bin/actor drain").wait_for("ready", 2)
    os.kill(children(bare.pid())[0], signal.SIGTERM)
    assert bare.ended().count("drained\n") == 2 and bare.process.returncode == REBOOTED


@pytest.mark.parametrize("how", ["exit 3", "signal 11"])
def test_a_program_that_failed_is_started_again_but_not_forever(how, bare):
    told = bare.boot(f"agent /bin/actor {how}").ended()
    assert told.count("began") == 6 and "was restarted 5 times within 60 s: no more\n" in told
    assert bare.process.returncode == REBOOTED


def test_a_program_that_no_process_can_be_made_for_is_tried_again_but_not_forever(bare):
    told = bare.boot("agent /bin/actor tell", run='exec chroot "$R" /bin/actor start').ended()
    assert told.count("start: cannot start /bin/actor: Resource temporarily unavailable\n") == 6
    assert "was restarted 5 times within 60 s: no more\n" in told and bare.process.returncode == REBOOTED


def test_a_program_that_cannot_be_run_ends_the_enclave(bare):
    told = bare.boot("agent /bin/missing").ended()
    assert "start: cannot run /bin/missing: No such file or directory\n" in told and "exit status 2" in told
    assert bare.process.returncode == REBOOTED


def test_a_home_that_is_missing_ends_the_enclave(bare):
    (bare.root / "etc/passwd").write_text(PASSWD + "far:x:104:104::/far:/x\n")
    told = bare.boot("far /bin/actor tell").ended()
    assert "start: cannot enter /far, the home of far: No such file or directory\n" in told


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_first_process_drains_all_programs(sig, bare):
    bare.boot("agent /bin/actor drain", "attestd /bin/actor drain").wait_for("ready", 2)
    os.kill(bare.pid(), sig)
    told = bare.ended()
    assert told.count("drained\n") == 2 and "no more" not in told and bare.process.returncode == REBOOTED


def test_orphans_of_programs_are_adopted_and_do_not_disturb(bare):
    bare.boot("agent /bin/actor orphan").wait_for("adopted by 1\n")
    os.kill(bare.pid(), signal.SIGTERM)
    assert bare.ended().count("ended with exit status") == 1


def test_what_its_caller_did_with_sigchld_and_stdin_does_not_matter(bare):
    # A shell does not ignore it when it is told to.
    run = 'exec env --ignore-signal=CHLD chroot "$R" /sbin/start <&-'
    bare.boot("agent /bin/actor tell", run=run).wait_for("ready")
    assert "stdin 0\n" in bare.said() and "lo 1\n" in bare.said()
    os.kill(children(bare.pid())[0], signal.SIGTERM)
    assert "start: /bin/actor ended with exit status 0\n" in bare.ended()


def test_behind_another_init_it_adopts_orphans_and_ends_by_its_exit_status(bare):
    bare.boot("agent /bin/actor orphan", first=False).wait_for("adopted by ")
    me = re.search(r"started (\d+)", bare.said())[1]
    assert f"adopted by {me}\n" in bare.said() and me != "1"
    os.kill(children(bare.pid())[0], signal.SIGTERM)
    assert "drained\n" in bare.ended() and "status 0\n" in bare.said()


def test_behind_another_init_the_status_tells_that_a_program_ended(bare):
    assert "status 1\n" in bare.boot("agent /bin/actor exit 0", first=False).ended()


@pytest.mark.slow
def test_a_program_that_does_not_drain_is_not_waited_for_forever(bare):
    bare.boot("agent /bin/actor stubborn", "attestd /bin/actor drain").wait_for("ready", 2)
    os.kill(bare.pid(), signal.SIGTERM)
    told = bare.ended()
    assert "drained\n" in told and f"not all programs ended within {rootfs.DRAIN_MAX + 5} s\n" in told and bare.process.returncode == REBOOTED


# ---- the console ----


@pytest.fixture
def terminal():
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    yield master, slave
    os.close(master)
    os.close(slave)


def test_a_program_can_write_to_the_console_and_nothing_else(bare, terminal):
    master, slave = terminal
    bare.boot("agent /bin/actor tell", console=slave)
    said, until = b"", time.monotonic() + DEADLINE
    while b"ready\n" not in said:
        assert time.monotonic() < until and bare.process.poll() is None, said
        with contextlib.suppress(BlockingIOError):
            said += os.read(master, 65536)
        time.sleep(0.02)
    assert f"console mode {os.O_WRONLY} taken 0\n".encode() in said


@pytest.mark.parametrize("first", [True, False])
def test_a_program_that_stops_the_console_puts_no_end_off(first, bare, terminal):
    run = 'exec chroot "$R" /sbin/start' if first else 'chroot "$R" /sbin/start & wait $!'
    bare.boot("agent /bin/actor stall", "attestd /bin/actor drain", run=run, console=terminal[1]).ended()
    assert bare.process.returncode == (REBOOTED if first else 1)


@pytest.mark.parametrize(
    "path, told",
    [
        ("run", "there is no folder /run to mount on"),
        ("var/lib/attestd", "there is no folder /var/lib/attestd to mount on"),
        ("etc/passwd", "cannot open /etc/passwd"),
        ("etc/attestd/start", "cannot open /etc/attestd/start"),
    ],
)
def test_what_is_missing_is_told_in_one_line_and_ends_the_enclave(path, told, bare):
    if path == "etc/attestd/start":
        bare.boot("", prepare=f'rm "$R/{path}"')
    else:
        (bare.root / path).rmdir() if (bare.root / path).is_dir() else (bare.root / path).unlink()
        bare.boot("agent /bin/actor tell")
    assert f"start: {told}" in bare.ended() and bare.said().count("\n") == 1
    assert bare.process.returncode == REBOOTED


def test_the_start_file_of_the_image_is_one_that_it_reads(check):
    root = IMAGE / "root/etc"
    done = check((root / "attestd/start").read_text(), (root / "group").read_text(), (root / "passwd").read_text())
    assert done.stdout.split() == "attestd 100 100 /var/lib/attestd /usr/bin/attestd serve --config /etc/attestd/attestd.conf --nsm device".split()
