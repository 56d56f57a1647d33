"""The canonical form against its definition: Python's json.dumps(json.loads(text), sort_keys=True).

Thousands of seeded texts go through build/unit/canon_tool, which reads and writes them framed by their lengths."""

import json
import math
import os
import random
import re
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("ATTESTD_BUILD", "build") / "unit" / "canon_tool"


def run(texts):
    """[(canonical, quoted)] or [error text] for each text (bytes)."""
    stdin = b"".join(struct.pack(">I", len(t)) + t for t in texts)
    out = subprocess.run([TOOL], input=stdin, stdout=subprocess.PIPE, check=True).stdout
    at = 0

    def framed():
        nonlocal at
        (n,) = struct.unpack_from(">I", out, at)
        at += 4 + n
        return out[at - n : at]

    replies = []
    for _ in texts:
        at += 1
        replies.append((framed(), framed()) if out[at - 1 : at] == b"=" else framed().decode())
    assert at == len(out)
    return replies


def check(texts):
    texts = [t.encode() if isinstance(t, str) else t for t in texts]
    for text, reply in zip(texts, run(texts)):
        want = json.dumps(json.loads(text), sort_keys=True)
        assert not isinstance(reply, str), (text[:200], reply)
        assert reply[0].decode() == want, text[:200]
        assert json.loads(b'"' + reply[1] + b'"') == want, text[:200]


def chunked(texts, n=1000):
    """One array of many texts is checked as one value, which is faster and exercises arrays."""
    return ["[" + ",".join(texts[i : i + n]) + "]" for i in range(0, len(texts), n)]


def double(bits):
    return struct.unpack(">d", struct.pack(">Q", bits))[0]


def test_all_powers_of_two_and_their_neighbours():
    values = []
    for e in range(-1074, 1024):
        v = math.ldexp(1.0, e)
        values += [v, math.nextafter(v, 0.0), math.nextafter(v, math.inf), -v]
    values = [v for v in values if math.isfinite(v) and v != 0]
    assert len(values) > 8000
    check(chunked([repr(v) for v in values]))
    check(chunked(["%.17e" % v for v in values]))


def test_powers_of_ten_and_their_neighbours():
    values = []
    for e in range(-323, 309):
        for v in (float("1e%d" % e), float("9.5e%d" % (e - 1)), float("1.5e%d" % e)):
            values += [v, math.nextafter(v, 0.0), math.nextafter(v, math.inf)]
    check(chunked([repr(v) for v in values if v != 0 and math.isfinite(v)]))


def test_the_table_of_powers_of_ten():
    """Each as the first 128 bits of it, rounded up."""
    source = (ROOT / "src/json/powers.c").read_text()
    ((least, most),) = re.findall(r"NUMBER_POWER_MIN = (-\d+), NUMBER_POWER_MAX = (\d+)", (ROOT / "src/json/number.h").read_text())
    table = [(int(high, 16) << 64) + int(low, 16) for high, low in re.findall(r"{0x(\w{16}), 0x(\w{16})}", source)]
    assert len(table) == int(most) - int(least) + 1
    for e, got in enumerate(table, int(least)):
        power = Fraction(10) ** e
        bits = power.numerator.bit_length() - power.denominator.bit_length()
        bits -= power < Fraction(2) ** bits
        assert got == math.ceil(power / Fraction(2) ** (bits - 127)) and got >> 127 == 1, e


def test_doubles_whose_digits_are_many_or_too_few():
    """Read from what C programs print, and from decimals that lie between two doubles."""
    r = random.Random(6)
    values = [double(r.getrandbits(63)) for _ in range(20000)] + [r.random() for _ in range(20000)]
    values = [v for v in values if math.isfinite(v) and v != 0]
    for form in ("%.16e", "%.17g", "%.18e", "%.25e", "%.40f"):
        check(chunked([form % v for v in values if form[-1] != "f" or 1e-20 < v < 1e20], 5000))
    halves = []
    for _ in range(5000):
        n = r.randrange(2**53, 2**54) | 1  # between two doubles, exactly
        halves += [f"{n}.0", f"{n}.{'0' * 30}1", f"{n - 1}.{'9' * 30}", f"{n}e0", f"{n * 5}e-1", f"{n * 16}.0"]
    check(chunked(halves))


def test_random_doubles_of_every_exponent():
    r = random.Random(1)
    values = []
    for exponent in range(2047):
        for _ in range(40):
            values.append(double(r.getrandbits(1) << 63 | exponent << 52 | r.getrandbits(52)))
        for _ in range(10):  # few bits, so few digits
            values.append(double(exponent << 52 | r.getrandbits(5) << 47))
            values.append(double(exponent << 52 | r.getrandbits(8)))
    values = [v for v in values if v != 0]
    check(chunked([repr(v) for v in values], 5000))


