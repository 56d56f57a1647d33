/* internal.h - what the files of this folder share. */
#ifndef ATTESTD_CRYPTO_INTERNAL_H
#define ATTESTD_CRYPTO_INTERNAL_H

#include <openssl/evp.h>

#include "cert.h"
#include "crypto.h"

struct crypto {
	EVP_MD *sha256, *sha384;
	EVP_CIPHER *gcm;
	EVP_KDF *hkdf;
};

/* ERR_CRYPTO with OpenSSL's own reason; its queue of errors is emptied. */
enum err crypto_fault(struct why *w, const char *what) MUST_USE;

/* Pieces of PEM texts. */
#define PEM_BEGIN  "-----BEGIN "
#define PEM_END	   "-----END "
#define PEM_DASHES "-----"
struct bytes pem_skip(struct bytes s, size_t n); /* without the first n */
struct bytes pem_trim(struct bytes s);		 /* without white space at either end */
bool pem_starts_with(struct bytes s, const char *with);
size_t pem_find(struct bytes s, const char *what); /* s.n if there is none */
/* The label of a trimmed text that begins with PEM_BEGIN, and the lines between its BEGIN line and the END line, which
 * is the last. `code` is the error if it is not one block. */
enum err pem_label(struct bytes text, enum err code, struct bytes *label, struct why *w) MUST_USE;
enum err pem_lines(struct bytes text, struct bytes label, enum err code, struct bytes *lines, struct why *w) MUST_USE;
/* Appends a text with lines of 64 characters, LF. */
void pem_put(const char *label, struct bytes der, struct buf *pem);
/* Appends what the lines between BEGIN and END hold; `code` is the error if they hold something else. */
enum err pem_unbase64(struct bytes body, enum err code, struct buf *der, struct why *w) MUST_USE;

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
};
/* Takes one element with this tag off the front of *in; its length is minimal, but its content was not looked at. */
bool der_take(struct bytes *in, uint8_t tag, struct bytes *content);
/* Nothing but elements of strict DER, at every depth (OCTET STRINGs are not opened). */
bool der_strict(struct bytes in);
/* Takes a UTCTime or GeneralizedTime off the front, as certificates have them. */
bool der_time(struct bytes *in, int64_t *unix_s);

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

enum { CERT_SIGNATURE_DER_MAX = 2 + 2 * (2 + 49) }; /* a SEQUENCE of two positive INTEGERs */

struct cert_key {
	EVP_PKEY *key;
};

/* What a certificate says, borrowed from its DER. */
struct cert_fields {
	struct bytes issuer, subject; /* the contents of the Names */
	int64_t not_before_s, not_after_s;
	bool has_constraints, constraints_critical, ca;
	bool has_usage;
	unsigned usage;	      /* mask of enum cert_usage; other bits are left out */
	unsigned path_length; /* UINT_MAX: no limit */
};
/* Reads a certificate by itself: DER, form, algorithms, kind of key, extensions. `who` begins the sentences. */
enum err cert_fields_read(struct bytes der, const char *who, struct cert_fields *out, enum cert_fault *fault,
			  struct why *w) MUST_USE;

/* ES384 under any P-384 key; the range of r and s is OpenSSL's to check. */
bool cert_es384_verify(struct crypto *c, EVP_PKEY *key, struct bytes message,
		       const uint8_t signature[CERT_SIGNATURE_SIZE]);

#endif
