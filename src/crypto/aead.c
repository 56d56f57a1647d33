/* aead.c - AES-256-GCM. */
#include "internal.h"

enum { AEAD_IN_MAX = 0x7fffffff - 63 };

/* A struct crypto_aead is an EVP_CIPHER_CTX by another name: there is nothing to keep beside it. */
static EVP_CIPHER_CTX *context(struct crypto_aead *a)
{
	return (EVP_CIPHER_CTX *)a;
}

static enum err check(struct bytes aad, size_t n, struct why *w)
{
	if (n > AEAD_IN_MAX || aad.n > AEAD_IN_MAX)
		return why_set(w, ERR_INTERNAL, "%zu bytes with %zu beside them are too many for one AES-GCM message",
			       n, aad.n);
	return ERR_OK;
}

enum err crypto_aead_new(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], struct crypto_aead **out, struct why *w)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a key's context");
	if (EVP_EncryptInit_ex2(ctx, c->gcm, key, NULL, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		return crypto_fault(w, "an AES-256-GCM key");
	}
	*out = (struct crypto_aead *)ctx;
	return ERR_OK;
}

void crypto_aead_free(struct crypto_aead *a)
{
	EVP_CIPHER_CTX_free(context(a));
}

enum err crypto_aead_seal(struct crypto_aead *a, const uint8_t iv[AEAD_IV_SIZE], struct bytes aad, struct bytes in,
			  uint8_t *out, struct why *w)
{
	EVP_CIPHER_CTX *ctx = context(a);
	const enum err e = check(aad, in.n, w);
	int n = 0;
	if (e != ERR_OK)
		return e;
	if (EVP_EncryptInit_ex2(ctx, NULL, NULL, iv, NULL) != 1 ||
	    (aad.n > 0 && EVP_EncryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n) != 1) ||
	    (in.n > 0 && EVP_EncryptUpdate(ctx, out, &n, in.p, (int)in.n) != 1) ||
	    EVP_EncryptFinal_ex(ctx, out + in.n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + in.n) != 1)
		return crypto_fault(w, "AES-256-GCM encryption");
	return ERR_OK;
}

enum err crypto_aead_open(struct crypto_aead *a, const uint8_t iv[AEAD_IV_SIZE], struct bytes aad, struct bytes in,
			  uint8_t *out, struct why *w)
{
	EVP_CIPHER_CTX *ctx = context(a);
	uint8_t tag[AEAD_TAG_SIZE], none[1];
	int n = 0;
	if (in.n < AEAD_TAG_SIZE)
		return why_set(w, ERR_BAD_MESSAGE, "a ciphertext of %zu bytes is shorter than its tag", in.n);
	in.n -= AEAD_TAG_SIZE;
	enum err e = check(aad, in.n, w);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < sizeof tag; i++)
		tag[i] = in.p[in.n + i];
	if (EVP_DecryptInit_ex2(ctx, NULL, NULL, iv, NULL) != 1 ||
	    (aad.n > 0 && EVP_DecryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n) != 1) ||
	    (in.n > 0 && EVP_DecryptUpdate(ctx, out, &n, in.p, (int)in.n) != 1) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag) != 1)
		e = crypto_fault(w, "AES-256-GCM decryption");
	else if (EVP_DecryptFinal_ex(ctx, none, &n) != 1)
		e = why_set(w, ERR_BAD_MESSAGE, "the tag does not fit the message");
	if (e != ERR_OK)
		mem_wipe(out, in.n);
	return e;
}

/* A context a call: freeing it wipes the expanded key, which a kept one would leave behind. */
enum err crypto_seal(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], const uint8_t iv[AEAD_IV_SIZE],
		     struct bytes aad, struct bytes in, uint8_t *out, struct why *w)
{
	struct crypto_aead *a = NULL;
	enum err e = crypto_aead_new(c, key, &a, w);
	if (e == ERR_OK)
		e = crypto_aead_seal(a, iv, aad, in, out, w);
	crypto_aead_free(a);
	return e;
}

enum err crypto_open(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], const uint8_t iv[AEAD_IV_SIZE],
		     struct bytes aad, struct bytes in, uint8_t *out, struct why *w)
{
	struct crypto_aead *a = NULL;
	enum err e = crypto_aead_new(c, key, &a, w);
	if (e == ERR_OK)
		e = crypto_aead_open(a, iv, aad, in, out, w);
	crypto_aead_free(a);
	return e;
}
