/* attestation_get.c - GET /attestation: the same as a POST without a body, bound to GET /info. */
#include "internal.h"

#include "base/encode.h"

struct op {
	struct api_op api;
	struct api_attested attested;
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	api_attested_free(&op->attested);
	api_op_free(&op->api);
}

static void attested(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	struct buf b = BUF_INIT(API_REPLY_MAX + op->attested.claims.metadata.n);
	api_attested_put(&op->attested, false, &b);
	JSON_PUT_KEY(&b, "quote");
	json_put_base64(&b, attest_doc_cose(op->attested.doc));
	/* A Nitro document is complete in itself: there are no events to replay. */
	JSON_PUT_KEY(&b, "eventLog");
	json_put_cstr(&b, "[]");
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
	drop(j);
}

static enum err read_query(const struct http_req *r, struct attest_nonce *nonce, bool *metadata, struct why *w)
{
	static const char *const known[] = {"nonce", "nonce_encoding", "include_metadata", NULL};
	bool have_metadata = false;
	struct buf with = BUF_INIT(HTTP_QUERY_MAX);
	enum err e = http_query_only(r, known, w);
	if (e != ERR_OK || (e = api_nonce_query(r, nonce, w)) != ERR_OK ||
	    (e = http_query(r, "include_metadata", &with, &have_metadata, w)) != ERR_OK)
		goto out;
	*metadata = !have_metadata || bytes_is(buf_bytes(&with), "true");
	if (have_metadata && !*metadata && !bytes_is(buf_bytes(&with), "false"))
		e = why_tell(w, ERR_INVALID, "include_metadata", "Must be true or false.");
out:
	buf_free(&with);
	return e;
}

void api_attestation_get(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op == NULL)
		return;
	bool metadata = true;
	struct why *w = &op->api.why;
	char digest[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(attest_info_digest(app->attest), SHA256_SIZE), digest);
	const struct attest_claim own[] = {
		{"info_digest", bytes_of(digest, sizeof digest)},
		{"info_digest_method", BYTES_LIT("sha256")},
	};
	if (read_query(r, &op->attested.nonce, &metadata, w) != ERR_OK ||
	    api_attested_admit(&op->attested, app, r, w) != ERR_OK ||
	    attest_claims_make(app->attest, ATTEST_INFO, own, sizeof own / sizeof own[0], metadata,
			       &op->attested.claims, w) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	api_attest(r, &op->api, &op->attested, attested);
}
