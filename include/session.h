/* session.h - encrypted sessions: their life, their messages, their replay sets, and their form at rest.
 *
 * All functions run on the loop's thread except those marked "any thread". Changes are staged in the store's open
 * transaction; session_turn_end() tells whether it was committed, and undoes the turn's changes in memory if not, so
 * that memory and file never differ.
 *
 * A session is AES-256-GCM under one 32-byte key for both directions, one message counter for both, first message 1.
 * At rest the key is sealed under a key derived (HKDF, by purpose) from the KEK, with the row's immutable columns as
 * AAD. Sessions expire by CLOCK_BOOTTIME.
 */
#ifndef ATTESTD_SESSION_H
#define ATTESTD_SESSION_H

#include "base/clock.h"
#include "base/log.h"
#include "crypto.h"
#include "store.h"

enum {
	SESSION_ID_SIZE = 43, /* base64url of 32 random bytes */
	SESSION_SCOPE_MAX = 64,
	SESSION_KEK_SIZE = 32,
	SESSION_BOOT_ID_MAX = 64,
	SESSION_MESSAGES_MAX = 0x7fffffff,
};

/* ---- the key-encryption key ---- */
struct session_kek {
	struct secret *key; /* locked memory, owned */
	bool generated;	    /* ours, in runtime_dir; else configured */
};
/* file: kek_file or "". credential_dir: $CREDENTIALS_DIRECTORY or NULL, where a credential named `kek` is taken.
 * Neither: runtime_dir/kek is read, or made with mode 0600 (written, synced, renamed); "" is ERR_ENVIRONMENT. Exactly
 * SESSION_KEK_SIZE bytes, a regular file that others cannot read or write. */
enum err session_kek_open(struct session_kek *out, const char *file, const char *credential_dir,
			  const char *runtime_dir, const struct random *random, struct why *w) MUST_USE;
void session_kek_close(struct session_kek *k);

/* ---- all sessions ---- */
struct sessions;
struct session; /* counted references; borrowed pointers are valid until the end of the turn */

struct session_limits {
	int64_t lifetime_ms;
	uint64_t max_sessions, public_sessions, max_messages, max_seen_ivs;
};
struct session_env {
	struct store *store;
	struct crypto *crypto;
	struct random random;
	const struct clock *clock;
	struct log *log;
	struct session_limits limits;
};
/* Loads what the store holds. boot_id: this boot's, 1 to SESSION_BOOT_ID_MAX characters. Rows of a generated KEK of
 * another boot, or of a generated KEK that is gone, are dropped with one log line. A configured KEK that does not match
 * the store's check value is ERR_ENVIRONMENT, and so is a row that does not open. Rows of another boot under a
 * configured KEK live on for what was left of their time when the store was last written. The key derived from kek is
 * kept; kek may be closed afterwards.
 */
enum err sessions_open(struct sessions **out, const struct session_env *env, const struct session_kek *kek,
		       const char *boot_id, struct why *w) MUST_USE;
void sessions_close(struct sessions *s); /* wipes every key; does not touch the store; NULL is fine */

uint64_t sessions_count(const struct sessions *s);    /* alive now */
uint64_t sessions_seen_ivs(const struct sessions *s); /* kept for replay checks */

/* ---- key exchange ---- */
struct session_offer {
	char id[SESSION_ID_SIZE];
	struct secret key;
	uint8_t key_hash[SHA256_SIZE], user_key_hash[SHA256_SIZE];
	struct buf wrapped;
};
/* Any thread. Makes id and key, wraps the key for the user. ERR_BAD_KEY (told). */
enum err session_offer_make(struct crypto *c, const struct random *r, struct bytes user_pem, struct session_offer *out,
			    struct why *w) MUST_USE;
void session_offer_free(struct session_offer *o); /* wipes; NULL is fine */

/* May another session be opened? ERR_SESSIONS_FULL (told). To be asked before the work of an offer begins. */
enum err session_room(struct sessions *s, bool is_public, struct why *w) MUST_USE;
/* Makes the offered session real and stages it; checks the room once more. scope is empty for none. */
enum err session_add(struct sessions *s, const struct session_offer *o, struct bytes scope, bool is_public,
		     struct why *w) MUST_USE;

/* ---- finding ---- */
/* ERR_SESSION for unknown, ended, expired, and a scope that differs from the one it was opened with; all alike. */
enum err session_find(struct sessions *s, struct bytes id, struct bytes scope, struct session **out,
		      struct why *w) MUST_USE;
void session_hold(struct session *s);	 /* for a worker's sake: the key stays until released */
void session_release(struct session *s); /* NULL is fine */
/* Ends it: key wiped (once no worker holds it), row deleted. */
enum err session_end(struct sessions *s, struct bytes id, struct why *w) MUST_USE;

/* ---- messages ---- */
/* A message to the user takes the next number and a fresh IV whose first four bytes are that number, and is staged.
 * ERR_SESSION_SPENT after max_messages, ERR_IVS_FULL (both told). */
enum err session_send(struct sessions *s, struct session *x, uint32_t *number, uint8_t iv[AEAD_IV_SIZE],
		      struct why *w) MUST_USE;
/* A message from the user: may this IV come? ERR_REPLAY if it was seen, ERR_SESSION_SPENT, ERR_IVS_FULL. Uses up
 * nothing. */
enum err session_check(struct sessions *s, struct session *x, const uint8_t iv[AEAD_IV_SIZE], struct why *w) MUST_USE;
/* After it opened: checks all of it once more (the session may have ended meanwhile: ERR_SESSION), gives it its number,
 * and stages it. */
enum err session_receive(struct sessions *s, struct session *x, const uint8_t iv[AEAD_IV_SIZE], uint32_t *number,
			 struct why *w) MUST_USE;
/* Sizes as crypto_seal and crypto_open. away: on another thread than the loop's, which holds x. */
enum err session_seal(struct sessions *s, const struct session *x, bool away, const uint8_t iv[AEAD_IV_SIZE],
		      struct bytes plain, uint8_t *out, struct why *w) MUST_USE;
enum err session_unseal(struct sessions *s, const struct session *x, bool away, const uint8_t iv[AEAD_IV_SIZE],
			struct bytes sealed, uint8_t *out, struct why *w) MUST_USE;

/* ---- the list ---- */
struct session_facts {
	char id[SESSION_ID_SIZE];
	int64_t created_wall_ms, expires_wall_ms; /* printed only */
	uint32_t messages;
	uint8_t user_key_hash[SHA256_SIZE];
};
/* Oldest first, at most max of them. */
size_t session_list(struct sessions *s, struct session_facts *out, size_t max);

/* ---- housekeeping ---- */
/* Ends at most `limit` sessions that have expired and, once none is left, sweeps at most `rows` seen rows that nobody
 * needs any more; true if there is more. A turn with messages writes one such row: unless more than that can be swept
 * meanwhile, the file grows without bound. */
bool session_sweep(struct sessions *s, unsigned limit, unsigned rows);
/* After store_commit: with false, everything of this turn is undone in memory. */
void session_turn_end(struct sessions *s, bool committed);

#endif
