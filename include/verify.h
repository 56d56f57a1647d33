/* verify.h - is this a genuine document of a Nitro enclave, and is it the one that was wanted?
 *
 * One implementation behind `attestd verify`, `POST /verify`, `tee_verified` and all that attests a peer. It takes a
 * raw COSE_Sign1 (RFC 9052), its base64 or hex, or any reply of the server, whose own fields it checks too. It ends in
 * a verdict, never in half of one: a verdict that is not `verified` names the first check that failed (enum
 * verify_code) and says in a sentence what to do. What a verdict states of the enclave was signed; nothing else is
 * stated.
 *
 * Strictness (docs/VERIFYING.md): an untagged COSE_Sign1 or tag 18, protected header
 * exactly {1: -35}, empty unprotected map, 96-byte signature over the bytes received; AWS's root by its full bytes; the
 * payload's members each once, of their types and sizes. Part of src/attest. Thread-safe.
 */
#ifndef ATTESTD_VERIFY_H
#define ATTESTD_VERIFY_H

#include "base/clock.h"
#include "cert.h"
#include "json.h"
#include "nsm.h"

enum {
	VERIFY_DOCUMENT_MAX = 16 * 1024, /* bytes of a COSE_Sign1 */
	VERIFY_USER_DATA_MAX = 1024,	 /* genuine documents exceed AWS's 512 */
	VERIFY_NONCE_MAX = 1024,
	VERIFY_POLICY_MAX = 64 * 1024, /* bytes of a policy file */
	VERIFY_PINS_MAX = 64,	       /* PCR values in a policy */
	VERIFY_MAX_AGE_S = 300,
	VERIFY_SKEW_S = 60,	  /* how far in the future a timestamp may lie */
	VERIFY_NONCE_WEAK = 16,	  /* a required nonce shorter than this many bytes is warned of */
	VERIFY_WARNINGS_MAX = 16, /* more than there are; with one beyond it there is no verdict */
};

/* ---- verdict codes: stable, in the order of the checks ---- */
/*      name                 code in JSON                  what a person reads first */
#define VERIFY_CODES(X)                                                                                                \
	X(VERIFIED, "verified", "The document is genuine")                                                             \
	X(INPUT_UNKNOWN, "input_unrecognized", "The input is no attestation document and no reply that holds one")     \
	X(INPUT_TOO_LARGE, "input_too_large", "The input is too large to be an attestation document")                  \
	X(REPLY_MALFORMED, "reply_malformed", "The reply is not well-formed JSON of the server's form")                \
	X(NO_DOCUMENT, "no_document", "The reply holds no signed document: it proves nothing")                         \
	X(COSE_MALFORMED, "cose_malformed", "The document is not a well-formed COSE_Sign1")                            \
	X(ALGORITHM, "algorithm_unsupported", "The document is not signed with ES384")                                 \
	X(PAYLOAD_MALFORMED, "payload_malformed", "The signed payload is not that of a Nitro enclave's document")      \
	X(NITROTPM, "nitrotpm_document", "This is a NitroTPM document, not a Nitro enclave's")                         \
	X(CERT_MALFORMED, "certificate_malformed", "A certificate cannot be read")                                     \
	X(CERT_UNSUPPORTED, "certificate_unsupported", "A certificate uses a key or signature that AWS does not use")  \
	X(CERT_CONSTRAINT, "certificate_constraint",                                                                   \
	  "A certificate may not be used in the way that the chain uses it")                                           \
	X(CHAIN_UNTRUSTED, "chain_untrusted", "The certificates do not begin with the trusted root")                   \
	X(CHAIN_BROKEN, "chain_broken", "The certificates do not form a chain from the trusted root")                  \
	X(SIGNATURE, "signature_invalid", "The signature does not fit the document")                                   \
	X(CERT_EXPIRED, "certificate_expired", "A certificate has expired")                                            \
	X(CERT_NOT_YET_VALID, "certificate_not_yet_valid", "A certificate is not valid yet")                           \
	X(TIMESTAMP_OUTSIDE, "timestamp_outside_certificates",                                                         \
	  "The document is dated outside its certificates' validity")                                                  \
	X(TIMESTAMP_FUTURE, "timestamp_in_future", "The document is dated in the future")                              \
	X(TOO_OLD, "document_too_old", "The document is too old")                                                      \
	X(DEBUG, "debug_mode", "The enclave runs in debug mode: its code is not measured and its console is open")     \
	X(PCR_MISSING, "pcr_missing", "The document lacks a PCR that the policy names")                                \
	X(PCR_MISMATCH, "pcr_mismatch", "A PCR is not what the policy wants: this is not the enclave that was wanted") \
	X(NONCE_MISSING, "nonce_missing", "The document holds no nonce, and one was required")                         \
	X(NONCE_MISMATCH, "nonce_mismatch", "The document holds another nonce than the required one")                  \
	X(USER_DATA_MISMATCH, "user_data_mismatch", "The document holds other user data than the required")            \
	X(CLAIMS_MALFORMED, "claims_malformed", "The signed user data is not a well-formed claim")                     \
	X(CLAIMS_FORBIDDEN, "claims_forbidden", "The signed claims use a name that belongs to another purpose")        \
	X(PURPOSE_MISMATCH, "purpose_mismatch", "The document was made for another purpose")                           \
	X(REPLY_MISMATCH, "reply_mismatch", "The reply says other than what is signed")                                \
	X(CUSTOM_DATA_MISMATCH, "custom_data_mismatch", "The custom data is not what the signed digest was made of")   \
	X(METADATA_MISMATCH, "metadata_mismatch", "The metadata is not what the signed digest was made of")

