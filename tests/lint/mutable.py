"""No mutable globals: nothing writable in the objects. Tables of pointers (.data.rel.ro) are read-only once started."""

import re
import subprocess

from common import files

WRITABLE = re.compile(r"^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)(?!\.rel\.ro)")
# object/symbol -> why it must be one.
ALLOWED = {}


def symbols(objdump):
    """(section, name) of the data symbols in `objdump -t`."""
    for line in objdump.splitlines():
        m = re.match(r"[0-9a-f]+ (.{7}) (\S+)\s+[0-9a-f]+ (?:\.hidden )?(\S+)$", line)
        if m and "d" not in m.group(1):
            yield m.group(2), m.group(3)


def check(objects):
    found = files(objects, "**/*.o")
    if not found:
        yield f"{objects}: no objects; build first"
    for o in found:
        out = subprocess.run(["objdump", "-t", str(o)], capture_output=True, text=True, check=True).stdout
        for section, name in symbols(out):
            where = f"{o.relative_to(objects)}/{name}"
            if WRITABLE.match(section) and where not in ALLOWED:
                yield f"{where}: a mutable global, in {section}"
