"""custom_data: its digest is of the text that Python prints, and is what the document signs."""

import base64
import hashlib
import json
import random
import shutil
import subprocess

import pytest
from helpers import Server

pytestmark = pytest.mark.route("POST /attestation")
KEY_VALUE = "9724c1e20e6e3e4d7f57ed25f9d4efb006e508590d528c90da597f6a775c13e5"


@pytest.fixture(scope="module", name="server")
def unhurried(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("server"), settings={"nsm_rate": 100000, "nsm_burst": 100000}).start()
    yield s
    s.stop()


def attest(server, text, **more):
    """text: custom_data as JSON text."""
    return server.post("/attestation", '{"custom_data":' + text + "}", **more)


def claims(value):
    """The attested object, which is the very text of the reply's user_data."""
    return json.loads(base64.b64decode(value["attestation_document"]["user_data"], validate=True))


def check(server, text, canonical):
    reply = attest(server, text)
    assert reply.status == 200, reply
    value = reply.json()
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert value["custom_data_canonical"] == canonical
    assert value["custom_digest"] == digest
    assert value["custom_digest_method"] == "sha256"
    assert claims(value) == value["user_data"]
    assert claims(value)["custom_digest"] == digest
    assert claims(value)["custom_digest_method"] == "sha256"
    # the value itself stands in the reply, in the same form
    assert b'"custom_data":' + canonical.encode() + b',"custom_data_canonical":"' in reply.body
    assert json.loads(value["custom_data_canonical"]) == value["custom_data"]


def refused(reply, text, field="body"):
    assert (reply.status, reply.code) == (422, "validation_failed"), reply
    (error,) = reply.json()["errors"]
    assert text in error["message"], error
    assert error["field"] == field
    assert reply.json()["detail"] == f"{field}: {error['message']}"


@pytest.mark.smoke
def test_the_digest_of_the_documented_example(server):
    reply = server.post("/attestation", {"nonce": "00", "custom_data": {"key": "value"}})
    value = reply.json()
    assert value["custom_digest"] == KEY_VALUE
    assert claims(value)["custom_digest"] == KEY_VALUE
    assert value["custom_data_canonical"] == '{"key": "value"}'
    check(server, ' { "\\u006bey"\t:\r\n"value" } ', '{"key": "value"}')


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("{}", "{}"),
        ("[]", "[]"),
        ('""', '""'),
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("false", "false"),
        ("true", "true"),
        ("[null]", "[null]"),
        ('{"a":null}', '{"a": null}'),
        ('"text"', '"text"'),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("1.0", "1.0"),
        ("1e2", "100.0"),
        ("1E16", "1e+16"),
        ("0.00001", "1e-05"),
        ("0.1", "0.1"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5e-324", "5e-324"),
        ('"\\/\\u00e9\\u007f\\ud83d\\ude00"', '"/\\u00e9\\u007f\\ud83d\\ude00"'),
        ('"/é\x7f😀"', '"/\\u00e9\\u007f\\ud83d\\ude00"'),
        ('"\\u0000\\u001f\\b\\f\\n\\r\\t\\"\\\\"', '"\\u0000\\u001f\\b\\f\\n\\r\\t\\"\\\\"'),
        ('{"b":1,"a":[{"d":2,"c":3}],"B":4}', '{"B": 4, "a": [{"c": 3, "d": 2}], "b": 1}'),
        ('{"\U00010000":1,"\uffff":2}', '{"\\uffff": 2, "\\ud800\\udc00": 1}'),
    ],
)
def test_every_type_is_data_in_its_canonical_form(server, text, canonical):
    assert json.dumps(json.loads(text), sort_keys=True) == canonical
    check(server, text, canonical)


@pytest.mark.parametrize("body", ["{}", '{"custom_data":null}', '{"custom_data": null, "include_metadata": null}'])
def test_null_is_no_data(server, body):
    value = server.post("/attestation", body).json()
    assert not [name for name in {**value, **value["user_data"]} if name.startswith("custom_")]
    assert list(claims(value)) == ["purpose", "timestamp", "agent", "guardrail"]


