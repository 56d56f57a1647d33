/* crypto.c - the fetched algorithms, random bytes, SHA-2 and HKDF. */
#include "internal.h"

#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

struct crypto_hash {
	EVP_MD_CTX *ctx;
};

enum err crypto_fault(struct why *w, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return why_set(w, ERR_CRYPTO, "OpenSSL: %s: %s", what, reason != NULL ? reason : "no reason given");
}

/* ---- OpenSSL's memory ---- */

/* OpenSSL wipes what it calls secret and no more: an unwrapped key's padded form, a message's buffer in a TLS
 * connection stay behind in freed memory otherwise. */
static void wiping_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p != NULL)
		mem_wipe(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(n);
}

static void *wiping_realloc(void *p, size_t n, const char *file, int line)
{
	const size_t had = p != NULL ? malloc_usable_size(p) : 0;
	void *q = n > 0 ? malloc(n) : NULL;

	if (n > 0 && q == NULL)
		return NULL;
	if (q != NULL && p != NULL)
		memcpy(q, p, had < n ? had : n);
	wiping_free(p, file, line);
	return q;
}

/* Refused once OpenSSL has memory, which is fine where it was done before. */
static bool wipe_what_is_freed(void)
{
	CRYPTO_free_fn free_fn;

	if (CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free) == 1)
		return true;
	CRYPTO_get_mem_functions(NULL, NULL, &free_fn);
	return free_fn == wiping_free;
}

enum err crypto_new(struct crypto **out, struct why *w)
{
	enum err e = ERR_OK;
	struct crypto *c;

	if (!wipe_what_is_freed())
		return why_set(w, ERR_CRYPTO, "OpenSSL was used before its memory could be made to be wiped");
	/* openssl.cnf and $OPENSSL_CONF could load other providers into the process; nothing here wants them. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return crypto_fault(w, "initialisation");
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the cryptography");
	c->sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	c->sha384 = EVP_MD_fetch(NULL, "SHA2-384", NULL);
	c->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	c->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (c->sha256 == NULL || c->sha384 == NULL || c->gcm == NULL || c->hkdf == NULL) {
		e = crypto_fault(w, "SHA-256, SHA-384, AES-256-GCM and HKDF are needed");
		goto out;
	}
	*out = c;
	c = NULL;
out:
	crypto_free(c);
	return e;
}

void crypto_free(struct crypto *c)
{
	if (c == NULL)
		return;
	EVP_MD_free(c->sha256);
	EVP_MD_free(c->sha384);
	EVP_CIPHER_free(c->gcm);
	EVP_KDF_free(c->hkdf);
	free(c);
}

static enum err random_bytes(void *ctx, uint8_t *out, size_t n, struct why *w)
{
	(void)ctx;
	if (n > INT_MAX)
		return why_set(w, ERR_INTERNAL, "%zu random bytes at once are too many", n);
	if (n > 0 && RAND_bytes(out, (int)n) != 1)
		return crypto_fault(w, "random bytes");
	return ERR_OK;
}

struct random crypto_random(struct crypto *c)
{
	return (struct random){c, random_bytes};
}

/* As additional input, which can only add: the generator also asks the kernel again. Every thread's own generator
 * notices that the primary was reseeded and follows before its next byte. */
enum err crypto_seed(struct crypto *c, struct bytes entropy, struct why *w)
{
	EVP_RAND_CTX *primary = RAND_get0_primary(NULL);

	(void)c;
	if (primary == NULL || EVP_RAND_reseed(primary, 0, NULL, 0, entropy.p, entropy.n) != 1)
		return crypto_fault(w, "seeding the random generator");
	return ERR_OK;
}

enum err crypto_sha256(struct crypto *c, struct bytes in, uint8_t out[SHA256_SIZE], struct why *w)
{
	if (EVP_Digest(in.p, in.n, out, NULL, c->sha256, NULL) != 1)
		return crypto_fault(w, "SHA-256");
	return ERR_OK;
}

enum err crypto_sha384(struct crypto *c, struct bytes in, uint8_t out[SHA384_SIZE], struct why *w)
{
	if (EVP_Digest(in.p, in.n, out, NULL, c->sha384, NULL) != 1)
		return crypto_fault(w, "SHA-384");
	return ERR_OK;
}

enum err crypto_hash_new(struct crypto *c, struct crypto_hash **out, struct why *w)
{
	struct crypto_hash *h = calloc(1, sizeof *h);
	enum err e = ERR_OK;

	if (h == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a hash");
	h->ctx = EVP_MD_CTX_new();
	if (h->ctx == NULL || EVP_DigestInit_ex2(h->ctx, c->sha256, NULL) != 1) {
		e = crypto_fault(w, "SHA-256");
		goto out;
	}
	*out = h;
	h = NULL;
out:
	crypto_hash_free(h);
	return e;
}

enum err crypto_hash_add(struct crypto_hash *h, struct bytes in, struct why *w)
{
	if (EVP_DigestUpdate(h->ctx, in.p, in.n) != 1)
		return crypto_fault(w, "SHA-256");
	return ERR_OK;
}

enum err crypto_hash_end(struct crypto_hash *h, uint8_t out[SHA256_SIZE], struct why *w)
{
	if (EVP_DigestFinal_ex(h->ctx, out, NULL) != 1)
		return crypto_fault(w, "SHA-256");
	return ERR_OK;
}

void crypto_hash_free(struct crypto_hash *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

enum err crypto_hmac(struct crypto *c, struct bytes key, struct bytes in, uint8_t out[SHA256_SIZE], struct why *w)
{
	if (key.n > INT_MAX || HMAC(c->sha256, key.p, (int)key.n, in.p, in.n, out, NULL) == NULL)
		return crypto_fault(w, "HMAC-SHA256");
	return ERR_OK;
}

/* OSSL_PARAM has no const; OpenSSL only reads what these point at. */
static void *unconst(const void *p)
{
	return (void *)(uintptr_t)p;
}

enum err crypto_hkdf(struct crypto *c, struct bytes ikm, const char *info, size_t n, struct secret *out, struct why *w)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, unconst("SHA2-256"), 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, unconst(ikm.p), ikm.n),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, unconst(info), strlen(info)),
		OSSL_PARAM_construct_end(),
	};
	uint8_t made[SECRET_MAX];
	EVP_KDF_CTX *ctx = NULL;
	enum err e;

	if (n == 0 || n > sizeof made)
		return why_set(w, ERR_INTERNAL, "a derived key of %zu bytes was asked for", n);
	ctx = EVP_KDF_CTX_new(c->hkdf);
	if (ctx == NULL || EVP_KDF_derive(ctx, made, n, params) != 1)
		e = crypto_fault(w, "HKDF");
	else
		e = secret_set(out, bytes_of(made, n), w);
	EVP_KDF_CTX_free(ctx);
	mem_wipe(made, sizeof made);
	return e;
}
