/* rsa_der.c - the DER of RSA public keys. A reader of our own because OpenSSL's takes 289 us a key, and because it
 * accepts more than one spelling of a key: this one takes exactly DER, so that what was read is already canonical. */
#include "internal.h"

#define BAD(w, ...) why_tell((w), ERR_BAD_KEY, NULL, __VA_ARGS__)

enum { RSA_EXPONENT_BYTES_MAX = 8 };

#define OID_RSA "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"

/* SEQUENCE { rsaEncryption, NULL } */
#define ALGORITHM_RSA "\x30\x0d\x06\x09" OID_RSA "\x05\x00"

static const struct {
	struct bytes oid;
	const char *what;
} others[] = {
	{BYTES_LIT("\x2a\x86\x48\xce\x3d\x02\x01"), "an EC key; RSA is needed"},
	{BYTES_LIT("\x2b\x65\x70"), "an Ed25519 key; RSA is needed"},
	{BYTES_LIT("\x2b\x65\x71"), "an Ed448 key; RSA is needed"},
	{BYTES_LIT("\x2b\x65\x6e"), "an X25519 key; RSA is needed"},
	{BYTES_LIT("\x2b\x65\x6f"), "an X448 key; RSA is needed"},
	{BYTES_LIT("\x2a\x86\x48\xce\x38\x04\x01"), "a DSA key; RSA is needed"},
	{BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01"), "a Diffie-Hellman key; RSA is needed"},
	{BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"),
	 "an RSASSA-PSS key, which may only sign; a plain RSA key is needed"},
	{BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07"),
	 "a key with the RSAES-OAEP identifier; one with the plain RSA identifier is needed"},
};

/* A positive INTEGER; the sign's zero byte is left out of *value. */
static bool take_positive(struct bytes *in, struct bytes *value)
{
	struct bytes v;

	if (!der_take(in, DER_INTEGER, &v) || v.n == 0 || v.p[0] >= 0x80)
		return false;
	if (v.p[0] == 0) {
		if (v.n == 1 || v.p[1] < 0x80)
			return false;
		v = bytes_of(v.p + 1, v.n - 1);
	}
	*value = v;
	return true;
}

static unsigned bit_length(struct bytes v)
{
	unsigned bits = (unsigned)(v.n - 1) * 8;

	for (unsigned top = v.p[0]; top > 0; top >>= 1)
		bits++;
	return bits;
}

static enum err check_numbers(const struct crypto_numbers *k, struct why *w)
{
	if (k->bits < RSA_BITS_MIN)
		return BAD(w, "The RSA key has %u bits; at least %d are needed", k->bits, RSA_BITS_MIN);
	if (k->bits > RSA_BITS_MAX)
		return BAD(w, "The RSA key has %u bits; at most %d are taken", k->bits, RSA_BITS_MAX);
	if ((k->n.p[k->n.n - 1] & 1) == 0)
		return BAD(w, "The RSA key's modulus is even, so it is not an RSA key");
	if (k->e.n > RSA_EXPONENT_BYTES_MAX)
		return BAD(w, "The RSA key's public exponent has more than 64 bits; 65537 is usual");
	if ((k->e.p[k->e.n - 1] & 1) == 0)
		return BAD(w, "The RSA key's public exponent is even; it must be odd, and 65537 is usual");
	if (k->e.n == 1 && k->e.p[0] == 1)
		return BAD(w, "The RSA key's public exponent is 1, which hides nothing; 65537 is usual");
	return ERR_OK;
}

/* SubjectPublicKeyInfo down to the RSAPublicKey inside. */
static enum err open_spki(struct bytes der, struct bytes *pkcs1, struct why *w)
{
	struct bytes spki, algorithm, oid, bits, at;

	if (!der_take(&der, DER_SEQUENCE, &spki) || der.n > 0)
		return BAD(w, "The key is not one complete DER SubjectPublicKeyInfo");
	at = spki;
	if (!der_take(&spki, DER_SEQUENCE, &algorithm) || !der_take(&algorithm, DER_OID, &oid))
		return BAD(w, "The key is not a SubjectPublicKeyInfo, although its label says PUBLIC KEY");
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (bytes_equal(oid, others[i].oid))
			return BAD(w, "This is %s", others[i].what);
	if (!bytes_is(oid, OID_RSA))
		return BAD(w, "This is a key of an unknown algorithm; RSA is needed");
	if (at.n < sizeof ALGORITHM_RSA - 1 ||
	    !bytes_equal(bytes_of(at.p, sizeof ALGORITHM_RSA - 1), BYTES_LIT(ALGORITHM_RSA)))
		return BAD(w, "The RSA algorithm identifier must have NULL parameters");
	if (!der_take(&spki, DER_BIT_STRING, &bits) || spki.n > 0 || bits.n == 0 || bits.p[0] != 0)
		return BAD(w, "The SubjectPublicKeyInfo does not hold exactly one public key");
	*pkcs1 = bytes_of(bits.p + 1, bits.n - 1);
	return ERR_OK;
}

enum err crypto_der_read(struct bytes der, bool spki, struct crypto_numbers *out, struct why *w)
{
	struct crypto_numbers k = {.pkcs1 = der};
	struct bytes rest, numbers;
	enum err e;

	if (spki) {
		e = open_spki(der, &k.pkcs1, w);
		if (e != ERR_OK)
			return e;
	}
	rest = k.pkcs1;
	if (!der_take(&rest, DER_SEQUENCE, &numbers) || rest.n > 0 || !take_positive(&numbers, &k.n) ||
	    !take_positive(&numbers, &k.e) || numbers.n > 0)
		return BAD(w, "The key is not one DER RSAPublicKey of two positive numbers");
	k.bits = bit_length(k.n);
	e = check_numbers(&k, w);
	if (e == ERR_OK)
		*out = k;
	return e;
}

static void put_head(struct buf *out, uint8_t tag, size_t n)
{
	buf_put_u8(out, tag);
	if (n >= 0x100)
		buf_put_u8(out, 0x82);
	else if (n >= 0x80)
		buf_put_u8(out, 0x81);
	if (n >= 0x100)
		buf_put_u8(out, (uint8_t)(n >> 8));
	buf_put_u8(out, (uint8_t)n);
}

static size_t head_size(size_t n)
{
	return n >= 0x100 ? 4 : n >= 0x80 ? 3 : 2;
}

void crypto_spki_put(struct bytes pkcs1, struct buf *out)
{
	size_t bits = pkcs1.n + 1;

	put_head(out, DER_SEQUENCE, sizeof ALGORITHM_RSA - 1 + head_size(bits) + bits);
	buf_put_bytes(out, BYTES_LIT(ALGORITHM_RSA));
	put_head(out, DER_BIT_STRING, bits);
	buf_put_u8(out, 0);
	buf_put_bytes(out, pkcs1);
}
