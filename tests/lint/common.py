"""What the checks share. Each check is a function of the tree's root that yields a line for each fault."""

import re
from pathlib import Path

COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def files(root, *patterns):
    return sorted(p for pattern in patterns for p in Path(root).glob(pattern) if p.is_file())


def c_files(root):
    return files(root, "src/**/*.[ch]", "src/**/*.def", "include/**/*.h")


def code_only(text, keep_text=False):
    """C without its comments and the insides of its texts; line numbers stay."""

    def blank(m):
        found = m.group()
        if keep_text and found[0] in "\"'":
            return found
        return (found[0] * 2 if found[0] in "\"'" else " ") + "\n" * found.count("\n")

    return COMMENT_OR_TEXT.sub(blank, text)


def numbered(path, keep_text=False):
    """(line number, line) of a C file's code."""
    return enumerate(code_only(path.read_text(), keep_text).split("\n"), 1)
