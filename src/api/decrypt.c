/* decrypt.c - POST /decrypt: a message from the user of a session. */
#include "internal.h"

#include <string.h>

#include "base/encode.h"

enum { NUMBER_ROOM = 64 }; /* the last member */

struct op {
	struct api_op api;
	struct buf message, reply; /* the message is opened in its place */
	struct bytes id, scope;	   /* in api.json */
	struct session *session;
	uint8_t iv[AEAD_IV_SIZE];
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	session_release(op->session);
	buf_free(&op->message);
	buf_free(&op->reply);
	api_op_free(&op->api);
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
	op->message = BUF_INIT(BASE64_DECODED_MAX(text.n));
	uint8_t *out = text.n > 0 ? buf_reserve(&op->message, BASE64_DECODED_MAX(text.n)) : NULL;
	if (text.n > 0 && out == NULL)
		return buf_check(&op->message, w);
	size_t n = 0;
	if (text.n > 0 && !base64_decode(text, out, &n))
		return why_tell(w, ERR_INVALID, "ciphertext", "Is not padded base64.");
	if (n < AEAD_TAG_SIZE)
		return why_tell(w, ERR_INVALID, "ciphertext", "Must hold at least the %d bytes of the tag.",
				AEAD_TAG_SIZE);
	op->message.n = n;
	return ERR_OK;
}

static void parse(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct json_value *id, *ciphertext, *iv, *scope;
	const struct json_field fields[] = {
		{"session_id", JSON_BIT(JSON_STRING), true, &id},
		{"ciphertext", JSON_BIT(JSON_STRING), true, &ciphertext},
		{"iv", JSON_BIT(JSON_STRING), true, &iv},
		{"scope", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &scope},
	};
	if (api_parse(&op->api, fields, sizeof fields / sizeof fields[0]) != ERR_OK ||
	    api_scope_parse(&op->scope, scope, &op->api.why) != ERR_OK ||
	    read_iv(op, json_string(iv), &op->api.why) != ERR_OK ||
	    read_ciphertext(op, json_string(ciphertext), &op->api.why) != ERR_OK)
		return;
	op->id = json_string(id);
}

/* Unseals and renders all but the number: a long message is opened, written out and wiped without the loop, and there
 * is no want of memory left that could lose a message once it is used up. */
static void unseal(struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (session_unseal(op->api.app->sessions, op->session, op->api.away, op->iv, buf_bytes(&op->message),
			   op->message.p, &op->api.why) != ERR_OK)
		return;
	op->message.n -= AEAD_TAG_SIZE;
	const struct bytes plain = buf_bytes(&op->message);
	/* Authentic, but a JSON string cannot carry it: said before the message is used up, so nothing is lost. */
	if (!utf8_valid(plain)) {
		(void)why_tell(&op->api.why, ERR_INVALID, "ciphertext",
			       "The message is authentic but is not UTF-8 text.");
		return;
	}
	op->reply = BUF_INIT(plain.n * JSON_ESCAPE_MAX + API_REPLY_MAX);
	(void)buf_reserve(&op->reply, plain.n + API_MEMBERS_ROOM);
	buf_put_str(&op->reply, "{");
	JSON_PUT_KEY(&op->reply, "plaintext");
	json_put_string(&op->reply, plain);
	JSON_PUT_KEY(&op->reply, "session_id");
	json_put_string(&op->reply, op->id);
	(void)buf_reserve(&op->reply, NUMBER_ROOM);
	(void)!buf_check(&op->reply, &op->api.why);
	buf_free(&op->message);
	json_free(op->api.json);
	op->api.json = NULL;
}

static void unsealed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	uint32_t number = 0;
	if (op->api.why.err != ERR_OK ||
	    session_receive(op->api.app->sessions, op->session, op->iv, &number, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	JSON_PUT_KEY(&op->reply, "message_number");
	json_put_int(&op->reply, number);
	buf_put_str(&op->reply, "}");
	http_reply(r, 200, &op->reply);
	drop(j);
}

static void parsed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	struct session *x = NULL;
	if (op->api.why.err != ERR_OK ||
	    session_find(op->api.app->sessions, op->id, op->scope, &x, &op->api.why) != ERR_OK ||
	    session_check(op->api.app->sessions, x, op->iv, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	session_hold(x);
	op->session = x;
	api_step(r, &op->api, unseal, unsealed);
}

void api_decrypt(void *app, struct http_req *r)
{
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op != NULL)
		api_step(r, &op->api, parse, parsed);
}
