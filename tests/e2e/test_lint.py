"""The checks of `make lint` see what they are there to see, and are content with a sound tree."""

import subprocess
import sys
from pathlib import Path

import pytest

LINT = Path(__file__).resolve().parents[1] / "lint"
sys.path.insert(0, str(LINT))

import calls  # noqa: E402
import codes  # noqa: E402
import layers  # noqa: E402
import mutable  # noqa: E402
import routes  # noqa: E402
import words  # noqa: E402

OPENAPI = """
paths:
  /health:
    get:
      x-reach: [local, public]
components:
  responses: {}
  schemas:
    Problem: {properties: {code: {enum: [replay]}}}
    Verdict: {properties: {code: {enum: [verified, stale]}, checks: {items: {properties: {name: {enum: [input]}}}}}}
"""

SOUND = {
    "include/base/err.h": '#define ERR_TABLE(X) \\\n\tX(OK, 200, "ok", "Success") \\\n\tX(REPLAY, 409, "replay", "Seen before")\n',
    "include/cborio.h": '#include "base/err.h"\n',
    "include/crypto.h": '#include <stdint.h>\n#include "base/err.h"\n',
    "include/json.h": "",
    "include/http.h": "",
    "include/verify.h": '#define VERIFY_CODES(X) \\\n\tX(VERIFIED, "verified", "Good") \\\n\tX(STALE, \\\n\t  "stale", "Old")\n#define Y(X) X(Y, "y")\n',
    "include/session.h": '#include "crypto.h"\n',
    "include/api.h": '#include "http.h"\n#include "session.h"\n',
    "include/cmd.h": "",
    "include/config.h": '#include "../src/config/keys.def"\n',
    "src/config/keys.def": 'CONFIG_STR(listen, "", 1, SEC, "x")\n#define CONFIG_INT(key, x)\n',
    "src/crypto/hash.c": '#include <openssl/evp.h>\n#include "crypto.h"\n#include "internal.h"\n',
    "src/crypto/internal.h": "",
    "src/api/health.c": '#include "api.h"\n',
    "src/attest/verdict.h": '#define VERIFY_CHECKS(X) \\\n\tX(INPUT, "input")\n#define Y(X) X(Y, "y")\n',
    "src/api/routes.def": 'ROUTE(GET, "/health", HTTP_LOCAL | HTTP_PUBLIC, NO_BODY, api_health)\n',
    "src/main.c": '#include "base/err.h"\n#include "cmd.h"\n',
    "configs/attestd.conf": "# Where.\n# listen = x\n",
    "openapi.yaml": OPENAPI,
    "tests/e2e/test_health.py": 'import pytest\n@pytest.mark.route("GET /health")\ndef test(): pass\n',
}


@pytest.fixture
def tree(tmp_path):
    """A small sound tree; called with (path, text) it puts a file there."""

    def put(path, text, append=False):
        p = tmp_path / path
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text((p.read_text() if append else "") + text)

    for path, text in SOUND.items():
        put(path, text)
    put.root = tmp_path
    return put


def all_faults(root):
    found = []
    for check in (layers.check, calls.check, words.check, routes.check, codes.check, codes.verdicts, codes.keys):
        found += check(root)
    return found


def test_a_sound_tree_has_no_faults(tree):
    assert all_faults(tree.root) == []


@pytest.mark.parametrize(
    "path, line, fault",
    [
        ("src/crypto/hash.c", '#include "session.h"', "session is not below it"),
        ("src/crypto/hash.c", '#include "json.h"', "json is not below it"),
        ("src/crypto/hash.c", '#include "cborio.h"', "cbor is not below it"),
        ("include/base/err.h", '#include "config.h"', "config is not below it"),
        ("include/http.h", '#include "api.h"', "api is not below it"),
        ("src/api/health.c", '#include "../crypto/internal.h"', "private to src/crypto"),
        ("src/api/health.c", '#include "crypto/internal.h"', "private to src/crypto"),
        ("src/api/health.c", '#include "gone.h"', "not in the tree"),
        ("src/api/health.c", "#include <openssl/evp.h>", "belongs to src/crypto alone"),
        ("src/api/health.c", "#include <microhttpd.h>", "belongs to src/http alone"),
        ("src/api/health.c", "#include <sqlite3.h>", "belongs to src/store alone"),
        ("src/api/health.c", "#include <cbor.h>", "belongs to src/cbor alone"),
        ("src/api/health.c", "#include <cbor/encoding.h>", "belongs to src/cbor alone"),
        ("src/api/health.c", "#include <curl/curl.h>", "neither a system header"),
        ("include/crypto.h", "#include <openssl/evp.h>", "a contract header shows"),
        ("src/main.c", '#include "api.h"', "main.c may include"),
        ("src/extra/new.c", "", "no layer called extra"),
        ("include/extra.h", "", "no layer called extra"),
    ],
)
def test_an_include_against_the_layers_is_seen(tree, path, line, fault):
    tree(path, line + "\n", append=path in SOUND)
    assert [f for f in layers.check(tree.root) if fault in f]


