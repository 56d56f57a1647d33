"""Lies that a reply tells beside a document that is sound. Each: the kinds of replies that can tell it (helpers/simulated.py
makes them by a server, `forged` here without one), the verdict's code and field, and the change to the reply."""

import base64

ATTESTED = ("nonce", "custom")


def forged(forger, kind):
    """A reply of that kind, by a Forger."""
    makers = {"nonce": forger.attested, "info": forger.info, "key_exchange": forger.key_exchange,
              "custom": lambda: forger.attested(custom=[1, "two", None])}
    return makers[kind]()


def other(text):
    return text[:-1] + ("0" if text[-1] != "0" else "1")


def other_b64(text):
    return base64.b64encode(b"\x7b" + base64.b64decode(text)[1:-1] + b"!").decode()


def _shown(change):
    """Of the object that shows the document."""
    return lambda r: change(r["attestation_document"])


LIES = {
    "pcr2": (ATTESTED, "reply_mismatch", "pcr2", lambda r: r.update(pcr2=other(r["pcr2"]))),
    "pcr2 of zeros": (ATTESTED, "reply_mismatch", "pcr2", lambda r: r.update(pcr2="00" * 48)),
    "user_data": (ATTESTED, "reply_mismatch", "user_data", lambda r: r["user_data"].update(agent="Somebody else")),
    "user_data with more": (ATTESTED, "reply_mismatch", "user_data", lambda r: r["user_data"].update(more="more")),
    "user_data with less": (ATTESTED, "reply_mismatch", "user_data", lambda r: r["user_data"].pop("agent")),
    "timestamp": (ATTESTED, "reply_mismatch", "timestamp", lambda r: r.update(timestamp="2020-01-01T00:00:00Z")),
    "nonce_hex": (ATTESTED, "reply_mismatch", "nonce_hex", lambda r: r.update(nonce_hex=other(r["nonce_hex"]))),
    "nonce_hex null": (ATTESTED, "reply_mismatch", "nonce_hex", lambda r: r.update(nonce_hex=None)),
    "a PCR": (ATTESTED, "reply_mismatch", "attestation_document.pcrs", _shown(lambda d: d["pcrs"].update({"0": "5a" * 48}))),
    "a PCR more": (ATTESTED, "reply_mismatch", "attestation_document.pcrs",
                   _shown(lambda d: d["pcrs"].update({"16": "5a" * 48}))),
    "a PCR less": (ATTESTED, "reply_mismatch", "attestation_document.pcrs", _shown(lambda d: d["pcrs"].pop("4"))),
    "the document's module_id": (ATTESTED, "reply_mismatch", "attestation_document.module_id",
                                 _shown(lambda d: d.update(module_id="i-1-enc1"))),
    "the document's timestamp": (ATTESTED, "reply_mismatch", "attestation_document.timestamp",
                                 _shown(lambda d: d.update(timestamp=d["timestamp"] + 1))),
    "the document's digest": (ATTESTED, "reply_mismatch", "attestation_document.digest",
                              _shown(lambda d: d.update(digest="SHA256"))),
    "the document's certificate": (ATTESTED, "reply_mismatch", "attestation_document.certificate",
                                   _shown(lambda d: d.update(certificate=d["cabundle"][0]))),
    "the document's cabundle": (ATTESTED, "reply_mismatch", "attestation_document.cabundle",
                                _shown(lambda d: d["cabundle"].pop())),
    "the document's public_key": (ATTESTED, "reply_mismatch", "attestation_document.public_key",
                                  _shown(lambda d: d.update(public_key="AAAA"))),
    "the document's user_data": (ATTESTED, "reply_mismatch", "attestation_document.user_data",
                                 _shown(lambda d: d.update(user_data=other_b64(d["user_data"])))),
    "the document's nonce": (ATTESTED, "reply_mismatch", "attestation_document.nonce",
                             _shown(lambda d: d.update(nonce="AAAA"))),
    "the document's nonce null": (ATTESTED, "reply_mismatch", "attestation_document.nonce",
                                  _shown(lambda d: d.update(nonce=None))),
    "custom_digest": (("custom",), "reply_mismatch", "custom_digest", lambda r: r.update(custom_digest=other(r["custom_digest"]))),
    "custom_data": (("custom",), "custom_data_mismatch", "custom_data", lambda r: r.update(custom_data="other data")),
    "custom_data_canonical": (("custom",), "custom_data_mismatch", "custom_data_canonical",
                              lambda r: r.update(custom_data_canonical=r["custom_data_canonical"] + " ")),
    "quote": (("info",), "reply_mismatch", "quote", lambda r: r.update(quote=other_b64(r["quote"]))),
    "session_id": (("key_exchange",), "reply_mismatch", "session_id", lambda r: r.update(session_id="A" * 43)),
    "session_key_hash": (("key_exchange",), "reply_mismatch", "session_key_hash",
                         lambda r: r.update(session_key_hash=other(r["session_key_hash"]))),
    "user_key_hash": (("key_exchange",), "reply_mismatch", "user_key_hash",
                      lambda r: r.update(user_key_hash=other(r["user_key_hash"]))),
}
