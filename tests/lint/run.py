"""All checks of this folder: run.py [--root TREE] [--objects FOLDER]. Exit status 1 if there is a fault."""

import argparse
import sys
from pathlib import Path

import calls
import codes
import layers
import mutable
import routes
import words


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    p.add_argument("--objects", type=Path, help="the folder of the built objects, to look for mutable globals")
    a = p.parse_args()
    faults = []
    for check in (layers.check, calls.check, words.check, routes.check, codes.check, codes.verdicts, codes.keys):
        faults += check(a.root)
    for fault, line in words.lengths(a.root):
        print(line) if not fault else faults.append(line)
    if a.objects:
        faults += mutable.check(a.objects)
    for line in faults:
        print(line)
    print(f"lint: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