@pytest.mark.parametrize("line", ['// #include "session.h"', '/* #include <curl/curl.h> */', '#include <sys/socket.h>'])
def test_what_is_no_such_include_is_let_through(tree, line):
    tree("src/crypto/hash.c", line + "\n", append=True)
    assert list(layers.check(tree.root)) == []


@pytest.mark.parametrize(
    "line, fault",
    [(f"\t{c}(a, b);", f"{c} is banned") for c in calls.BANNED.split()]
    + [
        ("\treturn time(NULL);", "time is called only in src/base/clock.c"),
        ("\tclock_gettime(CLOCK_REALTIME, &t);", "clock_gettime is called only"),
        ("\tx = rand();", "rand is called only in no file"),
        ("\tif (memcmp(a, tag, 16) == 0)", "memcmp on what looks like a secret"),
        ("\tif (memcmp(kek->b, x, n) != 0)", "memcmp on what looks like a secret"),
        ("\tif (!memcmp(x->session_key, y, n))", "memcmp on what looks like a secret"),
        ("\tif (!strcmp(password, y))", "strcmp on what looks like a secret"),
        ('\tJSON_PUT_KEY(&b, "a\\"b");', "JSON_PUT_KEY takes a literal"),
        ('\tJSON_PUT_KEY(&b, "a b");', "JSON_PUT_KEY takes a literal"),
        ('\tJSON_PUT_KEY(&b, "\u00e9");', "JSON_PUT_KEY takes a literal"),
        ('\tJSON_PUT_KEY(&b, "");', "JSON_PUT_KEY takes a literal"),
        ("\tJSON_PUT_KEY(&b, NAME);", "JSON_PUT_KEY takes a literal"),
    ],
)
def test_a_banned_call_is_seen(tree, line, fault):
    tree("src/crypto/hash.c", f"{line}\n", append=True)
    assert [f for f in calls.check(tree.root) if fault in f]


@pytest.mark.parametrize(
    "line",
    ["\tsnprintf(a, n, x);", "\t/* strcpy(a, b) */", '\tlog("strcpy(a, b)");', "\tint64_t time(void);", "\tx->time(y);",
     "\tmy_strcpy(a);", '\tJSON_PUT_KEY(&op->reply, "session_id");', '\tjson_put_key(&b, name);', "\tif (memcmp(name, \"tag\", 3) == 0)", "\tif (memcmp(stage, x, n))"],
)
def test_what_is_no_banned_call_is_let_through(tree, line):
    tree("src/crypto/hash.c", f"{line}\n", append=True)
    assert list(calls.check(tree.root)) == []


@pytest.mark.parametrize("where", ["src/api/health.c", "include/http.h", "tests/unit/test_x.c", "README.md", "configs/attestd.conf"])
@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "X" + "XX"])
def test_a_word_that_promises_work_is_seen(tree, where, word):
    tree(where, f"/* {word}: later */\n")
    assert list(words.check(tree.root)) == [f"{where}:1: {word}"]


def test_a_template_of_mkstemp_is_not_such_a_word(tree):
    tree("src/api/health.c", "/* /tmp/attestd." + "X" * 6 + " */\n")
    assert list(words.check(tree.root)) == []


@pytest.mark.parametrize("lines, expected", [(400, []), (401, [False]), (600, [False]), (601, [True])])
def test_long_files_are_told_and_very_long_ones_are_faults(tree, lines, expected):
    tree("src/api/long.c", "\n" * lines)
    assert [fault for fault, _ in words.lengths(tree.root)] == expected


def test_a_route_that_is_not_described_is_seen(tree):
    tree("openapi.yaml", OPENAPI.replace("/health", "/other"))
    assert [f for f in routes.check(tree.root) if f == "GET /health: not in openapi.yaml"]
    assert [f for f in routes.check(tree.root) if f == "GET /other: in openapi.yaml, not in src/api/routes.def"]


def test_a_route_without_its_file_is_seen(tree):
    (tree.root / "src/api/health.c").unlink()
    assert list(routes.check(tree.root)) == ["GET /health: its handler api_health is not in src/api/health.c"]


def test_a_route_without_a_test_is_seen(tree):
    tree("tests/e2e/test_health.py", "# pytest.mark.route('GET /health')\n")
    assert list(routes.check(tree.root)) == ['GET /health: no end-to-end test is marked @pytest.mark.route("GET /health")']


