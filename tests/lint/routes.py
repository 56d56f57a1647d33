"""routes.def, src/api, openapi.yaml and the end-to-end tests know the same routes."""

import ast
import re

import yaml
from common import code_only, files

ROW = re.compile(r'^ROUTE\((\w+), "([^"]+)", ([A-Z_| ]+), (NO_BODY|BODY|RAW_BODY), (api_\w+)\)$')
METHODS = ("get", "post", "put", "delete", "patch")
REACH = {"HTTP_LOCAL": "local", "HTTP_PUBLIC": "public", "HTTP_TLS": "tls", "HTTP_PEER": "peer", "HTTP_PEER_TLS": "peer_tls"}


def defined(root):
    """"GET /health" -> (reach, body, handler); and the lines that are no row."""
    rows, odd = {}, []
    for line in code_only((root / "src/api/routes.def").read_text(), keep_text=True).split("\n"):
        m = ROW.match(line.strip())
        if m:
            reach = [REACH.get(r.strip(), r.strip()) for r in m.group(3).split("|")]
            rows[f"{m.group(1)} {m.group(2)}"] = (reach, m.group(4) != "NO_BODY", m.group(5))
        elif line.strip().startswith("ROUTE"):
            odd.append(line.strip())
    return rows, odd


def described(root):
    doc = yaml.safe_load((root / "openapi.yaml").read_text())
    return {f"{m.upper()} {p}": op for p, item in doc["paths"].items() for m, op in item.items() if m in METHODS}


def tested(root):
    """The routes named by @pytest.mark.route in tests/e2e."""
    names = set()
    for path in files(root, "tests/e2e/**/test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.route":
                names |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return names


def check(root):
    rows, odd = defined(root)
    ops, marks = described(root), tested(root)
    for line in odd:
        yield f'src/api/routes.def: not of the form ROUTE(METHOD, "/path", REACH, BODY|RAW_BODY|NO_BODY, api_name): {line}'
    for route, (reach, body, handler) in rows.items():
        if not (root / f"src/api/{handler[len('api_'):]}.c").is_file():
            yield f"{route}: its handler {handler} is not in src/api/{handler[len('api_'):]}.c"
        if route not in marks:
            yield f'{route}: no end-to-end test is marked @pytest.mark.route("{route}")'
        if route not in ops:
            yield f"{route}: not in openapi.yaml"
            continue
        if ops[route].get("x-reach") != reach:
            yield f"{route}: x-reach in openapi.yaml is {ops[route].get('x-reach')}, routes.def says {reach}"
        if ("requestBody" in ops[route]) != body:
            yield f"{route}: routes.def and openapi.yaml differ on whether it takes a body"
    for route in ops.keys() - rows.keys():
        yield f"{route}: in openapi.yaml, not in src/api/routes.def"
    for route in marks - rows.keys():
        yield f"{route}: tests are marked with it, but it is not in src/api/routes.def"
