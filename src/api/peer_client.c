/* peer_client.c - POST /client: a client's report against a certificate for its key. */
#include "internal.h"

#include <string.h>

struct op {
	struct api_op api;
	struct buf document, spki, reply;
	uint8_t challenge[PEER_CHALLENGE_SIZE]; /* that the document names */
	struct bytes nonce;			/* borrowed from the document */
	struct peer_claims want;
	struct peer_facts facts;
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	buf_free(&op->document);
	buf_free(&op->spki);
	buf_free(&op->reply);
	api_op_free(&op->api);
}

static enum err read_document(struct op *op, struct bytes text, struct why *w)
{
	struct why inner = {0};
	const enum err e = peer_report_read(text, &op->document, w);
	if (e != ERR_OK)
		return e;
	if (verify_nonce_unverified(buf_bytes(&op->document), &op->nonce, &inner) != ERR_OK)
		return why_tell(w, inner.err, "attestation_document", "%s", inner.text);
	return ERR_OK;
}

static void parse(struct http_job *j)
{
	struct op *op = (struct op *)j;
	struct why *w = &op->api.why;
	const struct json_value *document, *public_key;
	const struct json_field fields[] = {
		{"attestation_document", JSON_BIT(JSON_STRING), true, &document},
		{"public_key", JSON_BIT(JSON_STRING), true, &public_key},
	};
	op->spki = BUF_INIT(TLS_KEY_PEM_MAX);
	if (api_parse(&op->api, fields, sizeof fields / sizeof fields[0]) == ERR_OK &&
	    tls_key_read(json_string(public_key), &op->spki, w) == ERR_OK &&
	    crypto_sha256(op->api.app->crypto, buf_bytes(&op->spki), op->want.key_hash, w) == ERR_OK)
		(void)!read_document(op, json_string(document), w);
}

static enum err issue(struct op *op, struct why *w)
{
	const struct app *app = op->api.app;
	const int64_t lifetime_s = app->config->peer_cert_lifetime, now_ms = clock_wall(app->clock);
	struct buf der = BUF_INIT(TLS_CERT_DER_MAX);
	const enum err e = tls_ca_issue(app->crypto, app->peer_ca, buf_bytes(&op->spki), now_ms / 1000, lifetime_s,
					&der, w);
	if (e == ERR_OK) {
		op->facts.verified_wall_ms = now_ms;
		op->facts.lifetime_ms = lifetime_s * 1000;
		buf_put_str(&op->reply, "{");
		api_put_cert(&op->reply, "certificate", buf_bytes(&der));
		api_put_cert(&op->reply, "ca_certificate", tls_ca_cert(app->peer_ca));
		JSON_PUT_KEY(&op->reply, "expires_in_seconds");
		json_put_int(&op->reply, lifetime_s);
		buf_put_str(&op->reply, "}");
	}
	buf_free(&der);
	return e;
}

static void work(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct app *app = op->api.app;
	struct why *w = &op->api.why;
	struct verify_verdict *verdict = NULL;
	op->reply = BUF_INIT(API_REPLY_MAX);
	if (peer_report_check(app->verify, app->peer_policy, buf_bytes(&op->document), op->challenge, &op->want,
			      &verdict, w) == ERR_OK) {
		peer_facts_of(verdict, &op->want, &op->facts);
		(void)!issue(op, w);
	}
	verify_verdict_free(verdict);
}

static void issued(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK ||
	    peer_client_keep(op->api.app->peer_clients, &op->facts, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	http_reply(r, 200, &op->reply);
	drop(j);
}

/* The challenge is used up before anything is believed, or takes long: only who was given it can name it, and whoever
 * names it has this one attempt. */
static void parsed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct app *app = op->api.app;
	if (op->api.why.err != ERR_OK || peer_challenge_take(app->peer_challenges, op->nonce, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	memcpy(op->challenge, op->nonce.p, sizeof op->challenge);
	op->want.role = PEER_CLIENT;
	memcpy(op->want.peer_key_hash, tls_identity_spki_hash(tls_server_identity(app->peer_tls)), SHA256_SIZE);
	memcpy(op->want.config_digest, app->config_digest, SHA256_SIZE);
	api_step_away(r, &op->api, LANE_BULK, work, issued);
}

void api_peer_client(void *app, struct http_req *r)
{
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op != NULL)
		api_step(r, &op->api, parse, parsed);
}
