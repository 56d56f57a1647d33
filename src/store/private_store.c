/* private_store.c - the tables of private data and their statements. */
#include "private_store.h"

#include <stdlib.h>
#include <string.h>

#include "db.h"

/* A row's number is never used twice, so the highest is the latest. `sealed` stands last, so that whoever reads the
 * other columns reads none of its pages. `tally` has a row an identity that has items, and one, with an empty identity,
 * for all: what a quota asks for costs one look-up however many items there are. */
static const struct db_spec spec = {
	.noun = "private-data database",
	.application_id = 0x61747064, /* "atpd" */
	.schema = PRIVATE_STORE_SCHEMA,
	.sql = "CREATE TABLE meta("
	       "	name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),"
	       "	value BLOB NOT NULL CHECK (length(value) <= 4096)"
	       ") STRICT, WITHOUT ROWID;"
	       "CREATE TABLE item("
	       "	row INTEGER PRIMARY KEY AUTOINCREMENT,"
	       "	identity BLOB NOT NULL CHECK (length(identity) = 32),"
	       "	id BLOB NOT NULL CHECK (length(id) = 22),"
	       "	created_ms INTEGER NOT NULL,"
	       "	size INTEGER NOT NULL CHECK (size BETWEEN 0 AND 67108864),"
	       "	sealed BLOB NOT NULL CHECK (length(sealed) <= 67109120),"
	       "	UNIQUE (identity, id)"
	       ") STRICT;"
	       "CREATE INDEX item_identity ON item(identity);"
	       "CREATE TABLE tally("
	       "	identity BLOB NOT NULL PRIMARY KEY CHECK (length(identity) IN (0, 32)),"
	       "	items INTEGER NOT NULL CHECK (items >= 0),"
	       "	bytes INTEGER NOT NULL CHECK (bytes >= 0)"
	       ") STRICT, WITHOUT ROWID",
};

_Static_assert(PRIVATE_STORE_IDENTITY_SIZE == 32 && PRIVATE_STORE_ID_SIZE == 22 && PRIVATE_STORE_SIZE_MAX == 67108864 &&
		       PRIVATE_STORE_SEALED_MAX == 67109120,
	       "the tables know the sizes");

enum statement {
	META_GET,
	META_PUT,
	ITEM_PUT,
	ITEM_GET,
	ITEM_LATEST,
	ITEM_SEALED,
	ITEM_FIND,
	ITEM_DELETE,
	ITEM_CLEAR,
	TALLY_GET,
	TALLY_ADD,
	TALLY_TAKE,
	TALLY_DROP,
	TALLY_CLEAR,
	STATEMENTS
};

static const char *const statements[STATEMENTS] = {
	[META_GET] = "SELECT value FROM meta WHERE name = ?",
	[META_PUT] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
	[ITEM_PUT] = "INSERT INTO item VALUES (NULL, ?, ?, ?, ?, ?)",
	[ITEM_GET] = "SELECT row, id, created_ms, size, length(sealed) FROM item WHERE identity = ? AND id = ?",
	[ITEM_LATEST] =
		"SELECT row, id, created_ms, size, length(sealed) FROM item WHERE identity = ? ORDER BY row DESC LIMIT 1",
	[ITEM_SEALED] = "SELECT sealed FROM item WHERE row = ?",
	[ITEM_FIND] = "SELECT row, size FROM item WHERE identity = ? AND id = ?",
	[ITEM_DELETE] = "DELETE FROM item WHERE row = ?",
	[ITEM_CLEAR] = "DELETE FROM item",
	[TALLY_GET] = "SELECT items, bytes FROM tally WHERE identity = ?",
	[TALLY_ADD] =
		"INSERT INTO tally VALUES (?1, 1, ?2) ON CONFLICT DO UPDATE SET items = items + 1, bytes = bytes + ?2",
	[TALLY_TAKE] = "UPDATE tally SET items = items - 1, bytes = bytes - ?2 WHERE identity = ?1",
	[TALLY_DROP] = "DELETE FROM tally WHERE identity = ? AND items = 0",
	[TALLY_CLEAR] = "DELETE FROM tally",
};

