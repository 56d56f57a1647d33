/* cert_make.c - certificates made, for the software NSM and for tests. */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { VERSION_3 = 2, EXTENSION_TEXT_MAX = 512 };

static const struct {
	unsigned usage;
	const char *name;
} usages[] = {
	{CERT_DIGITAL_SIGNATURE, "digitalSignature"},
	{CERT_NON_REPUDIATION, "nonRepudiation"},
	{CERT_CERT_SIGN, "keyCertSign"},
	{CERT_CRL_SIGN, "cRLSign"},
};

static bool add_extension(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *extension = value != NULL ? X509V3_EXT_conf_nid(NULL, ctx, nid, value) : NULL;
	bool good = extension != NULL && X509_add_ext(x, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return good;
}

static bool add_basic_constraints(X509 *x, X509V3_CTX *ctx, int path_length)
{
	struct buf text = BUF_INIT(EXTENSION_TEXT_MAX);
	bool good;

	buf_put_str(&text, path_length == CERT_NO_CA ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (path_length >= 0)
		buf_printf(&text, ",pathlen:%d", path_length);
	good = add_extension(x, ctx, NID_basic_constraints, buf_cstr(&text));
	buf_free(&text);
	return good;
}

static bool add_usage(X509 *x, X509V3_CTX *ctx, unsigned usage, bool critical)
{
	struct buf text = BUF_INIT(EXTENSION_TEXT_MAX);
	bool good;

	if (usage == 0)
		return true;
	if (critical)
		buf_put_str(&text, "critical");
	for (size_t i = 0; i < sizeof usages / sizeof usages[0]; i++)
		if ((usage & usages[i].usage) != 0)
			buf_printf(&text, "%s%s", text.n > 0 ? "," : "", usages[i].name);
	good = add_extension(x, ctx, NID_key_usage, buf_cstr(&text));
	buf_free(&text);
	return good;
}

static bool add_crl(X509 *x, X509V3_CTX *ctx, const char *url)
{
	struct buf text = BUF_INIT(EXTENSION_TEXT_MAX);
	bool good;

	if (url == NULL)
		return true;
	buf_put_str(&text, "URI:");
	buf_put_str(&text, url);
	good = add_extension(x, ctx, NID_crl_distribution_points, buf_cstr(&text));
	buf_free(&text);
	return good;
}

static bool add_extensions(X509 *x, X509 *issuer, const struct cert_spec *spec)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	return add_basic_constraints(x, &ctx, spec->path_length) &&
	       (!spec->key_identifiers || add_extension(x, &ctx, NID_subject_key_identifier, "hash")) &&
	       (!spec->key_identifiers || issuer == x ||
		add_extension(x, &ctx, NID_authority_key_identifier, "keyid:always")) &&
	       add_usage(x, &ctx, spec->usage, spec->usage_critical) && add_crl(x, &ctx, spec->crl_url);
}

static bool set_subject(X509 *x, const struct cert_spec *spec)
{
	X509_NAME *name = X509_get_subject_name(x);

	for (size_t i = 0; i < spec->n_subject; i++)
		if (X509_NAME_add_entry_by_txt(name, spec->subject[i].type, MBSTRING_UTF8,
					       (const unsigned char *)spec->subject[i].value, -1, -1, 0) != 1)
			return false;
	return true;
}

static bool set_serial(X509 *x, struct bytes serial)
{
	BIGNUM *n = BN_bin2bn(serial.p, (int)serial.n, NULL);
	bool good = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;

	BN_free(n);
	return good;
}

static enum err put(X509 *x, struct buf *der, struct why *w)
{
	int n = i2d_X509(x, NULL);
	uint8_t *to;
	enum err e;

	if (n <= 0)
		return crypto_fault(w, "encoding a certificate");
	if (n > CERT_DER_MAX)
		return why_set(w, ERR_INTERNAL, "a certificate of %d bytes was made; at most %d are usable", n,
			       CERT_DER_MAX);
	to = buf_reserve(der, (size_t)n);
	e = buf_check(der, w);
	if (e != ERR_OK)
		return e;
	if (i2d_X509(x, &to) != n)
		return crypto_fault(w, "encoding a certificate");
	der->n += (size_t)n;
	return ERR_OK;
}

enum err cert_make(struct crypto *c, const struct cert_spec *spec, const struct cert_key *key, struct bytes issuer_der,
		   const struct cert_key *issuer_key, struct buf *der, struct why *w)
{
	const unsigned char *at = issuer_der.p;
	X509 *x = NULL, *issuer = NULL;
	enum err e;

	if (spec->serial.n == 0 || spec->serial.n > CERT_SERIAL_MAX)
		return why_set(w, ERR_INTERNAL, "a certificate's serial number of %zu bytes was asked for",
			       spec->serial.n);
	x = X509_new();
	if (issuer_key == NULL) {
		issuer = x;
		issuer_key = key;
	} else {
		issuer = d2i_X509(NULL, &at, (long)issuer_der.n);
	}
	if (x == NULL || issuer == NULL || X509_set_version(x, VERSION_3) != 1 || !set_serial(x, spec->serial) ||
	    !set_subject(x, spec) || X509_set_issuer_name(x, X509_get_subject_name(issuer)) != 1 ||
	    ASN1_TIME_set(X509_getm_notBefore(x), spec->not_before_s) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(x), spec->not_after_s) == NULL || X509_set_pubkey(x, key->key) != 1 ||
	    !add_extensions(x, issuer, spec) || X509_sign(x, issuer_key->key, c->sha384) <= 0)
		e = crypto_fault(w, "making a certificate");
	else
		e = put(x, der, w);
	if (issuer != x)
		X509_free(issuer);
	X509_free(x);
	return e;
}
