/* key_cache.c - expanded keys: to expand one costs as much as to seal a short message under it. One slot a session,
 * which it shares with those whose row is KEY_CACHE_SIZE further. */
#include "internal.h"

static struct key_slot *slot_of(struct sessions *s, const struct session *x)
{
	return &s->key_cache[(uint64_t)x->row % KEY_CACHE_SIZE];
}

enum err key_cache_get(struct sessions *s, const struct session *x, struct crypto_aead **out, struct why *w)
{
	struct key_slot *r = slot_of(s, x);
	if (r->key == NULL || r->row != x->row) {
		struct crypto_aead *key;
		const enum err e = crypto_aead_new(s->env.crypto, x->key, &key, w);
		if (e != ERR_OK)
			return e;
		crypto_aead_free(r->key);
		*r = (struct key_slot){x->row, key};
	}
	*out = r->key;
	return ERR_OK;
}

void key_cache_drop(struct sessions *s, const struct session *x)
{
	struct key_slot *r = slot_of(s, x);
	if (r->row != x->row)
		return;
	crypto_aead_free(r->key);
	*r = (struct key_slot){0};
}
