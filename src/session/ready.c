/* ready.c - the keys of the sessions that were used last, expanded: to make a key ready costs as much as to use it. */
#include "internal.h"

static struct ready *place(struct sessions *s, const struct session *x)
{
	return &s->ready[(uint64_t)x->row % READY_MAX];
}

enum err ready_key(struct sessions *s, const struct session *x, struct crypto_aead **out, struct why *w)
{
	struct ready *r = place(s, x);
	if (r->key == NULL || r->row != x->row) {
		struct crypto_aead *key;
		const enum err e = crypto_aead_new(s->env.crypto, x->key, &key, w);
		if (e != ERR_OK)
			return e;
		crypto_aead_free(r->key);
		*r = (struct ready){x->row, key};
	}
	*out = r->key;
	return ERR_OK;
}

void ready_end(struct sessions *s, const struct session *x)
{
	struct ready *r = place(s, x);
	if (r->row != x->row)
		return;
	crypto_aead_free(r->key);
	*r = (struct ready){0};
}
