/* rsa_key_pem.c - an RSA private key in and out of the PEM texts that people keep: PKCS#8, encrypted or not, PKCS#1. */
#include "rsa_key.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "base/encode.h"

#define BAD(w, ...) why_tell((w), ERR_BAD_KEY, NULL, __VA_ARGS__)

#define OID_RSA	   "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
#define OID_PBKDF2 "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"
#define OID_PBES2  "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"
#define OID_SCRYPT "\x2b\x06\x01\x04\x01\xda\x47\x04\x0b"

#define WRONG_PASSPHRASE "The passphrase is wrong, or the file is damaged"

enum { SALT_SIZE = 16 };

static enum err not_pem(struct bytes s, struct why *w)
{
	if (s.n == 0)
		return BAD(w, "The private key is empty; a PEM text that begins with -----BEGIN PRIVATE KEY----- is "
			      "needed");
	if (s.p[0] == 0x30)
		return BAD(w, "This looks like binary DER; PEM is needed (openssl pkey -inform DER -in FILE -out KEY)");
	if (pem_find(s, PEM_BEGIN) < s.n)
		return BAD(w, "There is text before the BEGIN line; exactly one PEM block is needed");
	return BAD(w, "The private key is not PEM; a text that begins with -----BEGIN PRIVATE KEY----- is needed");
}

static enum err wrong_label(struct bytes label, struct why *w)
{
	if (bytes_is(label, "PUBLIC KEY") || bytes_is(label, "RSA PUBLIC KEY"))
		return BAD(w, "This is a public key; the file with the private key that belongs to it is needed");
	if (bytes_is(label, "CERTIFICATE REQUEST") || bytes_is(label, "NEW CERTIFICATE REQUEST"))
		return BAD(w,
			   "This is a certificate request; the file with the private key that belongs to it is needed");
	if (bytes_is(label, "CERTIFICATE") || bytes_is(label, "TRUSTED CERTIFICATE"))
		return BAD(w, "This is a certificate; the file with the private key that belongs to it is needed");
	if (pem_starts_with(label, "OPENSSH "))
		return BAD(w, "This is a key in OpenSSH's format; convert a copy of an RSA key with: ssh-keygen -p -m "
			      "PKCS8 -f COPY");
	if (pem_starts_with(label, "EC "))
		return BAD(w, "This is an EC key; RSA is needed (attestd session keygen makes one)");
	if (pem_starts_with(label, "DSA "))
		return BAD(w, "This is a DSA key; RSA is needed (attestd session keygen makes one)");
	return BAD(w, "This is a PEM block of another kind; PRIVATE KEY, ENCRYPTED PRIVATE KEY or RSA PRIVATE KEY is "
		      "needed");
}

static enum err unarmour(struct bytes text, struct bytes *label, struct bytes *body, struct why *w)
{
	enum err e = pem_label(text, ERR_BAD_KEY, label, w);

	if (e != ERR_OK)
		return e;
	if (!bytes_is(*label, "PRIVATE KEY") && !bytes_is(*label, "ENCRYPTED PRIVATE KEY") &&
	    !bytes_is(*label, "RSA PRIVATE KEY"))
		return wrong_label(*label, w);
	e = pem_lines(text, *label, ERR_BAD_KEY, body, w);
	if (e == ERR_OK && pem_find(*body, "Proc-Type:") < body->n)
		return BAD(w, "This key is encrypted in the old way, which is weak and is not read; convert it with: "
			      "openssl pkcs8 -topk8 -in KEY -out NEW");
	return e;
}

/* The reader of public keys knows what to say about other algorithms: it is given the identifier and no key. */
static enum err refuse_algorithm(struct bytes algorithm, struct why *w)
{
	struct buf id = BUF_INIT(RSA_PEM_MAX), spki = BUF_INIT(RSA_PEM_MAX);
	struct crypto_numbers none;
	enum err e;

	rsa_der_put(DER_SEQUENCE, algorithm, &id);
	rsa_der_put(DER_SEQUENCE, buf_bytes(&id), &spki);
	e = buf_check(&spki, w);
	if (e == ERR_OK)
		e = rsa_public_check(buf_bytes(&spki), true, &none, w);
	buf_free(&spki);
	buf_free(&id);
	return e;
}

/* PrivateKeyInfo (RFC 5958) down to the key inside; attributes are passed over. */
static bool open_pkcs8(struct bytes der, struct bytes *algorithm, struct bytes *key)
{
	struct bytes info, version;

	return der_strict(der) && der_take(&der, DER_SEQUENCE, &info) && der.n == 0 &&
	       der_take(&info, DER_INTEGER, &version) && der_take(&info, DER_SEQUENCE, algorithm) &&
	       der_take(&info, DER_OCTET_STRING, key);
}

static enum err put_pkcs8(struct bytes der, const char *fault, struct buf *pkcs1, struct why *w)
{
	struct bytes algorithm, key;

	if (!open_pkcs8(der, &algorithm, &key))
		return BAD(w, "%s", fault);
	if (!bytes_equal(algorithm, BYTES_LIT("\x06\x09" OID_RSA "\x05\x00")))
		return refuse_algorithm(algorithm, w);
	buf_put_bytes(pkcs1, key);
	return buf_check(pkcs1, w);
}

