/* rsa.h - an RSA key pair of one's own: made, kept in a PEM file, and used to unwrap a session key or open a message.
 *
 * The public half of a caller's key, as the server sees it, is crypto_rsa_* in crypto.h. Part of src/crypto.
 */
#ifndef ATTESTD_RSA_H
#define ATTESTD_RSA_H

#include "crypto.h"

enum {
	RSA_BITS_DEFAULT = 3072,
	RSA_PRIVATE_PEM_MAX = 16 * 1024, /* an encrypted RSA-8192 key is under 7 kB */
	RSA_PASSPHRASE_MAX = 1024,
};

struct rsa_key; /* private; its memory is wiped when freed */

/* bits: RSA_BITS_MIN to RSA_BITS_MAX, a multiple of 8, else ERR_INVALID, told; e = 65537. A second or so for 4096 bits,
 * up to a minute for 8192. */
enum err rsa_key_new(unsigned bits, struct rsa_key **out, struct why *w) MUST_USE;
/* PEM `BEGIN PRIVATE KEY`, `BEGIN ENCRYPTED PRIVATE KEY` (PKCS#8, RFC 5958; PBES2 with PBKDF2 or scrypt) or `BEGIN RSA
 * PRIVATE KEY` (PKCS#1, unencrypted): one block, LF or CRLF, white space around it. passphrase.p NULL: none; one that
 * is not needed is not looked at. *encrypted says whether one is needed, also on failure. ERR_BAD_KEY, told: what it
 * was instead, too small, inconsistent; a wrong passphrase says so. */
enum err rsa_key_read(struct bytes pem, struct bytes passphrase, struct rsa_key **out, bool *encrypted,
		      struct why *w) MUST_USE;
void rsa_key_free(struct rsa_key *k); /* NULL is fine */

/* Both append PEM. PKCS#8; with a passphrase (p not NULL, 1 to RSA_PASSPHRASE_MAX bytes, else ERR_INVALID, told)
 * PBES2 with PBKDF2-HMAC-SHA256 of 600 000 rounds and AES-256-CBC. SubjectPublicKeyInfo. */
enum err rsa_key_put_private(const struct rsa_key *k, struct bytes passphrase, struct buf *pem, struct why *w) MUST_USE;
enum err rsa_key_put_public(const struct rsa_key *k, struct buf *pem, struct why *w) MUST_USE;
struct bytes rsa_key_spki(const struct rsa_key *k); /* DER, borrowed; crypto_rsa_spki of the public half */
unsigned rsa_key_bits(const struct rsa_key *k);

/* RSA-OAEP with SHA-256 for hash and MGF1, no label. ERR_BAD_MESSAGE, told: not wrapped for this key, or more than
 * SECRET_MAX bytes. */
enum err rsa_key_unwrap(const struct rsa_key *k, struct bytes wrapped, struct secret *out, struct why *w) MUST_USE;
/* The same for any message; appends it. ERR_BAD_MESSAGE, told alike for all that can be wrong. */
enum err rsa_key_decrypt(const struct rsa_key *k, struct bytes ciphertext, struct buf *out, struct why *w) MUST_USE;

#endif
