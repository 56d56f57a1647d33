/* peer_challenges.c - challenges that vouch for themselves, and those of them that were used. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 32, TIME_SIZE = 8, RANDOM_SIZE = 8, MAC_AT = TIME_SIZE + RANDOM_SIZE, MAC_SIZE = 16 };

_Static_assert(MAC_AT + MAC_SIZE == PEER_CHALLENGE_SIZE, "a challenge is time, random bytes and their MAC");

struct used {
	int64_t given_boot_ms;
	uint8_t random[RANDOM_SIZE];
};

struct peer_challenges {
	struct crypto *crypto;
	struct random random;
	const struct clock *clock;
	uint8_t key[KEY_SIZE];
	size_t n;
	struct used used[PEER_CHALLENGES_MAX];
};

enum err peer_challenges_new(struct peer_challenges **out, struct crypto *crypto, struct random random,
			     const struct clock *clock, struct why *w)
{
	struct peer_challenges *c = calloc(1, sizeof *c);
	enum err e;

	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for challenges");
	c->crypto = crypto;
	c->random = random;
	c->clock = clock;
	e = random_fill(&c->random, c->key, sizeof c->key, w);
	if (e != ERR_OK) {
		peer_challenges_free(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

void peer_challenges_free(struct peer_challenges *c)
{
	if (c == NULL)
		return;
	mem_wipe(c, sizeof *c);
	free(c);
}

static enum err make_mac(const struct peer_challenges *c, const uint8_t *challenge, uint8_t mac[SHA256_SIZE],
			 struct why *w)
{
	return crypto_hmac(c->crypto, bytes_of(c->key, sizeof c->key), bytes_of(challenge, MAC_AT), mac, w);
}

enum err peer_challenge_give(const struct peer_challenges *c, uint8_t out[PEER_CHALLENGE_SIZE], struct why *w)
{
	uint8_t fresh[PEER_CHALLENGE_SIZE], mac[SHA256_SIZE];
	enum err e;

	put_be(fresh, TIME_SIZE, (uint64_t)clock_boot(c->clock));
	if ((e = random_fill(&c->random, fresh + TIME_SIZE, RANDOM_SIZE, w)) == ERR_OK &&
	    (e = make_mac(c, fresh, mac, w)) == ERR_OK) {
		memcpy(fresh + MAC_AT, mac, MAC_SIZE);
		memcpy(out, fresh, sizeof fresh);
	}
	mem_wipe(fresh, sizeof fresh);
	mem_wipe(mac, sizeof mac);
	return e;
}

static enum err unknown(struct why *w)
{
	return why_tell(w, ERR_CHALLENGE, NULL,
			"The report does not answer a challenge that is open here: each is good for one report and "
			"for %d seconds. Ask for a new one (GET /challenge) and have a new report made.",
			PEER_CHALLENGE_MS / 1000);
}

/* In constant time: whoever could measure how much of a guess is right could make challenges. */
static enum err check_mac(const struct peer_challenges *c, struct bytes challenge, struct why *w)
{
	uint8_t mac[SHA256_SIZE];
	enum err e;

	if (challenge.n != PEER_CHALLENGE_SIZE)
		return unknown(w);
	e = make_mac(c, challenge.p, mac, w);
	if (e == ERR_OK && !secret_equal(bytes_of(mac, MAC_SIZE), bytes_of(challenge.p + MAC_AT, MAC_SIZE)))
		e = unknown(w);
	mem_wipe(mac, sizeof mac);
	return e;
}

/* What is too old is refused for that, and needs no place here. Returns when the next place will be free. */
static int64_t drop_old(struct peer_challenges *c, int64_t now)
{
	int64_t oldest = now;
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (now - c->used[i].given_boot_ms >= PEER_CHALLENGE_MS)
			continue;
		if (c->used[i].given_boot_ms < oldest)
			oldest = c->used[i].given_boot_ms;
		c->used[kept++] = c->used[i];
	}
	c->n = kept;
	return oldest + PEER_CHALLENGE_MS;
}

static bool was_used(const struct peer_challenges *c, const struct used *x)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->used[i].given_boot_ms == x->given_boot_ms &&
		    memcmp(c->used[i].random, x->random, sizeof x->random) == 0)
			return true;
	return false;
}

enum err peer_challenge_take(struct peer_challenges *c, struct bytes challenge, struct why *w)
{
	const int64_t now = clock_boot(c->clock);
	const enum err e = check_mac(c, challenge, w);
	struct used x;
	int64_t free_ms;

	if (e != ERR_OK)
		return e;
	x.given_boot_ms = (int64_t)get_be(challenge.p, TIME_SIZE);
	memcpy(x.random, challenge.p + TIME_SIZE, RANDOM_SIZE);
	if (now - x.given_boot_ms >= PEER_CHALLENGE_MS || was_used(c, &x))
		return unknown(w);
	free_ms = c->n == PEER_CHALLENGES_MAX ? drop_old(c, now) : 0;
	if (c->n == PEER_CHALLENGES_MAX) {
		const unsigned wait_s = (unsigned)((free_ms - now + 999) / 1000);
		(void)why_tell(
			w, ERR_BUSY, NULL,
			"%d reports came within %d seconds, and one more cannot be taken yet: try again in %u s, "
			"with a new challenge if this one is too old by then.",
			PEER_CHALLENGES_MAX, PEER_CHALLENGE_MS / 1000, wait_s);
		w->retry_after_s = wait_s;
		return ERR_BUSY;
	}
	c->used[c->n++] = x;
	return ERR_OK;
}
