/* tls_internal.h - what the files of TLS share. */
#ifndef ATTESTD_CRYPTO_TLS_INTERNAL_H
#define ATTESTD_CRYPTO_TLS_INTERNAL_H

#include <stdatomic.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "internal.h"
#include "tls.h"

struct tls_identity {
	atomic_uint owners;
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) * chain; /* the certificates of a file that follow the first, in order; NULL: none */
	struct buf der, spki;
	uint8_t cert_hash[SHA256_SIZE], spki_hash[SHA256_SIZE];
	bool from_file;
	int64_t not_before_s, not_after_s;
};

/* Takes key, cert and chain over, on failure too. */
enum err tls_identity_of(EVP_PKEY *key, X509 *cert, STACK_OF(X509) * chain, bool from_file, struct tls_identity **out,
			 struct why *w) MUST_USE;

/* What a certificate of ours says. `issuer` NULL: self-signed, `key` signs. names: as subjectAltName, or NULL. */
struct tls_cert_spec {
	const char *common_name, *names, *usage, *extended_usage;
	bool ca;
	int64_t not_before_s, not_after_s;
};
enum err tls_cert_make(struct crypto *c, const struct tls_cert_spec *spec, EVP_PKEY *subject, X509 *issuer,
		       EVP_PKEY *key, X509 **out, struct why *w) MUST_USE;
/* P-256, P-384, Ed25519, or RSA of RSA_BITS_MIN to RSA_BITS_MAX bits. */
bool tls_key_usable(EVP_PKEY *key);
enum err tls_cert_der(X509 *x, struct buf *der, struct why *w) MUST_USE;
enum err tls_key_spki(EVP_PKEY *key, struct buf *spki, struct why *w) MUST_USE;

struct tls_ca {
	EVP_PKEY *key;
	X509 *cert;
	struct buf der;
};

/* A connection under the present identity; NULL on failure. */
SSL *tls_server_connection(const struct tls_server *s);

/* Settings that both ends share. */
SSL_CTX *tls_context(const SSL_METHOD *method, bool allow_12);
enum err tls_context_use(SSL_CTX *ctx, const struct tls_identity *i, struct why *w) MUST_USE;

#endif
