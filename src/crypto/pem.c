/* pem.c - the pieces of PEM texts (RFC 7468) that keys and certificates share. */
#include "internal.h"

#include <string.h>

#include "base/encode.h"

enum { PEM_MAX = 16 * 1024, LINE_BYTES = 64 / 4 * 3 };

_Static_assert((int)PEM_MAX >= (int)RSA_PEM_MAX && (int)PEM_MAX >= (int)CERT_PEM_MAX, "any text that is read fits");

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct bytes pem_skip(struct bytes s, size_t n)
{
	return bytes_of(s.p + n, s.n - n);
}

struct bytes pem_trim(struct bytes s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = pem_skip(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool pem_starts_with(struct bytes s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && bytes_is(bytes_of(s.p, n), with);
}

size_t pem_find(struct bytes s, const char *what)
{
	const uint8_t *at = s.n > 0 ? memmem(s.p, s.n, what, strlen(what)) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}

enum err pem_label(struct bytes text, enum err code, struct bytes *label, struct why *w)
{
	const struct bytes rest = pem_skip(text, sizeof PEM_BEGIN - 1);
	const size_t at = pem_find(rest, PEM_DASHES);

	*label = bytes_of(rest.p, at);
	if (at == rest.n || pem_find(*label, "\n") < at)
		return why_tell(w, code, NULL, "The BEGIN line is damaged");
	return ERR_OK;
}

enum err pem_lines(struct bytes text, struct bytes label, enum err code, struct bytes *lines, struct why *w)
{
	struct bytes rest = pem_skip(text, sizeof PEM_BEGIN - 1 + label.n + sizeof PEM_DASHES - 1);
	size_t at;

	if (!pem_starts_with(rest, "\n") && !pem_starts_with(rest, "\r\n"))
		return why_tell(w, code, NULL, "The BEGIN line must be a line of its own");
	at = pem_find(rest, PEM_END);
	if (at == rest.n)
		return why_tell(w, code, NULL, "The END line is missing; the text was probably cut short");
	if (rest.p[at - 1] != '\n')
		return why_tell(w, code, NULL, "The END line must be a line of its own");
	*lines = bytes_of(rest.p, at);
	rest = pem_skip(rest, at + sizeof PEM_END - 1);
	if (rest.n < label.n || !bytes_equal(bytes_of(rest.p, label.n), label) ||
	    !pem_starts_with(pem_skip(rest, label.n), PEM_DASHES))
		return why_tell(w, code, NULL, "The END line does not match the BEGIN line");
	rest = pem_skip(rest, label.n + sizeof PEM_DASHES - 1);
	if (pem_find(rest, PEM_BEGIN) < rest.n)
		return why_tell(w, code, NULL, "There is more than one PEM block; exactly one is needed");
	if (rest.n > 0)
		return why_tell(w, code, NULL, "There is text after the END line");
	return ERR_OK;
}

void pem_put(const char *label, struct bytes der, struct buf *pem)
{
	buf_printf(pem, PEM_BEGIN "%s" PEM_DASHES "\n", label);
	while (der.n > 0) {
		const size_t n = der.n < LINE_BYTES ? der.n : LINE_BYTES;

		buf_put_base64(pem, bytes_of(der.p, n));
		buf_put_u8(pem, '\n');
		der = pem_skip(der, n);
	}
	buf_printf(pem, PEM_END "%s" PEM_DASHES "\n", label);
}

enum err pem_unbase64(struct bytes body, enum err code, struct buf *der, struct why *w)
{
	struct buf text = BUF_INIT(PEM_MAX);
	enum err e = ERR_OK;
	size_t n = 0;
	uint8_t *to;

	if (pem_find(body, ":") < body.n) {
		e = why_tell(w, code, NULL,
			     "The PEM block has headers, as old encrypted or annotated files do; a bare one is needed");
		goto out;
	}
	while (body.n > 0) {
		size_t line = pem_find(body, "\n"), keep = line;

		if (keep > 0 && body.p[keep - 1] == '\r')
			keep--;
		buf_put(&text, body.p, keep);
		body = pem_skip(body, line < body.n ? line + 1 : line);
	}
	e = buf_check(&text, w);
	if (e != ERR_OK)
		goto out;
	if (text.n == 0) {
		e = why_tell(w, code, NULL, "There is nothing between the BEGIN and END lines");
		goto out;
	}
	to = buf_reserve(der, BASE64_DECODED_MAX(text.n));
	e = buf_check(der, w);
	if (e != ERR_OK)
		goto out;
	if (!base64_decode(buf_bytes(&text), to, &n)) {
		e = why_tell(w, code, NULL, "The lines between BEGIN and END are not base64, or were cut short");
		goto out;
	}
	der->n += n;
out:
	buf_free(&text);
	return e;
}
