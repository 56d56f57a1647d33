"""What an outsider has attested raw can pass for none of our claims, whoever reads it and however: against Python.

100 000 seeded texts go through build/unit/raw_tool (attest_raw_check), as UTF-8 and framed by their lengths. Of each that
it accepts, no reading of its bytes as UTF-8, UTF-16 or UTF-32 may be a JSON object. Beyond these no JSON is defined (RFC 8259
knows UTF-8 alone, RFC 4627 all three), and nothing is said of them here: in UTF-7 `+AHs-` is a brace, in the EBCDIC of
Germany (cp273) `C` is.
"""

import json
import random
import struct
import subprocess

import pytest
from helpers.server import BUILD, ENVIRONMENT, RUNNER

TOOL = BUILD / "unit" / "raw_tool"
MAX = 512
TEXTS = 100_000
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
# Readers that make the best of what is broken find more than strict ones do.
LENIENCE = ["strict", "surrogatepass", "ignore", "replace"]
BOM = "\ufeff"
WHITE = [" ", "\t", "\n", "\r", "\r\n", "  ", "\x0b", "\x0c", "\xa0", "\u2028", "\u3000", "\x00", ""]
CLAIMS = [
    {"purpose": "attestation", "timestamp": "2026-01-30T12:00:00Z", "agent": "OpenClaw"},
    {"purpose": "key-exchange", "session_id": "A" * 43, "session_key_hash": "ab" * 32, "user_key_hash": "cd" * 32},
    {"purpose": "info", "info_digest": "00" * 32, "info_digest_method": "sha256"},
    {"purpose": "tls", "tls_cert_hash": "ff" * 32, "key_origin": "generated"},
    {"purpose": "peer", "role": "server", "key_hash": "11" * 32, "agent": "ü\u20ac\U0001f600"},
    {"purpose": ""},
    {},
]


def judged(texts):
    """[accepted?] for each text (bytes)."""
    stdin = b"".join(struct.pack(">I", len(t)) + t for t in texts)
    out = subprocess.run([*RUNNER, TOOL], input=stdin, stdout=subprocess.PIPE, check=True, env=ENVIRONMENT).stdout
    assert len(out) == len(texts) and set(out) <= set(b"=!")
    return [c == ord("=") for c in out]


def accepts(text):
    return judged([text])[0]