enum verify_code {
#define VERIFY_ENUM(name, code, text) VERIFY_##name,
	VERIFY_CODES(VERIFY_ENUM)
#undef VERIFY_ENUM
		VERIFY_CODE_COUNT
};
const char *verify_code_name(enum verify_code c); /* "pcr_mismatch" */
const char *verify_code_text(enum verify_code c);

/* ---- the verifier ---- */
struct verify; /* holds the cache of verified chains */
/* crypto and clock are borrowed. */
enum err verify_new(struct verify **out, struct crypto *crypto, const struct clock *clock, struct why *w) MUST_USE;
void verify_free(struct verify *v); /* NULL is fine */

/* The AWS Nitro Enclaves root G1 in DER; its SHA-256 is
 * 641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b. */
struct bytes verify_aws_root(void);

/* ---- policy: what is wanted ---- */
enum verify_at { VERIFY_AT_NOW, VERIFY_AT_DOCUMENT, VERIFY_AT_TIME };

/* Which enclave? How well the pinned PCRs tell images apart. */
enum verify_identity {
	VERIFY_NOT_COMPARED,
	VERIFY_WEAK,	/* PCR2, PCR3, PCR4 or others alone */
	VERIFY_COMPARED /* PCR0; PCR1 and PCR2; or a PCR8 that is not zero */
};

struct verify_pin {
	unsigned index; /* several pins of one index: any of them will do */
	uint8_t value[NSM_PCR_SIZE];
};
struct verify_wanted {
	bool present;
	size_t n;
	uint8_t b[VERIFY_NONCE_MAX];
};
struct verify_policy {
	struct verify_pin pins[VERIFY_PINS_MAX];
	size_t n_pins;
	struct verify_wanted nonce, user_data; /* the very bytes */
	int64_t max_age_s;		       /* at most this old; -1: any age */
	bool max_age_given;		       /* a number was asked for; false: it is the default, or any age */
	bool allow_debug;
	char purpose[16]; /* "attestation", ...; "" for none */
	enum verify_at at;
	int64_t at_s;  /* Unix; of VERIFY_AT_TIME */
	bool own_root; /* root_der instead of AWS's */
	size_t root_n;
	uint8_t root_der[CERT_DER_MAX];
};
void verify_policy_init(struct verify_policy *p); /* what holds without any flag */
enum verify_identity verify_policy_identity(const struct verify_policy *p);
/* ERR_INVALID, told, if parts of a whole policy contradict each other: an age that is asked for of a document that is
 * judged at its own time. */
enum err verify_policy_check(const struct verify_policy *p, struct why *w) MUST_USE;

/* The value of one flag or member. ERR_INVALID, told, with `field` naming it. A second pin of an index adds to the
 * first; anything else given a second time replaces it. */
enum err verify_policy_pcr(struct verify_policy *p, struct bytes n_equals_hex, struct why *w) MUST_USE; /* "0=ab..." */
/* Nonce and user data as attest_nonce_parse reads them: hex, then base64, then text; or with a prefix that says which.
 */
enum err verify_policy_nonce(struct verify_policy *p, struct bytes text, struct why *w) MUST_USE;
enum err verify_policy_user_data(struct verify_policy *p, struct bytes text, struct why *w) MUST_USE;
enum err verify_policy_max_age(struct verify_policy *p, struct bytes text, struct why *w) MUST_USE; /* s; "any" */
enum err verify_policy_at(struct verify_policy *p, struct bytes text, struct why *w) MUST_USE; /* now|document|UNIX */
enum err verify_policy_purpose(struct verify_policy *p, struct bytes name, struct why *w) MUST_USE;
enum err verify_policy_root(struct verify_policy *p, struct bytes pem, struct why *w) MUST_USE;
/* The same for a certificate at hand: ERR_INTERNAL unless it has 1 to CERT_DER_MAX bytes. */
enum err verify_policy_root_der(struct verify_policy *p, struct bytes der, struct why *w) MUST_USE;
/* An object with members `pcrs` ({"0": HEX or [HEX, ...], ...}), `nonce`, `user_data`, `max_age` (seconds or "any"),
 * `allow_debug`, `at`, `purpose`, `root` (PEM text), each optional and none else; or what nitro-cli build-enclave
 * prints: {"Measurements": {"HashAlgorithm": ..., "PCR0": HEX, ...}}, whose PCRs are pinned. Checked as a whole. */
