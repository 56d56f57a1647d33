"""The enclave's image (make eif) in the guest's place: nothing in it but what it holds."""

import json
import sys
import threading

from machine import BUILD, ROOT, Machine
from vsock_device import HOST

sys.path.append(str(ROOT / "tests/image"))
from eif_file import sections  # noqa: E402

KERNEL, CMDLINE, RAMDISK = 1, 2, 3
HEARTBEAT = HOST, 9000


class Enclave(Machine):
    """A running image. Its NSM's PCRs 0 to 2 (pcrs) are those that `make eif` printed (the file `measured`)."""

    def __init__(self, image=BUILD / "attestd.eif", name="enclave", **how):
        parts = sections(image.read_bytes())
        files = {}
        for what, kind in (("kernel", KERNEL), ("ramdisk", RAMDISK)):
            files[what] = BUILD / "qemu" / f"{name}.{what}"
            files[what].parent.mkdir(parents=True, exist_ok=True)
            files[what].write_bytes(b"".join(data for k, data in parts if k == kind))
        (cmdline,) = (data.decode() for k, data in parts if k == CMDLINE)
        self.measured = image.with_name(image.name + ".json")
        measurements = json.loads(self.measured.read_text())["Measurements"]
        self.pcrs = [measurements[f"PCR{i}"] for i in range(3)]
        pcrs = [option for i, value in enumerate(self.pcrs) for option in ("--pcr", f"{i}={value}")]
        self.heartbeats = []
        super().__init__(name, files["kernel"], files["ramdisk"], cmdline, simulate=pcrs, cid=17, **how)

    def prepare(self):
        """The parent waits for the enclave's sign of life and gives it back."""
        listener = self.on_host(HEARTBEAT[1], cid=HEARTBEAT[0])
        listener.settimeout(90)

        def answer():
            with listener, listener.accept()[0] as s:
                s.settimeout(10)
                self.heartbeats.append(s.recv(16))
                s.sendall(self.heartbeats[-1])

        threading.Thread(target=answer, daemon=True).start()
