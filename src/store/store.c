/* store.c - the tables and their statements. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "db.h"

/* A row of `seen` has the messages of a turn, up to SEEN_TOGETHER: for each the session's row, its number and its IV. A
 * row each would cost three times as much as all else that a message asks of the store. There is no index but the row
 * numbers: the table is only ever appended to, read whole, and cut off at its old end. The lengths are limits that no
 * honest caller meets. */
enum {
	SEEN_ROW_SIZE = 8,
	SEEN_NUMBER_SIZE = 4,
	SEEN_SIZE = SEEN_ROW_SIZE + SEEN_NUMBER_SIZE + STORE_IV_SIZE,
	SEEN_TOGETHER = 64,
};
_Static_assert(SEEN_SIZE == 24 && SEEN_TOGETHER * SEEN_SIZE == 1536, "the table checks these lengths");

static const struct db_spec spec = {
	.noun = "session database",
	.application_id = 0x61747364, /* "atsd" */
	.schema = STORE_SCHEMA,
	.sql = "CREATE TABLE meta("
	       "	name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),"
	       "	value BLOB NOT NULL CHECK (length(value) <= 4096)"
	       ") STRICT, WITHOUT ROWID;"
	       "CREATE TABLE session("
	       "	row INTEGER PRIMARY KEY,"
	       "	id TEXT NOT NULL CHECK (length(id) = 43),"
	       "	created_wall_ms INTEGER NOT NULL,"
	       "	created_boot_ms INTEGER NOT NULL,"
	       "	expires_boot_ms INTEGER NOT NULL,"
	       "	is_public INTEGER NOT NULL CHECK (is_public IN (0, 1)),"
	       "	user_key_hash BLOB NOT NULL CHECK (length(user_key_hash) = 32),"
	       "	scope BLOB NOT NULL CHECK (length(scope) IN (0, 32)),"
	       "	wrapped BLOB NOT NULL CHECK (length(wrapped) BETWEEN 1 AND 1024),"
	       "	sealed BLOB NOT NULL CHECK (length(sealed) BETWEEN 29 AND 256)"
	       ") STRICT;"
	       "CREATE TABLE seen("
	       "	id INTEGER PRIMARY KEY,"
	       "	messages BLOB NOT NULL CHECK (length(messages) BETWEEN 24 AND 1536 AND length(messages) % 24 = 0)"
	       ") STRICT",
};

enum statement {
	META_GET,
	META_PUT,
	SESSION_PUT,
	SESSION_DELETE,
	SESSION_ALL,
	SESSION_CLEAR,
	SEEN_PUT,
	SEEN_ALL,
	SEEN_FIRST,
	SEEN_LAST,
	SEEN_DELETE,
	SEEN_CLEAR,
	STATEMENTS
};

static const char *const statements[STATEMENTS] = {
	[META_GET] = "SELECT value FROM meta WHERE name = ?",
	[META_PUT] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
	[SESSION_PUT] = "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SESSION_DELETE] = "DELETE FROM session WHERE row = ?",
	[SESSION_ALL] = "SELECT * FROM session ORDER BY row",
	[SESSION_CLEAR] = "DELETE FROM session",
	[SEEN_PUT] = "INSERT INTO seen VALUES (?, ?)",
	[SEEN_ALL] = "SELECT messages FROM seen ORDER BY id",
	[SEEN_FIRST] = "SELECT min(id) FROM seen",
	[SEEN_LAST] = "SELECT max(id) FROM seen",
	[SEEN_DELETE] = "DELETE FROM seen WHERE id <= ?",
	[SEEN_CLEAR] = "DELETE FROM seen",
};

struct store {
	struct db *db;
	sqlite3_stmt *st[STATEMENTS];
	uint8_t seen[SEEN_TOGETHER * SEEN_SIZE]; /* of this turn, to be written before it ends */
	size_t seen_n;				 /* bytes of it */
	int64_t seen_last; /* never falls, so that a mark stays in front of what is written after it */
};

