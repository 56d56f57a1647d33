"""Boots a kernel in QEMU, with an NSM and vsock, and ends all of it again."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import nsm_device
from nsm_device import Nsm
from vsock_device import HOST, Vsock

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ATTESTD_BUILD", ROOT / "build")).resolve()
if "ATTESTD_CACHE" not in os.environ:
    raise SystemExit("ATTESTD_CACHE does not say where the guest's parts are: run it by make check-guest")
CACHE = Path(os.environ["ATTESTD_CACHE"])


class Lost(AssertionError):
    """The guest does not do what every guest does: it hangs, panicked, or never came up."""


def program(tree, path):
    """The command that runs a program of a tree with the libraries of that tree."""
    return [
        f"{tree}/usr/lib64/ld-linux-x86-64.so.2",
        "--library-path",
        f"{tree}/usr/lib/x86_64-linux-gnu",
        f"{tree}{path}",
    ]


QEMU_TREE = CACHE / "qemu.tree"
QEMU = program(QEMU_TREE, "/usr/bin/qemu-system-x86_64")


def wait_for(what, seconds, done):
    until = time.monotonic() + seconds
    while not (result := done()):
        if time.monotonic() > until:
            raise Lost(f"no {what} within {seconds} s")
        time.sleep(0.02)
    return result


class Machine:
    """A running machine. name: of its log, BUILD/qemu/NAME.log. ready: what its console says when it is up. drives: paths
    of raw images, of which nothing that the guest writes stays. simulate: further options of attestd simulate."""

    def __init__(self, name, kernel, initrd, cmdline, *, ready, drives=(), memory=1024, cid=16, simulate=(), boot_seconds=90):
        self.name, self.cid = name, cid
        self.children = {}
        self.doors = {}
        self.devices = []
        self.looked_at = 0
        logs = BUILD / "qemu"
        logs.mkdir(parents=True, exist_ok=True)
        self.serial = logs / f"{name}.log"
        self.serial.write_bytes(b"")
        # Not below the build folder: the path of a Unix socket has 107 bytes at most.
        self.dir = Path(tempfile.mkdtemp(prefix="attestd-guest-"))
        try:
            self.boot(kernel, initrd, cmdline, drives, memory, simulate)
            wait_for(f"'{ready}' on the console", boot_seconds, lambda: self.alive() and ready in self.console())
        except BaseException as e:
            self.end()
            if isinstance(e, Lost):
                raise Lost(f"{e}\n{self.tail()}") from None
            raise

    def prepare(self):
        """What has to be done when the devices are there and the guest is not."""

    @property
    def root_pem(self):
        """The simulator's root certificate."""
        return self.dir / "root.pem"

    @property
    def nsm_socket(self):
        """Where the simulator itself listens."""
        return self.dir / "nsm"

    def start(self, what, command):
        log = (BUILD / "qemu" / f"{self.name}-{what}.log").open("wb")
        # Whatever ends the tests ends these, too.
        self.children[what] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.dir,
        )
        log.close()

    def boot(self, kernel, initrd, cmdline, drives, memory, simulate):
        self.start("simulate", [BUILD / "attestd", "simulate", "--socket", "nsm", "--root-out", "root.pem", *simulate])
        self.nsm = Nsm(self.dir / "vhost-nsm", self.nsm_socket)
        self.devices.append(self.nsm)
        self.vsock = Vsock(self.dir / "vhost-vsock", self.cid)
        self.devices.append(self.vsock)
        wait_for("simulator", 30, lambda: self.alive() and self.nsm_socket.exists())
        self.prepare()
        disks = []
        for i, drive in enumerate(drives):
            disks += ["-drive", f"if=none,id=d{i},format=raw,file={drive},snapshot=on", "-device", f"virtio-blk-pci,drive=d{i}"]
        # Always emulated: a KVM that opens and then fails is common on machines that are virtual themselves.
        self.start("qemu", [
            *QEMU, "-L", f"{QEMU_TREE}/usr/share/qemu", "-L", f"{QEMU_TREE}/usr/share/seabios",
            "-M", "q35,accel=tcg,memory-backend=m,graphics=off,sata=off,smbus=off", "-cpu", "max", "-smp", "2",
            "-object", f"memory-backend-memfd,id=m,size={memory}M,share=on", "-m", f"{memory}M",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-chardev", f"file,id=s,path={self.serial}", "-serial", "chardev:s",
            "-kernel", kernel, "-initrd", initrd, "-append", cmdline,
            "-chardev", "socket,id=n,path=vhost-nsm",
            "-device", f"vhost-user-test-device-pci,id=nsm,chardev=n,virtio-id={nsm_device.VIRTIO_ID},num_vqs=1,vq_size=64",
            "-chardev", "socket,id=v,path=vhost-vsock", "-device", "vhost-user-vsock-pci,chardev=v",
            *disks,
        ])  # fmt: skip

    # ---- vsock ----

    def dial(self, port, timeout=10):
        """A socket that is connected to a port of the guest; ConnectionRefusedError when nobody listens there."""
        return self.vsock.dial(port, timeout)

    def on_host(self, port, cid=HOST):
        """A listening socket for what the guest dials: this port of the host."""
        return self.vsock.listen(port, self.dir / f"from-guest-{cid}-{port}", cid)

    def vsock_unix(self, port):
        """The path of a Unix socket that leads to a port of the guest, for attestd client and attestd proxy --to unix:."""
        if port not in self.doors:
            self.doors[port] = self.dir / f"to-guest-{port}"
            self.vsock.door(self.doors[port], port)
        return self.doors[port]

    # ---- looking after it ----

    def alive(self):
        """True, or Lost."""
        for what, child in self.children.items():
            if child.poll() is not None:
                said = (BUILD / "qemu" / f"{self.name}-{what}.log").read_text(errors="replace")
                raise Lost(f"{what} ended with {child.returncode}: {said[-2000:]}")
        return True

    def console(self):
        return self.serial.read_bytes().decode(errors="replace").replace("\r", "")

    def new_faults(self):
        """What went wrong in the guest's kernel or in a device of ours since this was last asked."""
        text = self.console()
        text, self.looked_at = text[self.looked_at :], len(text)
        found = re.findall(r"^.*(?:\bOops\b|\bBUG: |Kernel panic).*$", text, re.M)
        for device in self.devices:
            found += device.faults
            device.faults.clear()
        return found

    def tail(self, lines=100):
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.console()).splitlines()[-lines:]
        return "\n".join([f"--- the last lines of {self.serial}:", *text, "---"])

    def end(self):
        """Also of one that never came up, and once more."""
        while self.children:
            _, child = self.children.popitem()
            child.kill()
            child.wait()
        while self.devices:
            self.devices.pop().close()
        shutil.rmtree(self.dir, ignore_errors=True)