enum err verify_policy_read(struct verify_policy *p, const struct json_value *object, struct why *w) MUST_USE;
enum err verify_policy_text(struct verify_policy *p, struct bytes json, struct why *w) MUST_USE; /* a policy file */

/* ---- digests ---- */
/* The SHA-256 of v's canonical form (include/json.h), as custom_digest and metadata_digest are made. It is walked in
 * pieces, for it may be larger than memory has room for a second time. */
enum err verify_canonical_sha256(struct crypto *crypto, const struct json_value *v, uint8_t digest[SHA256_SIZE],
				 struct why *w) MUST_USE;

/* ---- verifying ---- */
enum verify_format { VERIFY_AUTO, VERIFY_RAW, VERIFY_BASE64, VERIFY_HEX, VERIFY_REPLY };
bool verify_format_parse(struct bytes name, enum verify_format *out); /* "auto", "raw", "base64", "hex", "reply" */

struct verify_verdict;
/* ERR_OK with a verdict, whatever it says; errors are ours alone (no memory). Borrows nothing after it returned. */
enum err verify_input(struct verify *v, struct bytes input, enum verify_format format, const struct verify_policy *p,
		      struct verify_verdict **out, struct why *w) MUST_USE;
/* The same for a reply that was parsed already. */
enum err verify_reply(struct verify *v, const struct json_value *reply, const struct verify_policy *p,
		      struct verify_verdict **out, struct why *w) MUST_USE;
void verify_verdict_free(struct verify_verdict *d); /* NULL is fine */

bool verify_verdict_good(const struct verify_verdict *d);
enum verify_code verify_verdict_code(const struct verify_verdict *d);
const char *verify_verdict_message(const struct verify_verdict *d); /* one sentence */
/* The signed bytes; empty unless signature and chain hold. */
struct bytes verify_verdict_user_data(const struct verify_verdict *d);
struct bytes verify_verdict_public_key(const struct verify_verdict *d);
struct bytes verify_verdict_module_id(const struct verify_verdict *d);		 /* printable ASCII */
struct bytes verify_verdict_pcr(const struct verify_verdict *d, unsigned index); /* also empty if it has none */

/* The nonce that a COSE_Sign1 names (p == NULL: none), borrowed from it, of which nothing but the form was looked at:
 * for finding out what it must be verified against, and for nothing else. ERR_INVALID, told, if it is no such document.
 */
enum err verify_nonce_unverified(struct bytes cose, struct bytes *nonce, struct why *w) MUST_USE;

/* The verdict as one JSON object (openapi.yaml: Verdict), and as an explanation to a person, in colour if wanted.
 * The object's members, in this order; those from `module_id` on are null unless signature and chain hold:
 *  - verified: bool
 *  - code: verify_code_name of the first check that failed, "verified" if none did
 *  - message: a sentence on it
 *  - field: what it is about: a field of the document (`nonce`), a claim (`user_data.role`), a PCR (`PCR0`), or a
 * member of the reply, dotted; null if none
 *  - checks: [{"name", "result", "detail"}], all of them in their order; result is "pass", "fail", "not_asked" or
 *    "not_reached", detail a sentence or ""
 *  - warnings: [sentence]
 *  - input: "cose", "base64", "hex", "reply"; null if it was none of them
 *  - module_id: text; pcrs: {"0": hex, ...}
 *  - user_data, nonce, public_key: hex, or null where the document says null
 *  - digest: "SHA384"; timestamp: the signed time in ms; time: the same as RFC 3339 in whole seconds
 *  - age_seconds: at `verified_at`, negative if the document is dated later
 *  - historic: bool, `verified_at` is not when it was verified
 *  - debug: bool, PCR0, 1 or 2 is all zeros
 *  - certificate_not_before, certificate_not_after: RFC 3339; all certificates are valid between, both inclusive
 *  - root: {"sha256": hex, "aws": bool}
 *  - verified_at: RFC 3339, the time that validity and age were judged at
 *  - identity: "not_compared", "weak" or "compared": how well the compared PCRs, if all fit, tell images apart
 *  - pcrs_compared: [index], pinned by the policy, and fit
 *  - purpose, claims: of user_data, if it is a claim of ours (text; the object in canonical form), else null
 */
void verify_verdict_json(const struct verify_verdict *d, struct buf *out);
void verify_verdict_text(const struct verify_verdict *d, bool colour, struct buf *out);
/* The explanation without "What to do next", for a command that has done it. */
void verify_verdict_findings(const struct verify_verdict *d, bool colour, struct buf *out);

#endif