def test_decimals_of_every_length_and_notation():
    r = random.Random(2)
    texts = ["1E5", "1e+05", "0.10", "0.1", "1e16", "1e15", "123456789012345680.0", "1e22", "1e-5", "0.0001", "1e-4"]
    texts += ["0.00010", "-0.0", "-0", "0", "0.0", "0e5", "0E-999", "-0e1", "1.0", "100", "1e23", "9007199254740993.0"]
    texts += ["5e-324", "3e-324", "2.2250738585072014e-308", "1.7976931348623157e308", "0." + "0" * 300 + "1"]
    texts += ["1" + "0" * 300 + ".5", "1." + "0" * 5000 + "1", "0." + "3" * 2000 + "e-10"]
    texts += ["9223372036854775807", "-9223372036854775808", "9223372036854775806", "-9223372036854775807"]
    for _ in range(20000):
        digits = "".join(r.choice("0123456789") for _ in range(r.randrange(1, 20)))
        whole = str(r.randrange(10 ** r.randrange(1, 18)))
        text = r.choice(["", "-"]) + whole
        if r.random() < 0.8:
            text += "." + digits
        if r.random() < 0.6:
            text += r.choice("eE") + r.choice(["", "+", "-"]) + r.choice(["", "0", "00"]) + str(r.randrange(0, 280))
        texts.append(text)
    check(chunked(texts, 200))


def random_character(r):
    kind = r.random()
    if kind < 0.5:
        return chr(r.randrange(0x20, 0x7F))
    if kind < 0.6:
        return chr(r.randrange(0, 0x20))
    if kind < 0.7:
        return r.choice('"\\/\x7f\x80\u07ff\u0800\uffff\ud7ff\ue000\U00010000\U0010ffff\u2028\ufeff')
    if kind < 0.8:
        return chr(r.randrange(0x80, 0x800))
    if kind < 0.9:
        return chr(r.choice([r.randrange(0x800, 0xD800), r.randrange(0xE000, 0x10000)]))
    return chr(r.randrange(0x10000, 0x110000))


def random_string(r, least=0):
    n = r.choice([0, 1, 2, 3, 8, 20, 60, 200])
    if r.random() < 0.5:
        n = r.randrange(0, 12)
    s = "".join(random_character(r) for _ in range(max(n, least)))
    return s


def random_key(r):
    # no U+0000, which is tested on its own; short, so that orders are decided late
    head = r.choice(["", "a", "\uffff", "\U00010000", "\ue000", "\u00e9", "~", "\x7f"])
    return (head + random_string(r)[: r.randrange(0, 4)]).replace("\0", "0")


def random_value(r, depth):
    kind = r.random()
    if depth > 0 and kind < 0.25:
        return [random_value(r, depth - 1) for _ in range(r.randrange(0, 6))]
    if depth > 0 and kind < 0.6:
        return {random_key(r): random_value(r, depth - 1) for _ in range(r.randrange(0, 12))}
    if kind < 0.7:
        return random_string(r)
    if kind < 0.8:
        return r.choice([r.getrandbits(63), -r.getrandbits(63), r.randrange(-100, 100), 2**63 - 1, -(2**63)])
    if kind < 0.9:
        v = double(r.getrandbits(64))
        return v if math.isfinite(v) else -0.0
    return r.choice([None, True, False, 0, -0.0, "", [], {}])


def escape_at_random(r, text):
    """The same JSON text with some of its strings' characters written as escapes, in either case."""
    out, inside, i = [], False, 0
    while i < len(text):
        c = text[i]
        if inside and c == "\\":
            n = 6 if text[i + 1] == "u" else 2
            piece = text[i : i + n]
            out.append(piece[:2] + piece[2:].upper() if n == 6 and r.random() < 0.5 else piece)
            i += n
            continue
        if c == '"':
            inside = not inside
        elif inside and r.random() < 0.2:
            units = c.encode("utf-16-be")
            c = "".join(("\\u%04x" if r.random() < 0.5 else "\\u%04X") % u for (u,) in struct.iter_unpack(">H", units))
        elif inside and c == "/" and r.random() < 0.5:
            c = "\\/"
        out.append(c)
        i += 1
    return "".join(out)