/* Multiplies by an INTEGER taken off the front; *product stays at or below max, or false. */
static bool multiply(struct bytes *in, uint64_t max, uint64_t *product)
{
	struct bytes v;
	uint64_t by = 0;

	if (!der_take(in, DER_INTEGER, &v) || v.n > sizeof by || v.p[0] >= 0x80)
		return false;
	for (size_t i = 0; i < v.n; i++)
		by = by << 8 | v.p[i];
	if (by == 0 || by > max / *product)
		return false;
	*product *= by;
	return true;
}

/* OpenSSL would count as far as the file says: hours. */
static enum err check_pbes2(struct bytes der, struct why *w)
{
	struct bytes info, scheme, both, kdf, oid, numbers, salt;
	uint64_t work = 1;

	if (!der_strict(der) || !der_take(&der, DER_SEQUENCE, &info) || der.n > 0 ||
	    !der_take(&info, DER_SEQUENCE, &scheme) || !der_take(&scheme, DER_OID, &oid))
		return BAD(w, "The encrypted key is not one complete DER EncryptedPrivateKeyInfo; the file is damaged");
	if (!bytes_is(oid, OID_PBES2))
		return BAD(w, "The key is encrypted with an old scheme, which is not read; convert it with: openssl "
			      "pkcs8 -topk8 -in KEY -out NEW");
	if (!der_take(&scheme, DER_SEQUENCE, &both) || !der_take(&both, DER_SEQUENCE, &kdf) ||
	    !der_take(&kdf, DER_OID, &oid) || !der_take(&kdf, DER_SEQUENCE, &numbers) ||
	    !der_take(&numbers, DER_OCTET_STRING, &salt))
		return BAD(w, "The encrypted key does not say how it was encrypted; the file is damaged");
	if (bytes_is(oid, OID_PBKDF2)) {
		if (!multiply(&numbers, RSA_KDF_ROUNDS_MAX, &work))
			return BAD(w,
				   "The key's passphrase takes 0 or more than %d rounds of PBKDF2, which is the "
				   "most that is done",
				   RSA_KDF_ROUNDS_MAX);
	} else if (bytes_is(oid, OID_SCRYPT)) {
		if (!multiply(&numbers, RSA_SCRYPT_WORK_MAX, &work) ||
		    !multiply(&numbers, RSA_SCRYPT_WORK_MAX, &work) || !multiply(&numbers, RSA_SCRYPT_WORK_MAX, &work))
			return BAD(w,
				   "The key's passphrase takes more work than is done: scrypt with N * r * p of 0 "
				   "or more than %d",
				   RSA_SCRYPT_WORK_MAX);
	} else {
		return BAD(w, "The key's passphrase is used in an unknown way; PBKDF2 and scrypt are known");
	}
	return ERR_OK;
}

static enum err decrypt(struct bytes der, struct bytes passphrase, struct buf *clear, struct why *w)
{
	const uint8_t *at = der.p;
	const X509_ALGOR *scheme;
	const ASN1_OCTET_STRING *data;
	X509_SIG *sealed = NULL;
	EVP_CIPHER_CTX *ctx = NULL;
	int more, last = 0;
	uint8_t *to;
	enum err e = check_pbes2(der, w);

	if (e != ERR_OK)
		return e;
	sealed = d2i_X509_SIG(NULL, &at, (long)der.n);
	ctx = EVP_CIPHER_CTX_new();
	if (sealed == NULL || ctx == NULL) {
		e = BAD(w, "The encrypted key cannot be read; the file is damaged");
		goto out;
	}
	X509_SIG_get0(sealed, &scheme, &data);
	more = ASN1_STRING_length(data);
	if (EVP_PBE_CipherInit(scheme->algorithm, (const char *)passphrase.p, (int)passphrase.n, scheme->parameter, ctx,
			       0) != 1) {
		e = BAD(w, "The key is encrypted in a way that is not supported; convert it with: openssl pkcs8 -topk8 "
			   "-in KEY -out NEW");
		goto out;
	}
	to = buf_reserve(clear, (size_t)more + EVP_MAX_BLOCK_LENGTH);
	e = buf_check(clear, w);
	if (e != ERR_OK)
		goto out;
	if (EVP_CipherUpdate(ctx, to, &more, ASN1_STRING_get0_data(data), more) != 1 ||
	    EVP_CipherFinal_ex(ctx, to + more, &last) != 1)
		e = BAD(w, WRONG_PASSPHRASE);
	else
		clear->n += (size_t)(more + last);
out:
	ERR_clear_error();
	EVP_CIPHER_CTX_free(ctx);
	X509_SIG_free(sealed);
	return e;
}

static enum err put_encrypted(struct bytes der, struct bytes passphrase, struct buf *pkcs1, struct why *w)
{
	struct buf clear = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	enum err e;

