/* cert_pem.c - one certificate as PEM text (RFC 7468). */
#include "internal.h"

#include "base/encode.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END   "-----END CERTIFICATE-----"

#define BAD(w, ...) why_tell((w), ERR_INVALID, NULL, __VA_ARGS__)

enum { LINE = 64, LINE_BYTES = LINE / 4 * 3 };

/* The lines between BEGIN and END. */
static enum err unarmour(struct bytes pem, struct bytes *body, struct why *w)
{
	struct bytes rest = pem_trim(pem);
	size_t end;

	if (!pem_starts_with(rest, BEGIN))
		return BAD(w, "This is not one PEM certificate: the text does not begin with %s", BEGIN);
	rest = pem_skip(rest, sizeof BEGIN - 1);
	if (!pem_starts_with(rest, "\n") && !pem_starts_with(rest, "\r\n"))
		return BAD(w, "The BEGIN line must be a line of its own");
	end = pem_find(rest, END);
	if (end == rest.n)
		return BAD(w, "The line %s is missing; the certificate was probably cut short", END);
	if (rest.p[end - 1] != '\n')
		return BAD(w, "The END line must be a line of its own");
	*body = bytes_of(rest.p, end);
	rest = pem_skip(rest, end + sizeof END - 1);
	if (pem_find(rest, "-----BEGIN ") < rest.n)
		return BAD(w, "There is more than one PEM block; exactly one certificate is needed");
	if (rest.n > 0)
		return BAD(w, "There is text after the END line; exactly one PEM certificate is needed");
	return ERR_OK;
}

enum err cert_pem_read(struct bytes pem, struct buf *der, struct why *w)
{
	struct buf made = BUF_INIT(CERT_PEM_MAX);
	struct bytes body;
	enum err e;

	if (pem.n > CERT_PEM_MAX)
		return BAD(w, "The PEM text has %zu bytes; at most %d are read", pem.n, CERT_PEM_MAX);
	e = unarmour(pem, &body, w);
	if (e != ERR_OK)
		return e;
	e = pem_unbase64(body, ERR_INVALID, &made, w);
	if (e == ERR_OK && made.n > CERT_DER_MAX)
		e = BAD(w, "The certificate has %zu bytes; at most %d are read", made.n, CERT_DER_MAX);
	if (e == ERR_OK) {
		buf_put_bytes(der, buf_bytes(&made));
		e = buf_check(der, w);
	}
	buf_free(&made);
	return e;
}

void cert_pem_put(struct bytes der, struct buf *pem)
{
	buf_put_str(pem, BEGIN "\n");
	while (der.n > 0) {
		size_t n = der.n < LINE_BYTES ? der.n : LINE_BYTES;

		buf_put_base64(pem, bytes_of(der.p, n));
		buf_put_u8(pem, '\n');
		der = pem_skip(der, n);
	}
	buf_put_str(pem, END "\n");
}
