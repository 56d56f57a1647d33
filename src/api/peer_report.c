/* peer_report.c - POST /report: a document that binds our key of mutual TLS to a client's key and challenge. */
#include "internal.h"

static void parse(struct http_job *j)
{
	struct api_peer_report *op = (struct api_peer_report *)j;
	struct why *w = &op->api.why;
	const struct json_value *challenge, *public_key;
	const struct json_field fields[] = {
		{"challenge", JSON_BIT(JSON_STRING), true, &challenge},
		{"public_key", JSON_BIT(JSON_STRING), true, &public_key},
	};
	struct buf spki = BUF_INIT(TLS_KEY_PEM_MAX);
	if (api_parse(&op->api, fields, sizeof fields / sizeof fields[0]) == ERR_OK &&
	    api_peer_report_challenge(op, json_string(challenge), w) == ERR_OK &&
	    tls_key_read(json_string(public_key), &spki, w) == ERR_OK)
		(void)!crypto_sha256(op->api.app->crypto, buf_bytes(&spki), op->peer_key_hash, w);
	buf_free(&spki);
}

static void parsed(struct http_req *r, struct http_job *j)
{
	struct api_peer_report *op = (struct api_peer_report *)j;
	if (op->api.why.err != ERR_OK)
		api_abort(r, &op->api);
	else
		api_peer_report_make(r, op);
}

void api_peer_report(void *app, struct http_req *r)
{
	struct api_peer_report *op = api_begin(app, r, sizeof *op, api_peer_report_drop);
	if (op != NULL)
		api_step(r, &op->api, parse, parsed);
}
