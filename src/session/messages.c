/* messages.c - numbers and IVs of messages, and a session's key in use. */
#include "internal.h"

#include <string.h>

enum { SEND_TRIES = 8, NUMBER_SIZE = AEAD_IV_SIZE - IV_RANDOM_SIZE };

/* Whether the session may have one message more. */
static enum err allowance(const struct sessions *s, const struct session *x, struct why *w)
{
	uint64_t max = s->env.limits.max_messages;

	if (max > SESSION_MESSAGES_MAX)
		max = SESSION_MESSAGES_MAX;
	if (x->messages >= max)
		return why_tell(w, ERR_SESSION_SPENT, NULL,
				"This session has used its %llu messages; open a new one with POST /key-exchange.",
				(unsigned long long)max);
	if (s->seen_ivs >= s->env.limits.max_seen_ivs)
		return why_tell(w, ERR_IVS_FULL, NULL,
				"All sessions together have used the %llu messages that max_seen_ivs allows; end "
				"sessions that are no longer needed or try again later.",
				(unsigned long long)s->env.limits.max_seen_ivs);
	return ERR_OK;
}

static enum err stage(struct sessions *s, struct session *x, const uint8_t iv[AEAD_IV_SIZE], uint32_t *number,
		      struct why *w)
{
	enum err e = turn_reserve(s, w);

	if (e == ERR_OK)
		e = seen_add(&x->seen, &s->hash, iv, w);
	if (e != ERR_OK)
		return e;
	e = store_seen_put(s->env.store, x->row, x->messages + 1, iv, w);
	if (e != ERR_OK) {
		seen_remove(&x->seen, &s->hash, iv);
		return e;
	}
	s->seen_ivs++;
	*number = ++x->messages;
	turn_note(s, TURN_MESSAGE, x, iv);
	return ERR_OK;
}

static enum err draw(struct sessions *s, uint8_t out[IV_RANDOM_SIZE], struct why *w)
{
	if (s->pool_left == 0) {
		enum err e = random_fill(&s->env.random, s->pool, sizeof s->pool, w);

		if (e != ERR_OK)
			return e;
		s->pool_left = sizeof s->pool;
	}
	s->pool_left -= IV_RANDOM_SIZE;
	memcpy(out, s->pool + s->pool_left, IV_RANDOM_SIZE);
	return ERR_OK;
}

enum err session_send(struct sessions *s, struct session *x, uint32_t *number, uint8_t iv[AEAD_IV_SIZE], struct why *w)
{
	uint8_t fresh[AEAD_IV_SIZE];
	enum err e;

	if (!session_alive(s, x))
		return session_unknown(w);
	e = allowance(s, x, w);
	if (e != ERR_OK)
		return e;
	put_be(fresh, NUMBER_SIZE, x->messages + 1);
	for (int tries = 0;; tries++) {
		if (tries == SEND_TRIES)
			return why_set(w, ERR_INTERNAL, "the random source gave an IV that was used before, %d times",
				       SEND_TRIES);
		e = draw(s, fresh + NUMBER_SIZE, w);
		if (e != ERR_OK)
			return e;
		if (!seen_has(&x->seen, &s->hash, fresh))
			break;
	}
	e = stage(s, x, fresh, number, w);
	if (e == ERR_OK)
		memcpy(iv, fresh, AEAD_IV_SIZE);
	return e;
}

enum err session_check(struct sessions *s, struct session *x, const uint8_t iv[AEAD_IV_SIZE], struct why *w)
{
	if (!session_alive(s, x))
		return session_unknown(w);
	if (seen_has(&x->seen, &s->hash, iv))
		return why_tell(
			w, ERR_REPLAY, NULL,
			"This IV was used before in this session, by either side: the message is a replay, or its sender "
			"must encrypt it anew with a fresh IV.");
	return allowance(s, x, w);
}

enum err session_receive(struct sessions *s, struct session *x, const uint8_t iv[AEAD_IV_SIZE], uint32_t *number,
			 struct why *w)
{
	enum err e = session_check(s, x, iv, w);

	return e == ERR_OK ? stage(s, x, iv, number, w) : e;
}

/* A session that has ended goes past the cache: nobody would wipe its key there any more. */
static bool cached(const struct session *x, bool away)
{
	return !away && !x->ended;
}

enum err session_seal(struct sessions *s, const struct session *x, bool away, const uint8_t iv[AEAD_IV_SIZE],
		      struct bytes plain, uint8_t *out, struct why *w)
{
	struct crypto_aead *key;
	if (!cached(x, away))
		return crypto_seal(s->env.crypto, x->key, iv, bytes_of(NULL, 0), plain, out, w);
	const enum err e = key_cache_get(s, x, &key, w);
	return e != ERR_OK ? e : crypto_aead_seal(key, iv, bytes_of(NULL, 0), plain, out, w);
}

enum err session_unseal(struct sessions *s, const struct session *x, bool away, const uint8_t iv[AEAD_IV_SIZE],
			struct bytes sealed, uint8_t *out, struct why *w)
{
	struct crypto_aead *key;
	if (!cached(x, away))
		return crypto_open(s->env.crypto, x->key, iv, bytes_of(NULL, 0), sealed, out, w);
	const enum err e = key_cache_get(s, x, &key, w);
	return e != ERR_OK ? e : crypto_aead_open(key, iv, bytes_of(NULL, 0), sealed, out, w);
}
