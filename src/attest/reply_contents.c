/* reply_contents.c - what a reply says in JSON of any size, compared in canonical form. */
#include "reply.h"

#include <stdlib.h>

#include "base/encode.h"

enum { CHUNK = 64 * 1024 };

/* Walks v's canonical form once, in pieces, because it may be larger than memory has room for a second time: its
 * SHA-256, and whether it is `text`. */
static enum err walk(struct crypto *crypto, const struct json_value *v, struct bytes text, uint8_t digest[SHA256_SIZE],
		     bool *same, struct why *w)
{
	struct crypto_hash *hash = NULL;
	struct json_canon *canon = NULL;
	size_t at = 0, n = 0;
	bool equal = true;
	uint8_t *chunk = malloc(CHUNK);
	enum err e = chunk == NULL ? why_set(w, ERR_MEMORY, "no memory to read the reply's contents") : ERR_OK;
	if (e != ERR_OK || (e = crypto_hash_new(crypto, &hash, w)) != ERR_OK ||
	    (e = json_canon_new(&canon, v, false, w)) != ERR_OK)
		goto out;
	while ((e = json_canon_read(canon, chunk, CHUNK, &n, w)) == ERR_OK && n > 0) {
		e = crypto_hash_add(hash, bytes_of(chunk, n), w);
		if (e != ERR_OK)
			goto out;
		equal = equal && n <= text.n - at && bytes_equal(bytes_of(chunk, n), bytes_of(text.p + at, n));
		at += equal ? n : 0;
	}
	if (e == ERR_OK)
		e = crypto_hash_end(hash, digest, w);
	if (e == ERR_OK)
		*same = equal && at == text.n;
out:
	if (chunk != NULL)
		mem_wipe(chunk, CHUNK);
	free(chunk);
	json_canon_free(canon);
	crypto_hash_free(hash);
	return e;
}

/* null says that there is none. */
static bool is_there(const struct json_value *v)
{
	return v != NULL && json_type(v) != JSON_NULL;
}

/* Empty when there is none: no claim that is compared here may be. */
static struct bytes claim(const struct verify_verdict *d, const char *name)
{
	const struct json_value *c = d->claims == NULL ? NULL : json_get(json_root(d->claims), name);
	return c != NULL && json_type(c) == JSON_STRING ? json_string(c) : bytes_of(NULL, 0);
}

static bool is_digest(struct bytes signed_hex, const uint8_t digest[SHA256_SIZE])
{
	char hex[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(digest, SHA256_SIZE), hex);
	return bytes_equal(signed_hex, bytes_of(hex, sizeof hex));
}

/* ---- user_data: the signed object, or over vsock the signed text ---- */

static enum err is_claims(struct crypto *crypto, const struct json_value *v, const struct verify_verdict *d, bool *same,
			  struct why *w)
{
	struct buf text = BUF_INIT(8 * VERIFY_USER_DATA_MAX); /* as ATTEST_CANONICAL_MAX is to ATTEST_METADATA_MAX */
	uint8_t unused[SHA256_SIZE];
	if (d->claims == NULL)
		return ERR_OK;
	enum err e = json_canon_all(json_root(d->claims), &text, w);
	if (e == ERR_OK)
		e = walk(crypto, v, buf_bytes(&text), unused, same, w);
	buf_free(&text);
	return e;
}

static enum err user_data(struct crypto *crypto, const struct json_value *reply, struct verify_verdict *d,
			  struct why *w)
{
	const struct json_value *v = json_get(reply, "user_data");
	bool same = false;
	enum err e = ERR_OK;
	if (v == NULL)
		same = true;
	else if (json_type(v) == JSON_NULL)
		same = d->view.user_data.p == NULL;
	else if (json_type(v) == JSON_STRING)
		same = bytes_equal(json_string(v), d->view.user_data);
	else
		e = is_claims(crypto, v, d, &same, w);
	if (e == ERR_OK && !same)
		reply_mismatch(d, "user_data");
	return e;
}

/* ---- what only a digest is signed of ---- */

static enum err custom_data(struct crypto *crypto, const struct json_value *v, const struct json_value *canonical,
			    struct bytes signed_hex, struct verify_verdict *d, struct why *w)
{
	const bool has_text = canonical != NULL && json_type(canonical) == JSON_STRING;
	const struct bytes text = has_text ? json_string(canonical) : bytes_of(NULL, 0);
	uint8_t digest[SHA256_SIZE];
	bool same = has_text;
	enum err e = v != NULL ? walk(crypto, v, text, digest, &same, w) : crypto_sha256(crypto, text, digest, w);
	if (e != ERR_OK)
		return e;
	if ((v != NULL || has_text) && !is_digest(signed_hex, digest))
		verdict_fail(
			d, CHECK_REPLY, VERIFY_CUSTOM_DATA_MISMATCH,
			v != NULL ? "custom_data" : "custom_data_canonical",
			"The SHA-256 of the reply's custom data is not the signed custom_digest: this is other data "
			"than the enclave attested.");
	else if (canonical != NULL && !same)
		verdict_fail(d, CHECK_REPLY, VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical",
			     "The reply's custom_data_canonical is not the canonical text of its custom_data, which is "
			     "what the enclave attested.");
	return ERR_OK;
}

static enum err custom(struct crypto *crypto, const struct json_value *reply, struct verify_verdict *d, struct why *w)
{
	const struct bytes signed_hex = claim(d, "custom_digest");
	const struct json_value *v = json_get(reply, "custom_data");
	const struct json_value *canonical = json_get(reply, "custom_data_canonical");
	if (signed_hex.n == 0) {
		if (is_there(v) || is_there(canonical))
			reply_mismatch(d, is_there(v) ? "custom_data" : "custom_data_canonical");
		return ERR_OK;
	}
	if (v != NULL || canonical != NULL)
		return custom_data(crypto, v, canonical, signed_hex, d, w);
	verdict_warn(d, "The document signs the digest of custom data that the reply does not hold: what was attested "
			"cannot be told from it.");
	return ERR_OK;
}

static enum err metadata(struct crypto *crypto, const struct json_value *reply, struct verify_verdict *d, struct why *w)
{
	const struct bytes signed_hex = claim(d, "metadata_digest");
	const struct json_value *v = json_get(reply, "metadata");
	uint8_t digest[SHA256_SIZE];
	bool unused = false;
	if (signed_hex.n == 0) {
		if (is_there(v))
			reply_mismatch(d, "metadata");
		return ERR_OK;
	}
	if (v == NULL) {
		verdict_warn(d, "The document signs the digest of agent metadata that the reply does not hold.");
		return ERR_OK;
	}
	enum err e = walk(crypto, v, bytes_of(NULL, 0), digest, &unused, w);
	if (e == ERR_OK && !is_digest(signed_hex, digest))
		verdict_fail(
			d, CHECK_REPLY, VERIFY_METADATA_MISMATCH, "metadata",
			"The SHA-256 of the reply's agent metadata is not the signed metadata_digest: this is other "
			"metadata than the enclave stated.");
	return e;
}

enum err reply_contents(struct crypto *crypto, const struct json_value *reply, struct verify_verdict *d, struct why *w)
{
	enum err e = ERR_OK;
	if (reply_kind(reply) != REPLY_BARE) /* where it is the signed bytes in base64 */
		e = user_data(crypto, reply, d, w);
	if (e == ERR_OK)
		e = custom(crypto, reply, d, w);
	return e == ERR_OK ? metadata(crypto, reply, d, w) : e;
}
