/* rsa.c - a caller's RSA public key: read, kept, and used to wrap a session key. */
#include "internal.h"

#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/params.h>

struct crypto_rsa {
	EVP_PKEY *key;
	struct buf spki;
	unsigned bits;
};

void crypto_rsa_free(struct crypto_rsa *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->key);
	buf_free(&k->spki);
	free(k);
}

static enum err build(const struct crypto_numbers *from, EVP_PKEY **out, struct why *w)
{
	BIGNUM *n = BN_bin2bn(from->n.p, (int)from->n.n, NULL);
	BIGNUM *e = BN_bin2bn(from->e.p, (int)from->e.n, NULL);
	OSSL_PARAM_BLD *list = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params = NULL;
	enum err fault = ERR_OK;

	if (n == NULL || e == NULL || list == NULL || ctx == NULL ||
	    OSSL_PARAM_BLD_push_BN(list, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(list, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		goto bad;
	params = OSSL_PARAM_BLD_to_param(list);
	if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) != 1)
		goto bad;
	goto out;
bad:
	fault = crypto_fault(w, "building an RSA public key");
out:
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_BLD_free(list);
	BN_free(e);
	BN_free(n);
	return fault;
}

enum err crypto_rsa_parse(struct crypto *c, struct bytes pem, struct crypto_rsa **out, struct why *w)
{
	struct buf der = BUF_INIT(RSA_PEM_MAX);
	struct crypto_rsa *k = NULL;
	struct crypto_numbers read = {.bits = 0};
	enum err e;

	(void)c;
	e = crypto_pem_read(pem, &der, &read, w);
	if (e != ERR_OK)
		goto out;
	k = calloc(1, sizeof *k);
	if (k == NULL) {
		e = why_set(w, ERR_MEMORY, "no memory for a public key");
		goto out;
	}
	k->bits = read.bits;
	k->spki = BUF_INIT(RSA_PEM_MAX);
	crypto_spki_put(read.pkcs1, &k->spki);
	e = buf_check(&k->spki, w);
	if (e == ERR_OK)
		e = build(&read, &k->key, w);
	if (e != ERR_OK)
		goto out;
	*out = k;
	k = NULL;
out:
	crypto_rsa_free(k);
	buf_free(&der);
	return e;
}

struct bytes crypto_rsa_spki(const struct crypto_rsa *k)
{
	return buf_bytes(&k->spki);
}

enum err crypto_rsa_wrap(struct crypto *c, const struct crypto_rsa *k, struct bytes secret, struct buf *out,
			 struct why *w)
{
	char oaep[] = OSSL_PKEY_RSA_PAD_MODE_OAEP, hash[] = "SHA2-256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, oaep, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, hash, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, hash, 0),
		OSSL_PARAM_construct_end(),
	};
	size_t n = (k->bits + 7) / 8;
	EVP_PKEY_CTX *ctx = NULL;
	uint8_t *to = buf_reserve(out, n);
	enum err e = buf_check(out, w);

	(void)c;
	if (e != ERR_OK)
		return e;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL);
	if (ctx == NULL || EVP_PKEY_encrypt_init_ex(ctx, params) != 1 ||
	    EVP_PKEY_encrypt(ctx, to, &n, secret.p, secret.n) != 1)
		e = crypto_fault(w, "wrapping with RSA-OAEP");
	else
		out->n += n;
	EVP_PKEY_CTX_free(ctx);
	return e;
}
