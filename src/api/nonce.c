/* nonce.c - the nonce of a request's body. */
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
