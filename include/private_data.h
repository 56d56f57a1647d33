/* private_data.h - what callers have stored: any body, sealed at rest under a key derived from a key-encryption key,
 * found again by the identity that stored it. Part of src/session.
 *
 * A row is sealed with AES-256-GCM; its AAD holds identity, id, time and size, so that no row can be given to another,
 * and content type and body are inside. A row that does not open is ERR_SEALED and never data. What nobody can notice
 * here is the roll-back of the whole file, or rows deleted from it, by whoever owns the disk: docs/SECURITY.md says so.
 * On the loop's thread but for what is marked.
 */
#ifndef ATTESTD_PRIVATE_DATA_H
#define ATTESTD_PRIVATE_DATA_H

#include "base/clock.h"
#include "base/log.h"
#include "crypto.h"
#include "private_store.h"
#include "session.h"

enum {
	PRIVATE_DATA_TYPE_MAX = 128, /* bytes of a content type */
	PRIVATE_DATA_ID_SIZE = PRIVATE_STORE_ID_SIZE,
	PRIVATE_DATA_SIZE_MAX = PRIVATE_STORE_SIZE_MAX, /* bytes of a body, whatever the limits say */
};

struct private_data_limits {
	int64_t max_items, max_bytes;		  /* of one identity */
	int64_t max_total_items, max_total_bytes; /* of all */
};
struct private_data;
/* kek: as of sessions (session.h), from ENCLAVE_KEY_BASE64, a credential, a file, or generated; rows of a generated one
 * that is gone are dropped with one log line, a configured one that does not fit the file is ERR_ENVIRONMENT. The key
 * derived from it is kept; kek may be closed afterwards. store, crypto, clock and log are borrowed. */
enum err private_data_open(struct private_data **out, struct private_store *store, struct crypto *crypto,
			   struct random random, const struct clock *clock, struct log *log,
			   const struct session_kek *kek, const struct private_data_limits *limits,
			   struct why *w) MUST_USE;
void private_data_close(struct private_data *p); /* NULL is fine */

/* A row on its way: id, time and size are set by begin, `sealed` by seal. */
struct private_data_row {
	uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE];
	char id[PRIVATE_DATA_ID_SIZE];
	int64_t created_ms;
	size_t size; /* of the body */
	struct buf sealed;
};
/* Is there room for `size` bytes more? ERR_QUOTA, told: which limit, and what to delete; ERR_PRIVATE_FULL, told, where
 * it is a limit of all identities together. ERR_TOO_LARGE, told. Fills in the row, which the caller frees, whatever
 * becomes of it. */
enum err private_data_begin(struct private_data *p, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE], size_t size,
			    struct private_data_row *row, struct why *w) MUST_USE;
/* Any thread. ERR_INVALID, told: the content type is not printable ASCII of the form TYPE/SUBTYPE or TYPE/SUBTYPE;
 * PARAMETERS, or longer than PRIVATE_DATA_TYPE_MAX. What is stored is therefore fit to be a header's value again. */
enum err private_data_seal(const struct private_data *p, struct private_data_row *row, struct bytes content_type,
			   struct bytes body, struct why *w) MUST_USE;
/* Asks for the room once more and stages the row, of which no pointer is kept: it is stored when the turn is committed.
 */
enum err private_data_put(struct private_data *p, const struct private_data_row *row, struct why *w) MUST_USE;

/* The row of this id, or the latest (id empty), without what is sealed: row->sealed is empty, and its max is how many
 * bytes private_data_read will bring in. The caller frees it. ERR_NOT_FOUND, told, alike for none and somebody
 * else's. An id may be any bytes: what is no id is not found. */
enum err private_data_find(struct private_data *p, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE], struct bytes id,
			   struct private_data_row *row, struct why *w) MUST_USE;
/* The sealed bytes of a row that was found in this turn. */
enum err private_data_read(struct private_data *p, struct private_data_row *row, struct why *w) MUST_USE;
/* Any thread. Appends to both. Plaintext is opened where it is to stand: `body` needs room for row->sealed.n bytes, and
 * `content_type` for PRIVATE_DATA_TYPE_MAX. ERR_SEALED. */
enum err private_data_unseal(const struct private_data *p, const struct private_data_row *row, struct buf *content_type,
			     struct buf *body, struct why *w) MUST_USE;
void private_data_row_free(struct private_data_row *row); /* wipes; NULL is fine */
/* Stages it: gone when the turn is committed. ERR_NOT_FOUND as above; an id is needed. */
enum err private_data_delete(struct private_data *p, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE],
			     struct bytes id, struct why *w) MUST_USE;
enum err private_data_usage(struct private_data *p, struct private_store_usage *out,
			    struct why *w) MUST_USE; /* of all */

#endif
