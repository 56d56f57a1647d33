/* table.c - all sessions: by id, in order of expiry, and how one begins and ends. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 64, ROOM_SWEEP = 16 };

enum err table_init(struct sessions *s, struct why *w)
{
	enum err e = random_fill(&s->env.random, (uint8_t *)&s->hash, sizeof s->hash, w);

	if (e != ERR_OK)
		return e;
	s->bucket = calloc(BUCKETS_MIN, sizeof *s->bucket);
	if (s->bucket == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the session table");
	s->buckets = s->bucket_cap = BUCKETS_MIN;
	s->edge.prev = s->edge.next = &s->edge;
	return ERR_OK;
}

/* The largest power of two that is not above the number of buckets: buckets from there on were split off. */
static size_t split_base(const struct sessions *s)
{
	return (size_t)1 << (63 - __builtin_clzll(s->buckets));
}

static struct session **bucket_of(const struct sessions *s, struct bytes id)
{
	size_t base = split_base(s);
	size_t h = hash_bytes(&s->hash, id.p, id.n);
	size_t i = h & (2 * base - 1);

	return &s->bucket[i < s->buckets ? i : h & (base - 1)];
}

static struct bytes id_of(const struct session *x)
{
	return bytes_of(x->id, sizeof x->id);
}

static void chain_push(struct sessions *s, struct session *x)
{
	struct session **b = bucket_of(s, id_of(x));

	x->chain = *b;
	*b = x;
}

/* One bucket more, filled from the one bucket that its sessions were in. Without memory the chains grow instead. */
static void split(struct sessions *s)
{
	struct session *x, *next;
	size_t from;

	if (s->buckets == s->bucket_cap) {
		struct session **b = reallocarray(s->bucket, s->bucket_cap * 2, sizeof *b);

		if (b == NULL)
			return;
		s->bucket = b;
		s->bucket_cap *= 2;
	}
	from = s->buckets - split_base(s);
	x = s->bucket[from];
	s->bucket[from] = NULL;
	s->bucket[s->buckets++] = NULL;
	for (; x != NULL; x = next) {
		next = x->chain;
		chain_push(s, x);
	}
}

static void enter(struct sessions *s, struct session *x)
{
	chain_push(s, x);
	x->prev->next = x;
	x->next->prev = x;
	s->count++;
	s->public_count += x->is_public;
	s->seen_ivs += seen_count(&x->seen);
}

void table_append(struct sessions *s, struct session *x)
{
	if (s->count >= s->buckets)
		split(s);
	x->prev = s->edge.prev;
	x->next = &s->edge;
	enter(s, x);
}

void table_relink(struct sessions *s, struct session *x)
{
	enter(s, x);
}

void table_unlink(struct sessions *s, struct session *x)
{
	struct session **at = bucket_of(s, id_of(x));

	while (*at != x)
		at = &(*at)->chain;
	*at = x->chain;
	key_cache_drop(s, x);
	x->prev->next = x->next;
	x->next->prev = x->prev;
	s->count--;
	s->public_count -= x->is_public;
	s->seen_ivs -= seen_count(&x->seen);
}

struct session *table_get(struct sessions *s, struct bytes id)
{
	struct session *x;

	if (id.n != SESSION_ID_SIZE)
		return NULL;
	x = *bucket_of(s, id);
	while (x != NULL && !secret_equal(id_of(x), id))
		x = x->chain;
	return x;
}

bool session_alive(const struct sessions *s, const struct session *x)
{
	return !x->ended && clock_boot(s->env.clock) < x->expires_boot_ms;
}

enum err session_unknown(struct why *w)
{
	return why_tell(w, ERR_SESSION, NULL,
			"No live session has this id and this scope; open a new one with POST /key-exchange.");
}

uint64_t sessions_count(const struct sessions *s)
{
	return s->count;
}

uint64_t sessions_seen_ivs(const struct sessions *s)
{
	return s->seen_ivs;
}

static bool full(const struct sessions *s, bool is_public)
{
	return s->count >= s->env.limits.max_sessions ||
	       (is_public && s->public_count >= s->env.limits.public_sessions);
}

enum err session_room(struct sessions *s, bool is_public, struct why *w)
{
	bool more;

	/* Nobody is turned away for the sake of a session that has expired but was not yet swept. */
	if (full(s, is_public)) {
		enum err e = sweep_expired(s, ROOM_SWEEP, &more, w);

		if (e != ERR_OK)
			return e;
	}
	if (s->count >= s->env.limits.max_sessions)
		return why_tell(w, ERR_SESSIONS_FULL, NULL,
				"All %llu sessions are in use; end one that is no longer needed or try again later.",
				(unsigned long long)s->env.limits.max_sessions);
	if (full(s, is_public))
		return why_tell(w, ERR_SESSIONS_FULL, NULL,
				"All %llu sessions for public callers are in use; try again later.",
				(unsigned long long)s->env.limits.public_sessions);
	return ERR_OK;
}

struct session *table_new(struct bytes scope)
{
	struct session *x = calloc(1, sizeof *x + scope.n);

	if (x == NULL)
		return NULL;
	x->refs = 1;
	x->scoped = scope.n > 0;
	if (x->scoped)
		memcpy(x + 1, scope.p, scope.n);
	return x;
}

/* What is kept of a scope: its digest, or nothing. */
static enum err digest(const struct sessions *s, struct bytes scope, uint8_t room[SHA256_SIZE], struct bytes *out,
		       struct why *w)
{
	*out = bytes_of(room, scope.n > 0 ? SHA256_SIZE : 0);
	return scope.n > 0 ? crypto_sha256(s->env.crypto, scope, room, w) : ERR_OK;
}

