#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "internal.h"

struct op {
	struct http_job job;
	struct app *app;
	struct why why;
	bool heavy;
	struct buf body, sealed, plain;
	struct json *json;
	struct bytes id, scope; /* in json */
	struct session *session;
	uint8_t iv[AEAD_IV_SIZE];
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	session_release(op->session);
	json_free(op->json);
	buf_free(&op->body);
	buf_free(&op->sealed);
	buf_free(&op->plain);
	free(op);
}

static enum err read_iv(struct op *op, struct bytes text, struct why *w)
{
	uint8_t raw[BASE64_DECODED_MAX(BASE64_SIZE(AEAD_IV_SIZE))];
	size_t n;
	if (text.n != BASE64_SIZE(AEAD_IV_SIZE) || !base64_decode(text, raw, &n) || n != AEAD_IV_SIZE)
		return why_tell(w, ERR_INVALID, "iv", "Must be %d bytes in padded base64.", AEAD_IV_SIZE);
	memcpy(op->iv, raw, AEAD_IV_SIZE);
	return ERR_OK;
}

static enum err read_ciphertext(struct op *op, struct bytes text, struct why *w)
{
	op->sealed = BUF_INIT(BASE64_DECODED_MAX(text.n));
	uint8_t *out = text.n > 0 ? buf_reserve(&op->sealed, BASE64_DECODED_MAX(text.n)) : NULL;
	if (text.n > 0 && out == NULL)
		return buf_check(&op->sealed, w);
	size_t n = 0;
	if (text.n > 0 && !base64_decode(text, out, &n))
		return why_tell(w, ERR_INVALID, "ciphertext", "Is not padded base64.");
	if (n < AEAD_TAG_SIZE)
		return why_tell(w, ERR_INVALID, "ciphertext", "Must hold at least the %d bytes of the tag.",
				AEAD_TAG_SIZE);
	op->sealed.n = n;
	return ERR_OK;
}

static void parse(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct json_value *id, *ciphertext, *iv, *scope;
	const struct json_field fields[] = {
		{"session_id", 1u << JSON_STRING, true, &id},
		{"ciphertext", 1u << JSON_STRING, true, &ciphertext},
		{"iv", 1u << JSON_STRING, true, &iv},
		{"scope", 1u << JSON_STRING | 1u << JSON_NULL, false, &scope},
	};
	if (json_parse(&op->json, buf_bytes(&op->body), &op->why) != ERR_OK)
		return;
	buf_free(&op->body);
	if (json_fields(json_root(op->json), fields, sizeof fields / sizeof fields[0], &op->why) != ERR_OK ||
	    api_scope_parse(&op->scope, scope, &op->why) != ERR_OK ||
	    read_iv(op, json_string(iv), &op->why) != ERR_OK ||
	    read_ciphertext(op, json_string(ciphertext), &op->why) != ERR_OK)
		return;
	op->id = json_string(id);
}

static void unseal(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const size_t n = op->sealed.n - AEAD_TAG_SIZE;
	op->plain = BUF_INIT(n + 1);
	uint8_t *out = buf_reserve(&op->plain, n + 1); /* never NULL for an empty message */
	if (out == NULL) {
		(void)!buf_check(&op->plain, &op->why);
		return;
	}
	if (session_unseal(op->app->crypto, op->session, op->iv, buf_bytes(&op->sealed), out, &op->why) != ERR_OK)
		return;
	op->plain.n = n;
	/* Authentic, but a JSON string cannot carry it: said before the message is used up, so nothing is lost. */
	if (!utf8_valid(buf_bytes(&op->plain)))
		(void)why_tell(&op->why, ERR_INVALID, "ciphertext", "The message is authentic but is not UTF-8 text.");
}

static void unsealed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	uint32_t number = 0;
	if (op->why.err != ERR_OK ||
	    session_receive(op->app->sessions, op->session, op->iv, &number, &op->why) != ERR_OK) {
		api_abort(r, j, &op->why);
		return;
	}
	struct buf b = BUF_INIT(op->plain.n * 6 + API_REPLY_MAX);
	buf_put_str(&b, "{\"plaintext\":");
	json_put_string(&b, buf_bytes(&op->plain));
	api_message_end(&b, op->id, number);
	http_reply(r, 200, &b);
	drop(j);
}

static void parsed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	struct session *x = NULL;
	if (op->why.err != ERR_OK || session_find(op->app->sessions, op->id, op->scope, &x, &op->why) != ERR_OK ||
	    session_check(op->app->sessions, x, op->iv, &op->why) != ERR_OK) {
		api_abort(r, j, &op->why);
		return;
	}
	session_hold(x);
	op->session = x;
	api_step(r, j, op->heavy, LANE_CPU, 0, unseal, unsealed);
}

void api_decrypt(void *app, struct http_req *r)
{
	struct op *op = api_new(r, sizeof *op);
	if (op == NULL)
		return;
	op->app = app;
	op->heavy = http_body_heavy(r);
	op->job.drop = drop;
	http_take_body(r, &op->body);
	api_step(r, &op->job, op->heavy, LANE_CPU, 0, parse, parsed);
}
