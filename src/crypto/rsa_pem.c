/* rsa_pem.c - from the PEM text that a caller sent to the DER inside. */
#include "internal.h"

#include <string.h>

#include "base/encode.h"

/* Every fault here is the caller's, and he cannot see into the server: each sentence says what he sent or what to do.
 */
#define BAD(w, ...) why_tell((w), ERR_BAD_KEY, NULL, __VA_ARGS__)

#define BEGIN  "-----BEGIN "
#define END    "-----END "
#define DASHES "-----"

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct bytes skip(struct bytes s, size_t n)
{
	return bytes_of(s.p + n, s.n - n);
}

static struct bytes trim(struct bytes s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = skip(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

static bool starts_with(struct bytes s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && bytes_is(bytes_of(s.p, n), with);
}

static bool ends_with(struct bytes s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && bytes_is(skip(s, s.n - n), with);
}

/* s.n if there is none */
static size_t find(struct bytes s, const char *what)
{
	const uint8_t *at = s.n > 0 ? memmem(s.p, s.n, what, strlen(what)) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}

static enum err not_pem(struct bytes s, struct why *w)
{
	if (s.n == 0)
		return BAD(w,
			   "The public key is empty; a PEM text that begins with -----BEGIN PUBLIC KEY----- is needed");
	if (starts_with(s, "ssh-") || starts_with(s, "ecdsa-") || starts_with(s, "---- BEGIN SSH2"))
		return BAD(
			w,
			"This is a key in OpenSSH's format; convert an RSA key with: ssh-keygen -e -m PKCS8 -f KEY.pub");
	if (s.p[0] == 0x30)
		return BAD(
			w,
			"This looks like binary DER; a PEM text that begins with -----BEGIN PUBLIC KEY----- is needed");
	if (find(s, BEGIN) < s.n)
		return BAD(w, "There is text before the BEGIN line; exactly one PEM block is needed");
	return BAD(w, "The public key is not PEM; a text that begins with -----BEGIN PUBLIC KEY----- is needed");
}

static enum err wrong_label(struct bytes label, struct why *w)
{
	if (ends_with(label, "PRIVATE KEY"))
		return BAD(w, "This is a private key, which must never be sent to anybody; send the public key instead "
			      "(openssl pkey -in KEY -pubout)");
	if (ends_with(label, "CERTIFICATE REQUEST"))
		return BAD(
			w,
			"This is a certificate request; send its public key instead (openssl req -in FILE -pubkey -noout)");
	if (ends_with(label, "CERTIFICATE"))
		return BAD(w,
			   "This is a certificate; send its public key instead (openssl x509 -in FILE -pubkey -noout)");
	if (starts_with(label, "EC "))
		return BAD(w, "This is an EC key; RSA is needed");
	if (starts_with(label, "DSA "))
		return BAD(w, "This is a DSA key; RSA is needed");
	return BAD(w, "This is a PEM block of another kind; PUBLIC KEY or RSA PUBLIC KEY is needed");
}

/* Finds the lines between BEGIN and END; the text is trimmed. */
static enum err unarmour(struct bytes pem, struct bytes *body, bool *spki, struct why *w)
{
	struct bytes label, rest = skip(pem, sizeof BEGIN - 1);
	size_t at = find(rest, DASHES);

	label = bytes_of(rest.p, at);
	if (at == rest.n || find(label, "\n") < label.n)
		return BAD(w, "The BEGIN line is damaged");
	if (!bytes_is(label, "PUBLIC KEY") && !bytes_is(label, "RSA PUBLIC KEY"))
		return wrong_label(label, w);
	rest = skip(rest, at + sizeof DASHES - 1);
	if (find(rest, "\\n") < rest.n)
		return BAD(w, "The key has a backslash and an n where line breaks should be");
	if (!starts_with(rest, "\n") && !starts_with(rest, "\r\n"))
		return BAD(w, "The BEGIN line must be a line of its own");
	at = find(rest, END);
	if (at == rest.n)
		return BAD(w, "The END line is missing; the key was probably cut short");
	if (rest.p[at - 1] != '\n')
		return BAD(w, "The END line must be a line of its own");
	*body = bytes_of(rest.p, at);
	rest = skip(rest, at + sizeof END - 1);
	if (rest.n < label.n || !bytes_equal(bytes_of(rest.p, label.n), label) ||
	    !starts_with(skip(rest, label.n), DASHES))
		return BAD(w, "The END line does not match the BEGIN line");
	rest = skip(rest, label.n + sizeof DASHES - 1);
	if (find(rest, BEGIN) < rest.n)
		return BAD(w, "There is more than one PEM block; exactly one is needed");
	if (rest.n > 0)
		return BAD(w, "There is text after the END line");
	*spki = bytes_is(label, "PUBLIC KEY");
	return ERR_OK;
}

static enum err unbase64(struct bytes body, struct buf *der, struct why *w)
{
	struct buf text = BUF_INIT(RSA_PEM_MAX);
	enum err e = ERR_OK;
	size_t n = 0;
	uint8_t *to;

	if (find(body, ":") < body.n) {
		e = BAD(w, "The PEM block has headers, as old encrypted or annotated files do; a bare one is needed");
		goto out;
	}
	while (body.n > 0) {
		size_t line = find(body, "\n"), keep = line;

		if (keep > 0 && body.p[keep - 1] == '\r')
			keep--;
		buf_put(&text, body.p, keep);
		body = skip(body, line < body.n ? line + 1 : line);
	}
	e = buf_check(&text, w);
	if (e != ERR_OK)
		goto out;
	if (text.n == 0) {
		e = BAD(w, "There is nothing between the BEGIN and END lines");
		goto out;
	}
	to = buf_reserve(der, BASE64_DECODED_MAX(text.n));
	e = buf_check(der, w);
	if (e != ERR_OK)
		goto out;
	if (!base64_decode(buf_bytes(&text), to, &n)) {
		e = BAD(w, "The lines between BEGIN and END are not base64, or were cut short");
		goto out;
	}
	der->n += n;
out:
	buf_free(&text);
	return e;
}

enum err crypto_pem_read(struct bytes pem, struct buf *der, struct crypto_numbers *out, struct why *w)
{
	struct bytes text, body;
	bool spki = false;
	enum err e;

	if (pem.n > RSA_PEM_MAX)
		return BAD(w, "The public key has %zu bytes; at most %d are read", pem.n, RSA_PEM_MAX);
	text = trim(pem);
	if (!starts_with(text, BEGIN))
		return not_pem(text, w);
	e = unarmour(text, &body, &spki, w);
	if (e == ERR_OK)
		e = unbase64(body, der, w);
	if (e == ERR_OK)
		e = crypto_der_read(buf_bytes(der), spki, out, w);
	return e;
}
