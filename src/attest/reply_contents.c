/* reply_contents.c - what a reply says in JSON of any size, compared in canonical form; and other digests. */
#include "reply.h"

#include <stdlib.h>

#include "base/encode.h"
#include "tls.h"

enum { CHUNK = 64 * 1024 };

enum err verify_canonical_sha256(struct crypto *crypto, const struct json_value *v, uint8_t digest[SHA256_SIZE],
				 struct why *w)
{
	struct crypto_hash *hash = NULL;
	struct json_canon *canon = NULL;
	size_t n = 0;
	uint8_t *chunk = malloc(CHUNK);
	enum err e = chunk == NULL ? why_set(w, ERR_MEMORY, "no memory to digest a canonical form") : ERR_OK;
	if (e != ERR_OK || (e = crypto_hash_new(crypto, &hash, w)) != ERR_OK ||
	    (e = json_canon_new(&canon, v, false, w)) != ERR_OK)
		goto out;
	while ((e = json_canon_read(canon, chunk, CHUNK, &n, w)) == ERR_OK && n > 0) {
		e = crypto_hash_add(hash, bytes_of(chunk, n), w);
		if (e != ERR_OK)
			goto out;
	}
	if (e == ERR_OK)
		e = crypto_hash_end(hash, digest, w);
out:
	if (chunk != NULL)
		mem_wipe(chunk, CHUNK);
	free(chunk);
	json_canon_free(canon);
	crypto_hash_free(hash);
	return e;
}

struct bytes reply_claim(const struct verify_verdict *d, const char *name)
{
	const struct json_value *c = d->claims == NULL ? NULL : json_get(json_root(d->claims), name);
	return c != NULL && json_type(c) == JSON_STRING ? json_string(c) : bytes_of(NULL, 0);
}

/* Canonical forms are equal if and only if what they are the forms of is. */
static enum err all_claims(struct crypto *crypto, const struct json_value *v, const struct verify_verdict *d,
			   enum reply_fault *fault, struct why *w)
{
	uint8_t want[SHA256_SIZE], is[SHA256_SIZE];
	*fault = REPLY_FAULT_SIGNED;
	if (d->claims == NULL) {
		if (json_type(v) == JSON_NULL && d->view.user_data.p == NULL)
			*fault = REPLY_FAULTS;
		return ERR_OK;
	}
	enum err e = verify_canonical_sha256(crypto, json_root(d->claims), want, w);
	if (e == ERR_OK)
		e = verify_canonical_sha256(crypto, v, is, w);
	if (e == ERR_OK && bytes_equal(bytes_of(want, sizeof want), bytes_of(is, sizeof is)))
		*fault = REPLY_FAULTS;
	return e;
}

/* What only a digest is signed of. */
static enum err digested(struct crypto *crypto, const struct reply_member *m, const struct json_value *v,
			 const struct verify_verdict *d, enum reply_fault *fault, struct why *w)
{
	const bool of_metadata = m->as == REPLY_AS_METADATA, text = m->as == REPLY_AS_CUSTOM_TEXT;
	const struct bytes want = reply_claim(d, of_metadata ? "metadata_digest" : "custom_digest");
	uint8_t digest[SHA256_SIZE];
	char is[HEX_SIZE(SHA256_SIZE)];
	enum err e = ERR_OK;
	if (want.n == 0) { /* null says that there is none */
		*fault = json_type(v) == JSON_NULL ? REPLY_FAULTS : REPLY_FAULT_SIGNED;
		return ERR_OK;
	}
	*fault = of_metadata ? REPLY_FAULT_METADATA : REPLY_FAULT_CUSTOM;
	if (text && json_type(v) != JSON_STRING)
		return ERR_OK;
	e = text ? crypto_sha256(crypto, json_string(v), digest, w) : verify_canonical_sha256(crypto, v, digest, w);
	if (e != ERR_OK)
		return e;
	hex_encode(bytes_of(digest, sizeof digest), is);
	if (bytes_equal(want, bytes_of(is, sizeof is)))
		*fault = REPLY_FAULTS;
	return ERR_OK;
}

