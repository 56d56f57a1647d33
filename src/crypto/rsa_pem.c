/* rsa_pem.c - from the PEM text that a caller sent to the DER inside. */
#include "internal.h"

#include <string.h>

/* Every fault here is the caller's, and he cannot see into the server: each sentence says what he sent or what to do.
 */
#define BAD(w, ...) why_tell((w), ERR_BAD_KEY, NULL, __VA_ARGS__)

static bool ends_with(struct bytes s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && bytes_is(pem_skip(s, s.n - n), with);
}

static enum err not_pem(struct bytes s, struct why *w)
{
	if (s.n == 0)
		return BAD(w,
			   "The public key is empty; a PEM text that begins with -----BEGIN PUBLIC KEY----- is needed");
	if (pem_starts_with(s, "ssh-") || pem_starts_with(s, "ecdsa-") || pem_starts_with(s, "---- BEGIN SSH2"))
		return BAD(
			w,
			"This is a key in OpenSSH's format; convert an RSA key with: ssh-keygen -e -m PKCS8 -f KEY.pub");
	if (s.p[0] == 0x30)
		return BAD(
			w,
			"This looks like binary DER; a PEM text that begins with -----BEGIN PUBLIC KEY----- is needed");
	if (pem_find(s, PEM_BEGIN) < s.n)
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
	if (pem_starts_with(label, "EC "))
		return BAD(w, "This is an EC key; RSA is needed");
	if (pem_starts_with(label, "DSA "))
		return BAD(w, "This is a DSA key; RSA is needed");
	return BAD(w, "This is a PEM block of another kind; PUBLIC KEY or RSA PUBLIC KEY is needed");
}

static enum err unarmour(struct bytes text, struct bytes *body, bool *spki, struct why *w)
{
	struct bytes label;
	enum err e = pem_label(text, ERR_BAD_KEY, &label, w);

	if (e != ERR_OK)
		return e;
	if (!bytes_is(label, "PUBLIC KEY") && !bytes_is(label, "RSA PUBLIC KEY"))
		return wrong_label(label, w);
	if (pem_find(text, "\\n") < text.n)
		return BAD(w, "The key has a backslash and an n where line breaks should be");
	*spki = bytes_is(label, "PUBLIC KEY");
	return pem_lines(text, label, ERR_BAD_KEY, body, w);
}

enum err crypto_pem_read(struct bytes pem, struct buf *der, struct crypto_numbers *out, struct why *w)
{
	struct bytes text, body;
	bool spki = false;
	enum err e;

	if (pem.n > RSA_PEM_MAX)
		return BAD(w, "The public key has %zu bytes; at most %d are read", pem.n, RSA_PEM_MAX);
	text = pem_trim(pem);
	if (!pem_starts_with(text, PEM_BEGIN))
		return not_pem(text, w);
	e = unarmour(text, &body, &spki, w);
	if (e == ERR_OK)
		e = pem_unbase64(body, ERR_BAD_KEY, der, w);
	if (e == ERR_OK)
		e = crypto_der_read(buf_bytes(der), spki, out, w);
	return e;
}
