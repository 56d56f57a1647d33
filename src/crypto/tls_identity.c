/* tls_identity.c - a key and its certificate: made here, or read from files. */
#include "tls_internal.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { NAMES_TEXT_MAX = TLS_NAMES_MAX * (TLS_NAME_MAX + 8) };

enum err tls_identity_of(EVP_PKEY *key, X509 *cert, STACK_OF(X509) * chain, bool from_file, struct tls_identity **out,
			 struct why *w)
{
	struct tls_identity *i = calloc(1, sizeof *i);
	struct tm before, after;
	enum err e;

	if (i == NULL) {
		EVP_PKEY_free(key);
		X509_free(cert);
		sk_X509_pop_free(chain, X509_free);
		return why_set(w, ERR_MEMORY, "no memory for a TLS identity");
	}
	i->owners = 1;
	i->key = key;
	i->cert = cert;
	i->chain = chain;
	i->from_file = from_file;
	i->der = BUF_INIT(TLS_CERT_DER_MAX);
	i->spki = BUF_INIT(TLS_CERT_DER_MAX);
	if (X509_check_private_key(cert, key) != 1) {
		ERR_clear_error();
		e = why_set(w, ERR_CONFIG, "the private key is not that of the certificate");
		goto out;
	}
	if ((e = tls_cert_der(cert, &i->der, w)) != ERR_OK || (e = tls_key_spki(key, &i->spki, w)) != ERR_OK)
		goto out;
	if (EVP_Digest(i->der.p, i->der.n, i->cert_hash, NULL, EVP_sha256(), NULL) != 1 ||
	    EVP_Digest(i->spki.p, i->spki.n, i->spki_hash, NULL, EVP_sha256(), NULL) != 1 ||
	    ASN1_TIME_to_tm(X509_get0_notBefore(cert), &before) != 1 ||
	    ASN1_TIME_to_tm(X509_get0_notAfter(cert), &after) != 1) {
		e = crypto_fault(w, "reading a certificate");
		goto out;
	}
	i->not_before_s = (int64_t)timegm(&before);
	i->not_after_s = (int64_t)timegm(&after);
	*out = i;
	i = NULL;
out:
	tls_identity_free(i);
	return e;
}

struct tls_identity *tls_identity_ref(struct tls_identity *i)
{
	atomic_fetch_add(&i->owners, 1);
	return i;
}

void tls_identity_free(struct tls_identity *i)
{
	if (i == NULL || atomic_fetch_sub(&i->owners, 1) > 1)
		return;
	EVP_PKEY_free(i->key);
	X509_free(i->cert);
	sk_X509_pop_free(i->chain, X509_free);
	buf_free(&i->der);
	buf_free(&i->spki);
	free(i);
}

/* ---- made here ---- */

/* "DNS:localhost,IP:127.0.0.1"; the characters of a name cannot end it, so that no name makes another. */
static enum err put_names(const struct bytes *names, size_t n, struct buf *text, struct why *w)
{
	if (n > TLS_NAMES_MAX)
		return why_set(w, ERR_CONFIG, "a certificate may have %d names at most", TLS_NAMES_MAX);
	for (size_t i = 0; i < n; i++) {
		char name[TLS_NAME_MAX + 1];
		struct in6_addr unused;
		if (names[i].n == 0 || names[i].n > TLS_NAME_MAX)
			return why_set(w, ERR_CONFIG, "a certificate's name must have 1 to %d bytes", TLS_NAME_MAX);
		for (size_t k = 0; k < names[i].n; k++) {
			const char c = (char)names[i].p[k];
			if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:*", c) == NULL ||
			    c == '\0')
				return why_set(w, ERR_CONFIG, "\"%.*s\" is neither a DNS name nor an IP address",
					       (int)names[i].n, (const char *)names[i].p);
			name[k] = c;
		}
		name[names[i].n] = '\0';
		const bool is_ip = inet_pton(AF_INET, name, &unused) == 1 || inet_pton(AF_INET6, name, &unused) == 1;
		if (!is_ip && strchr(name, ':') != NULL)
			return why_set(w, ERR_CONFIG, "\"%s\" is neither a DNS name nor an IP address", name);
		buf_printf(text, "%s%s:%s", text->n > 0 ? "," : "", is_ip ? "IP" : "DNS", name);
	}
	return buf_check(text, w);
}

enum err tls_identity_new(struct crypto *c, const char *common_name, const struct bytes *names, size_t n_names,
			  int64_t now_s, int64_t lifetime_s, struct tls_identity **out, struct why *w)
{
	struct buf text = BUF_INIT(NAMES_TEXT_MAX);
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	enum err e = put_names(names, n_names, &text, w);

	if (e != ERR_OK)
		goto out;
	const struct tls_cert_spec spec = {
		.common_name = common_name,
		.names = text.n > 0 ? buf_cstr(&text) : NULL,
		.usage = "critical,digitalSignature",
		.extended_usage = "serverAuth,clientAuth",
		.not_before_s = now_s - TLS_BACKDATE_S,
		.not_after_s = now_s + lifetime_s,
	};
	key = EVP_EC_gen("P-256");
	e = key == NULL ? crypto_fault(w, "making a P-256 key") : tls_cert_make(c, &spec, key, NULL, key, &cert, w);
	if (e == ERR_OK) {
		e = tls_identity_of(key, cert, NULL, false, out, w);
		key = NULL;
		cert = NULL;
	}
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	buf_free(&text);
	return e;
}