/* Rows that only one side has: none, where the totals are the rows'. */
static const char totals_differ[] = "WITH counted AS (SELECT identity, count(*), sum(size) FROM item GROUP BY identity"
				    "	UNION ALL SELECT x'', count(*), sum(size) FROM item HAVING count(*) > 0) "
				    "SELECT EXISTS (SELECT * FROM counted EXCEPT SELECT * FROM tally)"
				    "	OR EXISTS (SELECT * FROM tally EXCEPT SELECT * FROM counted)";

struct private_store {
	struct db *db;
	sqlite3_stmt *st[STATEMENTS];
	bool scrub; /* something was deleted, and the log may still hold it */
};

static enum err check_totals(struct private_store *s, struct why *w)
{
	sqlite3_stmt *st = NULL;
	bool row;
	enum err e = db_prepare(s->db, &st, totals_differ, w);
	if (e == ERR_OK)
		e = db_row(s->db, st, &row, w);
	if (e == ERR_OK && !(row && sqlite3_column_int64(st, 0) == 0))
		e = db_damaged(s->db, "its totals are not those of its rows", w);
	sqlite3_finalize(st);
	return e;
}

enum err private_store_open(struct private_store **out, const char *path, bool power_durable, struct why *w)
{
	struct private_store *s = calloc(1, sizeof *s);
	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory to open the private-data database");
	enum err e = db_open(&s->db, path, &spec, power_durable, w);
	for (unsigned i = 0; e == ERR_OK && i < STATEMENTS; i++)
		e = db_prepare(s->db, &s->st[i], statements[i], w);
	if (e == ERR_OK)
		e = check_totals(s, w);
	if (e != ERR_OK) {
		if (e == ERR_STORE)
			w->err = e = ERR_ENVIRONMENT;
		private_store_close(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void private_store_close(struct private_store *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->st[i]);
	db_close(s->db);
	free(s);
}

enum err private_store_meta_get(struct private_store *s, const char *name, struct buf *out, bool *found, struct why *w)
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

enum err private_store_meta_put(struct private_store *s, const char *name, struct bytes v, struct why *w)
{
	sqlite3_stmt *st = s->st[META_PUT];
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	db_bind_bytes(st, 2, v);
	return db_write(s->db, st, w);
}

/* The empty identity is that of all. */
static struct bytes owner(const uint8_t *identity)
{
	return bytes_of(identity, identity == NULL ? 0 : PRIVATE_STORE_IDENTITY_SIZE);
}

static enum err tally(struct private_store *s, enum statement how, const uint8_t *identity, int64_t size, struct why *w)
{
	sqlite3_stmt *st = s->st[how];
	db_bind_bytes(st, 1, owner(identity));
	if (how != TALLY_DROP)
		sqlite3_bind_int64(st, 2, size);
	return db_write(s->db, st, w);
}

enum err private_store_put(struct private_store *s, const struct private_store_item *x, struct why *w)
{
	sqlite3_stmt *st = s->st[ITEM_PUT];
	db_bind_bytes(st, 1, owner(x->identity));
	db_bind_bytes(st, 2, bytes_of(x->id, sizeof x->id));
	sqlite3_bind_int64(st, 3, x->created_ms);
	sqlite3_bind_int64(st, 4, x->size);
	db_bind_bytes(st, 5, x->sealed);
	enum err e = db_write(s->db, st, w);
	if (e == ERR_OK)
		e = tally(s, TALLY_ADD, x->identity, x->size, w);
	return e == ERR_OK ? tally(s, TALLY_ADD, NULL, x->size, w) : e;
}

/* The columns' checks held when a row was written; the file may have been changed since. */
static enum err read_facts(sqlite3_stmt *st, int64_t *row, struct private_store_item *x, struct why *w)
{
	struct bytes id = db_column_bytes(st, 1);
	int64_t size = sqlite3_column_int64(st, 3), sealed_n = sqlite3_column_int64(st, 4);
	if (id.n != PRIVATE_STORE_ID_SIZE || size < 0 || size > PRIVATE_STORE_SIZE_MAX || sealed_n < 0 ||
	    sealed_n > PRIVATE_STORE_SEALED_MAX)
		return why_set(w, ERR_SEALED,
			       "a row of the private-data database has a size that this program never writes");
	*row = sqlite3_column_int64(st, 0);
	memcpy(x->id, id.p, sizeof x->id);
	x->created_ms = sqlite3_column_int64(st, 2);
	x->size = size;
	x->sealed = bytes_of(NULL, (size_t)sealed_n);
	return ERR_OK;
}

static enum err read_sealed(struct private_store *s, int64_t number, struct buf *sealed, struct why *w)
{
	sqlite3_stmt *st = s->st[ITEM_SEALED];
	bool row;
	sqlite3_bind_int64(st, 1, number);
	enum err e = db_row(s->db, st, &row, w);
	if (e == ERR_OK && !row)
		return db_damaged(s->db, "a row is in its index alone", w);
	if (e == ERR_OK) {
		buf_put_bytes(sealed, db_column_bytes(st, 0));
		e = buf_check(sealed, w);
		sqlite3_reset(st);
	}
	return e;
}

enum err private_store_get(struct private_store *s, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE],
			   struct bytes id, struct private_store_item *x, struct buf *sealed, bool *found,
			   struct why *w)
{
	sqlite3_stmt *st = s->st[id.n == 0 ? ITEM_LATEST : ITEM_GET];
	struct private_store_item read;
	int64_t number = 0;
	bool row;
	db_bind_bytes(st, 1, owner(identity));
	if (id.n > 0)
		db_bind_bytes(st, 2, id);
	enum err e = db_row(s->db, st, &row, w);
	if (e == ERR_OK && row) {
		e = read_facts(st, &number, &read, w);
		sqlite3_reset(st);
		if (e == ERR_OK && sealed != NULL)
			e = read_sealed(s, number, sealed, w);
	}
	if (e != ERR_OK)
		return e;
	if (row) {
		memcpy(read.identity, identity, sizeof read.identity);
		if (sealed != NULL)
			read.sealed = buf_bytes(sealed);
		*x = read;
	}
	*found = row;
	return ERR_OK;
}

enum err private_store_delete(struct private_store *s, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE],
			      struct bytes id, bool *found, struct why *w)
{
	sqlite3_stmt *st = s->st[ITEM_FIND];
	const uint8_t *const owners[] = {identity, NULL};
	bool row;
	db_bind_bytes(st, 1, owner(identity));
	db_bind_bytes(st, 2, id);
	enum err e = db_row(s->db, st, &row, w);
	if (e == ERR_OK && row) {
		int64_t number = sqlite3_column_int64(st, 0), size = sqlite3_column_int64(st, 1);
		sqlite3_reset(st);
		s->scrub = true;
		sqlite3_bind_int64(s->st[ITEM_DELETE], 1, number);
		e = db_write(s->db, s->st[ITEM_DELETE], w);
		for (unsigned i = 0; e == ERR_OK && i < 2; i++) {
			e = tally(s, TALLY_TAKE, owners[i], size, w);
			if (e == ERR_OK)
				e = tally(s, TALLY_DROP, owners[i], 0, w);
		}
	}
	if (e == ERR_OK)
		*found = row;
	return e;
}

