/* view.c - the fields of an attestation document, read in order to be shown and judged.
 *
 * Nothing here says that a document is genuine. It says that it is one: a COSE_Sign1 whose payload holds each field
 * once, of its type and within its limits, so that what is shown cannot depend on who reads it.
 */
#include "internal.h"

#include "cborio.h"
#include "cose.h"

#define NOT_AN_NSMS "This is not a document as an NSM writes it: it is damaged, cut off, or something else"

enum { COSE_TAG = 18 };

enum {
	MODULE_ID,
	DIGEST,
	TIMESTAMP,
	PCRS,
	CERTIFICATE,
	CABUNDLE,
	PUBLIC_KEY,
	USER_DATA,
	NONCE,
	MEMBERS,
	NITROTPM_PCRS = MEMBERS,
	NAMES
};
static const char *const names[NAMES] = {"module_id", "digest",	    "timestamp", "pcrs",  "certificate",
					 "cabundle",  "public_key", "user_data", "nonce", "nitrotpm_pcrs"};

static struct bytes sized(struct cborio_reader *r, size_t least, size_t most)
{
	struct bytes b = cborio_bytes(r);
	cborio_check(r, b.n >= least && b.n <= most, "a byte string has a size that it cannot have");
	return b;
}

static struct bytes optional(struct cborio_reader *r)
{
	if (cborio_peek(r) != CBORIO_NULL)
		return sized(r, 0, ATTEST_FIELD_MAX);
	cborio_null(r);
	return bytes_of(NULL, 0);
}

/* It is printed on terminals and into logs. */
static void read_module_id(struct cborio_reader *r, struct attest_view *v)
{
	v->module_id = cborio_text(r);
	cborio_check(r, v->module_id.n >= 1 && v->module_id.n <= ATTEST_MODULE_ID_MAX,
		     "the module_id has a length that it cannot have");
	for (size_t i = 0; i < v->module_id.n; i++)
		cborio_check(r, v->module_id.p[i] >= 0x20 && v->module_id.p[i] <= 0x7e,
			     "the module_id holds a character that is not printable ASCII");
}

static void read_pcrs(struct cborio_reader *r, struct attest_view *v)
{
	for (uint64_t left = cborio_map(r); cborio_more(r, &left);) {
		uint64_t i = cborio_uint(r);
		if (i >= NSM_PCRS_MAX || v->pcr[i].p != NULL) {
			cborio_fail(r, "a PCR's index is out of range or comes twice");
			return;
		}
		v->pcr[i] = sized(r, NSM_PCR_SIZE, NSM_PCR_SIZE);
	}
	for (unsigned i = 0; i < ATTEST_PCRS_MIN; i++)
		cborio_check(r, v->pcr[i].p != NULL, "one of PCR0 to PCR15 is missing");
}

static void skip_nitrotpm_pcrs(struct cborio_reader *r)
{
	for (uint64_t left = cborio_map(r); cborio_more(r, &left);) {
		(void)cborio_uint(r);
		(void)cborio_bytes(r);
	}
}

static void read_cabundle(struct cborio_reader *r, struct attest_view *v)
{
	for (uint64_t left = cborio_array(r); cborio_more(r, &left);) {
		if (v->n_cabundle == CERT_BUNDLE_MAX) {
			cborio_fail(r, "the cabundle holds too many certificates");
			return;
		}
		v->cabundle[v->n_cabundle++] = sized(r, 1, CERT_DER_MAX);
	}
	cborio_check(r, v->n_cabundle > 0, "the cabundle is empty");
}

static void read_timestamp(struct cborio_reader *r, struct attest_view *v)
{
	uint64_t t = cborio_uint(r);
	cborio_check(r, t >= 1 && t <= INT64_MAX, "the timestamp is out of range");
	v->timestamp_ms = t <= INT64_MAX ? (int64_t)t : 0;
}

static void read_member(struct cborio_reader *r, uint32_t *seen, struct attest_view *v)
{
	switch (cborio_member(r, names, NAMES, seen)) {
	case MODULE_ID:
		read_module_id(r, v);
		break;
	case DIGEST:
		v->digest = cborio_text(r);
		cborio_check(r, bytes_is(v->digest, "SHA384"), "the digest is not SHA384");
		break;
	case TIMESTAMP:
		read_timestamp(r, v);
		break;
	case PCRS:
		read_pcrs(r, v);
		break;
	case CERTIFICATE:
		v->certificate = sized(r, 1, CERT_DER_MAX);
		break;
	case CABUNDLE:
		read_cabundle(r, v);
		break;
	case PUBLIC_KEY:
		v->public_key = optional(r);
		break;
	case USER_DATA:
		v->user_data = optional(r);
		break;
	case NONCE:
		v->nonce = optional(r);
		break;
	case NITROTPM_PCRS:
		skip_nitrotpm_pcrs(r);
		break;
	}
}

static enum err faulty(struct why *w, const char *part, const struct cborio_reader *r)
{
	return why_set(w, ERR_MALFORMED, NOT_AN_NSMS " (%s, byte %zu: %s).", part, r->err_pos, r->err_text);
}

