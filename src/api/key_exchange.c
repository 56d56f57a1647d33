/* key_exchange.c - POST /key-exchange: a new session, its key wrapped for the user and its hashes attested. */
#include "internal.h"

#include "base/encode.h"

struct op {
	struct api_op api;
	bool is_public;
	struct bytes scope; /* in api.json */
	char scope_hash[HEX_SIZE(SHA256_SIZE)];
	struct session_offer offer;
	struct api_attested attested;
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	session_offer_free(&op->offer);
	api_attested_free(&op->attested);
	api_op_free(&op->api);
}

/* Who carries the request could change the scope and so tie the user's session to a conversation of their own: what the
 * session is tied to is attested. */
static enum err hash_scope(struct op *op)
{
	uint8_t hash[SHA256_SIZE];
	if (op->scope.n == 0)
		return ERR_OK;
	const enum err e = crypto_sha256(op->api.app->crypto, op->scope, hash, &op->api.why);
	if (e == ERR_OK)
		hex_encode(bytes_of(hash, sizeof hash), op->scope_hash);
	return e;
}

/* Session, key and wrapping are made before the NSM is asked, because their hashes are what it attests. */
static void make_offer(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct json_value *key, *nonce, *encoding, *scope;
	const struct json_field fields[] = {
		{"user_public_key", JSON_BIT(JSON_STRING), true, &key},
		{"nonce", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &nonce},
		{"nonce_encoding", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &encoding},
		{"scope", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &scope},
	};
	if (api_parse(&op->api, fields, sizeof fields / sizeof fields[0]) != ERR_OK ||
	    api_scope_parse(&op->scope, scope, &op->api.why) != ERR_OK ||
	    api_nonce_parse(&op->attested.nonce, nonce, encoding, &op->api.why) != ERR_OK || hash_scope(op) != ERR_OK)
		return;
	(void)!session_offer_make(op->api.app->crypto, &op->api.app->random, json_string(key), &op->offer,
				  &op->api.why);
}

static void attested(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct session_offer *o = &op->offer;
	if (op->api.why.err != ERR_OK ||
	    session_add(op->api.app->sessions, o, op->scope, op->is_public, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	struct buf b = BUF_INIT(API_REPLY_MAX);
	api_attested_put(&op->attested, false, &b);
	JSON_PUT_KEY(&b, "session_id");
	json_put_string(&b, bytes_of(o->id, sizeof o->id));
	JSON_PUT_KEY(&b, "encrypted_session_key");
	json_put_base64(&b, buf_bytes(&o->wrapped));
	JSON_PUT_KEY(&b, "session_key_hash");
	json_put_hex(&b, bytes_of(o->key_hash, SHA256_SIZE));
	JSON_PUT_KEY(&b, "user_key_hash");
	json_put_hex(&b, bytes_of(o->user_key_hash, SHA256_SIZE));
	if (op->scope.n > 0) {
		JSON_PUT_KEY(&b, "scope_hash");
		json_put_string(&b, bytes_of(op->scope_hash, sizeof op->scope_hash));
	}
	JSON_PUT_KEY(&b, "expires_in_minutes");
	json_put_int(&b, op->api.app->config->session_lifetime / 60);
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
	drop(j);
}

static void offered(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct session_offer *o = &op->offer;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	char key_hash[HEX_SIZE(SHA256_SIZE)], user_hash[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(o->key_hash, SHA256_SIZE), key_hash);
	hex_encode(bytes_of(o->user_key_hash, SHA256_SIZE), user_hash);
	const struct attest_claim own[] = {
		{"session_id", bytes_of(o->id, sizeof o->id)},
		{"session_key_hash", bytes_of(key_hash, sizeof key_hash)},
		{"user_key_hash", bytes_of(user_hash, sizeof user_hash)},
		{"key_exchange_version", BYTES_LIT("1.1")},
		{"scope_hash", bytes_of(op->scope_hash, sizeof op->scope_hash)}, /* last: left out without a scope */
	};
	const size_t n = sizeof own / sizeof own[0] - (op->scope.n == 0 ? 1 : 0);
	/* No agent metadata: the exchange cannot be asked to leave it out, and must not fail over somebody's broken
	 * file. */
	if (attest_claims_make(op->api.app->attest, ATTEST_KEY_EXCHANGE, own, n, false, &op->attested.claims,
			       &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	api_attest(r, &op->api, &op->attested, attested);
}

void api_key_exchange(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op == NULL)
		return;
	op->is_public = http_req_reach(r) != HTTP_LOCAL;
	if (session_room(app->sessions, op->is_public, &op->api.why) != ERR_OK ||
	    api_attested_admit(&op->attested, app, r, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	api_step_away(r, &op->api, op->api.heavy ? LANE_BULK : LANE_CPU, make_offer, offered);
}
