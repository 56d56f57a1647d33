/* internal.h - what the files of src/attest share; tests and fuzz targets look in here too. */
#ifndef ATTESTD_ATTEST_INTERNAL_H
#define ATTESTD_ATTEST_INTERNAL_H

#include <sys/stat.h>

#include "attest.h"

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
};

/* ERR_CONFIG when agent and guardrail leave too little room for the longest claims. */
enum err attest_claims_fit(const struct attest *a, struct why *w) MUST_USE;

/* ---- documents ---- */

enum { ATTEST_CERTIFICATE_MAX = 1024, ATTEST_CABUNDLE_MAX = 16, ATTEST_FIELD_MAX = 1024 };

/* The fields of a document, borrowed from its bytes. A field that is null has p == NULL. */
struct attest_view {
	struct bytes module_id, digest, certificate, public_key, user_data, nonce;
	struct bytes pcr[NSM_PCRS_MAX], cabundle[ATTEST_CABUNDLE_MAX];
	size_t n_cabundle;
	int64_t timestamp_ms;
};
/* Reads a COSE_Sign1 and its payload without judging the signature. ERR_NSM when it isn't one. */
enum err attest_view_parse(struct bytes cose, struct attest_view *out, struct why *w) MUST_USE;

#endif
