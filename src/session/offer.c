/* offer.c - a new session's id and key, wrapped for its user. */
#include "internal.h"

#include <string.h>

#include "base/encode.h"

_Static_assert(BASE64URL_SIZE(32) == SESSION_ID_SIZE, "an id is 32 bytes as base64url");

enum err session_offer_make(struct crypto *c, const struct random *r, struct bytes user_pem, struct session_offer *out,
			    struct why *w)
{
	uint8_t id[32], key_hash[SHA256_SIZE], user_key_hash[SHA256_SIZE];
	struct buf wrapped = BUF_INIT(RSA_WRAPPED_MAX);
	struct secret key = SECRET_INIT;
	struct crypto_rsa *rsa = NULL;
	enum err e = crypto_rsa_parse(c, user_pem, &rsa, w);

	if (e != ERR_OK)
		goto out;
	e = random_fill(r, id, sizeof id, w);
	if (e != ERR_OK)
		goto out;
	key.n = AEAD_KEY_SIZE;
	e = random_fill(r, key.b, key.n, w);
	if (e == ERR_OK)
		e = crypto_sha256(c, secret_view(&key), key_hash, w);
	if (e == ERR_OK)
		e = crypto_sha256(c, crypto_rsa_spki(rsa), user_key_hash, w);
	if (e == ERR_OK)
		e = crypto_rsa_wrap(c, rsa, secret_view(&key), &wrapped, w);
	if (e == ERR_OK)
		e = secret_set(&out->key, secret_view(&key), w);
	if (e != ERR_OK)
		goto out;
	base64url_encode(bytes_of(id, sizeof id), out->id);
	memcpy(out->key_hash, key_hash, sizeof key_hash);
	memcpy(out->user_key_hash, user_key_hash, sizeof user_key_hash);
	out->wrapped = wrapped;
	wrapped = BUF_INIT(RSA_WRAPPED_MAX);
out:
	crypto_rsa_free(rsa);
	secret_wipe(&key);
	buf_free(&wrapped);
	return e;
}

void session_offer_free(struct session_offer *o)
{
	if (o == NULL)
		return;
	secret_wipe(&o->key);
	buf_free(&o->wrapped);
}
