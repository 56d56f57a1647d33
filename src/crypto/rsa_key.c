/* rsa_key.c - a user's own RSA key pair: made, checked, and used to unwrap a session key. */
#include "rsa_key.h"

#include <stdlib.h>

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#define BAD(w, ...) why_tell((w), ERR_BAD_KEY, NULL, __VA_ARGS__)

struct rsa_key {
	EVP_PKEY *key;
	struct buf pkcs1, spki;
	unsigned bits;
};

/* In the order of RSAPrivateKey (RFC 8017, A.1.2). */
enum { N, E, D, P, Q, DP, DQ, QINV, NUMBERS };

static const char *const names[NUMBERS] = {
	OSSL_PKEY_PARAM_RSA_N,	       OSSL_PKEY_PARAM_RSA_E,
	OSSL_PKEY_PARAM_RSA_D,	       OSSL_PKEY_PARAM_RSA_FACTOR1,
	OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
	OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

void rsa_key_free(struct rsa_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->key);
	buf_free(&k->pkcs1);
	buf_free(&k->spki);
	free(k);
}

void rsa_der_put(enum der_tag tag, struct bytes content, struct buf *out)
{
	uint8_t head[8], *at = head;

	ASN1_put_object(&at, tag == DER_SEQUENCE, (int)content.n, tag & V_ASN1_PRIMITIVE_TAG, V_ASN1_UNIVERSAL);
	buf_put(out, head, (size_t)(at - head));
	buf_put_bytes(out, content);
}

enum err rsa_public_check(struct bytes der, bool spki, struct crypto_numbers *out, struct why *w)
{
	struct why inner = {0};
	enum err e = crypto_der_read(der, spki, out, &inner);

	return e == ERR_OK ? ERR_OK : why_tell(w, e, NULL, "%s (attestd session keygen makes one)", inner.text);
}

/* The version and eight INTEGERs, borrowed; *n_and_e is the stretch of the first two. */
static enum err take_numbers(struct bytes der, struct bytes out[NUMBERS], struct bytes *n_and_e, struct why *w)
{
	struct bytes rest, version;

	if (!der_strict(der) || !der_take(&der, DER_SEQUENCE, &rest) || der.n > 0 ||
	    !der_take(&rest, DER_INTEGER, &version))
		return BAD(w, "The private key is not one complete DER RSAPrivateKey; the file is damaged");
	if (bytes_equal(version, BYTES_LIT("\x01")))
		return BAD(w, "The RSA key has more than two primes; one with two is needed "
			      "(attestd session keygen makes one)");
	*n_and_e = rest;
	for (int i = 0; i < NUMBERS; i++) {
		if (!der_take(&rest, DER_INTEGER, &out[i]) || out[i].p[0] >= 0x80)
			return BAD(w, "The private key does not hold the eight numbers of RSA; the file is damaged");
		if (i == E)
			n_and_e->n -= rest.n;
	}
	if (rest.n > 0 || !bytes_equal(version, BYTES_LIT("\0")))
		return BAD(w, "The private key holds more than the eight numbers of RSA; the file is damaged");
	return ERR_OK;
}

/* SubjectPublicKeyInfo of n and e, by the reader of everybody's public keys: the server will see the same bytes. */
static enum err put_spki(struct bytes n_and_e, struct rsa_key *k, struct why *w)
{
	struct crypto_numbers read = {.bits = 0};
	struct buf pkcs1 = BUF_INIT(RSA_PEM_MAX);
	enum err e;

	rsa_der_put(DER_SEQUENCE, n_and_e, &pkcs1);
	e = buf_check(&pkcs1, w);
	if (e == ERR_OK)
		e = rsa_public_check(buf_bytes(&pkcs1), false, &read, w);
	if (e != ERR_OK)
		goto out;
	crypto_spki_put(buf_bytes(&pkcs1), &k->spki);
	k->bits = read.bits;
	e = buf_check(&k->spki, w);
out:
	buf_free(&pkcs1);
	return e;
}

static bool one_modulo(const BIGNUM *a, const BIGNUM *b, const BIGNUM *m, BN_CTX *ctx)
{
	BIGNUM *r = BN_CTX_get(ctx);

	return r != NULL && BN_mod_mul(r, a, b, m, ctx) == 1 && BN_is_one(r);
}

/* e undoes the exponent modulo this prime, and d is the same one. */
static bool exponents_fit(BIGNUM *const v[NUMBERS], const BIGNUM *prime, const BIGNUM *exponent, BN_CTX *ctx)
{
	BIGNUM *less = BN_CTX_get(ctx), *r = BN_CTX_get(ctx);

	return r != NULL && BN_sub(less, prime, BN_value_one()) == 1 && one_modulo(v[E], exponent, less, ctx) &&
	       BN_nnmod(r, v[D], less, ctx) == 1 && BN_cmp(r, exponent) == 0;
}

