/* key_decrypt.c - POST /keys/{key_id}/decrypt: what was encrypted to a generated key. */
#include "internal.h"

#include "base/encode.h"

struct op {
	struct api_op api;
	struct keys_key *key;
	uint8_t ciphertext[BASE64_DECODED_MAX(BASE64_SIZE(KEYS_CIPHERTEXT_SIZE))];
	struct buf plain, reply;
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	keys_release(op->key);
	buf_free(&op->plain);
	buf_free(&op->reply);
	api_op_free(&op->api);
}

static void parse(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct json_value *ciphertext;
	const struct json_field fields[] = {{"ciphertext", JSON_BIT(JSON_STRING), true, &ciphertext}};
	if (api_parse(&op->api, fields, sizeof fields / sizeof fields[0]) != ERR_OK)
		return;
	/* A length is the sender's own; all else that may be wrong with a ciphertext has one answer (keys_decrypt). */
	const struct bytes text = json_string(ciphertext);
	size_t n = 0;
	if (text.n != BASE64_SIZE(KEYS_CIPHERTEXT_SIZE) || !base64_decode(text, op->ciphertext, &n) ||
	    n != KEYS_CIPHERTEXT_SIZE)
		(void)why_tell(&op->api.why, ERR_INVALID, "ciphertext",
			       "Must be %d bytes in padded base64, as RSA-%d makes them.", KEYS_CIPHERTEXT_SIZE,
			       KEYS_BITS);
}

static void decrypt(struct http_job *j)
{
	struct op *op = (struct op *)j;
	op->plain = BUF_INIT(KEYS_PLAIN_MAX);
	op->reply = BUF_INIT(API_REPLY_MAX);
	(void)buf_reserve(&op->plain, KEYS_PLAIN_MAX); /* never NULL, which would be null, for an empty message */
	if (keys_decrypt(op->key, bytes_of(op->ciphertext, KEYS_CIPHERTEXT_SIZE), &op->plain, &op->api.why) != ERR_OK)
		return;
	buf_put_str(&op->reply, "{");
	JSON_PUT_KEY(&op->reply, "plaintext");
	json_put_base64(&op->reply, buf_bytes(&op->plain));
	JSON_PUT_KEY(&op->reply, "key_id");
	json_put_string(&op->reply, bytes_of(keys_id(op->key), KEYS_ID_SIZE));
	buf_put_str(&op->reply, "}");
	buf_free(&op->plain);
}

static void decrypted(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	http_reply(r, 200, &op->reply);
	drop(j);
}

static void parsed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK ||
	    keys_find(op->api.app->keys, http_param(r), &op->key, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	keys_hold(op->key);
	api_step_away(r, &op->api, LANE_CPU, decrypt, decrypted);
}

void api_key_decrypt(void *app, struct http_req *r)
{
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op != NULL)
		api_step(r, &op->api, parse, parsed);
}
