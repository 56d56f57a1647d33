/* load.c - the start: which rows of the store live on, and under which clock. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "kek_check.h"

static const char seal_info[] = "attestd session key v1";
static const struct kek_database database = {"session database", "sessions",
					     "kek_file, or the systemd credential `kek`"};

/* A row as it was read. x is NULL if it has expired and is to be deleted. */
struct loaded {
	struct session *x;
	int64_t row, created_boot_ms;
	uint8_t *wrapped; /* only kept when the row is to be sealed anew */
	size_t wrapped_size;
};

struct load {
	struct sessions *s;
	int64_t now, last_boot_ms; /* the latter on the clock of the boot that wrote it */
	struct kek_check kek;
	struct buf boot_id, last_boot;
	bool first, rebase;
	struct loaded *v;
	size_t n, cap;
	int64_t max_row;
};

static enum err count_row(void *ctx, const struct store_session *x, struct why *w)
{
	(void)x;
	(void)w;
	++*(int64_t *)ctx;
	return ERR_OK;
}

static enum err discard(struct load *l, const char *reason, struct why *w)
{
	struct sessions *s = l->s;
	int64_t n = 0;
	enum err e = store_each_session(s->env.store, count_row, &n, w);

	if (e == ERR_OK)
		e = store_clear(s->env.store, w);
	if (e != ERR_OK)
		return e;
	log_event(s->env.log, n > 0 ? LOG_WARN : LOG_INFO, "sessions_discarded", LOG_I("count", n),
		  LOG_S("reason", reason));
	l->first = true;
	return ERR_OK;
}

static enum err read_meta(struct load *l, struct why *w)
{
	struct store *st = l->s->env.store;
	bool found = false;
	enum err e = store_meta_get(st, KEK_META_ORIGIN, &l->kek.origin, &found, w);

	l->first = !found;
	if (e == ERR_OK)
		e = store_meta_get(st, KEK_META_CHECK, &l->kek.check, &found, w);
	if (e == ERR_OK)
		e = store_meta_get(st, "boot_id", &l->boot_id, &found, w);
	if (e == ERR_OK)
		e = store_meta_get(st, "last_boot_ms", &l->last_boot, &found, w);
	return e;
}

static enum err parse_last_boot(struct load *l, struct why *w)
{
	if (l->last_boot.n != 8 || (l->last_boot.p[0] & 0xe0) != 0)
		return why_set(
			w, ERR_ENVIRONMENT,
			"the session database does not say when it was last written (last_boot_ms): it was altered; "
			"move the file away to start without sessions");
	l->last_boot_ms = (int64_t)get_be(l->last_boot.p, l->last_boot.n);
	return ERR_OK;
}

/* What becomes of the rows: kept, discarded, moved to this boot's clock, or none of these, which is fatal. */
static enum err judge(struct load *l, struct why *w)
{
	bool same_boot = bytes_equal(buf_bytes(&l->boot_id), bytes_of(l->s->boot_id, l->s->boot_id_size));
	const char *lost;
	enum err e;

	if (l->first)
		return ERR_OK;
	e = kek_check_judge(&l->kek, &database, &lost, w);
	if (e != ERR_OK)
		return e;
	/* Judged without the key, too: it may be one that somebody has put back. */
	if (l->kek.generated && !same_boot)
		lost = "they were sealed under a generated key of another boot";
	if (lost != NULL)
		return discard(l, lost, w);
	l->rebase = !same_boot;
	return l->rebase ? parse_last_boot(l, w) : ERR_OK;
}

static int64_t clamp(int64_t v, int64_t max)
{
	return v < 0 ? 0 : v > max ? max : v;
}

static enum err altered(int64_t row, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT,
		       "row %lld of the session database does not open under its key: rows were altered or swapped; "
		       "restore the file, or move it away to start without sessions",
		       (long long)row);
}

static enum err load_row(void *ctx, const struct store_session *r, struct why *w)
{
	struct load *l = ctx;
	struct sessions *s = l->s;
	struct loaded item = {.row = r->row, .created_boot_ms = r->created_boot_ms};
	struct session *x = table_new(r->scope);
	int64_t left;
	enum err e;