/* Not EVP_PKEY_check, which also asks whether p and q are prime: 3 s for 8192 bits. Damage does not get past these
 * equations, and whoever can put false primes that satisfy them into the file has the key anyway. */
static bool consistent(BIGNUM *const v[NUMBERS])
{
	BN_CTX *ctx = BN_CTX_secure_new();
	BIGNUM *pq;
	bool good = false;

	if (ctx == NULL)
		return false;
	BN_CTX_start(ctx);
	pq = BN_CTX_get(ctx);
	good = pq != NULL && BN_mul(pq, v[P], v[Q], ctx) == 1 && BN_cmp(pq, v[N]) == 0 && BN_cmp(v[D], v[N]) < 0 &&
	       BN_cmp(v[QINV], v[P]) < 0 && one_modulo(v[Q], v[QINV], v[P], ctx) &&
	       exponents_fit(v, v[P], v[DP], ctx) && exponents_fit(v, v[Q], v[DQ], ctx);
	BN_CTX_end(ctx);
	BN_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

/* Through numbers and not through OpenSSL's decoders, which leave copies of the DER behind unwiped. "Secure" BIGNUMs
 * are wiped wherever they are copied to, even though there is no secure heap. */
static enum err build(const struct bytes numbers[NUMBERS], EVP_PKEY **out, struct why *w)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM_BLD *list = OSSL_PARAM_BLD_new();
	BIGNUM *v[NUMBERS] = {NULL};
	OSSL_PARAM *params = NULL;
	enum err e = ERR_OK;

	if (ctx == NULL || list == NULL)
		goto bad;
	for (int i = 0; i < NUMBERS; i++) {
		v[i] = BN_secure_new();
		if (v[i] == NULL || BN_bin2bn(numbers[i].p, (int)numbers[i].n, v[i]) == NULL ||
		    OSSL_PARAM_BLD_push_BN(list, names[i], v[i]) != 1)
			goto bad;
	}
	if (!consistent(v)) {
		e = BAD(w, "The private key's numbers do not belong together; the file is damaged");
		goto out;
	}
	params = OSSL_PARAM_BLD_to_param(list);
	if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, out, EVP_PKEY_KEYPAIR, params) != 1)
		goto bad;
	goto out;
bad:
	e = crypto_fault(w, "building an RSA key pair");
out:
	OSSL_PARAM_free(params);
	for (int i = 0; i < NUMBERS; i++)
		BN_clear_free(v[i]);
	OSSL_PARAM_BLD_free(list);
	EVP_PKEY_CTX_free(ctx);
	return e;
}

static enum err from_pkcs1(struct bytes pkcs1, struct rsa_key **out, struct why *w)
{
	struct rsa_key *k = calloc(1, sizeof *k);
	struct bytes numbers[NUMBERS], n_and_e = bytes_of(NULL, 0);
	enum err e;

	if (k == NULL)
		return why_set(w, ERR_MEMORY, "no memory for an RSA key");
	k->pkcs1 = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	k->spki = BUF_INIT(RSA_PEM_MAX);
	e = take_numbers(pkcs1, numbers, &n_and_e, w);
	if (e == ERR_OK)
		e = put_spki(n_and_e, k, w);
	if (e == ERR_OK)
		e = build(numbers, &k->key, w);
	if (e != ERR_OK)
		goto out;
	buf_put_bytes(&k->pkcs1, pkcs1);
	e = buf_check(&k->pkcs1, w);
	if (e != ERR_OK)
		goto out;
	*out = k;
	k = NULL;
out:
	rsa_key_free(k);
	return e;
}

enum err rsa_key_read(struct bytes pem, struct bytes passphrase, struct rsa_key **out, bool *encrypted, struct why *w)
{
	struct buf pkcs1 = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	enum err e = rsa_key_unpack(pem, passphrase, &pkcs1, encrypted, w);

	if (e == ERR_OK)
		e = from_pkcs1(buf_bytes(&pkcs1), out, w);
	buf_free(&pkcs1);
	return e;
}

/* RSAPrivateKey. */
static enum err put_numbers(EVP_PKEY *key, struct buf *pkcs1, struct why *w)
{
	struct buf numbers = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	uint8_t raw[RSA_BITS_MAX / 8 + 1];
	enum err e = ERR_OK;

