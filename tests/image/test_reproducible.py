"""The same tree gives the same bytes, in whatever folder and with whatever settings it is built."""

import hashlib
import os
import shutil
import subprocess

import pytest
from conftest import BUILD, TREE

OUTPUTS = ("attestd.eif", "attestd.eif.json", "docker/attestd-rootfs.tar", "docker/Dockerfile")
CACHE = os.environ.get("ATTESTD_CACHE", os.path.expanduser("~/.cache/attestd"))


def copied(to):
    shutil.copytree(TREE, to, symlinks=True, ignore=shutil.ignore_patterns("build*", ".git", "__pycache__", ".pytest_cache"))
    return to


def make(tree, umask, settings, *what):
    env = {"PATH": os.environ["PATH"], **settings}
    done = subprocess.run(
        ["make", "--no-print-directory", f"CACHE={CACHE}", *what], cwd=tree, env=env, umask=umask, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return {name: hashlib.sha384((tree / "build" / name).read_bytes()).hexdigest() for name in OUTPUTS}


def test_two_folders_homes_and_umasks_give_the_same_image(tmp_path, enclave):
    one = make(copied(tmp_path / "one"), 0o022, {"HOME": "/root", "TZ": "UTC", "LC_ALL": "C.UTF-8"}, f"ENCLAVE={enclave}", "rootfs-all", "eif-all")
    other = copied(tmp_path / "quite" / "another")
    os.mkdir(tmp_path / "home")
    # What a folder's entries are read in the order of, and when its files were changed, differs, too.
    for file in sorted((other / "image").rglob("*"), reverse=True):
        if file.is_file():
            moved = file.with_name(file.name + ".moved")
            file.rename(moved)
            shutil.copy(moved, file)
            moved.unlink()
            os.utime(file, (1, 1))
    settings = {"HOME": str(tmp_path / "home"), "TZ": "Asia/Kathmandu", "LANG": "tr_TR.ISO-8859-9", "LC_ALL": "C", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "99"}
    assert make(other, 0o077, settings, f"ENCLAVE={enclave}", "rootfs-all", "eif-all") == one


@pytest.mark.slow
def test_built_from_nothing_in_another_folder_the_image_is_the_same(tmp_path):
    tree = copied(tmp_path / "from-nothing")
    built = make(tree, 0o027, {"HOME": str(tmp_path), "TZ": "America/St_Johns", "LC_ALL": "C"}, "-j2", "DEPS=true", "eif")
    assert built == {name: hashlib.sha384((BUILD / name).read_bytes()).hexdigest() for name in OUTPUTS}
