/* attest_doc.h - makes documents that look like the NSM's, and ones that are wrong in one place; signed, if a key is
 * given. Include cmocka.h before it. */
#ifndef ATTESTD_TEST_ATTEST_DOC_H
#define ATTESTD_TEST_ATTEST_DOC_H

#include <string.h>

#include "cborio.h"
#include "cert.h"
#include "nsm.h"

enum doc_member {
	DOC_MODULE_ID,
	DOC_DIGEST,
	DOC_TIMESTAMP,
	DOC_PCRS,
	DOC_CERTIFICATE,
	DOC_CABUNDLE,
	DOC_PUBLIC_KEY,
	DOC_USER_DATA,
	DOC_NONCE,
	DOC_MEMBERS
};

struct doc_spec {
	struct bytes module_id, certificate, public_key, user_data, nonce; /* p == NULL: null, of the last three */
	const char *digest;
	uint64_t timestamp;
	uint64_t pcr_index[33];
	uint8_t pcr_fill[33]; /* what the PCR in this place is full of */
	size_t n_pcrs, pcr_size;
	const char *pcrs_name;
	struct bytes cabundle[CERT_BUNDLE_MAX + 1];
	size_t n_cabundle;
	bool indefinite, tagged;
	uint64_t tag;
	struct bytes protected_header;
	size_t parts, signature_size;
	struct crypto *crypto;		/* of key */
	const struct cert_key *key;	/* NULL: the signature is all zeros */
	bool unprotected;		/* the unprotected header has a member */
	unsigned skip;			/* bit i: member i is left out */
	int twice, wrong_type, unknown; /* a member, -1 for none; `unknown` renames it */
	const char *behind_payload, *behind;
};

static const char *const doc_names[DOC_MEMBERS] = {"module_id", "digest",     "timestamp", "pcrs", "certificate",
						   "cabundle",	"public_key", "user_data", "nonce"};

static struct doc_spec doc_spec_good(void)
{
	struct doc_spec s = {.module_id = BYTES_LIT("i-0-enc1"),
			     .certificate = BYTES_LIT("cert"),
			     .user_data = BYTES_LIT("user data"),
			     .nonce = BYTES_LIT("nonce"),
			     .digest = "SHA384",
			     .timestamp = UINT64_C(1706198400000),
			     .n_pcrs = 17,
			     .pcr_size = NSM_PCR_SIZE,
			     .pcrs_name = "pcrs",
			     .cabundle = {BYTES_LIT("root"), BYTES_LIT("zone")},
			     .n_cabundle = 2,
			     .parts = 4,
			     .protected_header = BYTES_LIT("\xa1\x01\x38\x22"),
			     .signature_size = CERT_SIGNATURE_SIZE,
			     .tag = 18,
			     .twice = -1,
			     .wrong_type = -1,
			     .unknown = -1,
			     .behind_payload = "",
			     .behind = ""};
	for (size_t i = 0; i < 16; i++) {
		s.pcr_index[i] = i;
		s.pcr_fill[i] = (uint8_t)(i * 0x11);
	}
	s.pcr_index[16] = 31;
	s.pcr_fill[16] = 0x31;
	return s;
}

static void doc_put_optional(struct buf *b, struct bytes x)
{
	if (x.p == NULL)
		cborio_put_null(b);
	else
		cborio_put_bytes(b, x);
}

static void doc_put_pcrs(const struct doc_spec *s, struct buf *b)
{
	uint8_t value[64];
	cborio_put_map(b, s->n_pcrs);
	for (size_t i = 0; i < s->n_pcrs; i++) {
		memset(value, s->pcr_fill[i], sizeof(value));
		cborio_put_uint(b, s->pcr_index[i]);
		cborio_put_bytes(b, bytes_of(value, s->pcr_size));
	}
}

static void doc_put_member(const struct doc_spec *s, int m, struct buf *b)
{
	cborio_put_cstr(b, s->unknown == m ? "unknown" : m == DOC_PCRS ? s->pcrs_name : doc_names[m]);
	if (s->wrong_type == m) {
		cborio_put_bool(b, true);
	} else if (m == DOC_MODULE_ID) {
		cborio_put_text(b, s->module_id);
	} else if (m == DOC_DIGEST) {
		cborio_put_cstr(b, s->digest);
	} else if (m == DOC_TIMESTAMP) {
		cborio_put_uint(b, s->timestamp);
	} else if (m == DOC_PCRS) {
		doc_put_pcrs(s, b);
	} else if (m == DOC_CERTIFICATE) {
		cborio_put_bytes(b, s->certificate);
	} else if (m == DOC_CABUNDLE) {
		cborio_put_array(b, s->n_cabundle);
		for (size_t i = 0; i < s->n_cabundle; i++)
			cborio_put_bytes(b, s->cabundle[i]);
	} else {
		doc_put_optional(b, m == DOC_PUBLIC_KEY ? s->public_key : m == DOC_USER_DATA ? s->user_data : s->nonce);
	}
}

static void doc_sign(const struct doc_spec *s, struct bytes payload, uint8_t signature[CERT_SIGNATURE_SIZE])
{
	struct buf b = BUF_INIT(65536);
	struct why w = {0};
	cborio_put_array(&b, 4);
	cborio_put_cstr(&b, "Signature1");
	cborio_put_bytes(&b, s->protected_header);
	cborio_put_bytes(&b, bytes_of(NULL, 0));
	cborio_put_bytes(&b, payload);
	assert_int_equal(cert_key_sign(s->crypto, s->key, buf_bytes(&b), signature, &w), ERR_OK);
	buf_free(&b);
}

static void doc_make(const struct doc_spec *s, struct buf *out)
{
	uint8_t signature[512] = {0};
	struct buf p = BUF_INIT(32768);
	uint64_t n = s->twice >= 0 ? DOC_MEMBERS + 1 : DOC_MEMBERS;
	for (int m = 0; m < DOC_MEMBERS; m++)
		n -= s->skip >> m & 1u;
	if (s->indefinite)
		buf_put_u8(&p, 0xbf);
	else
		cborio_put_map(&p, n);
	for (int m = 0; m < DOC_MEMBERS; m++) {
		if ((s->skip >> m & 1u) == 0)
			doc_put_member(s, m, &p);
		if (s->twice == m)
			doc_put_member(s, m, &p);
	}
	if (s->indefinite)
		buf_put_u8(&p, 0xff);
	buf_put_str(&p, s->behind_payload);

	if (s->tagged)
		buf_put_u8(out, (uint8_t)(0xc0 | s->tag));
	cborio_put_array(out, s->parts);
	cborio_put_bytes(out, s->protected_header);
	cborio_put_map(out, s->unprotected ? 1 : 0);
	if (s->unprotected) {
		cborio_put_uint(out, 4);
		cborio_put_null(out);
	}
	cborio_put_bytes(out, buf_bytes(&p));
	if (s->key != NULL)
		doc_sign(s, buf_bytes(&p), signature);
	if (s->parts > 3)
		cborio_put_bytes(out, bytes_of(signature, s->signature_size));
	if (s->parts > 4)
		cborio_put_null(out);
	buf_put_str(out, s->behind);
	buf_free(&p);
}

#endif
