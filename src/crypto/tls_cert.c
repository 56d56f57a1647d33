/* tls_cert.c - the certificates that this process makes for TLS: its own, and those of clients that it vouches for. */
#include "tls_internal.h"

#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { VERSION_3 = 2 };

bool tls_key_usable(EVP_PKEY *key)
{
	char group[32] = "";
	const int bits = EVP_PKEY_get_bits(key);

	if (EVP_PKEY_is_a(key, "RSA"))
		return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
	if (EVP_PKEY_is_a(key, "ED25519"))
		return true;
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
	       (bytes_is(bytes_str(group), "prime256v1") || bytes_is(bytes_str(group), "P-256") ||
		bytes_is(bytes_str(group), "secp384r1") || bytes_is(bytes_str(group), "P-384"));
}

/* What i2d_* yields, behind what `out` holds. */
static enum err put_der(struct buf *out, int n, int (*encode)(const void *, uint8_t **), const void *x, struct why *w)
{
	uint8_t *to;

	if (n <= 0)
		return crypto_fault(w, "encoding a certificate or key");
	to = buf_reserve(out, (size_t)n);
	if (to == NULL)
		return buf_check(out, w);
	if (encode(x, &to) != n)
		return crypto_fault(w, "encoding a certificate or key");
	out->n += (size_t)n;
	return ERR_OK;
}

static int encode_cert(const void *x, uint8_t **to)
{
	return i2d_X509(x, to);
}

static int encode_spki(const void *key, uint8_t **to)
{
	return i2d_PUBKEY(key, to);
}

enum err tls_cert_der(X509 *x, struct buf *der, struct why *w)
{
	return put_der(der, i2d_X509(x, NULL), encode_cert, x, w);
}

enum err tls_key_spki(EVP_PKEY *key, struct buf *spki, struct why *w)
{
	return put_der(spki, i2d_PUBKEY(key, NULL), encode_spki, key, w);
}

static bool add(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *extension = value != NULL ? X509V3_EXT_conf_nid(NULL, ctx, nid, value) : NULL;
	const bool good = value == NULL || (extension != NULL && X509_add_ext(x, extension, -1) == 1);

	X509_EXTENSION_free(extension);
	return good;
}

static bool set_serial(X509 *x)
{
	uint8_t serial[TLS_SERIAL_SIZE];
	BIGNUM *n = NULL;
	bool good = RAND_bytes(serial, sizeof serial) == 1;

	/* Positive, and never shorter than all its bytes. */
	serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
	if (good) {
		n = BN_bin2bn(serial, sizeof serial, NULL);
		good = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	}
	BN_free(n);
	return good;
}

enum err tls_cert_make(struct crypto *c, const struct tls_cert_spec *spec, EVP_PKEY *subject, X509 *issuer,
		       EVP_PKEY *key, X509 **out, struct why *w)
{
	X509 *x = X509_new();
	X509V3_CTX ctx;
	X509_NAME *name = x != NULL ? X509_get_subject_name(x) : NULL;

	if (x != NULL)
		X509V3_set_ctx(&ctx, issuer != NULL ? issuer : x, x, NULL, NULL, 0);
	if (x == NULL || X509_set_version(x, VERSION_3) != 1 || !set_serial(x) ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)spec->common_name, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer) : name) != 1 ||
	    ASN1_TIME_set(X509_getm_notBefore(x), spec->not_before_s) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(x), spec->not_after_s) == NULL || X509_set_pubkey(x, subject) != 1 ||
	    !add(x, &ctx, NID_basic_constraints, spec->ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") ||
	    !add(x, &ctx, NID_key_usage, spec->usage) || !add(x, &ctx, NID_ext_key_usage, spec->extended_usage) ||
	    !add(x, &ctx, NID_subject_key_identifier, "hash") ||
	    (issuer != NULL && !add(x, &ctx, NID_authority_key_identifier, "keyid:always")) ||
	    !add(x, &ctx, NID_subject_alt_name, spec->names) || X509_sign(x, key, c->sha256) <= 0) {
		X509_free(x);
		return crypto_fault(w, "making a certificate");
	}
	*out = x;
	return ERR_OK;
}

enum err tls_cert_spki(struct bytes cert_der, struct buf *spki, struct why *w)
{
	const unsigned char *at = cert_der.p;
	X509 *x = cert_der.n > 0 && cert_der.n <= TLS_CERT_DER_MAX ? d2i_X509(NULL, &at, (long)cert_der.n) : NULL;
	EVP_PKEY *key = x != NULL && at == cert_der.p + cert_der.n ? X509_get0_pubkey(x) : NULL;
	const enum err e = key != NULL ? tls_key_spki(key, spki, w)
				       : why_tell(w, ERR_INVALID, NULL, "This is not one certificate in DER.");

	X509_free(x);
	ERR_clear_error();
	return e;
}

/* ---- an authority for clients ---- */

enum err tls_ca_new(struct crypto *c, int64_t now_s, struct tls_ca **out, struct why *w)
{
	/* As long as a process may run: the key is gone when it ends, and with it all that it vouched for. */
	const struct tls_cert_spec spec = {
		.common_name = "attestd peers",
		.usage = "critical,keyCertSign",
		.ca = true,
		.not_before_s = now_s - TLS_BACKDATE_S,
		.not_after_s = now_s + INT64_C(10) * 365 * 24 * 3600,
	};
	struct tls_ca *ca = calloc(1, sizeof *ca);
	enum err e;

	if (ca == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a certificate authority");
	ca->der = BUF_INIT(TLS_CERT_DER_MAX);
	ca->key = EVP_EC_gen("P-256");
	e = ca->key == NULL ? crypto_fault(w, "making a P-256 key")
			    : tls_cert_make(c, &spec, ca->key, NULL, ca->key, &ca->cert, w);
	if (e == ERR_OK)
		e = tls_cert_der(ca->cert, &ca->der, w);
	if (e != ERR_OK) {
		tls_ca_free(ca);
		return e;
	}
	*out = ca;
	return ERR_OK;
}

void tls_ca_free(struct tls_ca *ca)
{
	if (ca == NULL)
		return;
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
	buf_free(&ca->der);
	free(ca);
}

struct bytes tls_ca_cert(const struct tls_ca *ca)
{
	return buf_bytes(&ca->der);
}

enum err tls_ca_issue(struct crypto *c, const struct tls_ca *ca, struct bytes spki, int64_t now_s, int64_t lifetime_s,
		      struct buf *der, struct why *w)
{
	const struct tls_cert_spec spec = {
		.common_name = "attestd peer",
		.usage = "critical,digitalSignature",
		.extended_usage = "critical,clientAuth",
		.not_before_s = now_s - TLS_BACKDATE_S,
		.not_after_s = now_s + lifetime_s,
	};
	const unsigned char *at = spki.p;
	EVP_PKEY *key = spki.n > 0 && spki.n <= TLS_SPKI_MAX ? d2i_PUBKEY(NULL, &at, (long)spki.n) : NULL;
	X509 *x = NULL;
	enum err e;

	if (key == NULL || at != spki.p + spki.n || !tls_key_usable(key))
		e = why_tell(w, ERR_BAD_KEY, NULL,
			     "The public key must be P-256, P-384, Ed25519, or RSA of %d to %d bits.", RSA_BITS_MIN,
			     RSA_BITS_MAX);
	else
		e = tls_cert_make(c, &spec, key, ca->cert, ca->key, &x, w);
	if (e == ERR_OK)
		e = tls_cert_der(x, der, w);
	X509_free(x);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return e;
}