def test_generated_values_in_varied_writing():
    r = random.Random(3)
    texts = []
    for _ in range(20000):
        text = json.dumps(
            random_value(r, r.choice([1, 1, 2, 2, 3])),
            ensure_ascii=r.random() < 0.5,
            indent=r.choice([None, None, 0, 1, "\t"]),
            separators=r.choice([None, (",", ":"), (" ,\r\n", "\t: ")]),
        )
        if r.random() < 0.5:
            text = escape_at_random(r, text)
        texts.append(r.choice(["", " ", "\r\n\t"]) + text + r.choice(["", "\n"]))
    check(texts)


def test_key_order_is_of_code_points_not_of_utf16():
    keys = ["\uffff", "\U00010000", "\ue000", "\ud7ff", "a", "aa", "", "A", "\x7f", "\u0080", "~", "a\u0000b", "a\u0001"]
    check([json.dumps({k: i for i, k in enumerate(keys)}, ensure_ascii=e) for e in (True, False)])
    (reply,) = run([json.dumps({"\U00010000": 1, "\uffff": 2}).encode()])
    assert reply[0] == rb'{"\uffff": 2, "\ud800\udc00": 1}'
    r = random.Random(4)
    check([json.dumps({random_key(r): i for i in range(3000)})])


def test_every_character_of_the_bmp_and_samples_above():
    bmp = [chr(c) for c in range(0x10000) if not 0xD800 <= c < 0xE000]
    astral = [chr(c) for c in range(0x10000, 0x110000, 257)]
    check([json.dumps("".join(bmp), ensure_ascii=e) for e in (True, False)])
    check([json.dumps(astral, ensure_ascii=e) for e in (True, False)])


def test_nesting_up_to_the_limit():
    check(["[" * 512 + "]" * 512, '{"a":' * 512 + "1" + "}" * 512, '[{"b":' * 256 + "[]"[:0] + "2" + "}]" * 256])


def test_a_string_of_megabytes():
    check([json.dumps("x" * (3 << 20)), json.dumps({"k": "\u00e9\\\"" * (1 << 18)}, ensure_ascii=False)])


REFUSED = [
    # text, line, column, part of the message
    (b'{"a": 1, "a": 2}', 1, 10, 'duplicate key "a"'),
    (b'{"a": {}, "\\u0061": 2}', 1, 11, 'duplicate key "a"'),
    (b'[1,\n {"x": [{"k": 1,\n  "k": 2}]}]', 3, 3, 'duplicate key "k"'),
    (b'{"k\\u0000": 1, "k\\u0000": 2}', 1, 16, "duplicate key"),
    (b'["\\ud800"]', 1, 3, "half of a surrogate pair"),
    (b'["\\udc00"]', 1, 3, "half of a surrogate pair"),
    (b'["ab\\ud83dx"]', 1, 5, "half of a surrogate pair"),
    (b'["\\ud83d\\ud83d"]', 1, 3, "half of a surrogate pair"),
    (b'["\xed\xa0\x80"]', 1, 3, "malformed UTF-8"),
    (b'["\xc3\xa9\xff"]', 1, 4, "malformed UTF-8"),
    (b'["\xc0\x80"]', 1, 3, "malformed UTF-8"),
    (b'["\xf4\x90\x80\x80"]', 1, 3, "malformed UTF-8"),
    (b'["\xe2\x82"]', 1, 3, "malformed UTF-8"),
    (b"[\xff]", 1, 2, "malformed UTF-8"),
    (b"[NaN]", 1, 2, '"NaN"'),
    (b"[Infinity]", 1, 2, '"Infinity"'),
    (b"[-Infinity]", 1, 3, '"Infinity"'),
    (b"9223372036854775808", 1, 1, "64 bits"),
    (b"[ -9223372036854775809]", 1, 3, "64 bits"),
    (b"[" + b"1" * 100000 + b"]", 1, 2, "64 bits"),
    (b"[1e400]", 1, 2, "too large"),
    (b"[0,\n-1e309]", 2, 1, "too large"),
    (b"[1e-400]", 1, 2, "too close to zero"),
    (b"[-0.000001e-330]", 1, 2, "too close to zero"),
    (b"[1e-" + b"9" * 30 + b"]", 1, 2, "too close to zero"),
    (b"{} x", 1, 4, "the end of the text"),
    (b"1 2", 1, 3, "the end of the text"),
    (b"\xef\xbb\xbf{}", 1, 1, "byte order mark"),
    (b"[" * 513 + b"]" * 513, 1, 513, "512 levels"),
    (b'{"a":' * 513 + b"1" + b"}" * 513, 1, 2561, "512 levels"),
    (b"[" * 2000000, 1, 513, "512 levels"),
    (b"", 1, 1, "empty"),
    (b"  ", 1, 3, "ends"),
    (b"[1,]", 1, 4, "a value is expected"),
    (b"[,1]", 1, 2, "a value is expected"),
    (b"[1 2]", 1, 4, "a comma or ]"),
    (b'{"a" 1}', 1, 6, "a colon"),
    (b'{"a": 1,}', 1, 9, "a key in double quotes"),
    (b"{a: 1}", 1, 2, "a key in double quotes"),
    (b"{'a': 1}", 1, 2, "a key in double quotes"),
    (b'{"a": 1', 1, 8, "a comma or }"),
    (b'["abc', 1, 2, "not closed"),
    (b'["abc\\', 1, 6, "not an escape"),
    (b'["\\q"]', 1, 3, "not an escape"),
    (b'["\\u12g4"]', 1, 3, "four hexadecimal digits"),
    (b'["\\u12', 1, 3, "four hexadecimal digits"),
    (b'["a\nb"]', 1, 4, "control character 0x0a"),
    (b'["a\x00b"]', 1, 4, "control character 0x00"),
    (b"\x00", 1, 1, "a value is expected"),
    (b"[1\x00]", 1, 3, "a comma or ]"),
    (b"true\x00", 1, 5, "the end of the text"),
    (b"[01]", 1, 2, "superfluous 0"),
    (b"[-01]", 1, 2, "superfluous 0"),
    (b"[1.]", 1, 4, "a digit is expected"),
    (b"[.5]", 1, 2, "a value is expected"),
    (b"[1e]", 1, 4, "a digit is expected"),
    (b"[1e+]", 1, 5, "a digit is expected"),
    (b"[-]", 1, 3, "a digit is expected"),
    (b"[+1]", 1, 2, "a value is expected"),
    (b"[tru]", 1, 2, '"tru"'),
    (b"[1]//x", 1, 4, "the end of the text"),
    ("{\"\u00e9\u00e9\": 1, \"\u00e9\u00e9\": 2}".encode(), 1, 11, "duplicate key"),
]


