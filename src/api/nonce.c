/* nonce.c - the nonce of a request's body or query. */
#include "internal.h"

enum err api_nonce_parse(struct attest_nonce *out, const struct json_value *nonce, const struct json_value *encoding,
			 struct why *w)
{
	enum attest_encoding forced = ATTEST_AUTO;
	if (encoding != NULL && !attest_encoding_parse(json_string(encoding), &forced))
		return why_tell(w, ERR_INVALID, "nonce_encoding", "Must be auto, hex, base64 or text.");
	if (nonce == NULL) {
		*out = (struct attest_nonce){0};
		return ERR_OK;
	}
	return attest_nonce_parse(out, json_string(nonce), forced, w);
}

enum err api_nonce_query(const struct http_req *r, struct attest_nonce *out, struct why *w)
{
	enum attest_encoding forced = ATTEST_AUTO;
	bool have_nonce = false, have_encoding = false;
	struct buf text = BUF_INIT(HTTP_QUERY_MAX), encoding = BUF_INIT(HTTP_QUERY_MAX);
	enum err e = http_query(r, "nonce", &text, &have_nonce, w);
	if (e == ERR_OK)
		e = http_query(r, "nonce_encoding", &encoding, &have_encoding, w);
	if (e == ERR_OK && have_encoding && !attest_encoding_parse(buf_bytes(&encoding), &forced))
		e = why_tell(w, ERR_INVALID, "nonce_encoding", "Must be auto, hex, base64 or text.");
	if (e == ERR_OK && have_nonce)
		e = attest_nonce_parse(out, buf_bytes(&text), forced, w);
	buf_free(&text);
	buf_free(&encoding);
	return e;
}