enum err tls_identity_with(const struct tls_identity *i, struct bytes cert_der, struct tls_identity **out,
			   struct why *w)
{
	const unsigned char *at = cert_der.p;
	X509 *cert = cert_der.n > 0 && cert_der.n <= TLS_CERT_DER_MAX ? d2i_X509(NULL, &at, (long)cert_der.n) : NULL;

	if (cert == NULL || at != cert_der.p + cert_der.n) {
		X509_free(cert);
		ERR_clear_error();
		return why_tell(w, ERR_INVALID, NULL, "This is not one certificate in DER.");
	}
	if (X509_check_private_key(cert, i->key) != 1) {
		X509_free(cert);
		ERR_clear_error();
		return why_tell(w, ERR_INVALID, NULL, "The certificate was made for another key.");
	}
	EVP_PKEY_up_ref(i->key);
	return tls_identity_of(i->key, cert, NULL, i->from_file, out, w);
}

/* ---- read from files ---- */

/* No prompt on a terminal for a passphrase: such keys are refused. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

static BIO *bio_of(struct bytes text)
{
	return text.n > 0 && text.n <= TLS_PEM_MAX ? BIO_new_mem_buf(text.p, (int)text.n) : NULL;
}

static enum err read_chain(BIO *in, STACK_OF(X509) * *chain, struct why *w)
{
	X509 *x;

	*chain = sk_X509_new_null();
	if (*chain == NULL)
		return why_set(w, ERR_MEMORY, "no memory for certificates");
	while ((x = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL) {
		if (sk_X509_num(*chain) == TLS_FILE_CHAIN_MAX - 1) {
			X509_free(x);
			return why_set(w, ERR_CONFIG, "the certificate file holds more than %d certificates",
				       TLS_FILE_CHAIN_MAX);
		}
		if (sk_X509_push(*chain, x) == 0) {
			X509_free(x);
			return why_set(w, ERR_MEMORY, "no memory for certificates");
		}
	}
	const unsigned long last = ERR_peek_last_error();
	const bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return at_end ? ERR_OK : why_set(w, ERR_CONFIG, "a certificate behind the first one cannot be read");
}

enum err tls_identity_read(struct bytes cert_pem, struct bytes key_pem, int64_t now_s, struct tls_identity **out,
			   struct why *w)
{
	BIO *certs = bio_of(cert_pem), *keys = bio_of(key_pem);
	STACK_OF(X509) *chain = NULL;
	time_t now = (time_t)now_s;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	enum err e;

	if (certs == NULL || (cert = PEM_read_bio_X509(certs, NULL, no_passphrase, NULL)) == NULL) {
		e = why_set(w, ERR_CONFIG, "the certificate file holds no PEM certificate of at most %d bytes",
			    TLS_PEM_MAX);
		goto out;
	}
	if ((e = read_chain(certs, &chain, w)) != ERR_OK)
		goto out;
	if (keys == NULL || (key = PEM_read_bio_PrivateKey(keys, NULL, no_passphrase, NULL)) == NULL) {
		e = why_set(w, ERR_CONFIG,
			    "the key file holds no PEM private key of at most %d bytes without a passphrase",
			    TLS_PEM_MAX);
		goto out;
	}
	if (!tls_key_usable(key)) {
		e = why_set(w, ERR_CONFIG, "the private key must be P-256, P-384, Ed25519, or RSA of %d to %d bits",
			    RSA_BITS_MIN, RSA_BITS_MAX);
		goto out;
	}
	if (X509_cmp_time(X509_get0_notAfter(cert), &now) <= 0) {
		e = why_set(w, ERR_CONFIG, "the certificate has expired");
		goto out;
	}
	e = tls_identity_of(key, cert, chain, true, out, w);
	key = NULL;
	cert = NULL;
	chain = NULL;
out:
	ERR_clear_error();
	sk_X509_pop_free(chain, X509_free);
	EVP_PKEY_free(key);
	X509_free(cert);
	BIO_free(certs);
	BIO_free(keys);
	return e;
}

/* ---- what it is ---- */

struct bytes tls_identity_cert(const struct tls_identity *i)
{
	return buf_bytes(&i->der);
}

struct bytes tls_identity_spki(const struct tls_identity *i)
{
	return buf_bytes(&i->spki);
}

const uint8_t *tls_identity_cert_hash(const struct tls_identity *i)
{
	return i->cert_hash;
}

const uint8_t *tls_identity_spki_hash(const struct tls_identity *i)
{
	return i->spki_hash;
}

bool tls_identity_from_file(const struct tls_identity *i)
{
	return i->from_file;
}

int64_t tls_identity_not_before_s(const struct tls_identity *i)
{
	return i->not_before_s;
}

int64_t tls_identity_not_after_s(const struct tls_identity *i)
{
	return i->not_after_s;
}