	rsa_der_put(DER_INTEGER, BYTES_LIT("\0"), &numbers);
	for (int i = 0; i < NUMBERS && e == ERR_OK; i++) {
		BIGNUM *v = NULL;
		/* One bit more than the number has, so that its sign stays positive. */
		int n = EVP_PKEY_get_bn_param(key, names[i], &v) == 1 ? BN_num_bits(v) / 8 + 1 : 0;

		if (n == 0 || n > (int)sizeof raw || BN_bn2binpad(v, raw, n) != n)
			e = crypto_fault(w, "the numbers of a new RSA key");
		else
			rsa_der_put(DER_INTEGER, bytes_of(raw, (size_t)n), &numbers);
		BN_clear_free(v);
	}
	if (e == ERR_OK)
		e = buf_check(&numbers, w);
	if (e == ERR_OK) {
		rsa_der_put(DER_SEQUENCE, buf_bytes(&numbers), pkcs1);
		e = buf_check(pkcs1, w);
	}
	mem_wipe(raw, sizeof raw);
	buf_free(&numbers);
	return e;
}

enum err rsa_key_new(unsigned bits, struct rsa_key **out, struct why *w)
{
	struct buf pkcs1 = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	EVP_PKEY *key = NULL;
	enum err e;

	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX || bits % 8 != 0)
		return why_tell(w, ERR_INVALID, NULL,
				"An RSA key of %u bits cannot be made; %d to %d and a multiple of 8 is needed", bits,
				RSA_BITS_MIN, RSA_BITS_MAX);
	key = EVP_RSA_gen(bits);
	if (key == NULL)
		return crypto_fault(w, "making an RSA key");
	e = put_numbers(key, &pkcs1, w);
	if (e == ERR_OK)
		e = from_pkcs1(buf_bytes(&pkcs1), out, w);
	EVP_PKEY_free(key);
	buf_free(&pkcs1);
	return e;
}

enum err rsa_key_put_private(const struct rsa_key *k, struct bytes passphrase, struct buf *pem, struct why *w)
{
	return rsa_key_pack(buf_bytes(&k->pkcs1), passphrase, pem, w);
}

enum err rsa_key_put_public(const struct rsa_key *k, struct buf *pem, struct why *w)
{
	struct buf text = BUF_INIT(RSA_PEM_MAX);
	enum err e;

	pem_put("PUBLIC KEY", buf_bytes(&k->spki), &text);
	e = buf_check(&text, w);
	if (e == ERR_OK) {
		buf_put_bytes(pem, buf_bytes(&text));
		e = buf_check(pem, w);
	}
	buf_free(&text);
	return e;
}

struct bytes rsa_key_spki(const struct rsa_key *k)
{
	return buf_bytes(&k->spki);
}

unsigned rsa_key_bits(const struct rsa_key *k)
{
	return k->bits;
}

/* All that can be wrong with the padding is one fault, and OpenSSL looks at the whole of it in constant time: whoever
 * sends ciphertexts learns nothing from it that would open another one (Manger). */
static enum err open_oaep(const struct rsa_key *k, struct bytes ciphertext, uint8_t plain[RSA_WRAPPED_MAX], size_t *n,
			  struct why *w)
{
	char oaep[] = OSSL_PKEY_RSA_PAD_MODE_OAEP, hash[] = "SHA2-256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, oaep, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, hash, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, hash, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL);
	enum err e = ERR_OK;

	*n = RSA_WRAPPED_MAX;
	if (ctx == NULL || EVP_PKEY_decrypt_init_ex(ctx, params) != 1)
		e = crypto_fault(w, "decrypting with RSA-OAEP");
	else if (ciphertext.n != (k->bits + 7) / 8 || EVP_PKEY_decrypt(ctx, plain, n, ciphertext.p, ciphertext.n) != 1)
		e = why_tell(
			w, ERR_BAD_MESSAGE, NULL,
			"The message was not encrypted for this RSA key (RSA-OAEP with SHA-256), or it was altered");
	ERR_clear_error();
	EVP_PKEY_CTX_free(ctx);
	return e;
}

enum err rsa_key_unwrap(const struct rsa_key *k, struct bytes wrapped, struct secret *out, struct why *w)
{
	uint8_t plain[RSA_WRAPPED_MAX];
	size_t n = 0;
	enum err e = open_oaep(k, wrapped, plain, &n, w);

	if (e == ERR_BAD_MESSAGE || (e == ERR_OK && n > SECRET_MAX))
		e = why_tell(w, ERR_BAD_MESSAGE, NULL,
			     "The session key was not wrapped for this RSA key (RSA-OAEP with SHA-256)");
	if (e == ERR_OK)
		e = secret_set(out, bytes_of(plain, n), w);
	mem_wipe(plain, sizeof plain);
	return e;
}

enum err rsa_key_decrypt(const struct rsa_key *k, struct bytes ciphertext, struct buf *out, struct why *w)
{
	uint8_t plain[RSA_WRAPPED_MAX];
	size_t n = 0;
	enum err e = open_oaep(k, ciphertext, plain, &n, w);

	if (e == ERR_OK) {
		buf_put(out, plain, n);
		e = buf_check(out, w);
	}
	mem_wipe(plain, sizeof plain);
	return e;
}
