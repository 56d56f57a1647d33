/* private_store.h - the SQLite file of private data: rows that come sealed, one transaction a turn, as store.h has it.
 * Part of src/store. The store knows nothing of keys: blobs come sealed, and an identity is 32 bytes.
 */
#ifndef ATTESTD_PRIVATE_STORE_H
#define ATTESTD_PRIVATE_STORE_H

#include "base/bytes.h"

enum {
	PRIVATE_STORE_SCHEMA = 1,
	PRIVATE_STORE_IDENTITY_SIZE = 32,
	PRIVATE_STORE_ID_SIZE = 22,		     /* characters: base64url of 16 random bytes */
	PRIVATE_STORE_SIZE_MAX = 64 << 20,	     /* bytes of a body */
	PRIVATE_STORE_SEALED_MAX = (64 << 20) + 256, /* with what is sealed with it */
};

struct private_store;

/* As store_open, with another application id and noun. */
enum err private_store_open(struct private_store **out, const char *path, bool power_durable, struct why *w) MUST_USE;
void private_store_close(struct private_store *s); /* NULL is fine */

enum err private_store_meta_get(struct private_store *s, const char *name, struct buf *out, bool *found,
				struct why *w) MUST_USE;
enum err private_store_meta_put(struct private_store *s, const char *name, struct bytes v, struct why *w) MUST_USE;

struct private_store_item {
	uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE];
	char id[PRIVATE_STORE_ID_SIZE];
	int64_t created_ms;  /* wall clock; printed, and part of the AAD */
	int64_t size;	     /* bytes of the body, for quotas */
	struct bytes sealed; /* iv || ciphertext || tag, over content type and body */
};
/* An id that this identity has already is ERR_STORE. */
enum err private_store_put(struct private_store *s, const struct private_store_item *x, struct why *w) MUST_USE;
/* The item of this identity and id; id empty: its latest (by the order of insertion). *found false if there is none.
 * `sealed` is appended, the other members are filled in. sealed NULL: it is not read from the disk, and of x->sealed
 * only the length is given. ERR_SEALED: a row that cannot be of this program. */
enum err private_store_get(struct private_store *s, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE],
			   struct bytes id, struct private_store_item *x, struct buf *sealed, bool *found,
			   struct why *w) MUST_USE;
/* Stages the deletion; *found false if there is none. Once it is committed the row is overwritten in the file, and cut
 * out of its log. */
enum err private_store_delete(struct private_store *s, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE],
			      struct bytes id, bool *found, struct why *w) MUST_USE;
/* Everything away; meta stays. */
enum err private_store_clear(struct private_store *s, struct why *w) MUST_USE;

struct private_store_usage {
	int64_t items, bytes;
};
/* Of one identity, or of all (NULL). Cheap: kept up to date by the same transaction. */
enum err private_store_usage(struct private_store *s, const uint8_t *identity, struct private_store_usage *out,
			     struct why *w) MUST_USE;

bool private_store_dirty(const struct private_store *s);
enum err private_store_commit(struct private_store *s, struct why *w) MUST_USE;

#endif
