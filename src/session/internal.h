/* internal.h - what the files of src/session share.
 *
 * table.c owns the table and a session's life, turn.c the undo log, seen.c one session's replay set and the hash that
 * it and the table use, messages.c numbers and keys in use, key_cache.c expanded keys, rest.c the form at rest, load.c
 * the start, sweep.c housekeeping, offer.c what a session begins with. The others (kek*.c, keys.c, private_data.c,
 * peer_*.c, user_*.c) stand alone.
 */
#ifndef ATTESTD_SESSION_INTERNAL_H
#define ATTESTD_SESSION_INTERNAL_H

#include "session.h"

enum {
	ROW_SEALED_SIZE = AEAD_IV_SIZE + AEAD_KEY_SIZE + AEAD_TAG_SIZE,
	HASH_WORDS = (SESSION_ID_SIZE + 3) / 4,
	MARKS_PER_LIFETIME = 32,
	MARKS_MAX = 64,
	LAST_BOOT_EVERY_MS = 10000,
	KEY_CACHE_SIZE = 1024, /* sessions whose keys are kept expanded, of 1.3 kB each */
	IV_RANDOM_SIZE = 8,    /* of an IV of ours, behind its number */
	IV_POOL_SIZE = 64 * IV_RANDOM_SIZE,
};

_Static_assert((int)STORE_ID_SIZE == (int)SESSION_ID_SIZE, "the store keeps a session's whole id");
_Static_assert((int)STORE_IV_SIZE == (int)AEAD_IV_SIZE, "the store keeps a message's whole IV");

/* ---- the keyed hash of the table and of the replay sets ---- */
/* Ids and IVs come from outsiders, so without a random key they could choose ones that collide. Multiply-shift over
 * 32-bit words is universal; the last step breaks up the runs that IVs counted upward would make. */
struct hash_key {
	uint64_t k[HASH_WORDS + 1];
};
/* n at most 4 * HASH_WORDS. */
uint32_t hash_bytes(const struct hash_key *k, const uint8_t *p, size_t n);

/* ---- one session's replay set: exact; all zero at first ---- */
/* An all-zero slot is free, so the all-zero IV, which a user may well send, is a flag of its own. */
struct seen {
	uint8_t (*slot)[AEAD_IV_SIZE];
	uint32_t cap;		   /* slots */
	uint32_t n : 31, zero : 1; /* slots in use; 31 bits, so that a set takes 16 bytes of each session */
};
bool seen_has(const struct seen *s, const struct hash_key *k, const uint8_t iv[AEAD_IV_SIZE]);
/* iv is not there yet. */
enum err seen_add(struct seen *s, const struct hash_key *k, const uint8_t iv[AEAD_IV_SIZE], struct why *w) MUST_USE;
/* iv is there. */
void seen_remove(struct seen *s, const struct hash_key *k, const uint8_t iv[AEAD_IV_SIZE]);
uint32_t seen_count(const struct seen *s);
void seen_clear(struct seen *s); /* frees what it holds; all zero again */

/* ---- one session ---- */
/* What a message needs stands together: of a thousand sessions it mostly is in no cache. */
struct session {
	struct session *chain; /* the next one in its bucket */
	char id[SESSION_ID_SIZE];
	bool is_public, ended, scoped;
	int64_t expires_boot_ms;
	struct seen seen;
	int64_t row;
	uint32_t messages;
	uint32_t refs;		     /* the table or the turn's log, and workers */
	struct session *prev, *next; /* in order of expiry; kept after the end of a session, for undo */
	int64_t created_wall_ms;
	uint8_t key[AEAD_KEY_SIZE], user_key_hash[SHA256_SIZE];
};
/* The scope's SHA256_SIZE bytes are behind the session: most have none, and there may be millions. Not a flexible
 * array: struct sessions holds a session (edge). */
static inline struct bytes session_scope(const struct session *x)
{
	return bytes_of(x + 1, x->scoped ? SHA256_SIZE : 0);
}

