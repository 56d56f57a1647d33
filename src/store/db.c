/* db.c - opening the file, which may come from anybody, and its transactions. */
#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct db {
	sqlite3 *h;
	char *path;
	const char *noun;
	enum err class; /* of faults: ERR_ENVIRONMENT while opening, then ERR_STORE */
	sqlite3_stmt *begin, *commit, *rollback;
	struct why cause; /* the failed write that poisons the turn; ERR_OK if there is none */
};

/* Advice comes before SQLite's own words, so that what is cut of a long message is the part that is missed least. */
static const char *advice(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "another process has it open; stop that process or set another path";
	case SQLITE_NOTADB:
		return "it is no SQLite database; move it away or set another path";
	case SQLITE_ERROR: /* all our statements are sound, so it is a table or a column that is missing */
	case SQLITE_CORRUPT:
		return "it is damaged; move it away and start again (what it held is lost)";
	case SQLITE_FULL:
		return "its file system is full; free some space";
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return "it or its directory cannot be written; give this user the right to, or set another path";
	case SQLITE_IOERR:
		return "the disk failed or is full; check it";
	default:
		return "it cannot be used";
	}
}

static enum err fault(struct db *d, int rc, struct why *w)
{
	int sys = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(d->h) : 0;
	return why_set(w, d->class, "The %s %.140s: %s (SQLite: %s, code %d%s%s).", d->noun, d->path, advice(rc),
		       d->h ? sqlite3_errmsg(d->h) : sqlite3_errstr(rc), rc, sys ? ", " : "", sys ? strerror(sys) : "");
}

enum err db_damaged(struct db *d, const char *what, struct why *w)
{
	return why_set(w, d->class, "The %s %.140s: %s (%s).", d->noun, d->path, advice(SQLITE_CORRUPT), what);
}

static enum err refuse_file(const struct db *d, int e, struct why *w)
{
	const char *text = e == ENOENT		       ? "its directory does not exist; create it"
			   : e == ENOTDIR	       ? "its directory is not a directory; set another path"
			   : e == EROFS		       ? "its file system is read-only; set another path"
			   : e == ENOSPC	       ? advice(SQLITE_FULL)
			   : e == EACCES || e == EPERM ? advice(SQLITE_PERM)
						       : "it cannot be opened";
	return why_set(w, d->class, "The %s %.140s: %s (%s).", d->noun, d->path, text, strerror(e));
}

/* SQLite would create the file with the umask's mode, and falls back to reading where it may not write. An existing
 * file is not opened here: closing it again would drop the locks that another handle of this process holds on it. */
static enum err prepare_file(const struct db *d, struct why *w)
{
	struct stat st;
	int fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd >= 0) {
		close(fd);
		return ERR_OK;
	}
	if (errno != EEXIST)
		return refuse_file(d, errno, w);
	if (stat(d->path, &st) != 0)
		return refuse_file(d, errno, w);
	if (!S_ISREG(st.st_mode))
		return why_set(w, d->class, "The %s %.140s: it is not a regular file; set another path.", d->noun,
			       d->path);
	if (faccessat(AT_FDCWD, d->path, R_OK | W_OK, AT_EACCESS) != 0)
		return refuse_file(d, errno, w);
	return ERR_OK;
}

