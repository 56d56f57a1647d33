"""Documents of `attestd simulate`: our verifier and one that knows nothing of us agree on them. (So does openssl's command
line, on every document that helpers/simulator.py asks for.)"""

import pytest
from cryptography import x509
from helpers import strict
from helpers.forge import der
from helpers.verifier import judge, verify

ASKED = [{}, {"nonce": b"n" * 32}, {"user_data": b"u" * 512, "nonce": b"\0" * 512, "public_key": b"k" * 1024},
         {"user_data": b"", "nonce": b"", "public_key": b"k"}]


@pytest.fixture(scope="module")
def documents(simulator):
    return [(asked, simulator.document(**asked)) for asked in ASKED]


@pytest.fixture(scope="module")
def root(simulator):
    return simulator.root.read_text()


def test_ours_accepts_them_with_their_root_and_not_without(documents, root, simulator):
    for asked, document in documents:
        with_root, without = judge([(document, {"root": root}), (document, {})])
        assert with_root.verified and with_root.verdict["root"]["aws"] is False, with_root
        assert with_root.verdict["debug"] is False and with_root.verdict["historic"] is False
        for name in ("nonce", "user_data", "public_key"):
            value = asked.get(name)
            assert with_root.verdict[name] == (None if value is None else value.hex())
        assert without.code == "chain_untrusted", without
        run = verify("--root", simulator.root, "--json", data=document)
        assert run.status == 0 and run.verdict["verified"] is True, run
        assert verify("--json", data=document).verdict["code"] == "chain_untrusted"


def test_a_second_verifier_accepts_them(documents, root):
    der_root = der(x509.load_pem_x509_certificate(root.encode()))
    for asked, document in documents:
        fields = strict.verify(document, der_root, None)
        for name in ("nonce", "user_data", "public_key"):
            assert fields[name] == asked.get(name)
        assert len(fields["cabundle"]) == 4 and len(fields["pcrs"]) == 16


@pytest.mark.filterwarnings("ignore:Parsed a negative serial number")
def test_the_two_verifiers_refuse_the_same_damage(documents, root):
    """Every byte of the frame around the payload, and every 23rd of the rest, changed."""
    _, document = documents[1]
    der_root = der(x509.load_pem_x509_certificate(root.encode()))
    damaged = [document[:i] + bytes([document[i] ^ 1 << i % 8]) + document[i + 1:]
               for i in [*range(12), *range(12, len(document), 23), *range(len(document) - 100, len(document))]]
    for data, answer in zip(damaged, judge([(data, {"root": root}) for data in damaged])):
        assert not answer.verified, answer
        with pytest.raises(strict.Refused):
            strict.verify(data, der_root, None)


def test_a_debug_enclaves_document_is_refused_for_that(make_simulator):
    s = make_simulator("--debug-mode")
    policy = {"root": s.root.read_text()}
    refused, allowed = judge([(s.document(), policy), (s.document(), {**policy, "allow_debug": True})])
    assert refused.code == "debug_mode" and allowed.verified
    # Its root is its own: another simulator's documents do not pass under it.
    other = make_simulator()
    (answer,) = judge([(other.document(), policy)])
    assert answer.code == "chain_untrusted"
    assert answer.verdict["pcrs"] is None
