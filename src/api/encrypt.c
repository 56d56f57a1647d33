/* encrypt.c - POST /encrypt: a message to the user of a session. */
#include "internal.h"

#include "base/encode.h"

struct op {
	struct api_op api;
	struct buf reply;
	struct bytes id, plaintext, scope; /* in api.json */
	struct session *session;
	uint32_t number;
	uint8_t iv[AEAD_IV_SIZE];
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	session_release(op->session);
	buf_free(&op->reply);
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

/* Seals and renders: a long message is sealed, written out and wiped without the loop. */
static void seal(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const size_t n = op->plaintext.n + AEAD_TAG_SIZE;
	struct buf sealed = BUF_INIT(n);
	uint8_t *out = buf_reserve(&sealed, n);
	if (out == NULL) {
		(void)!buf_check(&sealed, &op->api.why);
		return;
	}
	if (session_seal(op->api.app->sessions, op->session, op->api.away, op->iv, op->plaintext, out, &op->api.why) !=
	    ERR_OK) {
		buf_free(&sealed);
		return;
	}
	sealed.n = n;
	op->reply = BUF_INIT(BASE64_SIZE(n) + API_MEMBERS_ROOM);
	(void)buf_reserve(&op->reply, BASE64_SIZE(n) + API_MEMBERS_ROOM);
	buf_put_str(&op->reply, "{");
	JSON_PUT_KEY(&op->reply, "ciphertext");
	json_put_base64(&op->reply, buf_bytes(&sealed));
	buf_free(&sealed);
	JSON_PUT_KEY(&op->reply, "iv");
	json_put_base64(&op->reply, bytes_of(op->iv, sizeof op->iv));
	JSON_PUT_KEY(&op->reply, "session_id");
	json_put_string(&op->reply, op->id);
	JSON_PUT_KEY(&op->reply, "message_number");
	json_put_int(&op->reply, op->number);
	buf_put_str(&op->reply, "}");
	json_free(op->api.json);
	op->api.json = NULL;
}

static void sealed(struct http_req *r, struct http_job *j)
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
	struct session *x = NULL;
	if (op->api.why.err != ERR_OK ||
	    session_find(op->api.app->sessions, op->id, op->scope, &x, &op->api.why) != ERR_OK ||
	    session_send(op->api.app->sessions, x, &op->number, op->iv, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	session_hold(x);
	op->session = x;
	api_step(r, &op->api, seal, sealed);
}

void api_encrypt(void *app, struct http_req *r)
{
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op != NULL)
		api_step(r, &op->api, parse, parsed);
}
