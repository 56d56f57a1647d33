#include <stdlib.h>

#include "base/encode.h"
#include "internal.h"

struct op {
	struct http_job job;
	struct app *app;
	struct why why;
	bool heavy;
	struct buf body, sealed;
	struct json *json;
	struct bytes id, plaintext, scope; /* in json */
	struct session *session;
	uint32_t number;
	uint8_t iv[AEAD_IV_SIZE];
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	session_release(op->session);
	json_free(op->json);
	buf_free(&op->body);
	buf_free(&op->sealed);
	free(op);
}

static void parse(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct json_value *id, *plaintext, *scope;
	const struct json_field fields[] = {
		{"session_id", 1u << JSON_STRING, true, &id},
		{"plaintext", 1u << JSON_STRING, true, &plaintext},
		{"scope", 1u << JSON_STRING | 1u << JSON_NULL, false, &scope},
	};
	if (json_parse(&op->json, buf_bytes(&op->body), &op->why) != ERR_OK ||
	    json_fields(json_root(op->json), fields, sizeof fields / sizeof fields[0], &op->why) != ERR_OK ||
	    api_scope_parse(&op->scope, scope, &op->why) != ERR_OK)
		return;
	op->id = json_string(id);
	op->plaintext = json_string(plaintext);
	buf_free(&op->body);
}

static void seal(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const size_t n = op->plaintext.n + AEAD_TAG_SIZE;
	op->sealed = BUF_INIT(n);
	uint8_t *out = buf_reserve(&op->sealed, n);
	if (out == NULL)
		(void)!buf_check(&op->sealed, &op->why);
	else if (session_seal(op->app->crypto, op->session, op->iv, op->plaintext, out, &op->why) == ERR_OK)
		op->sealed.n = n;
}

static void sealed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->why.err != ERR_OK) {
		api_abort(r, j, &op->why);
		return;
	}
	struct buf b = BUF_INIT(BASE64_SIZE(op->sealed.n) + API_REPLY_MAX);
	buf_put_str(&b, "{\"ciphertext\":\"");
	buf_put_base64(&b, buf_bytes(&op->sealed));
	buf_put_str(&b, "\",\"iv\":\"");
	buf_put_base64(&b, bytes_of(op->iv, sizeof op->iv));
	buf_put_str(&b, "\"");
	api_message_end(&b, op->id, op->number);
	http_reply(r, 200, &b);
	drop(j);
}

static void parsed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	struct session *x = NULL;
	if (op->why.err != ERR_OK || session_find(op->app->sessions, op->id, op->scope, &x, &op->why) != ERR_OK ||
	    session_send(op->app->sessions, x, &op->number, op->iv, &op->why) != ERR_OK) {
		api_abort(r, j, &op->why);
		return;
	}
	session_hold(x);
	op->session = x;
	api_step(r, j, op->heavy, LANE_CPU, 0, seal, sealed);
}

void api_encrypt(void *app, struct http_req *r)
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
