/* peer_clients.c - the clients that were verified here, the one that was verified first at the front. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

struct client {
	struct client *next;
	int64_t ends_boot_ms;
	struct peer_facts facts;
};

struct peer_clients {
	const struct clock *clock;
	struct client *first, **end;
	size_t n;
};

enum err peer_clients_new(struct peer_clients **out, const struct clock *clock, struct why *w)
{
	struct peer_clients *c = calloc(1, sizeof *c);

	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for verified clients");
	c->clock = clock;
	c->end = &c->first;
	*out = c;
	return ERR_OK;
}

static void drop(struct peer_clients *c, struct client **at)
{
	struct client *gone = *at;

	*at = gone->next;
	if (c->end == &gone->next)
		c->end = at;
	c->n--;
	free(gone);
}

void peer_clients_free(struct peer_clients *c)
{
	if (c == NULL)
		return;
	while (c->first != NULL)
		drop(c, &c->first);
	free(c);
}

/* NULL at its end where there is none. */
static struct client **find(struct peer_clients *c, const uint8_t key_hash[SHA256_SIZE])
{
	struct client **at = &c->first;

	while (*at != NULL && memcmp((*at)->facts.key_hash, key_hash, SHA256_SIZE) != 0)
		at = &(*at)->next;
	return at;
}

enum err peer_client_keep(struct peer_clients *c, const struct peer_facts *f, struct why *w)
{
	struct client *fresh = malloc(sizeof *fresh), **old;

	if (fresh == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a verified client");
	old = find(c, f->key_hash);
	if (*old != NULL)
		drop(c, old);
	if (c->n == PEER_CLIENTS_MAX)
		drop(c, &c->first);
	*fresh = (struct client){.ends_boot_ms = clock_boot(c->clock) + f->lifetime_ms, .facts = *f};
	*c->end = fresh;
	c->end = &fresh->next;
	c->n++;
	return ERR_OK;
}

enum err peer_client_find(struct peer_clients *c, const uint8_t key_hash[SHA256_SIZE], const struct peer_facts **out,
			  struct why *w)
{
	struct client **at = find(c, key_hash);
	bool found = *at != NULL;

	if (found && clock_boot(c->clock) >= (*at)->ends_boot_ms) {
		drop(c, at);
		found = false;
	}
	if (!found)
		return why_tell(
			w, ERR_UNATTESTED, NULL,
			"What was verified of this key is no longer valid, or no longer kept: begin again with GET "
			"/cert and have a new report made.");
	*out = &(*at)->facts;
	return ERR_OK;
}
