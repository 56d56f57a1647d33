/* view.c - the fields of an attestation document, read in order to be shown.
 *
 * Nothing here says that a document is genuine. It says that it is one: a COSE_Sign1 whose payload holds each field
 * once, of its type and within its limits, so that what is shown cannot depend on who reads it.
 */
#include "internal.h"

#include "cborio.h"

enum { COSE_TAG = 18, COSE_SIGNATURE_SIZE = 96, COSE_PROTECTED_MAX = 64 };

enum { MODULE_ID, DIGEST, TIMESTAMP, PCRS, CERTIFICATE, CABUNDLE, PUBLIC_KEY, USER_DATA, NONCE, MEMBERS };
static const char *const names[MEMBERS] = {"module_id", "digest",     "timestamp", "pcrs", "certificate",
					   "cabundle",	"public_key", "user_data", "nonce"};

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

static void read_pcrs(struct cborio_reader *r, struct attest_view *v)
{
	size_t n = 0;
	for (uint64_t left = cborio_map(r); cborio_more(r, &left); n++) {
		uint64_t i = cborio_uint(r);
		if (i >= NSM_PCRS_MAX || v->pcr[i].p != NULL) {
			cborio_fail(r, "a PCR's index is out of range or comes twice");
			return;
		}
		v->pcr[i] = sized(r, NSM_PCR_SIZE, NSM_PCR_SIZE);
	}
	cborio_check(r, n > 0, "there are no PCRs");
}

static void read_cabundle(struct cborio_reader *r, struct attest_view *v)
{
	for (uint64_t left = cborio_array(r); cborio_more(r, &left);) {
		if (v->n_cabundle == ATTEST_CABUNDLE_MAX) {
			cborio_fail(r, "the cabundle holds too many certificates");
			return;
		}
		v->cabundle[v->n_cabundle++] = sized(r, 1, ATTEST_CERTIFICATE_MAX);
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
	switch (cborio_member(r, names, MEMBERS, seen)) {
	case MODULE_ID:
		v->module_id = cborio_text(r);
		cborio_check(r, v->module_id.n > 0, "the module_id is empty");
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
		v->certificate = sized(r, 1, ATTEST_CERTIFICATE_MAX);
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
	}
}

static enum err faulty(struct why *w, const char *part, const struct cborio_reader *r)
{
	return why_set(w, ERR_NSM, "the NSM's document is not understood: byte %zu of its %s: %s", r->err_pos, part,
		       r->err_text);
}

static enum err read_cose(struct bytes cose, struct bytes *payload, struct why *w)
{
	struct cborio_reader r;
	struct why unused = {0};
	cborio_reader_init(&r, cose);
	if (cborio_peek(&r) == CBORIO_TAG)
		cborio_check(&r, cborio_tag(&r) == COSE_TAG, "the tag is not that of a COSE_Sign1");
	uint64_t left = cborio_array(&r);
	cborio_check(&r, left == 4, "a COSE_Sign1 has four parts");
	(void)cborio_more(&r, &left);
	(void)sized(&r, 1, COSE_PROTECTED_MAX);
	(void)cborio_more(&r, &left);
	uint64_t headers = cborio_map(&r);
	cborio_check(&r, headers == 0 && !cborio_more(&r, &headers), "the unprotected header is not empty");
	(void)cborio_more(&r, &left);
	struct bytes got = sized(&r, 1, NSM_REPLY_MAX);
	(void)cborio_more(&r, &left);
	(void)sized(&r, COSE_SIGNATURE_SIZE, COSE_SIGNATURE_SIZE);
	(void)cborio_more(&r, &left);
	if (cborio_done(&r, &unused) != ERR_OK)
		return faulty(w, "COSE_Sign1", &r);
	*payload = got;
	return ERR_OK;
}

enum err attest_view_parse(struct bytes cose, struct attest_view *out, struct why *w)
{
	struct attest_view v = {.n_cabundle = 0};
	struct cborio_reader r;
	struct bytes payload;
	struct why unused = {0};
	uint32_t seen = 0;
	enum err e = read_cose(cose, &payload, w);
	if (e != ERR_OK)
		return e;
	cborio_reader_init(&r, payload);
	for (uint64_t left = cborio_map(&r); cborio_more(&r, &left);)
		read_member(&r, &seen, &v);
	cborio_check(&r, seen == (1u << MEMBERS) - 1, "a member is missing");
	if (cborio_done(&r, &unused) != ERR_OK)
		return faulty(w, "payload", &r);
	*out = v;
	return ERR_OK;
}
