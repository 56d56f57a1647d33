/* encrypt.c - POST /encrypt: a message to the user of a session. */
#include "internal.h"

#include "base/encode.h"

struct op {
	struct api_op api;
	struct buf sealed;
	struct bytes id, plaintext, scope; /* in api.json */
	struct session *session;
	uint32_t number;
	uint8_t iv[AEAD_IV_SIZE];
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	session_release(op->session);
	buf_free(&op->sealed);
	api_op_free(&op->api);
}

static void parse(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct json_value *id, *plaintext, *scope;
	const struct json_field fields[] = {
		{"session_id", JSON_BIT(JSON_STRING), true, &id},
		{"plaintext", JSON_BIT(JSON_STRING), true, &plaintext},
		{"scope", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &scope},
	};
	if (api_parse(&op->api, fields, sizeof fields / sizeof fields[0]) != ERR_OK ||
	    api_scope_parse(&op->scope, scope, &op->api.why) != ERR_OK)
		return;
	op->id = json_string(id);
	op->plaintext = json_string(plaintext);
}

static void seal(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const size_t n = op->plaintext.n + AEAD_TAG_SIZE;
	op->sealed = BUF_INIT(n);
	uint8_t *out = buf_reserve(&op->sealed, n);
	if (out == NULL)
		(void)!buf_check(&op->sealed, &op->api.why);
	else if (session_seal(op->api.app->crypto, op->session, op->iv, op->plaintext, out, &op->api.why) == ERR_OK)
		op->sealed.n = n;
}

static void sealed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	struct buf b = BUF_INIT(BASE64_SIZE(op->sealed.n) + API_REPLY_MAX);
	buf_put_str(&b, "{");
	json_put_key(&b, "ciphertext");
	json_put_base64(&b, buf_bytes(&op->sealed));
	json_put_key(&b, "iv");
	json_put_base64(&b, bytes_of(op->iv, sizeof op->iv));
	api_message_end(&b, op->id, op->number);
	http_reply(r, 200, &b);
	drop(j);
}

static void parsed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	struct session *x = NULL;
	if (op->api.why.err != ERR_OK ||
	    session_find(op->api.app->sessions, op->id, op->scope, &x, &op->api.why) != ERR_OK ||
	    session_send(op->api.app->sessions, x, &op->number, op->iv, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	session_hold(x);
	op->session = x;
	api_step(r, &op->api, op->api.heavy, seal, sealed);
}

void api_encrypt(void *app, struct http_req *r)
{
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op != NULL)
		api_step(r, &op->api, op->api.heavy, parse, parsed);
}
