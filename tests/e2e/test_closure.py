"""What runs in the enclave is what must be trusted: the binary asks for these libraries and no other."""

import re
import subprocess

import pytest
from helpers import BUILD

NEEDED = ["libc.so.6", "libcbor.so.0.8", "libcrypto.so.3", "libmicrohttpd.so.12", "libsqlite3.so.0", "libssl.so.3"]
SANITIZERS = re.compile(r"lib(asan|ubsan|tsan)\.so\.\d+$")


@pytest.mark.smoke
def test_the_binary_needs_the_five_libraries_and_libc():
    told = subprocess.run(["readelf", "--dynamic", "--wide", BUILD / "attestd"], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\) .*\[(.+)\]$", told, re.MULTILINE)
    assert sorted(name for name in needed if not SANITIZERS.match(name)) == NEEDED
