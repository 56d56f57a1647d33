/* tls_key.c - public keys for TLS as PEM text: whoever hashes one must hash what everybody else hashes. */
#include "tls_internal.h"

#include <openssl/err.h>

#define LABEL "PUBLIC KEY"
#define BEGIN PEM_BEGIN LABEL PEM_DASHES

#define BAD(w, ...) why_tell((w), ERR_BAD_KEY, NULL, __VA_ARGS__)

/* A curve's key can be spelt with a compressed point or with the curve's numbers, too, and each spelling has a hash of
 * its own: only the usual one is taken. These come before the point's coordinates, or the key itself. */
static const struct {
	struct bytes head;
	size_t n; /* of all */
} forms[] = {
	{BYTES_LIT(
		 "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"),
	 27 + 64},
	{BYTES_LIT("\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04"),
	 24 + 96},
	{BYTES_LIT("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"), 12 + 32},
};

static bool usual_form(struct bytes der)
{
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (der.n == forms[i].n && bytes_equal(bytes_of(der.p, forms[i].head.n), forms[i].head))
			return true;
	return false;
}

static enum err wrong_text(struct bytes text, struct why *w)
{
	struct bytes label;

	if (!pem_starts_with(text, PEM_BEGIN))
		return BAD(w, "The public key is not PEM; a text that begins with " BEGIN " is needed");
	if (pem_label(text, ERR_BAD_KEY, &label, w) != ERR_OK)
		return ERR_BAD_KEY;
	if (pem_find(label, "PRIVATE KEY") < label.n)
		return BAD(w, "This is a private key, which must never be sent to anybody; send the public key instead "
			      "(openssl pkey -in KEY -pubout)");
	return BAD(w, "This is a PEM block of another kind; one that begins with " BEGIN " is needed");
}

static enum err check(struct bytes der, struct why *w)
{
	const unsigned char *at = der.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.n);
	struct crypto_numbers unused;
	enum err e = ERR_OK;

	if (key == NULL || at != der.p + der.n)
		e = BAD(w, "The PEM block does not hold one public key (SubjectPublicKeyInfo) of a known kind");
	else if (!tls_key_usable(key))
		e = BAD(w, "The public key must be P-256, P-384, Ed25519, or RSA of %d to %d bits", RSA_BITS_MIN,
			RSA_BITS_MAX);
	else if (EVP_PKEY_is_a(key, "RSA"))
		e = crypto_der_read(der, true, &unused, w);
	else if (!usual_form(der))
		e = BAD(w, "The public key is not in the usual form: a named curve and an uncompressed point "
			   "(openssl pkey -pubin -ec_conv_form uncompressed -ec_param_enc named_curve)");
	EVP_PKEY_free(key);
	ERR_clear_error();
	return e;
}

enum err tls_key_read(struct bytes pem, struct buf *spki, struct why *w)
{
	struct buf der = BUF_INIT(TLS_KEY_PEM_MAX);
	struct bytes lines;
	enum err e;

	if (pem.n > TLS_KEY_PEM_MAX)
		return BAD(w, "The public key has %zu bytes; at most %d are read", pem.n, TLS_KEY_PEM_MAX);
	const struct bytes text = pem_trim(pem);
	if (!pem_starts_with(text, BEGIN))
		return wrong_text(text, w);
	e = pem_lines(text, bytes_str(LABEL), ERR_BAD_KEY, &lines, w);
	if (e == ERR_OK)
		e = pem_unbase64(lines, ERR_BAD_KEY, &der, w);
	if (e == ERR_OK)
		e = check(buf_bytes(&der), w);
	if (e == ERR_OK) {
		buf_put_bytes(spki, buf_bytes(&der));
		e = buf_check(spki, w);
	}
	buf_free(&der);
	return e;
}

void tls_key_put(struct bytes spki, struct buf *pem)
{
	pem_put(LABEL, spki, pem);
}
