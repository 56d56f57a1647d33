/* evidences.c - GET /evidences/: what attests the certificate of the very connection that asks. */
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

static const char *origin(const struct tls_identity *own)
{
	return tls_identity_from_file(own) ? "file" : "memory";
}

static void attested(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	/* The connection's own, whatever the listener has by now. */
	const struct tls_identity *own = tls_peer_own(http_req_tls(r));
	struct buf b = BUF_INIT(API_REPLY_MAX);
	api_attested_put(&op->attested, false, &b);
	api_put_cert(&b, "certificate", tls_identity_cert(own));
	JSON_PUT_KEY(&b, "tls_cert_hash");
	json_put_hex(&b, bytes_of(tls_identity_cert_hash(own), SHA256_SIZE));
	JSON_PUT_KEY(&b, "tls_spki_hash");
	json_put_hex(&b, bytes_of(tls_identity_spki_hash(own), SHA256_SIZE));
	JSON_PUT_KEY(&b, "key_origin");
	json_put_cstr(&b, origin(own));
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
	drop(j);
}

static enum err read_query(const struct http_req *r, struct attest_nonce *nonce, struct why *w)
{
	static const char *const known[] = {"nonce", "nonce_encoding", NULL};
	const enum err e = http_query_only(r, known, w);
	return e != ERR_OK ? e : api_nonce_query(r, nonce, w);
}

/* No agent metadata: whether a channel can be trusted must not depend on somebody's broken file. */
static enum err make_claims(struct op *op, const struct tls_identity *own)
{
	char cert[HEX_SIZE(SHA256_SIZE)], spki[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(tls_identity_cert_hash(own), SHA256_SIZE), cert);
	hex_encode(bytes_of(tls_identity_spki_hash(own), SHA256_SIZE), spki);
	const struct attest_claim claims[] = {
		{"tls_cert_hash", bytes_of(cert, sizeof cert)},
		{"tls_spki_hash", bytes_of(spki, sizeof spki)},
		{"key_origin", bytes_str(origin(own))},
	};
	return attest_claims_make(op->api.app->attest, ATTEST_TLS, claims, sizeof claims / sizeof claims[0], false,
				  &op->attested.claims, &op->api.why);
}

void api_evidences(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op == NULL)
		return;
	struct why *w = &op->api.why;
	const struct tls_peer *peer = http_req_tls(r);
	const struct tls_identity *own = peer != NULL ? tls_peer_own(peer) : NULL;
	if (own == NULL)
		(void)why_set(w, ERR_INTERNAL, "a request with the reach of TLS, and without TLS");
	if (w->err != ERR_OK || read_query(r, &op->attested.nonce, w) != ERR_OK ||
	    api_attested_admit(&op->attested, app, r, w) != ERR_OK || make_claims(op, own) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	api_attest(r, &op->api, &op->attested, attested);
}
