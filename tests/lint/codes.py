"""Clients read in openapi.yaml which problem codes there are, operators in configs/attestd.conf which keys."""

import re

import yaml
from common import code_only

ERROR = re.compile(r'\bX\((\w+), (\d+), "([^"]+)", "([^"]+)"\)')
VERDICT = re.compile(r'\bX\((\w+),\s*\\?\s*"([^"]+)"')
NEVER_SENT = {"OK", "USAGE", "CONFIG", "ENVIRONMENT"}
KEY = re.compile(r"^CONFIG_(?:STR|PATH|INT|SIZE|SECONDS|ENUM)\((\w+),", re.MULTILINE)


def problems(root):
    """code -> set of (status, title), as include/base/err.h has them."""
    found = {}
    for name, status, code, title in ERROR.findall(code_only((root / "include/base/err.h").read_text(), keep_text=True)):
        if name not in NEVER_SENT:
            found.setdefault(code, set()).add((int(status), title))
    return found


def examples(node):
    """Every problem document below a node of openapi.yaml."""
    if isinstance(node, dict):
        if {"type", "title", "status", "code"} <= node.keys() and node["type"] == "about:blank":
            yield node
        for value in node.values():
            yield from examples(value)
    elif isinstance(node, list):
        for value in node:
            yield from examples(value)


def check(root):
    table = problems(root)
    doc = yaml.safe_load((root / "openapi.yaml").read_text())
    listed = set(doc["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    for code in sorted(table.keys() - listed):
        yield f"openapi.yaml: Problem's code lacks {code} of include/base/err.h"
    for code in sorted(listed - table.keys()):
        yield f"openapi.yaml: Problem's code lists {code}, which include/base/err.h does not send"
    for x in examples([doc["paths"], doc["components"]["responses"]]):
        if (x["status"], x["title"]) not in table.get(x["code"], ()):
            yield f"openapi.yaml: an example says {x['code']}, {x['status']}, {x['title']!r}: include/base/err.h does not"


def listed_in(table, path, text, enum, what):
    """The X-macro's second column against an enum of openapi.yaml."""
    start = text.find(f"#define {table}(X)")
    lines = text[start:].split("\n") if start >= 0 else []
    end = next((n for n, line in enumerate(lines) if not line.endswith("\\")), 0)
    have = {code for _, code in VERDICT.findall("\n".join(lines[: end + 1]))}
    for code in sorted(have - set(enum)):
        yield f"openapi.yaml: {what} lacks {code} of {path}"
    for code in sorted(set(enum) - have):
        yield f"openapi.yaml: {what} lists {code}, which {path} does not have"


def verdicts(root):
    members = yaml.safe_load((root / "openapi.yaml").read_text())["components"]["schemas"]["Verdict"]["properties"]
    checks = members["checks"]["items"]["properties"]["name"]["enum"]
    for table, path, enum, what in (("VERIFY_CODES", "include/verify.h", members["code"]["enum"], "Verdict's code"),
                                    ("VERIFY_CHECKS", "src/attest/verdict.h", checks, "Verdict's checks")):
        yield from listed_in(table, path, (root / path).read_text(), enum, what)


def keys(root):
    have = set(KEY.findall((root / "src/config/keys.def").read_text()))
    conf = (root / "configs/attestd.conf").read_text()
    said = set(re.findall(r"^#?\s?([a-z][a-z0-9_]*) ?=", conf, re.MULTILINE))
    for key in sorted(have - said):
        yield f"configs/attestd.conf: does not tell of {key}"
    for key in sorted(said - have):
        yield f"configs/attestd.conf: tells of {key}, which src/config/keys.def does not have"
