"""Includes point downward, a third-party library is used in one folder, contract headers show none of it."""

import re

from common import c_files, numbered

# From the bottom. Layers of one line are beside each other and do not know each other.
ORDER = [
    ["base"],
    ["config"],
    ["loop"],
    ["crypto", "cbor", "json"],
    ["store", "nsm", "net"],
    ["attest"],
    ["session"],
    ["http", "vsock"],
    ["api"],
    ["cmd"],
]
RANK = {layer: rank for rank, line in enumerate(ORDER) for layer in line}
# include/NAME.h belongs to layer NAME but for these.
HEADER_OF = {
    "cborio": "cbor", "cose": "cbor", "cert": "crypto", "simulator": "nsm", "verify": "attest", "fetch": "net",
    "rsa": "crypto", "user": "session", "proxy": "net", "budget": "attest", "keys": "session",
    "tls": "crypto", "tls_front": "net", "private_store": "store", "private_data": "session", "peer": "session",
}
MAIN_MAY = {"cmd", "base"}

LIBRARIES = {"openssl/": "crypto", "microhttpd": "http", "sqlite3": "store", "cbor": "cbor", "http_parser": "net"}
SYSTEM = re.compile(
    r"(sys|linux|netinet|arpa)/\w+\.h$|(assert|ctype|dirent|dlfcn|endian|errno|fcntl|float|getopt|grp|inttypes|limits|locale"
    r"|malloc|math|netdb|poll|pthread|pwd|sched|search|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn"
    r"|string|strings|syslog|termios|time|unistd|wchar)\.h$"
)
INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')


def layer_of(path):
    """The layer of a path below the root; None for src/main.c; KeyError for a file that has no place."""
    parts = path.parts
    if parts == ("src", "main.c"):
        return None
    if parts[0] == "include" and len(parts) == 2:
        name = parts[1].rsplit(".", 1)[0]
        name = HEADER_OF.get(name, name)
    else:
        name = parts[1] if len(parts) > 2 else parts[-1]
    if name not in RANK:
        raise KeyError(name)
    return name


def resolve(root, source, name):
    for folder in (source.parent, root / "include", root / "src"):
        found = (folder / name).resolve()
        if found.is_file():
            return found.relative_to(root.resolve())
    return None


def library_fault(source, layer, name):
    for prefix, home in LIBRARIES.items():
        if re.match(prefix + r"(/|\.h|\w+\.h|$)", name) or (prefix.endswith("/") and name.startswith(prefix)):
            if source.parts[0] == "include":
                return f"a contract header shows <{name}>"
            return None if layer == home else f"<{name}> belongs to src/{home} alone"
    return None if SYSTEM.match(name) else f"<{name}> is neither a system header nor one of the libraries used here"


def include_fault(root, path, source, layer, kind, name):
    if kind == "<":
        return library_fault(source, layer, name)
    target = resolve(root, path, name)
    if target is None:
        return f'"{name}" is not in the tree'
    to = layer_of(target)
    if target.parts[0] == "src" and to != layer:
        return f'"{name}" is private to src/{to}'
    if layer is None:
        return None if to in MAIN_MAY else f'main.c may include {" and ".join(sorted(MAIN_MAY))}, not "{name}"'
    if to != layer and RANK[to] >= RANK[layer]:
        return f'{layer} may not include "{name}": {to} is not below it'
    return None


def check(root):
    for path in c_files(root):
        source = path.relative_to(root)
        try:
            layer = layer_of(source)
        except KeyError as e:
            yield f"{source}: there is no layer called {e.args[0]}"
            continue
        for n, line in numbered(path, keep_text=True):
            m = INCLUDE.match(line)
            fault = include_fault(root, path, source, layer, *m.groups()) if m else None
            if fault:
                yield f"{source}:{n}: {fault}"