	if (passphrase.p == NULL)
		return BAD(w, "The private key is encrypted; its passphrase is needed");
	if (passphrase.n > RSA_PASSPHRASE_MAX)
		return BAD(w, "The passphrase has %zu bytes; at most %d are taken", passphrase.n, RSA_PASSPHRASE_MAX);
	e = decrypt(der, passphrase, &clear, w);
	/* One wrong passphrase in 256 ends in what looks like good padding. */
	if (e == ERR_OK)
		e = put_pkcs8(buf_bytes(&clear), WRONG_PASSPHRASE, pkcs1, w);
	buf_free(&clear);
	return e;
}

enum err rsa_key_unpack(struct bytes pem, struct bytes passphrase, struct buf *pkcs1, bool *encrypted, struct why *w)
{
	struct buf der = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	struct bytes text = pem_trim(pem), label, body;
	enum err e;

	*encrypted = false;
	if (pem.n > RSA_PRIVATE_PEM_MAX)
		return BAD(w, "The private key has %zu bytes; at most %d are read", pem.n, RSA_PRIVATE_PEM_MAX);
	if (!pem_starts_with(text, PEM_BEGIN))
		return not_pem(text, w);
	e = unarmour(text, &label, &body, w);
	if (e != ERR_OK)
		return e;
	*encrypted = bytes_is(label, "ENCRYPTED PRIVATE KEY");
	e = pem_unbase64(body, ERR_BAD_KEY, &der, w);
	if (e != ERR_OK)
		goto out;
	if (*encrypted) {
		e = put_encrypted(buf_bytes(&der), passphrase, pkcs1, w);
	} else if (bytes_is(label, "PRIVATE KEY")) {
		e = put_pkcs8(buf_bytes(&der),
			      "The private key is not one complete DER PrivateKeyInfo; the file is "
			      "damaged",
			      pkcs1, w);
	} else {
		buf_put_bytes(pkcs1, buf_bytes(&der));
		e = buf_check(pkcs1, w);
	}
out:
	buf_free(&der);
	return e;
}

/* PrivateKeyInfo; OpenSSL wipes the copy inside when it frees it. */
static PKCS8_PRIV_KEY_INFO *pkcs8_of(struct bytes pkcs1)
{
	PKCS8_PRIV_KEY_INFO *info = PKCS8_PRIV_KEY_INFO_new();
	uint8_t *copy = OPENSSL_memdup(pkcs1.p, pkcs1.n);

	if (info != NULL && copy != NULL &&
	    PKCS8_pkey_set0(info, OBJ_nid2obj(NID_rsaEncryption), 0, V_ASN1_NULL, NULL, copy, (int)pkcs1.n) == 1)
		return info;
	OPENSSL_clear_free(copy, pkcs1.n);
	PKCS8_PRIV_KEY_INFO_free(info);
	return NULL;
}

static X509_SIG *encrypt(PKCS8_PRIV_KEY_INFO *info, struct bytes passphrase)
{
	X509_ALGOR *scheme = PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), RSA_KDF_ROUNDS, NULL, SALT_SIZE, NULL,
					       NID_hmacWithSHA256);
	X509_SIG *sealed = scheme != NULL ? PKCS8_set0_pbe((const char *)passphrase.p, (int)passphrase.n, info, scheme)
					  : NULL;

	if (sealed == NULL)
		X509_ALGOR_free(scheme);
	return sealed;
}

enum err rsa_key_pack(struct bytes pkcs1, struct bytes passphrase, struct buf *pem, struct why *w)
{
	struct buf der = BUF_INIT(RSA_PRIVATE_PEM_MAX), text = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	bool sealing = passphrase.p != NULL;
	PKCS8_PRIV_KEY_INFO *info = NULL;
	X509_SIG *sealed = NULL;
	uint8_t *to;
	int n = 0;
	enum err e;

	if (sealing && (passphrase.n == 0 || passphrase.n > RSA_PASSPHRASE_MAX))
		return why_tell(w, ERR_INVALID, NULL, "The passphrase has %zu bytes; 1 to %d are needed", passphrase.n,
				RSA_PASSPHRASE_MAX);
	info = pkcs8_of(pkcs1);
	if (info != NULL && sealing)
		sealed = encrypt(info, passphrase);
	if (info != NULL && (!sealing || sealed != NULL))
		n = sealing ? i2d_X509_SIG(sealed, NULL) : i2d_PKCS8_PRIV_KEY_INFO(info, NULL);
	if (n <= 0) {
		e = crypto_fault(w, "encoding an RSA key");
		goto out;
	}
	to = buf_reserve(&der, (size_t)n);
	e = buf_check(&der, w);
	if (e != ERR_OK)
		goto out;
	n = sealing ? i2d_X509_SIG(sealed, &to) : i2d_PKCS8_PRIV_KEY_INFO(info, &to);
	der.n = (size_t)n;
	pem_put(sealing ? "ENCRYPTED PRIVATE KEY" : "PRIVATE KEY", buf_bytes(&der), &text);
	e = buf_check(&text, w);
	if (e == ERR_OK) {
		buf_put_bytes(pem, buf_bytes(&text));
		e = buf_check(pem, w);
	}
out:
	X509_SIG_free(sealed);
	PKCS8_PRIV_KEY_INFO_free(info);
	buf_free(&text);
	buf_free(&der);
	return e;
}
