"""Fixtures of the image's tests: `make check-image` runs them on the image that it has just built.

ATTESTD_BUILD names the build folder, ATTESTD_ENCLAVE the binary in the image, ATTESTD_CACHE where packages are kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
IMAGE = TREE / "image"
BUILD = TREE / os.environ.get("ATTESTD_BUILD", "build")
sys.path.insert(0, str(IMAGE))
sys.dont_write_bytecode = True


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long")


@pytest.fixture(scope="session")
def start():
    return BUILD / "image/start"


@pytest.fixture(scope="session")
def enclave():
    return TREE / os.environ.get("ATTESTD_ENCLAVE", "build-enclave/attestd")


@pytest.fixture(scope="session")
def actor(tmp_path_factory):
    """A static program that start can be made to start: tests/image/actor.c."""
    made = tmp_path_factory.mktemp("actor") / "actor"
    source = Path(__file__).with_name("actor.c")
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-std=c11", "-Wall", "-Wextra", "-O1", "-static", "-o", made, source], check=True)
    return made
