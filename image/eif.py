"""eif.py - writes an enclave image file (EIF, version 4) and prints what an enclave that boots it measures.

eif.py OUT VERSION KERNEL RAMDISK1 RAMDISK2...; the kernel's command line is taken from $EIF_CMDLINE. The first ramdisk is
what boots, the others are the application: PCR0 is all of it, PCR1 kernel, command line and first ramdisk, PCR2 the other
ramdisks. Prints them as nitro-cli build-enclave does.
"""

import hashlib
import json
import os
import struct
import sys
import zlib

KERNEL, CMDLINE, RAMDISK, METADATA = 1, 2, 3, 5
VERSION, FLAGS_X86_64 = 4, 0
SECTIONS_MAX = 32
HEAD = struct.Struct(f">4sHHQQHH{SECTIONS_MAX}Q{SECTIONS_MAX}QI")  # without the checksum behind it
SECTION = struct.Struct(">HHQ")
# What nitro-cli writes; it gives an enclave what run-enclave says.
DEFAULT_MEMORY, DEFAULT_CPUS = 1 << 30, 2
CMDLINE_MAX = 2047  # x86 kernels cut off what is longer


def kernel_version(kernel):
    """What the head of an x86 kernel says of itself."""
    if kernel[0x202:0x206] != b"HdrS":
        return "unknown"
    at = 0x200 + int.from_bytes(kernel[0x20E:0x210], "little")
    return kernel[at : at + 256].split(b"\0")[0].split(b" ")[0].decode("ascii", "replace")


def metadata(version, kernel):
    """Not measured. nitro-cli describe-eif wants all of these members; a time of building would differ each time."""
    return json.dumps(
        {
            "ImageName": "attestd",
            "ImageVersion": version,
            "BuildMetadata": {
                "BuildTime": "1970-01-01T00:00:00Z",
                "BuildTool": "attestd",
                "BuildToolVersion": version,
                "OperatingSystem": "Linux",
                "KernelVersion": kernel_version(kernel),
            },
            "DockerInfo": {},
            "CustomMetadata": {},
        }
    ).encode()


def build(kernel, cmdline, ramdisks, about):
    sections = [(KERNEL, kernel), (CMDLINE, cmdline), (METADATA, about), *((RAMDISK, r) for r in ramdisks)]
    unused = [0] * (SECTIONS_MAX - len(sections))
    offsets, body = [], b""
    for kind, data in sections:
        offsets.append(HEAD.size + 4 + len(body))
        body += SECTION.pack(kind, 0, len(data)) + data
    sizes = [len(data) for _, data in sections]
    head = HEAD.pack(b".eif", VERSION, FLAGS_X86_64, DEFAULT_MEMORY, DEFAULT_CPUS, 0, len(sections), *offsets, *unused, *sizes, *unused, 0)
    return head + struct.pack(">I", zlib.crc32(body, zlib.crc32(head))) + body


def pcr(*parts):
    """A register of zeros, extended once."""
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(parts)).digest()).hexdigest()


def measurements(kernel, cmdline, ramdisks):
    return {
        "Measurements": {
            "HashAlgorithm": "Sha384 { ... }",
            "PCR0": pcr(kernel, cmdline, *ramdisks),
            "PCR1": pcr(kernel, cmdline, ramdisks[0]),
            "PCR2": pcr(*ramdisks[1:]),
        }
    }


def read(path):
    with open(path, "rb") as f:
        return f.read()


def main(arguments):
    if len(arguments) < 5:
        sys.exit("usage: EIF_CMDLINE=... eif.py OUT VERSION KERNEL RAMDISK1 RAMDISK2...")
    out, version, kernel, *ramdisks = arguments
    kernel, ramdisks = read(kernel), [read(r) for r in ramdisks]
    cmdline = os.fsencode(os.environ.get("EIF_CMDLINE", "").strip())
    if not cmdline:
        sys.exit("eif.py: EIF_CMDLINE, the kernel's command line, is empty: it is measured, so it must be said")
    if len(cmdline) > CMDLINE_MAX:
        sys.exit(f"eif.py: EIF_CMDLINE has {len(cmdline)} bytes, and the kernel takes {CMDLINE_MAX}")
    with open(out, "wb") as f:
        f.write(build(kernel, cmdline, ramdisks, metadata(version, kernel)))
    print(json.dumps(measurements(kernel, cmdline, ramdisks), indent=2))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as fault:
        sys.exit(f"eif.py: {fault}")
