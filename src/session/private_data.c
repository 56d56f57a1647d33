/* private_data.c - rows of private data: room for them, their sealed form, and whose they are. */
#include "private_data.h"

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "kek_check.h"

enum {
	ID_RANDOM_SIZE = 16,
	TYPE_LENGTH_SIZE = 1, /* in front of the content type, inside what is sealed */
	OVERHEAD_MAX = AEAD_IV_SIZE + TYPE_LENGTH_SIZE + PRIVATE_DATA_TYPE_MAX + AEAD_TAG_SIZE,
	NUMBER_SIZE = 8,
};

static const char seal_info[] = "attestd private data v1";
static const char aad_label[] = "attestd private data row v1";
static const struct kek_database database = {"private-data database", "private data",
					     "ENCLAVE_KEY_BASE64, kek_file, or the systemd credential `kek`"};

enum { AAD_SIZE = sizeof aad_label + PRIVATE_STORE_IDENTITY_SIZE + PRIVATE_DATA_ID_SIZE + 2 * NUMBER_SIZE };

_Static_assert(BASE64URL_SIZE(ID_RANDOM_SIZE) == PRIVATE_DATA_ID_SIZE, "an id is 16 random bytes");
_Static_assert(PRIVATE_DATA_TYPE_MAX <= UINT8_MAX, "a content type's length is one byte");
_Static_assert(OVERHEAD_MAX <= PRIVATE_STORE_SEALED_MAX - PRIVATE_STORE_SIZE_MAX, "the store takes every row");

struct private_data {
	struct private_store *store;
	struct crypto *crypto;
	struct random random;
	const struct clock *clock;
	struct secret *key; /* locked */
	struct private_data_limits limits;
};

/* ---- the start ---- */

static enum err discard(struct private_store *store, struct log *log, const char *reason, struct why *w)
{
	struct private_store_usage use;
	enum err e = private_store_usage(store, NULL, &use, w);

	if (e == ERR_OK)
		e = private_store_clear(store, w);
	if (e == ERR_OK)
		log_event(log, use.items > 0 ? LOG_WARN : LOG_INFO, "private_data_discarded", LOG_I("count", use.items),
			  LOG_S("reason", reason));
	return e;
}

/* As for sessions, but for the boot: rows have no clock that a boot would set back, so they live as long as the key. */
static enum err check_key(struct private_store *store, struct crypto *c, struct log *log, const struct session_kek *kek,
			  struct why *w)
{
	struct kek_check k;
	const char *lost = NULL;
	bool known = false, has_check = false;
	enum err e = kek_check_init(&k, c, kek, w);

	if (e == ERR_OK)
		e = private_store_meta_get(store, KEK_META_ORIGIN, &k.origin, &known, w);
	if (e == ERR_OK)
		e = private_store_meta_get(store, KEK_META_CHECK, &k.check, &has_check, w);
	if (e == ERR_OK && known)
		e = kek_check_judge(&k, &database, &lost, w);
	if (e == ERR_OK && lost != NULL)
		e = discard(store, log, lost, w);
	if (e == ERR_OK && (!known || lost != NULL)) {
		e = private_store_meta_put(store, KEK_META_ORIGIN, kek_check_origin(&k), w);
		if (e == ERR_OK)
			e = private_store_meta_put(store, KEK_META_CHECK, secret_view(&k.value), w);
	}
	if (e == ERR_OK)
		e = private_store_commit(store, w);
	kek_check_free(&k);
	return e;
}