/* ---- the turn's log ---- */
enum turn_kind { TURN_ADDED, TURN_ENDED, TURN_MESSAGE };
struct turn_entry {
	enum turn_kind kind;
	uint8_t iv[AEAD_IV_SIZE]; /* of a message */
	struct session *x;	  /* a reference of its own only for TURN_ENDED */
};
struct turn {
	struct turn_entry *e;
	size_t n, cap;
};

/* Seen rows in front of `mark` belong to sessions that are gone at `due`. */
struct seen_mark {
	int64_t mark, due_boot_ms;
};

/* An expanded key and whose it is. */
struct key_slot {
	int64_t row;
	struct crypto_aead *key;
};

/* ---- all sessions ---- */
struct sessions {
	struct session_env env;
	struct secret *sealing; /* locked */
	bool kek_generated;
	char boot_id[SESSION_BOOT_ID_MAX];
	size_t boot_id_size;

	struct hash_key hash;
	struct session **bucket; /* grows by one bucket a session (linear hashing), so no insertion moves them all */
	size_t buckets, bucket_cap;
	struct session edge; /* edge.next is the first to expire, edge.prev the last */
	uint64_t count, public_count, seen_ivs;
	int64_t next_row;

	uint8_t pool[IV_POOL_SIZE]; /* random bytes fetched ahead: a fetch costs more than all else of a message */
	size_t pool_left;

	struct key_slot key_cache[KEY_CACHE_SIZE]; /* by row: sessions that follow each other have slots of their own */

	struct turn turn;
	struct seen_mark mark[MARKS_MAX]; /* a ring: mark[(mark_first + i) % MARKS_MAX], i < marks */
	size_t mark_first, marks;
	int64_t last_mark, last_mark_boot_ms, last_boot_ms;
};

/* table.c */
enum err table_init(struct sessions *s, struct why *w) MUST_USE;
/* scope: its digest, or empty. Of one reference, in no table yet, all else zero; NULL without memory. */
struct session *table_new(struct bytes scope);
struct session *table_get(struct sessions *s, struct bytes id);
void table_append(struct sessions *s, struct session *x); /* last to expire; takes the reference */
void table_relink(struct sessions *s, struct session *x); /* where it was, if all since was undone */
void table_unlink(struct sessions *s, struct session *x); /* hands the reference to the caller */
bool session_alive(const struct sessions *s, const struct session *x);
enum err session_unknown(struct why *w);
enum err session_end_it(struct sessions *s, struct session *x, struct why *w) MUST_USE;

/* key_cache.c, for the loop's thread and sessions of the table. The key is borrowed until the next call. */
enum err key_cache_get(struct sessions *s, const struct session *x, struct crypto_aead **out, struct why *w) MUST_USE;
void key_cache_drop(struct sessions *s, const struct session *x); /* wipes it */

/* turn.c: reserve before anything is changed, note after. */
enum err turn_reserve(struct sessions *s, struct why *w) MUST_USE;
void turn_note(struct sessions *s, enum turn_kind kind, struct session *x, const uint8_t *iv);
void turn_free(struct sessions *s);

/* rest.c: x->sealed is not read by seal. open gives ERR_SEALED if any column differs from when it was sealed. */
enum err rest_seal(const struct sessions *s, const struct store_session *x, const uint8_t key[AEAD_KEY_SIZE],
		   uint8_t out[ROW_SEALED_SIZE], struct why *w) MUST_USE;
enum err rest_open(const struct sessions *s, struct bytes boot_id, const struct store_session *x,
		   uint8_t key[AEAD_KEY_SIZE], struct why *w) MUST_USE;

/* sweep.c */
enum err sweep_expired(struct sessions *s, unsigned limit, bool *more, struct why *w) MUST_USE;
enum err sweep_put_last_boot(struct sessions *s, int64_t now, struct why *w) MUST_USE;
void sweep_add_mark(struct sessions *s, int64_t now, int64_t due);

#endif