	if (x == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a session");
	e = rest_open(s, l->first ? bytes_of(s->boot_id, s->boot_id_size) : buf_bytes(&l->boot_id), r, x->key, w);
	if (e == ERR_SEALED || (e == ERR_OK && (r->row <= 0 || r->row == INT64_MAX)))
		e = altered(r->row, w);
	if (e != ERR_OK)
		goto out;
	/* A lifetime that was shortened since holds for old sessions too, which also keeps the list in order. */
	left = clamp(r->expires_boot_ms - (l->rebase ? l->last_boot_ms : l->now), s->env.limits.lifetime_ms);
	if (l->rebase)
		item.created_boot_ms = l->now - clamp(l->last_boot_ms - r->created_boot_ms, INT64_MAX / 4);
	x->row = r->row;
	x->created_wall_ms = r->created_wall_ms;
	x->expires_boot_ms = l->now + left;
	x->is_public = r->is_public;
	memcpy(x->id, r->id, sizeof x->id);
	memcpy(x->user_key_hash, r->user_key_hash.p, sizeof x->user_key_hash);
	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 64 : l->cap * 2;
		struct loaded *v = reallocarray(l->v, cap, sizeof *v);

		if (v == NULL) {
			e = why_set(w, ERR_MEMORY, "no memory for %zu sessions", cap);
			goto out;
		}
		l->v = v;
		l->cap = cap;
	}
	if (l->rebase && left > 0) {
		item.wrapped_size = r->wrapped.n;
		item.wrapped = malloc(r->wrapped.n + 1);
		if (item.wrapped == NULL) {
			e = why_set(w, ERR_MEMORY, "no memory for a session's wrapped key");
			goto out;
		}
		if (r->wrapped.n > 0)
			memcpy(item.wrapped, r->wrapped.p, r->wrapped.n);
	}
	if (left > 0) {
		item.x = x;
		x = NULL;
	}
	l->v[l->n++] = item;
	if (r->row > l->max_row)
		l->max_row = r->row;
out:
	session_release(x);
	return e;
}

static int by_row(const void *a, const void *b)
{
	const struct loaded *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

static int by_expiry(const void *a, const void *b)
{
	const struct loaded *x = a, *y = b;
	int64_t ex = x->x == NULL ? 0 : x->x->expires_boot_ms, ey = y->x == NULL ? 0 : y->x->expires_boot_ms;

	return ex == ey ? by_row(a, b) : (ex > ey) - (ex < ey);
}

static enum err load_seen(void *ctx, int64_t row, uint32_t number, const uint8_t *iv, struct why *w)
{
	struct load *l = ctx;
	struct loaded key = {.row = row}, *at;
	struct session *x;

	if (row <= 0 || row == INT64_MAX)
		return altered(row, w);
	if (row > l->max_row)
		l->max_row = row;
	at = l->n == 0 ? NULL : bsearch(&key, l->v, l->n, sizeof *l->v, by_row);
	if (at == NULL || at->x == NULL)
		return ERR_OK;
	x = at->x;
	if (number > x->messages)
		x->messages = number < SESSION_MESSAGES_MAX ? number : SESSION_MESSAGES_MAX;
	return seen_has(&x->seen, &l->s->hash, iv) ? ERR_OK : seen_add(&x->seen, &l->s->hash, iv, w);
}

/* A row of another boot, under this boot's clock and id. */
static enum err move_row(struct load *l, const struct loaded *r, struct why *w)
{
	uint8_t sealed[ROW_SEALED_SIZE];
	const struct session *x = r->x;
	struct store_session row = {
		.row = r->row,
		.created_wall_ms = x->created_wall_ms,
		.created_boot_ms = r->created_boot_ms,
		.expires_boot_ms = x->expires_boot_ms,
		.is_public = x->is_public,
		.user_key_hash = bytes_of(x->user_key_hash, sizeof x->user_key_hash),
		.scope = session_scope(x),
		.wrapped = bytes_of(r->wrapped, r->wrapped_size),
		.sealed = bytes_of(sealed, sizeof sealed),
	};
	enum err e;

	memcpy(row.id, x->id, sizeof row.id);
	e = rest_seal(l->s, &row, x->key, sealed, w);
	return e == ERR_OK ? store_session_put(l->s->env.store, &row, w) : e;
}

static enum err load_all(struct load *l, struct why *w)
{
	struct sessions *s = l->s;
	size_t alive = 0;
	enum err e = store_each_session(s->env.store, load_row, l, w);

	if (e != ERR_OK)
		return e;
	if (l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, by_row);
	for (size_t i = 0; i < l->n && e == ERR_OK; i++) {
		alive += l->v[i].x != NULL;
		if (l->v[i].x == NULL)
			e = store_session_delete(s->env.store, l->v[i].row, w);
		else if (l->rebase)
			e = move_row(l, &l->v[i], w);
	}
	if (e == ERR_OK)
		e = store_each_seen(s->env.store, load_seen, l, w);
	if (e != ERR_OK)
		return e;
	s->next_row = l->max_row + 1;
	if (l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, by_expiry);
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].x != NULL)
			table_append(s, l->v[i].x);
		l->v[i].x = NULL;
	}
	if (l->rebase)
		log_event(s->env.log, LOG_INFO, "sessions_moved_to_this_boot", LOG_I("count", alive),
			  LOG_I("expired", l->n - alive));
	return ERR_OK;
}

