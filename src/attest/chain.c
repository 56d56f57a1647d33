/* chain.c - the cache of verified chains: intermediate certificates live for days and a leaf for hours, so a document's
 * chain has mostly been seen, and what is left to do is one signature.
 */
#include "verdict.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	uint8_t key[SHA256_SIZE];
	uint64_t used; /* the cache's `uses` when it was last asked for; 0: empty */
	struct cert_chain *chain;
};

struct chain_cache {
	struct crypto *crypto;
	pthread_mutex_t lock; /* for what follows */
	uint64_t uses;
	struct entry entries[CHAIN_CACHE_SIZE];
};

enum err chain_cache_new(struct chain_cache **out, struct crypto *crypto, struct why *w)
{
	struct chain_cache *c = calloc(1, sizeof *c);
	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the cache of certificate chains");
	if (pthread_mutex_init(&c->lock, NULL) != 0) {
		free(c);
		return why_set(w, ERR_MEMORY, "no mutex for the cache of certificate chains");
	}
	c->crypto = crypto;
	*out = c;
	return ERR_OK;
}

void chain_cache_free(struct chain_cache *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < CHAIN_CACHE_SIZE; i++)
		cert_chain_free(c->entries[i].chain);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

static enum err add(struct crypto_hash *h, struct bytes x, struct why *w)
{
	const uint64_t n = x.n;
	enum err e = crypto_hash_add(h, bytes_of(&n, sizeof n), w);
	return e != ERR_OK ? e : crypto_hash_add(h, x, w);
}

/* Each part goes behind its length: no two chains have one key. */
static enum err make_key(struct chain_cache *c, struct bytes root, const struct bytes *bundle, size_t n,
			 struct bytes leaf, uint8_t key[SHA256_SIZE], struct why *w)
{
	struct crypto_hash *h = NULL;
	const uint64_t count = n;
	enum err e = crypto_hash_new(c->crypto, &h, w);
	if (e == ERR_OK)
		e = crypto_hash_add(h, bytes_of(&count, sizeof count), w);
	if (e == ERR_OK)
		e = add(h, root, w);
	for (size_t i = 0; e == ERR_OK && i < n; i++)
		e = add(h, bundle[i], w);
	if (e == ERR_OK)
		e = add(h, leaf, w);
	if (e == ERR_OK)
		e = crypto_hash_end(h, key, w);
	crypto_hash_free(h);
	return e;
}

/* The entry of that key, or else the one that is to make room for it: an empty one or the least recently used. */
static struct entry *find(struct chain_cache *c, const uint8_t key[SHA256_SIZE], bool *found)
{
	struct entry *oldest = &c->entries[0];
	for (size_t i = 0; i < CHAIN_CACHE_SIZE; i++) {
		struct entry *e = &c->entries[i];
		*found = e->used != 0 && memcmp(e->key, key, SHA256_SIZE) == 0;
		if (*found)
			return e;
		if (e->used < oldest->used)
			oldest = e;
	}
	return oldest;
}

static struct cert_chain *look_up(struct chain_cache *c, const uint8_t key[SHA256_SIZE])
{
	struct cert_chain *chain = NULL;
	bool found;
	(void)pthread_mutex_lock(&c->lock);
	struct entry *e = find(c, key, &found);
	if (found) {
		e->used = ++c->uses;
		chain = cert_chain_ref(e->chain);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return chain;
}

/* Another thread may have checked and kept the same chain in the meantime; then there is nothing to do. */
static void keep(struct chain_cache *c, const uint8_t key[SHA256_SIZE], struct cert_chain *chain)
{
	struct cert_chain *old = NULL;
	bool found;
	(void)pthread_mutex_lock(&c->lock);
	struct entry *e = find(c, key, &found);
	if (!found) {
		old = e->chain;
		e->chain = cert_chain_ref(chain);
		e->used = ++c->uses;
		memcpy(e->key, key, SHA256_SIZE);
	}
	(void)pthread_mutex_unlock(&c->lock);
	cert_chain_free(old);
}

enum err chain_cache_get(struct chain_cache *c, struct bytes root, const struct bytes *bundle, size_t n,
			 struct bytes leaf, struct cert_chain **out, enum cert_fault *fault, struct why *w)
{
	uint8_t key[SHA256_SIZE];
	enum err e = make_key(c, root, bundle, n, leaf, key, w);
	if (e != ERR_OK)
		return e;
	struct cert_chain *chain = look_up(c, key);
	if (chain == NULL) {
		/* Milliseconds, so not under the lock. */
		e = cert_chain_check(root, bundle, n, leaf, &chain, fault, w);
		if (e != ERR_OK)
			return e;
		keep(c, key, chain);
	}
	*out = chain;
	return ERR_OK;
}