def test_the_canonical_form_is_what_python_prints(server):
    r = random.Random(1)

    def value(depth):
        kind = r.randrange(8 if depth else 6)
        if kind == 6:
            return [value(depth - 1) for _ in range(r.randrange(5))]
        if kind == 7:
            return {"".join(r.choice("aé€😀\"\\\x01/") for _ in range(r.randrange(4))): value(depth - 1) for _ in range(6)}
        return r.choice([None, True, False, r.getrandbits(62) - (1 << 61), r.random() * 10 ** r.randrange(-20, 20),
                         "".join(chr(r.choice([r.randrange(0x20, 0x7F), r.randrange(0x300), r.randrange(0xE000, 0x10FFFF)]))
                                 for _ in range(r.randrange(30)))])

    for _ in range(300):
        data = value(4)
        if data is not None:
            check(server, json.dumps(data, ensure_ascii=r.random() < 0.5), json.dumps(data, sort_keys=True))


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"a":1,"a":2}', 'line 1, column 23: duplicate key "a"'),
        ('[{"b":{}},\n  {"b":{},\n   "\\u0062":1}]', 'line 3, column 4: duplicate key "b"'),
        ('"\\ud800"', "column 17: \\ud800 is half of a surrogate pair"),
        ('"\\ude00\\ud83d"', "column 17: \\ude00 is half of a surrogate pair"),
        ("NaN", 'column 16: a value is expected here, not "NaN"'),
        ("[1,Infinity]", 'column 19: a value is expected here, not "Infinity"'),
        ("-Infinity", 'column 17: a digit is expected here, not "Infinity"'),
        ("1e400", "column 16: the number is too large for a double"),
        ("[-1e400]", "column 17: the number is too large for a double"),
        ("1e-400", "column 16: the number is too close to zero for a double"),
        ("18446744073709551616", "column 16: the integer does not fit into 64 bits"),
        ("9223372036854775808", "column 16: the integer does not fit into 64 bits"),
        ("-9223372036854775809", "column 16: the integer does not fit into 64 bits"),
        ("01", "column 16: a number must not begin with a superfluous 0"),
        ("1.", "column 18: a digit is expected here"),
        ("'a'", "column 16: a value is expected here"),
        ("[1,]", "column 19: a value is expected here"),
        ('{"a":1,}', "column 23: a key in double quotes is expected here"),
        ('{"a" 1}', "column 21: a colon is expected here"),
        ("[1 2]", "column 19: a comma or ] is expected here"),
        ('"a\nb"', "column 18: control character 0x0a must be escaped"),
        ('"\\x"', "column 17"),
        ('"abc', "column 16: this string is not closed"),
        ("// no", "column 16: a value is expected here"),
        ("", "column 16: a value is expected here"),
    ],
)
def test_what_two_readers_could_understand_differently_is_422(server, text, message):
    refused(attest(server, text), message)


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_malformed_utf8_is_422(server, bad):
    refused(server.post("/attestation", b'{"custom_data":"ab' + bad + b'"}'), "line 1, column 19: malformed UTF-8")


def test_512_levels_are_taken_and_513_are_not(server):
    """The body's own object is one of them."""
    check(server, "[" * 511 + "]" * 511, "[" * 511 + "]" * 511)
    check(server, '{"a":' * 511 + "1" + "}" * 511, '{"a": ' * 511 + "1" + "}" * 511)
    refused(attest(server, "[" * 512 + "]" * 512), "column 527: values are nested deeper than 512 levels")
    refused(attest(server, '{"a":' * 512 + "1" + "}" * 512), "values are nested deeper than 512 levels")
    refused(attest(server, "[" * 1000000), "values are nested deeper than 512 levels")


@pytest.mark.parametrize(
    "body, message, field",
    [
        ('{"custom":1}', "Is not a known member.", "custom"),
        ('{"custom_data":1,"Nonce":"00"}', "Is not a known member.", "Nonce"),
        ('{"custom_data":1,"":1}', "Is not a known member.", "body"),
        ('{"custom_data":1,"custom_data":1}', 'duplicate key "custom_data"', "body"),
        ('{"nonce":"00","\\u006eonce":"00"}', 'duplicate key "nonce"', "body"),
        ("[]", "Must be an object, not an array.", "body"),
        ('"x"', "Must be an object, not a string.", "body"),
        ("1", "Must be an object, not an integer.", "body"),
        ("1.5", "Must be an object, not a real number.", "body"),
        ("null", "Must be an object, not null.", "body"),
        ("true", "Must be an object, not true.", "body"),
        ("", "the text is empty", "body"),
        (" ", "the text ends where a value is expected", "body"),
        ("{", "the text ends where a key", "body"),
        ("{} {}", "line 1, column 4: the end of the text is expected here", "body"),
        ("{}\n]", "line 2, column 1: the end of the text is expected here", "body"),
        ("{}\0", "line 1, column 3: the end of the text is expected here", "body"),
        ("\ufeff{}", "byte order mark", "body"),
        ('{"include_metadata":1}', "Must be true or false or null.", "include_metadata"),
        ('{"include_metadata":"true"}', "Must be true or false or null.", "include_metadata"),
    ],
)
def test_a_body_of_another_form_is_422(server, body, message, field):
    refused(server.post("/attestation", body), message, field)


def test_utf16_is_422(server):
    refused(server.post("/attestation", "{}".encode("utf-16")), "line 1, column 1")
    refused(server.post("/attestation", "{}".encode("utf-16-le")), "line 1, column 2")


def test_white_space_around_the_body_is_taken(server):
    assert server.post("/attestation", " \t\r\n{ } \n\n").status == 200


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("sha256sum")), reason="no jq or no sha256sum")
@pytest.mark.parametrize("data", [{"response": "42"}, "é\x7f\"\\\n😀" * 100, [0.1, 1e16, 1e-5, -0.0, 2**53 - 1], {}, "\0"])
def test_a_shell_can_check_the_digest(server, tmp_path, data):
    reply = server.post("/attestation", {"custom_data": data})
    (tmp_path / "reply.json").write_bytes(reply.body)

    def sh(command):
        return subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, check=True, capture_output=True).stdout

    want = reply.json()["user_data"]["custom_digest"]
    assert sh("jq -j .custom_data_canonical reply.json | sha256sum").decode().split()[0] == want
    assert json.loads(sh("jq '.custom_data_canonical | fromjson' reply.json")) == data


def test_a_failed_request_says_nothing_of_the_data(server):
    reply = attest(server, '{"password":"hunter2","password":"hunter3"}')
    assert b"hunter" not in reply.body
    assert "hunter" not in server.stderr