static enum err exec(struct db *d, const char *sql, struct why *w)
{
	int rc = sqlite3_exec(d->h, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? ERR_OK : fault(d, rc, w);
}

static enum err query_int(struct db *d, const char *sql, int64_t *v, struct why *w)
{
	sqlite3_stmt *st = NULL;
	bool row = false;
	enum err e = db_prepare(d, &st, sql, w);
	if (e == ERR_OK)
		e = db_row(d, st, &row, w);
	if (e == ERR_OK && row)
		*v = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return e;
}

/* What a file's own schema could run is switched off: the file may come from somebody else. */
static void distrust(sqlite3 *h)
{
	sqlite3_db_config(h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(h, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	sqlite3_db_config(h, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(h, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_limit(h, SQLITE_LIMIT_ATTACHED, 0);
}

/* Before anything is written, so that somebody else's database stays as it was. */
static enum err check_owner(struct db *d, const struct db_spec *spec, bool *fresh, struct why *w)
{
	int64_t id = 0, schema = 0, objects = 0;
	enum err e = query_int(d, "PRAGMA application_id", &id, w);
	if (e == ERR_OK)
		e = query_int(d, "PRAGMA user_version", &schema, w);
	if (e == ERR_OK)
		e = query_int(d, "SELECT count(*) FROM sqlite_schema", &objects, w);
	if (e != ERR_OK)
		return e;
	*fresh = id == 0 && schema == 0 && objects == 0;
	if (*fresh)
		return ERR_OK;
	if (id != spec->application_id)
		return why_set(w, d->class, "The %s %.140s: it is another program's database; set another path.",
			       d->noun, d->path);
	if (schema != spec->schema)
		return why_set(w, d->class,
			       "The %s %.140s: it has schema %lld and this program knows schema %lld; run the version "
			       "that wrote it, or move it away and start again (what it held is lost).",
			       d->noun, d->path, (long long)schema, (long long)spec->schema);
	return ERR_OK;
}

static enum err use_wal(struct db *d, struct why *w)
{
	sqlite3_stmt *st = NULL;
	bool row = false;
	enum err e = db_prepare(d, &st, "PRAGMA journal_mode = WAL", w);
	if (e == ERR_OK)
		e = db_row(d, st, &row, w);
	if (e == ERR_OK && !(row && bytes_is(db_column_bytes(st, 0), "wal")))
		e = why_set(w, d->class,
			    "The %s %.140s: SQLite will not use a write-ahead log there; set another path.", d->noun,
			    d->path);
	sqlite3_finalize(st);
	return e;
}

/* Writes the header even where nothing is to be made, so that a disk that takes no writes is found out now. */
static enum err write_schema(struct db *d, const struct db_spec *spec, bool fresh, struct why *w)
{
	char sql[128];
	enum err e = exec(d, "BEGIN IMMEDIATE", w);
	if (e == ERR_OK && fresh)
		e = exec(d, spec->sql, w);
	if (e == ERR_OK) {
		snprintf(sql, sizeof sql, "PRAGMA application_id = %lld; PRAGMA user_version = %lld",
			 (long long)spec->application_id, (long long)spec->schema);
		e = exec(d, sql, w);
	}
	return e == ERR_OK ? exec(d, "COMMIT", w) : e;
}

static enum err set_up(struct db *d, const struct db_spec *spec, bool power_durable, struct why *w)
{
	bool fresh;
	enum err e = prepare_file(d, w);
	if (e != ERR_OK)
		return e;
	int rc = sqlite3_open_v2(d->path, &d->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return fault(d, rc, w);
	sqlite3_extended_result_codes(d->h, 1);
	distrust(d->h);
	/* Exclusive from the first read on: then the index of the write-ahead log is ordinary memory of ours. */
	e = exec(d, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY", w);
	if (e == ERR_OK)
		e = check_owner(d, spec, &fresh, w);
	if (e == ERR_OK)
		e = use_wal(d, w);
	if (e == ERR_OK)
		e = exec(d, power_durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF", w);
	/* A commit that fills the log also copies it into the file: 1 MiB keeps that below a millisecond. What a huge
	 * transaction makes of the log is cut back to 4 MiB. */
	if (e == ERR_OK)
		e = exec(d,
			 "PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 256;"
			 "PRAGMA journal_size_limit = 4194304",
			 w);
	if (e == ERR_OK)
		e = write_schema(d, spec, fresh, w);
	if (e == ERR_OK)
		e = db_prepare(d, &d->begin, "BEGIN IMMEDIATE", w);
	if (e == ERR_OK)
		e = db_prepare(d, &d->commit, "COMMIT", w);
	if (e == ERR_OK)
		e = db_prepare(d, &d->rollback, "ROLLBACK", w);
	return e;
}

enum err db_open(struct db **out, const char *path, const struct db_spec *spec, bool power_durable, struct why *w)
{
	struct db *d = calloc(1, sizeof *d);
	if (d == NULL)
		return why_set(w, ERR_MEMORY, "no memory to open the %s", spec->noun);
	d->noun = spec->noun;
	d->class = ERR_ENVIRONMENT;
	/* SQLite gives a meaning of its own to "file:...", ":memory:" and the empty name. */
	if (asprintf(&d->path, "%s%s", path[0] == '/' ? "" : "./", path) < 0) {
		free(d);
		return why_set(w, ERR_MEMORY, "no memory to open the %s", spec->noun);
	}
	enum err e = set_up(d, spec, power_durable, w);
	if (e != ERR_OK) {
		db_close(d);
		return e;
	}
	d->class = ERR_STORE;
	*out = d;
	return ERR_OK;
}

void db_close(struct db *d)
{
	if (d == NULL)
		return;
	sqlite3_finalize(d->begin);
	sqlite3_finalize(d->commit);
	sqlite3_finalize(d->rollback);
	sqlite3_close(d->h);
	free(d->path);
	free(d);
}

enum err db_prepare(struct db *d, sqlite3_stmt **out, const char *sql, struct why *w)
{
	int rc = sqlite3_prepare_v3(d->h, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
	return rc == SQLITE_OK ? ERR_OK : fault(d, rc, w);
}

void db_bind_bytes(sqlite3_stmt *st, int at, struct bytes x)
{
	/* A null pointer would bind NULL. */
	sqlite3_bind_blob64(st, at, x.n == 0 ? (const void *)"" : x.p, x.n, SQLITE_STATIC);
}

struct bytes db_column_bytes(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);
	return bytes_of(p, (size_t)sqlite3_column_bytes(st, at));
}

/* The reset repeats the step's error, so its result says nothing new. */
static int run(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	sqlite3_reset(st);
	return rc;
}

enum err db_begin(struct db *d, struct why *w)
{
	if (d->cause.err != ERR_OK) {
		*w = d->cause;
		return w->err;
	}
	if (!sqlite3_get_autocommit(d->h))
		return ERR_OK;
	const int rc = run(d->begin);
	if (rc == SQLITE_DONE)
		return ERR_OK;
	fault(d, rc, w);
	d->cause = *w;
	return w->err;
}

enum err db_write(struct db *d, sqlite3_stmt *st, struct why *w)
{
	const enum err e = db_begin(d, w);
	if (e != ERR_OK)
		return e;
	const int rc = run(st);
	if (rc == SQLITE_DONE)
		return ERR_OK;
	fault(d, rc, w);
	d->cause = *w;
	return w->err;
}

enum err db_row(struct db *d, sqlite3_stmt *st, bool *row, struct why *w)
{
	const bool writing = !sqlite3_get_autocommit(d->h);
	int rc = sqlite3_step(st);
	*row = rc == SQLITE_ROW;
	if (*row)
		return ERR_OK;
	sqlite3_reset(st);
	if (rc == SQLITE_DONE)
		return ERR_OK;
	fault(d, rc, w);
	/* Over some faults SQLite rolls back what was written, too: that is for the commit to report. */
	if (writing && sqlite3_get_autocommit(d->h))
		d->cause = *w;
	return w->err;
}

bool db_dirty(const struct db *d)
{
	return d->cause.err != ERR_OK || !sqlite3_get_autocommit(d->h);
}

enum err db_commit(struct db *d, struct why *w)
{
	if (!db_dirty(d))
		return ERR_OK;
	if (d->cause.err == ERR_OK) {
		int rc = run(d->commit);
		if (rc == SQLITE_DONE)
			return ERR_OK;
		fault(d, rc, &d->cause);
	}
	*w = d->cause;
	/* SQLite may have rolled back by itself. Where it cannot, the cause stays, so that nothing half done is ever
	 * committed by a later turn. */
	if (sqlite3_get_autocommit(d->h) || run(d->rollback) == SQLITE_DONE)
		d->cause.err = ERR_OK;
	return w->err;
}

bool db_scrub(struct db *d)
{
	return sqlite3_wal_checkpoint_v2(d->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK;
}
