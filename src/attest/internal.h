/* internal.h - what the files of src/attest share; tests and fuzz targets look in here too. */
#ifndef ATTESTD_ATTEST_INTERNAL_H
#define ATTESTD_ATTEST_INTERNAL_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "attest.h"
#include "cert.h"
#include "verify.h"

/* ---- agent metadata ---- */

/* Canonical text takes at most six times the JSON that it came from (a byte such as DEL becomes \u007f). */
enum { ATTEST_CANONICAL_MAX = 8 * ATTEST_METADATA_MAX };

struct attest_metadata {
	struct buf members;   /* `,"k":v` for each member, in the file's order; empty if `large` */
	bool large;	      /* the members alone exceed NSM_USER_DATA_MAX */
	struct buf canonical; /* of the whole object */
	uint8_t digest[SHA256_SIZE];
	struct stat stamp; /* of the file it came from */
	bool settled;	   /* a later change of the file is sure to change the stamp */
};
#define ATTEST_METADATA_INIT \
	((struct attest_metadata){.members = BUF_INIT(NSM_USER_DATA_MAX), .canonical = BUF_INIT(ATTEST_CANONICAL_MAX)})

/* ERR_METADATA, told, unless `text` is a JSON object that uses no name of ours. */
enum err attest_metadata_parse(struct attest_metadata *out, struct bytes text, struct crypto *crypto,
			       struct why *w) MUST_USE;
/* Reads the file again if it changed since the last time; *changed if its contents did. */
enum err attest_metadata_refresh(struct attest_metadata *m, const char *path, struct crypto *crypto, int64_t wall_ms,
				 bool *changed, struct why *w) MUST_USE;
void attest_metadata_free(struct attest_metadata *m);

/* ---- claims ---- */

struct attest {
	char *agent, *guardrail, *metadata_file;
	struct buf info;
	uint8_t info_digest[SHA256_SIZE];
	struct nsm *nsm;
	struct crypto *crypto;
	const struct clock *clock;
	struct log *log;
	struct attest_metadata metadata;
	struct verify *verify;
	struct verify_policy policy;				    /* for `tee_verified` */
	atomic_bool verified;					    /* of the last document */
	_Atomic(enum attest_debug) debug;			    /* likewise */
	enum { TOLD_NOTHING, TOLD_VERIFIED, TOLD_UNVERIFIED } told; /* in the log; loop thread */
};

/* ERR_CONFIG when agent and guardrail leave too little room for the longest claims. */
enum err attest_claims_fit(const struct attest *a, struct why *w) MUST_USE;

/* ---- documents ---- */

enum {
	ATTEST_FIELD_MAX = 1024, /* of user_data, nonce and public_key: genuine documents exceed AWS's 512 */
	ATTEST_MODULE_ID_MAX = NSM_MODULE_ID_SIZE - 1,
	ATTEST_PCRS_MIN = 16, /* 0 to 15 are in every document */
};

/* The parts of a COSE_Sign1 and the fields of its payload, borrowed from its bytes. A field that is null has p == NULL.
 */
struct attest_view {
	struct bytes protected_header, payload, signature;
	struct bytes module_id, digest, certificate, public_key, user_data, nonce;
	struct bytes pcr[NSM_PCRS_MAX], cabundle[CERT_BUNDLE_MAX];
	size_t n_cabundle;
	int64_t timestamp_ms;
};
/* Reads a COSE_Sign1 and its payload without judging the signature. When it isn't one: ERR_MALFORMED with a sentence
 * (w->text, not told; fit for an outsider: it quotes nothing), and *fault is VERIFY_COSE_MALFORMED, VERIFY_ALGORITHM,
 * VERIFY_PAYLOAD_MALFORMED or VERIFY_NITROTPM. */
enum err attest_view_parse(struct bytes cose, struct attest_view *out, enum verify_code *fault, struct why *w) MUST_USE;

/* ---- nonces and user data given as text ---- */

#define ATTEST_TEXT_MAX(decoded) (2 * (decoded) + 16) /* characters: hex and a prefix */

struct attest_text {
	const char *field, *name; /* "user_data", "user data" */
	size_t max;		  /* decoded bytes; at most ATTEST_FIELD_MAX */
	bool empty;		  /* a prefix with nothing behind it is the empty value */
	const char *advice;	  /* what to do instead: "send 1 to 512 bytes" */
};
/* As attest_nonce_parse reads; out holds r->max bytes. */
enum err attest_text_read(const struct attest_text *r, struct bytes text, enum attest_encoding forced, uint8_t *out,
			  size_t *n, enum attest_encoding *used, struct why *w) MUST_USE;
/* {"0": hex, ...} of the PCRs that are there. */
void attest_put_pcrs(struct buf *out, const struct attest_view *v);

#endif
