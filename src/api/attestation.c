/* attestation.c - POST /attestation: a document over the agent's claims and custom data of any size. */
#include "internal.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

enum { DIGEST_CHUNK = 64 * 1024 };

struct op {
	struct api_op api;
	bool with_metadata;
	const struct json_value *custom; /* in api.json; NULL if absent */
	uint8_t digest[SHA256_SIZE];	 /* of its canonical form */
	size_t canon_n, canon_quoted_n;	 /* bytes of the canonical form, plain and as the inside of a JSON string */
	struct api_attested attested;
	/* The reply with custom data, a piece after the other. */
	struct buf head, tail;
	struct json_canon *canon;
	size_t sent;
	enum { SEND_HEAD, SEND_VALUE, SEND_BETWEEN, SEND_TEXT, SEND_TAIL } sending;
};

static const char between[] = ",\"custom_data_canonical\":\"";

static void free_op(struct op *op)
{
	json_canon_free(op->canon);
	buf_free(&op->head);
	buf_free(&op->tail);
	api_attested_free(&op->attested);
	api_op_free(&op->api);
}

static void free_values(struct loop_job *j)
{
	struct op *op = (struct op *)j;
	json_free(op->api.json);
	op->api.json = NULL;
	buf_free(&op->api.body);
	/* The allocator would keep some of it for ever. */
	(void)malloc_trim(0);
}

static void free_rest(struct loop_job *j)
{
	free_op((struct op *)j);
}

/* Wiping hundreds of MiB takes long enough to be felt by others. */
static void let_go(void *ctx)
{
	struct op *op = ctx;
	if (!op->api.heavy || !api_wipe_away(&op->api, free_values, free_rest))
		free_op(op);
}

static void drop(struct http_job *j)
{
	let_go(j);
}

/* ---- parse and digest, on a worker when the body is heavy ---- */

static void digest_custom(struct op *op)
{
	struct crypto_hash *hash = NULL;
	struct json_canon *canon = NULL;
	struct why *w = &op->api.why;
	uint8_t *chunk = malloc(DIGEST_CHUNK);
	size_t n = 0;

	if (chunk == NULL) {
		(void)why_set(w, ERR_MEMORY, "no memory to digest custom_data");
		goto out;
	}
	if (crypto_hash_new(op->api.app->crypto, &hash, w) != ERR_OK ||
	    json_canon_new(&canon, op->custom, false, w) != ERR_OK)
		goto out;
	while (json_canon_read(canon, chunk, DIGEST_CHUNK, &n, w) == ERR_OK && n > 0) {
		if (crypto_hash_add(hash, bytes_of(chunk, n), w) != ERR_OK)
			goto out;
		op->canon_n += n;
		op->canon_quoted_n += n;
		for (size_t i = 0; i < n; i++)
			op->canon_quoted_n += chunk[i] == '"' || chunk[i] == '\\';
	}
	if (w->err == ERR_OK)
		(void)!crypto_hash_end(hash, op->digest, w);
out:
	if (chunk != NULL)
		mem_wipe(chunk, DIGEST_CHUNK);
	free(chunk);
	json_canon_free(canon);
	crypto_hash_free(hash);
}

static void parse(struct http_job *j)
{
	struct op *op = (struct op *)j;
	const struct json_value *nonce, *encoding, *metadata;
	const struct json_field fields[] = {
		{"nonce", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &nonce},
		{"nonce_encoding", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &encoding},
		{"include_metadata", JSON_BOOL | JSON_BIT(JSON_NULL), false, &metadata},
		{"custom_data", JSON_ANY, false, &op->custom},
	};
	if (api_parse(&op->api, fields, sizeof fields / sizeof fields[0]) != ERR_OK ||
	    api_nonce_parse(&op->attested.nonce, nonce, encoding, &op->api.why) != ERR_OK)
		return;
	op->with_metadata = metadata == NULL || json_type(metadata) == JSON_TRUE;
	if (op->custom != NULL)
		digest_custom(op);
}

/* ---- the reply ---- */

static size_t read_text(struct op *op, struct bytes text, uint8_t *out, size_t cap)
{
	const size_t left = text.n - op->sent, n = left < cap ? left : cap;
	memcpy(out, text.p + op->sent, n);
	op->sent += n;
	return n;
}

static size_t read_canon(struct op *op, bool quoted, uint8_t *out, size_t cap)
{
	struct why w = {0};
	size_t n = 0;
	if (op->canon == NULL && json_canon_new(&op->canon, op->custom, quoted, &w) != ERR_OK)
		return 0;
	return json_canon_read(op->canon, out, cap, &n, &w) == ERR_OK ? n : 0;
}

static size_t stream_read(void *ctx, uint8_t *out, size_t cap)
{
	struct op *op = ctx;
	size_t got = 0;
	while (got < cap) {
		size_t n = 0;
		switch (op->sending) {
		case SEND_HEAD:
			n = read_text(op, buf_bytes(&op->head), out + got, cap - got);
			break;
		case SEND_BETWEEN:
			n = read_text(op, BYTES_LIT(between), out + got, cap - got);
			break;
		case SEND_TAIL:
			return got + read_text(op, buf_bytes(&op->tail), out + got, cap - got);
		case SEND_VALUE:
		case SEND_TEXT:
			n = read_canon(op, op->sending == SEND_TEXT, out + got, cap - got);
			break;
		}
		got += n;
		if (n == 0) {
			op->sending++;
			op->sent = 0;
			json_canon_free(op->canon);
			op->canon = NULL;
		}
	}
	return got;
}

static void attested(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	op->head = BUF_INIT(API_REPLY_MAX + op->attested.claims.metadata.n);
	op->tail = BUF_INIT(8);
	api_attested_put(&op->attested, op->custom != NULL, &op->head);
	if (op->custom == NULL) {
		buf_put_str(&op->head, "}");
		http_reply(r, 200, &op->head);
		drop(j);
		return;
	}
	JSON_PUT_KEY(&op->head, "custom_digest");
	json_put_hex(&op->head, bytes_of(op->digest, SHA256_SIZE));
	JSON_PUT_KEY(&op->head, "custom_digest_method");
	json_put_cstr(&op->head, "sha256");
	JSON_PUT_KEY(&op->head, "custom_data");
	buf_put_str(&op->tail, "\"}");
	if (buf_check(&op->head, &op->api.why) != ERR_OK || buf_check(&op->tail, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	const struct http_stream stream = {
		.ctx = op,
		.size = op->head.n + op->canon_n + sizeof between - 1 + op->canon_quoted_n + op->tail.n,
		.read = stream_read,
		.free = let_go,
	};
	http_reply_stream(r, 200, &stream);
}

/* ---- act ---- */

static void parsed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	char hex[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(op->digest, SHA256_SIZE), hex);
	const struct attest_claim own[] = {
		{"custom_digest", bytes_of(hex, sizeof hex)},
		{"custom_digest_method", BYTES_LIT("sha256")},
	};
	if (op->api.why.err != ERR_OK || api_attested_admit(&op->attested, op->api.app, r, &op->api.why) != ERR_OK ||
	    attest_claims_make(op->api.app->attest, ATTEST_ATTESTATION, own, op->custom != NULL ? 2 : 0,
			       op->with_metadata, &op->attested.claims, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	api_attest(r, &op->api, &op->attested, attested);
}

void api_attestation(void *app, struct http_req *r)
{
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op != NULL)
		api_step(r, &op->api, parse, parsed);
}
