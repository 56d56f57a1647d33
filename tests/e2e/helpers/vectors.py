"""Genuine documents to test with, in the folder that ATTESTATION_VECTORS names (the Makefile does, if it is there)."""

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

_NAMED = os.environ.get("ATTESTATION_VECTORS")
VECTORS = Path(_NAMED) if _NAMED else None

needs_vectors = pytest.mark.skipif(
    VECTORS is None, reason="ATTESTATION_VECTORS names no folder of genuine documents, and none is beside this tree"
)


class Vector:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        self.facts = json.loads(path.with_suffix(".json").read_text())
        self.document = path.read_bytes()

    def __repr__(self):
        return self.name


@lru_cache
def vectors(folder):
    """The documents of `genuine`, `limits` or `invalid`."""
    found = [Vector(path) for path in sorted((VECTORS / folder).glob("*.bin"))]
    assert found, f"{VECTORS}/{folder} is empty"
    return found


def vector(start):
    """The genuine document whose name starts like this."""
    (found,) = [v for v in vectors("genuine") if v.name.startswith(start)]
    return found


def mutate(document, folder):
    """Makes the variants of a document in `folder`; returns their manifest."""
    command = [sys.executable, str(VECTORS / "mutate.py"), str(document.path), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads((folder / "manifest.json").read_text())
