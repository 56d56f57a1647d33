"""Writes the guest's first ramdisk: initrd.py OUT INIT KERNEL-TREE. INIT, and the modules that it inserts in this order."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "image"))
import ramdisk  # noqa: E402

MODULES = [
    "drivers/block/virtio_blk",
    "net/vmw_vsock/vsock",
    "net/vmw_vsock/vmw_vsock_virtio_transport_common",
    "net/vmw_vsock/vmw_vsock_virtio_transport",
    "net/vmw_vsock/vsock_loopback",
    "drivers/misc/nsm",
]


def main(out, init, tree):
    modules = []
    for m in MODULES:
        (path,) = Path(tree).glob(f"usr/lib/modules/*/kernel/{m}.ko*")
        modules.append(path)
    archive = ramdisk.boot(init, modules)
    ramdisk.put(archive, "root", ramdisk.folder())
    Path(out).write_bytes(ramdisk.cpio(archive))


if __name__ == "__main__":
    main(*sys.argv[1:])
