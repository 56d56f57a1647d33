"""Files promise no work that is still to be done, and stay short."""

import re

from common import c_files, files

# Spelt apart, so that this file may be looked at too.
WORDS = re.compile("|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bX" + r"XX\b", r"\bH" + r"ACK\b", "not yet impl" + "emented")))
TEXTS = ("src/**/*.[ch]", "src/**/*.def", "include/**/*.h", "tests/**/*.py", "tests/**/*.[ch]", "tests/**/*.sh", "scripts/*",
         ".ci/*", "configs/*", "systemd/*", "debian/*", "image/*", "docs/**/*.md", "*.md", "Makefile", "openapi.yaml")
WARN_LINES, MAX_LINES = 400, 600


def check(root):
    for path in files(root, *TEXTS):
        for n, line in enumerate(path.read_text(errors="replace").split("\n"), 1):
            m = WORDS.search(line)
            if m:
                yield f"{path.relative_to(root)}:{n}: {m.group()}"


def lengths(root):
    """(fault?, line) for each long file."""
    for path in c_files(root):
        n = path.read_text().count("\n")
        if n > WARN_LINES:
            yield n > MAX_LINES, f"{path.relative_to(root)}: {n} lines; files aim at {WARN_LINES} or fewer"