enum err private_data_open(struct private_data **out, struct private_store *store, struct crypto *crypto,
			   struct random random, const struct clock *clock, struct log *log,
			   const struct session_kek *kek, const struct private_data_limits *limits, struct why *w)
{
	struct private_data *p = calloc(1, sizeof *p);
	enum err e;

	if (p == NULL)
		return why_set(w, ERR_MEMORY, "no memory for private data");
	p->store = store;
	p->crypto = crypto;
	p->random = random;
	p->clock = clock;
	p->limits = *limits;
	e = secret_new_locked(&p->key, w);
	if (e == ERR_OK)
		e = crypto_hkdf(crypto, secret_view(kek->key), seal_info, AEAD_KEY_SIZE, p->key, w);
	if (e == ERR_OK)
		e = check_key(store, crypto, log, kek, w);
	if (e != ERR_OK) {
		private_data_close(p);
		return e;
	}
	*out = p;
	return ERR_OK;
}

void private_data_close(struct private_data *p)
{
	if (p == NULL)
		return;
	secret_free_locked(p->key);
	free(p);
}

/* ---- room ---- */

static enum err room(struct private_data *p, const uint8_t *identity, size_t size, struct why *w)
{
	const struct private_data_limits *l = &p->limits;
	struct private_store_usage own, all;
	enum err e = private_store_usage(p->store, identity, &own, w);

	if (e == ERR_OK)
		e = private_store_usage(p->store, NULL, &all, w);
	if (e != ERR_OK)
		return e;
	if (own.items >= l->max_items)
		return why_tell(w, ERR_QUOTA, NULL,
				"This identity has stored %lld items, and may store %lld: delete one that is no longer "
				"needed.",
				(long long)own.items, (long long)l->max_items);
	if (own.bytes > l->max_bytes || (int64_t)size > l->max_bytes - own.bytes)
		return why_tell(w, ERR_QUOTA, NULL,
				"This identity has stored %lld bytes, and may store %lld: %zu more do not fit; delete "
				"what is no longer needed.",
				(long long)own.bytes, (long long)l->max_bytes, size);
	if (all.items >= l->max_total_items)
		return why_tell(w, ERR_PRIVATE_FULL, NULL,
				"All identities together may store %lld items here, and no more fit: delete one of "
				"your own that is no longer needed, or try again later.",
				(long long)l->max_total_items);
	if (all.bytes > l->max_total_bytes || (int64_t)size > l->max_total_bytes - all.bytes)
		return why_tell(w, ERR_PRIVATE_FULL, NULL,
				"All identities together may store %lld bytes here, and %zu more do not fit: delete "
				"what is no longer needed of your own, or try again later.",
				(long long)l->max_total_bytes, size);
	return ERR_OK;
}

enum err private_data_begin(struct private_data *p, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE], size_t size,
			    struct private_data_row *row, struct why *w)
{
	uint8_t id[ID_RANDOM_SIZE];
	enum err e;

	if (size > PRIVATE_DATA_SIZE_MAX)
		return why_tell(w, ERR_TOO_LARGE, NULL, "Private data may have at most %d bytes.",
				PRIVATE_DATA_SIZE_MAX);
	e = room(p, identity, size, w);
	if (e == ERR_OK)
		e = random_fill(&p->random, id, sizeof id, w);
	if (e != ERR_OK)
		return e;
	*row = (struct private_data_row){
		.created_ms = clock_wall(p->clock), .size = size, .sealed = BUF_INIT(size + OVERHEAD_MAX)};
	memcpy(row->identity, identity, sizeof row->identity);
	base64url_encode(bytes_of(id, sizeof id), row->id);
	return ERR_OK;
}

/* ---- the sealed form ---- */

static uint8_t *put_number(uint8_t *to, uint64_t v)
{
	for (int i = NUMBER_SIZE; i > 0; v >>= 8)
		to[--i] = (uint8_t)v;
	return to + NUMBER_SIZE;
}

/* Every part has a fixed size, so no two rows have the same bytes here. */
static void make_aad(const struct private_data_row *row, uint8_t aad[AAD_SIZE])
{
	uint8_t *to = mempcpy(aad, aad_label, sizeof aad_label);

	to = mempcpy(to, row->identity, sizeof row->identity);
	to = mempcpy(to, row->id, sizeof row->id);
	to = put_number(to, (uint64_t)row->created_ms);
	put_number(to, row->size);
}

