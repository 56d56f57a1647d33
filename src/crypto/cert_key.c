/* cert_key.c - P-384 key pairs and ES384 signatures. */
#include "internal.h"

#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/err.h>

enum { HALF = CERT_SIGNATURE_SIZE / 2 };

enum err cert_key_new(struct crypto *c, struct cert_key **out, struct why *w)
{
	struct cert_key *k = calloc(1, sizeof *k);
	enum err e = ERR_OK;

	(void)c;
	if (k == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a P-384 key");
	k->key = EVP_EC_gen("P-384");
	if (k->key == NULL) {
		e = crypto_fault(w, "making a P-384 key");
		goto out;
	}
	*out = k;
	k = NULL;
out:
	cert_key_free(k);
	return e;
}

void cert_key_free(struct cert_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

enum err cert_key_sign(struct crypto *c, const struct cert_key *k, struct bytes message,
		       uint8_t out[CERT_SIGNATURE_SIZE], struct why *w)
{
	uint8_t der[CERT_SIGNATURE_DER_MAX], raw[CERT_SIGNATURE_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const uint8_t *at = der;
	ECDSA_SIG *sig = NULL;
	size_t n = sizeof der;
	enum err e = ERR_OK;

	if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, c->sha384, NULL, k->key) != 1 ||
	    EVP_DigestSign(ctx, der, &n, message.p, message.n) != 1)
		goto bad;
	sig = d2i_ECDSA_SIG(NULL, &at, (long)n);
	if (sig == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, HALF) != HALF ||
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + HALF, HALF) != HALF)
		goto bad;
	for (size_t i = 0; i < sizeof raw; i++)
		out[i] = raw[i];
	goto out;
bad:
	e = crypto_fault(w, "signing with ES384");
out:
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return e;
}

bool cert_es384_verify(struct crypto *c, EVP_PKEY *key, struct bytes message,
		       const uint8_t signature[CERT_SIGNATURE_SIZE])
{
	BIGNUM *r = BN_bin2bn(signature, HALF, NULL), *s = BN_bin2bn(signature + HALF, HALF, NULL);
	uint8_t der[CERT_SIGNATURE_DER_MAX], *at = der;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ECDSA_SIG *sig = ECDSA_SIG_new();
	bool good = false;
	int n;

	if (r == NULL || s == NULL || ctx == NULL || sig == NULL || ECDSA_SIG_set0(sig, r, s) != 1)
		goto out;
	r = s = NULL;
	n = i2d_ECDSA_SIG(sig, &at);
	good = n > 0 && EVP_DigestVerifyInit(ctx, NULL, c->sha384, NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, der, (size_t)n, message.p, message.n) == 1;
out:
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	BN_free(s);
	BN_free(r);
	ERR_clear_error();
	return good;
}