static enum err write_meta(struct load *l, struct why *w)
{
	struct sessions *s = l->s;
	enum err e = ERR_OK;

	if (l->first) {
		e = store_meta_put(s->env.store, KEK_META_ORIGIN, kek_check_origin(&l->kek), w);
		if (e == ERR_OK)
			e = store_meta_put(s->env.store, KEK_META_CHECK, secret_view(&l->kek.value), w);
	}
	if (e == ERR_OK && (l->first || l->rebase))
		e = store_meta_put(s->env.store, "boot_id", bytes_of(s->boot_id, s->boot_id_size), w);
	if (e == ERR_OK)
		e = sweep_put_last_boot(s, l->now, w);
	return e == ERR_OK ? store_commit(s->env.store, w) : e;
}

static enum err load(struct sessions *s, const struct session_kek *kek, struct why *w)
{
	struct load l = {
		.s = s,
		.now = clock_boot(s->env.clock),
		.boot_id = BUF_INIT(KEK_META_MAX),
		.last_boot = BUF_INIT(KEK_META_MAX),
	};
	enum err e = kek_check_init(&l.kek, s->env.crypto, kek, w);

	if (e == ERR_OK)
		e = read_meta(&l, w);
	if (e == ERR_OK)
		e = judge(&l, w);
	if (e == ERR_OK)
		e = load_all(&l, w);
	if (e == ERR_OK)
		e = write_meta(&l, w);
	/* The rows found at the start go with the last of the sessions that were alive then. */
	if (e == ERR_OK)
		sweep_add_mark(s, l.now, s->count > 0 ? s->edge.prev->expires_boot_ms : l.now);
	for (size_t i = 0; i < l.n; i++) {
		session_release(l.v[i].x);
		free(l.v[i].wrapped);
	}
	free(l.v);
	kek_check_free(&l.kek);
	buf_free(&l.boot_id);
	buf_free(&l.last_boot);
	return e;
}

enum err sessions_open(struct sessions **out, const struct session_env *env, const struct session_kek *kek,
		       const char *boot_id, struct why *w)
{
	struct sessions *s = calloc(1, sizeof *s);
	enum err e;

	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the session table");
	s->env = *env;
	s->next_row = 1;
	s->kek_generated = kek->generated;
	s->boot_id_size = strlen(boot_id);
	if (s->boot_id_size == 0 || s->boot_id_size > SESSION_BOOT_ID_MAX) {
		e = why_set(w, ERR_ENVIRONMENT, "the kernel's boot id has %zu characters instead of 1 to %d",
			    s->boot_id_size, SESSION_BOOT_ID_MAX);
		goto out;
	}
	memcpy(s->boot_id, boot_id, s->boot_id_size);
	e = table_init(s, w);
	if (e == ERR_OK)
		e = secret_new_locked(&s->sealing, w);
	if (e == ERR_OK)
		e = crypto_hkdf(env->crypto, secret_view(kek->key), seal_info, AEAD_KEY_SIZE, s->sealing, w);
	if (e == ERR_OK)
		e = load(s, kek, w);
	if (e == ERR_OK) {
		*out = s;
		s = NULL;
	}
out:
	sessions_close(s);
	return e;
}