@pytest.mark.parametrize("text,line,column,part", REFUSED, ids=range(len(REFUSED)))
def test_refusals_say_where_and_what(text, line, column, part):
    (reply,) = run([text])
    assert isinstance(reply, str), reply[0]
    assert reply.startswith(f"line {line}, column {column}: "), reply
    assert part in reply
    assert len(reply) < 160 and reply.isprintable()


def test_long_and_unprintable_input_is_not_echoed():
    key = b"\x1b[31m" + b"x" * 1000
    text = b'{"' + key.replace(b"\x1b", b"\\u001b") + b'":1,"' + key.replace(b"\x1b", b"\\u001b") + b'":2}'
    (reply,) = run([text])
    assert reply == 'line 1, column 1017: duplicate key "\\x1b[31m' + "x" * 32 + '..."'


def mutate(r, text):
    text = bytearray(text)
    for _ in range(r.randrange(1, 4)):
        at = r.randrange(len(text)) if text else 0
        kind = r.random()
        if kind < 0.4 and text:
            del text[at]
        elif kind < 0.7:
            text.insert(at, r.choice(b'{}[],:"\\u0019eE+-.tfn \n'))
        elif text:
            text[at] = r.randrange(256)
    return bytes(text)


def strict_loads(text):
    """json.loads with the refusals of json.h; raises ValueError."""

    def pairs(members):
        if len({k for k, _ in members}) != len(members):
            raise ValueError("duplicate")
        return dict(members)

    def integer(s):
        if len(s) > 20 or not -(2**63) <= int(s) < 2**63:
            raise ValueError("too large")
        return int(s)

    def real(s):
        v = float(s)
        if math.isinf(v) or (v == 0 and any(c in "123456789" for c in s.lower().partition("e")[0])):
            raise ValueError("range")
        return v

    def constant(s):
        raise ValueError(s)

    value = json.loads(
        text.decode("utf-8"), object_pairs_hook=pairs, parse_int=integer, parse_float=real, parse_constant=constant
    )
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # lone surrogates
    return value


def test_damaged_texts_are_refused_exactly_when_python_refuses_them():
    r = random.Random(5)
    texts = []
    for _ in range(30000):
        value = random_value(r, 2)
        text = json.dumps(value, ensure_ascii=r.random() < 0.5).encode()
        texts.append(mutate(r, text[:300] if r.random() < 0.1 else text))
    refused = 0
    for text, reply in zip(texts, run(texts)):
        try:
            want = json.dumps(strict_loads(text), sort_keys=True)
        except (ValueError, RecursionError):
            refused += 1
            assert isinstance(reply, str), text
            assert reply.startswith("line "), reply
        else:
            assert not isinstance(reply, str), (text, reply)
            assert reply[0].decode() == want
    assert 1000 < refused < len(texts) - 1000


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