def is_object(text):
    """Does `json` read an object out of this (str, or bytes of which it finds the encoding out itself)? Also where something
    stands behind it: not every reader minds."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        pass
    if isinstance(text, bytes):
        return False
    for start in {0, len(text) - len(text.lstrip(BOM + "\x00 \t\r\n\x0b\x0c\xa0\u2028\u3000\ufffd"))}:
        try:
            if isinstance(json.JSONDecoder(strict=False).raw_decode(text, start)[0], dict):
                return True
        except (ValueError, RecursionError):
            pass
    return False


def readings(data):
    """All that the bytes may be taken for: themselves, and what each decoder makes of them."""
    yield data
    for encoding in ENCODINGS:
        for errors in LENIENCE:
            try:
                yield data.decode(encoding, errors)
            except UnicodeError:
                pass


def hostile(data):
    return any(is_object(reading) for reading in readings(data))


# ---- generators: texts as they come over vsock, so all of them have a UTF-8 ----


def spelt(r, value):
    """A claim as JSON in one of its many spellings."""
    separators = (r.choice([", ", ",", " ,\n", ",\t"]), r.choice([": ", ":", " :\r\n"]))
    text = json.dumps(value, ensure_ascii=r.random() < 0.5, separators=separators, indent=r.choice([None, None, 1, "\t"]))
    if r.random() < 0.3:
        text = text.replace("purpose", "".join(r.choice([c, f"\\u{ord(c):04x}"]) for c in "purpose"))
    return "".join(r.choice(WHITE) for _ in range(r.randrange(3))) + text + "".join(r.choice(WHITE) for _ in range(r.randrange(3)))


def as_characters(data):
    """Bytes as a text whose UTF-8 is those bytes; None where there is none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def widened(r, text):
    """The text in UTF-16 or UTF-32, as characters whose UTF-8 is those very bytes; all else is left out to get there."""
    text = "".join(c for c in text if c < "\x80")
    data = text.encode(r.choice(["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]))
    return as_characters(data)


def reread(r, text):
    """Characters whose own code units hold the text's bytes: `{"` as U+227B and so on."""
    data = text.encode(r.choice(["utf-8", "utf-16-le", "utf-16-be"]))
    encoding = r.choice(["utf-16-le", "utf-16-be", "latin-1"])
    return (data + b" " * (len(data) % 2)).decode(encoding, "ignore").encode("utf-8", "ignore").decode()


def without_rule(text):
    """What is left of the text when all that the rule is about is taken out, or something like it put in its place."""
    return "".join(c for c in text if c >= " " and c not in "{\ufeff")


LOOKALIKES = ["\uff5b", "\u2774", "\u007f", "[", "(", "\\u007b", "\\x7b", "&#123;", "%7B", "\ufffe", "\ufffd",
              "{\u0301", "\u017b", "\u7b00", "\u7b7b", "\u7b22", "\u227b", "\U00017b7b", "\U0007b07b", "\u00fb", "\u00c0"]


def disguised(r, text):
    """The text with something that looks or is stored like a brace in place of each."""
    return "".join(r.choice(LOOKALIKES) if c == "{" else c for c in text if c >= " " and c != BOM)


def mutated(r, text):
    chars = list(text) or [" "]
    for _ in range(r.randrange(1, 6)):
        at = r.randrange(len(chars))
        what = r.random()
        if what < 0.3:
            chars[at] = chr(r.choice([r.randrange(0x80), r.randrange(0x100), 0x7B, 0x7D, 0xFEFF, 0xFFFE, 0]))
        elif what < 0.5:
            chars.insert(at, r.choice(["\x00", BOM, "{", "}", '"', " ", "\x7f", "\ufffe", r.choice(LOOKALIKES)]))
        elif what < 0.7 and len(chars) > 1:
            del chars[at]
        else:
            chars = chars[at:] + chars[:at]
    return "".join(chars)


def prose(r):
    """What people do have attested: words, ids, hex, base64, lists, numbers, URLs."""
    words = ["hello-from-enclave", "run-42", "2026-01-30", "[1, 2, 3]", '"purpose"', '"purpose":"key-exchange"}', "null", "true",
             "-1.5e3", "ünïcødé", "\U0001f600", "https://example.org/?a=b", "deadbeef" * 4, "QUJDREVG" * 3 + "==", "}", "\x7f"]
    return r.choice([" ", "", ",", "|"]).join(r.choice(words) for _ in range(r.randrange(0, 8)))


def random_text(r):
    top = r.choice([0x80, 0x100, 0x800, 0x10000, 0x110000])
    chars = (chr(r.randrange(top)) for _ in range(r.randrange(0, 40)))
    return "".join(c for c in chars if not "\ud800" <= c <= "\udfff")


def generate(r):
    claim = spelt(r, r.choice(CLAIMS))
    kind = r.randrange(12)
    if kind == 0:
        text = claim
    elif kind == 1:
        text = BOM * r.randrange(1, 3) + claim
    elif kind == 2:
        text = r.choice([widened, reread])(r, claim)
    elif kind == 3:
        text = r.choice(["", BOM]) + "\x00".join(claim[:r.randrange(40)]) + r.choice(["", "\x00"]) + claim[40:]
    elif kind == 4:
        text = without_rule(claim)
    elif kind == 5:
        text = disguised(r, claim)
    elif kind == 6:
        text = mutated(r, claim)
    elif kind == 7:
        text = mutated(r, disguised(r, claim))
    elif kind == 8:
        text = prose(r) + r.choice(["", " ", "\n", "\x00", BOM]) + r.choice([claim, without_rule(claim)])
    elif kind == 9:
        text = prose(r)
    elif kind == 10:
        text = reread(r, disguised(r, claim))
    else:
        text = random_text(r)
    return (text or "").encode()


def by_rule(data):
    """The rule, once more."""
    return len(data) <= MAX and b"{" not in data and b"\xef\xbb\xbf" not in data and all(c >= 0x20 for c in data)


@pytest.mark.slow
def test_no_text_that_is_accepted_reads_as_an_object():
    r = random.Random(7)
    texts = [generate(r) for _ in range(TEXTS)]
    verdicts = judged(texts)
    assert verdicts == [by_rule(t) for t in texts]
    good = [t for t, accepted in zip(texts, verdicts) if accepted]
    # A check that accepts nothing, or is never tempted, would prove nothing.
    assert len(good) > TEXTS // 5 and len(set(good)) > TEXTS // 10
    assert len(set(texts)) > TEXTS // 2
    for text in set(good):
        assert not hostile(text), text
    sample = r.sample(sorted({t for t, accepted in zip(texts, verdicts) if not accepted}), TEXTS // 20)
    assert sum(map(hostile, sample)) > len(sample) // 3


def spellings():
    """Every claim of ours in every way that a reader could take for it, as bytes."""
    for value in CLAIMS:
        plain = [json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, separators=(",", ":")),
                 json.dumps(value, indent=2), json.dumps(value, indent="\t").replace("\n", "\r\n")]
        for text in plain:
            for white in ("", " ", "\n", "\r\n\t "):
                for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
                    yield (white + text + white).encode(encoding)
                yield (BOM + white + text).encode("utf-16-be")
                yield (BOM + white + text).encode("utf-32-be")
                yield (BOM + BOM + text).encode()
                yield (white + BOM + text).encode()


def test_every_spelling_of_our_claims_is_refused():
    texts = list(spellings())
    read = [t for t in texts if hostile(t)]
    assert len(read) > len(texts) * 3 // 4  # Python does read them
    assert not any(judged(texts))


def test_the_readings_find_what_is_there():
    """The oracle itself: were these accepted, the test above would see it."""
    claim = '{"purpose": "key-exchange"}'
    assert all(hostile(claim.encode(encoding)) for encoding in ENCODINGS)
    assert all(hostile(BOM.encode(encoding) + claim.encode(encoding)) for encoding in ENCODINGS)
    assert hostile(b"\n " + claim.encode() + b"\n") and hostile(claim.encode() + b" and more")
    assert hostile(b"\xff" + claim.encode())  # with what is broken left out
    assert not any(map(hostile, (b"", b"[1]", b"hello", b'"{}"', b"}{", b"null", b"\xff\xfe")))


def test_only_a_brace_has_the_byte_of_one_in_utf8():
    """So the rule refuses nothing that people write but the brace itself."""
    for c in map(chr, range(0x110000)):
        if not "\ud800" <= c <= "\udfff":
            assert (b"{" in c.encode()) is (c == "{")


@pytest.mark.parametrize("tail", ["x", "ü", "\U0001f600"])
def test_the_longest_user_data_is_accepted_and_one_byte_more_is_not(tail):
    tail = tail.encode()
    assert accepts(b"x" * (MAX - len(tail)) + tail)
    assert not accepts(b"x" * (MAX + 1 - len(tail)) + tail)
    assert accepts(b"") and not accepts(b"x" * 65536)
