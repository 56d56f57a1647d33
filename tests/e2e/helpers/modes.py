"""Tests in which a file's mode keeps its owner out."""

import os
import shutil

import pytest

# Root, but without its right to pass over modes.
CONFINE = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
needs_modes = pytest.mark.skipif(bool(CONFINE) and shutil.which("setpriv") is None, reason="modes mean nothing to root")
