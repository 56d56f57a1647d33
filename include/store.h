/* store.h - the only user of sqlite3: sessions and seen IVs, one transaction a turn.
 *
 * Writes open a transaction when there is none; store_commit() ends it. A write that fails poisons the transaction:
 * every later write of the turn fails too, and store_commit() rolls back and reports it, so that nothing is half done.
 * WAL, exclusive locking; durability `process` is synchronous=OFF (an acknowledged write survives kill -9), `power` is
 * FULL. The store knows nothing of keys: blobs come sealed.
 *
 * Tables: meta (one row a name), session (one row each), seen (append-only; a row has the session, number and IV of
 * each message of a turn, up to 64). A message's number is kept beside its IV, so a session's message count is the
 * highest number among its messages and nothing else need be written for one. Deleting a session deletes its row at
 * once; its messages go by store_sweep().
 */
#ifndef ATTESTD_STORE_H
#define ATTESTD_STORE_H

#include "base/bytes.h"

enum { STORE_SCHEMA = 2, STORE_ID_SIZE = 43, STORE_IV_SIZE = 12 };

struct store;

/* Creates the file with mode 0600 if absent. ERR_ENVIRONMENT with a sentence that says what to do when it is missing
 * its directory, not writable, locked by another process, corrupt, not ours, or of a newer schema. */
enum err store_open(struct store **out, const char *path, bool power_durable, struct why *w) MUST_USE;
void store_close(struct store *s); /* rolls back what is open; checkpoints; NULL is fine */

/* meta: small named blobs. get: *found false if absent. */
enum err store_meta_get(struct store *s, const char *name, struct buf *out, bool *found, struct why *w) MUST_USE;
enum err store_meta_put(struct store *s, const char *name, struct bytes v, struct why *w) MUST_USE;

struct store_session {
	int64_t row; /* rowid, chosen by the session layer, never reused while its seen rows exist */
	char id[STORE_ID_SIZE];
	int64_t created_wall_ms; /* printed only */
	int64_t created_boot_ms, expires_boot_ms;
	bool is_public;		    /* opened through the public listener */
	struct bytes user_key_hash; /* SHA-256 of the user's SPKI */
	struct bytes scope;	    /* SHA-256 of the scope, or empty */
	struct bytes wrapped;	    /* the RSA-wrapped key as it was handed out */
	struct bytes sealed;	    /* iv || ciphertext || tag */
};
enum err store_session_put(struct store *s, const struct store_session *x,
			   struct why *w) MUST_USE; /* insert or replace */
enum err store_session_delete(struct store *s, int64_t row, struct why *w) MUST_USE;
enum err store_seen_put(struct store *s, int64_t row, uint32_t number, const uint8_t iv[STORE_IV_SIZE],
			struct why *w) MUST_USE;
/* Everything away: sessions and seen messages; meta stays. */
enum err store_clear(struct store *s, struct why *w) MUST_USE;

/* Loading, before serving. fn's bytes are borrowed for the call; a fault from fn ends the walk. Seen messages come in
 * the order written, those of deleted sessions included, up to 64 of the open transaction left out. */
enum err store_each_session(struct store *s, enum err (*fn)(void *ctx, const struct store_session *x, struct why *w),
			    void *ctx, struct why *w) MUST_USE;
enum err store_each_seen(struct store *s,
			 enum err (*fn)(void *ctx, int64_t row, uint32_t number, const uint8_t *iv, struct why *w),
			 void *ctx, struct why *w) MUST_USE;

/* A position behind every seen row of the turns that have ended, and deletion of at most `limit` rows in front of one.
 * *more tells whether rows in front of `mark` are left. */
int64_t store_seen_mark(const struct store *s);
enum err store_sweep(struct store *s, int64_t mark, unsigned limit, bool *more, struct why *w) MUST_USE;

bool store_dirty(const struct store *s); /* a transaction is open: replies must wait for store_commit */
/* Ends the turn's transaction. ERR_STORE: rolled back, nothing of the turn was kept. ERR_OK if there was none. */
enum err store_commit(struct store *s, struct why *w) MUST_USE;

#endif