/* The only value of a query that yields one row; 0 where it is NULL. */
static enum err one_int(struct store *s, enum statement which, int64_t *v, struct why *w)
{
	sqlite3_stmt *st = s->st[which];
	bool row;
	enum err e = db_row(s->db, st, &row, w);
	if (e == ERR_OK && row) {
		*v = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return e;
}

enum err store_open(struct store **out, const char *path, bool power_durable, struct why *w)
{
	struct store *s = calloc(1, sizeof *s);
	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory to open the session database");
	enum err e = db_open(&s->db, path, &spec, power_durable, w);
	for (unsigned i = 0; e == ERR_OK && i < STATEMENTS; i++)
		e = db_prepare(s->db, &s->st[i], statements[i], w);
	if (e == ERR_OK)
		e = one_int(s, SEEN_LAST, &s->seen_last, w);
	if (e == ERR_OK && (s->seen_last < 0 || s->seen_last > INT64_MAX / 2))
		e = db_damaged(s->db, "a seen IV has an impossible row number", w);
	if (e != ERR_OK) {
		if (e == ERR_STORE)
			w->err = e = ERR_ENVIRONMENT;
		store_close(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->st[i]);
	db_close(s->db);
	free(s);
}

enum err store_meta_get(struct store *s, const char *name, struct buf *out, bool *found, struct why *w)
{
	sqlite3_stmt *st = s->st[META_GET];
	bool row;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	enum err e = db_row(s->db, st, &row, w);
	if (e == ERR_OK && row) {
		buf_put_bytes(out, db_column_bytes(st, 0));
		e = buf_check(out, w);
		sqlite3_reset(st);
	}
	if (e == ERR_OK)
		*found = row;
	return e;
}

enum err store_meta_put(struct store *s, const char *name, struct bytes v, struct why *w)
{
	sqlite3_stmt *st = s->st[META_PUT];
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	db_bind_bytes(st, 2, v);
	return db_write(s->db, st, w);
}

enum err store_session_put(struct store *s, const struct store_session *x, struct why *w)
{
	sqlite3_stmt *st = s->st[SESSION_PUT];
	sqlite3_bind_int64(st, 1, x->row);
	sqlite3_bind_text(st, 2, x->id, STORE_ID_SIZE, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, x->created_wall_ms);
	sqlite3_bind_int64(st, 4, x->created_boot_ms);
	sqlite3_bind_int64(st, 5, x->expires_boot_ms);
	sqlite3_bind_int(st, 6, x->is_public);
	db_bind_bytes(st, 7, x->user_key_hash);
	db_bind_bytes(st, 8, x->scope);
	db_bind_bytes(st, 9, x->wrapped);
	db_bind_bytes(st, 10, x->sealed);
	return db_write(s->db, st, w);
}

enum err store_session_delete(struct store *s, int64_t row, struct why *w)
{
	sqlite3_stmt *st = s->st[SESSION_DELETE];
	sqlite3_bind_int64(st, 1, row);
	return db_write(s->db, st, w);
}

static enum err write_seen(struct store *s, struct why *w)
{
	sqlite3_stmt *st = s->st[SEEN_PUT];
	if (s->seen_n == 0)
		return ERR_OK;
	sqlite3_bind_int64(st, 1, ++s->seen_last);
	db_bind_bytes(st, 2, bytes_of(s->seen, s->seen_n));
	s->seen_n = 0;
	return db_write(s->db, st, w);
}

enum err store_seen_put(struct store *s, int64_t row, uint32_t number, const uint8_t iv[STORE_IV_SIZE], struct why *w)
{
	enum err e = db_begin(s->db, w);
	if (e == ERR_OK && s->seen_n == sizeof s->seen)
		e = write_seen(s, w);
	if (e != ERR_OK)
		return e;
	uint8_t *to = s->seen + s->seen_n;
	put_be(to, SEEN_ROW_SIZE, (uint64_t)row);
	put_be(to + SEEN_ROW_SIZE, SEEN_NUMBER_SIZE, number);
	memcpy(to + SEEN_ROW_SIZE + SEEN_NUMBER_SIZE, iv, STORE_IV_SIZE);
	s->seen_n += SEEN_SIZE;
	return ERR_OK;
}

enum err store_clear(struct store *s, struct why *w)
{
	s->seen_n = 0;
	enum err e = db_write(s->db, s->st[SESSION_CLEAR], w);
	return e == ERR_OK ? db_write(s->db, s->st[SEEN_CLEAR], w) : e;
}

/* The columns' checks held when a row was written; the file may have been changed since. */
static enum err read_session(struct store *s, sqlite3_stmt *st, struct store_session *x, struct why *w)
{
	struct bytes id = db_column_bytes(st, 1);
	*x = (struct store_session){
		.row = sqlite3_column_int64(st, 0),
		.created_wall_ms = sqlite3_column_int64(st, 2),
		.created_boot_ms = sqlite3_column_int64(st, 3),
		.expires_boot_ms = sqlite3_column_int64(st, 4),
		.is_public = sqlite3_column_int64(st, 5) != 0,
		.user_key_hash = db_column_bytes(st, 6),
		.scope = db_column_bytes(st, 7),
		.wrapped = db_column_bytes(st, 8),
		.sealed = db_column_bytes(st, 9),
	};
	if (id.n != STORE_ID_SIZE || x->user_key_hash.n != SHA256_SIZE ||
	    (x->scope.n != 0 && x->scope.n != SHA256_SIZE))
		return db_damaged(s->db, "a session's id, key hash or scope has an impossible length", w);
	memcpy(x->id, id.p, STORE_ID_SIZE);
	return ERR_OK;
}

enum err store_each_session(struct store *s, enum err (*fn)(void *ctx, const struct store_session *x, struct why *w),
			    void *ctx, struct why *w)
{
	sqlite3_stmt *st = s->st[SESSION_ALL];
	struct store_session x;
	bool row;
	enum err e;
	while ((e = db_row(s->db, st, &row, w)) == ERR_OK && row) {
		e = read_session(s, st, &x, w);
		if (e == ERR_OK)
			e = fn(ctx, &x, w);
		if (e != ERR_OK)
			break;
	}
	sqlite3_reset(st);
	return e;
}

enum err store_each_seen(struct store *s,
			 enum err (*fn)(void *ctx, int64_t row, uint32_t number, const uint8_t *iv, struct why *w),
			 void *ctx, struct why *w)
{
	sqlite3_stmt *st = s->st[SEEN_ALL];
	bool row;
	enum err e;
	while ((e = db_row(s->db, st, &row, w)) == ERR_OK && row) {
		const struct bytes messages = db_column_bytes(st, 0);
		if (messages.n == 0 || messages.n > sizeof s->seen || messages.n % SEEN_SIZE != 0)
			e = db_damaged(s->db, "the list of a turn's seen IVs has an impossible length", w);
		for (size_t at = 0; e == ERR_OK && at < messages.n; at += SEEN_SIZE) {
			const uint8_t *of = messages.p + at, *number = of + SEEN_ROW_SIZE;
			e = fn(ctx, (int64_t)get_be(of, SEEN_ROW_SIZE), (uint32_t)get_be(number, SEEN_NUMBER_SIZE),
			       number + SEEN_NUMBER_SIZE, w);
		}
		if (e != ERR_OK)
			break;
	}
	sqlite3_reset(st);
	return e;
}

int64_t store_seen_mark(const struct store *s)
{
	return s->seen_last;
}

enum err store_sweep(struct store *s, int64_t mark, unsigned limit, bool *more, struct why *w)
{
	int64_t first = 0;
	enum err e = one_int(s, SEEN_FIRST, &first, w);
	bool any = first > 0 && first <= mark;
	if (e == ERR_OK && any && limit > 0) {
		int64_t last = limit - 1 < mark - first ? first + limit - 1 : mark;
		sqlite3_bind_int64(s->st[SEEN_DELETE], 1, last);
		e = db_write(s->db, s->st[SEEN_DELETE], w);
		first = 0;
		if (e == ERR_OK)
			e = one_int(s, SEEN_FIRST, &first, w);
		any = first > 0 && first <= mark;
	}
	if (e == ERR_OK)
		*more = any;
	return e;
}

bool store_dirty(const struct store *s)
{
	return db_dirty(s->db);
}

/* A write that fails here is db_commit's to report. */
enum err store_commit(struct store *s, struct why *w)
{
	(void)!write_seen(s, w);
	return db_commit(s->db, w);
}
