/* peer_challenges.c - the challenges that were given out and not used yet, the oldest first. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

struct challenge {
	uint8_t b[PEER_CHALLENGE_SIZE];
	int64_t given_boot_ms;
};

struct peer_challenges {
	struct random random;
	const struct clock *clock;
	size_t n;
	struct challenge at[PEER_CHALLENGES_MAX];
};

enum err peer_challenges_new(struct peer_challenges **out, struct random random, const struct clock *clock,
			     struct why *w)
{
	struct peer_challenges *c = calloc(1, sizeof *c);

	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for challenges");
	c->random = random;
	c->clock = clock;
	*out = c;
	return ERR_OK;
}

void peer_challenges_free(struct peer_challenges *c)
{
	if (c == NULL)
		return;
	mem_wipe(c->at, sizeof c->at);
	free(c);
}

static void drop(struct peer_challenges *c, size_t from, size_t n)
{
	memmove(c->at + from, c->at + from + n, (c->n - from - n) * sizeof *c->at);
	c->n -= n;
	mem_wipe(c->at + c->n, n * sizeof *c->at);
}

static void drop_old(struct peer_challenges *c)
{
	const int64_t now = clock_boot(c->clock);
	size_t n = 0;

	while (n < c->n && now - c->at[n].given_boot_ms >= PEER_CHALLENGE_MS)
		n++;
	drop(c, 0, n);
}

enum err peer_challenge_give(struct peer_challenges *c, uint8_t out[PEER_CHALLENGE_SIZE], struct why *w)
{
	struct challenge fresh;
	const enum err e = random_fill(&c->random, fresh.b, sizeof fresh.b, w);

	if (e != ERR_OK)
		return e;
	drop_old(c);
	if (c->n == PEER_CHALLENGES_MAX)
		drop(c, 0, 1);
	fresh.given_boot_ms = clock_boot(c->clock);
	c->at[c->n++] = fresh;
	memcpy(out, fresh.b, sizeof fresh.b);
	mem_wipe(&fresh, sizeof fresh);
	return ERR_OK;
}

enum err peer_challenge_take(struct peer_challenges *c, struct bytes challenge, struct why *w)
{
	size_t found = PEER_CHALLENGES_MAX;

	drop_old(c);
	/* In constant time: whoever could measure how much of a guess is right could use up another's. */
	for (size_t i = 0; i < c->n; i++)
		if (secret_equal(bytes_of(c->at[i].b, PEER_CHALLENGE_SIZE), challenge))
			found = i;
	if (found == PEER_CHALLENGES_MAX)
		return why_tell(
			w, ERR_CHALLENGE, NULL,
			"The report does not answer a challenge that is open here: each is good for one report and "
			"for %d seconds. Ask for a new one (GET /challenge) and have a new report made.",
			PEER_CHALLENGE_MS / 1000);
	drop(c, found, 1);
	return ERR_OK;
}