def test_a_test_of_a_route_that_does_not_exist_is_seen(tree):
    tree("tests/e2e/test_more.py", 'import pytest\n@pytest.mark.route("GET /gone")\ndef test(): pass\n')
    assert list(routes.check(tree.root)) == ["GET /gone: tests are marked with it, but it is not in src/api/routes.def"]


def test_a_different_reach_is_seen(tree):
    tree("openapi.yaml", OPENAPI.replace("[local, public]", "[local]"))
    assert [f for f in routes.check(tree.root) if "x-reach" in f]


def test_a_different_body_is_seen(tree):
    tree("src/api/routes.def", SOUND["src/api/routes.def"].replace("NO_BODY", "BODY"))
    assert [f for f in routes.check(tree.root) if "takes a body" in f]


def test_a_row_of_another_form_is_seen(tree):
    tree("src/api/routes.def", "ROUTE(GET, PATH, HTTP_LOCAL, NO_BODY, api_x)\n", append=True)
    assert [f for f in routes.check(tree.root) if "not of the form" in f]


def test_a_code_that_is_not_described_is_seen(tree):
    tree("include/base/err.h", '\tX(BUSY, 503, "busy", "Busy")\n', append=True)
    assert list(codes.check(tree.root)) == ["openapi.yaml: Problem's code lacks busy of include/base/err.h"]


def test_a_code_that_is_never_sent_is_seen(tree):
    tree("openapi.yaml", OPENAPI.replace("[replay]", "[replay, ok]"))
    assert list(codes.check(tree.root)) == ["openapi.yaml: Problem's code lists ok, which include/base/err.h does not send"]


@pytest.mark.parametrize("status, title", [(400, "Seen before"), (409, "Something else")])
def test_an_example_that_the_table_denies_is_seen(tree, status, title):
    problem = f"{{type: 'about:blank', title: {title}, status: {status}, code: replay}}"
    tree("openapi.yaml", OPENAPI.replace("responses: {}", f"responses: {{Replay: {{example: {problem}}}}}"))
    assert [f for f in codes.check(tree.root) if "an example says replay" in f]


@pytest.mark.parametrize(
    "path, old, new, fault",
    [
        ("openapi.yaml", "verified, stale", "verified", "Verdict's code lacks stale of include/verify.h"),
        ("openapi.yaml", "verified, stale", "verified, stale, y", "Verdict's code lists y, which include/verify.h does not have"),
        ("src/attest/verdict.h", "input", "reply", "Verdict's checks lacks reply of src/attest/verdict.h"),
    ],
)
def test_the_verdicts_in_openapi_and_in_the_verifier_are_the_same(tree, path, old, new, fault):
    tree(path, SOUND[path].replace(old, new))
    assert f"openapi.yaml: {fault}" in list(codes.verdicts(tree.root))


def test_a_key_that_is_not_told_of_is_seen(tree):
    tree("src/config/keys.def", 'CONFIG_INT(more, 1, 0, 2, OPS, "x")\n', append=True)
    assert list(codes.keys(tree.root)) == ["configs/attestd.conf: does not tell of more"]


def test_a_key_that_does_not_exist_is_seen(tree):
    tree("configs/attestd.conf", "gone = 1\n", append=True)
    assert list(codes.keys(tree.root)) == ["configs/attestd.conf: tells of gone, which src/config/keys.def does not have"]


@pytest.mark.parametrize(
    "line, seen",
    [
        ("int counter;", True),
        ("static int counter = 3; int *f(void); int *f(void) { return &counter; }", True),
        ("_Thread_local int counter;", True),
        ("int f(void); int f(void) { static int counter; return counter++; }", True),
        ("const int table[] = {1, 2};", False),
        ('const char *const names[] = {"a", "b"};', False),
    ],
)
def test_a_mutable_global_is_seen(tmp_path, line, seen):
    (tmp_path / "x.c").write_text(line + "\n")
    subprocess.run(["cc", "-fPIE", "-c", "x.c", "-o", "x.o"], cwd=tmp_path, check=True)
    faults = list(mutable.check(tmp_path))
    assert bool(faults) == seen
    assert all("a mutable global" in f for f in faults)


def test_no_objects_at_all_is_a_fault(tmp_path):
    assert "build first" in next(iter(mutable.check(tmp_path)))


@pytest.mark.parametrize("word, status", [("", 0), ("TO" + "DO", 1)])
def test_the_command_exits_with_1_when_there_is_a_fault(tree, word, status):
    tree("README.md", word)
    run = subprocess.run([sys.executable, LINT / "run.py", "--root", tree.root], capture_output=True, text=True)
    assert run.returncode == status, run.stdout + run.stderr
    assert run.stdout.endswith(f"lint: {status} faults\n")
