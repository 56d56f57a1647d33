/* attest_doc.h - makes documents that look like the NSM's, and ones that are wrong in one place. */
#ifndef ATTESTD_TEST_ATTEST_DOC_H
#define ATTESTD_TEST_ATTEST_DOC_H

#include <string.h>

#include "cborio.h"
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
	size_t n_pcrs, pcr_size;
	struct bytes cabundle[17];
	size_t n_cabundle;
	bool indefinite, tagged;
	uint64_t tag;
	size_t parts, protected_size, signature_size;
	bool unprotected;		/* the unprotected header has a member */
	unsigned skip;			/* bit i: member i is left out */
	int twice, wrong_type, unknown; /* a member, -1 for none; `unknown` renames it */
	const char *behind_payload, *behind;
};

static const char *const doc_names[DOC_MEMBERS] = {"module_id", "digest",     "timestamp", "pcrs", "certificate",
						   "cabundle",	"public_key", "user_data", "nonce"};

static struct doc_spec doc_spec_good(void)
{
	return (struct doc_spec){.module_id = BYTES_LIT("i-0-enc1"),
				 .certificate = BYTES_LIT("cert"),
				 .user_data = BYTES_LIT("user data"),
				 .nonce = BYTES_LIT("nonce"),
				 .digest = "SHA384",
				 .timestamp = UINT64_C(1706198400000),
				 .pcr_index = {0, 1, 10, 31},
				 .n_pcrs = 4,
				 .pcr_size = NSM_PCR_SIZE,
				 .cabundle = {BYTES_LIT("root"), BYTES_LIT("zone")},
				 .n_cabundle = 2,
				 .parts = 4,
				 .protected_size = 4,
				 .signature_size = 96,
				 .tag = 18,
				 .twice = -1,
				 .wrong_type = -1,
				 .unknown = -1,
				 .behind_payload = "",
				 .behind = ""};
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
		memset(value, (int)(s->pcr_index[i] * 0x11), sizeof(value));
		if (s->pcr_index[i] == 31)
			memset(value, 0xff, sizeof(value));
		cborio_put_uint(b, s->pcr_index[i]);
		cborio_put_bytes(b, bytes_of(value, s->pcr_size));
	}
}

static void doc_put_member(const struct doc_spec *s, int m, struct buf *b)
{
	cborio_put_cstr(b, s->unknown == m ? "unknown" : doc_names[m]);
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

static void doc_make(const struct doc_spec *s, struct buf *out)
{
	static const uint8_t zeros[512];
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
	cborio_put_bytes(out, bytes_of(zeros, s->protected_size));
	cborio_put_map(out, s->unprotected ? 1 : 0);
	if (s->unprotected) {
		cborio_put_uint(out, 4);
		cborio_put_null(out);
	}
	cborio_put_bytes(out, buf_bytes(&p));
	if (s->parts > 3)
		cborio_put_bytes(out, bytes_of(zeros, s->signature_size));
	if (s->parts > 4)
		cborio_put_null(out);
	buf_put_str(out, s->behind);
	buf_free(&p);
}

#endif
