/* attest.h - what is put into an attestation document, and how it is shown.
 *
 * Claims are a JSON object of at most NSM_USER_DATA_MAX bytes: `purpose`, `timestamp`, `agent`, `guardrail`, the
 * purpose's own fields, then agent metadata, which is stated and not measured. Metadata that does not fit is replaced
 * by its digest and returned beside the document; nothing is silently dropped.
 */
#ifndef ATTESTD_ATTEST_H
#define ATTESTD_ATTEST_H

#include "base/clock.h"
#include "base/log.h"
#include "crypto.h"
#include "json.h"
#include "nsm.h"
#include "verify.h"

enum { ATTEST_METADATA_MAX = 64 * 1024, ATTEST_NONCE_TEXT_MAX = 2 * NSM_NONCE_MAX + 16 };

enum attest_purpose { ATTEST_ATTESTATION, ATTEST_KEY_EXCHANGE, ATTEST_INFO, ATTEST_TLS, ATTEST_PEER, ATTEST_PURPOSES };
const char *attest_purpose_name(enum attest_purpose p); /* "key-exchange" */
bool attest_purpose_parse(struct bytes name, enum attest_purpose *out);

/* ---- nonces (docs/VERIFYING.md, The policy) ---- */
enum attest_encoding { ATTEST_AUTO, ATTEST_HEX, ATTEST_BASE64, ATTEST_TEXT };
const char *attest_encoding_name(enum attest_encoding e); /* "hex", "base64", "text"; "auto" */
bool attest_encoding_parse(struct bytes name, enum attest_encoding *out);

struct attest_nonce {
	bool present;
	enum attest_encoding encoding; /* the one that was used */
	size_t n;		       /* 1 to NSM_NONCE_MAX */
	uint8_t b[NSM_NONCE_MAX];
};
/* auto: hex (even length), then strict padded base64, then text; `hex:`, `base64:` and `text:` in front force one, as
 * `forced` does (both at once must agree). ERR_INVALID on field `nonce`: empty, over NSM_NONCE_MAX decoded bytes, only
 * `=`, nothing decoded, or not of the forced encoding. */
enum err attest_nonce_parse(struct attest_nonce *out, struct bytes text, enum attest_encoding forced,
			    struct why *w) MUST_USE;

/* ---- the attester ---- */
struct attest;
struct attest_options {
	const char *agent, *guardrail, *metadata_file;	   /* metadata_file "" for none */
	const char *info_name, *info_version, *info_build; /* info_build "" for null */
	struct bytes root; /* what `tee_verified` asks for: AWS's root in DER, but in tests */
};
/* nsm, crypto, verify, clock and log are borrowed. Fails when the claims of some purpose could not fit with a metadata
 * digest.
 */
enum err attest_new(struct attest **out, const struct attest_options *o, struct nsm *nsm, struct crypto *crypto,
		    struct verify *verify, const struct clock *clock, struct log *log, struct why *w) MUST_USE;
void attest_free(struct attest *a);

/* GET /info: `{"version":...,"name":...,"build_info":...}`, one fixed byte string a process, and its SHA-256. */
struct bytes attest_info(const struct attest *a);
const uint8_t *attest_info_digest(const struct attest *a);

/* ---- claims (loop thread: may re-read the metadata file) ---- */
struct attest_claim {
	const char *name;   /* a claim of the purpose (src/attest/claim_table.c); metadata may use the name of none */
	struct bytes value; /* text */
};
struct attest_claims {
	enum attest_purpose purpose;
	struct buf user_data; /* the attested bytes */
	struct buf metadata;  /* canonical form of the metadata if only its digest is attested, else empty */
	int64_t wall_ms;      /* the time in `timestamp` */
};
/* ERR_METADATA (told) when with_metadata and the file is missing, too large, not an object, or uses a name of ours. */
enum err attest_claims_make(struct attest *a, enum attest_purpose purpose, const struct attest_claim *own, size_t n,
			    bool with_metadata, struct attest_claims *out, struct why *w) MUST_USE;
void attest_claims_free(struct attest_claims *c);

/* Bytes that an outsider wants attested as they are: can they pass for claims of ours? They cannot, in no encoding
 * (UTF-16 and UTF-32 included), where they hold no byte 0x7B, none below 0x20, and no U+FEFF in UTF-8. ERR_INVALID,
 * told, on field `user_data`, for these and for more than NSM_USER_DATA_MAX bytes. */
enum err attest_raw_check(struct bytes user_data, struct why *w) MUST_USE;

/* ---- documents (any thread; blocks on the NSM) ---- */
struct attest_doc;
/* public_key: SPKI of a key that was made in this process, never a caller's (KMS would encrypt to it); .p == NULL:
 * none.
 */
enum err attest_doc_make(struct attest *a, struct bytes user_data, const struct attest_nonce *nonce,
			 struct bytes public_key, struct attest_doc **out, struct why *w) MUST_USE;
void attest_doc_free(struct attest_doc *d);

/* The COSE_Sign1 bytes as the NSM gave them; empty from the dummy. */
struct bytes attest_doc_cose(const struct attest_doc *d);
/* The reply's `attestation_document` object. */
void attest_doc_json(const struct attest_doc *d, struct buf *out);
struct bytes attest_doc_pcr(const struct attest_doc *d, unsigned index); /* empty if the document has none */
/* The sentence that a reply whose document is not verified carries as `_warning`, or NULL. */
const char *attest_doc_warning(const struct attest_doc *d);
/* True only for a document that our own verifier accepts under the root, as a whole and at its own time, and that is
 * not a debug enclave's. */
bool attest_doc_verified(const struct attest_doc *d);
/* Of the last document; false before the first, and when the NSM gave none. */
bool attest_verified(const struct attest *a);
/* Does the last document come from an enclave in debug mode, whose PCR0, 1 or 2 is zero? Not known before the first,
 * when the NSM gave none, and of the dummy. */
enum attest_debug { ATTEST_DEBUG_UNKNOWN, ATTEST_DEBUG_OFF, ATTEST_DEBUG_ON };
enum attest_debug attest_debug(const struct attest *a);

/* The reply's `verification_instructions` object for a purpose, with or without custom data. */
void attest_instructions(enum attest_purpose p, bool custom_data, struct buf *out);

/* Seeds the generators from the NSM (device mode: without it no key is made). Blocks; at start. */
enum err attest_seed(struct nsm *nsm, struct crypto *crypto, struct why *w) MUST_USE;

#endif
