/* cert.h - P-384 keys, ES384 signatures, and X.509 certificates (RFC 5280) whose chain ends in a pinned root.
 *
 * Nitro's chains are checked more narrowly than RFC 5280 asks, because AWS makes them in one way only: every key is
 * P-384, every signature ecdsa-with-SHA384, the bundle stands in order from the root down, and nothing is left over.
 * Part of src/crypto: what is OpenSSL's stays there.
 */
#ifndef ATTESTD_CERT_H
#define ATTESTD_CERT_H

#include "crypto.h"

enum {
	CERT_SIGNATURE_SIZE = 96, /* r and s of ES384, big-endian, 48 bytes each (RFC 9053 section 2.1) */
	CERT_DER_MAX = 1024,	  /* AWS's limit for `certificate` and for each element of `cabundle` */
	CERT_PEM_MAX = 16 * 1024,
	CERT_BUNDLE_MAX = 8, /* Nitro's has four: root, region, zone, instance */
	CERT_SERIAL_MAX = 20,
};

/* ---- a P-384 key pair ---- */
struct cert_key;
enum err cert_key_new(struct crypto *c, struct cert_key **out, struct why *w) MUST_USE;
void cert_key_free(struct cert_key *k); /* wipes; NULL is fine */
/* ES384: ECDSA over the message's SHA-384. */
enum err cert_key_sign(struct crypto *c, const struct cert_key *k, struct bytes message,
		       uint8_t out[CERT_SIGNATURE_SIZE], struct why *w) MUST_USE;

/* ---- making certificates ---- */
enum cert_usage { /* keyUsage */
		  CERT_DIGITAL_SIGNATURE = 1u << 0,
		  CERT_NON_REPUDIATION = 1u << 1,
		  CERT_CERT_SIGN = 1u << 2,
		  CERT_CRL_SIGN = 1u << 3,
};
enum { CERT_NO_CA = -1, CERT_NO_PATH_LENGTH = -2 };

struct cert_attribute {
	const char *type, *value; /* "CN", "C", "O", "OU", "ST", "L"; value UTF-8 */
};
struct cert_spec {
	const struct cert_attribute *subject;
	size_t n_subject;
	struct bytes serial; /* 1 to CERT_SERIAL_MAX bytes, big-endian, made positive by a leading zero where needed */
	int64_t not_before_s, not_after_s; /* Unix */
	int path_length;		   /* of a CA; CERT_NO_PATH_LENGTH: a CA without limit; CERT_NO_CA: a leaf */
	unsigned usage;			   /* mask of enum cert_usage */
	bool usage_critical;
	bool key_identifiers; /* subjectKeyIdentifier, and authorityKeyIdentifier unless self-signed */
	const char *crl_url;  /* cRLDistributionPoints, without a comma; or NULL */
};
/* Appends the DER of a certificate for `key`, signed with ecdsa-with-SHA384 by issuer_key under the subject of
 * issuer_der; with issuer_key NULL it is self-signed and issuer_der is not looked at. basicConstraints is critical. */
enum err cert_make(struct crypto *c, const struct cert_spec *spec, const struct cert_key *key, struct bytes issuer_der,
		   const struct cert_key *issuer_key, struct buf *der, struct why *w) MUST_USE;

/* ---- PEM (RFC 7468) ---- */
/* One `BEGIN CERTIFICATE` block and nothing else but white space around it; its DER (at most CERT_DER_MAX) is appended.
 * ERR_INVALID, told, on anything else; the certificate itself is not judged. */
enum err cert_pem_read(struct bytes pem, struct buf *der, struct why *w) MUST_USE;
void cert_pem_put(struct bytes der, struct buf *pem); /* lines of 64 characters, LF */

/* ---- chains ---- */
enum cert_fault {
	CERT_MALFORMED, /* no certificate, not DER, bytes behind it, too large, not version 3, two unlike algorithms */
	CERT_UNSUPPORTED, /* a key that is not P-384 (or no point of it), a signature that is not ecdsa-with-SHA384 */
	CERT_CONSTRAINT,  /* basicConstraints, pathLen, keyUsage, unknown critical or repeated extensions */
	CERT_UNTRUSTED,	  /* the bundle does not begin with the very bytes of the root */
	CERT_BROKEN, /* an issuer's name or signature does not fit, or something is missing, out of order or left over
		      */
};

/* A chain that holds at the times in its window; immutable, shared by threads, counted. */
struct cert_chain;

/* bundle: untrusted; exactly root, then each certificate issued by the one before it, the last of which issued `leaf`.
 * Checks everything but time: names, signatures, basicConstraints (critical; CA for all but the leaf, which must say
 * that it is none), pathLen, keyUsage (keyCertSign for a CA, digitalSignature for the leaf), keys and algorithms, DER.
 * X509_V_FLAG_X509_STRICT is not used: AWS's leaf certificates lack an authorityKeyIdentifier.
 * ERR_INVALID with *fault set and a told sentence when it does not hold; other errors are ours (no memory). */
enum err cert_chain_check(struct bytes root, const struct bytes *bundle, size_t n, struct bytes leaf,
			  struct cert_chain **out, enum cert_fault *fault, struct why *w) MUST_USE;
struct cert_chain *cert_chain_ref(struct cert_chain *chain); /* one more owner */
void cert_chain_free(struct cert_chain *chain);		     /* one fewer; NULL is fine */

/* All certificates, the root included, are valid from *not_before_s to *not_after_s, both inclusive (Unix). */
void cert_chain_window(const struct cert_chain *chain, int64_t *not_before_s, int64_t *not_after_s);
/* Did the leaf's key make this ES384 signature over `message`? False too for r or s out of range. Any thread. */
bool cert_chain_signed(struct crypto *c, const struct cert_chain *chain, struct bytes message,
		       const uint8_t signature[CERT_SIGNATURE_SIZE]);

#endif
