#include <stdlib.h>

#include "base/encode.h"
#include "internal.h"

struct op {
	struct http_job job;
	struct app *app;
	struct why why;
	bool is_public;
	struct buf body;
	struct json *json;
	struct bytes scope; /* in json */
	struct session_offer offer;
	struct api_attested attested;
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	json_free(op->json);
	buf_free(&op->body);
	session_offer_free(&op->offer);
	api_attested_free(&op->attested);
	free(op);
}

/* Session, key and wrapping are made before the NSM is asked, because their hashes are what it attests. */
static void make_offer(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct json_value *key, *nonce, *encoding, *scope;
	const struct json_field fields[] = {
		{"user_public_key", 1u << JSON_STRING, true, &key},
		{"nonce", 1u << JSON_STRING | 1u << JSON_NULL, false, &nonce},
		{"nonce_encoding", 1u << JSON_STRING | 1u << JSON_NULL, false, &encoding},
		{"scope", 1u << JSON_STRING | 1u << JSON_NULL, false, &scope},
	};
	if (json_parse(&op->json, buf_bytes(&op->body), &op->why) != ERR_OK ||
	    json_fields(json_root(op->json), fields, sizeof fields / sizeof fields[0], &op->why) != ERR_OK ||
	    api_scope_parse(&op->scope, scope, &op->why) != ERR_OK ||
	    api_nonce_parse(&op->attested.nonce, nonce, encoding, &op->why) != ERR_OK)
		return;
	if (session_offer_make(op->app->crypto, &op->app->random, json_string(key), &op->offer, &op->why) != ERR_OK)
		return;
	buf_free(&op->body);
}

static void attest(struct http_job *j)
{
	struct op *op = (struct op *)j;
	(void)!api_attested_make(&op->attested, &op->why);
}

static void put_hash(struct buf *b, const char *key, const uint8_t hash[SHA256_SIZE])
{
	json_put_key(b, key);
	buf_put_u8(b, '"');
	buf_put_hex(b, bytes_of(hash, SHA256_SIZE));
	buf_put_u8(b, '"');
}

static void attested(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct session_offer *o = &op->offer;
	if (op->why.err != ERR_OK || session_add(op->app->sessions, o, op->scope, op->is_public, &op->why) != ERR_OK) {
		api_abort(r, j, &op->why);
		return;
	}
	struct buf b = BUF_INIT(API_REPLY_MAX);
	api_attested_put(&op->attested, false, &b);
	json_put_key(&b, "session_id");
	json_put_string(&b, bytes_of(o->id, sizeof o->id));
	json_put_key(&b, "encrypted_session_key");
	buf_put_u8(&b, '"');
	buf_put_base64(&b, buf_bytes(&o->wrapped));
	buf_put_u8(&b, '"');
	put_hash(&b, "session_key_hash", o->key_hash);
	put_hash(&b, "user_key_hash", o->user_key_hash);
	json_put_key(&b, "expires_in_minutes");
	json_put_int(&b, op->app->config->session_lifetime / 60);
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
	drop(j);
}

static void offered(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct session_offer *o = &op->offer;
	char key_hash[HEX_SIZE(SHA256_SIZE)], user_hash[HEX_SIZE(SHA256_SIZE)];
	if (op->why.err != ERR_OK)
		goto fail;
	hex_encode(bytes_of(o->key_hash, SHA256_SIZE), key_hash);
	hex_encode(bytes_of(o->user_key_hash, SHA256_SIZE), user_hash);
	const struct attest_claim own[] = {
		{"session_id", bytes_of(o->id, sizeof o->id)},
		{"session_key_hash", bytes_of(key_hash, sizeof key_hash)},
		{"user_key_hash", bytes_of(user_hash, sizeof user_hash)},
		{"key_exchange_version", BYTES_LIT("1.1")},
	};
	/* No agent metadata: the exchange cannot be asked to leave it out, and must not fail over somebody's broken
	 * file. */
	if (attest_claims_make(op->app->attest, ATTEST_KEY_EXCHANGE, own, sizeof own / sizeof own[0], false,
			       &op->attested.claims, &op->why) != ERR_OK)
		goto fail;
	api_step(r, j, true, LANE_NSM, op->app->config->nsm_timeout * 1000, attest, attested);
	return;
fail:
	api_abort(r, j, &op->why);
}

void api_key_exchange(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct why w = {0};
	struct op *op = api_new(r, sizeof *op);
	if (op == NULL)
		return;
	op->app = app;
	op->is_public = http_req_reach(r) != HTTP_LOCAL;
	op->job.drop = drop;
	if (session_room(app->sessions, op->is_public, &w) != ERR_OK ||
	    api_attested_admit(&op->attested, app, r, &w) != ERR_OK) {
		api_abort(r, &op->job, &w);
		return;
	}
	http_take_body(r, &op->body);
	api_step(r, &op->job, true, LANE_CPU, 0, make_offer, offered);
}
