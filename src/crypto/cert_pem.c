/* cert_pem.c - one certificate as PEM text (RFC 7468). */
#include "internal.h"

#include "base/encode.h"
#include "tls.h"

#define LABEL "CERTIFICATE"
#define BEGIN PEM_BEGIN LABEL PEM_DASHES

#define BAD(w, ...) why_tell((w), ERR_INVALID, NULL, __VA_ARGS__)

_Static_assert(BASE64_SIZE(TLS_CERT_DER_MAX) * 65 / 64 + 64 <= (int)CERT_PEM_MAX, "any certificate fits as PEM");

static enum err read(struct bytes pem, size_t max, struct buf *der, struct why *w)
{
	struct buf made = BUF_INIT(CERT_PEM_MAX);
	struct bytes body;
	enum err e;

	if (pem.n > CERT_PEM_MAX)
		return BAD(w, "The PEM text has %zu bytes; at most %d are read", pem.n, CERT_PEM_MAX);
	const struct bytes text = pem_trim(pem);
	if (!pem_starts_with(text, BEGIN))
		return BAD(w, "This is not one PEM certificate: the text does not begin with %s", BEGIN);
	e = pem_lines(text, bytes_str(LABEL), ERR_INVALID, &body, w);
	if (e != ERR_OK)
		return e;
	e = pem_unbase64(body, ERR_INVALID, &made, w);
	if (e == ERR_OK && made.n > max)
		e = BAD(w, "The certificate has %zu bytes; at most %zu are read", made.n, max);
	if (e == ERR_OK) {
		buf_put_bytes(der, buf_bytes(&made));
		e = buf_check(der, w);
	}
	buf_free(&made);
	return e;
}

enum err cert_pem_read(struct bytes pem, struct buf *der, struct why *w)
{
	return read(pem, CERT_DER_MAX, der, w);
}

enum err tls_cert_read(struct bytes pem, struct buf *der, struct why *w)
{
	return read(pem, TLS_CERT_DER_MAX, der, w);
}

void cert_pem_put(struct bytes der, struct buf *pem)
{
	pem_put(LABEL, der, pem);
}
