/* aead.c - AES-256-GCM. */
#include "internal.h"

enum { AEAD_IN_MAX = 0x7fffffff - 63 };

/* A struct crypto_aead is an EVP_CIPHER_CTX by another name: there is nothing to keep beside it, and each piece of
 * memory that a short message has to fetch is felt. */
static struct crypto_aead *hidden(EVP_CIPHER_CTX *ctx)
{
	return (struct crypto_aead *)ctx;
}

static EVP_CIPHER_CTX *shown(struct crypto_aead *a)
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

/* Under the key that ctx has. */
static enum err seal_with(EVP_CIPHER_CTX *ctx, const uint8_t iv[AEAD_IV_SIZE], struct bytes aad, struct bytes in,
			  uint8_t *out, struct why *w)
{
	int n = 0;
	if (EVP_EncryptInit_ex2(ctx, NULL, NULL, iv, NULL) != 1 ||
	    (aad.n > 0 && EVP_EncryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n) != 1) ||
	    (in.n > 0 && EVP_EncryptUpdate(ctx, out, &n, in.p, (int)in.n) != 1) ||
	    EVP_EncryptFinal_ex(ctx, out + in.n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + in.n) != 1)
		return crypto_fault(w, "AES-256-GCM encryption");
	return ERR_OK;
}

static enum err open_with(EVP_CIPHER_CTX *ctx, const uint8_t iv[AEAD_IV_SIZE], struct bytes aad, struct bytes in,
			  uint8_t *out, struct why *w)
{
	uint8_t tag[AEAD_TAG_SIZE], none[1];
	enum err e = ERR_OK;
	int n = 0;
	in.n -= AEAD_TAG_SIZE;
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

static enum err check_sealed(struct bytes aad, struct bytes in, struct why *w)
{
	if (in.n < AEAD_TAG_SIZE)
		return why_set(w, ERR_BAD_MESSAGE, "a ciphertext of %zu bytes is shorter than its tag", in.n);
	return check(aad, in.n - AEAD_TAG_SIZE, w);
}

static enum err expand(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], EVP_CIPHER_CTX **out, struct why *w)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL || EVP_EncryptInit_ex2(ctx, c->gcm, key, NULL, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		return crypto_fault(w, "an AES-256-GCM key");
	}
	*out = ctx;
	return ERR_OK;
}

/* A context a call: freeing it wipes the expanded key, which a kept one would leave behind. */
enum err crypto_seal(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], const uint8_t iv[AEAD_IV_SIZE],
		     struct bytes aad, struct bytes in, uint8_t *out, struct why *w)
{
	enum err e = check(aad, in.n, w);
	if (e != ERR_OK)
		return e;
	EVP_CIPHER_CTX *ctx = NULL;
	e = expand(c, key, &ctx, w);
	if (e == ERR_OK)
		e = seal_with(ctx, iv, aad, in, out, w);
	EVP_CIPHER_CTX_free(ctx);
	return e;
}

enum err crypto_open(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], const uint8_t iv[AEAD_IV_SIZE],
		     struct bytes aad, struct bytes in, uint8_t *out, struct why *w)
{
	enum err e = check_sealed(aad, in, w);
	if (e != ERR_OK)
		return e;
	EVP_CIPHER_CTX *ctx = NULL;
	e = expand(c, key, &ctx, w);
	if (e == ERR_OK)
		e = open_with(ctx, iv, aad, in, out, w);
	EVP_CIPHER_CTX_free(ctx);
	return e;
}

enum err crypto_aead_new(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], struct crypto_aead **out, struct why *w)
{
	EVP_CIPHER_CTX *ctx;
	const enum err e = expand(c, key, &ctx, w);
	if (e == ERR_OK)
		*out = hidden(ctx);
	return e;
}

void crypto_aead_free(struct crypto_aead *a)
{
	EVP_CIPHER_CTX_free(shown(a));
}

enum err crypto_aead_seal(struct crypto_aead *a, const uint8_t iv[AEAD_IV_SIZE], struct bytes in, uint8_t *out,
			  struct why *w)
{
	const struct bytes none = {NULL, 0};
	const enum err e = check(none, in.n, w);
	return e != ERR_OK ? e : seal_with(shown(a), iv, none, in, out, w);
}

enum err crypto_aead_open(struct crypto_aead *a, const uint8_t iv[AEAD_IV_SIZE], struct bytes in, uint8_t *out,
			  struct why *w)
{
	const struct bytes none = {NULL, 0};
	const enum err e = check_sealed(none, in, w);
	return e != ERR_OK ? e : open_with(shown(a), iv, none, in, out, w);
}
