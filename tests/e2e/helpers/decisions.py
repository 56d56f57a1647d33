"""What the verifier has to say of each variant that mutate.py makes."""

import re

COSE, PAYLOAD, ALGORITHM = {"cose_malformed"}, {"payload_malformed"}, {"algorithm_unsupported"}
SIGNATURE, BROKEN, UNTRUSTED = {"signature_invalid"}, {"chain_broken"}, {"chain_untrusted"}
DER, KIND, CONSTRAINT = {"certificate_malformed"}, {"certificate_unsupported"}, {"certificate_constraint"}
LATE, EARLY, SIZE = {"certificate_expired"}, {"certificate_not_yet_valid"}, {"input_too_large"}

# Variants to be refused: the first pattern that fits a name says with which codes. Where there are several, the variant
# damages bytes blindly, or has two faults of which either may be seen first.
REJECT = [
    # the outer structure, under AWS's own signature
    (r"aws-outer-tiny-empty", {"input_unrecognized"}),
    (r"aws-outer-unprot-deep-.*", SIZE),
    (r"aws-outer-.*", COSE),
    (r"aws-trunc-.*", COSE),
    # the header that says how it was signed
    (r"(aws|test)-prot-alg-(dup|dup-diff)", COSE),
    (r"(aws|test)-prot-(alg-.*|truncated|nonminimal)", ALGORITHM),
    (r"(aws|test)-prot-.*", COSE),
    # the signature
    (r"aws-sig-(der|short95|long97|lead0-98|double192|empty|p256size|half48|text|null|array|int)", COSE),
    (r"aws-sig-.*", SIGNATURE),
    (r"test-sig-.*", SIGNATURE),
    (r"test-tbs-.*", SIGNATURE),
    # flipped bits in what AWS signed
    (r"aws-flip-(maphead|.*-head)", PAYLOAD),
    (r"aws-flip-digest-.*", PAYLOAD),
    (r"aws-flip-pcrs-mid", PAYLOAD | SIGNATURE),
    (r"aws-flip-(certificate|cabundle)-mid", DER | KIND | CONSTRAINT | BROKEN),
    (r"aws-flip-(certificate|cabundle)-last", BROKEN),
    (r"aws-flip-.*", SIGNATURE),
    # the payload, properly signed
    (r"test-nitrotpm", {"nitrotpm_document"}),
    (r"test-(missing|null|undefined|false|type|dup)-.*", PAYLOAD),
    (r"test-payload-.*", PAYLOAD),
    (r"test-paytrunc-.*", PAYLOAD),
    (r"test-module_id-.*", PAYLOAD),
    (r"test-digest-.*", PAYLOAD),
    (r"test-timestamp-(int63|one-day-late)", LATE),
    (r"test-timestamp-(seconds|one-day-early)", EARLY),
    (r"test-timestamp-.*", PAYLOAD),
    (r"test-pcrs-.*", PAYLOAD),
    (r"test-len-.*-65536", SIZE),
    (r"test-len-.*", PAYLOAD),
    (r"test-(public_key|user_data|nonce)-hugelen", PAYLOAD),
    (r"test-deep-.*", SIZE),
    # the chain
    (r"test-wrong-root", UNTRUSTED),
    (r"test-chain-(empty|leaf-empty)", PAYLOAD),
    (r"test-chain-(reversed|root-last|other-root-full|leaf-no-bundle-selfsigned)", UNTRUSTED),
    (r"test-chain-(leaf-only-root|missing-int[123]|swap12)", BROKEN),
    (r"test-chain-(leaf-selfsigned|leaf-forged-issuer)", BROKEN),
    (r"test-chain-leaf-is-root", BROKEN),
    (r"test-chain-leaf-is-ca", CONSTRAINT),
    (r"test-chain-(leaf|int[123])-expired", LATE),
    (r"test-chain-(leaf|int[123])-notyet", EARLY),
    (r"test-chain-(leaf|int[123])-(badsig|wrongissuer)", BROKEN),
    (r"test-chain-(leaf|int[123])-(notca|nobc|nocertsign|nods|unknown-critical|dupbc)", CONSTRAINT),
    (r"test-chain-(leaf|int[123])-p256", KIND),
    (r"test-chain-(leaf|int[123])-(algmismatch|v1|trailing|truncated|pem|garbage|ber-indef|derhuge)", DER),
    (r"test-chain-leaf-point-.*", KIND),
    (r"test-chain-pathlen.*", CONSTRAINT),
    (r"test-cabundle-elem-trailing", DER),
    (r"test-cabundle-concat", PAYLOAD),
    (r"test-cabundle-.*", PAYLOAD),
    (r"test-time-late", LATE),
    (r"test-time-early", EARLY),
    (r"aws-chain-.*", BROKEN),
]

