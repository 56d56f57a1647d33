/* Any bytes as a chain: certificates behind two bytes of length each, the first the trusted root, the last the leaf;
 * and as a PEM text. What is read by itself must be what OpenSSL reads; every refusal is told and is the chain's fault.
 */
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crypto *shared(void)
{
	static struct crypto *c;
	struct why w;

	if (c == NULL && crypto_new(&c, &w) != ERR_OK)
		abort();
	return c;
}

static void told(enum err e, const struct why *w)
{
	if (e != ERR_INVALID || w->err != ERR_INVALID || !w->tell || w->text[0] == '\0')
		abort();
}

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm = {0};

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		abort();
	return timegm(&tm);
}

static void compare(struct bytes der)
{
	struct cert_fields f = {.path_length = 0};
	enum cert_fault fault = (enum cert_fault) - 1;
	const unsigned char *at = der.p;
	struct why w = {0};
	enum err e = cert_fields_read(der, "It", &f, &fault, &w);
	X509 *x;

	if (e != ERR_OK) {
		told(e, &w);
		if (fault > CERT_BROKEN)
			abort();
		return;
	}
	x = d2i_X509(NULL, &at, (long)der.n);
	if (x != NULL && X509_check_purpose(x, -1, 0) == 1) {
		unsigned usage = f.has_usage ? X509_get_key_usage(x) : 0;

		if (at != der.p + der.n || X509_get_version(x) != 2 ||
		    seconds(X509_get0_notBefore(x)) != f.not_before_s ||
		    seconds(X509_get0_notAfter(x)) != f.not_after_s ||
		    ((X509_get_extension_flags(x) & EXFLAG_CA) != 0) != f.ca ||
		    (f.has_usage &&
		     ((usage & KU_DIGITAL_SIGNATURE) != 0) != ((f.usage & CERT_DIGITAL_SIGNATURE) != 0)) ||
		    (f.has_usage && ((usage & KU_KEY_CERT_SIGN) != 0) != ((f.usage & CERT_CERT_SIGN) != 0)) ||
		    (f.path_length != UINT_MAX && X509_get_pathlen(x) != (long)f.path_length))
			abort();
	}
	X509_free(x);
	ERR_clear_error();
}

static void pem(struct bytes text)
{
	struct buf der = BUF_INIT(CERT_DER_MAX), again = BUF_INIT(CERT_DER_MAX), put = BUF_INIT(CERT_PEM_MAX);
	struct why w = {0};
	enum err e = cert_pem_read(text, &der, &w);

	if (e != ERR_OK) {
		told(e, &w);
	} else {
		cert_pem_put(buf_bytes(&der), &put);
		if (cert_pem_read(buf_bytes(&put), &again, &w) != ERR_OK ||
		    !bytes_equal(buf_bytes(&der), buf_bytes(&again)))
			abort();
	}
	buf_free(&der);
	buf_free(&again);
	buf_free(&put);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t signature[CERT_SIGNATURE_SIZE];
	struct bytes certs[CERT_BUNDLE_MAX + 2];
	enum cert_fault fault = (enum cert_fault) - 1;
	struct cert_chain *chain = NULL;
	struct why w = {0};
	size_t n = 0;
	enum err e;

	/* Before OpenSSL's first allocation: it takes the allocator that wipes only until then. */
	shared();
	pem(bytes_of(data, size));
	while (size >= 2 && n < sizeof certs / sizeof certs[0]) {
		size_t len = (size_t)data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		certs[n] = bytes_of(data, len);
		compare(certs[n++]);
		data += len;
		size -= len;
	}
	if (n < 2)
		return 0;
	e = cert_chain_check(certs[0], certs, n - 1, certs[n - 1], &chain, &fault, &w);
	if (ERR_peek_error() != 0)
		abort();
	if (e == ERR_OK) {
		int64_t from, until;

		cert_chain_window(chain, &from, &until);
		if (cert_chain_signed(shared(), chain, bytes_of(data, size), signature))
			abort();
	} else {
		told(e, &w);
		if (chain != NULL || fault > CERT_BROKEN)
			abort();
	}
	cert_chain_free(chain);
	return 0;
}
