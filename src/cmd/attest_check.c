/* attest_check.c - a document can be sound and yet not say what was asked. */
#include "attest_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

enum { PIECE = 64 * 1024 };

/* Is the signed claim of this name the digest? *present: there is such a claim. */
static enum err compare(const struct verify_verdict *d, const char *name, const uint8_t digest[SHA256_SIZE],
			bool *present, bool *same, struct why *w)
{
	struct json *json = NULL;
	char hex[HEX_SIZE(SHA256_SIZE)];
	enum err e = json_parse_bounded(&json, verify_verdict_user_data(d), VERIFY_VALUES_MAX, w);
	if (e != ERR_OK)
		return e;
	const struct json_value *claims = json_root(json);
	const struct json_value *v = json_type(claims) == JSON_OBJECT ? json_get(claims, name) : NULL;
	hex_encode(bytes_of(digest, SHA256_SIZE), hex);
	*present = v != NULL;
	*same = v != NULL && json_type(v) == JSON_STRING && bytes_equal(json_string(v), bytes_of(hex, sizeof hex));
	json_free(json);
	return ERR_OK;
}

/* The SHA-256 of the canonical form, which may be larger than memory has room for. */
static enum err digest_of(struct crypto *c, const struct json_value *v, uint8_t out[SHA256_SIZE], struct why *w)
{
	struct crypto_hash *hash = NULL;
	struct json_canon *canon = NULL;
	size_t n = 0;
	uint8_t *piece = malloc(PIECE);
	enum err e = piece == NULL ? why_set(w, ERR_MEMORY, "no memory to hash the custom data") : ERR_OK;
	if (e == ERR_OK)
		e = crypto_hash_new(c, &hash, w);
	if (e == ERR_OK)
		e = json_canon_new(&canon, v, false, w);
	while (e == ERR_OK && (e = json_canon_read(canon, piece, PIECE, &n, w)) == ERR_OK && n > 0)
		e = crypto_hash_add(hash, bytes_of(piece, n), w);
	if (e == ERR_OK)
		e = crypto_hash_end(hash, out, w);
	if (piece != NULL)
		mem_wipe(piece, PIECE);
	free(piece);
	json_canon_free(canon);
	crypto_hash_free(hash);
	return e;
}

static enum err check_custom(const struct attest_asked *a, const struct verify_verdict *d, struct why *w)
{
	uint8_t digest[SHA256_SIZE] = {0};
	bool present = false, same = false;
	enum err e = a->custom_value != NULL ? digest_of(a->crypto, a->custom_value, digest, w) : ERR_OK;
	if (e == ERR_OK)
		e = compare(d, "custom_digest", digest, &present, &same, w);
	if (e != ERR_OK)
		return e;
	if (a->custom_value == NULL && present)
		return why_tell(
			w, ERR_INVALID, "custom_digest",
			"The document attests custom data, and none was asked for: somebody changed the request on its way.");
	if (a->custom_value != NULL && !same)
		return why_tell(
			w, ERR_INVALID, "custom_digest",
			"The document does not attest the custom data that was asked for (custom_digest): it attests %s. "
			"Somebody changed the request on its way, or the server is broken.",
			present ? "other data" : "none");
	return ERR_OK;
}

static enum err check_info(const struct attest_asked *a, const struct verify_verdict *d, struct why *w)
{
	uint8_t digest[SHA256_SIZE];
	bool present = false, same = false;
	enum err e = crypto_sha256(a->crypto, buf_bytes(&a->info), digest, w);
	if (e == ERR_OK)
		e = compare(d, "info_digest", digest, &present, &same, w);
	if (e == ERR_OK && !same)
		e = why_tell(
			w, ERR_INVALID, "info_digest",
			"What GET /info answers is not what the enclave attests (info_digest): somebody changed it on its way, "
			"or the server was started anew in between.");
	return e;
}

enum err attest_check(const struct attest_asked *a, const struct verify_verdict *d, struct why *w)
{
	enum err e = check_custom(a, d, w);
	if (e == ERR_OK && strcmp(a->policy->purpose, "info") == 0)
		e = check_info(a, d, w);
	return e;
}
