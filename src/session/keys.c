/* keys.c - generated key pairs: kept in memory for a while, found by their id, wiped. */
#include "keys.h"

#include <stdlib.h>

#include "base/bucket.h"

struct keys_key {
	struct keys_key *next; /* the one that expires after it */
	struct rsa_key *rsa;
	int64_t expires_boot_ms;
	uint32_t refs; /* whoever made it, then the list; and workers */
	char id[KEYS_ID_SIZE];
};

struct keys {
	const struct clock *clock;
	struct keys_options o;
	struct keys_key *first, **end; /* one lifetime for all, so in order of expiry */
	uint64_t count;
	unsigned making;
	struct bucket bucket;
};

enum err keys_new(struct keys **out, const struct clock *clock, const struct keys_options *o, struct why *w)
{
	struct keys *k = calloc(1, sizeof *k);

	if (k == NULL)
		return why_set(w, ERR_MEMORY, "no memory for generated keys");
	k->clock = clock;
	k->o = *o;
	k->end = &k->first;
	bucket_init(&k->bucket, KEYS_RATE, KEYS_BURST, clock_boot(clock));
	*out = k;
	return ERR_OK;
}

void keys_hold(struct keys_key *key)
{
	key->refs++;
}

void keys_release(struct keys_key *key)
{
	if (key == NULL || --key->refs > 0)
		return;
	rsa_key_free(key->rsa);
	free(key);
}

static void drop_first(struct keys *k)
{
	struct keys_key *key = k->first;

	k->first = key->next;
	if (k->first == NULL)
		k->end = &k->first;
	k->count--;
	keys_release(key);
}

void keys_sweep(struct keys *k)
{
	while (k->first != NULL && keys_left_ms(k, k->first) == 0)
		drop_first(k);
}

void keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	while (k->first != NULL)
		drop_first(k);
	free(k);
}

static unsigned seconds_to_room(const struct keys *k)
{
	int64_t s = k->first == NULL ? 1 : (keys_left_ms(k, k->first) + 999) / 1000;

	return s < 1 ? 1 : (unsigned)s;
}

enum err keys_reserve(struct keys *k, struct why *w)
{
	keys_sweep(k);
	if (k->count + k->making >= k->o.max) {
		(void)why_tell(w, ERR_KEYS_FULL, NULL,
			       "All %llu generated keys that may be kept at once are in use; each is kept for %lld "
			       "seconds, so try again later.",
			       (unsigned long long)k->o.max, (long long)(k->o.lifetime_ms / 1000));
		w->retry_after_s = seconds_to_room(k);
		return ERR_KEYS_FULL;
	}
	if (k->making >= KEYS_MAKING_MAX) {
		(void)why_tell(w, ERR_BUSY, NULL, "%d keys are being generated already; try again in a second.",
			       KEYS_MAKING_MAX);
		w->retry_after_s = 1;
		return ERR_BUSY;
	}
	/* Not given back by keys_cancel: what was made for nothing has cost as much. */
	const unsigned wait_s = bucket_take(&k->bucket, clock_boot(k->clock));
	if (wait_s > 0) {
		(void)why_tell(w, ERR_RATE, NULL, "More than %d key a second was asked for; try again in %u s.",
			       KEYS_RATE, wait_s);
		w->retry_after_s = wait_s;
		return ERR_RATE;
	}
	k->making++;
	return ERR_OK;
}

enum err keys_make(struct crypto *crypto, struct keys_key **out, struct why *w)
{
	struct keys_key *key = calloc(1, sizeof *key);
	uint8_t digest[SHA256_SIZE];
	enum err e;

	if (key == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a generated key");
	key->refs = 1;
	e = rsa_key_new(KEYS_BITS, &key->rsa, w);
	if (e == ERR_OK)
		e = crypto_sha256(crypto, rsa_key_spki(key->rsa), digest, w);
	if (e != ERR_OK)
		goto out;
	hex_encode(bytes_of(digest, sizeof digest), key->id);
	*out = key;
	key = NULL;
out:
	keys_release(key);
	return e;
}

void keys_commit(struct keys *k, struct keys_key *key)
{
	key->expires_boot_ms = clock_boot(k->clock) + k->o.lifetime_ms;
	key->next = NULL;
	*k->end = key;
	k->end = &key->next;
	k->making--;
	k->count++;
}

void keys_cancel(struct keys *k, struct keys_key *key)
{
	k->making--;
	keys_release(key);
}

enum err keys_find(struct keys *k, struct bytes id, struct keys_key **out, struct why *w)
{
	struct keys_key *key;

	keys_sweep(k);
	key = k->first;
	while (key != NULL && !bytes_equal(bytes_of(key->id, sizeof key->id), id))
		key = key->next;
	if (key == NULL)
		return why_tell(w, ERR_KEY_GONE, NULL,
				"No generated key with this id is kept, or not any more: have a new one made by the "
				"vsock command attest with generate_key.");
	*out = key;
	return ERR_OK;
}

const char *keys_id(const struct keys_key *key)
{
	return key->id;
}

struct bytes keys_spki(const struct keys_key *key)
{
	return rsa_key_spki(key->rsa);
}

int64_t keys_left_ms(const struct keys *k, const struct keys_key *key)
{
	int64_t left = key->expires_boot_ms - clock_boot(k->clock);

	return left > 0 ? left : 0;
}

enum err keys_decrypt(const struct keys_key *key, struct bytes ciphertext, struct buf *out, struct why *w)
{
	return rsa_key_decrypt(key->rsa, ciphertext, out, w);
}

uint64_t keys_count(const struct keys *k)
{
	return k->count;
}