/* A map of the one label 1 says how the document is signed, if not as ours are. Anything else is no header of an NSM.
 */
static enum err other_header(struct bytes header, enum verify_code *fault, struct why *w)
{
	static const struct {
		struct bytes header;
		const char *name;
	} known[] = {{{(const uint8_t *)"\xa1\x01\x26", 3}, "ES256"},
		     {{(const uint8_t *)"\xa1\x01\x38\x23", 4}, "ES512"},
		     {{(const uint8_t *)"\xa1\x01\x27", 3}, "EdDSA"}};
	const struct bytes ours = BYTES_LIT(COSE_ES384_HEADER);
	const bool begins = header.n >= ours.n && bytes_equal(bytes_of(header.p, ours.n), ours);
	*fault = VERIFY_ALGORITHM;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (bytes_equal(header, known[i].header))
			return why_set(w, ERR_MALFORMED,
				       "The document is signed with %s; the NSM of a Nitro enclave signs with ES384.",
				       known[i].name);
	if (!begins && header.n > 2 && header.p[0] == 0xa1 && header.p[1] == 0x01)
		return why_set(
			w, ERR_MALFORMED,
			"The document's protected header names another way of signing than ES384 ({1: -35}), with "
			"which the NSM of a Nitro enclave signs.");
	*fault = VERIFY_COSE_MALFORMED;
	return why_set(w, ERR_MALFORMED,
		       NOT_AN_NSMS " (COSE_Sign1, the protected header, of length %zu: it is not {1: -35}, which "
				   "stands for ES384).",
		       header.n);
}

/* The algorithm is looked at as soon as it was read: another one has signatures of another size, and a remark about
 * the size would be of no use. */
static enum err read_cose(struct bytes cose, struct attest_view *v, enum verify_code *fault, struct why *w)
{
	struct cborio_reader r;
	struct why unused = {0};
	cborio_reader_init(&r, cose);
	if (cborio_peek(&r) == CBORIO_TAG)
		cborio_check(&r, cborio_tag(&r) == COSE_TAG, "the tag is not that of a COSE_Sign1");
	uint64_t left = cborio_array(&r);
	cborio_check(&r, left == 4, "a COSE_Sign1 has four parts");
	(void)cborio_more(&r, &left);
	v->protected_header = cborio_bytes(&r);
	if (r.err == ERR_OK && !bytes_equal(v->protected_header, BYTES_LIT(COSE_ES384_HEADER)))
		return other_header(v->protected_header, fault, w);
	(void)cborio_more(&r, &left);
	uint64_t headers = cborio_map(&r);
	cborio_check(&r, headers == 0 && !cborio_more(&r, &headers), "the unprotected header is not empty");
	(void)cborio_more(&r, &left);
	v->payload = sized(&r, 1, VERIFY_DOCUMENT_MAX);
	(void)cborio_more(&r, &left);
	v->signature = sized(&r, CERT_SIGNATURE_SIZE, CERT_SIGNATURE_SIZE);
	(void)cborio_more(&r, &left);
	if (cborio_done(&r, &unused) == ERR_OK)
		return ERR_OK;
	*fault = VERIFY_COSE_MALFORMED;
	return faulty(w, "COSE_Sign1", &r);
}

static enum err read_payload(struct attest_view *v, enum verify_code *fault, struct why *w)
{
	struct cborio_reader r;
	struct why unused = {0};
	uint32_t seen = 0;
	cborio_reader_init(&r, v->payload);
	for (uint64_t left = cborio_map(&r); cborio_more(&r, &left);)
		read_member(&r, &seen, v);
	const bool nitrotpm = (seen >> NITROTPM_PCRS & 1u) != 0;
	if (r.err == ERR_OK && nitrotpm && (seen >> PCRS & 1u) == 0) {
		*fault = VERIFY_NITROTPM;
		return why_set(
			w, ERR_MALFORMED,
			"The payload has nitrotpm_pcrs in place of pcrs: it is about an EC2 instance with a NitroTPM "
			"and says nothing of an enclave.");
	}
	cborio_check(&r, !nitrotpm, "nitrotpm_pcrs and pcrs are both there");
	cborio_check(&r, seen == (1u << MEMBERS) - 1, "a member is missing");
	if (cborio_done(&r, &unused) == ERR_OK)
		return ERR_OK;
	*fault = VERIFY_PAYLOAD_MALFORMED;
	return faulty(w, "signed payload", &r);
}

enum err attest_view_parse(struct bytes cose, struct attest_view *out, enum verify_code *fault, struct why *w)
{
	struct attest_view v = {.n_cabundle = 0};
	enum err e = read_cose(cose, &v, fault, w);
	if (e == ERR_OK)
		e = read_payload(&v, fault, w);
	if (e == ERR_OK)
		*out = v;
	return e;
}

enum err verify_nonce_unverified(struct bytes cose, struct bytes *nonce, struct why *w)
{
	struct attest_view view;
	enum verify_code unused;
	struct why inner = {0};

	if (attest_view_parse(cose, &view, &unused, &inner) != ERR_OK)
		return why_tell(w, ERR_INVALID, NULL, "%s", inner.text);
	*nonce = view.nonce;
	return ERR_OK;
}
