/* keys.h - key pairs that were generated for somebody outside, whose private half never leaves this process.
 *
 * The public half is attested in a document's `public_key` (KMS or anybody else encrypts to it); only the local route
 * POST /keys/{key_id}/decrypt uses the private one. They live in memory alone, for keys_options.lifetime_ms by
 * CLOCK_BOOTTIME, at most keys_options.max of them. A key is known by its id: the SHA-256 of its SubjectPublicKeyInfo
 * in lower-case hex, so that whoever has the document can tell which key is meant. Part of src/session. All on the
 * loop's thread except what is marked "any thread".
 */
#ifndef ATTESTD_KEYS_H
#define ATTESTD_KEYS_H

#include "base/clock.h"
#include "base/encode.h"
#include "rsa.h"

enum {
	KEYS_ID_SIZE = HEX_SIZE(SHA256_SIZE), /* characters, without a NUL */
	KEYS_BITS = RSA_BITS_DEFAULT,
	KEYS_CIPHERTEXT_SIZE = KEYS_BITS / 8,
	KEYS_PLAIN_MAX = KEYS_CIPHERTEXT_SIZE - 2 * SHA256_SIZE - 2, /* of OAEP, RFC 8017 section 7.1.1 */
	KEYS_MAKING_MAX = 4,					     /* generations under way or waiting */
	KEYS_RATE = 1,						     /* generations a second, given up or not, */
	KEYS_BURST = 8,						     /* and as many at once after a pause */
};

struct keys_options {
	int64_t lifetime_ms;
	uint64_t max; /* kept and being made */
};

struct keys;
struct keys_key; /* counted references */

/* clock: borrowed. */
enum err keys_new(struct keys **out, const struct clock *clock, const struct keys_options *o, struct why *w) MUST_USE;
void keys_free(struct keys *k); /* wipes every key that nobody holds; NULL is fine */

/* Room for one more, which is held until keys_commit or keys_cancel. ERR_KEYS_FULL, ERR_BUSY (KEYS_MAKING_MAX) or
 * ERR_RATE, told, with retry_after_s. */
enum err keys_reserve(struct keys *k, struct why *w) MUST_USE;
/* Any thread; some tenths of a second. Not yet known to keys_find. */
enum err keys_make(struct crypto *crypto, struct keys_key **out, struct why *w) MUST_USE;
/* From now on it is found and its lifetime runs. Takes the reference over. */
void keys_commit(struct keys *k, struct keys_key *key);
/* Gives the room back, and the key if one was made (NULL is fine). */
void keys_cancel(struct keys *k, struct keys_key *key);

/* ERR_KEY_GONE, told, alike for an id that never was, has expired, or is no id. *out is borrowed until the end of the
 * turn unless held. */
enum err keys_find(struct keys *k, struct bytes id, struct keys_key **out, struct why *w) MUST_USE;
void keys_hold(struct keys_key *key);	 /* for a worker's sake */
void keys_release(struct keys_key *key); /* NULL is fine */

const char *keys_id(const struct keys_key *key);    /* KEYS_ID_SIZE characters, no NUL */
struct bytes keys_spki(const struct keys_key *key); /* DER */
int64_t keys_left_ms(const struct keys *k, const struct keys_key *key);
/* Any thread that holds it. RSA-OAEP with SHA-256 for hash and MGF1, no label; appends at most KEYS_PLAIN_MAX bytes.
 * ERR_BAD_MESSAGE, told, alike for all that can be wrong with it; ERR_MEMORY. */
enum err keys_decrypt(const struct keys_key *key, struct bytes ciphertext, struct buf *out, struct why *w) MUST_USE;

uint64_t keys_count(const struct keys *k);
/* Wipes what has expired. */
void keys_sweep(struct keys *k);

#endif
