/* rsa_key.h - what rsa_key.c and rsa_key_pem.c share: an RSAPrivateKey (PKCS#1, DER) in and out of PEM texts. */
#ifndef ATTESTD_CRYPTO_RSA_KEY_H
#define ATTESTD_CRYPTO_RSA_KEY_H

#include "internal.h"
#include "rsa.h"

enum {
	RSA_KDF_ROUNDS = 600 * 1000,	       /* PBKDF2-HMAC-SHA256, of what is written */
	RSA_KDF_ROUNDS_MAX = 10 * 1000 * 1000, /* of what is read: seconds */
	RSA_SCRYPT_WORK_MAX = 1 << 22,	       /* N * r * p, likewise */
};

/* Appends the RSAPrivateKey of a PEM text, whose numbers were not looked at. */
enum err rsa_key_unpack(struct bytes pem, struct bytes passphrase, struct buf *pkcs1, bool *encrypted,
			struct why *w) MUST_USE;
/* Appends a PEM text. passphrase as in rsa_key_put_private. */
enum err rsa_key_pack(struct bytes pkcs1, struct bytes passphrase, struct buf *pem, struct why *w) MUST_USE;

/* Appends one DER element; the tag is universal, the content under 64 KiB. */
void rsa_der_put(enum der_tag tag, struct bytes content, struct buf *out);
/* crypto_der_read, with what to do about a key that it refuses. */
enum err rsa_public_check(struct bytes der, bool spki, struct crypto_numbers *out, struct why *w) MUST_USE;

#endif
