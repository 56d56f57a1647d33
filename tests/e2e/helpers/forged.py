"""A forger's document for `attestd verify`, and what the command's tests say of a run."""

from .forge import AT, Forger, pcr, pem
from .simulated import check_schema
from .verifier import verify

NONCE = b"n" * 20
WRONG = bytes([0xEE]) * 48  # no PCR of the document


class Forged:
    """A document that does not age, its root, and the flags under which it is accepted."""

    def __init__(self, directory):
        self.forger = Forger()
        self.root = directory / "root.pem"
        self.root.write_text(pem(self.forger.root))
        self.flags = {"--root": self.root, "--at": AT}
        self.file = directory / "document.cose"
        self.file.write_bytes(self.forger.document(nonce=NONCE, user_data=b"hello"))

    def usual(self, *flags):
        """Those that are not among `flags`."""
        return [x for flag, value in self.flags.items() if flag not in flags for x in (flag, str(value))]

    def verify(self, *flags, **how):
        return verify(*self.usual(*flags), *flags, **{"file": self.file, **how})


def code(run):
    """The verdict's code, of a run with --json, whose exit status must fit."""
    assert run.err == ""
    check_schema(run.verdict)
    assert run.status == (0 if run.verdict["verified"] else 1)
    return run.verdict["code"]


def usage_error(run, *texts):
    assert (run.status, run.out) == (2, ""), run
    for text in texts:
        assert text in run.err
    return run.err


def pin(i, value=None):
    """The flags that pin PCR i, to its own value or another."""
    return ["--pcr", f"{i}={(value or pcr(i)).hex()}"]
