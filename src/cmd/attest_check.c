/* attest_check.c - a document can be sound and yet not say what was asked. */
#include "attest_parts.h"

#include <string.h>

#include "base/encode.h"

/* Is the signed claim of this name that text? *present: there is such a claim. */
static enum err compare_text(const struct verify_verdict *d, const char *name, struct bytes text, bool *present,
			     bool *same, struct why *w)
{
	struct json *json = NULL;
	const enum err e = json_parse(&json, verify_verdict_user_data(d), w);
	if (e != ERR_OK)
		return e;
	const struct json_value *claims = json_root(json);
	const struct json_value *v = json_type(claims) == JSON_OBJECT ? json_get(claims, name) : NULL;
	*present = v != NULL;
	*same = v != NULL && json_type(v) == JSON_STRING && bytes_equal(json_string(v), text);
	json_free(json);
	return ERR_OK;
}

/* The same for a digest. */
static enum err compare(const struct verify_verdict *d, const char *name, const uint8_t digest[SHA256_SIZE],
			bool *present, bool *same, struct why *w)
{
	char hex[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(digest, SHA256_SIZE), hex);
	return compare_text(d, name, bytes_of(hex, sizeof hex), present, same, w);
}

static enum err check_custom(const struct attest_asked *a, const struct verify_verdict *d, struct why *w)
{
	uint8_t digest[SHA256_SIZE] = {0};
	bool present = false, same = false;
	enum err e = a->custom_value != NULL ? verify_canonical_sha256(a->crypto, a->custom_value, digest, w) : ERR_OK;
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

/* ---- the certificate of the connection ---- */

static enum err check_cert(const struct attest_asked *a, const struct verify_verdict *d, struct why *w)
{
	uint8_t cert[SHA256_SIZE];
	const uint8_t *key = tls_peer_key_hash(a->peer);
	bool present = false, same_cert = false, same_key = false;
	if (key == NULL)
		return why_set(w, ERR_INTERNAL, "a TLS server without a certificate");
	enum err e = crypto_sha256(a->crypto, tls_peer_cert(a->peer), cert, w);
	if (e == ERR_OK)
		e = compare(d, "tls_cert_hash", cert, &present, &same_cert, w);
	if (e == ERR_OK)
		e = compare(d, "tls_spki_hash", key, &present, &same_key, w);
	if (e == ERR_OK && !(same_cert && same_key))
		e = why_tell(
			w, ERR_INVALID, same_key ? "tls_cert_hash" : "tls_spki_hash",
			"The certificate of this connection is not the one that the enclave attests (%s): somebody in "
			"between ends TLS with a certificate of their own, and reads and can change all that is sent.",
			same_key ? "tls_cert_hash" : "tls_spki_hash");
	return e;
}

static enum err check_origin(struct attest_asked *a, const struct verify_verdict *d, struct why *w)
{
	bool present = false, memory = false;
	const enum err e = compare_text(d, "key_origin", BYTES_LIT("memory"), &present, &memory, w);
	if (e != ERR_OK)
		return e;
	a->file_key = !memory;
	if (memory || a->allow_file_key)
		return ERR_OK;
	return why_tell(
		w, ERR_INVALID, "key_origin",
		"The key of this connection was not made in the enclave (key_origin is not memory): whoever gave it to the "
		"enclave may have a copy, and can then end TLS in its place. --allow-file-key accepts that.");
}

enum err attest_check(struct attest_asked *a, const struct verify_verdict *d, struct why *w)
{
	enum err e = check_custom(a, d, w);
	if (e == ERR_OK && a->server->url.tls && (e = check_cert(a, d, w)) == ERR_OK)
		e = check_origin(a, d, w);
	if (e == ERR_OK && strcmp(a->policy->purpose, "info") == 0)
		e = check_info(a, d, w);
	return e;
}
