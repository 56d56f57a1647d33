/* db.h - one SQLite file that belongs to this process alone: opening it strictly, a transaction a turn, and sentences
 * for what goes wrong. Knows no table; src/store only.
 */
#ifndef ATTESTD_STORE_DB_H
#define ATTESTD_STORE_DB_H

#include <sqlite3.h>

#include "base/bytes.h"

struct db_spec {
	const char *noun;	/* in messages: "the session database" */
	int64_t application_id; /* in the file's header: whose it is */
	int64_t schema;		/* version of the tables, the file's user_version */
	const char *sql;	/* makes them in an empty file */
};

struct db;

/* ERR_ENVIRONMENT with advice: see store_open(). */
enum err db_open(struct db **out, const char *path, const struct db_spec *spec, bool power_durable,
		 struct why *w) MUST_USE;
void db_close(struct db *d); /* rolls back, checkpoints; statements must be finalized before; NULL is fine */

enum err db_prepare(struct db *d, sqlite3_stmt **out, const char *sql, struct why *w) MUST_USE;

/* Parameters count from 1. A binding that fails for lack of memory leaves NULL, which no column takes. The bytes must
 * live until the statement has run. */
void db_bind_bytes(sqlite3_stmt *st, int at, struct bytes x);
struct bytes db_column_bytes(sqlite3_stmt *st, int at); /* borrowed until the next step */

/* Opens the turn's transaction unless it is open. */
enum err db_begin(struct db *d, struct why *w) MUST_USE;
/* Runs a bound write inside the turn's transaction, begun here if there is none. */
enum err db_write(struct db *d, sqlite3_stmt *st, struct why *w) MUST_USE;
/* One row of a bound query, or *row false and the statement reset. A caller that stops early resets it. */
enum err db_row(struct db *d, sqlite3_stmt *st, bool *row, struct why *w) MUST_USE;

bool db_dirty(const struct db *d);
enum err db_commit(struct db *d, struct why *w) MUST_USE;
/* What the write-ahead log still holds of older commits is copied into the file and cut off. False: not now. */
bool db_scrub(struct db *d);

/* A row that this program cannot have written. */
enum err db_damaged(struct db *d, const char *what, struct why *w) MUST_USE;

#endif
