"""The guest as tests use it: Debian under systemd, on Debian's kernel."""

import io
import shlex
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from machine import BUILD, CACHE, Lost, Machine

CONTROL = 999
CMDLINE = (
    "console=ttyS0 panic=-1 quiet mitigations=off audit=0 nowatchdog tsc=reliable"
    " systemd.show_status=0 systemd.journald.forward_to_console=0"
)


@dataclass
class Result:
    rc: int
    out: str
    err: str

    def __str__(self):
        return f"status {self.rc}\n{self.out}{self.err}"


def tar_of(files, path):
    """An archive of {name: path or bytes}, in the format that a disk is."""
    with tarfile.open(path, "w") as tar:
        for name, content in sorted(files.items()):
            data = content if isinstance(content, bytes) else Path(content).read_bytes()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))


class Guest(Machine):
    """files: {name: path or bytes}, which are below /srv/files in the guest."""

    def __init__(self, files, name="guest", **how):
        (kernel,) = (CACHE / "kernel.tree" / "boot").glob("vmlinuz-*")
        (BUILD / "qemu").mkdir(parents=True, exist_ok=True)
        tar = BUILD / "qemu" / f"{name}.tar"
        tar_of(files | {"control": BUILD / "qemu/control"}, tar)
        super().__init__(
            name, kernel, BUILD / "qemu/initrd", CMDLINE, ready="guest: ready", drives=[CACHE / "guest.img", tar], **how
        )
        self.boot_id = self.must("cat /proc/sys/kernel/random/boot_id").strip()

    def run(self, script, timeout=60, stdin=b""):
        """Runs a shell script as root and waits for it, at most so many seconds (then rc is 124). Threads may call it at
        the same time. What the script leaves in the background goes on."""
        script, stdin = script.encode(), stdin.encode() if isinstance(stdin, str) else stdin
        self.alive()
        reply = b""
        try:
            with self.dial(CONTROL, timeout=30) as s:
                s.settimeout(timeout + 30)
                s.sendall(f"{len(script)} {len(stdin)} {timeout}\n".encode() + script + stdin)
                with s.makefile("rb") as f:
                    reply = f.readline()
                    rc, out, err = map(int, reply.split())
                    reply = f.read(out), f.read(err)
                    if [len(r) for r in reply] != [out, err]:
                        raise ValueError("the reply ends early")
                s.sendall(b"\n")
        except (OSError, ValueError) as e:
            # QEMU takes a moment to end after a panic.
            time.sleep(1)
            self.alive()
            raise Lost(f"the guest does not run scripts: {e!r} {reply!r}\nscript: {script.decode()}") from None
        return Result(rc, *(r.decode(errors="replace") for r in reply))

    def must(self, script, timeout=60, stdin=b""):
        """Runs a script that has to succeed: what it says on stdout."""
        r = self.run(script, timeout, stdin)
        assert r.rc == 0, f"in the guest: {script}\n{r}"
        return r.out

    def until(self, condition, seconds=20):
        """Waits until this command succeeds."""
        r = self.run(f"until {condition}; do sleep .05; done", timeout=seconds)
        assert r.rc == 0, f"not within {seconds} s in the guest: {condition}\n{r}"

    def show(self, what, unit="attestd.service"):
        """A property of a unit."""
        return self.must(f"systemctl show -P {what} {unit}").strip()

    def put(self, path, data, mode="644"):
        """Writes a file in the guest, with its folders."""
        p = shlex.quote(path)
        self.must(f'mkdir -p "$(dirname {p})" && cat >{p} && chmod {mode} {p}', stdin=data)

    def get(self, path):
        """The bytes of a file in the guest."""
        return bytes.fromhex(self.must(f"od -An -v -tx1 {shlex.quote(path)}"))
