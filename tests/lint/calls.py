"""Calls that have no place here, calls that only one file may make, comparisons that leak secrets through time, and keys that would
need escaping."""

import re

from common import c_files, numbered

BANNED = "strcpy strcat sprintf vsprintf gets alloca strtok strtok_r atoi atol atof system popen strncpy strncat tmpnam mktemp"
# Hidden clocks and randomness: passed in everywhere else.
ONLY_IN = {
    "time": "src/base/clock.c",
    "gettimeofday": "src/base/clock.c",
    "clock_gettime": "src/base/clock.c",
    "rand": None,
    "random": None,
    "srand": None,
    "getrandom": None,
}
CALL = re.compile(r"(?<![\w.>])(\w+)\s*\(")
DECLARES = re.compile(r"^(?!\s*(?:return|else|case)\b)\s*(static\s+|inline\s+|extern\s+)*(const\s+)?(struct\s+|enum\s+|unsigned\s+)?\w+[\s*]+$")
COMPARE = re.compile(r"\b(memcmp|strcmp|strncmp)\s*\(([^;]*)")
SECRET = re.compile(r"(?i)(secret|kek|password|hmac|\btag\b|_tag\b|(session|private|sealing|derived)_key\b|key->b|->key\.b|\.key\.b)")
KEY = re.compile(r'\bJSON_PUT_KEY\((?![^"\\]*"\w+"\);)', re.ASCII)


def check(root):
    banned = set(BANNED.split())
    for path in c_files(root):
        source = str(path.relative_to(root))
        for n, line in numbered(path):
            for m in CALL.finditer(line):
                name = m.group(1)
                if name in banned:
                    yield f"{source}:{n}: {name} is banned"
                elif name in ONLY_IN and ONLY_IN[name] != source and not DECLARES.match(line[: m.start()]):
                    yield f"{source}:{n}: {name} is called only in {ONLY_IN[name] or 'no file'}"
            m = COMPARE.search(line)
            if m and SECRET.search(m.group(2)):
                yield f"{source}:{n}: {m.group(1)} on what looks like a secret; secret_equal takes constant time"
        for n, line in numbered(path, keep_text=True):
            if KEY.search(line) and not line.startswith("#define JSON_PUT_KEY"):
                yield f"{source}:{n}: JSON_PUT_KEY takes a literal of letters, digits and _; json_put_key escapes any other"
