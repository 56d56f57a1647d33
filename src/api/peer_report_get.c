/* peer_report_get.c - GET /report: the same as a POST, for a client that sends the hash of its key alone. */
#include "internal.h"

static enum err read_query(const struct http_req *r, struct api_peer_report *op, struct why *w)
{
	static const char *const known[] = {"challenge", "key_hash", NULL};
	struct buf challenge = BUF_INIT(HTTP_QUERY_MAX), key_hash = BUF_INIT(HTTP_QUERY_MAX);
	bool present = false;
	enum err e = http_query_only(r, known, w);
	/* What is absent is empty, and that is not of the form either. */
	if (e == ERR_OK && (e = http_query(r, "challenge", &challenge, &present, w)) == ERR_OK &&
	    (e = http_query(r, "key_hash", &key_hash, &present, w)) == ERR_OK &&
	    (e = api_peer_report_challenge(op, buf_bytes(&challenge), w)) == ERR_OK)
		e = api_peer_hex(buf_bytes(&key_hash), op->peer_key_hash, "key_hash", w);
	buf_free(&challenge);
	buf_free(&key_hash);
	return e;
}

void api_peer_report_get(void *app, struct http_req *r)
{
	struct api_peer_report *op = api_begin(app, r, sizeof *op, api_peer_report_drop);
	if (op == NULL)
		return;
	if (read_query(r, op, &op->api.why) != ERR_OK)
		api_abort(r, &op->api);
	else
		api_peer_report_make(r, op);
}