/* RFC 9110, section 5.6.2. */
static size_t token_length(struct bytes x)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	size_t n = 0;

	for (; n < x.n; n++) {
		uint8_t c = x.p[n];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!plain && memchr(marks, c, sizeof marks - 1) == NULL)
			break;
	}
	return n;
}

static bool type_fits(struct bytes type)
{
	size_t n = token_length(type), sub;

	if (type.n > PRIVATE_DATA_TYPE_MAX || !bytes_printable(type) || n == 0 || n == type.n || type.p[n] != '/')
		return false;
	sub = token_length(bytes_of(type.p + n + 1, type.n - n - 1));
	for (n += 1 + sub; n < type.n && type.p[n] == ' '; n++)
		;
	return sub > 0 && (n == type.n || type.p[n] == ';');
}

/* The IV is random: SP 800-38D lets one key seal 2^32 times so, with a chance of one in 2^32 that two IVs are ever the
 * same. At a hundred rows a second, without a pause, that is sixteen months; ten times as many rows make it one in
 * 2^25. A counter would be worse: a file that is rolled back would set it back, and repeat IVs for certain. */
enum err private_data_seal(const struct private_data *p, struct private_data_row *row, struct bytes content_type,
			   struct bytes body, struct why *w)
{
	const size_t n = TYPE_LENGTH_SIZE + content_type.n + body.n;
	struct buf plain = BUF_INIT(OVERHEAD_MAX + row->size);
	uint8_t aad[AAD_SIZE], *out;
	enum err e;

	if (!type_fits(content_type))
		return why_tell(w, ERR_INVALID, "Content-Type",
				"Must be of the form TYPE/SUBTYPE, with or without parameters, in at most %d printable "
				"ASCII characters.",
				PRIVATE_DATA_TYPE_MAX);
	if (body.n != row->size)
		return why_set(w, ERR_INTERNAL, "a row for %zu bytes was given %zu", row->size, body.n);
	(void)buf_reserve(&plain, n); /* once, so that nothing is copied about */
	buf_put_u8(&plain, (uint8_t)content_type.n);
	buf_put_bytes(&plain, content_type);
	buf_put_bytes(&plain, body);
	e = buf_check(&plain, w);
	out = e == ERR_OK ? buf_reserve(&row->sealed, AEAD_IV_SIZE + n + AEAD_TAG_SIZE) : NULL;
	if (e == ERR_OK)
		e = buf_check(&row->sealed, w);
	if (e == ERR_OK)
		e = random_fill(&p->random, out, AEAD_IV_SIZE, w);
	if (e == ERR_OK) {
		make_aad(row, aad);
		e = crypto_seal(p->crypto, p->key->b, out, bytes_of(aad, sizeof aad), buf_bytes(&plain),
				out + AEAD_IV_SIZE, w);
	}
	if (e == ERR_OK)
		row->sealed.n += AEAD_IV_SIZE + n + AEAD_TAG_SIZE;
	buf_free(&plain);
	return e;
}

/* Opened where the body is to stand, and moved down over the content type: a copy fewer. */
enum err private_data_unseal(const struct private_data *p, const struct private_data_row *row, struct buf *content_type,
			     struct buf *body, struct why *w)
{
	const size_t whole = row->sealed.n;
	size_t n, type_n;
	uint8_t aad[AAD_SIZE], *out;
	enum err e;

