/* internal.h - what the files of this folder share. */
#ifndef ATTESTD_CRYPTO_INTERNAL_H
#define ATTESTD_CRYPTO_INTERNAL_H

#include <openssl/evp.h>

#include "crypto.h"

struct crypto {
	EVP_MD *sha256;
	EVP_CIPHER *gcm;
	EVP_KDF *hkdf;
};

/* ERR_CRYPTO with OpenSSL's own reason; its queue of errors is emptied. */
enum err crypto_fault(struct why *w, const char *what) MUST_USE;

/* An RSA public key as it was read: everything borrows from the DER it was read from. */
struct crypto_numbers {
	struct bytes pkcs1; /* RSAPublicKey, DER */
	struct bytes n, e;  /* big-endian, without leading zeros */
	unsigned bits;
};

/* Reads a PEM text into *der (given empty, room for RSA_PEM_MAX) and checks every rule of crypto_rsa_parse. */
enum err crypto_pem_read(struct bytes pem, struct buf *der, struct crypto_numbers *out, struct why *w) MUST_USE;
/* The same for DER alone; spki tells SubjectPublicKeyInfo from RSAPublicKey. */
enum err crypto_der_read(struct bytes der, bool spki, struct crypto_numbers *out, struct why *w) MUST_USE;
/* Appends the SubjectPublicKeyInfo that holds an RSAPublicKey. */
void crypto_spki_put(struct bytes pkcs1, struct buf *out);

#endif
