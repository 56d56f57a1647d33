/* peer.c - what the operations of attested peers share. */
#include "internal.h"

#include <string.h>

#include "base/encode.h"
#include "tls.h"

enum err api_peer_hex(struct bytes text, uint8_t out[SHA256_SIZE], const char *field, struct why *w)
{
	size_t n = 0;
	bool lower = text.n == HEX_SIZE(SHA256_SIZE);
	for (size_t i = 0; lower && i < text.n; i++)
		lower = text.p[i] < 'A' || text.p[i] > 'F';
	if (!lower || !hex_decode(text, out, &n))
		return why_tell(w, ERR_INVALID, field, "Must be %d lower-case hex digits (%d bytes).",
				HEX_SIZE(SHA256_SIZE), SHA256_SIZE);
	return ERR_OK;
}

enum err api_peer_caller(struct app *app, const struct http_req *r, const struct peer_facts **out, struct why *w)
{
	const struct tls_peer *peer = http_req_tls(r);
	const uint8_t *hash = peer != NULL ? tls_peer_key_hash(peer) : NULL;
	if (hash == NULL)
		return why_set(w, ERR_INTERNAL, "a connection without a client certificate came to the attested peers");
	return peer_client_find(app->peer_clients, hash, out, w);
}

/* ---- reports ---- */

void api_peer_report_drop(struct http_job *j)
{
	struct api_peer_report *op = (struct api_peer_report *)j;
	api_attested_free(&op->attested);
	tls_identity_free(op->identity);
	api_op_free(&op->api);
}

enum err api_peer_report_challenge(struct api_peer_report *op, struct bytes challenge, struct why *w)
{
	uint8_t b[PEER_CHALLENGE_SIZE];
	const enum err e = api_peer_hex(challenge, b, "challenge", w);
	if (e != ERR_OK)
		return e;
	struct attest_nonce *nonce = &op->attested.nonce;
	nonce->present = true;
	nonce->encoding = ATTEST_HEX;
	nonce->n = sizeof b;
	memcpy(nonce->b, b, sizeof b);
	return ERR_OK;
}

static void attested(struct http_req *r, struct http_job *j)
{
	struct api_peer_report *op = (struct api_peer_report *)j;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	struct buf b = BUF_INIT(API_REPLY_MAX);
	api_attested_put(&op->attested, false, &b);
	api_put_cert(&b, "certificate", tls_identity_cert(op->identity));
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
	api_peer_report_drop(j);
}

void api_peer_report_make(struct http_req *r, struct api_peer_report *op)
{
	struct app *app = op->api.app;
	struct peer_claims claims = {.role = PEER_SERVER};
	struct why *w = &op->api.why;
	op->identity = tls_identity_ref(tls_server_identity(app->peer_tls));
	memcpy(claims.key_hash, tls_identity_spki_hash(op->identity), SHA256_SIZE);
	memcpy(claims.peer_key_hash, op->peer_key_hash, SHA256_SIZE);
	memcpy(claims.config_digest, app->config_digest, SHA256_SIZE);
	if (api_attested_admit(&op->attested, app, r, w) != ERR_OK ||
	    peer_claims_make(app->attest, &claims, &op->attested.claims, w) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	api_attest(r, &op->api, &op->attested, attested);
}
