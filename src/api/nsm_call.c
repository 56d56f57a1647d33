#include <string.h>

#include "base/encode.h"
#include "internal.h"

static size_t reach_index(enum http_reach r)
{
	return r == HTTP_LOCAL ? 0 : 1;
}

/* Takes one token, or says in how many seconds there will be one. */
static unsigned bucket_take(struct api_bucket *b, int64_t now_ms)
{
	const int64_t full = b->burst * 1000;
	const int64_t added = (now_ms - b->at_ms) * b->rate;
	b->at_ms = now_ms;
	b->milli_tokens = added >= full - b->milli_tokens ? full : b->milli_tokens + added;
	if (b->milli_tokens >= 1000) {
		b->milli_tokens -= 1000;
		return 0;
	}
	const int64_t ms = (1000 - b->milli_tokens + b->rate - 1) / b->rate;
	return (unsigned)((ms + 999) / 1000);
}

enum err api_attested_admit(struct api_attested *a, struct app *app, const struct http_req *r, struct why *w)
{
	const enum http_reach reach = http_req_reach(r);
	if (reach != HTTP_LOCAL && app->nsm_waiting_public >= (app->config->nsm_queue + 1) / 2) {
		app->nsm_refused++;
		(void)why_tell(w, ERR_BUSY, NULL,
			       "Too many attestations are waiting on this listener; try again shortly.");
		w->retry_after_s = 1;
		return w->err;
	}
	const unsigned wait_s = bucket_take(&app->nsm_bucket[reach_index(reach)], loop_now_ms(app->loop));
	if (wait_s > 0) {
		app->nsm_refused++;
		(void)why_tell(w, ERR_RATE, NULL,
			       "More than %lld attestations a second were asked for; try again in %u s.",
			       (long long)app->config->nsm_rate, wait_s);
		w->retry_after_s = wait_s;
		return w->err;
	}
	a->app = app;
	a->reach = reach;
	a->admitted = true;
	app->nsm_calls++;
	if (reach != HTTP_LOCAL)
		app->nsm_waiting_public++;
	return ERR_OK;
}

enum err api_attested_make(struct api_attested *a, struct why *w)
{
	return attest_doc_make(a->app->attest, buf_bytes(&a->claims.user_data), &a->nonce, &a->doc, w);
}

void api_attested_free(struct api_attested *a)
{
	attest_claims_free(&a->claims);
	attest_doc_free(a->doc);
	if (a->admitted && a->reach != HTTP_LOCAL)
		a->app->nsm_waiting_public--;
	a->doc = NULL;
	a->admitted = false;
}

void api_attested_put(const struct api_attested *a, bool custom_data, struct buf *out)
{
	char when[CLOCK_TEXT_SIZE];
	const struct bytes pcr2 = attest_doc_pcr(a->doc, 2);
	const char *warning = attest_doc_warning(a->doc);

	clock_text(a->claims.wall_ms, when);
	buf_put_str(out, "{\"attestation_document\":");
	attest_doc_json(a->doc, out);
	json_put_key(out, "pcr2");
	if (pcr2.n > 0) {
		buf_put_u8(out, '"');
		buf_put_hex(out, pcr2);
		buf_put_u8(out, '"');
	} else {
		buf_put_str(out, "null");
	}
	json_put_key(out, "user_data");
	buf_put_bytes(out, buf_bytes(&a->claims.user_data));
	json_put_key(out, "timestamp");
	json_put_cstr(out, when);
	json_put_key(out, "nonce_hex");
	if (a->nonce.present) {
		buf_put_u8(out, '"');
		buf_put_hex(out, bytes_of(a->nonce.b, a->nonce.n));
		buf_put_u8(out, '"');
	} else {
		buf_put_str(out, "null");
	}
	json_put_key(out, "nonce_encoding");
	if (a->nonce.present)
		json_put_cstr(out, attest_encoding_name(a->nonce.encoding));
	else
		buf_put_str(out, "null");
	json_put_key(out, "tee_verified");
	buf_put_str(out, attest_doc_verified(a->doc) ? "true" : "false");
	if (warning != NULL) {
		json_put_key(out, "_warning");
		json_put_cstr(out, warning);
	}
	if (a->claims.metadata.n > 0) {
		json_put_key(out, "metadata");
		buf_put_bytes(out, buf_bytes(&a->claims.metadata));
	}
	json_put_key(out, "verification_instructions");
	attest_instructions(a->claims.purpose, custom_data, out);
}

enum err api_nonce_parse(struct attest_nonce *out, const struct json_value *nonce, const struct json_value *encoding,
			 struct why *w)
{
	enum attest_encoding forced = ATTEST_AUTO;
	if (encoding != NULL && !attest_encoding_parse(json_string(encoding), &forced))
		return why_tell(w, ERR_INVALID, "nonce_encoding", "Must be auto, hex, base64 or text.");
	if (nonce == NULL) {
		memset(out, 0, sizeof *out);
		return ERR_OK;
	}
	return attest_nonce_parse(out, json_string(nonce), forced, w);
}
