/* verdict.h - what the files of the verifier share: each fills its part of a verdict. Private to src/attest. */
#ifndef ATTESTD_ATTEST_VERDICT_H
#define ATTESTD_ATTEST_VERDICT_H

#include "cert.h"
#include "internal.h"
#include "verify.h"

/* The checks, in their order. A check that was not reached or not asked for says so. */
#define VERIFY_CHECKS(X)                    \
	X(INPUT, "input")                   \
	X(DOCUMENT, "document")             \
	X(CHAIN, "certificate_chain")       \
	X(SIGNATURE, "signature")           \
	X(VALIDITY, "certificate_validity") \
	X(TIMESTAMP, "timestamp")           \
	X(DEBUG_MODE, "debug_mode")         \
	X(PCRS, "pcrs")                     \
	X(NONCE, "nonce")                   \
	X(USER_DATA, "user_data")           \
	X(PURPOSE, "purpose")               \
	X(REPLY, "reply")
enum verify_check {
#define CHECK_ENUM(name, text) CHECK_##name,
	VERIFY_CHECKS(CHECK_ENUM)
#undef CHECK_ENUM
		CHECK_COUNT
};
enum check_result { CHECK_NOT_REACHED, CHECK_NOT_ASKED, CHECK_PASS, CHECK_FAIL };

struct verify_verdict {
	bool good;
	enum verify_code code;	    /* of the first check that failed */
	char message[WHY_TEXT_MAX]; /* a sentence on it */
	char field[WHY_FIELD_MAX];  /* what it is about (verify.h); "" if nothing that has a name */
	enum check_result results[CHECK_COUNT];
	enum verify_code codes[CHECK_COUNT];	 /* of a check that failed */
	char details[CHECK_COUNT][WHY_TEXT_MAX]; /* a sentence a check: what was seen, or "" */
	char warnings[VERIFY_WARNINGS_MAX][WHY_TEXT_MAX];
	size_t n_warnings;
	bool warnings_lost; /* there was no room for one: this must not become a verdict */

	const char *input; /* "cose", "base64", "hex", "reply"; NULL if unknown */
	bool signed_facts; /* signature and chain hold: what follows may be stated */
	struct buf document;
	struct attest_view view;	   /* borrows from document */
	int64_t not_before_s, not_after_s; /* of the chain */
	uint8_t root_sha256[SHA256_SIZE];
	bool aws_root;
	int64_t at_s;		       /* the time verified at; age and historic belong to it */
	int64_t age_s;		       /* negative: in the future */
	bool historic;		       /* at was not the time of verifying */
	bool debug;		       /* PCR0, 1 or 2 is all zeros */
	enum verify_identity identity; /* of the pins, if all fit */
	uint32_t compared;	       /* bit i: PCR i was pinned, and fits */
	struct json *claims;	       /* of user_data, once read; NULL if it is none of ours */
	char purpose[16];	       /* of the claims */
	const char *purpose_as;	       /* "you required": what wants one; read where one is wanted */
};

/* ---- verdict.c: filling in ---- */
void verdict_pass(struct verify_verdict *d, enum verify_check c, const char *fmt, ...) PRINTF_LIKE(3, 4);
void verdict_not_asked(struct verify_verdict *d, enum verify_check c, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The first failure names code, field ("" or NULL: none) and message; later ones only mark their check. Text that an
 * outsider wrote goes in only where its characters are known to be printable. */
void verdict_fail(struct verify_verdict *d, enum verify_check c, enum verify_code code, const char *field,
		  const char *fmt, ...) PRINTF_LIKE(5, 6);
void verdict_warn(struct verify_verdict *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
void verdict_time(int64_t s, char out[CLOCK_TEXT_SIZE]); /* clock_text of any number of seconds */
enum { VERDICT_SPAN_SIZE = 48 };
void verdict_span(int64_t s, char out[VERDICT_SPAN_SIZE]); /* "12 s", "4 hours", without the sign */

/* ---- chain.c: the cache of verified chains, keyed by the SHA-256 over root, bundle and leaf ---- */
enum { CHAIN_CACHE_SIZE = 64 };
struct chain_cache;
enum err chain_cache_new(struct chain_cache **out, struct crypto *crypto, struct why *w) MUST_USE;
void chain_cache_free(struct chain_cache *c);
/* As cert_chain_check; the caller owns *out. Only chains that hold are kept, the least recently used one goes first.
 * Time is no part of it: the caller judges the window at each use. */
enum err chain_cache_get(struct chain_cache *c, struct bytes root, const struct bytes *bundle, size_t n,
			 struct bytes leaf, struct cert_chain **out, enum cert_fault *fault, struct why *w) MUST_USE;

/* ---- judge.c: the document alone ---- */
struct verify {
	struct crypto *crypto;
	const struct clock *clock;
	struct chain_cache *chains;
};
/* d->document holds the COSE_Sign1. Runs the checks DOCUMENT to USER_DATA. Structural ones end it at their first
 * failure; after the signature holds, all of the policy's are run, so that the verdict lists each that fails. */
enum err verify_document(struct verify *v, const struct verify_policy *p, struct verify_verdict *d,
			 struct why *w) MUST_USE;

/* ---- verify.c: the end of it ---- */
/* Decides whether it is good. ERR_INTERNAL when a check has no result or a warning was lost. */
enum err verdict_conclude(struct verify_verdict *d, struct why *w) MUST_USE;

/* ---- claims_read.c: what user_data says, read strictly (UTF-8, no BOM, no duplicates, `purpose` first) ---- */
/* Check PURPOSE, over d->view.user_data. wanted: the purpose that policy or the kind of reply asks for, "" for none;
 * then user_data that is not a claim of ours is no fault (d->claims stays NULL, the check is not asked for). With a
 * purpose wanted, in this order: CLAIMS_MALFORMED (a missing claim or one of another form, too), CLAIMS_FORBIDDEN for a
 * name of another purpose, PURPOSE_MISMATCH. */
enum err verify_claims(const char *wanted, struct verify_verdict *d, struct why *w) MUST_USE;

/* ---- input.c: from what was given to the document's bytes ---- */
/* Check INPUT. Fills d->document; for a reply also *reply (owned by the caller, to be freed after check REPLY). */
enum err verify_read_input(struct bytes input, enum verify_format format, struct verify_verdict *d, struct json **reply,
			   struct why *w) MUST_USE;
/* The same for a reply at hand. */
enum err verify_read_reply(const struct json_value *reply, struct verify_verdict *d, struct why *w) MUST_USE;

/* ---- reply.c: the reply's own fields ---- */
/* The purpose that a reply of this kind must have: "key-exchange" or "info" if it has any member that only such a reply
 * has, else "attestation"; "" for a bare `attestation_document` object and for a vsock reply, whose claims are the
 * asker's. */
const char *verify_reply_purpose(const struct json_value *reply);
/* Check REPLY: every member that mirrors a signed value equals it, custom data and metadata have their signed digests,
 * what is not signed has its form, and no other member stands there. Only with d->signed_facts. */
enum err verify_mirrors(struct verify *v, const struct json_value *reply, struct verify_verdict *d,
			struct why *w) MUST_USE;

#endif