/* Whoever encrypts to the key asks for its use by this id. There is none without a key, not even null. */
static enum err key_id(struct crypto *crypto, const struct json_value *v, const struct verify_verdict *d,
		       enum reply_fault *fault, struct why *w)
{
	uint8_t digest[SHA256_SIZE];
	char want[HEX_SIZE(SHA256_SIZE)];
	*fault = REPLY_FAULT_SIGNED;
	if (d->view.public_key.n == 0 || json_type(v) != JSON_STRING)
		return ERR_OK;
	const enum err e = crypto_sha256(crypto, d->view.public_key, digest, w);
	if (e != ERR_OK)
		return e;
	hex_encode(bytes_of(digest, sizeof digest), want);
	if (bytes_equal(json_string(v), bytes_of(want, sizeof want)))
		*fault = REPLY_FAULTS;
	return ERR_OK;
}

/* What the signed hash is of: all of the certificate, or its key. *good false for what is no certificate, or not
 * spelled byte for byte as cert_pem_put does, so that whatever reads it reads the same. */
static enum err hashed(struct bytes pem, bool whole, struct buf *out, bool *good, struct why *w)
{
	struct buf der = BUF_INIT(TLS_CERT_DER_MAX), again = BUF_INIT(CERT_PEM_MAX);
	struct why inner = {0};
	enum err e = tls_cert_read(pem, &der, &inner);
	if (e == ERR_OK) {
		cert_pem_put(buf_bytes(&der), &again);
		*good = bytes_equal(buf_bytes(&again), pem);
	}
	if (e == ERR_OK && whole)
		buf_put_bytes(out, buf_bytes(&der));
	else if (e == ERR_OK)
		e = tls_cert_spki(buf_bytes(&der), out, &inner);
	buf_free(&again);
	buf_free(&der);
	if (e == ERR_INVALID) {
		*good = false;
		return ERR_OK;
	}
	if (e != ERR_OK)
		*w = inner;
	return e != ERR_OK ? e : buf_check(out, w);
}

static enum err certificate(struct crypto *crypto, const struct json_value *v, const struct verify_verdict *d,
			    enum reply_fault *fault, struct why *w)
{
	const struct bytes of_cert = reply_claim(d, "tls_cert_hash"), of_key = reply_claim(d, "key_hash");
	struct buf made = BUF_INIT(TLS_CERT_DER_MAX);
	uint8_t digest[SHA256_SIZE];
	char is[HEX_SIZE(SHA256_SIZE)];
	bool good = false;
	*fault = REPLY_FAULT_SIGNED;
	if (json_type(v) != JSON_STRING)
		return ERR_OK;
	enum err e = hashed(json_string(v), of_cert.n > 0, &made, &good, w);
	if (e == ERR_OK)
		e = crypto_sha256(crypto, buf_bytes(&made), digest, w);
	buf_free(&made);
	if (e != ERR_OK)
		return e;
	hex_encode(bytes_of(digest, sizeof digest), is);
	if (good && bytes_equal(of_cert.n > 0 ? of_cert : of_key, bytes_of(is, sizeof is)))
		*fault = REPLY_FAULTS;
	return ERR_OK;
}

enum err reply_contents(struct crypto *crypto, const struct reply_member *m, const struct json_value *v,
			const struct verify_verdict *d, enum reply_fault *fault, struct why *w)
{
	switch (m->as) {
	case REPLY_AS_CLAIMS:
		return all_claims(crypto, v, d, fault, w);
	case REPLY_AS_KEY_ID:
		return key_id(crypto, v, d, fault, w);
	case REPLY_AS_CERTIFICATE:
		return certificate(crypto, v, d, fault, w);
	default:
		return digested(crypto, m, v, d, fault, w);
	}
}

void reply_contents_missing(const struct json_value *reply, struct verify_verdict *d)
{
	if (reply_claim(d, "custom_digest").n > 0 && json_get(reply, "custom_data") == NULL &&
	    json_get(reply, "custom_data_canonical") == NULL)
		verdict_warn(d, "The document signs the digest of custom data that the reply does not hold: what was "
				"attested cannot be told from it.");
	if (reply_claim(d, "metadata_digest").n > 0 && json_get(reply, "metadata") == NULL)
		verdict_warn(d, "The document signs the digest of agent metadata that the reply does not hold.");
}