enum err session_add(struct sessions *s, const struct session_offer *o, struct bytes scope, bool is_public,
		     struct why *w)
{
	struct bytes key = secret_view(&o->key);
	int64_t now = clock_boot(s->env.clock);
	uint8_t sealed[ROW_SEALED_SIZE], room[SHA256_SIZE];
	struct store_session row;
	struct bytes kept;
	struct session *x = NULL;
	enum err e;

	if (scope.n > SESSION_SCOPE_MAX)
		return why_tell(w, ERR_INVALID, "scope", "A scope has at most %d bytes.", SESSION_SCOPE_MAX);
	if (key.n != AEAD_KEY_SIZE || s->next_row == INT64_MAX || table_get(s, bytes_of(o->id, sizeof o->id)) != NULL)
		return why_set(w, ERR_INTERNAL, "an offer without a key, or one that was added before");
	e = session_room(s, is_public, w);
	if (e == ERR_OK)
		e = turn_reserve(s, w);
	if (e == ERR_OK)
		e = digest(s, scope, room, &kept, w);
	if (e != ERR_OK)
		goto out;
	x = table_new(kept);
	if (x == NULL) {
		e = why_set(w, ERR_MEMORY, "no memory for a session");
		goto out;
	}
	x->row = s->next_row;
	x->created_wall_ms = clock_wall(s->env.clock);
	x->expires_boot_ms = now + s->env.limits.lifetime_ms;
	x->is_public = is_public;
	memcpy(x->id, o->id, sizeof x->id);
	memcpy(x->key, key.p, sizeof x->key);
	memcpy(x->user_key_hash, o->user_key_hash, sizeof x->user_key_hash);
	row = (struct store_session){
		.row = x->row,
		.created_wall_ms = x->created_wall_ms,
		.created_boot_ms = now,
		.expires_boot_ms = x->expires_boot_ms,
		.is_public = is_public,
		.user_key_hash = bytes_of(x->user_key_hash, sizeof x->user_key_hash),
		.scope = session_scope(x),
		.wrapped = buf_bytes(&o->wrapped),
		.sealed = bytes_of(sealed, sizeof sealed),
	};
	memcpy(row.id, x->id, sizeof row.id);
	e = rest_seal(s, &row, x->key, sealed, w);
	if (e == ERR_OK)
		e = store_session_put(s->env.store, &row, w);
	if (e != ERR_OK)
		goto out;
	s->next_row++;
	table_append(s, x);
	turn_note(s, TURN_ADDED, x, NULL);
	x = NULL;
out:
	session_release(x);
	return e;
}

enum err session_find(struct sessions *s, struct bytes id, struct bytes scope, struct session **out, struct why *w)
{
	uint8_t room[SHA256_SIZE];
	struct bytes kept;
	struct session *x;
	enum err e;

	/* A longer scope than any session can have is not worth hashing. */
	if (scope.n > SESSION_SCOPE_MAX)
		return session_unknown(w);
	e = digest(s, scope, room, &kept, w);
	if (e != ERR_OK)
		return e;
	x = table_get(s, id);
	if (x == NULL || !session_alive(s, x) || !secret_equal(session_scope(x), kept))
		return session_unknown(w);
	*out = x;
	return ERR_OK;
}

void session_hold(struct session *x)
{
	x->refs++;
}

void session_release(struct session *x)
{
	if (x == NULL || --x->refs > 0)
		return;
	seen_clear(&x->seen);
	mem_wipe(x, sizeof *x + session_scope(x).n);
	free(x);
}

enum err session_end_it(struct sessions *s, struct session *x, struct why *w)
{
	enum err e = turn_reserve(s, w);

	if (e == ERR_OK)
		e = store_session_delete(s->env.store, x->row, w);
	if (e != ERR_OK)
		return e;
	table_unlink(s, x);
	x->ended = true;
	turn_note(s, TURN_ENDED, x, NULL);
	return ERR_OK;
}

enum err session_end(struct sessions *s, struct bytes id, struct why *w)
{
	struct session *x = table_get(s, id);

	if (x == NULL || !session_alive(s, x))
		return session_unknown(w);
	return session_end_it(s, x, w);
}

size_t session_list(struct sessions *s, struct session_facts *out, size_t max)
{
	int64_t now = clock_boot(s->env.clock), wall = clock_wall(s->env.clock);
	size_t n = 0;

	for (const struct session *x = s->edge.next; x != &s->edge && n < max; x = x->next) {
		struct session_facts *f = &out[n];

		if (now >= x->expires_boot_ms)
			continue;
		memcpy(f->id, x->id, sizeof f->id);
		f->created_wall_ms = x->created_wall_ms;
		f->expires_wall_ms = wall + (x->expires_boot_ms - now);
		f->messages = x->messages;
		memcpy(f->user_key_hash, x->user_key_hash, sizeof f->user_key_hash);
		n++;
	}
	return n;
}

void sessions_close(struct sessions *s)
{
	struct session *x;

	if (s == NULL)
		return;
	turn_free(s);
	while (s->bucket != NULL && (x = s->edge.next) != &s->edge) {
		table_unlink(s, x);
		x->ended = true;
		mem_wipe(x->key, sizeof x->key);
		session_release(x);
	}
	free(s->bucket);
	secret_free_locked(s->sealing);
	mem_wipe(&s->hash, sizeof s->hash);
	mem_wipe(s->pool, sizeof s->pool);
	free(s);
}