enum err private_store_clear(struct private_store *s, struct why *w)
{
	s->scrub = true;
	enum err e = db_write(s->db, s->st[ITEM_CLEAR], w);
	return e == ERR_OK ? db_write(s->db, s->st[TALLY_CLEAR], w) : e;
}

enum err private_store_usage(struct private_store *s, const uint8_t *identity, struct private_store_usage *out,
			     struct why *w)
{
	sqlite3_stmt *st = s->st[TALLY_GET];
	bool row;
	db_bind_bytes(st, 1, owner(identity));
	enum err e = db_row(s->db, st, &row, w);
	if (e != ERR_OK)
		return e;
	*out = (struct private_store_usage){0};
	if (row) {
		*out = (struct private_store_usage){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)};
		sqlite3_reset(st);
	}
	return ERR_OK;
}

bool private_store_dirty(const struct private_store *s)
{
	return db_dirty(s->db);
}

/* Deleted pages are overwritten with zeros (secure_delete), but the log keeps what was in them until it comes round
 * again. Where it cannot be cut off now, the next commit tries. */
enum err private_store_commit(struct private_store *s, struct why *w)
{
	enum err e = db_commit(s->db, w);
	if (e == ERR_OK && s->scrub)
		s->scrub = !db_scrub(s->db);
	return e;
}