	if (whole < AEAD_IV_SIZE + TYPE_LENGTH_SIZE + AEAD_TAG_SIZE)
		return why_set(w, ERR_SEALED, "a row of private data is too short to be one");
	n = whole - AEAD_IV_SIZE - AEAD_TAG_SIZE;
	out = buf_reserve(body, n);
	if (out == NULL)
		return buf_check(body, w);
	make_aad(row, aad);
	e = crypto_open(p->crypto, p->key->b, row->sealed.p, bytes_of(aad, sizeof aad),
			bytes_of(row->sealed.p + AEAD_IV_SIZE, whole - AEAD_IV_SIZE), out, w);
	if (e == ERR_BAD_MESSAGE)
		return why_set(w, ERR_SEALED,
			       "a row of the private-data database does not open: it was altered, or is another's");
	if (e != ERR_OK)
		return e;
	type_n = out[0];
	if (TYPE_LENGTH_SIZE + type_n + row->size != n) {
		mem_wipe(out, n);
		return why_set(w, ERR_SEALED, "a row of private data is not as long as it says");
	}
	buf_put(content_type, out + TYPE_LENGTH_SIZE, type_n);
	e = buf_check(content_type, w);
	if (e != ERR_OK) {
		mem_wipe(out, n);
		return e;
	}
	memmove(out, out + TYPE_LENGTH_SIZE + type_n, row->size);
	mem_wipe(out + row->size, TYPE_LENGTH_SIZE + type_n);
	body->n += row->size;
	return ERR_OK;
}

void private_data_row_free(struct private_data_row *row)
{
	if (row == NULL)
		return;
	buf_free(&row->sealed);
	mem_wipe(row, sizeof *row);
}

/* ---- rows ---- */

enum err private_data_put(struct private_data *p, const struct private_data_row *row, struct why *w)
{
	struct private_store_item x = {
		.created_ms = row->created_ms, .size = (int64_t)row->size, .sealed = buf_bytes(&row->sealed)};
	enum err e = room(p, row->identity, row->size, w);

	memcpy(x.identity, row->identity, sizeof x.identity);
	memcpy(x.id, row->id, sizeof x.id);
	return e == ERR_OK ? private_store_put(p->store, &x, w) : e;
}

static enum err not_found(struct bytes id, struct why *w)
{
	return why_tell(w, ERR_NOT_FOUND, NULL,
			id.n == 0 ? "This identity has stored nothing."
				  : "This identity has stored nothing of this id.");
}

/* What is no id is not asked for. */
static bool id_fits(struct bytes id)
{
	if (id.n != PRIVATE_DATA_ID_SIZE)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		uint8_t c = id.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
		      c == '_'))
			return false;
	}
	return true;
}

enum err private_data_find(struct private_data *p, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE], struct bytes id,
			   struct private_data_row *row, struct why *w)
{
	struct private_data_row found = {0};
	struct private_store_item x;
	bool any = false;
	enum err e = ERR_OK;

	if (id.n == 0 || id_fits(id))
		e = private_store_get(p->store, identity, id, &x, NULL, &any, w);
	if (e == ERR_OK && !any)
		e = not_found(id, w);
	if (e != ERR_OK)
		return e;
	memcpy(found.identity, x.identity, sizeof found.identity);
	memcpy(found.id, x.id, sizeof found.id);
	found.created_ms = x.created_ms;
	found.size = (size_t)x.size;
	found.sealed = BUF_INIT(x.sealed.n);
	*row = found;
	return ERR_OK;
}

enum err private_data_read(struct private_data *p, struct private_data_row *row, struct why *w)
{
	struct bytes id = bytes_of(row->id, sizeof row->id);
	struct private_store_item x;
	bool any = false;
	enum err e = private_store_get(p->store, row->identity, id, &x, &row->sealed, &any, w);

	return e == ERR_OK && !any ? not_found(id, w) : e;
}

enum err private_data_delete(struct private_data *p, const uint8_t identity[PRIVATE_STORE_IDENTITY_SIZE],
			     struct bytes id, struct why *w)
{
	bool any = false;
	enum err e = id_fits(id) ? private_store_delete(p->store, identity, id, &any, w) : ERR_OK;

	return e == ERR_OK && !any ? not_found(id, w) : e;
}

enum err private_data_usage(struct private_data *p, struct private_store_usage *out, struct why *w)
{
	return private_store_usage(p->store, NULL, out, w);
}