ACCEPTED = {"verified"}
# Variants about which one may be of two minds: how we decided, and why.
POLICY = {
    "aws-outer-tag18": (ACCEPTED, "RFC 9052 allows the tag, and it changes nothing of what is signed"),
    "aws-sig-negated-s": (ACCEPTED, "ECDSA has two signatures for one; the NSM itself emits high and low s alike"),
    "test-reordered-keys": (ACCEPTED, "the order of a map has no meaning in CBOR"),
    "test-pcrs-unordered": (ACCEPTED, "the order of a map has no meaning in CBOR"),
    "test-pcrs-indef": (ACCEPTED, "the NSM writes its outer map so; a later one may write this one so"),
    "test-cabundle-indef": (ACCEPTED, "the NSM writes its outer map so; a later one may write this one so"),
    "test-pcrs-allzero": (ACCEPTED, "a debug enclave's, which is refused for being that unless it is allowed"),
    "test-len-public_key-0": (ACCEPTED, "a genuine document with an empty public_key exists"),
    "test-len-user_data-0": (ACCEPTED, "genuine documents with an empty user_data exist"),
    "test-len-nonce-0": (ACCEPTED, "genuine documents with an empty nonce exist"),
    "test-len-user_data-513": (ACCEPTED, "genuine documents with up to 1024 bytes exist"),
    "test-len-user_data-1024": (ACCEPTED, "genuine documents with up to 1024 bytes exist"),
    "test-len-nonce-513": (ACCEPTED, "genuine documents with up to 1024 bytes exist"),
    "test-len-nonce-1024": (ACCEPTED, "genuine documents with up to 1024 bytes exist"),
    # one value, one encoding: what two readers may cut differently is refused
    "aws-outer-tag18-nonminimal": (COSE, "not the shortest head"),
    "aws-outer-selfdescribe": (COSE, "a tag that was not asked for; the NSM writes none"),
    "aws-outer-array-nonminimal": (COSE, "not the shortest head"),
    "aws-outer-array-indefinite": (COSE, "a COSE_Sign1 has four parts, and says so"),
    "aws-outer-payload-nonminimal": (COSE, "not the shortest head"),
    "aws-outer-payload-8byte-length": (COSE, "not the shortest head"),
    "aws-outer-payload-indef1": (COSE, "a string in pieces is not the bytes that were signed"),
    "aws-outer-payload-indef2": (COSE, "a string in pieces is not the bytes that were signed"),
    "aws-outer-protected-indef": (COSE, "a string in pieces is not the bytes that were signed"),
    "aws-outer-sig-nonminimal": (COSE, "not the shortest head"),
    "aws-outer-sig-indef": (COSE, "a string in pieces"),
    "aws-outer-unprot-kid": (COSE, "the unprotected header is unsigned; the NSM leaves it empty"),
    "aws-outer-unprot-x5chain": (COSE, "the unprotected header is unsigned; the NSM leaves it empty"),
    "aws-outer-unprot-indef-empty": (COSE, "the NSM writes the one byte a0"),
    "test-prot-nonminimal": (ALGORITHM, "the protected header is the four bytes a1013822; this one only means the same"),
    "test-prot-nonminimal-key": (COSE, "the protected header is the four bytes a1013822, or nothing that the NSM made"),
    "test-prot-indef": (COSE, "the protected header is the four bytes a1013822, or nothing that the NSM made"),
    "test-prot-nonminimal-count": (COSE, "the protected header is the four bytes a1013822, or nothing that the NSM made"),
    "test-key-nonminimal": (PAYLOAD, "not the shortest head"),
    "test-map-nonminimal": (PAYLOAD, "not the shortest head"),
    "test-module_id-indef": (PAYLOAD, "a string in pieces"),
    "test-pcrs-chunkedval": (PAYLOAD, "a string in pieces"),
    "test-public_key-indef": (PAYLOAD, "a string in pieces"),
    "test-user_data-indef": (PAYLOAD, "a string in pieces"),
    "test-nonce-indef": (PAYLOAD, "a string in pieces"),
    "test-public_key-nonminimal": (PAYLOAD, "not the shortest head"),
    "test-user_data-nonminimal": (PAYLOAD, "not the shortest head"),
    "test-nonce-nonminimal": (PAYLOAD, "not the shortest head"),
    # the payload is the one that the NSM makes
    "test-absent-public_key": (PAYLOAD, "the NSM writes null; what is absent was cut out by somebody"),
    "test-absent-user_data": (PAYLOAD, "the NSM writes null"),
    "test-absent-nonce": (PAYLOAD, "the NSM writes null"),
    "test-extra-key": (PAYLOAD, "a document of another kind, of which we do not know what it means"),
    "test-extra-intkey": (PAYLOAD, "a document of another kind"),
    "test-extra-bstrkey": (PAYLOAD, "a second reading of what the nonce is"),
    "test-case-key": (PAYLOAD, "an unknown field, and the nonce is missing"),
    "test-module_id-nul": (PAYLOAD, "the module_id is printed; control characters would lie to a terminal"),
    "test-module_id-newline": (PAYLOAD, "the module_id is printed; a line of its own would look like ours"),
    "test-module_id-esc": (PAYLOAD, "the module_id is printed; control characters would lie to a terminal"),
    "test-module_id-long": (PAYLOAD, "the NSM's has some 40 characters"),
    "test-pcrs-len32": (PAYLOAD, "the digest is SHA384: a PCR has 48 bytes"),
    "test-pcrs-len64": (PAYLOAD, "the digest is SHA384: a PCR has 48 bytes"),
    "test-pcrs-missing0": (PAYLOAD, "the NSM always tells PCR0 to PCR15"),
    "test-pcrs-only0": (PAYLOAD, "the NSM always tells PCR0 to PCR15"),
    # the chain is the one that AWS makes: from the root down, each issued by the one before, nothing left over
    "test-chain-no-root": (UNTRUSTED, "the bundle begins with the root's very bytes"),
    "test-chain-root-other-key": (UNTRUSTED, "the bundle begins with the root's very bytes"),
    "test-chain-root-resigned": (UNTRUSTED, "the bundle begins with the root's very bytes"),
    "test-chain-dup-root": (BROKEN, "something is left over"),
    "test-chain-dup-int": (BROKEN, "something is left over"),
    "test-chain-leaf-in-bundle": (BROKEN | CONSTRAINT, "something is left over; also the leaf issues the leaf"),
    "test-chain-unrelated-extra": (BROKEN | CONSTRAINT, "something is left over"),
    "test-chain-100": (SIZE, "larger than any document"),
    "test-chain-int1-sha256": (KIND, "AWS signs with ecdsa-with-SHA384 throughout"),
    "test-chain-int2-sha256": (KIND, "AWS signs with ecdsa-with-SHA384 throughout"),
    "test-chain-int3-sha256": (KIND, "AWS signs with ecdsa-with-SHA384 throughout"),
    "test-chain-int3-p256": (KIND, "AWS's keys are P-384 throughout"),
    "test-chain-leaf-ca-true": (CONSTRAINT, "a leaf that may issue certificates is none"),
    "test-chain-leaf-noexts": (CONSTRAINT, "AWS's leaves say that they are no CA, and what they are for"),
    "test-chain-leaf-oversize": (PAYLOAD, "AWS's text: a certificate has at most 1024 bytes"),
}


def expected(case):
    """The codes that the verifier may give to a case of the manifest, and the pattern that said so."""
    if case["expect"] == "policy":
        return POLICY[case["name"]][0], None
    if case["expect"] == "accept":
        return ACCEPTED, None
    for pattern, codes in REJECT:
        if re.fullmatch(pattern, case["name"]):
            return codes, pattern
    raise KeyError(case["name"])
