/* seen.c - the set of IVs that a session has seen. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { SEEN_CAP_MIN = 4, SEEN_CAP_MAX = INT32_MAX /* n has 31 bits */ };

static const uint8_t zero_iv[AEAD_IV_SIZE];

uint32_t hash_bytes(const struct hash_key *k, const uint8_t *p, size_t n)
{
	uint64_t h = k->k[HASH_WORDS];
	uint32_t word;
	size_t i = 0;

	for (; n >= sizeof word; n -= sizeof word, p += sizeof word) {
		memcpy(&word, p, sizeof word);
		h += k->k[i++] * word;
	}
	if (n > 0) {
		word = 0;
		memcpy(&word, p, n);
		h += k->k[i] * word;
	}
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15;
	return (uint32_t)(h >> 32);
}

static bool is_zero(const uint8_t iv[AEAD_IV_SIZE])
{
	return memcmp(iv, zero_iv, AEAD_IV_SIZE) == 0;
}

/* Scaling instead of masking keeps the order of the hashes, so that growing reads and writes memory in sequence. */
static uint32_t home(const struct seen *s, const struct hash_key *k, const uint8_t iv[AEAD_IV_SIZE])
{
	return (uint32_t)((uint64_t)hash_bytes(k, iv, AEAD_IV_SIZE) * s->cap >> 32);
}

static uint32_t after(const struct seen *s, uint32_t i)
{
	return i + 1 == s->cap ? 0 : i + 1;
}

/* The slot that holds iv, or the empty one where it belongs. There always is an empty one, once there are any. */
static uint32_t find(const struct seen *s, const struct hash_key *k, const uint8_t iv[AEAD_IV_SIZE])
{
	uint32_t i = home(s, k, iv);

	while (!is_zero(s->slot[i]) && memcmp(s->slot[i], iv, AEAD_IV_SIZE) != 0)
		i = after(s, i);
	return i;
}

bool seen_has(const struct seen *s, const struct hash_key *k, const uint8_t iv[AEAD_IV_SIZE])
{
	if (is_zero(iv))
		return s->zero;
	return s->cap > 0 && !is_zero(s->slot[find(s, k, iv)]);
}

static enum err grow(struct seen *s, const struct hash_key *k, struct why *w)
{
	const uint64_t cap = s->cap == 0 ? SEEN_CAP_MIN : (uint64_t)s->cap + s->cap / 2;

	if (cap > SEEN_CAP_MAX)
		return why_set(w, ERR_MEMORY, "a session's replay set cannot grow beyond 2^31 slots");
	struct seen new = {.slot = calloc(cap, sizeof new.slot[0]), .cap = (uint32_t)cap, .n = s->n, .zero = s->zero};
	if (new.slot == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a replay set of %llu slots", (unsigned long long)cap);
	for (uint32_t i = 0; i < s->cap; i++)
		if (!is_zero(s->slot[i]))
			memcpy(new.slot[find(&new, k, s->slot[i])], s->slot[i], AEAD_IV_SIZE);
	free(s->slot);
	*s = new;
	return ERR_OK;
}

enum err seen_add(struct seen *s, const struct hash_key *k, const uint8_t iv[AEAD_IV_SIZE], struct why *w)
{
	if (is_zero(iv)) {
		s->zero = true;
		return ERR_OK;
	}
	if ((uint64_t)s->n * 4 >= (uint64_t)s->cap * 3) {
		const enum err e = grow(s, k, w);
		if (e != ERR_OK)
			return e;
	}
	memcpy(s->slot[find(s, k, iv)], iv, AEAD_IV_SIZE);
	s->n++;
	return ERR_OK;
}

void seen_remove(struct seen *s, const struct hash_key *k, const uint8_t iv[AEAD_IV_SIZE])
{
	uint32_t hole;

	if (is_zero(iv)) {
		s->zero = false;
		return;
	}
	hole = find(s, k, iv);
	/* Whatever was pushed past the hole moves back into it: no tombstones, and every run stays unbroken. */
	for (uint32_t i = after(s, hole); !is_zero(s->slot[i]); i = after(s, i)) {
		uint32_t h = home(s, k, s->slot[i]);
		uint32_t from_home = i >= h ? i - h : i + (s->cap - h);
		uint32_t from_hole = i >= hole ? i - hole : i + (s->cap - hole);

		if (from_home >= from_hole) {
			memcpy(s->slot[hole], s->slot[i], AEAD_IV_SIZE);
			hole = i;
		}
	}
	memset(s->slot[hole], 0, AEAD_IV_SIZE);
	s->n--;
}

uint32_t seen_count(const struct seen *s)
{
	return s->n + s->zero;
}

void seen_clear(struct seen *s)
{
	free(s->slot);
	*s = (struct seen){0};
}
