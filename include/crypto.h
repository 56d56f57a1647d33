/* crypto.h - the only user of OpenSSL: hashes, AES-256-GCM, HKDF, RSA-OAEP for callers' keys, random bytes.
 *
 * struct crypto holds the fetched algorithms (a fetch a call costs 500 ns) and is shared by all threads; what needs a
 * context of its own makes one.
 */
#ifndef ATTESTD_CRYPTO_H
#define ATTESTD_CRYPTO_H

#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"

enum {
	SHA256_SIZE = 32,
	SHA384_SIZE = 48,
	AEAD_KEY_SIZE = 32,
	AEAD_IV_SIZE = 12,
	AEAD_TAG_SIZE = 16,
	RSA_BITS_MIN = 2048,
	RSA_BITS_MAX = 8192,
	RSA_WRAPPED_MAX = RSA_BITS_MAX / 8,
	RSA_PEM_MAX = 16 * 1024, /* an RSA-8192 SPKI is under 1.5 kB */
};

struct crypto;

enum err crypto_new(struct crypto **out, struct why *w) MUST_USE;
void crypto_free(struct crypto *c);

/* OpenSSL's generator (thread-safe), and entropy for it: seeding adds, it never replaces. */
struct random crypto_random(struct crypto *c);
enum err crypto_seed(struct crypto *c, struct bytes entropy, struct why *w) MUST_USE;

enum err crypto_sha256(struct crypto *c, struct bytes in, uint8_t out[SHA256_SIZE], struct why *w) MUST_USE;
enum err crypto_sha384(struct crypto *c, struct bytes in, uint8_t out[SHA384_SIZE], struct why *w) MUST_USE;

struct crypto_hash; /* SHA-256 piece by piece */
enum err crypto_hash_new(struct crypto *c, struct crypto_hash **out, struct why *w) MUST_USE;
enum err crypto_hash_add(struct crypto_hash *h, struct bytes in, struct why *w) MUST_USE;
enum err crypto_hash_end(struct crypto_hash *h, uint8_t out[SHA256_SIZE], struct why *w) MUST_USE;
void crypto_hash_free(struct crypto_hash *h);

/* HMAC-SHA256 (RFC 2104). Compared with secret_equal. */
enum err crypto_hmac(struct crypto *c, struct bytes key, struct bytes in, uint8_t out[SHA256_SIZE],
		     struct why *w) MUST_USE;

/* HKDF-SHA256 (RFC 5869), no salt; info separates purposes. out.n bytes, at most SECRET_MAX, set by the caller in n. */
enum err crypto_hkdf(struct crypto *c, struct bytes ikm, const char *info, size_t n, struct secret *out,
		     struct why *w) MUST_USE;

/* AES-256-GCM (SP 800-38D) with a 12-byte IV. seal: out holds in.n + AEAD_TAG_SIZE, tag last; out may not overlap in.
 * open: `in` is ciphertext and tag; out holds in.n - AEAD_TAG_SIZE and may be in.p. ERR_BAD_MESSAGE if the tag does not
 * fit (out is wiped then) or `in` is shorter than a tag. in.n at most 2^31 - 64. */
enum err crypto_seal(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], const uint8_t iv[AEAD_IV_SIZE],
		     struct bytes aad, struct bytes in, uint8_t *out, struct why *w) MUST_USE;
enum err crypto_open(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], const uint8_t iv[AEAD_IV_SIZE],
		     struct bytes aad, struct bytes in, uint8_t *out, struct why *w) MUST_USE;

/* The same under a key that is kept ready; for one thread at a time. */
struct crypto_aead;
enum err crypto_aead_new(struct crypto *c, const uint8_t key[AEAD_KEY_SIZE], struct crypto_aead **out,
			 struct why *w) MUST_USE;
void crypto_aead_free(struct crypto_aead *a); /* wipes the key; NULL is fine */
enum err crypto_aead_seal(struct crypto_aead *a, const uint8_t iv[AEAD_IV_SIZE], struct bytes aad, struct bytes in,
			  uint8_t *out, struct why *w) MUST_USE;
enum err crypto_aead_open(struct crypto_aead *a, const uint8_t iv[AEAD_IV_SIZE], struct bytes aad, struct bytes in,
			  uint8_t *out, struct why *w) MUST_USE;

/* A caller's RSA public key. PEM `BEGIN PUBLIC KEY` (SPKI, RFC 7468) or `BEGIN RSA PUBLIC KEY` (PKCS#1, RFC 8017), one
 * block, LF or CRLF, white space around it; RSA_BITS_MIN..MAX bits, odd exponent of at least 3 and at most 2^64 - 1
 * (OpenSSL refuses larger ones). Anything else (EC, Ed25519, certificates, private keys, trailing text, encrypted or
 * legacy headers) is ERR_BAD_KEY with a told sentence that says what it was. */
struct crypto_rsa;
enum err crypto_rsa_parse(struct crypto *c, struct bytes pem, struct crypto_rsa **out, struct why *w) MUST_USE;
void crypto_rsa_free(struct crypto_rsa *k);
struct bytes crypto_rsa_spki(const struct crypto_rsa *k); /* SubjectPublicKeyInfo DER, canonical, borrowed from k */
/* RSA-OAEP with SHA-256 for the hash and for MGF1, no label. Appends bits/8 bytes. */
enum err crypto_rsa_wrap(struct crypto *c, const struct crypto_rsa *k, struct bytes secret, struct buf *out,
			 struct why *w) MUST_USE;

#endif
